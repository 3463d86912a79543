//! Architectures as points for the kernel.

use std::collections::HashMap;
use std::sync::Arc;

use child::Error;
use child::graph::{CanonicalKey, Cost};
use child::space::Architecture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::problem::Problem;

/// An architecture in three groups of coordinates, each scaled so that two random architectures of the space have an
/// expected squared distance of 2 in it.
#[derive(Debug, Clone)]
pub struct Encoding {
    /// The decisions, one coordinate a choice.
    pub decisions: Vec<f64>,
    /// Features of the network without dead branches.
    pub live: Vec<f64>,
    /// Features of the layers that a runtime executes.
    pub executed: Vec<f64>,
    /// Costs of the graph: objectives without a surrogate.
    pub cost: Cost,
    /// The network, which other architectures may encode as well.
    pub network: CanonicalKey,
}

impl Encoding {
    pub(super) fn groups(&self) -> [&[f64]; 3] {
        [&self.decisions, &self.live, &self.executed]
    }
}

/// Scale of a group of features: mean and inverse standard deviation of each, 0 for a constant feature.
#[derive(Debug, Clone)]
struct Standard(Vec<(f64, f64)>);

impl Standard {
    fn fit(rows: &[Vec<f64>]) -> Self {
        let count = rows.len() as f64;
        let column = |index: usize| {
            let mean = rows.iter().map(|row| row[index]).sum::<f64>() / count;
            let variance = rows.iter().map(|row| (row[index] - mean).powi(2)).sum::<f64>() / count;
            let varies = variance.sqrt() > 1e-9 * mean.abs().max(1.0);
            (mean, if varies { 1.0 / variance.sqrt() } else { 0.0 })
        };
        let mut columns: Vec<_> = (0..rows.first().map_or(0, Vec::len)).map(column).collect();
        let varying = columns.iter().filter(|(_, inverse)| *inverse > 0.0).count().max(1) as f64;
        columns.iter_mut().for_each(|(_, inverse)| *inverse /= varying.sqrt());
        Self(columns)
    }

    fn apply(&self, row: &[f64]) -> Vec<f64> {
        let varying = self.0.iter().zip(row).filter(|((_, inverse), _)| *inverse > 0.0);
        varying.map(|((mean, inverse), value)| (value - mean) * inverse).collect()
    }
}

/// Turns architectures of one problem into [`Encoding`]s, with a cache.
#[derive(Debug)]
pub struct Encoder {
    live: Standard,
    executed: Standard,
    known: HashMap<Architecture, Arc<Encoding>>,
}

impl Encoder {
    /// Random architectures over which the features are standardised.
    const REFERENCES: usize = 256;
    /// Most points in the cache. A search needs many points repeatedly, and always new ones besides.
    const KNOWN: usize = 20_000;

    /// An encoder for a problem. The scales come from a fixed sample of the space.
    pub fn new(problem: &Problem) -> Result<Self, Error> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (mut live, mut executed) = (Vec::new(), Vec::new());
        for _ in 0..Self::REFERENCES {
            let architecture = problem.space().random(&mut rng);
            let features = problem.graph(&architecture)?.features();
            live.push(features.live);
            executed.push(features.executed);
        }
        Ok(Self { live: Standard::fit(&live), executed: Standard::fit(&executed), known: HashMap::new() })
    }

    pub fn encode_all<'a>(
        &mut self,
        problem: &Problem,
        architectures: impl IntoIterator<Item = &'a Architecture>,
    ) -> Result<Vec<Arc<Encoding>>, Error> {
        architectures.into_iter().map(|architecture| self.encode(problem, architecture)).collect()
    }

    pub fn encode(&mut self, problem: &Problem, architecture: &Architecture) -> Result<Arc<Encoding>, Error> {
        if let Some(known) = self.known.get(architecture) {
            return Ok(Arc::clone(known));
        }
        let graph = problem.graph(architecture)?;
        let features = graph.features();
        let decisions = problem.space().decisions();
        // A decision between c choices differs between two random architectures with probability 1 - 1/c.
        let differing: f64 = decisions.iter().map(|decision| 1.0 - 1.0 / decision.choices.len() as f64).sum();
        let scale = 1.0 / differing.max(f64::MIN_POSITIVE).sqrt();
        let one_hot = decisions.iter().zip(architecture.choices()).flat_map(|(decision, choice)| {
            let count = decision.choices.len();
            (0..count).map(move |index| (f64::from(u8::from(index == *choice)) - 1.0 / count as f64) * scale)
        });
        let encoding = Arc::new(Encoding {
            decisions: one_hot.collect(),
            live: self.live.apply(&features.live),
            executed: self.executed.apply(&features.executed),
            cost: graph.pruned().cost(),
            network: graph.canonical(),
        });
        if self.known.len() >= Self::KNOWN {
            self.known.clear();
        }
        self.known.insert(architecture.clone(), Arc::clone(&encoding));
        Ok(encoding)
    }
}
