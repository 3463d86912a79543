//! Evaluations from a log.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use child::space::{Architecture, SearchSpace};
use hardware::log::foreign::{Columns, Table, Trained, targets_of};
use hardware::log::{LogError, Row, Status};
use serde::{Deserialize, Serialize};

use super::{Assignment, Capacity, Evaluating, Evaluator, Finished, Stage, shipped};
use crate::fingerprint::sha256;
use crate::history::{Job, Work};
use crate::objective::Objective;
use crate::target::{Target, Targets};

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
    /// For each of its targets its measurements, and the accuracies of all; at least one.
    pub tables: Vec<Table>,
    /// The names of its targets, where it has several or the only one is named.
    pub targets: Vec<String>,
    /// By target of the search, the place of its table; one that is no longer searched for has none.
    places: Vec<Option<usize>>,
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
        let content = shipped::read(log).map_err(unreadable)?;
        let load = |columns: &Columns| Table::parse(log, &content, columns, &normalise);
        let mut targets = targets_of(log, &content, columns)?;
        let of_targets = targets.iter().map(|name| load(&columns.of_target(name)));
        let mut tables = of_targets.collect::<Result<Vec<_>, _>>()?;
        if tables.is_empty() {
            tables.push(load(columns)?);
        }
        if targets.len() == 1 && columns.targets.is_empty() {
            targets.clear();
        }
        // The log cannot answer for a network that was not trained in full. A text is parsed while loading, so none is lost here.
        let whole = tables.iter().flat_map(Table::rows).filter(|row| row.status == Status::Ok);
        let whole: BTreeSet<Architecture> = whole.filter_map(|row| space.parse(&row.architecture).ok()).collect();
        let available = ((whole.len() as u128) < space.size()).then(|| whole.into_iter().collect());
        let places = (0..tables.len()).map(Some).collect();
        Ok(Self { available, tables, targets, places, workers: config.workers, speed: config.speed })
    }

    /// The same for the targets of a search, in their order.
    ///
    /// # Errors
    /// If it has no measurements of one that is searched for.
    pub fn for_targets(mut self, targets: &Targets) -> anyhow::Result<Self> {
        if targets.are_several() {
            let place = |target: &Target| self.targets.iter().position(|name| *name == target.name);
            let places: Vec<Option<usize>> = targets.iter().map(place).collect();
            let mut searched = targets.searched();
            if let Some(missing) = searched.find(|target| places[*target].is_none()) {
                let (path, name) = (self.table().path().display(), &targets.get(missing).name);
                bail!(
                    "{path} has no measurements of the target `{name}`: name its columns in [replay.columns.targets.{name}]"
                );
            }
            self.places = places;
        }
        Ok(self)
    }

    /// The table of a target of the search; that of another one where it has none.
    fn table_of(&self, target: usize) -> &Table {
        let place = self.places.get(target).copied().flatten().unwrap_or(0);
        &self.tables[place]
    }

    /// The table of the first target, which has what all have in common.
    pub fn table(&self) -> &Table {
        &self.tables[0]
    }

    /// The same for equal logs.
    pub fn fingerprint(&self) -> anyhow::Result<String> {
        let path = self.table().path();
        Ok(sha256(shipped::read(path).with_context(|| format!("cannot read {}", path.display()))?))
    }

    /// The measured objectives that one of its tables has values for.
    pub fn measured(&self, table: usize) -> Vec<Objective> {
        let rows = self.tables[table].rows();
        let has = |objective: &Objective| rows.iter().any(|row| objective.measured(row).is_some());
        Objective::MEASURED.into_iter().filter(has).collect()
    }

    /// The numbers of epochs that it has accuracies after, where it says them.
    pub fn epochs(&self) -> BTreeSet<u64> {
        let rows = self.tables.iter().flat_map(|table| table.rows().iter().map(move |row| (table, row)));
        let trained = rows.flat_map(|(table, row)| table.accuracies(&row.architecture));
        trained.filter_map(|trained| trained.epochs).collect()
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
            Work::Measure { target } => (self.table_of(target).measure_seconds(text), Duration::from_secs(1)),
            Work::Train { epochs } => {
                (self.trained(text, epochs).and_then(|trained| trained.seconds), Duration::from_secs(epochs))
            }
        };
        logged.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(otherwise)
    }

    /// The training of an architecture to so many epochs; one without epochs is a full one of a log that says none.
    fn trained(&self, text: &str, epochs: u64) -> Option<&Trained> {
        let mut all = self.tables.iter().flat_map(|table| table.accuracies(text));
        all.find(|trained| trained.epochs.is_none_or(|known| known == epochs))
    }

    /// The row of a job.
    pub fn row(&self, job: &Job, text: &str) -> Row {
        let row = |status| Row::new(job.number, text, status);
        let unsuccessful = |table: &Table| match table.unsuccessful(text) {
            Some(status) => row(status),
            None => {
                let message = format!("{} has no row for it", table.path().display());
                Row { message: Some(message), ..row(Status::Failed) }
            }
        };
        match job.work {
            Work::Measure { target } => match self.table_of(target).get(text) {
                Some(known) => {
                    let status = Status::Measured;
                    Row { evaluation: job.number, status, accuracy: None, epochs: None, ..known.clone() }
                }
                None => unsuccessful(self.table_of(target)),
            },
            Work::Train { epochs } => match self.trained(text, epochs) {
                Some(trained) => Row { accuracy: Some(trained.accuracy), epochs: trained.epochs, ..row(Status::Ok) },
                None => unsuccessful(self.table()),
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
                Work::Measure { .. } => Stage::Measuring { device: None },
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
