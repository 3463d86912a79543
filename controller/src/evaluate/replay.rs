//! Evaluations out of a log.

use std::sync::Arc;

use child::space::{Architecture, SearchSpace};
use hardware::log::{Row, Status};
use hardware::replay::{Record, ReplayError, Table};

use super::{Evaluating, Evaluator, Finished, Job};
use crate::config::ReplayConfig;

/// A log that answers in place of training and devices. What it tells stands in the journal as it stands there, and
/// nothing that changes from run to run: equal seeds give equal journals.
#[derive(Debug)]
pub struct Replayed {
    table: Table,
    /// Every architecture of the log, where it does not cover the space.
    available: Option<Vec<Architecture>>,
}

impl Replayed {
    /// Reads the log of a search space.
    ///
    /// # Errors
    /// With file, line and column, if it is no such log.
    pub fn open(config: &ReplayConfig, space: &dyn SearchSpace) -> Result<Self, ReplayError> {
        let normalise = |text: &str| {
            let architecture = space.parse(text).map_err(|error| error.to_string())?;
            space.format(&architecture).map_err(|error| error.to_string())
        };
        let table = Table::load(&config.log, &config.columns, &normalise)?;
        let covered = table.len() as u128 >= space.size();
        // Every text was parsed while loading, so none is lost here.
        let parse = || table.iter().filter_map(|record| space.parse(&record.architecture).ok()).collect();
        let available = (!covered).then(parse);
        Ok(Self { available, table })
    }

    /// The log.
    pub fn table(&self) -> &Table {
        &self.table
    }

    fn row(&self, number: u64, text: &str) -> Row {
        // A network that failed once and was evaluated another time is one that works.
        let Some(record) = self.table.get(text) else {
            if let Some(status) = self.table.unsuccessful(text) {
                return Row::new(number, text, status);
            }
            let message = format!("{} has no row for it", self.table.path().display());
            return Row { message: Some(message), ..Row::new(number, text, Status::Failed) };
        };
        row_of(record, number)
    }
}

/// A row of a log as one of a journal.
pub fn row_of(record: &Record, number: u64) -> Row {
    Row {
        accuracy: record.accuracy,
        time_ms: record.time_ms,
        time_ms_std: record.time_ms_std,
        energy_mj: record.energy_mj,
        energy_mj_std: record.energy_mj_std,
        device: record.device.clone(),
        ..Row::new(number, &record.architecture, Status::Ok)
    }
}

impl Evaluator for Replayed {
    fn evaluate(self: Arc<Self>, job: Job) -> Evaluating {
        Box::pin(async move { Some(Finished { row: self.row(job.number, &job.text), model: None }) })
    }

    fn available(&self) -> Option<&[Architecture]> {
        self.available.as_deref()
    }

    fn covers(&self, text: &str) -> bool {
        self.table.get(text).is_some() || self.table.unsuccessful(text).is_some()
    }
}
