//! Random search: the baseline of every comparison (Li and Talwalkar 2019).

use anyhow::{Context as _, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Proposal;
use super::measure_first::Proposer;
use super::unseen::Unseen;
use crate::history::History;
use crate::problem::Problem;
use crate::seal::{open, seal};

/// Settings of random search: there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomConfig {}

/// Draws architectures uniformly among those with unknown networks.
#[derive(Debug, Clone)]
pub struct Random {
    rng: ChaCha8Rng,
}

impl Random {
    /// Random search from a seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl Proposer for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn propose(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Proposal>> {
        let found = Unseen::new(problem, history).random(count, &mut self.rng)?;
        Ok(found.into_iter().map(Proposal::from).collect())
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok(seal(self.name(), &[&save_rng(&self.rng)?]))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let [rng] = open(self.name(), state)?;
        self.rng = restore_rng(rng)?;
        Ok(())
    }
}

pub(super) fn save_rng(rng: &ChaCha8Rng) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(rng)?)
}

pub(super) fn restore_rng(bytes: &[u8]) -> Result<ChaCha8Rng> {
    serde_json::from_slice(bytes).context("the saved state does not fit")
}

#[cfg(test)]
mod tests {
    use super::super::toy;
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_network_is_proposed_once() {
        let problem = toy::problem(&[2, 3, 2]);
        let mut history = toy::history(&problem);
        let mut random = Random::new(1);
        let mut seen = Vec::new();
        for expected in [5, 5, 2, 0, 0] {
            let round = random.propose(&problem, &history, 5).unwrap();
            assert_eq!(round.len(), expected);
            toy::evaluate(&problem, &mut history, &round);
            seen.extend(round.into_iter().map(|proposal| proposal.architecture));
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 12);
    }

    #[test]
    fn draws_uniformly() {
        let problem = toy::problem(&[2, 2]);
        let history = toy::history(&problem);
        let mut random = Random::new(2);
        let mut counts = HashMap::new();
        for _ in 0..4000 {
            let round = random.propose(&problem, &history, 1).unwrap();
            *counts.entry(round[0].architecture.clone()).or_insert(0) += 1;
        }
        assert!(counts.len() == 4 && counts.values().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
