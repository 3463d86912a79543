//! A run, read from its folder.

use std::path::Path;

use anyhow::Context as _;
use hardware::log::{Row, join};

use super::{CONFIG, JOURNAL, kept_experiment, logged_rows};
use crate::config::Experiment;
use crate::problem::Problem;

/// A run, also one that is being searched in.
pub struct Recorded {
    /// The experiment, everything resolved.
    pub experiment: Experiment,
    /// The problem, without its data.
    pub problem: Problem,
    /// The journal: a row for each job, in the order in which they ended.
    pub rows: Vec<Row>,
}

impl Recorded {
    /// Reads a run folder; nothing in it is changed.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let experiment = kept_experiment(folder, &[])?;
        let not_resolved = || format!("{} is not resolved", folder.join(CONFIG).display());
        let problem = experiment.problem().with_context(not_resolved)?;
        Ok(Self { experiment, problem, rows: logged_rows(&folder.join(JOURNAL))? })
    }

    /// The evaluations, a row each.
    pub fn evaluations(&self) -> Vec<Row> {
        let joined = join(self.rows.iter().cloned(), self.problem.fidelity().short_epochs);
        joined.into_iter().map(|joined| joined.row).collect()
    }
}
