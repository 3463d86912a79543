//! Evaluations from a log.

use std::path::PathBuf;
use std::sync::Arc;

use child::space::{Architecture, SearchSpace};
use hardware::log::foreign::{Columns, Table};
use hardware::log::{LogError, Row, Status};
use serde::{Deserialize, Serialize};

use super::{Evaluating, Evaluator, Finished, Job};
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
}

/// A log that answers in place of training and devices. Its values are copied to the journal, without anything that
/// changes from run to run: equal seeds give equal journals.
#[derive(Debug)]
pub struct Replayed {
    pub table: Table,
    /// Every architecture of the log, where it does not cover the space.
    available: Option<Vec<Architecture>>,
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
        Ok(Self { available, table })
    }

    /// The measured objectives that the log has values for.
    pub fn measured(&self) -> Vec<Objective> {
        let has = |objective: &Objective| self.table.rows().iter().any(|row| objective.measured(row).is_some());
        Objective::MEASURED.into_iter().filter(has).collect()
    }

    fn row(&self, number: u64, text: &str) -> Row {
        // A network that failed once and succeeded another time works.
        let Some(row) = self.table.get(text) else {
            if let Some(status) = self.table.unsuccessful(text) {
                return Row::new(number, text, status);
            }
            let message = format!("{} has no row for it", self.table.path().display());
            return Row { message: Some(message), ..Row::new(number, text, Status::Failed) };
        };
        Row { evaluation: number, ..row.clone() }
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
