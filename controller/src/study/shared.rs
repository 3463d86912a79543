//! One network for several targets.

use serde::{Deserialize, Serialize};

use crate::history::{Evaluation, History};
use crate::pareto::non_dominated;
use crate::target::Targets;

/// How the values of a network on several targets become one for each objective. Times of unlike boards have no common unit:
/// each is divided by its coordinate of the target's reference point, which is its bound where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combination {
    /// That of the target where the network is worst.
    Worst,
    /// The mean by the targets' weights.
    Mean,
}

/// A network of a front for all targets.
#[derive(Debug, Clone, Serialize)]
pub struct Shared {
    pub evaluation: u64,
    /// By column of the search, the values on all targets.
    pub values: Vec<f64>,
    /// For each objective of all targets its combined value: that of a common objective, else a share of the reference.
    pub combined: Vec<f64>,
}

/// The front of the networks that were measured on all targets and keep all of their bounds, best in the first objective
/// first; none before each target has a reference point.
pub fn shared(history: &History, combination: Combination) -> Vec<Shared> {
    let targets = history.targets();
    let candidates = history.evaluations().iter().filter_map(|one| of_network(history, targets, combination, one));
    let candidates: Vec<Shared> = candidates.collect();
    let points: Vec<&[f64]> = candidates.iter().map(|one| one.combined.as_slice()).collect();
    let mut front: Vec<Shared> = non_dominated(&points).into_iter().map(|place| candidates[place].clone()).collect();
    front.sort_by(|a, b| a.combined[0].total_cmp(&b.combined[0]).then(a.evaluation.cmp(&b.evaluation)));
    front
}

fn of_network(
    history: &History,
    targets: &Targets,
    combination: Combination,
    evaluation: &Evaluation,
) -> Option<Shared> {
    let values: Vec<f64> = evaluation.values.iter().copied().collect::<Option<_>>()?;
    let keeps_all = (0..targets.len()).all(|target| targets.keeps_bounds(target, &evaluation.values));
    let mut combined = Vec::new();
    for objective in targets.objectives() {
        if let Some(column) = targets.common(objective) {
            combined.push(values[column]);
            continue;
        }
        let mut shares = Vec::new();
        for (index, target) in targets.iter().enumerate() {
            let Some(place) = target.objectives.position(objective) else { continue };
            let limit = history.reference(index).get()?[place];
            // A target that is no longer searched for counts as any other.
            let weight = if target.is_searched() { target.weight } else { 1.0 };
            shares.push((values[targets.places(index)[place]] / limit, weight));
        }
        combined.push(match combination {
            Combination::Worst => shares.iter().map(|(share, _)| *share).fold(0.0, f64::max),
            Combination::Mean => {
                let all: f64 = shares.iter().map(|(_, weight)| weight).sum();
                shares.iter().map(|(share, weight)| share * weight / all).sum()
            }
        });
    }
    keeps_all.then_some(Shared { evaluation: evaluation.number, values, combined })
}
