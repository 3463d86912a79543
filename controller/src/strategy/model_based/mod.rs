//! The model-based policy gradient: the policy learns from simulated episodes, which a surrogate judges, and the next
//! jobs are those with the highest expected hypervolume improvement.
//!
//! A round after the [`start`]:
//! 1. fit the [`Surrogate`](crate::surrogate::Surrogate) to its training set: measurements and trainings of this search,
//!    and imports;
//! 2. update the policy on simulated episodes, which cost nothing;
//! 3. gather candidates: drawn from the policy, imported, neighbours of the front and their neighbours, random;
//! 4. measure those of the highest expected improvement, which takes seconds;
//! 5. with their time and energy known, train the best one in full out of those that were trained for the short schedule,
//!    then some others for the short schedule; without short trainings, train the best ones in full.
//!
//! Each choice of a full training is assumed to be as good as predicted before the next one (kriging believer; Ginsbourger,
//! Le Riche and Carraro 2010), and so are pending jobs. A short training makes predictions surer, but it does not move the
//! front.
//!
//! A network that was trained in a different encoding keeps its error ([`isomorphic`]), and a round trains only one encoding
//! of each network.

mod acquisition;
pub(super) mod candidates;
mod choice;
mod config;
mod hopeless;
pub(super) mod improvement;
mod isomorphic;
mod prediction_quality;
mod round;
mod simulated;
mod stage;
mod start;
mod telling;

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use child::space::Architecture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use config::ModelBasedConfig;

use super::random::{restore_rng, save_rng};
use super::{Decision, Room, Strategy, WantedJob};
use crate::history::{Evaluation, History};
use crate::policy::{Conditions, Learner, Policy};
use crate::problem::Problem;
use crate::seal::{open, seal};
use crate::surrogate::{Encoder, Hyperparameters, Start};
use candidates::Candidates;
use prediction_quality::PredictionQuality;
use round::Round;
use stage::{is_ready, pending_trainings};

/// Learns from simulated episodes and evaluates the most promising candidates.
pub struct ModelBased {
    config: ModelBasedConfig,
    learner: Learner,
    encoder: Encoder,
    rng: ChaCha8Rng,
    /// Start of the next fit of the surrogate.
    hyperparameters: Start,
    quality: PredictionQuality,
    /// Predictions whose results are not known.
    forecasts: Vec<Forecast>,
    round: Progress,
    /// Trainings that were decided on for several fronts.
    turns: usize,
}

/// Predictions for a network, until its results are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Forecast {
    architecture: Architecture,
    /// Means of the objectives that are not known, in their units.
    means: Vec<Option<f64>>,
}

/// How far a round has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Whether its measurements are decided on.
    is_measured: bool,
    /// Full trainings of it that are decided on.
    trained: usize,
}

/// The state besides policy and generator.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Saved {
    hyperparameters: Start,
    quality: PredictionQuality,
    forecasts: Vec<Forecast>,
    round: Progress,
    #[serde(default)]
    turns: usize,
}

impl ModelBased {
    /// Candidates that are neighbours of the front's neighbours, for every trained network: on four tables of
    /// NAS-Bench-201 better than none, and than a constant number.
    const SECOND: usize = 6;
    /// Part of a round's measurements that may still be under way when its trainings are decided on, if a trainer is idle.
    const LATE: usize = 4;

    /// A fresh policy without a surrogate, all randomness from one seed.
    ///
    /// # Errors
    /// If a setting is out of range, or an architecture of the space gives no graph.
    pub fn new(config: ModelBasedConfig, problem: &Problem, device: &Device, seed: u64) -> Result<Self> {
        config.check().context("the strategy's settings")?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let policy =
            config.policy.init(problem.space().decisions(), Conditions::of(problem.targets()), device, &mut rng)?;
        let learner = Learner::new(policy, config.update.clone())?.with_least_entropy(least_entropy(&config, problem));
        let encoder = Encoder::new(problem)?;
        let Saved { hyperparameters, quality, forecasts, round, turns } = Saved::default();
        Ok(Self { config, learner, encoder, rng, hyperparameters, quality, forecasts, round, turns })
    }

    /// All candidates for the next evaluations.
    fn candidates(
        &mut self,
        problem: &Problem,
        history: &History,
        promising: &[&Evaluation],
    ) -> Result<Vec<Architecture>> {
        let mut candidates = Candidates::new(problem, history);
        let preferences = simulated::preferences(problem, self.config.drawn, &mut self.rng);
        let drawn = self.learner.policy().sample(&preferences, &mut self.rng)?;
        drawn.into_iter().for_each(|architecture| candidates.push(architecture));
        // Imported architectures may be good, and random ones would rarely hit them.
        history.imported().for_each(|evaluation| candidates.push(evaluation.architecture.clone()));
        let is_trained = |one: &&Evaluation| one.short_error.is_some() || problem.targets().is_complete(&one.values);
        let trained = history.evaluations().iter().filter(is_trained).count();
        let (space, mut members) = (problem.space(), candidates::members(problem, history));
        members.extend(promising);
        candidates.push_neighbours(space, &members, self.config.neighbours, &mut self.rng);
        // The more networks are known, the fewer unknown neighbours the front has: search further away.
        let second = (Self::SECOND * trained).min(self.config.neighbours);
        candidates.push_second_neighbours(space, &members, second, &mut self.rng);
        candidates.push_random(space, self.config.random, &mut self.rng);
        Ok(candidates.found)
    }

    /// Jobs of a round: measurements, then trainings.
    fn round(&mut self, problem: &Problem, history: &History, room: &Room) -> Result<Option<Round>> {
        let fidelity = problem.fidelity();
        if fidelity.short_epochs == 0 && fidelity.measure_ahead == 0 {
            return self.whole(problem, history, room);
        }
        // Each front needs as many as that of a search for one target.
        let ahead = fidelity.measure_ahead.max(1) * problem.targets().searched().count();
        let is_waiting = pending_trainings(history, 1) > room.trainers;
        if !self.round.is_measured && room.measurements > 0 && !is_waiting {
            self.round.is_measured = true;
            let round = self.measurements(problem, history, ahead)?;
            if !round.jobs.is_empty() {
                return Ok(Some(round));
            }
        }
        let measuring = history.networks_to_measure();
        let is_late = measuring > 0 && measuring * Self::LATE > ahead;
        if room.trainings == 0 || !self.round.is_measured || is_late {
            return Ok(None);
        }
        let left = room.batch.saturating_sub(self.round.trained).max(1);
        let (full, short) = match fidelity.short_trainings() {
            0 if room.trainers <= room.batch => (left, 0),
            short if short > 0 => (1, short),
            _ => (left.min(room.trainings), 0),
        };
        let round = self.trainings(problem, history, full, short)?;
        self.round.trained += round.jobs.len();
        if short > 0 || self.round.trained >= room.batch || round.jobs.is_empty() {
            self.round = Progress::default();
        }
        if round.jobs.is_empty() && room.measurements > 0 {
            // None of those measured may be trained.
            self.round.is_measured = true;
            return self.measurements(problem, history, ahead).map(Some);
        }
        Ok(Some(round))
    }

    /// The next networks where each measured one is trained in full.
    fn whole(&mut self, problem: &Problem, history: &History, room: &Room) -> Result<Option<Round>> {
        let ready: Vec<_> = history.evaluations().iter().filter(|one| is_ready(history, one)).collect();
        let epochs = problem.fidelity().full_epochs;
        if room.trainings > 0 && !ready.is_empty() {
            let jobs = ready.iter().map(|one| WantedJob::training(one, epochs)).collect();
            return Ok(Some(Round::of_jobs(jobs)));
        }
        let is_ahead = !ready.is_empty() || history.networks_to_measure() > 0;
        if is_ahead || room.measurements == 0 {
            return Ok(None);
        }
        self.measurements(problem, history, room.batch.max(1)).map(Some)
    }

    /// Compares predictions with the results that are known by now.
    fn observe(&mut self, problem: &Problem, history: &History) -> Result<()> {
        for Forecast { architecture, means } in std::mem::take(&mut self.forecasts) {
            let key = problem.key(&architecture)?;
            let known = history.known(&key);
            let values = known.map_or(&[][..], |known| &known.values);
            let is_open = history.pending_job(&key).is_some() || known.is_some_and(|known| !known.status.is_end());
            let mut left = Vec::new();
            for (objective, mean) in means.into_iter().enumerate() {
                match (mean, values.get(objective).copied().flatten()) {
                    (Some(mean), Some(value)) => {
                        self.quality.observe(objective, mean, value);
                        left.push(None);
                    }
                    (mean, _) => left.push(mean),
                }
            }
            if is_open && left.iter().any(Option::is_some) {
                self.forecasts.push(Forecast { architecture, means: left });
            }
        }
        Ok(())
    }
}

/// The entropy of the policy, in nats, at which its draws are seldom the same: twice the logarithm of their number, but at
/// most half of the entropy of random draws.
fn least_entropy(config: &ModelBasedConfig, problem: &Problem) -> f64 {
    let random: f64 = problem.space().decisions().iter().map(|decision| (decision.choices.len() as f64).ln()).sum();
    (2.0 * (config.drawn.max(1) as f64).ln()).min(0.5 * random)
}

impl Strategy for ModelBased {
    fn name(&self) -> &'static str {
        "model-based"
    }

    fn ask(&mut self, problem: &Problem, history: &History, room: &Room) -> Result<Decision> {
        self.observe(problem, history)?;
        if let Some(jobs) = self.start(problem, history, room)? {
            return Ok(Decision { jobs, diagnostics: None });
        }
        let round = self.round(problem, history, room)?;
        Ok(round.map_or_else(Decision::default, |Round { jobs, diagnostics, .. }| Decision {
            jobs,
            diagnostics: Some(diagnostics),
        }))
    }

    fn hopeless(&mut self, problem: &Problem, history: &History) -> Result<Vec<u64>> {
        self.without_chance(problem, history)
    }

    fn most_telling(
        &mut self,
        problem: &Problem,
        history: &History,
        target: usize,
        networks: &[&Evaluation],
    ) -> Result<usize> {
        self.telling(problem, history, target, networks)
    }

    fn policy(&self) -> Option<&Policy> {
        Some(self.learner.policy())
    }

    fn save(&self) -> Result<Vec<u8>> {
        let saved = Saved {
            hyperparameters: self.hyperparameters.clone(),
            quality: self.quality.clone(),
            forecasts: self.forecasts.clone(),
            round: self.round,
            turns: self.turns,
        };
        Ok(seal(self.name(), &[&self.learner.save()?, &save_rng(&self.rng)?, &serde_json::to_vec(&saved)?]))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let [learner, rng, saved] = open(self.name(), state)?;
        let rng = restore_rng(rng)?;
        let saved = Saved::read(saved)?;
        self.learner.restore(learner)?;
        self.rng = rng;
        self.hyperparameters = saved.hyperparameters;
        (self.quality, self.forecasts, self.round, self.turns) =
            (saved.quality, saved.forecasts, saved.round, saved.turns);
        Ok(())
    }
}

impl Saved {
    fn read(bytes: &[u8]) -> Result<Self> {
        // Before jobs, a state had hyper-parameters and quality alone.
        let old = |_| -> Result<Self, serde_json::Error> {
            let (single, quality): (Vec<Hyperparameters>, _) = serde_json::from_slice(bytes)?;
            Ok(Self { hyperparameters: Start { single, joint: None }, quality, ..Self::default() })
        };
        serde_json::from_slice(bytes).or_else(old).context("the saved state does not fit")
    }
}

#[cfg(test)]
mod tests;
