//! Finding unknown networks that can be evaluated.

use std::collections::HashSet;

use child::Error;
use child::graph::CanonicalKey;
use child::space::Architecture;
use rand::RngExt as _;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::history::{Evaluation, History};
use crate::problem::Problem;

/// The networks that neither the history nor the present round knows.
pub(super) struct Unseen<'a> {
    problem: &'a Problem,
    history: &'a History,
    taken: HashSet<CanonicalKey>,
}

impl<'a> Unseen<'a> {
    /// Most random draws for each wanted network before the space counts as nearly exhausted.
    const DRAWS: usize = 100;
    /// Largest space, in architectures, that is listed to find its last unknown networks.
    const LISTABLE: u128 = 100_000;

    /// An empty round.
    pub fn new(problem: &'a Problem, history: &'a History) -> Self {
        Self { problem, history, taken: HashSet::new() }
    }

    /// Adds an architecture to the round if neither history nor round knows its network, and it can be evaluated; returns
    /// whether it did.
    pub fn take(&mut self, architecture: &Architecture) -> Result<bool, Error> {
        let key = self.problem.key(architecture)?;
        Ok(!self.history.is_taken(&key) && self.can_be_evaluated(architecture)? && self.taken.insert(key))
    }

    fn can_be_evaluated(&self, architecture: &Architecture) -> Result<bool, Error> {
        let is_available = self.problem.available().is_none_or(|available| available.contains(architecture));
        Ok(is_available && (self.history.admits_disconnected || self.problem.is_connected(architecture)?))
    }

    /// A neighbour of an architecture in the problem's space, known or not.
    pub fn mutate(&self, architecture: &Architecture, rng: &mut ChaCha8Rng) -> Architecture {
        self.problem.space().mutate(architecture, rng)
    }

    /// Adds up to `count` unknown networks at random and returns them: where not all of the space can be evaluated, out of
    /// those that can; else draws are uniform over the architectures with unknown networks, so networks with many encodings
    /// are likelier.
    ///
    /// Returns fewer only if a space of up to 100,000 architectures has no more, or if a hundred draws for each wanted
    /// network find none in a larger space.
    pub fn random(&mut self, count: usize, rng: &mut ChaCha8Rng) -> Result<Vec<Architecture>, Error> {
        let space = self.problem.space();
        let mut found = Vec::new();
        if let Some(available) = self.problem.available() {
            let mut rest: Vec<&Architecture> = available.iter().collect();
            rest.shuffle(rng);
            self.take_up_to(count, rest, &mut found)?;
            return Ok(found);
        }
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
            self.take_up_to(count, &rest, &mut found)?;
        }
        Ok(found)
    }

    /// Adds up to `count` unknown networks where none so far has kept the bounds, and returns them: every other one is a
    /// neighbour of the networks that exceed them least, one to three changes away; the others are [random](Self::random).
    pub fn nearer_bounds(&mut self, count: usize, rng: &mut ChaCha8Rng) -> Result<Vec<Architecture>, Error> {
        /// Networks whose neighbours are tried.
        const NEAREST: usize = 10;
        /// Most neighbours drawn for a wanted one.
        const TRIES: usize = 50;
        let targets = self.history.targets();
        let mut nearest: Vec<(f64, &Evaluation)> =
            self.history.evaluations().iter().filter_map(|one| Some((targets.excess(&one.values)?, one))).collect();
        nearest.sort_by(|(first, _), (second, _)| first.total_cmp(second));
        nearest.truncate(NEAREST);
        let mut found = Vec::new();
        for _ in (0..count).step_by(2).filter(|_| !nearest.is_empty()) {
            for _ in 0..TRIES {
                let mut neighbour = nearest[rng.random_range(0..nearest.len())].1.architecture.clone();
                for _ in 0..rng.random_range(1..=3) {
                    neighbour = self.mutate(&neighbour, rng);
                }
                if self.take(&neighbour)? {
                    found.push(neighbour);
                    break;
                }
            }
        }
        found.extend(self.random(count - found.len(), rng)?);
        Ok(found)
    }

    /// Takes unknown networks out of some, until so many are found.
    fn take_up_to<'b>(
        &mut self,
        count: usize,
        of: impl IntoIterator<Item = &'b Architecture>,
        found: &mut Vec<Architecture>,
    ) -> Result<(), Error> {
        for architecture in of {
            if found.len() < count && self.take(architecture)? {
                found.push(architecture.clone());
            }
        }
        Ok(())
    }

    /// All architectures with unknown networks, in the order of their choices.
    fn list(&self) -> Result<Vec<Architecture>, Error> {
        let decisions = self.problem.space().decisions();
        let mut choices = vec![0; decisions.len()];
        let mut found = Vec::new();
        loop {
            let architecture = Architecture::new(choices.clone());
            let key = self.problem.key(&architecture)?;
            if !self.history.is_taken(&key) && !self.taken.contains(&key) && self.can_be_evaluated(&architecture)? {
                found.push(architecture);
            }
            // The next number of a counter with one digit for each decision.
            let Some(digit) = (0..choices.len()).rev().find(|&i| choices[i] + 1 < decisions[i].choices.len()) else {
                return Ok(found);
            };
            choices[digit] += 1;
            choices[digit + 1..].fill(0);
        }
    }
}
