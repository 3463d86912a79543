//! What a run's folder tells of it.

use std::path::Path;

use anyhow::Context as _;
use hardware::log::Row;

use super::{RunError, kept_experiment};
use crate::config::Experiment;
use crate::history::History;
use crate::objective::Bounds;
use crate::problem::Problem;

/// A run as its folder tells it, also one that is being searched in.
pub struct Recorded {
    /// The experiment, everything resolved.
    pub experiment: Experiment,
    /// What is searched for, without its data.
    pub problem: Problem,
    /// Every evaluation, in order.
    pub rows: Vec<Row>,
}

impl Recorded {
    /// Reads a run folder; nothing in it is changed.
    ///
    /// # Errors
    /// If it is no run folder, or its journal is damaged.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let config = folder.join("config.toml");
        if !config.is_file() {
            return Err(RunError::NotARun(folder.to_owned()).into());
        }
        let experiment = kept_experiment(folder, &[])?;
        let problem = experiment.problem().with_context(|| format!("{} is not resolved", config.display()))?;
        let journal = folder.join("measurements.csv");
        let rows = if journal.exists() { hardware::log::read_whole_lines(&journal)?.0 } else { Vec::new() };
        Ok(Self { experiment, problem, rows })
    }

    /// The evaluations as a search under these bounds would see them, nothing that was imported among them.
    ///
    /// # Errors
    /// If a row is not of the problem.
    pub fn history(&self, bounds: Bounds) -> anyhow::Result<History> {
        History::of_rows(&self.problem, &bounds, &self.rows)
    }
}
