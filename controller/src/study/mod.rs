//! How the best networks differ from target to target: the study of TEA-DNN (Cai et al. 2018, section IV) for any run with
//! several targets.

mod plot;
mod shared;
mod table;

pub use plot::plot;
pub use shared::{Combination, Shared, shared};
pub use table::{csv, shared_table, table};

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;

use crate::history::{Evaluation, History};
use crate::objective::Objective;
use crate::problem::Problem;
use crate::ranks::rank_correlation;
use crate::run::Recorded;

/// The fronts of a run's targets, and what they have in common.
#[derive(Debug, Clone, Serialize)]
pub struct Study {
    pub targets: Vec<TargetFront>,
    /// For each ordered pair of targets, the front of one used on the other.
    pub transfers: Vec<Transfer>,
    /// For each pair of targets and objective that both measure.
    pub correlations: Vec<Correlation>,
}

/// The front of a target.
#[derive(Debug, Clone, Serialize)]
pub struct TargetFront {
    pub name: String,
    /// Networks that were measured there.
    pub measured: usize,
    /// Numbers of the front's members, those that keep the bounds.
    pub members: Vec<u64>,
    /// Hypervolume as a share of the box to its reference point.
    pub hypervolume_share: Option<f64>,
}

/// The front of one target, used on another.
#[derive(Debug, Clone, Serialize)]
pub struct Transfer {
    /// The target that the front is of.
    pub of: String,
    /// The target that it is used on.
    pub on: String,
    /// Members of both fronts.
    pub in_common: usize,
    /// Members of the front that were measured on the other target.
    pub measured: usize,
    /// Their hypervolume there as a share of that of the other target's own front; `None` while there is no reference point,
    /// or no front.
    pub kept: Option<f64>,
}

/// How alike two targets order networks.
#[derive(Debug, Clone, Serialize)]
pub struct Correlation {
    pub objective: Objective,
    pub targets: [String; 2],
    /// Networks that were measured on both.
    pub networks: usize,
    /// Spearman's rank correlation; `None` for fewer than two networks.
    pub spearman: Option<f64>,
}

/// Members of a target's front that keep its bounds.
fn members(history: &History, target: usize) -> Vec<&Evaluation> {
    let keeps_bounds = |member: &&Evaluation| history.targets().keeps_bounds(target, &member.values);
    let mut members: Vec<&Evaluation> = history.front_of(target).filter(keeps_bounds).collect();
    members.sort_by_key(|member| member.number);
    members
}

impl Study {
    /// The study of a run.
    ///
    /// # Errors
    /// If a row of its journal does not belong to its space.
    pub fn of(run: &Recorded) -> Result<Self> {
        let history = History::of_rows(&run.problem, &run.rows)?;
        Ok(Self::of_history(&run.problem, &history))
    }

    fn of_history(problem: &Problem, history: &History) -> Self {
        let targets = problem.targets();
        let fronts: Vec<Vec<&Evaluation>> = (0..targets.len()).map(|target| members(history, target)).collect();
        let front = |(index, target): (usize, &crate::target::Target)| {
            let complete = |evaluation: &&Evaluation| targets.complete(index, &evaluation.values).is_some();
            TargetFront {
                name: target.name.clone(),
                measured: history.evaluations().iter().filter(complete).count(),
                members: fronts[index].iter().map(|member| member.number).collect(),
                hypervolume_share: history.share(index),
            }
        };
        let pairs = || (0..targets.len()).flat_map(|of| (0..targets.len()).map(move |on| (of, on)));
        let transfers = pairs().filter(|(of, on)| of != on).map(|(of, on)| {
            let points: Vec<Vec<f64>> =
                fronts[of].iter().filter_map(|member| targets.complete(on, &member.values)).collect();
            let own: BTreeSet<u64> = fronts[on].iter().map(|member| member.number).collect();
            let share = history.reference(on).share(&points).filter(|_| !points.is_empty());
            let shares = share.zip(history.share(on));
            Transfer {
                of: targets.get(of).name.clone(),
                on: targets.get(on).name.clone(),
                in_common: fronts[of].iter().filter(|member| own.contains(&member.number)).count(),
                measured: points.len(),
                kept: shares.filter(|(_, own)| *own > 0.0).map(|(other, own)| other / own),
            }
        });
        let mut correlations = Vec::new();
        for (first, second) in pairs().filter(|(first, second)| first < second) {
            for objective in targets.get(first).objectives.iter().filter(|one| one.depends_on_device()) {
                let column = |target: usize| {
                    let place = targets.get(target).objectives.position(objective)?;
                    Some(targets.places(target)[place])
                };
                let Some((a, b)) = column(first).zip(column(second)) else { continue };
                let both = history.evaluations().iter().filter_map(|one| one.values[a].zip(one.values[b]));
                let both: Vec<(f64, f64)> = both.collect();
                let names = [first, second].map(|target| targets.get(target).name.clone());
                let spearman = rank_correlation(both.iter().copied());
                correlations.push(Correlation { objective, targets: names, networks: both.len(), spearman });
            }
        }
        Self { targets: targets.iter().enumerate().map(front).collect(), transfers: transfers.collect(), correlations }
    }
}

#[cfg(test)]
mod tests;
