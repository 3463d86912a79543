//! Strategies: who proposes what is evaluated next.
//!
//! A strategy is asked for proposals, the loop evaluates those networks that are not known yet, and the strategy is
//! told. It neither evaluates nor keeps the history, so any strategy works with any evaluator.

mod config;
mod evolution;
mod model_based;
mod policy_gradient;
mod problem;
mod random;
mod unseen;

#[cfg(test)]
mod end_tests;
#[cfg(test)]
pub(crate) mod toy;

pub use config::StrategyConfig;
pub use evolution::{Evolution, EvolutionConfig};
pub use model_based::{ModelBased, ModelBasedConfig};
pub use policy_gradient::{PolicyGradient, PolicyGradientConfig};
pub use problem::{Identity, Problem, ProblemError};
pub use random::{Random, RandomConfig};

use child::space::{Architecture, ArchitectureError};

use crate::history::History;
use crate::policy::{Policy, PolicyError, StateError};
use crate::preference::Preference;
use crate::surrogate::SurrogateError;

/// An architecture that a strategy wants to know about, and the preference that it was drawn for, if there was one.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The architecture.
    pub architecture: Architecture,
    /// What it was drawn for.
    pub preference: Option<Preference>,
}

/// Figures of a round for whoever watches the search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnostics {
    /// Named numbers, such as `loss` or `entropy`.
    pub scalars: Vec<(&'static str, f64)>,
    /// For each decision its name and how often each of its choices was proposed.
    pub choices: Vec<(String, Vec<u64>)>,
}

impl Diagnostics {
    /// The choices taken in a round, and no numbers yet.
    pub fn of_round(problem: &Problem, round: &[Proposal]) -> Self {
        let count = |(index, decision): (usize, &child::space::Decision)| {
            let mut counts = vec![0; decision.choices.len()];
            let taken = round.iter().filter_map(|proposal| proposal.architecture.choices().get(index));
            for choice in taken {
                if let Some(count) = counts.get_mut(*choice) {
                    *count += 1;
                }
            }
            (decision.name.clone(), counts)
        };
        let choices = problem.space().decisions().iter().enumerate().map(count).collect();
        Self { scalars: Vec::new(), choices }
    }
}

/// Who proposes what is evaluated next.
///
/// A strategy is a function of its seed and of the answers it gets: the same of both give the same proposals.
pub trait Strategy: Send {
    /// Name in experiment files.
    fn name(&self) -> &'static str;

    /// Proposes up to `count` different networks that the history does not know, and fewer only where it finds no
    /// more: none at all when everything is known.
    ///
    /// Besides these, a round may name networks that the history knows already or that stand in it before: they cost
    /// no evaluation and still teach.
    ///
    /// # Errors
    /// If the space's own architectures give no graph, or a device fails.
    fn ask(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Proposal>, StrategyError>;

    /// Learns from a round that it proposed. What the history knows of it is learnt from; a proposal that was never
    /// evaluated, because the search ended, is passed over.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    fn tell(&mut self, problem: &Problem, history: &History, round: &[Proposal]) -> Result<Diagnostics, StrategyError>;

    /// The policy as it stands, where it has one: it answers for any preference without another evaluation.
    fn policy(&self) -> Option<&Policy> {
        None
    }

    /// Everything that the next rounds hang on, generator included.
    ///
    /// # Errors
    /// If a device fails.
    fn save(&self) -> Result<Vec<u8>, StrategyError>;

    /// Takes over a saved state of a strategy of the same kind, space and settings.
    ///
    /// # Errors
    /// If it is damaged or of something else: the strategy is unchanged then.
    fn restore(&mut self, state: &[u8]) -> Result<(), StrategyError>;
}

/// What stops a strategy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StrategyError {
    /// An architecture of the space gives no network.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// The policy could not draw or learn.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The surrogate could not be fitted.
    #[error(transparent)]
    Surrogate(#[from] SurrogateError),
    /// A state could not be saved or restored.
    #[error(transparent)]
    State(#[from] StateError),
    /// A setting that makes no sense.
    #[error("the strategy's `{name}` is {found}: it must be {range}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        found: f64,
        /// What it may be.
        range: &'static str,
    },
}
