//! Simulated episodes: the surrogate judges them, not a device.

use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::ModelBased;
use super::acquisition::Acquisition;
use crate::history::History;
use crate::policy::UpdateStats;
use crate::preference::Preference;
use crate::problem::Problem;
use crate::reward::Reward;
use crate::surrogate::Surrogate;

/// Standard deviations by which a simulated network counts as better than its mean: a little, so that the policy
/// explores.
const OPTIMISM: f64 = 0.5;

/// Weight of the logarithm of the expected improvement in the reward of a simulated episode. The scalarised objectives
/// are best for networks that are known; the improvement leads the policy away from these.
const IMPROVEMENT: f64 = 0.3;

/// Added to an expected improvement before its logarithm: smaller ones are all the same.
const NEGLIGIBLE: f64 = 1e-7;

/// The statistics of an update on simulated episodes.
pub(super) struct SimulatedStats {
    update: UpdateStats,
    /// Mean reward of the predicted objectives.
    mean_reward: f64,
    /// Mean logarithm of the expected improvement.
    mean_improvement: f64,
}

impl SimulatedStats {
    /// All of them by name. The learner's own mean is of the sum of both parts, which says little about either, and its
    /// baseline is nearly the same number.
    pub(super) fn scalars(&self) -> [(&'static str, f64); 5] {
        let UpdateStats { loss, entropy, gradient_norm, .. } = self.update;
        [
            ("loss", loss),
            ("entropy", entropy),
            ("gradient_norm", gradient_norm),
            ("mean_reward", self.mean_reward),
            ("log10_improvement", self.mean_improvement / std::f64::consts::LN_10),
        ]
    }
}

/// Random preferences for `count` episodes.
pub(super) fn preferences(problem: &Problem, count: usize, rng: &mut ChaCha8Rng) -> Vec<Preference> {
    (0..count).map(|_| problem.sample_preference(rng)).collect()
}

impl ModelBased {
    /// Updates the policy on simulated episodes; returns the statistics of the last update.
    ///
    /// The rewards are those of real episodes ([`Reward`]) with predicted values, and the logarithm of the expected
    /// improvement, by which the search chooses among the policy's draws and other candidates.
    pub(super) fn update_policy(
        &mut self,
        problem: &Problem,
        history: &History,
        surrogate: &Surrogate,
        updates: usize,
    ) -> Result<Option<SimulatedStats>> {
        let targets = problem.targets();
        let of = |target| {
            let reward = Reward::fit(problem.reward(), history, target, history.training_set());
            (reward, Acquisition::of_target(history, target, surrogate))
        };
        let fronts: Vec<(Reward, Acquisition)> = (0..targets.len()).map(of).collect();
        let warps = surrogate.warps();
        let mut last = None;
        for _ in 0..updates {
            let preferences = preferences(problem, self.config.episodes, &mut self.rng);
            let architectures = self.learner.policy().sample(&preferences, &mut self.rng)?;
            let points = self.encoder.encode_all(problem, &architectures)?;
            let prediction = surrogate.predict(&points);
            let judge = |index: usize| {
                let beliefs = prediction.iter().map(|column| (column.means[index], column.deviations[index]));
                let (means, deviations): (Vec<f64>, Vec<f64>) = beliefs.unzip();
                let optimistic = means.iter().zip(&deviations).map(|(mean, deviation)| mean - OPTIMISM * deviation);
                let values: Vec<f64> = warps.iter().zip(optimistic).map(|(warp, value)| warp.inverse(value)).collect();
                let mut on_targets = Vec::new();
                for (target, (reward, acquisition)) in fronts.iter().enumerate() {
                    let [means, deviations] = [&means, &deviations].map(|all| targets.of(target, all));
                    let improvement = acquisition.of(&means, &deviations) + NEGLIGIBLE;
                    on_targets.push((reward.predicted(targets.of(target, &values)), improvement.ln()));
                }
                on_targets
            };
            let judged: Vec<_> = (0..architectures.len()).into_par_iter().map(judge).collect();
            let of_objectives = |index: usize, under: &Preference| judged[index][under.target()].0.under(under);
            let improvement = |index: usize, under: &Preference| judged[index][under.target()].1;
            let total = |index: usize, under: &Preference| {
                of_objectives(index, under) + IMPROVEMENT * improvement(index, under)
            };
            let update = self.learner.update(&architectures, &preferences, total)?;
            let mean = |of: &dyn Fn(usize, &Preference) -> f64| {
                preferences.iter().enumerate().map(|(index, own)| of(index, own)).sum::<f64>()
                    / preferences.len() as f64
            };
            last = Some(SimulatedStats {
                update,
                mean_reward: mean(&of_objectives),
                mean_improvement: mean(&improvement),
            });
        }
        Ok(last)
    }
}
