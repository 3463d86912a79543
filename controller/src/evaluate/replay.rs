//! Evaluations from a log.

use std::path::PathBuf;
use std::time::Duration;

use child::space::{Architecture, SearchSpace};
use hardware::log::foreign::{Columns, Table};
use hardware::log::{LogError, Row, Status};
use serde::{Deserialize, Serialize};

use super::Capacity;
use crate::history::{Job, Work};
use crate::objective::Objective;

/// `[replay]`: a log that answers in place of training and devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    /// The log: a journal of ours, or any CSV whose columns are named.
    pub log: PathBuf,
    /// The log's columns; left out, they are recognised by their names.
    #[serde(default)]
    pub columns: Columns,
    /// Jobs under way at a time, on a clock of the log: each takes the seconds that the log has for it, or else a second a
    /// measurement and a second an epoch.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub workers: usize,
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
        let table = Table::load(&config.log, &config.columns, &normalise)?;
        let covered = table.rows().len() as u128 >= space.size();
        // Every text was parsed while loading, so none is lost here.
        let parse = || table.rows().iter().filter_map(|row| space.parse(&row.architecture).ok()).collect();
        let available = (!covered).then(parse);
        Ok(Self { available, table, workers: config.workers })
    }

    /// The measured objectives that the log has values for.
    pub fn measured(&self) -> Vec<Objective> {
        let has = |objective: &Objective| self.table.rows().iter().any(|row| objective.measured(row).is_some());
        Objective::MEASURED.into_iter().filter(has).collect()
    }

    /// Epochs of the log's full trainings, if it says them.
    pub fn full_epochs(&self) -> Option<u64> {
        None
    }

    /// Epochs of its short trainings, if it has some.
    pub fn short_epochs(&self) -> Option<u64> {
        None
    }

    /// The architectures that it has values for; `None` for the whole space.
    pub fn available(&self) -> Option<&[Architecture]> {
        self.available.as_deref()
    }

    /// How many jobs are under way at a time.
    pub fn capacity(&self) -> Capacity {
        Capacity { measurements: self.workers, trainings: self.workers, together: self.workers }
    }

    /// How long a job takes on the log's clock: what the log says, else a second a measurement or an epoch.
    pub fn duration(&self, job: &Job, _text: &str) -> Duration {
        match job.work {
            Work::Measure => Duration::from_secs(1),
            Work::Train { epochs } => Duration::from_secs(epochs),
        }
    }

    /// The row of a job.
    pub fn row(&self, job: &Job, text: &str) -> Row {
        let number = job.number;
        // A network that failed once and succeeded another time works.
        let Some(row) = self.table.get(text) else {
            if let Some(status) = self.table.unsuccessful(text) {
                return Row::new(number, text, status);
            }
            let message = format!("{} has no row for it", self.table.path().display());
            return Row { message: Some(message), ..Row::new(number, text, Status::Failed) };
        };
        let whole = Row { evaluation: number, ..row.clone() };
        match job.work {
            Work::Measure => Row { status: Status::Measured, accuracy: None, epochs: None, ..whole },
            Work::Train { .. } => {
                Row { accuracy: whole.accuracy, epochs: whole.epochs, ..Row::new(number, text, Status::Ok) }
            }
        }
    }
}
