//! Simulated episodes: the surrogate judges them, not a device.

use anyhow::Result;
use rand_chacha::ChaCha8Rng;

use super::ModelBased;
use crate::history::History;
use crate::policy::UpdateStats;
use crate::preference::Preference;
use crate::problem::Problem;
use crate::reward::Reward;
use crate::surrogate::Surrogate;

/// Standard deviations by which a simulated network counts as better than its mean: a little, so that the policy
/// explores.
const OPTIMISM: f64 = 0.5;

/// Random preferences for `count` episodes.
pub(super) fn preferences(problem: &Problem, count: usize, rng: &mut ChaCha8Rng) -> Vec<Preference> {
    (0..count).map(|_| Preference::sample(rng, problem.objectives().len())).collect()
}

impl ModelBased {
    /// Updates the policy on simulated episodes; returns the statistics of the last update.
    ///
    /// The rewards are those of real episodes ([`Reward`]), with predicted values.
    pub(super) fn update_policy(
        &mut self,
        problem: &Problem,
        history: &History,
        surrogate: &Surrogate,
        updates: usize,
    ) -> Result<Option<UpdateStats>> {
        let reward = Reward::fit(problem.reward(), history, history.training_set());
        let warps = surrogate.warps();
        let mut last = None;
        for _ in 0..updates {
            let preferences = preferences(problem, self.config.episodes, &mut self.rng);
            let architectures = self.learner.policy().sample(&preferences, &mut self.rng)?;
            let points = self.encoder.encode_all(problem, &architectures)?;
            let prediction = surrogate.predict(&points);
            let value = |objective: usize, index: usize| {
                let mean = prediction[objective].means[index];
                warps[objective].inverse(mean - OPTIMISM * prediction[objective].deviations[index])
            };
            let mut judged = Vec::with_capacity(architectures.len());
            for index in 0..architectures.len() {
                let values = (0..warps.len()).map(|objective| value(objective, index)).collect();
                judged.push(reward.predicted(values));
            }
            let stats = self.learner.update(&architectures, &preferences, |index, under| judged[index].under(under))?;
            last = Some(stats);
        }
        Ok(last)
    }
}
