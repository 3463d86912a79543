//! Logs of measurements: the journal of a run, and the tables of other people.
//!
//! The journal is a CSV file that only ever grows. Its first line is the header [`COLUMNS`], or the one of an earlier
//! version, which it keeps; it is read by the names of its columns, and those of a later version are ignored. A row is one line, also with
//! line breaks in its texts; an empty cell is a missing value. Numbers are written in the shortest form that reads back as the
//! same number, so that equal runs have equal bytes.
//!
//! [`Writer`] appends; [`read`] rejects any other file, with file, line and column. [`foreign`] reads a
//! journal or any other CSV file whose columns are named.

pub mod foreign;
mod join;
mod read;
mod write;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

pub use join::{Joined, ShortTraining, join, of_target};
pub use read::{TornLine, is_journal, read, read_row, read_whole_lines};
pub use write::{Writer, cells, identity, line, sync_folder_of};

use crate::measurement::{Energy, InvalidMeasurement, Measurement};
use crate::statistic::Statistic;

/// The header of a new journal. These names and this order are stable; new columns come last.
pub const COLUMNS: [&str; 22] = [
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
    "time_ms_p50",
    "time_ms_p95",
    "time_ms_p99",
    "trainer",
    "target",
];

/// Number of columns of the first version, which every journal has.
pub(crate) const FIRST: usize = 17;

/// Number of columns of each version, from the first one on.
pub(crate) const VERSIONS: [usize; 4] = [FIRST, 20, 21, COLUMNS.len()];

/// Why a log could not be read or written: what is wrong, in which file, line and column, and what to do.
#[derive(Debug, Error)]
pub enum LogError {
    /// The header lacks a column that is needed: columns may be named.
    #[error("{0}")]
    Columns(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// How a job of an evaluation ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Trained for as many epochs as the row says, and measured, in this row or in one before it.
    #[default]
    Ok,
    /// Measured, and not trained in this row.
    Measured,
    /// Measured, found to break a bound on time or energy, and not trained.
    Bounded,
    /// Could not be measured or trained; the message says why.
    Failed,
    /// Training diverged: the loss was not finite.
    Diverged,
    /// Training was broken off after as many epochs as the row says, since the network had little chance left.
    Stopped,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Ok, Self::Measured, Self::Bounded, Self::Failed, Self::Diverged, Self::Stopped];

    /// Whether an evaluation ends with such a row; a measured network can still be trained.
    pub fn is_end(self) -> bool {
        self != Self::Measured
    }

    /// The text in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Measured => "measured",
            Self::Bounded => "bounded",
            Self::Failed => "failed",
            Self::Diverged => "diverged",
            Self::Stopped => "stopped",
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
            .ok_or_else(|| format!("{text:?} is not a status: ok, measured, bounded, failed, diverged, or stopped"))
    }
}

/// One evaluation; the fields are the columns in their order. A missing value is `None`; an empty text reads back as
/// `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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
    #[serde(serialize_with = "shortest")]
    pub accuracy: Option<f64>,
    /// Time of one inference, in ms: the statistic of its runs that the experiment names.
    #[serde(serialize_with = "shortest")]
    pub time_ms: Option<f64>,
    /// Standard deviation of the time, in ms.
    #[serde(serialize_with = "shortest")]
    pub time_ms_std: Option<f64>,
    /// Number of timed inferences.
    pub time_runs: Option<u64>,
    /// Energy of one inference, in mJ.
    #[serde(serialize_with = "shortest")]
    pub energy_mj: Option<f64>,
    /// Standard deviation of the energy, in mJ.
    #[serde(serialize_with = "shortest")]
    pub energy_mj_std: Option<f64>,
    /// Number of power samples the energy was integrated from.
    pub power_samples: Option<u64>,
    /// Power of the idle device, in mW.
    #[serde(serialize_with = "shortest")]
    pub idle_power_mw: Option<f64>,
    /// The device that measured it: [`Description::label`](crate::Description::label).
    #[serde(serialize_with = "one_line")]
    pub device: Option<String>,
    /// Epochs of training.
    pub epochs: Option<u64>,
    /// Time that training took, in seconds.
    #[serde(serialize_with = "shortest")]
    pub train_seconds: Option<f64>,
    /// Time that measuring took, in seconds.
    #[serde(serialize_with = "shortest")]
    pub measure_seconds: Option<f64>,
    /// Warnings and reasons. Line breaks are written as `; `.
    #[serde(serialize_with = "one_line")]
    pub message: Option<String>,
    /// Median of the time, in ms.
    #[serde(serialize_with = "shortest")]
    pub time_ms_p50: Option<f64>,
    /// 95th percentile of the time, in ms.
    #[serde(serialize_with = "shortest")]
    pub time_ms_p95: Option<f64>,
    /// 99th percentile of the time, in ms.
    #[serde(serialize_with = "shortest")]
    pub time_ms_p99: Option<f64>,
    /// What computed the training: its backend, and the vector instructions or the device.
    #[serde(serialize_with = "one_line")]
    pub trainer: Option<String>,
    /// The target of the search that was measured; `None` where the search has only one.
    #[serde(serialize_with = "one_line")]
    pub target: Option<String>,
}

impl Row {
    /// A row without any value but how the evaluation ended.
    pub fn new(evaluation: u64, architecture: impl Into<String>, status: Status) -> Self {
        Self { evaluation, architecture: architecture.into(), status, ..Self::default() }
    }

    /// Takes over the numbers of `measurement`, and its time by a statistic; what it does not have becomes missing.
    ///
    /// # Errors
    /// If it does not have the statistic; then nothing is taken over.
    pub fn set_measurement(
        &mut self,
        measurement: &Measurement,
        statistic: Statistic,
    ) -> Result<(), InvalidMeasurement> {
        let (latency, energy) = (&measurement.latency, measurement.energy.as_ref());
        self.time_ms = Some(latency.time_ms(statistic)?);
        self.time_ms_std = latency.std_ms;
        self.time_runs = latency.runs;
        self.energy_mj = energy.map(Energy::counted_mj);
        self.energy_mj_std = energy.and_then(|energy| energy.std_mj);
        self.power_samples = energy.and_then(|energy| energy.power_samples);
        self.idle_power_mw = energy.and_then(|energy| energy.idle_power_mw);
        (self.time_ms_p50, self.time_ms_p95, self.time_ms_p99) = (latency.p50_ms, latency.p95_ms, latency.p99_ms);
        Ok(())
    }

    /// A row that measured and trained as two: the measurement, and the training if it has one.
    pub fn apart(self) -> (Self, Option<Self>) {
        let is_trained = self.accuracy.is_some() || self.epochs.is_some();
        if !is_trained {
            return (self, None);
        }
        let Self { evaluation, ref architecture, status, accuracy, epochs, train_seconds, .. } = self;
        let (started_at, trainer) = (self.started_at.clone(), self.trainer.clone());
        let training = Self::new(evaluation, architecture, status);
        let training = Self { started_at, accuracy, epochs, train_seconds, trainer, ..training };
        let status = Status::Measured;
        (Self { status, accuracy: None, epochs: None, train_seconds: None, trainer: None, ..self }, Some(training))
    }

    /// The row as a journal holds it that has only some of the newer columns.
    #[must_use]
    pub(crate) fn with_columns(mut self, has: impl Fn(&str) -> bool) -> Self {
        let Self { time_ms_p50, time_ms_p95, time_ms_p99, trainer, target, .. } = &mut self;
        let numbers = [("time_ms_p50", time_ms_p50), ("time_ms_p95", time_ms_p95), ("time_ms_p99", time_ms_p99)];
        for (name, value) in numbers {
            *value = value.filter(|_| has(name));
        }
        *trainer = trainer.take().filter(|_| has("trainer"));
        *target = target.take().filter(|_| has("target"));
        self
    }
}

/// As `Display` writes a number; the csv crate would write `3.0` and `1e-7`.
fn shortest<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

fn one_line<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = text.as_deref().unwrap_or_default().replace("\r\n", "\n");
    serializer.serialize_str(&text.trim_end_matches(['\n', '\r']).replace(['\n', '\r'], "; "))
}

#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod tests;
