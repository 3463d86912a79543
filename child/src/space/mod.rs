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
pub use grammar::Grammar;
pub use mobile::{Mobile, MobileSettings};
pub use nasbench201::{NasBench201, NasBench201Settings};
pub use nasnet::{Nasnet, NasnetSettings};
pub use text::TextError;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::graph::{Graph, Shape};

/// One decision of a search space: a name, and the names of its choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Unique within the space, such as `edge 0→1`.
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
    /// An architecture from the choice taken at each decision; [`SearchSpace::check`] tests it against a space.
    pub fn new(choices: impl Into<Vec<usize>>) -> Self {
        Self { choices: choices.into() }
    }

    /// The choice taken at each decision, in the order of [`SearchSpace::decisions`].
    pub fn choices(&self) -> &[usize] {
        &self.choices
    }
}

/// A search space: its decisions, and the network that an architecture means.
///
/// A search sees only [`decisions`](Self::decisions); files and logs see only the text form; training, timing and
/// surrogates see only the graph. A space gives its [`Grammar`] and its graphs; the rest follows from them:
///
/// ```
/// use child::Error;
/// use child::graph::{Conv, Graph, GraphBuilder, Shape};
/// use child::space::{Architecture, Grammar, SearchSpace};
///
/// /// One convolution with 8 or 16 channels.
/// struct OneLayer(Grammar);
///
/// impl SearchSpace for OneLayer {
///     fn grammar(&self) -> &Grammar {
///         &self.0
///     }
///
///     fn graph(&self, architecture: &Architecture, input: Shape, classes: usize) -> Result<Graph, Error> {
///         self.check(architecture)?;
///         let (mut graph, image) = GraphBuilder::new(input)?;
///         let features = graph.conv(image, Conv::same([8, 16][architecture.choices()[0]], 3, 1))?;
///         graph.classifier(features, classes)
///     }
/// }
///
/// let mut grammar = Grammar::new("one-layer");
/// grammar.text("width=");
/// grammar.decision("width", ["8", "16"]);
/// let space = OneLayer(grammar);
/// let architecture = space.parse("width=16")?;
/// assert_eq!(architecture.choices(), [1]);
/// let graph = space.graph(&architecture, Shape::new(3, 32, 32), 10)?;
/// assert_eq!(graph.cost().parameters, 16 * 27 + 17 * 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SearchSpace: Send + Sync {
    /// The name, the decisions and the text form. At least one decision, each with at least one choice.
    fn grammar(&self) -> &Grammar;

    /// The network with every operation that the architecture names, dead branches included;
    /// [`Graph::pruned`] removes those.
    ///
    /// # Errors
    /// If the architecture is not one of this space, or its layers do not fit the input shape.
    fn graph(&self, architecture: &Architecture, input: Shape, classes: usize) -> Result<Graph, Error>;

    /// Name of the space in experiment files, such as `nasbench201`.
    fn name(&self) -> &'static str {
        self.grammar().name
    }

    /// The decisions, in the order in which a controller takes them.
    fn decisions(&self) -> &[Decision] {
        self.grammar().decisions()
    }

    /// The fixed text of an architecture before each decision, and that after the last one: with the names of the choices
    /// between them it is the architecture's text.
    fn pieces(&self) -> Vec<&str> {
        self.grammar().pieces().collect()
    }

    /// Checks that the architecture has one existing choice for every decision.
    ///
    /// # Errors
    /// The first mistake.
    fn check(&self, architecture: &Architecture) -> Result<(), Error> {
        self.grammar().check(architecture)
    }

    /// The text of an architecture, which [`parse`](Self::parse) reads back.
    ///
    /// # Errors
    /// If the architecture is not one of this space.
    fn format(&self, architecture: &Architecture) -> Result<String, Error> {
        self.grammar().format(architecture)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// A [`TextError`] that points at the place in the text.
    fn parse(&self, text: &str) -> Result<Architecture, TextError> {
        self.grammar().parse(text)
    }

    /// Number of texts of the space, saturating.
    fn size(&self) -> u128 {
        self.decisions().iter().fold(1, |size, decision| size.saturating_mul(decision.choices.len() as u128))
    }

    /// An architecture with every choice drawn uniformly.
    fn random(&self, rng: &mut dyn Rng) -> Architecture {
        let counts = self.decisions().iter().map(|decision| decision.choices.len());
        Architecture::new(counts.map(|count| rng.random_range(0..count)).collect::<Vec<_>>())
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
