//! Strategies: they decide on the next jobs.
//!
//! The search asks a strategy for jobs whenever a device or a trainer is free, and enters the results into the history,
//! which the strategy sees the next time. A strategy neither evaluates nor keeps the history, so any strategy works with
//! any evaluator.

mod bayesian;
mod belief;
mod config;
mod evolution;
mod measure_first;
mod model_based;
mod policy_gradient;
mod random;
mod unseen;

#[cfg(test)]
mod end_tests;
#[cfg(test)]
pub(crate) mod toy;

use bayesian::{Bayesian, BayesianConfig};
pub use config::StrategyConfig;
use evolution::{Evolution, EvolutionConfig};
pub use model_based::{ModelBased, ModelBasedConfig};
use policy_gradient::{PolicyGradient, PolicyGradientConfig};
use random::{Random, RandomConfig};

use anyhow::Result;
use child::space::Architecture;
use serde::{Deserialize, Serialize};

use crate::history::{Evaluation, History, Work};
use crate::policy::Policy;
use crate::preference::Preference;
use crate::problem::Problem;

/// An architecture that a strategy proposes, with the preference that it was drawn for, if any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The architecture.
    pub architecture: Architecture,
    /// The preference.
    pub preference: Option<Preference>,
}

impl From<Architecture> for Proposal {
    fn from(architecture: Architecture) -> Self {
        Self { architecture, preference: None }
    }
}

/// Statistics of a round for the observers of a search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnostics {
    /// Named numbers, such as `loss` or `entropy`.
    pub scalars: Vec<(String, f64)>,
    /// For each decision its name, and for each of its choices the name and how often it was proposed.
    pub choices: Vec<(String, Vec<(String, u64)>)>,
    /// What a surrogate predicts for the networks of the round.
    pub predictions: Vec<Prediction>,
}

/// A surrogate's prediction for a network that was decided on.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The network.
    pub architecture: Architecture,
    /// For each objective the value and its standard deviation, in the objective's unit; `None` where it is known.
    pub values: Vec<Option<(f64, f64)>>,
}

impl Diagnostics {
    /// The choices taken in a round, without numbers.
    pub fn of_round(problem: &Problem, round: &[Proposal]) -> Self {
        let mut choices = Vec::new();
        for (index, decision) in problem.space().decisions().iter().enumerate() {
            let mut counts = vec![0; decision.choices.len()];
            for choice in round.iter().filter_map(|proposal| proposal.architecture.choices().get(index)) {
                if let Some(count) = counts.get_mut(*choice) {
                    *count += 1;
                }
            }
            choices.push((decision.name.clone(), decision.choices.iter().cloned().zip(counts).collect()));
        }
        Self { choices, ..Self::default() }
    }

    /// Adds a named number.
    pub fn add(&mut self, name: impl Into<String>, value: f64) {
        self.scalars.push((name.into(), value));
    }
}

/// Free places for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Measurements that could begin at once.
    pub measurements: usize,
    /// Trainings that could begin at once.
    pub trainings: usize,
    /// Trainings that can be under way at a time.
    pub trainers: usize,
    /// Networks of a round, for strategies that decide in rounds.
    pub batch: usize,
}

/// A job that a strategy decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedJob {
    /// The network.
    pub architecture: Architecture,
    /// The measurement or training.
    pub work: Work,
}

impl WantedJob {
    /// Measurements of a network on all targets that are searched for.
    fn measurements(problem: &Problem, architecture: &Architecture) -> impl Iterator<Item = Self> {
        let of = |target| Self { architecture: architecture.clone(), work: Work::Measure { target } };
        problem.targets().searched().map(of)
    }

    /// A training of a network that is known.
    fn training(evaluation: &Evaluation, epochs: u64) -> Self {
        Self { architecture: evaluation.architecture.clone(), work: Work::Train { epochs } }
    }
}

/// What a strategy decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The next jobs, the first one first. There may be more than there is room for: the others wait.
    pub jobs: Vec<WantedJob>,
    /// Statistics, where the strategy has learnt.
    pub diagnostics: Option<Diagnostics>,
}

/// Decides on the next jobs.
///
/// A strategy is a function of its seed and of the results: equal seeds and results give equal decisions.
///
/// ```
/// use controller::history::{History, Work};
/// use controller::problem::Problem;
/// use controller::strategy::{Decision, Room, Strategy, WantedJob};
/// use rand::SeedableRng;
/// use rand_chacha::ChaCha8Rng;
///
/// /// Trains random architectures in full, and measures none.
/// struct Dice(ChaCha8Rng);
///
/// impl Strategy for Dice {
///     fn name(&self) -> &'static str {
///         "dice"
///     }
///
///     fn ask(&mut self, problem: &Problem, history: &History, room: &Room) -> anyhow::Result<Decision> {
///         let work = Work::Train { epochs: problem.fidelity().full_epochs };
///         let architecture = problem.space().random(&mut self.0);
///         let is_new = !history.is_taken(&problem.key(&architecture)?);
///         let jobs = if is_new && room.trainings > 0 { vec![WantedJob { architecture, work }] } else { Vec::new() };
///         Ok(Decision { jobs, diagnostics: None })
///     }
///
///     fn save(&self) -> anyhow::Result<Vec<u8>> {
///         Ok(serde_json::to_vec(&self.0)?)
///     }
///
///     fn restore(&mut self, state: &[u8]) -> anyhow::Result<()> {
///         self.0 = serde_json::from_slice(state)?;
///         Ok(())
///     }
/// }
///
/// let dice = Dice(ChaCha8Rng::seed_from_u64(1));
/// assert_eq!(dice.name(), "dice");
/// ```
pub trait Strategy: Send {
    /// Name in experiment files.
    fn name(&self) -> &'static str;

    /// Decides on the next jobs. The history has all results so far, and the jobs that are pending. Without a job while
    /// none is pending, the search ends: the strategy knows no network more. The budget is the search's concern.
    ///
    /// A network that is measured, or trained for a few epochs, may get another job; one that is new gets its number.
    ///
    /// # Errors
    /// If an architecture of the space gives no graph, or a device fails.
    fn ask(&mut self, problem: &Problem, history: &History, room: &Room) -> Result<Decision>;

    /// Learns from the last results when a search ends, where it has not yet.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    fn learn(&mut self, _problem: &Problem, _history: &History) -> Result<Option<Diagnostics>> {
        Ok(None)
    }

    /// Numbers of evaluations whose full trainings are under way and have less than the
    /// [least chance](crate::problem::Fidelity::least_chance) to enter the front. Asked whenever the front may have moved.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    fn hopeless(&mut self, _problem: &Problem, _history: &History) -> Result<Vec<u64>> {
        Ok(Vec::new())
    }

    /// The place of the network to measure next on a target that came later, among trained ones that were not measured there;
    /// the first by default.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    fn most_telling(
        &mut self,
        _problem: &Problem,
        _history: &History,
        _target: usize,
        _networks: &[&Evaluation],
    ) -> Result<usize> {
        Ok(0)
    }

    /// The present policy, if the strategy has one: it proposes for any preference without an evaluation.
    fn policy(&self) -> Option<&Policy> {
        None
    }

    /// The state that determines the next decisions, generator included.
    ///
    /// # Errors
    /// If a device fails.
    fn save(&self) -> Result<Vec<u8>>;

    /// Restores a saved state of a strategy of the same kind, space and settings.
    ///
    /// # Errors
    /// If it is damaged or belongs to a different strategy: this one is unchanged then.
    fn restore(&mut self, state: &[u8]) -> Result<()>;
}
