//! From rows of a journal to evaluations.

use anyhow::{Context as _, Result};
use child::graph::Cost;
use hardware::log::{Joined, Row};

use super::{Candidate, Evaluation, History};
use crate::objective::{Bounds, Objective, Objectives};
use crate::problem::Problem;

impl History {
    /// The history of a journal's rows under some bounds.
    pub(crate) fn of_rows(problem: &Problem, bounds: &Bounds, rows: &[Row]) -> Result<Self> {
        let mut history = Self::new(problem.objectives().clone(), bounds.clone());
        rows.iter().try_for_each(|row| history.enter(problem, row))?;
        Ok(history)
    }

    /// Enters a row of the journal, whose job is no longer pending.
    pub(crate) fn enter(&mut self, problem: &Problem, row: &Row) -> Result<()> {
        let short_epochs = problem.fidelity().short_epochs;
        let joined = match self.joined.get(&row.evaluation) {
            Some(before) => {
                let mut joined = before.clone();
                joined.add(row.clone(), short_epochs);
                joined
            }
            None => Joined::new(row.clone(), short_epochs),
        };
        // A row under the number of another network must not pass for one of the first.
        let candidate = candidate_of(problem, row)?;
        self.push(evaluation_of(problem, candidate, &joined)?)?;
        self.joined.insert(row.evaluation, joined);
        self.pending.retain(|job| job.number != row.evaluation);
        self.epochs += row.epochs.unwrap_or(0);
        Ok(())
    }
}

/// The network of a row of the journal.
pub(crate) fn candidate_of(problem: &Problem, row: &Row) -> Result<Candidate> {
    let parsed = problem.space().parse(&row.architecture);
    let architecture = parsed.with_context(|| format!("evaluation {} of the journal", row.evaluation))?;
    Ok(Candidate { key: problem.key(&architecture)?, architecture })
}

/// The rows of an evaluation; objectives that are not measured come from the network's costs.
pub(crate) fn evaluation_of(problem: &Problem, candidate: Candidate, joined: &Joined) -> Result<Evaluation> {
    let Candidate { architecture, key } = candidate;
    let row = &joined.row;
    let cost = problem.graph(&architecture)?.pruned().cost();
    let values = values_of(problem.objectives(), row, &cost);
    let deviations = deviations_of(problem.objectives(), row);
    let short_error = joined.short.map(|short| 1.0 - short.accuracy);
    Ok(Evaluation { number: row.evaluation, architecture, key, values, deviations, short_error, status: row.status })
}

/// For each objective its value from a row of the journal or the costs of the network, if it is known.
pub(crate) fn values_of(objectives: &Objectives, row: &Row, cost: &Cost) -> Vec<Option<f64>> {
    objectives.iter().map(|objective| objective.measured(row).or_else(|| objective.computed(cost))).collect()
}

/// For each objective the standard deviation of its value in a row of the journal, if it is known.
///
/// The deviations of a row are those between single runs. They are taken whole, not divided by the root of the number
/// of runs: see [`noise`](crate::pareto::noise).
fn deviations_of(objectives: &Objectives, row: &Row) -> Vec<Option<f64>> {
    let deviation = |objective| match objective {
        Objective::Error => None,
        Objective::Time => row.time_ms.and(row.time_ms_std),
        Objective::Energy => row.energy_mj.and(row.energy_mj_std),
        Objective::Parameters | Objective::Macs | Objective::ActivationBytes => Some(0.0),
    };
    objectives.iter().map(deviation).collect()
}
