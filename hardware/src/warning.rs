//! Reasons to doubt a measurement.

use std::time::Duration;

use thiserror::Error;

use crate::statistic::Statistic;

/// A doubt about a measurement. Its text names the remedy; nothing is corrected silently.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Warning {
    /// Some runs took far longer or shorter than the others, and move the statistic by more than the
    /// precision that was asked for. They are part of it.
    #[error(
        "{outliers} of {runs} runs are outliers (more than ten robust standard deviations from the median). They are part \
         of the {statistic}, {}; without them it is {}. Something else was at work: close other programs, let nothing \
         train beside the measurement, and measure again",
        time(*.value_ms),
        time(*.value_of_others_ms)
    )]
    Outliers {
        /// Number of outliers.
        outliers: usize,
        /// Number of all runs.
        runs: usize,
        /// The plan's statistic.
        statistic: Statistic,
        /// The statistic of all runs, in ms.
        value_ms: f64,
        /// The statistic of the runs without outliers, in ms.
        value_of_others_ms: f64,
    },
    /// The mean is far above the median: some runs took far longer than most.
    #[error(
        "the mean of the runs is {}, {:.1} times the median, {}: something else was at work. Energy is computed of the mean. \
         Close other programs, let nothing train beside the measurement, and measure again",
        time(*.mean_ms),
        .mean_ms / .median_ms,
        time(*.median_ms)
    )]
    MeanAboveMedian {
        /// Mean of all runs, in ms.
        mean_ms: f64,
        /// Their median, in ms.
        median_ms: f64,
    },
    /// The engine computes with 8-bit integers and was never calibrated.
    #[error(
        "the engine was built with precision = \"int8\" without calibration: time and energy are those of 8-bit integers, \
         but the accuracy is that of 32-bit floating point. Calibrate the model and check its accuracy before it is used"
    )]
    Uncalibrated,
    /// The first timed run took far longer than the others.
    #[error(
        "the first timed run took {}, the median {}: the warm-up was too short. Make it longer and measure again",
        time(*.first_ms),
        time(*.median_ms)
    )]
    SlowFirstRun {
        /// The first run, in ms.
        first_ms: f64,
        /// The median of all runs, in ms.
        median_ms: f64,
    },
    /// The time limit ended the runs before the statistic was known as precisely as the plan asks.
    #[error("{}", wide_interval(*.statistic, *.reached, *.wanted, *.runs, *.time_limit))]
    WideInterval {
        /// The plan's statistic.
        statistic: Statistic,
        /// Half-width of the 95 % confidence interval relative to the statistic; `None` with too few
        /// runs.
        reached: Option<f64>,
        /// Half-width that the plan asks for.
        wanted: f64,
        /// Number of runs within the limit.
        runs: usize,
        /// The plan's time limit.
        time_limit: Duration,
    },
    /// Power or temperature of the idle device was not steady at the end of the longest wait allowed.
    #[error(
        "the idle device was not steady after {:.0} s: its power still changed by {}{}. End other programs on it, cool it \
         better, or wait longer (settle_limit_s)",
        .waited.as_secs_f64(),
        percent(*.power_change),
        .temperature_change_c.map_or_else(String::new, |change| format!(", its temperature by {change:.1} °C"))
    )]
    Unsettled {
        /// Length of the wait.
        waited: Duration,
        /// Change of the idle power over the last part of the wait, relative to it.
        power_change: f64,
        /// Change of the temperature over that part, in °C.
        temperature_change_c: Option<f64>,
    },
    /// A warning of the device's program.
    #[error("the device's program warns: {text}")]
    Program {
        /// The text of the warning.
        text: String,
    },
    /// The mean power is not known as precisely as the plan asks.
    #[error(
        "the mean power is known to {} instead of ±{} (95 % confidence) from {samples} readings in {:.1} s. Read power \
         more often, or measure longer (window_limit_s)",
        .reached.map_or_else(|| "an unknown precision".to_owned(), |reached| format!("±{}", percent(reached))),
        percent(*.wanted),
        .window.as_secs_f64()
    )]
    WidePowerInterval {
        /// Half-width of its 95 % confidence interval relative to it; `None` for too few readings.
        reached: Option<f64>,
        /// Half-width that the plan asks for.
        wanted: f64,
        /// Readings of power.
        samples: usize,
        /// Time of the load in which they were taken.
        window: Duration,
    },
    /// The idle device drew another power after the measurement than before.
    #[error(
        "the idle device drew {before_mw:.0} mW before the measurement and {after_mw:.0} mW after it: something else is at \
         work on it. End other programs there and measure again"
    )]
    IdleChanged {
        /// Before, in mW.
        before_mw: f64,
        /// After, in mW.
        after_mw: f64,
    },
    /// A doubt of the meter about its trace, which is used nevertheless.
    #[error("{note}")]
    Meter {
        /// The doubt.
        note: String,
    },
    /// The clock fell while the model ran.
    #[error(
        "the clock fell from {before_mhz:.0} to {after_mhz:.0} MHz while the model ran: the board is too warm, or its power \
         mode allows no more. Cool it, choose a lower power mode, or leave it idle for longer (idle_s)"
    )]
    Throttled {
        /// The highest, in MHz.
        before_mhz: f64,
        /// The clock was below this for a tenth of the time, in MHz.
        after_mhz: f64,
    },
    /// Earlier tries failed or were in doubt.
    #[error("measured again because {}", counted(.reasons))]
    Repeated {
        /// The reasons, one for each try.
        reasons: Vec<String>,
    },
    /// The operating system did not let the measuring thread be bound to a core.
    #[error(
        "the measuring thread could not be bound to a core, so the scheduler may move it. Leave other cores idle, or run \
         where thread affinity is allowed"
    )]
    NotPinned,
}

fn wide_interval(statistic: Statistic, reached: Option<f64>, wanted: f64, runs: usize, time_limit: Duration) -> String {
    let (wanted, limit_s) = (percent(wanted), time_limit.as_secs_f64());
    match reached.map(percent) {
        Some(reached) => format!(
            "the {statistic} is known to ±{reached} instead of ±{wanted} (95 % confidence) after {runs} runs in the time limit of \
             {limit_s} s. Make the limit longer, or the machine quieter"
        ),
        None => format!(
            "there was time for {runs} runs only in the limit of {limit_s} s: too few for a confidence interval of the {statistic} \
             (wanted: ±{wanted}). Make the limit longer"
        ),
    }
}

/// Equal reasons in a row, such as those of a device that is away, are one.
fn counted(reasons: &[String]) -> String {
    let counted = reasons.chunk_by(|a, b| a == b).map(|alike| match alike {
        [reason] => reason.clone(),
        alike => format!("{} ({} times)", alike[0], alike.len()),
    });
    counted.collect::<Vec<_>>().join("; then because ")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A time in the unit that is easiest to read.
fn time(ms: f64) -> String {
    if ms < 0.1 { format!("{:.3} µs", ms * 1e3) } else { format!("{ms:.3} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_interval_is_shown_in_per_cent() {
        let warning = Warning::WideInterval {
            statistic: Statistic::Median,
            reached: Some(0.0534),
            wanted: 0.02,
            runs: 17,
            time_limit: Duration::from_secs(3),
        };
        let text = warning.to_string();
        assert!(text.contains("±5.3 % instead of ±2.0 %"), "{text}");
        assert!(text.contains("17 runs in the time limit of 3 s"), "{text}");
    }

    #[test]
    fn outliers_are_counted_and_their_influence_is_shown() {
        let text = Warning::Outliers {
            outliers: 2,
            runs: 40,
            statistic: Statistic::Mean,
            value_ms: 0.25,
            value_of_others_ms: 0.0625,
        }
        .to_string();
        assert!(text.starts_with("2 of 40 runs"), "{text}");
        assert!(text.contains("the mean, 0.250 ms; without them it is 62.500 µs"), "{text}");
    }
}
