//! Policy gradient on real evaluations (Zoph and Le 2017), conditioned on the preference.
//!
//! The policy draws a round, one architecture for each of a set of random preferences; once the round is evaluated, the
//! policy takes a step. The method needs no model of the objectives, and many evaluations.

use anyhow::{Result, ensure};
use burn::tensor::Device;
use child::space::Architecture;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::measure_first::Proposer;
use super::random::{restore_rng, save_rng};
use super::unseen::Unseen;
use super::{Diagnostics, Proposal};
use crate::history::History;
use crate::policy::{Conditions, Learner, Policy, PolicyConfig, UpdateConfig};
use crate::preference::Preference;
use crate::problem::Problem;
use crate::reward::Reward;
use crate::seal::{open, seal};

/// Settings of the policy gradient strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyGradientConfig {
    /// The policy's network.
    pub policy: PolicyConfig,
    /// How it learns.
    pub update: UpdateConfig,
    /// Most episodes drawn for each network of a round. Episodes of known networks cost nothing, and the policy learns
    /// from them; if there are too many, neighbours of the drawn networks complete the round.
    pub draws: usize,
}

impl Default for PolicyGradientConfig {
    fn default() -> Self {
        Self { policy: PolicyConfig::default(), update: UpdateConfig::default(), draws: 4 }
    }
}

/// Draws from the policy and learns from the evaluations.
pub struct PolicyGradient {
    config: PolicyGradientConfig,
    learner: Learner,
    rng: ChaCha8Rng,
}

impl PolicyGradient {
    /// Most successive mutations in search of an unknown neighbour of a drawn architecture.
    const TRIES: usize = 20;

    /// A fresh policy over the problem's decisions, all from one seed.
    pub fn new(config: PolicyGradientConfig, problem: &Problem, device: &Device, seed: u64) -> Result<Self> {
        ensure!(config.draws > 0, "the strategy's `draws` is 0: it must be at least 1");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let policy =
            config.policy.init(problem.space().decisions(), Conditions::of(problem.targets()), device, &mut rng)?;
        let learner = Learner::new(policy, config.update.clone())?;
        Ok(Self { config, learner, rng })
    }
}

impl Proposer for PolicyGradient {
    fn name(&self) -> &'static str {
        "policy-gradient"
    }

    fn propose(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Proposal>> {
        let mut unseen = Unseen::new(problem, history);
        let mut round: Vec<Proposal> = Vec::new();
        let mut fresh = 0;
        for _ in 0..self.config.draws {
            // Only as many as are missing, or the round could have more than `count` unknown networks.
            let preferences: Vec<_> = (fresh..count).map(|_| problem.sample_preference(&mut self.rng)).collect();
            let drawn = self.learner.policy().sample(&preferences, &mut self.rng)?;
            for (architecture, preference) in drawn.into_iter().zip(preferences) {
                fresh += usize::from(unseen.take(&architecture)?);
                round.push(Proposal { architecture, preference: Some(preference) });
            }
        }
        let drawn: Vec<Architecture> = round.iter().map(|proposal| proposal.architecture.clone()).collect();
        let mut tries = 0;
        while fresh < count && !drawn.is_empty() && tries < Self::TRIES * count {
            let mut neighbour = drawn[self.rng.random_range(0..drawn.len())].clone();
            for _ in 0..Self::TRIES {
                tries += 1;
                neighbour = unseen.mutate(&neighbour, &mut self.rng);
                if unseen.take(&neighbour)? {
                    fresh += 1;
                    // The policy did not draw it, so it does not learn from it.
                    round.push(neighbour.into());
                    break;
                }
            }
        }
        let rest = unseen.random(count - fresh, &mut self.rng)?;
        round.extend(rest.into_iter().map(Proposal::from));
        Ok(round)
    }

    fn has_rounds(&self) -> bool {
        true
    }

    fn learn(&mut self, problem: &Problem, history: &History, round: &[Proposal]) -> Result<Diagnostics> {
        let reward = |target| Reward::fit(problem.reward(), history, target, history.evaluations());
        let rewards: Vec<Reward> = (0..problem.targets().len()).map(reward).collect();
        let (mut architectures, mut preferences, mut judged) = (Vec::new(), Vec::new(), Vec::new());
        for proposal in round {
            let known = history.known(&problem.key(&proposal.architecture)?);
            if let (Some(preference), Some(evaluation)) = (&proposal.preference, known) {
                architectures.push(proposal.architecture.clone());
                preferences.push(preference.clone());
                judged.push(rewards.iter().map(|reward| reward.judge(evaluation)).collect::<Vec<_>>());
            }
        }
        let mut diagnostics = Diagnostics::of_round(problem, round);
        if architectures.is_empty() {
            return Ok(diagnostics);
        }
        let under = |index: usize, preference: &Preference| judged[index][preference.target()].under(preference);
        let stats = self.learner.update(&architectures, &preferences, under)?;
        stats.scalars().into_iter().for_each(|(name, value)| diagnostics.add(name, value));
        diagnostics.add("episodes", architectures.len() as f64);
        Ok(diagnostics)
    }

    fn policy(&self) -> Option<&Policy> {
        Some(self.learner.policy())
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok(seal(self.name(), &[&self.learner.save()?, &save_rng(&self.rng)?]))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let [learner, rng] = open(self.name(), state)?;
        let rng = restore_rng(rng)?;
        self.learner.restore(learner)?;
        self.rng = rng;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::toy;
    use super::*;

    fn small() -> PolicyGradientConfig {
        let policy = PolicyConfig { hidden: 16, embedding: 8, ..PolicyConfig::default() };
        PolicyGradientConfig { policy, ..PolicyGradientConfig::default() }
    }

    #[test]
    fn learns_on_once_everything_is_known() {
        let problem = toy::problem(&[2, 3, 2]);
        let mut history = toy::history(&problem);
        let mut strategy = PolicyGradient::new(small(), &problem, &Device::default(), 1).unwrap();
        for expected in [5, 5, 2, 0, 0] {
            let before = history.evaluations().len();
            let round = strategy.propose(&problem, &history, 5).unwrap();
            toy::evaluate(&problem, &mut history, &round);
            assert_eq!(history.evaluations().len() - before, expected);
            let updates = strategy.learner.updates();
            let diagnostics = strategy.learn(&problem, &history, &round).unwrap();
            assert_eq!(strategy.learner.updates(), updates + 1);
            assert!(diagnostics.scalars.iter().all(|(_, value)| value.is_finite()));
            let counted: u64 = diagnostics.choices[1].1.iter().map(|(_, count)| count).sum();
            assert_eq!((diagnostics.choices[1].1.len(), counted), (3, round.len() as u64));
        }
    }

    #[test]
    fn proposals_without_evaluation_are_skipped() {
        let problem = toy::problem(&[5; 6]);
        let history = toy::history(&problem);
        let mut strategy = PolicyGradient::new(small(), &problem, &Device::default(), 1).unwrap();
        let round = strategy.propose(&problem, &history, 5).unwrap();
        let diagnostics = strategy.learn(&problem, &history, &round).unwrap();
        assert!(diagnostics.scalars.is_empty() && strategy.learner.updates() == 0);
    }
}
