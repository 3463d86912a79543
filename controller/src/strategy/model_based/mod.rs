//! The model-based policy gradient: the policy learns from simulated episodes, which a surrogate judges, and the next
//! evaluations are those with the highest expected hypervolume improvement.
//!
//! A round after the first evaluations:
//! 1. fit the [`Surrogate`] to its training set: measurements of this search and imports;
//! 2. update the policy on simulated episodes, which cost nothing;
//! 3. gather candidates: drawn from the policy, imported, neighbours of the front and their neighbours, random;
//! 4. choose by expected hypervolume improvement, and assume the prediction of each choice before the next (kriging
//!    believer; Ginsbourger, Le Riche and Carraro 2010).
//!
//! A network that was measured in a different encoding keeps its measured error ([`isomorphic`]), and a round has only one
//! encoding of each network.

mod acquisition;
mod candidates;
mod config;
mod isomorphic;
mod prediction_quality;
mod simulated;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use child::space::Architecture;
use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

pub use config::ModelBasedConfig;

use super::measure_first::Proposer;
use super::random::{restore_rng, save_rng};
use super::unseen::Unseen;
use super::{Diagnostics, Proposal};
use crate::history::History;
use crate::policy::{Learner, Policy, UpdateStats};
use crate::problem::Problem;
use crate::seal::{open, seal};
use crate::surrogate::{Encoder, Encoding, Hyperparameters, Posterior, Surrogate};
use acquisition::Acquisition;
use candidates::Candidates;
use isomorphic::IsomorphicErrors;
use prediction_quality::PredictionQuality;

/// Learns from simulated episodes and evaluates the most promising candidates.
pub struct ModelBased {
    config: ModelBasedConfig,
    learner: Learner,
    encoder: Encoder,
    rng: ChaCha8Rng,
    /// Start of the next fit of the surrogate.
    hyperparameters: Vec<Hyperparameters>,
    quality: PredictionQuality,
    /// Predictions for the latest round.
    expected: Option<Forecast>,
}

/// Predictions for a round, until its results are known.
struct Forecast {
    /// Architectures with their means on each objective's scale.
    means: Vec<(Architecture, Vec<f64>)>,
    acquisition: f64,
    stats: Option<UpdateStats>,
}

/// Predictions for candidates, with the measured errors of isomorphic architectures.
struct Beliefs<'a> {
    points: &'a [Arc<Encoding>],
    prediction: &'a [Posterior],
    isomorphic: &'a IsomorphicErrors,
}

impl Beliefs<'_> {
    /// Means and standard deviations of a candidate's objectives.
    fn of(&self, index: usize) -> (Vec<f64>, Vec<f64>) {
        let columns = self.prediction.iter().map(|column| (column.means[index], column.deviations[index]));
        let (mut means, mut deviations): (Vec<f64>, Vec<f64>) = columns.unzip();
        self.isomorphic.correct(self.points[index].network, &mut means, &mut deviations);
        (means, deviations)
    }

    /// The same, with the deviations from the covariances of the shortlist, where the candidate has a place.
    fn given(&self, index: usize, place: usize, covariances: &[Option<Mat<f64>>]) -> (Vec<f64>, Vec<f64>) {
        let (mut means, mut deviations) = self.of(index);
        for (deviation, covariance) in deviations.iter_mut().zip(covariances) {
            if let Some(covariance) = covariance {
                *deviation = covariance[(place, place)].max(0.0).sqrt();
            }
        }
        self.isomorphic.correct(self.points[index].network, &mut means, &mut deviations);
        (means, deviations)
    }
}

impl ModelBased {
    /// Candidates that remain after the first choice of a round.
    const SHORTLIST: usize = 150;
    /// Candidates that are neighbours of the front's neighbours, for every evaluated network: on four tables of
    /// NAS-Bench-201 better than none, and than a constant number.
    const SECOND: usize = 6;
    /// Architectures drawn to spread the start over the multiply-accumulates of the space.
    const SPREAD: usize = 300;

    /// A fresh policy without a surrogate, all randomness from one seed.
    ///
    /// # Errors
    /// If a setting is out of range, or an architecture of the space gives no graph.
    pub fn new(config: ModelBasedConfig, problem: &Problem, device: &Device, seed: u64) -> Result<Self> {
        config.check().context("the strategy's settings")?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let policy = config.policy.init(problem.space().decisions(), problem.objectives().len(), device, &mut rng)?;
        let learner = Learner::new(policy, config.update.clone())?;
        let encoder = Encoder::new(problem)?;
        let (hyperparameters, quality) = (Vec::new(), PredictionQuality::default());
        Ok(Self { config, learner, encoder, rng, hyperparameters, quality, expected: None })
    }

    /// New networks, spread over the multiply-accumulates of the space: the start has as many equal parts as networks, and
    /// each network is drawn from a different part.
    fn spread(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Architecture>> {
        let mut drawn = Vec::with_capacity(Self::SPREAD);
        for _ in 0..Self::SPREAD {
            let architecture = problem.space().random(&mut self.rng);
            let graph = problem.graph(&architecture)?;
            drawn.push((graph.pruned().cost().macs, architecture));
        }
        drawn.sort_by_key(|(macs, _)| *macs);
        let parts = self.config.start;
        // Every other part first, so that half a start is spread as well.
        let order: Vec<usize> = (0..parts).step_by(2).chain((1..parts).step_by(2)).collect();
        let mut unseen = Unseen::new(problem, history);
        let mut found = Vec::new();
        // Complete imports replace as many networks of the start: the surrogate is fitted to them as well.
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

    /// All candidates for the next evaluations.
    fn candidates(&mut self, problem: &Problem, history: &History) -> Result<Vec<Architecture>> {
        let mut candidates = Candidates::new(history);
        let preferences = simulated::preferences(problem, self.config.drawn, &mut self.rng);
        let drawn = self.learner.policy().sample(&preferences, &mut self.rng)?;
        drawn.into_iter().for_each(|architecture| candidates.push(architecture));
        // Imported architectures may be good, and random ones would rarely hit them.
        history.imported().for_each(|evaluation| candidates.push(evaluation.architecture.clone()));
        let (space, members) = (problem.space(), candidates::members(problem, history));
        candidates.push_neighbours(space, &members, self.config.neighbours, &mut self.rng);
        // The more networks are known, the fewer unknown neighbours the front has: search further away.
        let second = (Self::SECOND * history.evaluations().len()).min(self.config.neighbours);
        candidates.push_second_neighbours(space, &members, second, &mut self.rng);
        (0..self.config.random).for_each(|_| candidates.push(space.random(&mut self.rng)));
        Ok(candidates.found)
    }

    /// Chooses up to `count` candidates with unknown networks by expected hypervolume improvement.
    fn choose(
        &mut self,
        problem: &Problem,
        history: &History,
        isomorphic: &IsomorphicErrors,
        surrogate: &Surrogate,
        count: usize,
    ) -> Result<Forecast> {
        let candidates = self.candidates(problem, history)?;
        let points = self.encoder.encode_all(problem, &candidates)?;
        let prediction = surrogate.predict(&points);
        let beliefs = Beliefs { points: &points, prediction: &prediction, isomorphic };
        let mut acquisition = Acquisition::of_history(history, surrogate);
        let improvement =
            |acquisition: &Acquisition, (means, deviations): (Vec<f64>, Vec<f64>)| acquisition.of(&means, &deviations);
        let all: Vec<f64> =
            (0..candidates.len()).into_par_iter().map(|index| improvement(&acquisition, beliefs.of(index))).collect();
        let mut shortlist: Vec<usize> = (0..candidates.len()).collect();
        shortlist.sort_by(|a, b| all[*b].total_cmp(&all[*a]));
        shortlist.truncate(Self::SHORTLIST);
        let mut improvements: Vec<f64> = shortlist.iter().map(|index| all[*index]).collect();
        let mut covariances = surrogate.covariances(&prediction, &points, &shortlist);
        let noise = surrogate.noise();
        let mut unseen = Unseen::new(problem, history);
        let mut expected = Forecast { means: Vec::new(), acquisition: 0.0, stats: None };
        let mut is_open = vec![true; shortlist.len()];
        while expected.means.len() < count {
            let open = (0..shortlist.len()).filter(|place| is_open[*place]);
            // Of equals the first, which is the better one before any choice.
            let Some(best) = open.reduce(|a, b| if improvements[b] > improvements[a] { b } else { a }) else { break };
            is_open[best] = false;
            let architecture = &candidates[shortlist[best]];
            if !unseen.take(architecture)? {
                continue;
            }
            // The measurement of this encoding will give the error of all others.
            let network = points[shortlist[best]].network;
            for (is_open, index) in is_open.iter_mut().zip(&shortlist) {
                *is_open &= points[*index].network != network;
            }
            let (means, _) = beliefs.of(shortlist[best]);
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
            if expected.means.len() < count {
                improvements = (0..shortlist.len())
                    .into_par_iter()
                    .map(|place| match is_open[place] {
                        true => improvement(&acquisition, beliefs.given(shortlist[place], place, &covariances)),
                        false => 0.0,
                    })
                    .collect();
            }
        }
        Ok(expected)
    }

    /// The architectures of a round chosen with the surrogate.
    fn promising(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Architecture>> {
        let known = history.training_subset(self.config.fitted);
        let points = self.encoder.encode_all(problem, known.iter().map(|evaluation| &evaluation.architecture))?;
        let (start, steps) = (&self.hyperparameters, self.config.fitting);
        let surrogate = Surrogate::fit(history.objectives(), &known, &points, start, steps, &mut self.rng)?;
        self.hyperparameters = surrogate.hyperparameters();
        let stats = self.update_policy(problem, history, &surrogate, self.config.updates)?;
        let isomorphic = IsomorphicErrors::new(history.objectives(), &known, &points, &surrogate);
        let mut expected = self.choose(problem, history, &isomorphic, &surrogate, count)?;
        expected.stats = stats;
        let chosen = expected.means.iter().map(|(architecture, _)| architecture.clone()).collect();
        self.expected = Some(expected);
        Ok(chosen)
    }
}

impl Proposer for ModelBased {
    fn name(&self) -> &'static str {
        "model-based"
    }

    fn propose(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Proposal>> {
        self.expected = None;
        let mut round = self.spread(problem, history, count)?;
        // A surrogate needs a complete measurement; until there is one, architectures are random.
        let can_fit = history.training_set().iter().any(|evaluation| evaluation.complete().is_some());
        if round.is_empty() && can_fit {
            round = self.promising(problem, history, count)?;
        }
        let mut unseen = Unseen::new(problem, history);
        for architecture in &round {
            unseen.take(architecture)?;
        }
        round.extend(unseen.random(count - round.len(), &mut self.rng)?);
        Ok(round.into_iter().map(Proposal::from).collect())
    }

    fn has_rounds(&self) -> bool {
        true
    }

    fn learn(&mut self, problem: &Problem, history: &History, round: &[Proposal]) -> Result<Diagnostics> {
        let mut diagnostics = Diagnostics::of_round(problem, round);
        let Some(expected) = self.expected.take() else { return Ok(diagnostics) };
        for (architecture, means) in &expected.means {
            let Some(evaluation) = history.known(&problem.key(architecture)?) else { continue };
            for (objective, (mean, value)) in means.iter().zip(&evaluation.values).enumerate() {
                if let Some(value) = value {
                    self.quality.observe(objective, *mean, *value);
                }
            }
        }
        for (index, objective) in problem.objectives().iter().enumerate() {
            if let Some(correlation) = self.quality.rank_correlation(index) {
                diagnostics.add(format!("rank_correlation/{objective}"), correlation);
            }
        }
        diagnostics.add("acquisition", expected.acquisition);
        for (name, value) in expected.stats.iter().flat_map(UpdateStats::scalars) {
            diagnostics.add(name, value);
        }
        Ok(diagnostics)
    }

    fn policy(&self) -> Option<&Policy> {
        Some(self.learner.policy())
    }

    fn save(&self) -> Result<Vec<u8>> {
        let surrogate = serde_json::to_vec(&(&self.hyperparameters, &self.quality))?;
        Ok(seal(self.name(), &[&self.learner.save()?, &save_rng(&self.rng)?, &surrogate]))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let [learner, rng, surrogate] = open(self.name(), state)?;
        let rng = restore_rng(rng)?;
        let surrogate = serde_json::from_slice(surrogate).context("the saved state does not fit")?;
        self.learner.restore(learner)?;
        (self.hyperparameters, self.quality) = surrogate;
        (self.rng, self.expected) = (rng, None);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
