//! The measurement log: the journal of a run, one row an evaluation.
//!
//! A CSV file that is only ever appended to. Its first line is the header [`COLUMNS`]; a row is
//! one line, whatever its texts hold; an empty cell is a missing value. Numbers are written in
//! the shortest form that reads back as the same number, so that equal runs have equal bytes.
//!
//! [`Writer`] appends; [`read`] refuses what is not such a file, with file, line, and column.
//! [`replay`](crate::replay) reads this format without being told its columns.

mod error;
mod read;
mod write;

use std::fmt;
use std::str::FromStr;

pub use error::LogError;
pub use read::{TornLine, read, read_whole_lines};
pub use write::{Writer, line};

use crate::measurement::{Energy, Measurement};

/// The header. These names and this order are stable.
pub const COLUMNS: [&str; 17] = [
    "evaluation",
    "started_at",
    "architecture",
    "status",
    "accuracy",
    "time_ms",
    "time_ms_std",
    "time_runs",
    "energy_mj",
    "energy_mj_std",
    "power_samples",
    "idle_power_mw",
    "device",
    "epochs",
    "train_seconds",
    "measure_seconds",
    "message",
];

/// How an evaluation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Measured and trained.
    Ok,
    /// Measured, found to break a bound on time or energy, and not trained.
    Bounded,
    /// Could not be measured or trained; the message says why.
    Failed,
    /// Training diverged: the loss was not finite.
    Diverged,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Bounded, Self::Failed, Self::Diverged];

    /// The text in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Bounded => "bounded",
            Self::Failed => "failed",
            Self::Diverged => "diverged",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no status: ok, bounded, failed, or diverged"))
    }
}

/// One evaluation. A missing value is `None`; an empty text reads back as `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Number of the evaluation within the run.
    pub evaluation: u64,
    /// When it started, RFC 3339 with time zone; `None` on replay, so that equal runs have equal
    /// logs.
    pub started_at: Option<String>,
    /// Text of the architecture, on one line.
    pub architecture: String,
    /// How it ended.
    pub status: Status,
    /// Validation accuracy as a fraction, 0 to 1.
    pub accuracy: Option<f64>,
    /// Mean time of one inference, in ms.
    pub time_ms: Option<f64>,
    /// Standard deviation of the time, in ms.
    pub time_ms_std: Option<f64>,
    /// Number of timed inferences.
    pub time_runs: Option<u64>,
    /// Energy of one inference, in mJ.
    pub energy_mj: Option<f64>,
    /// Standard deviation of the energy, in mJ.
    pub energy_mj_std: Option<f64>,
    /// Number of power samples the energy was integrated from.
    pub power_samples: Option<u64>,
    /// Power of the idle device, in mW.
    pub idle_power_mw: Option<f64>,
    /// What it was measured on: [`Description::label`](crate::Description::label).
    pub device: Option<String>,
    /// Epochs of training.
    pub epochs: Option<u64>,
    /// Time that training took, in seconds.
    pub train_seconds: Option<f64>,
    /// Time that measuring took, in seconds.
    pub measure_seconds: Option<f64>,
    /// Warnings and reasons. Line breaks are written as `; `.
    pub message: Option<String>,
}

impl Row {
    /// A row of which nothing is known yet but how it ended.
    pub fn new(evaluation: u64, architecture: impl Into<String>, status: Status) -> Self {
        Self {
            evaluation,
            started_at: None,
            architecture: architecture.into(),
            status,
            accuracy: None,
            time_ms: None,
            time_ms_std: None,
            time_runs: None,
            energy_mj: None,
            energy_mj_std: None,
            power_samples: None,
            idle_power_mw: None,
            device: None,
            epochs: None,
            train_seconds: None,
            measure_seconds: None,
            message: None,
        }
    }

    /// Takes over the numbers of `measurement`; what it does not have becomes missing.
    pub fn set_measurement(&mut self, measurement: &Measurement) {
        let (latency, energy) = (&measurement.latency, measurement.energy.as_ref());
        self.time_ms = Some(latency.mean_ms);
        self.time_ms_std = latency.std_ms;
        self.time_runs = latency.runs;
        self.energy_mj = energy.map(Energy::counted_mj);
        self.energy_mj_std = energy.and_then(|energy| energy.std_mj);
        self.power_samples = energy.and_then(|energy| energy.power_samples);
        self.idle_power_mw = energy.and_then(|energy| energy.idle_power_mw);
    }
}

#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod tests;
