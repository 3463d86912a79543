//! Pareto evolution: mutations and crossovers of the front.
//!
//! As Archai's `EvolutionParetoSearch`: the parents are the whole Pareto front of all evaluations, and every round mixes
//! mutations, crossovers and random networks. The mutation (one decision takes another choice) is that of regularised
//! evolution (Real et al. 2019); ageing is not needed, since dominated networks leave the front.

use anyhow::{Context as _, Result, ensure};
use child::space::Architecture;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Proposal;
use super::measure_first::Proposer;
use super::random::{restore_rng, save_rng};
use super::unseen::Unseen;
use crate::history::{Evaluation, History};
use crate::problem::Problem;
use crate::seal::{open, seal};

/// Settings of Pareto evolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolutionConfig {
    /// Networks evaluated before the first mutation or crossover.
    pub start: usize,
    /// Share of proposals that are crossovers of two parents, 0..=1.
    pub crossover: f64,
    /// Share of proposals that are random, 0..=1; the rest are mutations.
    pub random: f64,
}

impl Default for EvolutionConfig {
    fn default() -> Self {
        Self { start: 10, crossover: 0.2, random: 0.1 }
    }
}

impl EvolutionConfig {
    /// Checks that the shares are from 0 to 1.
    ///
    /// # Errors
    /// If one is not, or they sum to more than 1; the message begins with the setting.
    pub fn check(&self) -> Result<()> {
        for (name, share) in [("crossover", self.crossover), ("random", self.random)] {
            ensure!((0.0..=1.0).contains(&share), "{name} = {share}: it must be a share from 0 to 1");
        }
        let sum = self.crossover + self.random;
        ensure!(sum <= 1.0, "crossover + random = {sum}: it must be at most 1 together");
        Ok(())
    }
}

/// Mutates and crosses members of the Pareto front.
#[derive(Debug, Clone)]
pub struct Evolution {
    config: EvolutionConfig,
    rng: ChaCha8Rng,
}

impl Evolution {
    /// Most mutations in search of one unknown network, before a random one takes its place.
    const TRIES: usize = 50;

    /// Evolution from a seed.
    pub fn new(config: EvolutionConfig, seed: u64) -> Result<Self> {
        config.check().context("the strategy's settings")?;
        Ok(Self { config, rng: ChaCha8Rng::seed_from_u64(seed) })
    }

    /// A child of the parents with an unknown network, by crossover or mutation. Known networks are mutated further: the
    /// crossovers and neighbours of few parents are soon all known.
    fn breed(
        &mut self,
        unseen: &mut Unseen<'_>,
        parents: &[&Architecture],
        crosses: bool,
    ) -> Result<Option<Architecture>> {
        let mut parent = || parents[self.rng.random_range(0..parents.len())];
        let (first, second) = (parent(), parent());
        let mut child = if crosses {
            let pairs = first.choices().iter().zip(second.choices());
            Architecture::new(pairs.map(|(a, b)| if self.rng.random() { *a } else { *b }).collect::<Vec<_>>())
        } else {
            unseen.mutate(first, &mut self.rng)
        };
        for _ in 0..Self::TRIES {
            if unseen.take(&child)? {
                return Ok(Some(child));
            }
            child = unseen.mutate(&child, &mut self.rng);
        }
        Ok(None)
    }
}

impl Proposer for Evolution {
    fn name(&self) -> &'static str {
        "evolution"
    }

    fn propose(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Proposal>> {
        let on_front: Vec<_> = history.front().collect();
        let is_feasible = |member: &&&Evaluation| problem.targets().is_feasible(&member.values);
        let mut parents: Vec<_> = on_front.iter().filter(is_feasible).map(|member| &member.architecture).collect();
        if parents.is_empty() {
            parents = on_front.iter().map(|evaluation| &evaluation.architecture).collect();
        }
        let mut unseen = Unseen::new(problem, history);
        let to_start = self.config.start.saturating_sub(history.evaluations().len());
        let mut found = match (parents.is_empty(), to_start) {
            (true, 0) => unseen.nearer_bounds(count, &mut self.rng)?,
            (true, _) => unseen.random(count, &mut self.rng)?,
            _ => unseen.random(to_start.min(count), &mut self.rng)?,
        };
        while found.len() < count {
            let draw: f64 = self.rng.random();
            let crosses = draw < self.config.crossover;
            let is_bred = crosses || draw >= self.config.crossover + self.config.random;
            let child = if is_bred && !parents.is_empty() { self.breed(&mut unseen, &parents, crosses)? } else { None };
            match child {
                Some(child) => found.push(child),
                None => match unseen.random(1, &mut self.rng)?.pop() {
                    Some(random) => found.push(random),
                    None => break,
                },
            }
        }
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

#[cfg(test)]
mod tests {
    use super::super::toy;
    use super::*;

    #[test]
    fn breeds_neighbours_of_the_front() {
        let problem = toy::problem(&[5; 6]);
        let mut history = toy::history(&problem);
        let config = EvolutionConfig { crossover: 0.0, random: 0.0, start: 10 };
        let mut evolution = Evolution::new(config, 1).unwrap();
        let start = evolution.propose(&problem, &history, 15).unwrap();
        assert_eq!(start.len(), 15, "nothing to breed from yet");
        toy::evaluate(&problem, &mut history, &start);
        let round = evolution.propose(&problem, &history, 12).unwrap();
        assert_eq!(round.len(), 12);
        for proposal in &round {
            let distance = |a: &Architecture, b: &Architecture| {
                a.choices().iter().zip(b.choices()).filter(|(a, b)| a != b).count()
            };
            let nearest = history.front().map(|e| distance(&e.architecture, &proposal.architecture)).min();
            assert!(nearest.is_some_and(|nearest| (1..=2).contains(&nearest)), "{nearest:?}");
        }
    }

    #[test]
    fn proposes_nothing_once_everything_is_known() {
        let problem = toy::problem(&[2, 3, 2]);
        let mut history = toy::history(&problem);
        let mut evolution = Evolution::new(EvolutionConfig { start: 2, ..EvolutionConfig::default() }, 3).unwrap();
        for expected in [5, 5, 2, 0, 0] {
            let round = evolution.propose(&problem, &history, 5).unwrap();
            assert_eq!(round.len(), expected);
            toy::evaluate(&problem, &mut history, &round);
        }
    }

    #[test]
    fn shares_out_of_range_are_rejected() {
        let wrong = EvolutionConfig { crossover: 0.7, random: 0.4, start: 1 };
        assert!(wrong.check().unwrap_err().to_string().contains("crossover + random"));
        assert!(EvolutionConfig { random: f64::NAN, ..EvolutionConfig::default() }.check().is_err());
    }
}
