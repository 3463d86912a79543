//! Evaluating networks: by measuring and training, or from a log.

mod estimate;
mod live;
mod member;
mod memory;
mod pool;
mod processors;
mod replay;
mod training_set;
mod untrained;

pub(crate) use live::{Live, LiveSettings};
pub(crate) use member::noting_waits;
pub(crate) use memory::{Need, free_memory};
pub(crate) use pool::{DevicePool, check_alike};
pub use replay::ReplayConfig;
pub(crate) use replay::Replayed;
pub(crate) use training_set::{TrainingSet, USELESS};
pub(crate) use untrained::{untrained_model, untrained_network};

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use child::space::Architecture;
use hardware::log::Row;
use hardware::waiting::Waiting;
use hardware::{InvalidMeasurement, Measurement, Statistic};
use tokio::sync::mpsc::UnboundedSender;

use crate::history::Candidate;

/// A network to evaluate.
#[derive(Debug, Clone)]
pub struct Job {
    /// Number of the evaluation.
    pub number: u64,
    /// The network.
    pub candidate: Candidate,
    /// Its text.
    pub text: String,
    /// Whether to measure an evaluated network again: it is not trained, and its row has no accuracy.
    pub remeasure: bool,
    /// Receives the stages of the evaluation.
    pub activity: UnboundedSender<Activity>,
}

impl Job {
    /// Reports a stage; without a receiver this has no effect.
    fn report(&self, stage: Stage) {
        let _ = self.activity.send(Activity { number: self.number, stage });
    }
}

/// The present stage of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Number of the evaluation.
    pub number: u64,
    /// The stage.
    pub stage: Stage,
}

/// Stages of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// A device measures the network.
    Measuring,
    /// The network waits for a device that is away or does not work.
    Away(Wait),
    /// The network waits for a trainer.
    Waiting,
    /// The network is being trained.
    Training {
        /// Finished epochs.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
    },
}

/// A wait for a device or its meter: `waiting for the meter of `board`: it was unplugged (12 s of 300)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The device by its name in the experiment, or its meter.
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
        /// Longest reason, in characters: a line of a terminal has other texts besides.
        const LONGEST: usize = 200;
        let line = waiting.reason.lines().next().unwrap_or_default();
        let mut reason: String = line.chars().take(LONGEST).collect();
        if reason.len() < line.len() {
            reason.truncate(reason.rfind(' ').unwrap_or(reason.len()));
            reason.push('…');
        }
        Self { reason, waited: waiting.waited, patience: waiting.patience, ..self }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, reason, waited, patience } = self;
        write!(f, "waiting for {what}: {reason} ({} s of {})", waited.as_secs(), patience.as_secs())
    }
}

/// A finished evaluation, successful or not.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its row of the journal.
    pub row: Row,
    /// The trained network as ONNX, if it was trained.
    pub model: Option<Vec<u8>>,
}

/// The future of an evaluation; `None` if the search was stopped before it ended.
pub type Evaluating = Pin<Box<dyn Future<Output = Option<Finished>> + Send>>;

/// Evaluates networks. A fault of one network ends that evaluation alone, with its reason in the row.
///
/// ```
/// use std::sync::Arc;
///
/// use controller::evaluate::{Evaluating, Evaluator, Finished, Job};
/// use hardware::log::{Row, Status};
///
/// /// Takes the length of a text for its time in ms.
/// struct Length;
///
/// impl Evaluator for Length {
///     fn evaluate(self: Arc<Self>, job: Job) -> Evaluating {
///         let mut row = Row::new(job.number, &job.text, Status::Ok);
///         row.time_ms = Some(job.text.len() as f64);
///         Box::pin(async { Some(Finished { row, model: None }) })
///     }
/// }
/// ```
pub trait Evaluator: Send + Sync {
    /// Evaluates a network.
    fn evaluate(self: Arc<Self>, job: Job) -> Evaluating;

    /// The architectures that it can evaluate; `None` for the whole space.
    fn available(&self) -> Option<&[Architecture]> {
        None
    }

    /// Whether it can evaluate an architecture.
    fn covers(&self, _text: &str) -> bool {
        true
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
