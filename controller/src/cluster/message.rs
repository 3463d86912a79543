//! What passes between a search and its workers: data only, bounded and checked where it arrives.
//!
//! | subject | from, to | content |
//! |---|---|---|
//! | `nas.RUN.run` | search → workers | [`Announcement`] |
//! | `nas.RUN.alive` | search → workers | nothing: the search is running |
//! | `nas.RUN.job.KIND.ID` | search → one worker | [`Order`] |
//! | `nas.RUN.progress.ID` | worker → search | [`Stage`], or nothing: the job is taken |
//! | `nas.RUN.break.ID` | search → worker | nothing: break the training off |
//! | `nas.RUN.result.ID.WORKER` | worker → search | [`Answer`] |
//! | `nas.RUN.dismiss.WORKER` | search → worker | a reason |
//! | `nas.who` | anyone → workers, searches | nothing: report now |
//! | `nas.WORKER.report` | worker → anyone | [`Presence`] |

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use child::data::Deployment;
use hardware::log::{COLUMNS, Row, Status, line, read_row};
use hardware::{Description, Statistic, shown};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::evaluate::{DevicePool, Stage, Wait};
use crate::fingerprint::sha256;
use crate::history::{Job, Work};

/// Raised when messages change, so that versions do not misunderstand each other.
pub(crate) const PROTOCOL: u32 = 1;

/// Longest message: more than the texts of the largest experiment and architecture take.
pub(crate) const LONGEST: usize = 512 * 1024;
/// Largest model or saved training.
pub(crate) const LARGEST_OBJECT: usize = 256 * 1024 * 1024;

/// Which of the two kinds of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Measure,
    Train,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Measure, Self::Train];

    pub fn of(work: Work) -> Self {
        match work {
            Work::Measure { .. } => Self::Measure,
            Work::Train { .. } => Self::Train,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Measure => "measure",
            Self::Train => "train",
        }
    }
}

/// The name of a job within its run, as a part of subjects: number, work, and the begin of its architecture's hash, since
/// a run that goes on without its checkpoint gives the number to another network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobId(String);

impl JobId {
    /// `failures` counts the workers that it has failed on.
    pub fn new(job: &Job, text: &str, failures: usize) -> Self {
        let (number, hash) = (job.number, sha256(text));
        let work = match job.work {
            Work::Measure { .. } => "m".to_owned(),
            Work::Train { epochs } => format!("t{epochs}"),
        };
        let again = if failures > 0 { format!("-{failures}") } else { String::new() };
        Self(format!("{number}-{work}-{}{again}", &hash[..12]))
    }

    /// Of a part of a subject.
    pub fn read(token: &str) -> Option<Self> {
        is_token(token).then(|| Self(token.to_owned()))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is a part of a subject that we make.
pub(crate) fn is_token(text: &str) -> bool {
    (1..=80).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// What a search asks of its workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announcement {
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
    /// The experiment without what belongs to a machine, as TOML: space, data set, training, export, measuring.
    pub task: String,
    /// What the networks are trained on: a fingerprint of the images, or of the log that answers.
    pub data: String,
    /// How images become a network's input; `None` where a log answers.
    pub deployment: Option<Deployment>,
    /// The device that measures them; `None` where a log answers.
    pub device: Option<DeviceInfo>,
    /// Whether the search has ended.
    pub ended: bool,
}

/// A device by what it says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceInfo {
    pub kind: String,
    pub name: String,
    pub details: Vec<(String, String)>,
    pub measures_energy: bool,
    /// The statistic that it gives for `time_ms`.
    pub statistic: Statistic,
}

impl DeviceInfo {
    /// Of the devices of a pool, which are alike; `None` without a device.
    pub fn of(pool: &DevicePool) -> Option<Self> {
        let Description { kind, name, details } = pool.description()?.clone();
        Some(Self { kind, name, details, measures_energy: pool.measures_energy, statistic: pool.statistic() })
    }

    pub fn description(&self) -> Description {
        let Self { kind, name, details, .. } = self.clone();
        Description { kind, name, details }
    }
}

/// A job for a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Fingerprint of the run's task.
    pub task: String,
    pub number: u64,
    /// Text of the architecture.
    pub architecture: String,
    pub work: Work,
    /// Workers that may die of it, without progress in between.
    pub tries: u32,
    /// Workers that it has failed on: another one is to try it.
    pub avoid: Vec<String>,
}

/// The end of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// The row as a line of a journal.
    row: String,
    /// The model of a full training: the fingerprint of its object.
    pub model: Option<String>,
    /// Whether a failure is the network's for certain, as where several workers died of it: no other one is to try it.
    pub is_certain: bool,
}

impl Answer {
    pub fn new(row: &Row, model: Option<String>) -> Result<Self> {
        Ok(Self { row: String::from_utf8(line(row)?)?, model, is_certain: false })
    }

    /// The row, if it can be one of this job.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn row(&self, job: &Job, text: &str) -> Result<Row> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(self.row.as_bytes());
        let mut records = reader.byte_records();
        let record = records.next().context("its row is empty")??;
        ensure!(records.next().is_none(), "it has more than one row");
        let mut row = read_row(&csv::ByteRecord::from(COLUMNS.to_vec()), &record).map_err(anyhow::Error::msg)?;
        // Reports and terminals show them.
        for text in [&mut row.message, &mut row.device, &mut row.trainer].into_iter().flatten() {
            *text = shown::clean(text);
        }
        ensure!(row.evaluation == job.number, "its row is of evaluation {}, not {}", row.evaluation, job.number);
        ensure!(row.architecture == text, "its row belongs to a different network");
        match (job.work, row.status) {
            (_, Status::Failed) => {}
            (Work::Measure { .. }, Status::Measured) => {
                ensure!(row.time_ms.is_some(), "it was measured without a time")
            }
            (Work::Train { epochs }, Status::Ok) => {
                ensure!(row.accuracy.is_some(), "it was trained without an accuracy");
                ensure!(row.epochs.is_none_or(|trained| trained == epochs), "it was trained for other epochs");
            }
            (Work::Train { epochs }, Status::Diverged | Status::Stopped) => {
                ensure!(row.epochs.is_none_or(|trained| trained <= epochs), "it was trained for too many epochs");
            }
            (_, status) => anyhow::bail!("its status {status} does not belong to such a job"),
        }
        ensure!(self.model.as_deref().is_none_or(is_fingerprint), "the fingerprint of its model is none");
        Ok(row)
    }
}

fn is_fingerprint(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A worker, as it reports itself every few seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Presence {
    pub machine: String,
    pub version: String,
    pub backend: String,
    /// Its devices, `None` if it does not measure.
    pub device: Option<DeviceInfo>,
    /// Jobs that it can do at a time.
    pub measures: usize,
    pub trains: usize,
    /// Jobs under way.
    pub measuring: usize,
    pub training: usize,
    /// Seconds since it began.
    pub for_s: f64,
    pub done: u64,
    pub failed: u64,
    /// By run, whether it takes its jobs.
    pub runs: BTreeMap<String, Standing>,
    /// Whether it is about to end, with the reason if it cannot go on.
    pub leaving: Option<String>,
}

impl Presence {
    /// Cleans its texts, which are shown in a terminal, and drops keys that are not tokens of runs.
    fn clean(&mut self) {
        let clean = |text: &mut String| *text = shown::clean(text);
        let Self { machine, version, backend, device, runs, leaving, .. } = self;
        [machine, version, backend].into_iter().chain(leaving).for_each(clean);
        if let Some(device) = device {
            [&mut device.kind, &mut device.name].into_iter().for_each(clean);
            device.details.iter_mut().for_each(|(name, value)| [name, value].into_iter().for_each(clean));
        }
        runs.retain(|run, _| is_token(run));
        for standing in runs.values_mut() {
            match standing {
                Standing::Ready { note, .. } => note.iter_mut().for_each(clean),
                Standing::Refused(reason) => clean(reason),
                Standing::Preparing => {}
            }
        }
    }
}

/// Whether a worker takes a run's jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It loads the data.
    Preparing,
    /// It takes so many at a time. Where it does not measure though it could, the reason.
    Ready { measures: usize, trains: usize, note: Option<String> },
    /// It takes none.
    Refused(String),
}

/// Reads a message.
///
/// # Errors
/// If it is too long, or not what it should be.
pub(crate) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    ensure!(payload.len() <= LONGEST, "it has {} bytes, more than {LONGEST}", payload.len());
    Ok(serde_json::from_slice(payload)?)
}

/// A report of a worker.
///
/// # Errors
/// As [`read`], or if it claims more places than a machine has.
pub(crate) fn read_presence(payload: &[u8]) -> Result<Presence> {
    const MOST: usize = 4096;
    let mut presence: Presence = read(payload)?;
    presence.clean();
    let Presence { measures, trains, measuring, training, runs, .. } = &presence;
    let of_runs = runs.values().flat_map(|standing| match standing {
        Standing::Ready { measures, trains, .. } => [*measures, *trains],
        Standing::Preparing | Standing::Refused(_) => [0, 0],
    });
    let most = [*measures, *trains, *measuring, *training].into_iter().chain(of_runs).max().unwrap_or(0);
    ensure!(most <= MOST, "it claims {most} jobs at a time, more than {MOST}");
    Ok(presence)
}

/// The bytes of a message.
pub(crate) fn written<T: Serialize>(message: &T) -> Result<Vec<u8>> {
    let bytes = serde_json::to_vec(message)?;
    ensure!(bytes.len() <= LONGEST, "a message of {} bytes is longer than {LONGEST}", bytes.len());
    Ok(bytes)
}

/// Reads a stage.
///
/// # Errors
/// As [`read`], with less room: it is only shown.
pub(crate) fn read_stage(payload: &[u8]) -> Result<Stage> {
    const MOST: usize = 64 * 1024;
    ensure!(payload.len() <= MOST, "it has {} bytes, more than {MOST}", payload.len());
    // Earlier versions did not name the device.
    if payload == br#""Measuring""# {
        return Ok(Stage::Measuring { device: None });
    }
    let mut stage = serde_json::from_slice(payload)?;
    let clean = |text: &mut String| *text = shown::clean(text);
    match &mut stage {
        Stage::Measuring { device } => device.iter_mut().for_each(clean),
        Stage::Away(Wait { device, what, reason, .. }) => [what, reason].into_iter().chain(device).for_each(clean),
        Stage::Lost { device, reason } => [device, reason].into_iter().for_each(clean),
        Stage::Measured(supplement) => supplement.clean(),
        Stage::Waiting | Stage::Training { .. } => {}
    }
    Ok(stage)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
