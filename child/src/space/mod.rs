//! Search spaces: named lists of decisions, with a text form and a graph for every architecture.

mod blocks;
mod config;
mod grammar;
pub mod mobile;
pub mod nasbench201;
pub mod nasnet;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub use config::SpaceConfig;
pub use mobile::{Mobile, MobileSettings};
pub use nasbench201::{NasBench201, NasBench201Settings};
pub use nasnet::{Nasnet, NasnetSettings};
pub use settings::SpaceError;
pub use text::TextError;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::graph::{Graph, GraphError, Shape};

/// One decision of a search space: a name, and the names of its choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is decided, unique within the space, such as `edge 0→1`.
    pub name: String,
    /// The choices, in the order of their indices. Never empty.
    pub choices: Vec<String>,
}

impl Decision {
    /// A decision from its name and the names of its choices.
    pub fn new(name: impl Into<String>, choices: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), choices: choices.into_iter().map(Into::into).collect() }
    }
}

/// A point of a search space: for every decision, the index of the choice taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Architecture {
    choices: Vec<usize>,
}

impl Architecture {
    /// An architecture from the choice taken at each decision.
    ///
    /// Whether it belongs to a space is asked with [`SearchSpace::check`].
    pub fn new(choices: impl Into<Vec<usize>>) -> Self {
        Self { choices: choices.into() }
    }

    /// The choice taken at each decision, in the order of [`SearchSpace::decisions`].
    pub fn choices(&self) -> &[usize] {
        &self.choices
    }
}

/// An architecture that does not belong to the space it was given to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchitectureError {
    /// It has another number of choices than the space has decisions.
    #[error("the architecture has {found} choices, but the space has {expected} decisions")]
    Length {
        /// Decisions of the space.
        expected: usize,
        /// Choices of the architecture.
        found: usize,
    },
    /// One of its choices does not exist.
    #[error("decision `{decision}` has {choices} choices, so there is no choice number {found}")]
    Choice {
        /// Name of the decision.
        decision: String,
        /// Number of its choices.
        choices: usize,
        /// The index given.
        found: usize,
    },
    /// Its layers do not fit together for this input.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// What is searched: decisions, and what an architecture means.
///
/// A search sees only [`decisions`](Self::decisions); files and logs see only the text form; training, timing and
/// surrogates see only the graph.
pub trait SearchSpace: Send + Sync {
    /// Name of the space in experiment files, such as `nasbench201`.
    fn name(&self) -> &'static str;

    /// The decisions, in the order in which a controller takes them. At least one, each with at least one choice.
    fn decisions(&self) -> &[Decision];

    /// The text of an architecture, which [`parse`](Self::parse) reads back.
    ///
    /// # Errors
    /// If the architecture is not one of this space.
    fn format(&self, architecture: &Architecture) -> Result<String, ArchitectureError>;

    /// Reads the text form.
    ///
    /// # Errors
    /// A [`TextError`] that points at the place in the text.
    fn parse(&self, text: &str) -> Result<Architecture, TextError>;

    /// The network as it is written: every operation that the architecture names, dead branches included.
    /// [`Graph::pruned`] removes those.
    ///
    /// # Errors
    /// If the architecture is not one of this space, or its layers do not fit the input shape.
    fn graph(&self, architecture: &Architecture, input: Shape, classes: usize) -> Result<Graph, ArchitectureError>;

    /// Whether the architecture has one existing choice for every decision.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    fn check(&self, architecture: &Architecture) -> Result<(), ArchitectureError> {
        let (decisions, choices) = (self.decisions(), architecture.choices());
        if decisions.len() != choices.len() {
            return Err(ArchitectureError::Length { expected: decisions.len(), found: choices.len() });
        }
        match decisions.iter().zip(choices).find(|(decision, choice)| **choice >= decision.choices.len()) {
            None => Ok(()),
            Some((decision, &found)) => Err(ArchitectureError::Choice {
                decision: decision.name.clone(),
                choices: decision.choices.len(),
                found,
            }),
        }
    }

    /// Number of texts of the space, saturating.
    fn size(&self) -> u128 {
        self.decisions().iter().fold(1, |size, decision| size.saturating_mul(decision.choices.len() as u128))
    }
    /// An architecture with every choice drawn uniformly.
    fn random(&self, rng: &mut dyn Rng) -> Architecture {
        let draw = |decision: &Decision| rng.random_range(0..decision.choices.len());
        Architecture::new(self.decisions().iter().map(draw).collect::<Vec<_>>())
    }

    /// A neighbour of an architecture of this space: one decision, drawn uniformly among those with another choice,
    /// takes another of its choices, drawn uniformly. The architecture itself if no decision has another choice.
    fn mutate(&self, architecture: &Architecture, rng: &mut dyn Rng) -> Architecture {
        let mut choices = architecture.choices().to_vec();
        let decisions = self.decisions().iter().map(|decision| decision.choices.len()).zip(&mut choices);
        let mut open: Vec<(usize, &mut usize)> = decisions.filter(|(count, _)| *count > 1).collect();
        if !open.is_empty() {
            let (count, choice) = open.swap_remove(rng.random_range(0..open.len()));
            *choice = (*choice + rng.random_range(1..count)) % count;
        }
        Architecture::new(choices)
    }
}
