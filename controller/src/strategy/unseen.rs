//! Finding networks that are not known yet.

use std::collections::HashSet;

use child::graph::CanonicalKey;
use child::space::{Architecture, ArchitectureError};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Problem;
use crate::history::History;

/// The networks that a round has taken up, besides those that the history knows.
pub(super) struct Unseen<'a> {
    problem: &'a Problem,
    history: &'a History,
    taken: HashSet<CanonicalKey>,
}

impl<'a> Unseen<'a> {
    /// Random draws for each network wanted before the space is taken for nearly exhausted.
    const DRAWS: usize = 100;
    /// Largest space, in texts, that is listed to find its last unknown networks.
    const LISTABLE: u128 = 100_000;

    /// A round that has taken up nothing yet.
    pub fn new(problem: &'a Problem, history: &'a History) -> Self {
        Self { problem, history, taken: HashSet::new() }
    }

    /// Takes up an architecture if neither history nor round knows its network; tells whether it did.
    pub fn take(&mut self, architecture: &Architecture) -> Result<bool, ArchitectureError> {
        let key = self.problem.key(architecture)?;
        Ok(self.history.known(&key).is_none() && self.taken.insert(key))
    }

    /// A neighbour of an architecture in the problem's space, known or not.
    pub fn mutate(&self, architecture: &Architecture, rng: &mut ChaCha8Rng) -> Architecture {
        self.problem.space().mutate(architecture, rng)
    }

    /// Takes up to `count` unknown networks at random: an architecture is drawn uniformly among those that mean an
    /// unknown network, so a network that can be written in many ways is likelier.
    ///
    /// Gives fewer only when a space of up to 100,000 texts holds no more, or a hundred draws for each network wanted
    /// found none in a larger one.
    pub fn random(&mut self, count: usize, rng: &mut ChaCha8Rng) -> Result<Vec<Architecture>, ArchitectureError> {
        let space = self.problem.space();
        let mut found = Vec::new();
        let mut draws = 0;
        while found.len() < count && draws < Self::DRAWS * count {
            draws += 1;
            let architecture = space.random(rng);
            if self.take(&architecture)? {
                found.push(architecture);
            }
        }
        if found.len() < count && space.size() <= Self::LISTABLE {
            let mut rest = self.list()?;
            rest.shuffle(rng);
            for architecture in rest {
                if found.len() < count && self.take(&architecture)? {
                    found.push(architecture);
                }
            }
        }
        Ok(found)
    }

    /// All architectures that mean an unknown network, in the order of their choices.
    fn list(&self) -> Result<Vec<Architecture>, ArchitectureError> {
        let decisions = self.problem.space().decisions();
        let mut choices = vec![0; decisions.len()];
        let mut found = Vec::new();
        loop {
            let architecture = Architecture::new(choices.clone());
            let key = self.problem.key(&architecture)?;
            if self.history.known(&key).is_none() && !self.taken.contains(&key) {
                found.push(architecture);
            }
            // The next number of a counter whose digits have as many values as their decisions have choices.
            let Some(digit) = (0..choices.len()).rev().find(|&i| choices[i] + 1 < decisions[i].choices.len()) else {
                return Ok(found);
            };
            choices[digit] += 1;
            choices[digit + 1..].fill(0);
        }
    }
}
