//! What can go wrong with a meter, and what a reader of its trace should know.

use thiserror::Error;

use super::align::AlignError;
use super::power_meter::MOST_READINGS;

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
    /// A file that another program should be writing does not grow.
    #[error(
        "{path} has not grown for {seconds:.1} s: its recorder does not run, holds its lines back for longer than \
         `flush_limit_s`, or writes to another file. A trace that was recorded before is of another measurement"
    )]
    NotGrowing {
        /// The file.
        path: String,
        /// For how long, in s.
        seconds: f64,
    },
    /// Time stamps of a file do not fit the time in which it was written.
    #[error("the time stamps of {path} cannot be used: {problem}")]
    Stamps {
        /// The file.
        path: String,
        /// What is wrong with them, and what helps.
        problem: String,
    },
    /// The pattern of load is not found in a trace.
    #[error(transparent)]
    Align(#[from] AlignError),
    /// The machine that the meter is connected to cannot be reached.
    #[error("the meter of {place} cannot be reached: {problem}")]
    Unreachable {
        /// The machine.
        place: String,
        /// Why.
        problem: String,
    },
    /// It went away while it was read.
    #[error("{meter} went away while it was read: {problem}")]
    Lost {
        /// The meter.
        meter: String,
        /// What was heard of it last.
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
