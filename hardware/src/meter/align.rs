//! Finds, in a trace with another clock than ours, the pattern of load that we produced on purpose.
//!
//! The model is a power of two levels, idle and load, that follows the pattern. For every offset between the clocks,
//! and every pace of the trace's clock within the bound, sums give the levels that fit best and the share of the
//! variance that they explain (least squares; for white noise this is the maximum-likelihood change point, Hinkley
//! 1970, "Inference about the change-point in a sequence of random variables", Biometrika 57, and the matched filter of
//! a known pulse, North 1943). With cumulative sums one offset costs a few additions, so that all offsets are tried.
//! Around the best, the likelihood over offset and pace gives both and their uncertainty, more finely than one sample:
//! if a meter averages, the sample at each edge is part load and part idle, and its value shows the position of the
//! edge; if it does not, edges at different phases of the sampling narrow the offset down.
//!
//! A pattern of unequal pulses is far less similar to its own shifted copy than one long pulse is: [`coded`] gives
//! Barker's code of 13 (Barker 1953, "Group synchronizing of binary digital systems").

mod fit;

use std::time::Duration;

use self::fit::Fit;
use super::{MeterError, Point};
use crate::time::Window;

/// Largest relative error of a clock in the search: a quartz is wrong by less than a hundredth of this, a
/// microcontroller's own oscillator may be wrong by as much.
pub const LARGEST_CLOCK_ERROR: f64 = 0.01;

/// Windows of load, with idle in between, on our clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    whole: Window,
    loads: Vec<Window>,
}

/// Relation between a trace's clock and ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// Instant of our clock at which the offset holds, in ns: the middle of the pattern's edges.
    pub pivot_ns: u64,
    /// The trace's clock less ours at that instant, in s.
    pub offset_s: f64,
    /// Its standard uncertainty, in s.
    pub offset_uncertainty_s: f64,
    /// How much faster the trace's clock runs, relative to ours; 0 if the search did not include it.
    pub clock_error: f64,
    /// Its standard uncertainty.
    pub clock_error_uncertainty: f64,
    /// Power without load, in mW.
    pub idle_mw: f64,
    /// Power with load, in mW.
    pub load_mw: f64,
    /// Difference of the two, divided by the standard deviation of readings around them.
    pub contrast_to_noise: f64,
    /// Median time between readings, in s.
    pub spacing_s: f64,
}

/// Lengths of an unmistakable pattern, load and idle in turn, beginning and ending with load: Barker's code of 13. With
/// a unit of two and a half of the meter's samples, or of any fractional number, edges fall on different phases of its
/// sampling.
pub fn coded(unit: Duration) -> [Duration; 7] {
    [5, 2, 2, 1, 1, 1, 1].map(|units| unit * units)
}

impl Pattern {
    /// A pattern from the whole time and the windows of load in it, with idle before, between and after. The
    /// measurement itself may be one of the windows.
    ///
    /// # Errors
    /// If no window is given, or the windows are empty, out of order, or not within the whole time with some idle at
    /// both ends.
    pub fn new(whole: Window, loads: &[Window]) -> Result<Self, MeterError> {
        let pattern = |problem| Err(MeterError::Failed(format!("a pattern of load has {problem}")));
        let (Some(first), Some(last)) = (loads.first(), loads.last()) else { return pattern("no load in it") };
        if loads.iter().any(|load| load.to_ns <= load.from_ns) {
            return pattern("a load that lasts for no time");
        }
        if loads.windows(2).any(|two| two[1].from_ns <= two[0].to_ns) {
            return pattern("loads without idle between them, or out of order");
        }
        if first.from_ns <= whole.from_ns || last.to_ns >= whole.to_ns {
            return pattern("no idle before its first load, or after its last");
        }
        Ok(Self { whole, loads: loads.to_vec() })
    }

    /// Beginnings and ends of its loads, in s from its own beginning.
    fn edges_s(&self) -> Vec<f64> {
        let since = |at_ns: u64| at_ns.saturating_sub(self.whole.from_ns) as f64 / 1e9;
        self.loads.iter().flat_map(|load| [since(load.from_ns), since(load.to_ns)]).collect()
    }

    /// Length of its shortest load or idle, in s.
    fn shortest_s(&self) -> f64 {
        let mut ends = vec![0.0];
        ends.extend(self.edges_s());
        ends.push(self.whole.seconds());
        ends.windows(2).map(|two| two[1] - two[0]).fold(f64::INFINITY, f64::min)
    }
}

impl Alignment {
    /// An instant of the trace's clock on ours, in ns; `None` before our clock began.
    pub fn ours_ns(&self, trace_ns: u64) -> Option<u64> {
        // Differences first: stamps of ns since 1970 have more digits than an f64.
        let origin = self.pivot_ns as f64 / 1e9 + self.offset_s;
        let whole_s = origin.floor();
        let since = i128::from(trace_ns) - i128::from(whole_s as i64) * 1_000_000_000;
        let since_s = since as f64 / 1e9 - (origin - whole_s);
        let ours = self.pivot_ns as f64 + since_s / (1.0 + self.clock_error) * 1e9;
        (ours >= 0.0).then(|| ours.round() as u64)
    }

    /// The trace on our clock.
    pub fn apply(&self, series: &[Point]) -> Vec<Point> {
        let moved = |point: &Point| Some(Point { at_ns: self.ours_ns(point.at_ns)?, ..*point });
        series.iter().filter_map(moved).collect()
    }

    /// Standard uncertainty of the offset at an instant of our clock, in s: it grows with the distance from the
    /// pattern.
    pub fn uncertainty_s(&self, ours_ns: u64) -> f64 {
        let away_s = ours_ns.abs_diff(self.pivot_ns) as f64 / 1e9;
        self.offset_uncertainty_s.hypot(away_s * self.clock_error_uncertainty)
    }
}

/// Finds a pattern in a trace whose clock has a relative error of up to `clock_error`, at most
/// [`LARGEST_CLOCK_ERROR`].
///
/// # Errors
/// If the trace does not contain the whole pattern, its load does not stand out, or it fits in two places.
pub fn find(series: &[Point], pattern: &Pattern, clock_error: f64) -> Result<Alignment, MeterError> {
    /// Smallest contrast relative to the noise, and relative to its own uncertainty, of a pattern that counts as found.
    /// The latter reaches 4 to 5 at the best of many offsets in noise alone.
    const FAINTEST: f64 = 0.5;
    const LEAST_SIGNIFICANT: f64 = 8.0;
    /// Smallest log-likelihood ratio between the best place and the next.
    const CLEAR: f64 = 12.0;
    let clock_error = if clock_error.is_finite() { clock_error.clamp(0.0, LARGEST_CLOCK_ERROR) } else { 0.0 };
    let edges = pattern.edges_s();
    let fit = Fit::new(series, edges, pattern.whole.seconds(), clock_error);
    let trace_s = fit.trace_s();
    let too_short = || {
        MeterError::Failed(format!(
            "the trace lasts {trace_s:.1} s, the pattern in it {:.1} s: record from before it until after it",
            pattern.whole.seconds()
        ))
    };
    if trace_s <= 0.0 || trace_s + fit.spacing < pattern.whole.seconds() * (1.0 - clock_error) {
        return Err(too_short());
    }
    let shortest_s = pattern.shortest_s();
    if shortest_s < 1.9 * fit.spacing {
        return Err(MeterError::Failed(format!(
            "readings are {:.3} s apart, the shortest part of the pattern lasts {shortest_s:.3} s: it must last for two \
             readings at least",
            fit.spacing
        )));
    }
    let faint = |contrast_mw: f64, noise_mw: f64| {
        MeterError::Failed(format!(
            "the load does not stand out in the trace: {contrast_mw:.1} mW above idle where readings scatter by \
             {noise_mw:.1} mW. It is another trace, another device, or another column; else make the pattern longer"
        ))
    };
    let (best, rival, steps) = fit.coarse(shortest_s).ok_or_else(too_short)?;
    let rough = fit.refine(best, steps, 1.0).ok_or_else(|| faint(0.0, fit.deviation()))?;
    let independent = fit.independent_share(&rough);
    let found = fit.refine(rough.place, steps, independent).unwrap_or(rough);
    let levels = found.levels;
    let (contrast_mw, noise_mw) = (levels.contrast, levels.noise);
    let contrast_to_noise = contrast_mw / noise_mw.max(contrast_mw * 1e-6);
    let significance = contrast_to_noise * (levels.samples * independent * levels.share * (1.0 - levels.share)).sqrt();
    if contrast_to_noise < FAINTEST || significance < LEAST_SIGNIFICANT {
        return Err(faint(contrast_mw, noise_mw));
    }
    if let Some(rival) = rival.and_then(|rival| fit.refine(rival, steps, 1.0)) {
        let odds = rival.levels.misfit().ln() - levels.misfit().ln();
        if odds * levels.samples * independent / 2.0 < CLEAR {
            let apart_s = (rival.place.0 - found.place.0).abs();
            return Err(MeterError::Failed(format!(
                "the pattern fits about as well at two places of the trace, {apart_s:.2} s apart (it explains {:.4} and \
                 {:.4} of the variance there): cut the trace to one measurement, or use a pattern of unequal pulses",
                levels.explained, rival.levels.explained
            )));
        }
    }
    let pivot_ns = pattern.whole.from_ns + (fit.pivot * 1e9) as u64;
    let first_ns = series.first().map_or(0, |point| point.at_ns);
    // The instant of the trace at the pivot, less the pivot.
    let whole_s = (i128::from(first_ns) - i128::from(pivot_ns)) as f64 / 1e9;
    Ok(Alignment {
        pivot_ns,
        offset_s: whole_s + found.place.0 + fit.pivot,
        offset_uncertainty_s: found.deviation.0,
        clock_error: found.place.1,
        clock_error_uncertainty: found.deviation.1,
        idle_mw: levels.idle,
        load_mw: levels.idle + contrast_mw,
        contrast_to_noise,
        spacing_s: fit.spacing,
    })
}

#[cfg(test)]
mod tests;
