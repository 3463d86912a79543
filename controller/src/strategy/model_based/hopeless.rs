//! Full trainings that have little chance to enter the front.

use anyhow::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::ModelBased;
use super::isomorphic::IsomorphicErrors;
use crate::history::{Evaluation, History};
use crate::objective::Objective;
use crate::problem::Problem;
use crate::surrogate::{Predicted, Surrogate};
use crate::target::Target;

impl ModelBased {
    /// Numbers of the evaluations whose pending full trainings have less than the least chance to enter the front.
    ///
    /// The strategy stays as it is: the search asks between decisions, and a resumed one may ask at other times.
    pub(super) fn without_chance(&mut self, problem: &Problem, history: &History) -> Result<Vec<u64>> {
        let fidelity = problem.fidelity();
        let trained = history.pending().iter().filter(|job| job.work.epochs() >= fidelity.full_epochs);
        let trained: Vec<&Evaluation> = trained.filter_map(|job| history.known(&job.candidate.key)).collect();
        let error = problem.targets().common(Objective::Error);
        let (Some(error), false, Some(_)) = (error, trained.is_empty(), history.front().next()) else {
            return Ok(Vec::new());
        };
        let known = history.training_subset(self.config.fitted);
        let points = self.encoder.encode_all(problem, known.iter().map(|one| &one.architecture))?;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (targets, start) = (history.targets(), &self.hyperparameters);
        let surrogate = Surrogate::fit(targets.columns(), &known, &points, Predicted::Error, start, 0, &mut rng)?;
        let isomorphic = IsomorphicErrors::new(targets, &known, &points, &surrogate);
        let points = self.encoder.encode_all(problem, trained.iter().map(|one| &one.architecture))?;
        let prediction = &surrogate.predict(&points)[error];
        let (warp, noise) = (surrogate.warps()[error], surrogate.noise()[error]);
        let chance = |index: usize| {
            // The front that is the easiest to enter.
            let measured = targets.searched().filter(|target| {
                let has = |column: &usize| *column == error || trained[index].values[*column].is_some();
                targets.places(*target).iter().all(has)
            });
            let limits: Option<Vec<f64>> = measured.map(|target| limit(history, target, trained[index])).collect();
            let Some(limit) = limits.and_then(|limits| limits.into_iter().reduce(f64::max)) else { return 1.0 };
            let (mean, deviation) = match isomorphic.of(points[index].network) {
                Some((_, mean, deviation)) => (mean, deviation),
                None => (prediction.means[index], prediction.deviations[index]),
            };
            let spread = (deviation.powi(2) + noise).sqrt();
            0.5 * libm::erfc((mean - warp.forward(limit)) / (spread * std::f64::consts::SQRT_2))
        };
        let hopeless = (0..trained.len()).filter(|index| chance(*index) < fidelity.least_chance);
        Ok(hopeless.map(|index| trained[index].number).collect())
    }
}

/// The error that a measured network must stay below to enter the front of a target within the bounds; `None` where any will
/// do.
fn limit(history: &History, target: usize, network: &Evaluation) -> Option<f64> {
    let values = history.targets().of(target, &network.values);
    let Target { objectives, bounds, .. } = history.targets().get(target);
    let error = objectives.position(Objective::Error)?;
    let is_as_good = |member: &&[f64]| {
        let mut others = member.iter().zip(&values).enumerate().filter(|(objective, _)| *objective != error);
        others.all(|(_, (of_member, value))| value.is_some_and(|value| *of_member <= value))
    };
    let members = history.archive(target).points().filter(is_as_good).map(|member| member[error]);
    members.chain(bounds.get(Objective::Error)).reduce(f64::min)
}
