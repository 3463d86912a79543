//! Settings of the model-based strategy.

use serde::{Deserialize, Serialize};

use crate::policy::{PolicyConfig, UpdateConfig};
use crate::strategy::StrategyError;
use crate::surrogate::Surrogate;

/// Settings of the model-based strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelBasedConfig {
    /// The policy's network.
    pub policy: PolicyConfig,
    /// How it learns.
    pub update: UpdateConfig,
    /// Networks evaluated before there is a surrogate, spread over the multiply-accumulates of the space.
    pub start: usize,
    /// Evaluations that the surrogate is fitted to at most, those from which most is to be learnt
    /// ([`History::most_instructive`](crate::history::History::most_instructive)): the time of a round grows with the
    /// cube of their number, its memory with the square.
    pub fitted: usize,
    /// Steps of the search for the surrogate's hyper-parameters in each round, which goes on from the last.
    pub fitting: usize,
    /// Updates of the policy in each round.
    pub updates: usize,
    /// Imagined episodes an update.
    pub episodes: usize,
    /// Architectures drawn from the policy as candidates.
    pub drawn: usize,
    /// Neighbours of the front taken as candidates at most, and of their neighbours.
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
    /// Checks that every setting makes sense. The policy and its updates check their own.
    ///
    /// # Errors
    /// The first one that does not.
    pub fn check(&self) -> Result<(), StrategyError> {
        let least = [
            ("start", self.start, 2, "at least 2"),
            ("fitted", self.fitted, 10, "at least 10"),
            ("episodes", self.episodes, 2, "at least 2"),
        ];
        match least.into_iter().find(|(_, found, least, _)| found < least) {
            Some((name, found, _, range)) => Err(StrategyError::Setting { name, found: found as f64, range }),
            None => Ok(()),
        }
    }
}
