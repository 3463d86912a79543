//! Errors of a meter.

use thiserror::Error;

use crate::remote::RemoteError;

/// Most readings in memory: more than an hour at 1,000 a second.
pub(super) const MOST_READINGS: usize = 5_000_000;

/// The reason why a meter gives no trace. The text names the mistake, its place and the remedy.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{0}")]
pub enum MeterError {
    /// The meter's settings are invalid, or the user lacks the necessary rights.
    Settings(String),
    /// The meter does not exist.
    Absent(String),
    /// One value could not be read, or is invalid. A few of them in a row are within a meter's error budget.
    Read(String),
    /// The connection to the meter broke.
    Lost(String),
    /// Any other failure.
    Failed(String),
}

impl MeterError {
    /// The user may not read a file; `advice` explains how to allow it.
    pub(super) fn no_rights(path: &str, advice: &str) -> Self {
        Self::Settings(format!("{path} may not be read: {advice}"))
    }

    /// A file could not be read.
    pub(super) fn unread(path: &str, problem: impl std::fmt::Display) -> Self {
        Self::Read(format!("{path} could not be read: {problem}"))
    }

    /// The program searched for `what` and did not find it.
    pub(super) fn absent(what: &str, advice: &str) -> Self {
        Self::Absent(format!("{what} is not there: {advice}"))
    }

    pub(super) fn not_started(program: &str, problem: impl std::fmt::Display) -> Self {
        Self::Failed(format!("the meter's program {program} could not be started: {problem}"))
    }

    /// A program ended by itself; `printed` is its error output, as the end of a sentence.
    pub(super) fn ended(program: &str, how: &str, printed: &str) -> Self {
        Self::Failed(format!("the meter's program {program} {how} before it was stopped{printed}"))
    }

    pub(super) fn silent(meter: &str, seconds: f64, printed: &str) -> Self {
        Self::Failed(format!("{meter} has given no reading for {seconds:.1} s: it was unplugged, or hangs{printed}"))
    }

    pub(super) fn lost(meter: &str, problem: impl std::fmt::Display) -> Self {
        Self::Lost(format!("the connection to {meter} broke: {problem}"))
    }

    /// `last_words` are about the last rejection, as the end of a sentence.
    pub(super) fn too_few(meter: &str, readings: usize, last_words: &str) -> Self {
        Self::Failed(format!("{meter} gave {readings} reading(s): power over time needs at least two{last_words}"))
    }

    pub(super) fn flood(meter: &str) -> Self {
        Self::Failed(format!(
            "{meter} gave more than {MOST_READINGS} readings: read power less often, or for a shorter time"
        ))
    }

    pub(super) fn not_running(meter: &str) -> Self {
        Self::Failed(format!("{meter} is not running"))
    }
}

impl From<MeterError> for RemoteError {
    fn from(error: MeterError) -> Self {
        match error {
            MeterError::Settings(problem) | MeterError::Absent(problem) => Self::Settings { problem },
            MeterError::Lost(how) => Self::Lost { how },
            MeterError::Read(problem) | MeterError::Failed(problem) => Self::Meter { problem },
        }
    }
}
