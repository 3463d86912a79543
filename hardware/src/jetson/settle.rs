//! The idle board: waiting until it is at rest, and its power then.

use std::time::{Duration, Instant};

use super::meter::Meter;
use crate::energy::{EnergyError, mean_power};
use crate::meter::Point;
use crate::remote::{Agent, RemoteError};
use crate::time::Window;
use crate::warning::Warning;

/// A stretch of time in which the board did nothing, or would not come to rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rest {
    pub window: Window,
    /// GPU temperature at its end, in °C.
    pub temperature_c: Option<f64>,
}

/// When a board is at rest: the mean power of the second half differs from that of the first by no more than this share,
/// or by no more than the noise of both explains, and its temperature has changed by at most one degree.
const STEADY_POWER: f64 = 0.02;
const STEADY_TEMPERATURE_C: f64 = 1.0;
/// Fewest readings of a rest.
const FEWEST: usize = 30;

/// Watches the board until it has been at rest for `least`, or until `limit` has passed, which is warned of.
///
/// # Errors
/// If the meter fails.
pub(super) fn settle(
    agent: &mut Agent,
    meter: &mut Meter,
    least: Duration,
    limit: Duration,
    warnings: &mut Vec<Warning>,
) -> Result<Rest, RemoteError> {
    let mut begun = None;
    loop {
        let before = meter.trace().readings().len();
        listen(agent, meter)?;
        let readings = meter.trace().readings();
        let Some(last) = readings.last().filter(|_| readings.len() > before) else { continue };
        let begun_ns = *begun.get_or_insert(last.at_ns);
        let watched = Duration::from_nanos(last.at_ns.saturating_sub(begun_ns));
        if watched < least {
            continue;
        }
        let is_over = watched >= limit;
        // As long as wanted, and with enough readings to tell.
        let start = readings
            .len()
            .saturating_sub(FEWEST)
            .min(readings.partition_point(|reading| reading.at_ns + (least.as_nanos() as u64) < last.at_ns));
        let window = Window { from_ns: readings[start].at_ns.max(begun_ns), to_ns: last.at_ns };
        // Too few readings to tell are no rest.
        let unrest = Unrest::of(meter, &window).unwrap_or(Unrest::UNKNOWN);
        let enough = readings.iter().filter(|reading| reading.at_ns >= begun_ns).count() >= FEWEST;
        if (enough && unrest.is_steady()) || is_over {
            if !unrest.is_steady() {
                warnings.push(Warning::Unsettled {
                    waited: watched,
                    power_change: unrest.power,
                    temperature_change_c: unrest.temperature_c,
                });
            }
            return Ok(Rest { window, temperature_c: meter.states().last().and_then(|state| state.temperature_c) });
        }
    }
}

/// Watches the board for `least` after a load has ended.
///
/// # Errors
/// If the meter fails.
pub(super) fn watch(agent: &mut Agent, meter: &mut Meter, least: Duration) -> Result<Rest, RemoteError> {
    /// Time that power needs to fall when inference ends, and that a meter's readings lag behind.
    const FALL_NS: u64 = 300_000_000;
    let begun = Instant::now();
    // What the agent did for us after inference had ended is no rest either.
    let last_ns = meter.trace().readings().last().map_or(0, |reading| reading.at_ns);
    let from_ns = last_ns.max(agent.answered_ns()) + FALL_NS;
    loop {
        listen(agent, meter)?;
        let to_ns = meter.trace().readings().last().map_or(0, |reading| reading.at_ns);
        // The meter's stamps say how long; a clock that stands still does not hold us up for ever.
        if to_ns > from_ns && to_ns - from_ns >= least.as_nanos() as u64
            || begun.elapsed() > 3 * least + Duration::from_secs(10)
        {
            let temperature_c = meter.states().last().and_then(|state| state.temperature_c);
            return Ok(Rest { window: Window { from_ns, to_ns }, temperature_c });
        }
    }
}

/// Takes up what the meter says next.
fn listen(agent: &mut Agent, meter: &mut Meter) -> Result<(), RemoteError> {
    if let Some((job, event)) = agent.next(Duration::from_millis(200))? {
        meter.take(job, &event)?;
    }
    meter.check()
}

/// How far from rest a board is.
struct Unrest {
    /// Change of the mean power from the first half to the second, relative to it.
    power: f64,
    /// How large a change the noise explains.
    noise: f64,
    temperature_c: Option<f64>,
}

impl Unrest {
    const UNKNOWN: Self = Self { power: f64::INFINITY, noise: 0.0, temperature_c: None };

    fn of(meter: &Meter, window: &Window) -> Result<Self, EnergyError> {
        let Some(total) = meter.total() else { return Ok(Self::UNKNOWN) };
        let series = meter.trace().total(total);
        let middle = window.from_ns + (window.to_ns - window.from_ns) / 2;
        let mean = |from_ns, to_ns| mean_power(&series, &[Window { from_ns, to_ns }]);
        let whole = mean(window.from_ns, window.to_ns)?;
        let (first, second) = (mean(window.from_ns, middle)?, mean(middle, window.to_ns)?);
        let change = (second.mean_mw - first.mean_mw).abs() / whole.mean_mw.abs().max(1.0);
        let states = meter.states().iter().filter(|state| state.at_ns >= window.from_ns);
        let temperatures: Vec<f64> = states.filter_map(|state| state.temperature_c).collect();
        let span = temperatures.iter().copied().fold(None, |span: Option<(f64, f64)>, t| {
            Some(span.map_or((t, t), |(low, high)| (low.min(t), high.max(t))))
        });
        Ok(Self {
            power: change,
            noise: noise(series.between(window.from_ns, window.to_ns)) / whole.mean_mw.abs().max(1.0),
            temperature_c: span.map(|(low, high)| high - low),
        })
    }

    fn is_steady(&self) -> bool {
        self.power <= STEADY_POWER.max(self.noise)
            && self.temperature_c.is_none_or(|change| change <= STEADY_TEMPERATURE_C)
    }
}

/// Difference between the means of both halves of some readings that their noise alone makes in one of twenty cases, in
/// mW. The noise is told by how much each reading differs from the next (von Neumann et al. 1941, "The mean square
/// successive difference"), which a slow drift adds nothing to.
fn noise(points: &[Point]) -> f64 {
    const TWO_SIDED_95: f64 = 1.96;
    let differences = points.windows(2).map(|pair| (pair[1].power_mw - pair[0].power_mw).powi(2));
    let variance = differences.sum::<f64>() / (2 * points.len().saturating_sub(1)).max(1) as f64;
    // Each half's mean has the variance of one reading by half their number.
    TWO_SIDED_95 * (4.0 * variance / points.len().max(1) as f64).sqrt()
}
