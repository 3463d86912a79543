//! Files for the page of a run: what the journal does not have. Nothing depends on them.
//!
//! | file | content |
//! |---|---|
//! | `status.json` | jobs under way and progress, replaced as a whole: [`Status`] |
//! | `observations.jsonl` | losses, measurements, predictions and policy, a line each: [`Observation`] |

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hardware::log::Row;
use serde::{Deserialize, Serialize};

use super::Observer;
use super::devices::{DeviceStatus, Devices};
use super::now_s;
use crate::evaluate::{Activity, Stage, Supplement, WorkerState, Workload};
use crate::history::History;
use crate::plan::{Plan, Position};
use crate::strategy::Diagnostics;
use crate::terminal::{machine, note};

/// The jobs under way in a search, and its progress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// When this was written, in seconds since 1970. A search that goes on writes every few seconds.
    pub at: f64,
    /// When the search began or went on, in seconds since 1970.
    pub since: f64,
    /// The machine that searches.
    pub host: String,
    /// Version of the program.
    pub version: String,
    /// Whether the search has ended.
    pub ended: bool,
    /// Units of the budget that are done.
    pub done: u64,
    /// All of them; `None` where only the time is limited.
    pub all: Option<u64>,
    /// The unit: `evaluations`, `epochs` or `measurements`.
    pub unit: String,
    /// Remaining time, once something was done since the begin.
    pub eta_seconds: Option<f64>,
    /// The search's own time since the begin.
    pub own_seconds: f64,
    /// Jobs under way.
    pub jobs: Vec<JobStatus>,
    /// The devices by name.
    #[serde(default)]
    pub devices: Vec<DeviceStatus>,
    /// The cluster, if there is one.
    pub cluster: Option<ClusterStatus>,
    /// Its workers.
    pub workers: Vec<WorkerState>,
}

/// A job under way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobStatus {
    /// Number of the network.
    pub evaluation: u64,
    /// `measuring`, `training`, `waiting` or `away`.
    pub stage: String,
    /// Since when, in seconds since 1970.
    pub since: f64,
    /// Finished epochs.
    pub epoch: Option<u64>,
    /// Epochs in all.
    pub epochs: Option<u64>,
    /// The reason of a wait.
    pub text: Option<String>,
    /// The device that measures it.
    pub device: Option<String>,
}

/// The load of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClusterStatus {
    /// Workers that take the jobs of this search.
    pub workers: usize,
    /// Jobs under way on them.
    pub under_way: usize,
    /// Jobs that wait for one.
    pub waiting: usize,
    /// Share of the workers' places that were busy.
    pub busy_share: Option<f64>,
}

/// One line of `observations.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Observation {
    /// Mean loss of an epoch of a training.
    Loss {
        /// Number of the network.
        evaluation: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// Epochs of the training.
        epochs: u64,
        /// The loss.
        loss: f64,
    },
    /// What a measurement has besides its row.
    Measured {
        /// Number of the network.
        evaluation: u64,
        /// Numbers and texts.
        #[serde(flatten)]
        supplement: Supplement,
    },
    /// The surrogate's prediction for a network that was decided on.
    Prediction {
        /// Number of the network.
        evaluation: u64,
        /// Value and standard deviation, in the unit of the objective.
        values: BTreeMap<String, (f64, f64)>,
    },
    /// A strategy's report of a round.
    Round {
        /// Evaluations that had ended.
        evaluations: u64,
        /// Named numbers, such as `entropy`.
        scalars: BTreeMap<String, f64>,
        /// By decision, the share of each choice that was proposed.
        choices: BTreeMap<String, BTreeMap<String, f64>>,
    },
}

/// Writes these files.
pub(crate) struct Watch {
    status: Status,
    plan: Option<Plan>,
    /// Units that were done when counting in them began, and when that was.
    begun: (u64, Instant),
    jobs: BTreeMap<u64, JobStatus>,
    devices: Devices,
    statuses: Option<Sender<Status>>,
    writer: Option<JoinHandle<()>>,
    /// `None` once writing has failed.
    observations: Option<File>,
}

impl Watch {
    /// Writes to a status file and a file of observations. `devices` are those of this machine.
    pub fn new(status: PathBuf, observations: &Path, devices: impl IntoIterator<Item = String>) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(observations).inspect_err(warn).ok();
        let (sender, receiver) = channel();
        let spawned = std::thread::Builder::new().name("status".to_owned());
        let writer = spawned.spawn(move || write_statuses(&status, &receiver)).inspect_err(warn).ok();
        Self {
            status: Status {
                since: now_s(),
                host: machine(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..Status::default()
            },
            plan: None,
            begun: (0, Instant::now()),
            jobs: BTreeMap::new(),
            devices: Devices::new(devices),
            statuses: Some(sender),
            writer,
            observations: file,
        }
    }

    fn observe(&mut self, observations: &[Observation]) {
        let mut lines = Vec::new();
        for observation in observations {
            if serde_json::to_writer(&mut lines, observation).is_ok() {
                lines.push(b'\n');
            }
        }
        // One call a report: another reader sees whole lines.
        if let Some(mut file) = self.observations.take() {
            self.observations = file.write_all(&lines).inspect_err(warn).ok().map(|()| file);
        }
    }

    /// Hands the present status to the thread that writes it.
    fn publish(&mut self) {
        self.status.jobs = self.jobs.values().cloned().collect();
        self.status.devices = self.devices.statuses();
        if let Some(statuses) = &self.statuses {
            // A status is lost with its thread.
            let _ = statuses.send(self.status.clone());
        }
    }

    fn progress(&mut self, history: &History) {
        let Some(Position { done, all, unit }) = self.plan.map(|plan| plan.position(history)) else { return };
        if unit != self.status.unit {
            self.begun = (done, Instant::now());
        }
        let (before, begun) = self.begun;
        let new = done.saturating_sub(before);
        let left = all.map(|all| all.saturating_sub(done));
        self.status.eta_seconds = left.filter(|_| new > 0).map(|left| {
            let each = begun.elapsed().as_secs_f64() / new as f64;
            each * left as f64
        });
        (self.status.done, self.status.all, self.status.unit) = (done, all, unit.to_owned());
    }
}

impl Observer for Watch {
    fn start(&mut self, plan: &Plan, history: &History) {
        self.plan = Some(*plan);
        self.progress(history);
        self.publish();
    }

    fn activity(&mut self, Activity { number, stage }: &Activity) {
        let mut job = JobStatus { evaluation: *number, ..JobStatus::default() };
        match stage {
            Stage::Measuring { device } => {
                "measuring".clone_into(&mut job.stage);
                job.device.clone_from(device);
            }
            Stage::Measured(supplement) => {
                "measuring".clone_into(&mut job.stage);
                let supplement = (**supplement).clone();
                self.observe(&[Observation::Measured { evaluation: *number, supplement }]);
            }
            Stage::Waiting | Stage::Lost { .. } => "waiting".clone_into(&mut job.stage),
            Stage::Away(wait) => {
                "away".clone_into(&mut job.stage);
                job.text = Some(wait.to_string());
            }
            Stage::Training { epoch, epochs, loss } => {
                "training".clone_into(&mut job.stage);
                let (epoch, epochs) = (*epoch as u64, *epochs as u64);
                (job.epoch, job.epochs) = (Some(epoch), Some(epochs));
                if let Some(loss) = *loss {
                    self.observe(&[Observation::Loss { evaluation: *number, epoch, epochs, loss }]);
                }
            }
        }
        self.devices.observe(*number, stage);
        let before = self.jobs.get(number).filter(|before| before.stage == job.stage);
        job.since = before.map_or_else(now_s, |before| before.since);
        self.jobs.insert(*number, job);
        self.publish();
    }

    fn workload(&mut self, workload: &Workload, _history: &History) {
        let Workload { workers, under_way, waiting, busy_share, .. } = *workload;
        self.status.cluster = Some(ClusterStatus { workers, under_way, waiting, busy_share });
        self.status.workers.clone_from(&workload.states);
        self.devices.keep(&workload.states);
        self.publish();
    }

    fn entered(&mut self, row: &Row, history: &History) {
        self.jobs.remove(&row.evaluation);
        self.devices.release(row.evaluation);
        self.progress(history);
        self.publish();
    }

    fn learnt(&mut self, history: &History, diagnostics: &Diagnostics) {
        let mut observations = Vec::new();
        let numbers: HashMap<_, _> =
            history.pending().iter().map(|job| (&job.candidate.architecture, job.number)).collect();
        for prediction in &diagnostics.predictions {
            let Some(evaluation) = numbers.get(&prediction.architecture).copied() else { continue };
            let values = history.targets().columns().iter().zip(&prediction.values);
            let values = values.filter_map(|(column, value)| Some((column.name.clone(), (*value)?))).collect();
            observations.push(Observation::Prediction { evaluation, values });
        }
        let scalars: BTreeMap<String, f64> = diagnostics.scalars.iter().cloned().collect();
        self.status.own_seconds += scalars.get("own_seconds").copied().unwrap_or(0.0);
        let choices = diagnostics.choices.iter().filter_map(|(decision, counts)| {
            let all = counts.iter().map(|(_, count)| count).sum::<u64>();
            // A round may propose nothing.
            if all == 0 {
                return None;
            }
            let taken = counts.iter().filter(|(_, count)| *count > 0);
            let share = |count: u64| (1e3 * count as f64 / all as f64).round() / 1e3;
            Some((decision.clone(), taken.map(|(choice, count)| (choice.clone(), share(*count))).collect()))
        });
        let evaluations = history.ended();
        observations.push(Observation::Round { evaluations, scalars, choices: choices.collect() });
        self.observe(&observations);
    }

    fn end(&mut self, history: &History) {
        self.jobs.clear();
        self.progress(history);
        (self.status.ended, self.status.eta_seconds) = (true, None);
        self.publish();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread writes the last status, then it ends.
        self.statuses = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Writes each status, but not more often than every half second; the latest one again every few seconds.
fn write_statuses(path: &Path, statuses: &Receiver<Status>) {
    const LEAST: Duration = Duration::from_millis(500);
    let Ok(mut latest) = statuses.recv() else { return };
    loop {
        latest.at = now_s();
        // A full disk, or a folder that was deleted, must not end the search.
        let _ = replace(path, &latest);
        let written = Instant::now();
        match statuses.recv_timeout(ALIVE) {
            Ok(status) => latest = status,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Some(left) = LEAST.checked_sub(written.elapsed()).filter(|left| !left.is_zero()) {
            match statuses.recv_timeout(left) {
                Ok(status) => latest = status,
                Err(_) => break,
            }
        }
    }
}

/// Time between two statuses of a search in which nothing happens.
const ALIVE: Duration = Duration::from_secs(5);

impl Status {
    /// Reads a status; `None` if there is none, or it was written by another version.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Whether the search that wrote it goes on, as far as can be known. A status of the future was written before the clock
    /// was set back, or by another clock.
    pub fn is_live(&self) -> bool {
        !self.ended && (now_s() - self.at).abs() < 4.0 * ALIVE.as_secs_f64()
    }
}

impl Observation {
    /// Reads the observations from a place in the file on, and moves it behind the last whole line. Lines that cannot be
    /// read are left out.
    pub fn read_from(path: &Path, place: &mut u64) -> Vec<Self> {
        let mut found = Vec::new();
        let Ok(mut file) = File::open(path) else { return found };
        if file.seek(SeekFrom::Start(*place)).is_err() {
            return found;
        }
        let (mut lines, mut line) = (BufReader::new(file), Vec::new());
        while lines.read_until(b'\n', &mut line).is_ok() && line.ends_with(b"\n") {
            *place += line.len() as u64;
            found.extend(serde_json::from_slice::<Self>(&line));
            line.clear();
        }
        found
    }
}

/// Replaces a file, without waiting for the disk: after a power failure the search writes it anew.
fn replace(path: &Path, status: &Status) -> io::Result<()> {
    let temporary = path.with_extension("json.tmp");
    fs::write(&temporary, serde_json::to_vec(status)?)?;
    fs::rename(&temporary, path)
}

fn warn(error: &io::Error) {
    note(format_args!("warning: the files for the page cannot be written ({error}); the search goes on without them"));
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
