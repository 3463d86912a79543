//! The model-based policy gradient: the policy learns from episodes that a surrogate imagines, and what is evaluated
//! next is what should add most to the hypervolume.
//!
//! A round, once a few networks are evaluated: fit the [`Surrogate`] to what was measured, here or in logs that were
//! imported, and of very much to the most instructive; update the policy on episodes that it judges, which cost nothing;
//! gather candidates (drawn from the policy, imported networks, neighbours of the front and theirs, random ones); and
//! choose by expected hypervolume improvement, each choice being believed before the next (kriging believer;
//! Ginsbourger, Le Riche and Carraro 2010). The error of a network that was measured in another writing is taken from
//! there ([`twins`]), so that no two writings of one are chosen in a round.

mod acquisition;
mod candidates;
mod config;
mod foresight;
mod imagination;
mod twins;

use burn::tensor::Device;
use child::space::Architecture;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

pub use config::ModelBasedConfig;

use super::random::{restore_rng, save_rng};
use super::unseen::Unseen;
use super::{Diagnostics, Problem, Proposal, Strategy, StrategyError};
use crate::history::History;
use crate::objective::Objective;
use crate::policy::{Learner, Policy, StateError, UpdateStats, open, seal};
use crate::surrogate::{Encoder, Hyperparameters, Surrogate};
use acquisition::Acquisition;
use candidates::Candidates;
use foresight::Foresight;
use twins::Twins;

/// Learns from imagined episodes and evaluates what promises most.
pub struct ModelBased {
    config: ModelBasedConfig,
    learner: Learner,
    encoder: Encoder,
    rng: ChaCha8Rng,
    /// Where the fit of the surrogate begins.
    hyperparameters: Vec<Hyperparameters>,
    foresight: Foresight,
    /// What the round that was asked for last is expected to be.
    expected: Option<Expected>,
}

/// Expectations of a round, until it is told.
struct Expected {
    /// Architectures with their means on each objective's scale.
    means: Vec<(Architecture, Vec<f64>)>,
    acquisition: f64,
    stats: Option<UpdateStats>,
}

impl ModelBased {
    /// Candidates that the choice goes on with after the first of a round.
    const SHORTLIST: usize = 150;
    /// Neighbours of the front's neighbours among the candidates, for every network evaluated: on four tables of
    /// NAS-Bench-201 better than none, and than as many from the beginning.
    const SECOND: usize = 6;
    /// Architectures drawn to spread the start over the multiply-accumulates of the space.
    const SPREAD: usize = 300;

    /// A fresh policy and no surrogate yet, all randomness from one seed.
    ///
    /// # Errors
    /// If a setting makes no sense, or an architecture of the space gives no graph.
    pub fn new(config: ModelBasedConfig, problem: &Problem, device: &Device, seed: u64) -> Result<Self, StrategyError> {
        config.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let policy = config.policy.init(problem.space().decisions(), problem.objectives().len(), device, &mut rng)?;
        let learner = Learner::new(policy, config.update.clone())?;
        let encoder = Encoder::new(problem)?;
        let foresight = Foresight::default();
        Ok(Self { config, learner, encoder, rng, hyperparameters: Vec::new(), foresight, expected: None })
    }

    /// Networks that are new, spread over the multiply-accumulates of the space: each is drawn from its own of as many
    /// equal parts as there are in the whole start.
    fn spread(
        &mut self,
        problem: &Problem,
        history: &History,
        count: usize,
    ) -> Result<Vec<Architecture>, StrategyError> {
        let mut drawn = Vec::with_capacity(Self::SPREAD);
        for _ in 0..Self::SPREAD {
            let architecture = problem.space().random(&mut self.rng);
            let graph = problem.space().graph(&architecture, problem.input(), problem.classes())?;
            drawn.push((graph.pruned().cost().macs, architecture));
        }
        drawn.sort_by_key(|(macs, _)| *macs);
        let parts = self.config.start;
        // Every other part first, so that half a start is spread as well.
        let order: Vec<usize> = (0..parts).step_by(2).chain((1..parts).step_by(2)).collect();
        let mut unseen = Unseen::new(problem, history);
        let mut found = Vec::new();
        // What others measured in full spares as much of the start: the surrogate is fitted to it as well.
        let spared = history.imported().filter(|evaluation| evaluation.complete().is_some()).count();
        for part in order.into_iter().skip(history.evaluations().len() + spared).take(count) {
            let (from, to) = (part * Self::SPREAD / parts, (part + 1) * Self::SPREAD / parts);
            for _ in from..to {
                let (_, architecture) = &drawn[self.rng.random_range(from..to)];
                if unseen.take(architecture)? {
                    found.push(architecture.clone());
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Everything that may be evaluated next.
    fn candidates(&mut self, problem: &Problem, history: &History) -> Result<Vec<Architecture>, StrategyError> {
        let mut candidates = Candidates::new(history);
        let preferences = imagination::preferences(problem, self.config.drawn, &mut self.rng);
        for episode in self.learner.policy().sample(&preferences, &mut self.rng)? {
            candidates.push(episode.architecture);
        }
        candidates.push_imported(history);
        let (space, members) = (problem.space(), candidates::members(problem, history));
        candidates.push_neighbours(space, &members, self.config.neighbours, &mut self.rng);
        // The more is known, the fewer unknown neighbours the front has, and the further it pays to look.
        let second = (Self::SECOND * history.evaluations().len()).min(self.config.neighbours);
        candidates.push_second_neighbours(space, &members, second, &mut self.rng);
        candidates.push_random(space, self.config.random, &mut self.rng);
        Ok(candidates.into_vec())
    }

    /// Chooses up to `count` candidates that the history does not know, by expected hypervolume improvement.
    fn choose(
        &mut self,
        problem: &Problem,
        history: &History,
        twins: &Twins,
        surrogate: &Surrogate,
        count: usize,
    ) -> Result<Expected, StrategyError> {
        let candidates = self.candidates(problem, history)?;
        let points = self.encoder.encode_all(problem, &candidates)?;
        let prediction = surrogate.predict(&points);
        let mut acquisition = Acquisition::of_history(history, surrogate);
        let beliefs = |index: usize| {
            let column = |columns: &[Vec<f64>]| columns.iter().map(|column| column[index]).collect::<Vec<_>>();
            let (mut means, mut deviations) = (column(&prediction.means), column(&prediction.deviations));
            twins.correct(points[index].network, &mut means, &mut deviations);
            (means, deviations)
        };
        let all: Vec<f64> = (0..candidates.len())
            .into_par_iter()
            .map(|index| {
                let (means, deviations) = beliefs(index);
                acquisition.of(&means, &deviations)
            })
            .collect();
        let mut shortlist: Vec<usize> = (0..candidates.len()).collect();
        shortlist.sort_by(|a, b| all[*b].total_cmp(&all[*a]));
        shortlist.truncate(Self::SHORTLIST);
        let mut improvements: Vec<f64> = shortlist.iter().map(|index| all[*index]).collect();
        let mut covariances = surrogate.covariances(&prediction, &points, &shortlist);
        let noise = surrogate.noise();
        let mut unseen = Unseen::new(problem, history);
        let mut expected = Expected { means: Vec::new(), acquisition: 0.0, stats: None };
        let mut is_open = vec![true; shortlist.len()];
        while expected.means.len() < count {
            let open = (0..shortlist.len()).filter(|place| is_open[*place]);
            // Of equals the first, which is the better one by itself.
            let Some(best) = open.reduce(|a, b| if improvements[b] > improvements[a] { b } else { a }) else { break };
            is_open[best] = false;
            let architecture = &candidates[shortlist[best]];
            if !unseen.take(architecture)? {
                continue;
            }
            // What one writing's measurement says of a network's error, the others know by the next round.
            let network = points[shortlist[best]].network;
            let is_other = |index: &usize| points[*index].network != network;
            is_open.iter_mut().zip(&shortlist).for_each(|(is_open, index)| *is_open &= is_other(index));
            let (means, _) = beliefs(shortlist[best]);
            expected.acquisition += improvements[best];
            acquisition.believe(&means);
            for (covariance, noise) in covariances.iter_mut().zip(&noise) {
                if let Some(covariance) = covariance {
                    let column = covariance.col(best).to_owned();
                    let scale = 1.0 / (column[best] + noise);
                    *covariance -= faer::Scale(scale) * (&column * column.transpose());
                }
            }
            expected.means.push((architecture.clone(), means));
            if expected.means.len() == count {
                break;
            }
            improvements = (0..shortlist.len())
                .into_par_iter()
                .map(|place| {
                    let (mut means, mut deviations) = beliefs(shortlist[place]);
                    for (deviation, covariance) in deviations.iter_mut().zip(&covariances) {
                        if let Some(covariance) = covariance {
                            *deviation = covariance[(place, place)].max(0.0).sqrt();
                        }
                    }
                    twins.correct(points[shortlist[place]].network, &mut means, &mut deviations);
                    if is_open[place] { acquisition.of(&means, &deviations) } else { 0.0 }
                })
                .collect();
        }
        Ok(expected)
    }

    /// A round by the surrogate.
    fn promising(
        &mut self,
        problem: &Problem,
        history: &History,
        count: usize,
    ) -> Result<Vec<Architecture>, StrategyError> {
        let known = history.most_instructive(self.config.fitted);
        let points = self.encoder.encode_all(problem, known.iter().map(|evaluation| &evaluation.architecture))?;
        let (start, steps) = (&self.hyperparameters, self.config.fitting);
        let surrogate = Surrogate::fit(history.objectives(), &known, &points, start, steps, &mut self.rng)?;
        self.hyperparameters = surrogate.hyperparameters();
        let stats = self.imagine(problem, history, &surrogate, self.config.updates)?;
        let twins = Twins::new(history.objectives(), &known, &points, &surrogate);
        let mut expected = self.choose(problem, history, &twins, &surrogate, count)?;
        expected.stats = stats;
        let chosen = expected.means.iter().map(|(architecture, _)| architecture.clone()).collect();
        self.expected = Some(expected);
        Ok(chosen)
    }
}

impl Strategy for ModelBased {
    fn name(&self) -> &'static str {
        "model-based"
    }

    fn ask(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Proposal>, StrategyError> {
        self.expected = None;
        let mut round = self.spread(problem, history, count)?;
        // A surrogate needs something that was measured; until then everything is tried.
        let is_told = history.instructive().iter().any(|evaluation| evaluation.complete().is_some());
        if round.is_empty() && is_told {
            round = self.promising(problem, history, count)?;
        }
        let mut unseen = Unseen::new(problem, history);
        for architecture in &round {
            unseen.take(architecture)?;
        }
        round.extend(unseen.random(count - round.len(), &mut self.rng)?);
        Ok(round.into_iter().map(|architecture| Proposal { architecture, preference: None }).collect())
    }

    fn tell(&mut self, problem: &Problem, history: &History, round: &[Proposal]) -> Result<Diagnostics, StrategyError> {
        let mut diagnostics = Diagnostics::of_round(problem, round);
        let Some(expected) = self.expected.take() else { return Ok(diagnostics) };
        for (architecture, means) in &expected.means {
            let Some(evaluation) = history.known(&problem.key(architecture)?) else { continue };
            for (objective, (mean, value)) in means.iter().zip(&evaluation.values).enumerate() {
                if let Some(value) = value {
                    self.foresight.observe(objective, *mean, *value);
                }
            }
        }
        for (index, objective) in problem.objectives().iter().enumerate() {
            if let Some(correlation) = self.foresight.rank_correlation(index) {
                diagnostics.scalars.push((rank_correlation_name(objective), correlation));
            }
        }
        diagnostics.scalars.push(("acquisition", expected.acquisition));
        if let Some(stats) = expected.stats {
            diagnostics.scalars.extend([
                ("loss", stats.loss),
                ("entropy", stats.entropy),
                ("gradient_norm", stats.gradient_norm),
                ("mean_reward", stats.mean_reward),
                ("baseline", stats.baseline),
            ]);
        }
        Ok(diagnostics)
    }

    fn policy(&self) -> Option<&Policy> {
        Some(self.learner.policy())
    }

    fn save(&self) -> Result<Vec<u8>, StrategyError> {
        let surrogate = serde_json::to_vec(&(&self.hyperparameters, &self.foresight)).map_err(StateError::misfit)?;
        Ok(seal(self.name(), &[&self.learner.save()?, &save_rng(&self.rng)?, &surrogate]))
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StrategyError> {
        let [learner, rng, surrogate] = open(self.name(), state)?;
        let rng = restore_rng(rng)?;
        let surrogate = serde_json::from_slice(surrogate).map_err(StateError::misfit)?;
        self.learner.restore(learner)?;
        (self.hyperparameters, self.foresight) = surrogate;
        (self.rng, self.expected) = (rng, None);
        Ok(())
    }
}

/// What the rank correlation of an objective's predictions is called in reports.
fn rank_correlation_name(objective: Objective) -> &'static str {
    match objective {
        Objective::Error => "rank_correlation/error",
        Objective::Time => "rank_correlation/time_ms",
        Objective::Energy => "rank_correlation/energy_mj",
        Objective::Parameters => "rank_correlation/parameters",
        Objective::Macs => "rank_correlation/macs",
        Objective::ActivationBytes => "rank_correlation/activation_bytes",
    }
}

#[cfg(test)]
mod tests;
