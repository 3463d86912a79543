//! The energy of a load: idle, load and idle again under a meter, until the mean power is known well enough.

use std::time::Duration;

use super::integrate::{MeanPower, mean_power};
use super::settle::{idle, pause, settle};
use super::{EnergyError, EnergyPlan, conditions};
use crate::measurement::{Conditions, Energy, RailEnergy, Recorded};
use crate::meter::align::{Pattern, coded};
use crate::meter::{MeterError, Point, PowerMeter, Shown, Total, Trace};
use crate::time::{Clock, Window};
use crate::warning::Warning;

/// Fewest readings of the load.
const FEWEST_READINGS: usize = 30;
/// Most windows of load; each is longer than the last.
const MOST_WINDOWS: usize = 5;
/// Shortest remaining time that is worth another window.
const SHORTEST_LEFT: Duration = Duration::from_secs(1);
/// Shortest time that is cut off at both ends of a window, in s: power rises and falls within it.
const EDGE_S: f64 = 0.05;
/// Time that power takes to fall when a load ends.
const FALL: Duration = Duration::from_millis(300);

/// Checks the meter during a load; an error ends the load.
pub(crate) type Watch<'a> = dyn Fn() -> Result<(), MeterError> + 'a;

/// Repeated inferences that a meter measures.
pub(crate) trait Load {
    /// The reason why the load failed.
    type Error: From<MeterError> + From<EnergyError>;

    /// Runs inferences one after the other for about `duration`. Calls `watch` several times a second, and stops as
    /// soon as it returns an error.
    fn run(&mut self, duration: Duration, watch: &Watch) -> Result<LoadRun, Self::Error>;
}

/// One run of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LoadRun {
    /// When inferences ran, without warm-up, on the meter's clock.
    pub window: Window,
    /// Number of inferences in the window.
    pub inferences: u64,
    /// Time of the window that each inference took, in s.
    pub period_s: f64,
}

/// Energy, the conditions that it was measured in, and doubts about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    pub energy: Energy,
    pub conditions: Conditions,
    pub warnings: Vec<Warning>,
}

/// Measures the energy of a load. `wanted` is the half-width of the 95 % confidence interval of the mean power,
/// relative to the mean, at which the load may end.
pub(crate) fn measure<L: Load>(
    meter: &mut dyn PowerMeter,
    clock: &Clock,
    load: &mut L,
    options: &EnergyPlan,
    wanted: f64,
) -> Result<Measured, L::Error> {
    let target = wanted.min(meter.reachable_interval());
    let mut record = Record { options: *options, target, ..Record::default() };
    let mut next = Some(options.window);
    while let Some(duration) = next {
        meter.start()?;
        let ran = record.run(meter, clock, load, duration);
        let stopped = meter.stop();
        // A failure of the meter is in both; a failure of the load explains a trace that cannot be read.
        ran?;
        record.add(stopped?, meter);
        next = record.next_duration(&record.trace.total(&record.total))?;
    }
    // Before any advice about idle power.
    record.shown()?.check(&meter.source(), record.trace.resolution_mw)?;
    Ok(record.measured(meter, wanted)?)
}

/// Results of load and meter so far.
#[derive(Default)]
struct Record {
    options: EnergyPlan,
    /// Half-width of the confidence interval at which the load ends.
    target: f64,
    trace: Trace,
    total: Total,
    runs: Vec<LoadRun>,
    /// From begin to end of each record of the meter.
    recorded: Vec<Window>,
    idle_before: Vec<Window>,
    idle_after: Vec<Window>,
    /// Time between two readings, in s.
    spacing_s: f64,
    warnings: Vec<Warning>,
}

impl Record {
    /// Idle, load, and idle again. If the meter shows its readings meanwhile, the load continues until they suffice.
    fn run<L: Load>(
        &mut self,
        meter: &mut dyn PowerMeter,
        clock: &Clock,
        load: &mut L,
        duration: Duration,
    ) -> Result<(), L::Error> {
        let begun_ns = clock.now_ns();
        let (before, unsettled) = settle(meter, clock, self.options.idle, self.options.settle_limit)?;
        self.spacing_s = before.spacing_s.unwrap_or(self.spacing_s);
        self.idle_before.push(before.window);
        self.warnings.extend(unsettled);
        let watch = |meter: &dyn PowerMeter| meter.check().map(|_| ());
        let mut loads = Vec::new();
        if let Some(unit) = meter.pattern_unit() {
            for (index, length) in coded(unit).into_iter().enumerate() {
                if index % 2 == 0 {
                    loads.push(load.run(length, &|| watch(meter))?.window);
                } else {
                    pause(meter, clock, length)?;
                }
            }
            pause(meter, clock, self.options.idle.max(unit))?;
        }
        let mut next = Some(duration.max(self.shortest_window()?));
        while let Some(duration) = next {
            let run = load.run(duration, &|| watch(meter))?;
            loads.push(run.window);
            self.runs.push(run);
            let recent = meter.recent(begun_ns);
            let so_far = [self.trace.total(&self.total), recent.clone()].concat();
            // Too few readings are an error only when the meter has given all of them.
            next = if recent.is_empty() { None } else { self.next_duration(&so_far).unwrap_or(None) };
        }
        pause(meter, clock, FALL.max(Duration::from_secs_f64(self.edge_s())))?;
        self.idle_after.push(idle(meter, clock, self.options.idle)?.window);
        let whole = Window { from_ns: begun_ns, to_ns: clock.now_ns() };
        self.recorded.push(whole);
        if meter.pattern_unit().is_some() {
            meter.set_pattern(Pattern::new(whole, &loads)?);
        }
        Ok(())
    }

    /// The shortest window with enough readings in it.
    fn shortest_window(&self) -> Result<Duration, EnergyError> {
        let needed_s = (FEWEST_READINGS + 2) as f64 * self.spacing_s + 2.0 * self.edge_s();
        let limit_s = self.options.window_limit.as_secs_f64();
        if needed_s > limit_s {
            return Err(EnergyError(format!(
                "the power meter gives a reading every {:.2} s: {FEWEST_READINGS} of them take {needed_s:.0} s of \
                 inference, more than window_limit_s = {limit_s}. Raise it, or use a faster meter",
                self.spacing_s
            )));
        }
        Ok(Duration::from_secs_f64(needed_s))
    }

    fn add(&mut self, trace: Trace, meter: &dyn PowerMeter) {
        self.total = meter.total();
        self.warnings.extend(trace.notes.iter().map(|note| Warning::Meter { note: note.clone() }));
        self.trace.extend(trace);
    }

    /// Length of the next window of load; `None` if the mean power is known well enough, or no time remains.
    fn next_duration(&self, series: &[Point]) -> Result<Option<Duration>, EnergyError> {
        let power = mean_power(series, &self.loads())?;
        let ran = Duration::from_secs_f64(self.ran_s());
        let left = self.options.window_limit.saturating_sub(ran);
        let shortest = self.options.window / 2;
        let reached = power.relative_half_width.unwrap_or(f64::INFINITY);
        // Of zeros alone, more say no more.
        let is_known = reached <= self.target || power.zeros == power.samples;
        let enough = power.samples >= FEWEST_READINGS && is_known;
        if enough || left < shortest.min(SHORTEST_LEFT) || self.runs.len() >= MOST_WINDOWS {
            return Ok(None);
        }
        // The interval narrows with the root of the time.
        let factor = (reached / self.target).powi(2).max(FEWEST_READINGS as f64 / power.samples.max(1) as f64);
        Ok(Some(ran.mul_f64(factor.clamp(1.2, 10.0) - 1.0).max(shortest).min(left)))
    }

    fn edge_s(&self) -> f64 {
        // The error hardly ever exceeds three times the standard uncertainty.
        EDGE_S.max(self.spacing_s) + 3.0 * self.trace.stamp_uncertainty_s
    }

    fn ran_s(&self) -> f64 {
        self.runs.iter().map(|run| run.window.seconds()).sum()
    }

    /// The windows of load without their edges.
    fn loads(&self) -> Vec<Window> {
        let edge_ns = (self.edge_s() * 1e9) as u64;
        self.runs.iter().map(|run| run.window.without_edges(edge_ns)).collect()
    }

    /// What the meter shows of the load.
    fn shown(&self) -> Result<Shown, EnergyError> {
        let power = mean_power(&self.trace.total(&self.total), &self.loads())?;
        Ok(Shown { mean_mw: power.mean_mw, readings: power.samples, zeros: power.zeros })
    }

    fn measured(mut self, meter: &dyn PowerMeter, wanted: f64) -> Result<Measured, EnergyError> {
        let (series, loads) = (self.trace.total(&self.total), self.loads());
        let power = mean_power(&series, &loads)?;
        if power.samples < FEWEST_READINGS {
            return Err(EnergyError(format!(
                "only {} power readings lie in the {:.1} s in which inferences ran; {FEWEST_READINGS} are needed. Raise \
                 window_limit_s, or use a faster meter",
                power.samples,
                self.ran_s()
            )));
        }
        let idle_windows = [self.idle_before.as_slice(), &self.idle_after].concat();
        let (before, after) = (mean_power(&series, &self.idle_before)?, mean_power(&series, &self.idle_after)?);
        let idle = mean_power(&series, &idle_windows)?;
        self.warnings.extend(conditions::throttling(&self.trace.conditions, &loads));
        let interval = interval(&power, self.trace.resolution_mw);
        if interval.is_none_or(|interval| interval > wanted) {
            self.warnings.push(Warning::WidePowerInterval {
                reached: interval,
                wanted,
                samples: power.samples,
                window: Duration::from_secs_f64(self.ran_s()),
            });
        }
        self.warnings.extend(change_of_idle(&before, &after));
        if self.options.subtract_idle {
            check_above(&power, &idle)?;
        }
        let inferences: u64 = self.runs.iter().map(|run| run.inferences).sum();
        let spent_s: f64 = self.runs.iter().map(|run| run.period_s * run.inferences as f64).sum();
        // mW times s are mJ.
        let per_inference_s = spent_s / inferences.max(1) as f64;
        let above_idle_mj = |power: &MeanPower, idle: &MeanPower| (power.mean_mw - idle.mean_mw) * per_inference_s;
        let rail = |name: &&str| {
            let series = self.trace.rail(name);
            let power = mean_power(&series, &loads).ok()?;
            Some(RailEnergy {
                rail: (*name).to_owned(),
                per_inference_mj: power.mean_mw * per_inference_s,
                above_idle_mj: mean_power(&series, &idle_windows).ok().map(|idle| above_idle_mj(&power, &idle)),
            })
        };
        let names = self.trace.rails();
        let rails = if names.len() > 1 { names.iter().filter_map(rail).collect() } else { Vec::new() };
        let energy = Energy {
            per_inference_mj: power.mean_mw * per_inference_s,
            above_idle_mj: Some(above_idle_mj(&power, &idle)),
            counts_above_idle: self.options.subtract_idle,
            std_mj: power.deviation_mw.map(|deviation| deviation * per_inference_s),
            idle_power_mw: Some(idle.mean_mw.max(0.0)),
            mean_power_mw: Some(power.mean_mw),
            power_samples: Some(power.samples as u64),
            power_interval: interval,
            rails,
            source: meter.source(),
            recorded: recorded(&series, &self.recorded),
        };
        let windows: Vec<Window> = self.runs.iter().map(|run| run.window).collect();
        let conditions = conditions::of(&self.trace.conditions, self.idle_before.first(), &windows);
        Ok(Measured { energy, conditions, warnings: self.warnings })
    }
}

/// The energy of whole records; `None` where readings are missing for too long.
fn recorded(series: &[Point], windows: &[Window]) -> Option<Recorded> {
    let seconds = windows.iter().map(Window::seconds).sum();
    let energy_mj = mean_power(series, windows).ok()?.mean_mw * seconds;
    // A sensor's offset may be below zero.
    (energy_mj >= 0.0).then_some(Recorded { energy_mj, seconds })
}

/// Half-width of the 95 % confidence interval of the mean power, relative to the mean: the scatter of the readings and
/// the meter's resolution. The latter does not average out where power is steady: all readings are then rounded alike.
fn interval(power: &MeanPower, resolution_mw: Option<f64>) -> Option<f64> {
    const TWO_SIDED_95: f64 = 1.96;
    let scatter = power.relative_half_width?;
    let rounding = resolution_mw.map_or(0.0, |step| TWO_SIDED_95 * step / 12.0_f64.sqrt() / power.mean_mw);
    Some(scatter.hypot(rounding))
}

/// A doubt if the idle device drew another power after the measurement than before.
fn change_of_idle(before: &MeanPower, after: &MeanPower) -> Option<Warning> {
    /// Smallest relative change that warmth alone does not explain.
    const DISTURBED: f64 = 0.15;
    let noise: f64 = [before, after].iter().filter_map(|idle| idle.relative_half_width).sum();
    let is_disturbed = (after.mean_mw - before.mean_mw).abs() > DISTURBED.max(noise) * before.mean_mw.abs();
    is_disturbed.then_some(Warning::IdleChanged { before_mw: before.mean_mw, after_mw: after.mean_mw })
}

/// Rejects a load whose power does not rise above idle by more than the noise of both.
fn check_above(load: &MeanPower, idle: &MeanPower) -> Result<(), EnergyError> {
    let half_width = |power: &MeanPower| power.relative_half_width.unwrap_or(0.0).max(1e-6) * power.mean_mw;
    if load.mean_mw - idle.mean_mw > half_width(load).hypot(half_width(idle)) {
        return Ok(());
    }
    Err(EnergyError(format!(
        "power under load ({:.0} mW) is not above that of the idle device ({:.0} mW), so that an inference has no energy \
         above idle: is the meter that of this device? Else set subtract_idle = false",
        load.mean_mw, idle.mean_mw
    )))
}
