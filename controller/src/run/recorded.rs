//! A run, read from its folder.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use hardware::log::Row;

use super::{kept_experiment, not_a_run};
use crate::config::Experiment;
use crate::evaluate::{candidate_of, evaluation_of};
use crate::history::History;
use crate::objective::Bounds;
use crate::strategy::Problem;

/// A run, also one that is being searched in.
pub struct Recorded {
    /// The experiment, everything resolved.
    pub experiment: Experiment,
    /// The problem, without its data.
    pub problem: Problem,
    /// Every evaluation, in order.
    pub rows: Vec<Row>,
}

impl Recorded {
    /// Reads a run folder; nothing in it is changed.
    ///
    /// # Errors
    /// If it is not a run folder, or its journal is damaged.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let config = folder.join("config.toml");
        ensure!(config.is_file(), not_a_run(folder));
        let experiment = kept_experiment(folder, &[])?;
        let problem = problem_of(&experiment).with_context(|| format!("{} is not resolved", config.display()))?;
        let journal = folder.join("measurements.csv");
        let rows = if journal.exists() { hardware::log::read_whole_lines(&journal)?.0 } else { Vec::new() };
        Ok(Self { experiment, problem, rows })
    }

    /// The evaluations as a search under these bounds would see them, without imported rows.
    ///
    /// # Errors
    /// If a row is not of the problem.
    pub fn history(&self, bounds: Bounds) -> anyhow::Result<History> {
        let mut history = History::new(self.problem.objectives().clone(), bounds);
        for row in &self.rows {
            history.push(evaluation_of(&self.problem, candidate_of(&self.problem, row)?, row)?)?;
        }
        Ok(history)
    }
}

/// The problem of a resolved experiment.
fn problem_of(experiment: &Experiment) -> anyhow::Result<Problem> {
    let objectives = experiment.search.objectives.clone().context("search.objectives is missing")?;
    let input = experiment.input.context("the section [input] is missing")?;
    let space = Arc::from(experiment.space.build()?);
    let bounds = experiment.search.bounds.clone();
    let problem = Problem::new(space, input.shape(), input.classes, objectives, bounds, experiment.reward.clone())?;
    Ok(problem.with_identity(experiment.identity()))
}
