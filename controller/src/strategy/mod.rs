//! Strategies: they propose the next networks.
//!
//! The search asks a strategy for proposals, evaluates the networks that are new, and tells the strategy the results. A
//! strategy neither evaluates nor keeps the history, so any strategy works with any evaluator.

mod config;
mod evolution;
mod model_based;
mod policy_gradient;
mod random;
mod unseen;

#[cfg(test)]
mod end_tests;
#[cfg(test)]
pub(crate) mod toy;

pub use config::StrategyConfig;
use evolution::{Evolution, EvolutionConfig};
pub use model_based::{ModelBased, ModelBasedConfig};
use policy_gradient::{PolicyGradient, PolicyGradientConfig};
use random::{Random, RandomConfig};

use anyhow::Result;
use child::space::Architecture;

use crate::history::History;
use crate::policy::Policy;
use crate::preference::Preference;
use crate::problem::Problem;

/// An architecture that a strategy proposes, with the preference that it was drawn for, if any.
#[derive(Debug, Clone, PartialEq)]
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
        Self { scalars: Vec::new(), choices }
    }

    /// Adds a named number.
    pub fn add(&mut self, name: impl Into<String>, value: f64) {
        self.scalars.push((name.into(), value));
    }
}

/// Proposes the next networks.
///
/// A strategy is a function of its seed and of the results: equal seeds and results give equal proposals.
///
/// ```
/// use controller::history::History;
/// use controller::problem::Problem;
/// use controller::strategy::{Proposal, Strategy};
/// use rand::SeedableRng;
/// use rand_chacha::ChaCha8Rng;
///
/// /// Draws architectures at random; repeated networks cost nothing.
/// struct Dice(ChaCha8Rng);
///
/// impl Strategy for Dice {
///     fn name(&self) -> &'static str {
///         "dice"
///     }
///
///     fn ask(&mut self, problem: &Problem, _: &History, count: usize) -> anyhow::Result<Vec<Proposal>> {
///         let mut draw = || Proposal { architecture: problem.space().random(&mut self.0), preference: None };
///         Ok((0..count).map(|_| draw()).collect())
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

    /// Proposes up to `count` different networks that the history does not know; fewer only if it finds no more, none if
    /// everything is known.
    ///
    /// A round may contain known or repeated networks besides: they cost no evaluation and the strategy can learn from
    /// them.
    ///
    /// # Errors
    /// If an architecture of the space gives no graph, or a device fails.
    fn ask(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Proposal>>;

    /// Tells the strategy the results of a round that it proposed: the history knows them. Proposals that were not
    /// evaluated, because the search ended, are skipped. By default, the strategy learns from the history alone.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    fn tell(&mut self, problem: &Problem, _history: &History, round: &[Proposal]) -> Result<Diagnostics> {
        Ok(Diagnostics::of_round(problem, round))
    }

    /// The present policy, if the strategy has one: it proposes for any preference without an evaluation.
    fn policy(&self) -> Option<&Policy> {
        None
    }

    /// The state that determines the next rounds, generator included.
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
