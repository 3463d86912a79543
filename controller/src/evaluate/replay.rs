//! Evaluations from a log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use child::space::{Architecture, SearchSpace};
use hardware::log::foreign::{Columns, Table, Trained};
use hardware::log::{LogError, Row, Status};
use serde::{Deserialize, Serialize};

use super::{Assignment, Capacity, Evaluating, Evaluator, Finished, Stage, shipped};
use crate::fingerprint::sha256;
use crate::history::{Job, Work};
use crate::objective::Objective;

/// `[replay]`: a log that answers in place of training and devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    /// The log: a journal of ours, any CSV whose columns are named, or `tx2`, which ships inside the program.
    pub log: PathBuf,
    /// The log's columns; left out, they are recognised by their names.
    #[serde(default)]
    pub columns: Columns,
    /// Jobs under way at a time, on a clock of the log: each takes the seconds that the log has for it, or else a second a
    /// measurement and a second an epoch.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub workers: usize,
    /// For workers of a cluster, which answer after these seconds on a real clock: how many times as fast it is [default:
    /// they answer at once].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
}

fn one() -> usize {
    1
}

fn is_one(workers: &usize) -> bool {
    *workers == 1
}

/// A log that answers in place of training and devices. Its values are copied to the journal, without anything that
/// changes from run to run: equal seeds give equal journals.
#[derive(Debug)]
pub struct Replayed {
    pub table: Table,
    /// Every architecture of the log, where it does not cover the space.
    available: Option<Vec<Architecture>>,
    workers: usize,
    /// How many times as fast the clock of a worker is; `None` if it answers at once.
    speed: Option<f64>,
}

impl Replayed {
    /// Reads the log of a search space.
    ///
    /// # Errors
    /// With file, line and column, if it is not a log of the space.
    pub fn open(config: &ReplayConfig, space: &dyn SearchSpace) -> Result<Self, LogError> {
        let normalise = |text: &str| {
            let architecture = space.parse(text).map_err(|error| error.to_string())?;
            space.format(&architecture).map_err(|error| error.to_string())
        };
        let ReplayConfig { log, columns, .. } = config;
        let unreadable = |error| LogError::Other(format!("cannot read the log {}: {error}", log.display()));
        let table = Table::parse(log, &shipped::read(log).map_err(unreadable)?, columns, &normalise)?;
        // The log cannot answer for a network that was not trained in full.
        let whole = || table.rows().iter().filter(|row| row.status == Status::Ok);
        let is_covered = whole().count() as u128 >= space.size();
        // Every text was parsed while loading, so none is lost here.
        let available = (!is_covered).then(|| whole().filter_map(|row| space.parse(&row.architecture).ok()).collect());
        Ok(Self { available, table, workers: config.workers, speed: config.speed })
    }

    /// The same for equal logs.
    pub fn fingerprint(&self) -> anyhow::Result<String> {
        let path = self.table.path();
        Ok(sha256(shipped::read(path).with_context(|| format!("cannot read {}", path.display()))?))
    }

    /// The measured objectives that the log has values for.
    pub fn measured(&self) -> Vec<Objective> {
        let has = |objective: &Objective| self.table.rows().iter().any(|row| objective.measured(row).is_some());
        Objective::MEASURED.into_iter().filter(has).collect()
    }

    /// The architectures that it has values for; `None` for the whole space.
    pub fn available(&self) -> Option<&[Architecture]> {
        self.available.as_deref()
    }

    /// How many jobs are under way at a time.
    pub fn places(&self) -> Capacity {
        Capacity { measurements: self.workers, trainings: self.workers, together: self.workers }
    }

    /// How long a job takes on the log's clock: what the log says, else a second a measurement or an epoch.
    pub fn duration(&self, job: &Job, text: &str) -> Duration {
        let (logged, otherwise) = match job.work {
            Work::Measure => (self.table.measure_seconds(text), Duration::from_secs(1)),
            Work::Train { epochs } => {
                (self.trained(text, epochs).and_then(|trained| trained.seconds), Duration::from_secs(epochs))
            }
        };
        logged.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(otherwise)
    }

    /// The training of an architecture to so many epochs; one without epochs is a full one of a log that says none.
    fn trained(&self, text: &str, epochs: u64) -> Option<&Trained> {
        let all = self.table.accuracies(text);
        all.iter().find(|trained| trained.epochs.is_none_or(|known| known == epochs))
    }

    /// The row of a job.
    pub fn row(&self, job: &Job, text: &str) -> Row {
        let row = |status| Row::new(job.number, text, status);
        let unsuccessful = || match self.table.unsuccessful(text) {
            Some(status) => row(status),
            None => {
                let message = format!("{} has no row for it", self.table.path().display());
                Row { message: Some(message), ..row(Status::Failed) }
            }
        };
        match job.work {
            Work::Measure => match self.table.get(text) {
                Some(known) => {
                    let status = Status::Measured;
                    Row { evaluation: job.number, status, accuracy: None, epochs: None, ..known.clone() }
                }
                None => unsuccessful(),
            },
            Work::Train { epochs } => match self.trained(text, epochs) {
                Some(trained) => Row { accuracy: Some(trained.accuracy), epochs: trained.epochs, ..row(Status::Ok) },
                None => unsuccessful(),
            },
        }
    }
}

/// On a real clock, as workers of a cluster answer.
impl Evaluator for Replayed {
    fn run(self: Arc<Self>, assignment: Assignment) -> Evaluating {
        Box::pin(async move {
            let Assignment { job, text, .. } = &assignment;
            assignment.report(match job.work {
                Work::Measure => Stage::Measuring,
                Work::Train { epochs } => Stage::Training { epoch: 0, epochs: epochs as usize, loss: None },
            });
            if let Some(speed) = self.speed {
                let lasts = self.duration(job, text).as_secs_f64() / speed;
                tokio::time::sleep(Duration::try_from_secs_f64(lasts).unwrap_or(Duration::MAX)).await;
            }
            Some(Finished { row: self.row(job, text), model: None })
        })
    }

    fn capacity(&self) -> Capacity {
        self.places()
    }
}
