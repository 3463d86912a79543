//! One model, measured on a board at rest.

use std::time::Duration;

use super::engine;
use super::latency::{Latencies, latencies};
use super::link::Link;
use super::meter::Meter;
use super::options::JetsonOptions;
use super::settle::{Rest, settle, watch};
use super::trial::{self, Trial};
use crate::device::Plan;
use crate::doubts;
use crate::energy::{MeanPower, mean_power};
use crate::measurement::{Conditions, Energy, Measurement, RailEnergy};
use crate::model::Model;
use crate::remote::RemoteError;
use crate::statistics;
use crate::time::Window;
use crate::warning::Warning;

/// Fewest power readings of a measurement.
const FEWEST_READINGS: usize = 30;
/// Time cut off at both ends of a window at least: power rises and falls within it.
const EDGE: Duration = Duration::from_millis(50);
/// Runs of trtexec at most, each longer than the last.
const MOST_TRIALS: usize = 5;

/// Measures a model.
///
/// # Errors
/// If the board, its meter or the model fails.
pub(super) fn measure(
    link: &mut Link,
    options: &JetsonOptions,
    model: &Model,
    plan: &Plan,
) -> Result<Measurement, RemoteError> {
    let engine = engine::provide(&mut link.agent, &link.place, &link.builder, model)?;
    link.agent.forget();
    let mut meter = link.start_meter(options)?;
    let observed = observe(link, &mut meter, options, plan, &engine);
    // Whatever happened, and also where the connection is gone: then the agent ends it by itself.
    let stopped = meter.stop(&mut link.agent);
    let observed = observed?;
    stopped?;
    observed.measurement(&meter, options, plan)
}

/// All that was seen of one model.
struct Observed {
    before: Rest,
    after: Rest,
    trials: Vec<Trial>,
    warnings: Vec<Warning>,
}

fn observe(
    link: &mut Link,
    meter: &mut Meter,
    options: &JetsonOptions,
    plan: &Plan,
    engine: &str,
) -> Result<Observed, RemoteError> {
    let agent = &mut link.agent;
    let mut warnings = Vec::new();
    let before = settle(agent, meter, options.idle, options.settle_limit, &mut warnings)?;
    let command = trial::command(&link.builder.trtexec, options, plan, engine);
    let period = options.power_source().period();
    let edge = edge(options);
    let mut duration = options.window.max((FEWEST_READINGS as u32 + 2) * period + 2 * edge);
    let wanted = plan.confidence_interval.min(options.power_source().precision());
    let mut trials: Vec<Trial> = Vec::new();
    loop {
        trials.push(trial::run(agent, meter, &command, plan.warm_up, duration, options.grace)?);
        let power = mean_power(&total(meter)?, &windows(&trials, edge))?;
        let measured = Duration::from_secs_f64(trials.iter().map(|trial| trial.window.seconds()).sum());
        let left = options.window_limit.saturating_sub(measured);
        let reached = power.relative_half_width.unwrap_or(f64::INFINITY);
        let enough = power.samples >= FEWEST_READINGS && reached <= wanted;
        if enough || left < Duration::from_secs(1) || trials.len() >= MOST_TRIALS {
            break;
        }
        // The interval narrows with the root of the time.
        let factor = (reached / wanted).powi(2).clamp(1.2, 10.0);
        duration = measured.mul_f64(factor - 1.0).max(duration / 2).min(left);
    }
    let after = watch(agent, meter, options.idle)?;
    Ok(Observed { before, after, trials, warnings })
}

fn edge(options: &JetsonOptions) -> Duration {
    options.power_source().period().max(EDGE)
}

fn windows(trials: &[Trial], edge: Duration) -> Vec<Window> {
    trials.iter().map(|trial| trial.window.without_edges(edge.as_nanos() as u64)).collect()
}

fn total(meter: &Meter) -> Result<crate::meter::Series, RemoteError> {
    let nothing = || RemoteError::Meter { problem: "it has read nothing".to_owned() };
    meter.total().map(|total| meter.trace().total(total)).ok_or_else(nothing)
}

impl Observed {
    fn measurement(mut self, meter: &Meter, options: &JetsonOptions, plan: &Plan) -> Result<Measurement, RemoteError> {
        let Latencies { whole: latency, without_transfer: latency_without_transfer, doubts } =
            latencies(&self.trials, plan, options.window_limit)?;
        self.warnings.extend(doubts);
        let energy = self.energy(meter, options, plan)?;
        let conditions = self.conditions(meter);
        let clocks = clocks(meter, &windows(&self.trials, edge(options)));
        if let Some(&highest_mhz) = clocks.last() {
            let low_mhz = statistics::quantile(&clocks, THROTTLED_READINGS);
            if low_mhz < THROTTLED * highest_mhz {
                self.warnings.push(Warning::Throttled { before_mhz: highest_mhz, after_mhz: low_mhz });
            }
        }
        let measurement = Measurement {
            latency,
            latency_without_transfer,
            throughput_per_s: None,
            energy: Some(energy),
            conditions,
            warnings: self.warnings,
        };
        let impossible = |error: crate::InvalidMeasurement| RemoteError::Failed { problem: error.to_string() };
        measurement.validated().map_err(impossible)
    }

    fn energy(&mut self, meter: &Meter, options: &JetsonOptions, plan: &Plan) -> Result<Energy, RemoteError> {
        let windows = windows(&self.trials, edge(options));
        let rests = [self.before.window, self.after.window];
        let inferences: u64 = self.trials.iter().map(|trial| trial.inferences).sum();
        let seconds: f64 = self.trials.iter().map(|trial| trial.window.seconds()).sum();
        // mW times s are mJ.
        let per_inference_s =
            self.trials.iter().map(|trial| trial.period_s * trial.inferences as f64).sum::<f64>() / inferences as f64;
        let series = total(meter)?;
        let (power, idle) = (mean_power(&series, &windows)?, mean_power(&series, &rests)?);
        self.doubt_power(&power, &series, plan, seconds)?;
        let rail = |name: &&str| {
            let series = meter.trace().rail(name);
            let power = mean_power(&series, &windows).ok()?;
            let idle = mean_power(&series, &rests).ok().map(|idle| idle.mean_mw);
            Some(RailEnergy {
                rail: (*name).to_owned(),
                per_inference_mj: power.mean_mw * per_inference_s,
                above_idle_mj: idle.map(|idle| (power.mean_mw - idle) * per_inference_s),
            })
        };
        let rails = meter.trace().rails().iter().filter_map(rail).collect();
        let label = meter.total().map(crate::meter::rails::Total::label).unwrap_or_default();
        Ok(Energy {
            per_inference_mj: power.mean_mw * per_inference_s,
            above_idle_mj: Some((power.mean_mw - idle.mean_mw) * per_inference_s),
            counts_above_idle: false,
            std_mj: power.deviation_mw.map(|deviation| deviation * per_inference_s),
            idle_power_mw: Some(idle.mean_mw.max(0.0)),
            mean_power_mw: Some(power.mean_mw),
            power_samples: Some(power.samples as u64),
            power_interval: power.relative_half_width,
            rails,
            source: format!("{} {label}", options.power_source().as_str()),
        })
    }

    fn doubt_power(
        &mut self,
        power: &MeanPower,
        series: &crate::meter::Series,
        plan: &Plan,
        seconds: f64,
    ) -> Result<(), RemoteError> {
        if power.samples < FEWEST_READINGS || power.relative_half_width.is_none_or(|r| r > plan.confidence_interval) {
            self.warnings.push(Warning::WidePowerInterval {
                reached: power.relative_half_width,
                wanted: plan.confidence_interval,
                samples: power.samples,
                window: Duration::from_secs_f64(seconds),
            });
        }
        let (before, after) = (mean_power(series, &[self.before.window])?, mean_power(series, &[self.after.window])?);
        self.warnings.extend(doubts::of_rests(&before, &after));
        Ok(())
    }

    fn conditions(&self, meter: &Meter) -> Conditions {
        // A quarter of the readings, not of the time: a board that is busy may leave a stretch of time without any.
        let clock = |window: &Window, first: bool| {
            let within = meter.states().iter().filter(|state| (window.from_ns..=window.to_ns).contains(&state.at_ns));
            let clocks: Vec<f64> = within.filter_map(|state| state.clock_mhz).collect();
            let quarter = clocks.len().div_ceil(4);
            let part = if first { &clocks[..quarter] } else { &clocks[clocks.len() - quarter..] };
            (!part.is_empty()).then(|| statistics::quantile(&statistics::sorted(part), 0.5))
        };
        let (first, last) = (self.trials.first(), self.trials.last());
        let at_end = last.and_then(|trial| {
            let states = meter.states().iter().rev().find(|state| state.at_ns <= trial.window.to_ns);
            states.and_then(|state| state.temperature_c)
        });
        Conditions {
            temperature_before_c: self.before.temperature_c,
            temperature_after_c: at_end,
            clock_before_mhz: first.and_then(|trial| clock(&trial.window, true)),
            clock_after_mhz: last.and_then(|trial| clock(&trial.window, false)),
        }
    }
}

/// The GPU's clock at each reading in some windows, rising, in MHz.
fn clocks(meter: &Meter, windows: &[Window]) -> Vec<f64> {
    let within = |at_ns: u64| windows.iter().any(|window| (window.from_ns..=window.to_ns).contains(&at_ns));
    let states = meter.states().iter().filter(|state| within(state.at_ns));
    statistics::sorted(&states.filter_map(|state| state.clock_mhz).collect::<Vec<_>>())
}

/// Share of the highest clock under load below which a clock is throttled, if at least a tenth of the readings are.
const THROTTLED: f64 = 0.97;
const THROTTLED_READINGS: f64 = 0.1;

/// Whether a measurement is worth repeating because something else seems to have used the board.
pub(super) fn is_disturbed(measurement: &Measurement) -> bool {
    measurement.warnings.iter().any(|warning| {
        matches!(warning, Warning::IdleChanged { .. } | Warning::Outliers { .. } | Warning::WideInterval { .. })
    })
}
