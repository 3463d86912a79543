//! Meters that are not a board's own: read on this machine, beside what they measure.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::align::Pattern;
use super::tegrastats::RailPower;
use super::{Point, PowerTrace, Reading};

/// Most power that is believed, in mW: 10 kW. A reading beyond it is one of the wrong column or unit.
pub(super) const MOST_MW: f64 = 1e7;
/// Most readings that are kept: more than an hour at 1,000 a second.
pub(super) const MOST_READINGS: usize = 5_000_000;

/// The clock that a meter and the load beside it share: nanoseconds since it was made, of the monotonic clock of the
/// machine that runs this program (`CLOCK_MONOTONIC` on Linux).
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

/// Reads power on the machine that runs this program, on its own thread, from `start` to `stop`.
///
/// The trace has one rail, of the meter's [`name`](Self::name), stamped on the [`Clock`] that the meter was made with.
pub trait PowerMeter: Send {
    /// Name of its rail: `rapl`, `stream`.
    fn name(&self) -> &'static str;

    /// What it reads and what the number covers, for a log.
    fn describe(&self) -> String;

    /// Begins to read. What was read before is forgotten.
    ///
    /// # Errors
    /// If the meter is missing, may not be read, or gives nothing.
    fn start(&mut self) -> Result<(), MeterError>;

    /// How many readings there are so far.
    ///
    /// # Errors
    /// If it has failed since `start`, so that the load beside it need not run to its end.
    fn check(&self) -> Result<usize, MeterError>;

    /// Ends reading.
    ///
    /// # Errors
    /// If the meter had failed by then, or what it read cannot be believed.
    fn stop(&mut self) -> Result<PowerTrace, MeterError>;

    /// Smallest difference between two readings, in mW; `None` where it is not known.
    fn resolution_mw(&self) -> Option<f64>;

    /// What a reader of the last trace should know; empty before the first `stop`.
    fn notes(&self) -> Vec<MeterNote>;

    /// For a meter whose clock is not ours: the unit of the load's pattern ([`super::align::coded`]) by whose edges its
    /// trace is placed.
    fn pattern_unit(&self) -> Option<Duration> {
        None
    }

    /// Before `stop`, to a meter that wants a pattern: when there was load.
    fn tell(&mut self, pattern: Pattern) {
        let _ = pattern;
    }

    /// Standard uncertainty of the time stamps of the last trace, relative to the load beside it, in s.
    fn stamp_uncertainty_s(&self) -> f64 {
        0.0
    }
}

/// A doubt about a trace that is used all the same.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MeterNote {
    /// Some readings were left out.
    Skipped {
        /// How many.
        skipped: usize,
        /// Of how many.
        readings: usize,
        /// Why the last one was.
        reason: String,
    },
    /// Some readings are slightly negative, as from a sensor with an offset. They are kept as they are.
    SlightlyNegative {
        /// How many.
        negative: usize,
        /// The lowest, in mW.
        lowest_mw: f64,
    },
    /// The sensor renews its value seldom.
    Slow {
        /// Median time between two values, in s.
        spacing_s: f64,
    },
    /// The meter's clock runs faster or slower than this machine's. The time stamps are corrected for it.
    ClockDrift {
        /// How much slower it is, in parts per million; negative if it is faster.
        ppm: f64,
    },
}

/// Why there is no trace.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum MeterError {
    /// What is to be read, or how, makes no sense.
    #[error("{problem}")]
    Settings {
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// There is no such meter here.
    #[error("{what} is not there: {advice}")]
    Absent {
        /// What was looked for.
        what: String,
        /// Why it may be missing.
        advice: String,
    },
    /// It may not be read.
    #[error("{path} may not be read: {advice}")]
    NoRights {
        /// The file.
        path: String,
        /// How to allow it.
        advice: String,
    },
    /// A file could not be read.
    #[error("{path} could not be read: {problem}")]
    Read {
        /// The file.
        path: String,
        /// The system's message.
        problem: String,
    },
    /// A program could not be started.
    #[error("the meter's program {program} could not be started: {problem}")]
    Start {
        /// Its name.
        program: String,
        /// The system's message.
        problem: String,
    },
    /// The program ended by itself.
    #[error("the meter's program {program} {how} before it was told to{said}")]
    Ended {
        /// Its name.
        program: String,
        /// How it ended.
        how: String,
        /// What it had printed as an error.
        said: String,
    },
    /// Nothing came for too long.
    #[error("{meter} has given no reading for {seconds:.1} s: it was unplugged, or hangs{said}")]
    Silent {
        /// The meter.
        meter: String,
        /// How long.
        seconds: f64,
        /// What it had printed as an error.
        said: String,
    },
    /// Too much of what came is no reading.
    #[error("{refused} of {lines} readings of {meter} are refused; the last is {shown:?}: {reason}")]
    Garbage {
        /// The meter.
        meter: String,
        /// How many.
        refused: usize,
        /// Of how many.
        lines: usize,
        /// The last one, clipped.
        shown: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The meter's own time jumped.
    #[error(
        "the time that {meter} prints jumps by {jump_s:.3} s at reading {reading}, where {expected_s:.3} s passed: what \
         comes after it cannot be placed"
    )]
    TimeJump {
        /// The meter.
        meter: String,
        /// Which reading, counted from 1.
        reading: usize,
        /// By how much its time changed, in s.
        jump_s: f64,
        /// How much time had passed, in s.
        expected_s: f64,
    },
    /// The meter's own time runs at another pace than ours.
    #[error(
        "{meter} prints time stamps {printed_s:.3} s apart for what took {passed_s:.3} s: their unit is another one, or \
         its clock is wrong"
    )]
    Pace {
        /// The meter.
        meter: String,
        /// From its first to its last time stamp, in s.
        printed_s: f64,
        /// Between their arrivals, in s.
        passed_s: f64,
    },
    /// Lines come in bursts.
    #[error(
        "{meter} prints its readings in bursts, {median_ms:.2} ms apart where the mean is {mean_ms:.1} ms: its output is \
         held back in a buffer, and when a reading was taken is lost. Let it print each line at once (`python -u`, \
         `stdbuf -oL`), or name a column of time stamps"
    )]
    Bursts {
        /// The meter.
        meter: String,
        /// Median time between lines, in ms.
        median_ms: f64,
        /// Mean time between lines, in ms.
        mean_ms: f64,
    },
    /// Power is negative.
    #[error(
        "{negative} of {readings} readings of {meter} are negative: it is connected the wrong way round, or the column \
         is another one"
    )]
    Negative {
        /// The meter.
        meter: String,
        /// How many.
        negative: usize,
        /// Of how many.
        readings: usize,
    },
    /// A battery that is not discharged does not see what the machine draws.
    #[error("battery {battery} is {status:?}: unplug the charger, else its power is not that of the machine")]
    NotDischarging {
        /// Its name.
        battery: String,
        /// What it does.
        status: String,
    },
    /// A line of a recorded trace is no reading.
    #[error("line {line} of {path}: {problem}")]
    Line {
        /// The file.
        path: String,
        /// Which line, counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// There are hardly any readings.
    #[error("{meter} gave {readings} reading(s): it needs at least two to tell power over time")]
    TooFew {
        /// The meter.
        meter: String,
        /// How many.
        readings: usize,
    },
    /// There are more readings than can be kept.
    #[error("{meter} gave more than {MOST_READINGS} readings: read power less often, or for a shorter time")]
    Flood {
        /// The meter.
        meter: String,
    },
    /// It was not started, or is stopped already.
    #[error("{meter} is not running")]
    NotRunning {
        /// The meter.
        meter: String,
    },
    /// The thread that read it broke.
    #[error("the thread that reads {meter} broke")]
    Broken {
        /// The meter.
        meter: String,
    },
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Nanoseconds since it began.
    pub fn now_ns(&self) -> u64 {
        self.at_ns(Instant::now())
    }

    /// Nanoseconds from its beginning to an instant; 0 for one before it.
    pub fn at_ns(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl std::fmt::Display for MeterNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Skipped { skipped, readings, reason } => {
                write!(f, "{skipped} of {readings} readings of the meter were left out; the last because {reason}")
            }
            Self::SlightlyNegative { negative, lowest_mw } => write!(
                f,
                "{negative} readings are negative (down to {lowest_mw:.1} mW) and kept: the sensor has an offset, which \
                 energy above idle is free of"
            ),
            Self::Slow { spacing_s } => write!(
                f,
                "the meter renews its value every {spacing_s:.1} s only: measure for many times as long, or use a faster \
                 meter"
            ),
            Self::ClockDrift { ppm } => {
                write!(f, "the meter's clock is slower than this machine's by {ppm:.0} ppm, which is corrected for")
            }
        }
    }
}

/// A trace of one rail.
pub(super) fn trace_of(name: &str, points: impl IntoIterator<Item = Point>) -> PowerTrace {
    let mut trace = PowerTrace::default();
    for Point { at_ns, power_mw } in points {
        trace.push(Reading { at_ns, rails: vec![RailPower { name: name.to_owned(), power_mw }] });
    }
    trace
}

/// Looks at the sign of readings. Small negative ones are a sensor's offset and kept; those beyond a tenth of the
/// largest are left out, at most a tenth of all; most negative, or more large ones, and nothing is believed.
///
/// # Errors
/// Then.
pub(super) fn check_signs(meter: &str, points: &mut Vec<Point>) -> Result<Vec<MeterNote>, MeterError> {
    const LARGEST_OFFSET: f64 = 0.1;
    let readings = points.len();
    let count = |bound: f64| points.iter().filter(|point| point.power_mw < bound).count();
    let largest = points.iter().map(|point| point.power_mw).fold(0.0, f64::max);
    let bound = -LARGEST_OFFSET * largest;
    let (negative, far) = (count(0.0), count(bound));
    if negative * 2 > readings || far * 10 > readings {
        return Err(MeterError::Negative { meter: meter.to_owned(), negative, readings });
    }
    points.retain(|point| point.power_mw >= bound);
    let mut notes = Vec::new();
    if far > 0 {
        let reason = format!("it is below {bound:.0} mW, a tenth of the highest negated");
        notes.push(MeterNote::Skipped { skipped: far, readings, reason });
    }
    if negative > far {
        let lowest_mw = points.iter().map(|point| point.power_mw).fold(0.0, f64::min);
        notes.push(MeterNote::SlightlyNegative { negative: negative - far, lowest_mw });
    }
    Ok(notes)
}

/// Enough of a text for a message.
pub(super) fn clip(text: &str) -> String {
    text.chars().filter(|character| !character.is_control() || *character == '\t').take(80).collect()
}

/// Median of some times; `None` without any.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    (!values.is_empty()).then(|| crate::statistics::quantile(&values, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(powers: &[f64]) -> Vec<Point> {
        powers.iter().enumerate().map(|(index, &power_mw)| Point { at_ns: index as u64, power_mw }).collect()
    }

    #[test]
    fn the_clock_goes_forward_and_knows_nothing_before_it() {
        let before = Instant::now();
        let clock = Clock::start();
        assert_eq!(clock.at_ns(before), 0);
        let first = clock.now_ns();
        assert!(clock.now_ns() >= first);
    }

    #[test]
    fn an_offset_is_kept_and_a_reversed_shunt_refused() {
        let mut offset = points(&[-0.5, 100.0, -1.0, 100.0, 90.0]);
        let notes = check_signs("m", &mut offset).unwrap();
        assert_eq!(notes, [MeterNote::SlightlyNegative { negative: 2, lowest_mw: -1.0 }]);
        assert_eq!(offset.len(), 5);
        let mut reversed = points(&[-80.0, -100.0, -80.0, 1.0]);
        let error = check_signs("m", &mut reversed).unwrap_err().to_string();
        assert!(error.contains("3 of 4") && error.contains("wrong way round"), "{error}");
        let mut spike: Vec<f64> = vec![100.0; 20];
        spike[7] = -5000.0;
        let mut spike = points(&spike);
        let notes = check_signs("m", &mut spike).unwrap();
        assert!(matches!(notes[..], [MeterNote::Skipped { skipped: 1, readings: 20, .. }]), "{notes:?}");
        assert_eq!(spike.len(), 19);
        assert_eq!(check_signs("m", &mut Vec::new()), Ok(Vec::new()));
    }
}
