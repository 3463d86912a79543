//! Mean power over windows of time.

use super::EnergyError;
use crate::meter::{Point, between};
use crate::statistics;
use crate::time::Window;

/// Mean power over several windows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MeanPower {
    /// The mean over time, in mW.
    pub mean_mw: f64,
    /// Readings in the windows.
    pub samples: usize,
    /// Those of them that are exactly zero.
    pub zeros: usize,
    /// Half-width of the mean's 95 % confidence interval, relative to the mean; `None` for fewer than four readings,
    /// or for a mean that is not positive.
    pub relative_half_width: Option<f64>,
    /// Standard deviation between batches of a twentieth of the readings each, in mW.
    pub deviation_mw: Option<f64>,
}

/// Mean power over windows; each reading counts for the time half way to its neighbours.
/// Fewer than two readings are an error, and so is a long gap.
pub(crate) fn mean_power(series: &[Point], windows: &[Window]) -> Result<MeanPower, EnergyError> {
    /// Largest share of a window that may be without a reading; a pause of up to `PAUSE_S` is always accepted.
    const LARGEST_GAP: f64 = 0.25;
    const PAUSE_S: f64 = 0.5;
    let window_s: f64 = windows.iter().map(Window::seconds).sum();
    let samples: Vec<&[Point]> = windows.iter().map(|window| between(series, window.from_ns, window.to_ns)).collect();
    let count: usize = samples.iter().map(|points| points.len()).sum();
    if count < 2 {
        return Err(EnergyError(format!(
            "only {count} power reading(s) lie in the {window_s:.2} s in which inferences ran: the meter stopped, or its \
             interval is too long"
        )));
    }
    let (mut energy, mut time) = (0.0, 0.0);
    for (window, points) in windows.iter().zip(&samples) {
        let weights = weights(window, points);
        let gap_s = largest_gap_s(window, points);
        if points.is_empty() || gap_s > (LARGEST_GAP * window.seconds()).max(PAUSE_S) {
            return Err(EnergyError(format!(
                "the power meter gave no reading for {gap_s:.2} s of the {:.2} s in which inferences ran: the power in \
                 between is not known",
                window.seconds()
            )));
        }
        energy += points.iter().zip(&weights).map(|(point, weight)| point.power_mw * weight).sum::<f64>();
        time += weights.iter().sum::<f64>();
    }
    let powers: Vec<f64> = samples.iter().flat_map(|points| points.iter().map(|point| point.power_mw)).collect();
    Ok(MeanPower {
        mean_mw: energy / time,
        samples: count,
        zeros: powers.iter().filter(|power_mw| **power_mw == 0.0).count(),
        relative_half_width: statistics::relative_half_width(&powers),
        deviation_mw: statistics::batch_means(&powers).as_deref().and_then(statistics::standard_deviation),
    })
}

/// Seconds of the window that each of its readings counts for.
fn weights(window: &Window, points: &[Point]) -> Vec<f64> {
    let middle = |a: u64, b: u64| a + (b - a) / 2;
    let border = |index: usize| match (index.checked_sub(1).and_then(|index| points.get(index)), points.get(index)) {
        (Some(before), Some(after)) => middle(before.at_ns, after.at_ns),
        (None, _) => window.from_ns,
        (_, None) => window.to_ns,
    };
    (0..points.len()).map(|index| (border(index + 1) - border(index)) as f64 / 1e9).collect()
}

fn largest_gap_s(window: &Window, points: &[Point]) -> f64 {
    let starts = [window.from_ns].into_iter().chain(points.iter().map(|point| point.at_ns));
    let ends = points.iter().map(|point| point.at_ns).chain([window.to_ns]);
    starts.zip(ends).map(|(start, end)| end.saturating_sub(start)).max().unwrap_or(0) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)]) -> Vec<Point> {
        let point = |(s, power_mw): &(f64, f64)| Point { at_ns: (s * 1e9) as u64, power_mw: *power_mw };
        points.iter().map(point).collect()
    }

    fn window(from_s: f64, to_s: f64) -> Window {
        Window { from_ns: (from_s * 1e9) as u64, to_ns: (to_s * 1e9) as u64 }
    }

    #[test]
    fn readings_are_weighted_by_the_time_to_their_neighbours() {
        // 0 to 0.5 s at 10, 0.5 to 1.5 s at 20, 1.5 to 2 s at 40.
        let series = series(&[(0.0, 10.0), (1.0, 20.0), (2.0, 40.0), (3.0, 1e6)]);
        let power = mean_power(&series, &[window(0.0, 2.0)]).unwrap_err();
        assert!(power.to_string().contains("no reading for"), "{power}");
        let dense: Vec<(f64, f64)> = (0..=20).map(|i| (f64::from(i) * 0.1, f64::from(i))).collect();
        let power = mean_power(&self::series(&dense), &[window(0.0, 2.0)]).unwrap();
        assert!((power.mean_mw - 10.0).abs() < 1e-9, "{power:?}");
        assert_eq!(power.samples, 21);
    }

    #[test]
    fn readings_outside_the_windows_do_not_count() {
        let points: Vec<(f64, f64)> =
            (0..400).map(|i| (f64::from(i) * 0.01, if (100..200).contains(&i) { 50.0 } else { 7.0 })).collect();
        let power = mean_power(&series(&points), &[window(1.0, 1.994)]).unwrap();
        assert!((power.mean_mw - 50.0).abs() < 1e-9 && power.samples == 100, "{power:?}");
        let both = mean_power(&series(&points), &[window(1.0, 1.994), window(3.0, 3.994)]).unwrap();
        assert!((both.mean_mw - 28.5).abs() < 0.3, "{both:?}");
    }

    #[test]
    fn a_silent_meter_is_an_error() {
        let none = mean_power(&series(&[(5.0, 1.0)]), &[window(0.0, 1.0)]).unwrap_err();
        assert!(none.to_string().contains("only 0 power reading(s) lie in the 1.00 s"), "{none}");
        let half: Vec<(f64, f64)> = (0..50).map(|i| (f64::from(i) * 0.02, 5.0)).collect();
        let gap = mean_power(&series(&half), &[window(0.0, 2.0)]).unwrap_err();
        assert!(gap.to_string().contains("no reading for 1.02 s"), "{gap}");
    }
}
