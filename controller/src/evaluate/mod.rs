//! Evaluating networks: by measuring and training, or from a log.

mod estimate;
mod live;
mod member;
mod memory;
mod pool;
mod processors;
mod replay;
pub(crate) mod shipped;
mod supplement;
mod training;
mod training_set;
mod untrained;

pub(crate) use live::{Live, LiveSettings};
pub(crate) use member::noting_waits;
pub(crate) use memory::{Need, free_memory};
pub(crate) use pool::{DevicePool, check_alike, unlike};
pub use replay::ReplayConfig;
pub(crate) use replay::Replayed;
pub(crate) use supplement::RECORDED;
pub use supplement::Supplement;
pub(crate) use training_set::{TrainingSet, USELESS};
pub(crate) use untrained::{untrained_model, untrained_network};

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hardware::log::Row;
use hardware::waiting::Waiting;
use hardware::{InvalidMeasurement, Measurement, Statistic};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

use crate::history::Job;

/// A job that is to be done now.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The job.
    pub job: Job,
    /// Text of its network.
    pub text: String,
    /// Receives the stages of the job.
    pub activity: UnboundedSender<Activity>,
    /// Set when its training is no longer worth going on.
    pub broken_off: Arc<AtomicBool>,
}

impl Assignment {
    /// Reports a stage; without a receiver this has no effect.
    pub(crate) fn report(&self, stage: Stage) {
        let _ = self.activity.send(Activity { number: self.job.number, stage });
    }
}

/// How many jobs can be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Measurements.
    pub measurements: usize,
    /// Trainings.
    pub trainings: usize,
    /// Both together.
    pub together: usize,
}

/// The workers of a cluster, and what they do.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Workers that take the jobs of this search.
    pub workers: usize,
    /// Jobs under way on them.
    pub under_way: usize,
    /// Jobs that wait for one.
    pub waiting: usize,
    /// Mean seconds that jobs waited, of those that have begun since the last report.
    pub wait_seconds: Option<f64>,
    /// Share of the workers' places that were busy since the last report.
    pub busy_share: Option<f64>,
    /// Each of them, and those that left or do not take part.
    pub states: Vec<WorkerState>,
}

/// The state of one worker of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerState {
    /// Its name and machine.
    pub name: String,
    /// `busy`, `waiting`, `preparing`, `refused` or `away`.
    pub state: String,
    /// Jobs under way on it.
    pub jobs: usize,
    /// Why it does not take part, or since when it is away.
    pub text: Option<String>,
}

/// The present stage of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// Number of the evaluation.
    pub number: u64,
    /// The stage.
    pub stage: Stage,
}

/// Stages of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Stage {
    /// A device measures the network.
    Measuring {
        /// The device by its name in the experiment; `None` where a log answers.
        #[serde(default)]
        device: Option<String>,
    },
    /// The network waits for a device that is away or does not work.
    Away(Wait),
    /// A device is no longer used; another one, if there is one, measures the network.
    Lost {
        /// The device by its name in the experiment.
        device: String,
        /// The last fault.
        reason: String,
    },
    /// A device has measured the network.
    Measured(Box<Supplement>),
    /// The network waits for a trainer.
    Waiting,
    /// The network is being trained.
    Training {
        /// Finished epochs.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// Mean loss over the last epoch, if one has ended since the training began or went on.
        #[serde(default)]
        loss: Option<f64>,
    },
}

impl Stage {
    /// The same as a search on another machine sees it: its devices are those of this worker.
    pub(crate) fn of_worker(self, worker: &str) -> Self {
        let named = |device: String| format!("{device} of {worker}");
        match self {
            Self::Measuring { device } => Self::Measuring { device: device.map(named) },
            Self::Away(wait) => Self::Away(Wait { device: wait.device.map(named), ..wait }),
            Self::Lost { device, reason } => Self::Lost { device: named(device), reason },
            other => other,
        }
    }
}

/// A wait for a device or its meter: `waiting for the meter of `board`: it was unplugged (12 s of 300)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The device by its name in the experiment.
    #[serde(default)]
    pub device: Option<String>,
    /// The device or its meter, as a part of a sentence.
    pub what: String,
    /// The fault, on one line.
    pub reason: String,
    /// Time since the fault.
    pub waited: Duration,
    /// Time after which the wait ends.
    pub patience: Duration,
}

impl Wait {
    /// The same with another reason and time.
    fn of(self, waiting: &Waiting) -> Self {
        Self { reason: on_a_line(&waiting.reason), waited: waiting.waited, patience: waiting.patience, ..self }
    }
}

/// The first line of a fault, shortened between words: a line of a terminal has other texts besides.
fn on_a_line(reason: &str) -> String {
    /// In characters.
    const LONGEST: usize = 200;
    let line = reason.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(LONGEST).collect();
    if short.len() < line.len() {
        short.truncate(short.rfind(' ').unwrap_or(short.len()));
        short.push('…');
    }
    short
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, reason, waited, patience, .. } = self;
        write!(f, "waiting for {what}: {reason} ({} s of {})", waited.as_secs(), patience.as_secs())
    }
}

/// A finished job, successful or not.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its row of the journal.
    pub row: Row,
    /// The trained network as ONNX, if it was trained in full.
    pub model: Option<Vec<u8>>,
}

/// The future of a job; `None` if the search was stopped before it ended.
pub type Evaluating = Pin<Box<dyn Future<Output = Option<Finished>> + Send>>;

/// Does the jobs of networks. A fault of one network ends its job alone, with its reason in the row.
///
/// ```
/// use std::sync::Arc;
///
/// use controller::evaluate::{Assignment, Capacity, Evaluating, Evaluator, Finished};
/// use controller::history::Work;
/// use hardware::log::{Row, Status};
///
/// /// Takes the length of a text for its time in ms, and knows how to train everything.
/// struct Length;
///
/// impl Evaluator for Length {
///     fn run(self: Arc<Self>, Assignment { job, text, .. }: Assignment) -> Evaluating {
///         let row = match job.work {
///             Work::Measure { .. } => {
///                 let time_ms = Some(text.len() as f64);
///                 Row { time_ms, ..Row::new(job.number, text, Status::Measured) }
///             }
///             Work::Train { epochs } => {
///                 Row { accuracy: Some(1.0), epochs: Some(epochs), ..Row::new(job.number, text, Status::Ok) }
///             }
///         };
///         Box::pin(async { Some(Finished { row, model: None }) })
///     }
///
///     fn capacity(&self) -> Capacity {
///         Capacity { measurements: 1, trainings: 1, together: 2 }
///     }
/// }
/// ```
pub trait Evaluator: Send + Sync {
    /// Does a job. The row of a measurement has the status `measured`, that of a training `ok`, where they succeed.
    fn run(self: Arc<Self>, assignment: Assignment) -> Evaluating;

    /// How many jobs can be under way.
    fn capacity(&self) -> Capacity;

    /// How many measurements on a target can be under way; those of the only one by default.
    fn measurements_on(&self, _target: usize) -> usize {
        self.capacity().measurements
    }

    /// The row of a job is on the disk: what was kept to continue it is no longer needed.
    fn recorded(&self, _job: &Job) {}

    /// A search goes on with these jobs alone: what was kept to continue others is no longer needed.
    fn resumed(&self, _pending: &[Job]) {}

    /// Completes when the capacity has changed, or the search is asked to stop; never where it cannot change.
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }

    /// What the workers of a cluster do, where there is one and it was not told lately.
    fn workload(&self) -> Option<Workload> {
        None
    }

    /// The file that the training of a job is saved to, to continue it elsewhere.
    fn saved_training(&self, _job: &Job) -> Option<PathBuf> {
        None
    }
}

/// Fills a row with a measurement, the label of its device, and its warnings as the message.
///
/// # Errors
/// If the measurement lacks the statistic that `time_ms` is.
pub(crate) fn set_measured(
    row: &mut Row,
    measurement: &Measurement,
    statistic: Statistic,
    device: String,
) -> Result<(), InvalidMeasurement> {
    row.set_measurement(measurement, statistic)?;
    row.device = Some(device);
    let warnings: Vec<_> = measurement.warnings.iter().map(ToString::to_string).collect();
    row.message = (!warnings.is_empty()).then(|| warnings.join("; "));
    Ok(())
}

/// Message of a training that was broken off.
pub(crate) const BROKEN_OFF: &str = "broken off, since the network had little chance to enter the front";

/// Seconds since an instant, to the millisecond, for rows that people read.
pub(crate) fn seconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e3).round() / 1e3
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests;
