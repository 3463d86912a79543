//! Settings of the model-based strategy.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::policy::{PolicyConfig, UpdateConfig};
use crate::surrogate::Surrogate;

/// Settings of the model-based strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelBasedConfig {
    /// The policy's network.
    pub policy: PolicyConfig,
    /// How it learns. While most draws would be the same, the entropy bonus is larger than this says.
    pub update: UpdateConfig,
    /// Networks evaluated before there is a surrogate, spread over the multiply-accumulates of the space; four times as many
    /// where they are trained for the short schedule.
    pub start: usize,
    /// Most evaluations in the surrogate's training set, chosen by
    /// `History::training_subset`: the time of a round grows with the cube of their number,
    /// its memory with the square.
    pub fitted: usize,
    /// Steps of the search for the surrogate's hyper-parameters in each round, from those of the round before.
    pub fitting: usize,
    /// Updates of the policy in each round.
    pub updates: usize,
    /// Simulated episodes for each update.
    pub episodes: usize,
    /// Architectures drawn from the policy as candidates.
    pub drawn: usize,
    /// Most candidates that are neighbours of the front, and most that are neighbours of those.
    pub neighbours: usize,
    /// Random candidates.
    pub random: usize,
}

impl Default for ModelBasedConfig {
    fn default() -> Self {
        Self {
            policy: PolicyConfig::default(),
            update: UpdateConfig::default(),
            start: 10,
            fitted: Surrogate::MOST,
            fitting: 40,
            updates: 10,
            episodes: 48,
            drawn: 200,
            neighbours: 1500,
            random: 600,
        }
    }
}

impl ModelBasedConfig {
    /// Checks that every setting is in its range. The policy and its updates check theirs.
    ///
    /// # Errors
    /// The first setting that is not; the message begins with its name.
    pub fn check(&self) -> Result<()> {
        let settings = [("start", self.start, 2), ("fitted", self.fitted, 10), ("episodes", self.episodes, 2)];
        for (name, found, least) in settings {
            ensure!(found >= least, "{name} = {found}: it must be at least {least}");
        }
        Ok(())
    }
}
