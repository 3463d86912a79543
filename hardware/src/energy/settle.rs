//! The idle device: waiting until its power and temperature are steady.

use std::time::Duration;

use super::integrate::mean_power;
use crate::meter::{Condition, MeterError, Point, PowerMeter, between};
use crate::statistics::sorted;
use crate::time::{Clock, Window};
use crate::warning::Warning;

/// Fewest readings of an idle device.
const FEWEST: usize = 5;
/// Fewest readings that show whether power is steady.
const FEWEST_TO_JUDGE: usize = 30;
/// Power is steady if the means of the first and second half differ by no more than this share, or by no more than
/// noise explains. A temperature is steady if it changes by at most one degree.
const STEADY_POWER: f64 = 0.02;
const STEADY_TEMPERATURE_C: f64 = 1.0;
/// Time between two polls of a meter.
const POLL: Duration = Duration::from_millis(50);
/// Longest time that a slow meter has for its first readings.
const LONGEST: Duration = Duration::from_secs(60);

/// A window in which the device was idle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Idle {
    pub window: Window,
    /// Time between two readings, in s; `None` without any.
    pub spacing_s: Option<f64>,
}

/// Leaves the device idle for `least`, or longer until there are a few readings.
pub(super) fn idle(meter: &dyn PowerMeter, clock: &Clock, least: Duration) -> Result<Idle, MeterError> {
    let (from_ns, first) = (clock.now_ns(), meter.check()?);
    loop {
        pause(meter, clock, POLL)?;
        let (to_ns, readings) = (clock.now_ns(), meter.check()?.saturating_sub(first));
        let window = Window { from_ns, to_ns };
        let passed = Duration::from_nanos(to_ns - from_ns);
        if passed >= least && (readings >= FEWEST || passed >= LONGEST.max(least)) {
            let spacing_s = (readings > 0).then(|| window.seconds() / readings as f64);
            return Ok(Idle { window, spacing_s });
        }
    }
}

/// Leaves the device idle as [`idle`] does, and waits for up to `limit` until power and temperature are steady; gives a
/// warning if they are not steady by then. The window is the last part of that time. A meter that does not show its
/// readings while it reads, or shows too few of them within the limit, gives no warning.
pub(super) fn settle(
    meter: &dyn PowerMeter,
    clock: &Clock,
    least: Duration,
    limit: Duration,
) -> Result<(Idle, Option<Warning>), MeterError> {
    let mut idle = idle(meter, clock, least)?;
    let begun_ns = idle.window.from_ns;
    let too_slow = idle.spacing_s.is_none_or(|spacing_s| FEWEST_TO_JUDGE as f64 * spacing_s > limit.as_secs_f64());
    loop {
        let points = meter.recent(begun_ns);
        if points.is_empty() || too_slow {
            return Ok((idle, None));
        }
        let to_ns = clock.now_ns();
        // Long enough, and with enough readings to judge.
        let enough_ns = points[points.len().saturating_sub(FEWEST_TO_JUDGE)].at_ns;
        let from_ns = enough_ns.min(to_ns.saturating_sub(least.as_nanos() as u64)).max(begun_ns);
        idle.window = Window { from_ns, to_ns };
        let waited = Duration::from_nanos(to_ns - begun_ns);
        let change = Change::of(&points, &meter.conditions(), &idle.window);
        let is_steady = points.len() >= FEWEST_TO_JUDGE && change.as_ref().is_some_and(Change::is_steady);
        if is_steady || waited >= limit {
            let warning = change.filter(|change| !change.is_steady()).map(|change| Warning::Unsettled {
                waited,
                power_change: change.power,
                temperature_change_c: change.temperature_c,
            });
            return Ok((idle, warning));
        }
        pause(meter, clock, POLL)?;
    }
}

/// Waits while the meter reads.
pub(super) fn pause(meter: &dyn PowerMeter, clock: &Clock, duration: Duration) -> Result<(), MeterError> {
    let until_ns = clock.now_ns() + duration.as_nanos() as u64;
    loop {
        meter.check()?;
        let left_ns = until_ns.saturating_sub(clock.now_ns());
        if left_ns == 0 {
            return Ok(());
        }
        clock.sleep(POLL.min(Duration::from_nanos(left_ns)));
    }
}

/// Changes of an idle device over a window.
struct Change {
    /// Change of the mean power from the first half to the second, relative to it.
    power: f64,
    /// The relative change that noise explains.
    noise: f64,
    /// Range of the temperature, in °C.
    temperature_c: Option<f64>,
}

impl Change {
    /// `None` where there are too few readings.
    fn of(series: &[Point], conditions: &[Condition], window: &Window) -> Option<Self> {
        let middle = window.from_ns + (window.to_ns - window.from_ns) / 2;
        let mean_mw = |from_ns, to_ns| Some(mean_power(series, &[Window { from_ns, to_ns }]).ok()?.mean_mw);
        let whole_mw = mean_mw(window.from_ns, window.to_ns)?.abs().max(1.0);
        let (first_mw, second_mw) = (mean_mw(window.from_ns, middle)?, mean_mw(middle, window.to_ns)?);
        let within = conditions.iter().filter(|reading| reading.at_ns >= window.from_ns);
        let temperatures = sorted(&within.filter_map(|reading| reading.temperature_c).collect::<Vec<_>>());
        Some(Self {
            power: (second_mw - first_mw).abs() / whole_mw,
            noise: noise_mw(between(series, window.from_ns, window.to_ns)) / whole_mw,
            temperature_c: temperatures.first().zip(temperatures.last()).map(|(low, high)| high - low),
        })
    }

    fn is_steady(&self) -> bool {
        self.power <= STEADY_POWER.max(self.noise)
            && self.temperature_c.is_none_or(|change| change <= STEADY_TEMPERATURE_C)
    }
}

/// Difference between the means of the two halves of the readings that noise alone exceeds in one of twenty cases, in
/// mW. The noise is estimated from the differences of successive readings (von Neumann et al. 1941, "The mean square
/// successive difference"), to which a slow drift adds nothing.
fn noise_mw(points: &[Point]) -> f64 {
    const TWO_SIDED_95: f64 = 1.96;
    let differences = points.windows(2).map(|pair| (pair[1].power_mw - pair[0].power_mw).powi(2));
    let variance = differences.sum::<f64>() / (2 * points.len().saturating_sub(1)).max(1) as f64;
    // The variance of each half's mean is that of one reading divided by half their number.
    TWO_SIDED_95 * (4.0 * variance / points.len().max(1) as f64).sqrt()
}
