//! Episodes that a surrogate judges instead of a device.

use rand_chacha::ChaCha8Rng;

use super::ModelBased;
use crate::history::History;
use crate::policy::UpdateStats;
use crate::preference::Preference;
use crate::reward::Reward;
use crate::strategy::{Problem, StrategyError};
use crate::surrogate::Surrogate;

/// How many standard deviations better than its mean an imagined network is taken for: a little, so that the policy
/// goes where much may be found.
const OPTIMISM: f64 = 0.5;

/// Preferences for that many episodes.
pub(super) fn preferences(problem: &Problem, count: usize, rng: &mut ChaCha8Rng) -> Vec<Preference> {
    (0..count).map(|_| Preference::sample(rng, problem.objectives().len())).collect()
}

impl ModelBased {
    /// Updates the policy on imagined episodes; what the last update did, if there was one.
    ///
    /// The rewards are those of real episodes ([`Reward`]), for networks with the values that the surrogate imagines.
    pub(super) fn imagine(
        &mut self,
        problem: &Problem,
        history: &History,
        surrogate: &Surrogate,
        updates: usize,
    ) -> Result<Option<UpdateStats>, StrategyError> {
        let reward = Reward::instructed(problem.reward(), history);
        let warps = surrogate.warps();
        let mut last = None;
        for _ in 0..updates {
            let preferences = preferences(problem, self.config.episodes, &mut self.rng);
            let episodes = self.learner.policy().sample(&preferences, &mut self.rng)?;
            let architectures: Vec<_> = episodes.into_iter().map(|episode| episode.architecture).collect();
            let points = self.encoder.encode_all(problem, &architectures)?;
            let prediction = surrogate.predict(&points);
            let value = |objective: usize, index: usize| {
                let mean = prediction.means[objective][index];
                warps[objective].inverse(mean - OPTIMISM * prediction.deviations[objective][index])
            };
            let values = |index: usize| (0..warps.len()).map(|objective| value(objective, index)).collect();
            let judged: Vec<_> = (0..architectures.len()).map(|index| reward.imagine(values(index))).collect();
            let under = |index: usize, preference: &Preference| judged[index].under(preference);
            last = Some(self.learner.update(&architectures, &preferences, under)?);
        }
        Ok(last)
    }
}
