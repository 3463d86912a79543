//! Energy of an inference, from power over time.
//!
//! Power is integrated over the window in which inferences ran one after the other, and over nothing else: not the
//! warm-up, not the loading of the model. The window lasts until the mean power is known well enough, as MLPerf Power
//! measures whole windows instead of single runs (Tschand et al. 2024, arXiv 2410.12032). Energy per inference is mean
//! power times the window's time by the number of inferences in it; above idle, the power of the idle device before and
//! after is taken off.

use thiserror::Error;

use crate::meter::{Point, Series};
use crate::statistics;
use crate::time::Window;

/// Mean power over some windows.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanPower {
    /// The mean over time, in mW.
    pub mean_mw: f64,
    /// Readings that it is had from.
    pub samples: usize,
    /// Half-width of its 95 % confidence interval, relative to it; `None` for fewer than four readings, or a mean that
    /// is not positive.
    pub relative_half_width: Option<f64>,
    /// Standard deviation between stretches of a twentieth of the readings, in mW.
    pub deviation_mw: Option<f64>,
}

/// Why power cannot be integrated.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EnergyError {
    /// Hardly any reading lies in the windows.
    #[error(
        "only {samples} power reading(s) lie in the {window_s:.2} s in which inferences ran: the meter stopped, or its \
         interval is too long"
    )]
    TooFew {
        /// How many do.
        samples: usize,
        /// Length of the windows together, in s.
        window_s: f64,
    },
    /// The meter was silent for a large part of a window.
    #[error(
        "the power meter gave nothing for {gap_s:.2} s of the {window_s:.2} s in which inferences ran: what happened in \
         between is not known"
    )]
    Gap {
        /// Longest time without a reading, in s.
        gap_s: f64,
        /// Length of that window, in s.
        window_s: f64,
    },
    /// The meter is too slow for the time that it is granted.
    #[error(
        "the power meter gives a reading every {spacing_s:.2} s: {readings} of them take {needed_s:.0} s of inference, more \
         than window_limit_s = {limit_s}. Raise it, or use a faster meter"
    )]
    Slow {
        /// Time between two readings, in s.
        spacing_s: f64,
        /// How many are needed.
        readings: usize,
        /// Time that they take, in s.
        needed_s: f64,
        /// What is granted, in s.
        limit_s: f64,
    },
    /// There are too few readings to tell how well their mean is known.
    #[error(
        "only {samples} power readings lie in the {window_s:.1} s in which inferences ran; {wanted} are needed. Raise \
         window_limit_s, or use a faster meter"
    )]
    TooFewForAMean {
        /// How many there are.
        samples: usize,
        /// How many there should be.
        wanted: usize,
        /// Length of the windows together, in s.
        window_s: f64,
    },
    /// The load is not seen above the idle device.
    #[error(
        "power under load ({load_mw:.0} mW) is not above that of the idle device ({idle_mw:.0} mW), so that an inference \
         has no energy above idle: is the meter that of this device? Else set subtract_idle = false"
    )]
    Drowned {
        /// Mean power under load, in mW.
        load_mw: f64,
        /// Mean power before and after, in mW.
        idle_mw: f64,
    },
}

/// Mean power over windows, each reading standing for the time half way to its neighbours.
///
/// # Errors
/// If fewer than two readings lie in the windows, or a quarter of one, and more than half a second, has none.
pub fn mean_power(series: &Series, windows: &[Window]) -> Result<MeanPower, EnergyError> {
    /// Largest share of a window that may be without a reading; a pause of the second length is always forgiven.
    const LARGEST_GAP: f64 = 0.25;
    const PAUSE_S: f64 = 0.5;
    let window_s = windows.iter().map(Window::seconds).sum();
    let samples: Vec<&[Point]> = windows.iter().map(|window| series.between(window.from_ns, window.to_ns)).collect();
    let count = samples.iter().map(|points| points.len()).sum();
    if count < 2 {
        return Err(EnergyError::TooFew { samples: count, window_s });
    }
    let (mut energy, mut time) = (0.0, 0.0);
    for (window, points) in windows.iter().zip(&samples) {
        let weights = weights(window, points);
        let gap_s = largest_gap_s(window, points);
        if points.is_empty() || gap_s > (LARGEST_GAP * window.seconds()).max(PAUSE_S) {
            return Err(EnergyError::Gap { gap_s, window_s: window.seconds() });
        }
        energy += points.iter().zip(&weights).map(|(point, weight)| point.power_mw * weight).sum::<f64>();
        time += weights.iter().sum::<f64>();
    }
    let powers: Vec<f64> = samples.iter().flat_map(|points| points.iter().map(|point| point.power_mw)).collect();
    Ok(MeanPower {
        mean_mw: energy / time,
        samples: count,
        relative_half_width: statistics::relative_half_width(&powers),
        deviation_mw: statistics::batch_means(&powers).as_deref().and_then(statistics::standard_deviation),
    })
}

/// Seconds of the window that each of its readings stands for.
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

    fn series(points: &[(f64, f64)]) -> Series {
        let point = |(s, power_mw): &(f64, f64)| Point { at_ns: (s * 1e9) as u64, power_mw: *power_mw };
        points.iter().map(point).collect()
    }

    fn window(from_s: f64, to_s: f64) -> Window {
        Window { from_ns: (from_s * 1e9) as u64, to_ns: (to_s * 1e9) as u64 }
    }

    #[test]
    fn readings_count_by_the_time_they_stand_for() {
        // 0 to 0.5 s at 10, 0.5 to 1.5 s at 20, 1.5 to 2 s at 40.
        let series = series(&[(0.0, 10.0), (1.0, 20.0), (2.0, 40.0), (3.0, 1e6)]);
        let power = mean_power(&series, &[window(0.0, 2.0)]).unwrap_err();
        assert!(matches!(power, EnergyError::Gap { .. }), "{power}");
        let dense: Vec<(f64, f64)> = (0..=20).map(|i| (f64::from(i) * 0.1, f64::from(i))).collect();
        let power = mean_power(&self::series(&dense), &[window(0.0, 2.0)]).unwrap();
        assert!((power.mean_mw - 10.0).abs() < 1e-9, "{power:?}");
        assert_eq!(power.samples, 21);
    }

    #[test]
    fn what_lies_outside_the_windows_does_not_count() {
        let points: Vec<(f64, f64)> =
            (0..400).map(|i| (f64::from(i) * 0.01, if (100..200).contains(&i) { 50.0 } else { 7.0 })).collect();
        let power = mean_power(&series(&points), &[window(1.0, 1.994)]).unwrap();
        assert!((power.mean_mw - 50.0).abs() < 1e-9 && power.samples == 100, "{power:?}");
        let both = mean_power(&series(&points), &[window(1.0, 1.994), window(3.0, 3.994)]).unwrap();
        assert!((both.mean_mw - 28.5).abs() < 0.3, "{both:?}");
    }

    #[test]
    fn silence_of_the_meter_is_no_zero() {
        let none = mean_power(&series(&[(5.0, 1.0)]), &[window(0.0, 1.0)]).unwrap_err();
        assert_eq!(none, EnergyError::TooFew { samples: 0, window_s: 1.0 });
        let half: Vec<(f64, f64)> = (0..50).map(|i| (f64::from(i) * 0.02, 5.0)).collect();
        let gap = mean_power(&series(&half), &[window(0.0, 2.0)]).unwrap_err();
        assert!(matches!(gap, EnergyError::Gap { gap_s, .. } if gap_s > 1.0), "{gap}");
    }
}
