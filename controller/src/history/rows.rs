//! From rows of a journal to evaluations.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use child::graph::Cost;
use hardware::log::{Joined, Row, Status};

use super::{Candidate, Evaluation, History};
use crate::objective::Objective;
use crate::problem::Problem;
use crate::target::Targets;

impl History {
    /// The history of a journal's rows.
    pub(crate) fn of_rows(problem: &Problem, rows: &[Row]) -> Result<Self> {
        let mut history = Self::of(Arc::clone(problem.targets()));
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
        let ended = self.pending.iter().position(|job| job.has_row(row, &self.targets));
        ended.map(|place| self.pending.remove(place));
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
    let (row, targets) = (&joined.row, problem.targets());
    let cost = problem.graph(&architecture)?.pruned().cost();
    let on = |target: usize| joined.measured.get(&targets.get(target).name);
    let row_of = |target: Option<usize>| target.map_or(Some(row), on);
    let columns = || targets.columns().iter().map(|column| (column.objective, row_of(column.target)));
    let values = columns().map(|(objective, row)| value_of(objective, row, &cost)).collect();
    let deviations = columns().map(|(objective, row)| deviation_of(objective, row)).collect();
    let short_error = joined.short.map(|short| 1.0 - short.accuracy);
    let states = (0..targets.len()).filter(|_| targets.are_several()).map(|target| Some(on(target)?.status));
    let measured: Vec<Option<Status>> = states.collect();
    let searched: Vec<Option<Status>> = targets.searched().filter_map(|target| measured.get(target).copied()).collect();
    let status = status_of(row.status, &searched);
    Ok(Evaluation { number: row.evaluation, architecture, key, values, deviations, short_error, status, measured })
}

/// The status of an evaluation from that of its training and those of its measurements, of which there may be more to come.
fn status_of(trained: Status, measured: &[Option<Status>]) -> Status {
    let tried: Vec<Status> = measured.iter().copied().flatten().collect();
    let is_out = |status: &Status| matches!(status, Status::Bounded | Status::Failed);
    match trained {
        Status::Measured if !tried.is_empty() && tried.iter().all(is_out) => {
            if tried.contains(&Status::Bounded) {
                Status::Bounded
            } else {
                Status::Failed
            }
        }
        _ => trained,
    }
}

/// For each objective of a target its value from the row that measured a network there, or the network's costs, if it is known.
pub(crate) fn values_of(targets: &Targets, target: usize, row: &Row, cost: &Cost) -> Vec<Option<f64>> {
    targets.get(target).objectives.iter().map(|objective| value_of(objective, Some(row), cost)).collect()
}

fn value_of(objective: Objective, row: Option<&Row>, cost: &Cost) -> Option<f64> {
    row.and_then(|row| objective.measured(row)).or_else(|| objective.computed(cost))
}

/// The standard deviation of an objective's value in a row of the journal, if it is known.
///
/// The deviations of a row are those between single runs. They are taken whole, not divided by the root of the number
/// of runs: see [`noise`](crate::pareto::noise).
fn deviation_of(objective: Objective, row: Option<&Row>) -> Option<f64> {
    match objective {
        Objective::Error => None,
        Objective::Time => row.and_then(|row| row.time_ms.and(row.time_ms_std)),
        Objective::Energy => row.and_then(|row| row.energy_mj.and(row.energy_mj_std)),
        Objective::Parameters | Objective::Macs | Objective::ActivationBytes => Some(0.0),
    }
}
