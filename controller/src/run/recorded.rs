//! A run, read from its folder.

use std::path::Path;

use anyhow::{Context as _, bail};
use hardware::log::{Row, join, of_target};

use super::{CONFIG, JOURNAL, kept_experiment, logged_rows};
use crate::config::Experiment;
use crate::problem::Problem;
use crate::target::Target;

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

    /// The run as one for each of its targets alone, with the target's name where there are several.
    ///
    /// # Errors
    /// If bounds contradict objectives.
    pub fn by_target(self) -> anyhow::Result<Vec<(Option<String>, Self)>> {
        if !self.problem.targets().are_several() {
            return Ok(vec![(None, self)]);
        }
        let of = |(index, target): (usize, &Target)| {
            let name = &target.name;
            let experiment = self.experiment.of_target(name)?;
            let rows = of_target(self.rows.iter().cloned(), name);
            Ok((Some(name.clone()), Self { experiment, problem: self.problem.of_target(index), rows }))
        };
        self.problem.targets().iter().enumerate().map(of).collect()
    }

    /// The run for the target with this name, or for its only one.
    ///
    /// # Errors
    /// If there is no such target, or there are several and none is named.
    pub fn of_one_target(self, name: Option<&str>) -> anyhow::Result<Self> {
        let all = self.by_target()?;
        let names: Vec<String> = all.iter().filter_map(|(name, _)| name.clone()).collect();
        let found = all.into_iter().find(|(target, _)| target.as_deref() == name);
        match (found, name) {
            (Some((_, run)), _) => Ok(run),
            (None, Some(name)) if names.is_empty() => {
                bail!("--target {name}: the run has only one target, which needs no name")
            }
            (None, Some(name)) => bail!("--target {name}: the run has no such target; it has {}", names.join(", ")),
            (None, None) => bail!("the run has several targets: choose one with --target: {}", names.join(", ")),
        }
    }

    /// The evaluations, a row each.
    pub fn evaluations(&self) -> Vec<Row> {
        let joined = join(self.rows.iter().cloned(), self.problem.fidelity().short_epochs);
        joined.into_iter().map(|joined| joined.row).collect()
    }
}
