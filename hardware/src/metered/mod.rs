//! Energy of a load by a meter that is not the device's own.
//!
//! The meter reads while the device rests, works, and rests again. Only readings within the work count, less an edge at
//! each end as wide as the meter's spacing, since a reading there has seen both. Work goes on until the mean power is
//! known well enough, counting in what the meter's resolution leaves open, and until there are enough readings to say
//! so; where the time for that is not granted, there is no energy, but an error.
//!
//! A meter whose clock is not ours is shown a pattern of load and rest first, which it is placed by
//! ([`align`](crate::meter::align)).

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::device::Description;
use crate::doubts;
use crate::energy::{EnergyError, MeanPower, mean_power};
use crate::measurement::Energy;
use crate::meter::align::{Pattern, coded};
use crate::meter::power_meter::{MeterError, PowerMeter};
use crate::meter::{MeterOptions, Point, Series, Trace};
use crate::seconds;
use crate::time::{Clock, Window};
use crate::warning::Warning;

/// Fewest readings of the work.
const FEWEST_READINGS: usize = 30;
/// Fewest readings of a rest.
const FEWEST_AT_REST: usize = 5;
/// Stretches of work at most, each of them longer than the last.
const MOST_STRETCHES: usize = 4;
/// Time cut off at both ends of the work at least: power rises and falls within it.
const EDGE_S: f64 = 0.05;
/// Time that power needs to fall when work ends.
const FALL: Duration = Duration::from_millis(300);
/// Time between two looks at a meter.
const LOOK: Duration = Duration::from_millis(50);
/// Longest rest that a slow meter is granted for its first readings.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How energy is measured, as an experiment file says it. What is left out suits the kind of meter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnergyOptions {
    /// How long the device works at least.
    #[serde(rename = "window_s", with = "seconds::optional")]
    pub window: Option<Duration>,
    /// And at most, all windows together [default: six times `window`].
    #[serde(rename = "window_limit_s", with = "seconds::optional")]
    pub window_limit: Option<Duration>,
    /// How long it is idle before and after, at least.
    #[serde(rename = "idle_s", with = "seconds::optional")]
    pub idle: Option<Duration>,
    /// Whether an inference is charged only with what it takes above the idle device: for a meter that sees more than
    /// the device, as one of a whole machine does.
    pub subtract_idle: bool,
}

/// [`EnergyOptions`] for the meter that a device has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EnergyPlan {
    pub window: Duration,
    pub window_limit: Duration,
    pub idle: Duration,
    pub subtract_idle: bool,
}

impl EnergyOptions {
    /// The same for a meter, which decides what is left out.
    pub(crate) fn resolved(&self, meter: &MeterOptions) -> EnergyPlan {
        let usual = meter.usual_window();
        let window = self.window.unwrap_or(usual);
        EnergyPlan {
            window,
            // A shorter window leaves a slow meter as much time as before.
            window_limit: self.window_limit.unwrap_or_else(|| 6 * window.max(usual)),
            idle: self.idle.unwrap_or_else(|| meter.usual_idle()),
            subtract_idle: self.subtract_idle,
        }
    }
}

impl EnergyPlan {
    /// Adds to a device's description what its energy is and what measures it, if anything does.
    pub(crate) fn describe(&self, description: Description, meter: Option<&dyn PowerMeter>) -> Description {
        let Some(meter) = meter else { return description };
        let counted = if self.subtract_idle { "above idle" } else { "with idle" };
        description.with("energy", counted).with("power by", meter.describe())
    }

    /// The first setting that makes no sense, and why.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.window.is_zero() || self.window > self.window_limit {
            return Some("window_s must be above 0 and not above window_limit_s".to_owned());
        }
        self.idle.is_zero().then(|| "idle_s must be above 0: without a rest idle power is not known".to_owned())
    }
}

/// Time as it passes for load and meter.
pub(crate) trait Time {
    /// Now, in ns of the meter's clock.
    fn now_ns(&self) -> u64;
    /// Lets time pass.
    fn sleep(&self, duration: Duration);
}

impl Time for Clock {
    fn now_ns(&self) -> u64 {
        Clock::now_ns(self)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Whether work need not go on.
pub(crate) type Watch<'a> = dyn Fn() -> Result<(), MeterError> + 'a;

/// What is measured.
pub(crate) trait Load {
    /// Why it did not work.
    type Error: From<MeterError> + From<EnergyError>;

    /// Runs inferences one after the other for about `duration`; gives up as soon as `watch`, which is called several
    /// times a second, has an error.
    fn run(&mut self, duration: Duration, watch: &Watch) -> Result<Stretch, Self::Error>;
}

/// A stretch of work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stretch {
    /// When inferences ran, without warm-up, on the meter's clock.
    pub window: Window,
    /// How many.
    pub inferences: u64,
    /// How much of the window each took, in s.
    pub period_s: f64,
}

/// Energy, and doubts about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metered {
    pub energy: Energy,
    pub warnings: Vec<Warning>,
}

/// Measures the energy of a load; `wanted` is the half-width of the mean power's 95 % confidence interval, relative to
/// it, that is enough.
///
/// # Errors
/// If the load or the meter fails, or too little was read.
pub(crate) fn measure<L: Load>(
    meter: &mut dyn PowerMeter,
    time: &dyn Time,
    load: &mut L,
    options: &EnergyPlan,
    wanted: f64,
) -> Result<Metered, L::Error> {
    let mut seen = Seen::default();
    let mut duration = options.window;
    loop {
        meter.start()?;
        let watched = seen.watch(meter, time, load, duration, options);
        let stopped = meter.stop();
        // The meter's own failure is told by both; the load's is the cause of an unread trace.
        watched?;
        seen.take(stopped?, meter);
        let power = seen.power()?;
        let worked = Duration::from_secs_f64(seen.worked_s());
        let reached = power.relative_half_width.unwrap_or(f64::INFINITY);
        let left = options.window_limit.saturating_sub(worked);
        let enough = power.samples >= FEWEST_READINGS && reached <= wanted;
        if enough || left < options.window / 2 || seen.stretches.len() >= MOST_STRETCHES {
            break;
        }
        // The interval narrows with the root of the time.
        let factor = (reached / wanted).powi(2).max(FEWEST_READINGS as f64 / power.samples.max(1) as f64);
        duration = worked.mul_f64(factor.clamp(1.2, 10.0) - 1.0).max(options.window / 2).min(left);
    }
    Ok(seen.metered(meter, options, wanted)?)
}

/// What load and meter did.
#[derive(Default)]
struct Seen {
    points: Vec<Point>,
    stretches: Vec<Stretch>,
    /// Rests before and after each stretch.
    rests: Vec<[Window; 2]>,
    /// Time between two readings, in s.
    spacing_s: f64,
    /// How far readings and load may be apart, in s.
    stamp_uncertainty_s: f64,
    warnings: Vec<Warning>,
}

impl Seen {
    /// Lets the device rest, work and rest.
    fn watch<L: Load>(
        &mut self,
        meter: &mut dyn PowerMeter,
        time: &dyn Time,
        load: &mut L,
        duration: Duration,
        options: &EnergyPlan,
    ) -> Result<(), L::Error> {
        let begun_ns = time.now_ns();
        let before = self.rest(meter, time, options.idle)?;
        let mut loads = Vec::new();
        if let Some(unit) = meter.pattern_unit() {
            for (index, length) in coded(unit).into_iter().enumerate() {
                if index % 2 == 0 {
                    loads.push(load.run(length, &|| meter.check().map(|_| ()))?.window);
                } else {
                    pause(meter, time, length)?;
                }
            }
            pause(meter, time, options.idle.max(unit))?;
        }
        let needed_s = (FEWEST_READINGS + 2) as f64 * self.spacing_s + 2.0 * self.edge_s();
        if needed_s > options.window_limit.as_secs_f64() {
            return Err(EnergyError::Slow {
                spacing_s: self.spacing_s,
                readings: FEWEST_READINGS,
                needed_s,
                limit_s: options.window_limit.as_secs_f64(),
            }
            .into());
        }
        let stretch = load.run(duration.max(Duration::from_secs_f64(needed_s)), &|| meter.check().map(|_| ()))?;
        loads.push(stretch.window);
        pause(meter, time, FALL.max(Duration::from_secs_f64(self.edge_s())))?;
        let after = self.rest(meter, time, options.idle)?;
        if meter.pattern_unit().is_some() {
            let whole = Window { from_ns: begun_ns, to_ns: time.now_ns() };
            let pattern = Pattern::new(whole, &loads);
            meter.tell(pattern.map_err(|error| MeterError::Settings { problem: error.to_string() })?);
        }
        self.stretches.push(stretch);
        self.rests.push([before, after]);
        Ok(())
    }

    /// Lets the device rest for `least`, or until there are a few readings.
    fn rest(&mut self, meter: &dyn PowerMeter, time: &dyn Time, least: Duration) -> Result<Window, MeterError> {
        let (from_ns, first) = (time.now_ns(), meter.check()?);
        loop {
            pause(meter, time, LOOK)?;
            let (now_ns, readings) = (time.now_ns(), meter.check()?.saturating_sub(first));
            let rested = Duration::from_nanos(now_ns - from_ns);
            if readings > 0 {
                self.spacing_s = rested.as_secs_f64() / readings as f64;
            }
            if rested >= least && (readings >= FEWEST_AT_REST || rested >= LONGEST_REST.max(least)) {
                return Ok(Window { from_ns, to_ns: now_ns });
            }
        }
    }

    fn take(&mut self, trace: Trace, meter: &dyn PowerMeter) {
        self.points.extend_from_slice(trace.rail(meter.name()).points());
        self.stamp_uncertainty_s = self.stamp_uncertainty_s.max(meter.stamp_uncertainty_s());
        self.warnings.extend(meter.notes().into_iter().map(|note| Warning::Meter { note }));
    }

    fn edge_s(&self) -> f64 {
        // Thrice its standard uncertainty holds nearly always.
        EDGE_S.max(self.spacing_s) + 3.0 * self.stamp_uncertainty_s
    }

    fn worked_s(&self) -> f64 {
        self.stretches.iter().map(|stretch| stretch.window.seconds()).sum()
    }

    fn series(&self) -> Series {
        self.points.iter().copied().collect()
    }

    /// Mean power of the work.
    fn power(&self) -> Result<MeanPower, EnergyError> {
        let edge_ns = (self.edge_s() * 1e9) as u64;
        let windows: Vec<Window> = self.stretches.iter().map(|stretch| stretch.window.without_edges(edge_ns)).collect();
        mean_power(&self.series(), &windows)
    }

    fn metered(mut self, meter: &dyn PowerMeter, options: &EnergyPlan, wanted: f64) -> Result<Metered, EnergyError> {
        let power = self.power()?;
        if power.samples < FEWEST_READINGS {
            return Err(EnergyError::TooFewForAMean {
                samples: power.samples,
                wanted: FEWEST_READINGS,
                window_s: self.worked_s(),
            });
        }
        let series = self.series();
        let of = |index: usize| {
            let windows: Vec<Window> = self.rests.iter().map(|rests| rests[index]).collect();
            mean_power(&series, &windows)
        };
        let (before, after) = (of(0)?, of(1)?);
        let idle = mean_power(&series, &self.rests.concat())?;
        let interval = interval(&power, meter.resolution_mw());
        if interval.is_none_or(|interval| interval > wanted) {
            self.warnings.push(Warning::WidePowerInterval {
                reached: interval,
                wanted,
                samples: power.samples,
                window: Duration::from_secs_f64(self.worked_s()),
            });
        }
        self.warnings.extend(doubts::of_rests(&before, &after));
        let inferences: u64 = self.stretches.iter().map(|stretch| stretch.inferences).sum();
        let spent_s: f64 = self.stretches.iter().map(|stretch| stretch.period_s * stretch.inferences as f64).sum();
        // mW times s are mJ.
        let per_inference_s = spent_s / inferences.max(1) as f64;
        let above_idle_mj = (power.mean_mw - idle.mean_mw) * per_inference_s;
        // What may be noise is not charged to anybody.
        let half_width = |power: &MeanPower| power.relative_half_width.unwrap_or(0.0).max(1e-6) * power.mean_mw;
        let noise_mw = half_width(&power).hypot(half_width(&idle));
        if options.subtract_idle && power.mean_mw - idle.mean_mw <= noise_mw {
            return Err(EnergyError::Drowned { load_mw: power.mean_mw, idle_mw: idle.mean_mw });
        }
        let energy = Energy {
            per_inference_mj: power.mean_mw * per_inference_s,
            above_idle_mj: Some(above_idle_mj),
            counts_above_idle: options.subtract_idle,
            std_mj: power.deviation_mw.map(|deviation| deviation * per_inference_s),
            idle_power_mw: Some(idle.mean_mw.max(0.0)),
            mean_power_mw: Some(power.mean_mw),
            power_samples: Some(power.samples as u64),
            power_interval: interval,
            rails: Vec::new(),
            source: meter.describe(),
        };
        Ok(Metered { energy, warnings: self.warnings })
    }
}

/// Half-width of the mean power's 95 % confidence interval, relative to it: the readings' scatter, and what the meter's
/// last digit hides. The latter does not average out where power is steady: all readings are then rounded alike.
fn interval(power: &MeanPower, resolution_mw: Option<f64>) -> Option<f64> {
    const TWO_SIDED_95: f64 = 1.96;
    let scatter = power.relative_half_width?;
    let rounding = resolution_mw.map_or(0.0, |step| TWO_SIDED_95 * step / 12.0_f64.sqrt() / power.mean_mw);
    Some(scatter.hypot(rounding))
}

/// Lets time pass while the meter reads.
fn pause(meter: &dyn PowerMeter, time: &dyn Time, duration: Duration) -> Result<(), MeterError> {
    let until_ns = time.now_ns() + duration.as_nanos() as u64;
    loop {
        meter.check()?;
        let left_ns = until_ns.saturating_sub(time.now_ns());
        if left_ns == 0 {
            return Ok(());
        }
        time.sleep(LOOK.min(Duration::from_nanos(left_ns)));
    }
}
