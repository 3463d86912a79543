//! Predictions for networks that were not measured, from what a run measured: how fast, how frugal and how accurate they would
//! be.

mod table;

use std::sync::Arc;

use anyhow::{Result, ensure};
use child::space::{Architecture, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::history::{Evaluation, History};
use crate::objective::Objective;
use crate::problem::Problem;
use crate::surrogate::{Encoder, Encoding, Expected, Predicted, Surrogate};

pub use table::{csv, table};

/// The prediction for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The network.
    pub architecture: Architecture,
    /// For each objective its prediction; `None` where too few networks were measured.
    pub expected: Vec<Option<Expected>>,
    /// The evaluation of the network, if there is one.
    pub known: Option<Evaluation>,
}

/// Predicts networks from the measurements of a history with one target.
pub struct Predictor<'a> {
    problem: &'a Problem,
    history: &'a History,
    encoder: Encoder,
    surrogate: Surrogate,
    /// For each objective, whether there is enough to learn from.
    is_known: Vec<bool>,
}

impl<'a> Predictor<'a> {
    /// Fewest values of an objective that predictions are made from.
    pub const LEAST: usize = 3;

    /// Fits the surrogate. The same history gives the same predictions.
    ///
    /// # Errors
    /// If no objective has enough values.
    pub fn new(problem: &'a Problem, history: &'a History) -> Result<Self> {
        let mut is_known = Vec::new();
        for (place, objective) in problem.objectives().iter().enumerate() {
            let values = history.training_set().iter().filter(|one| one.values[place].is_some()).count();
            is_known.push(!Objective::MEASURED.contains(&objective) || values >= Self::LEAST);
        }
        ensure!(is_known.contains(&true), "fewer than {} networks have values to predict from", Self::LEAST);
        let (mut encoder, mut rng) = (Encoder::new(problem)?, ChaCha8Rng::seed_from_u64(0));
        let (most, steps) = (Surrogate::MOST, Surrogate::FITTING);
        let surrogate =
            Surrogate::of_history(problem, history, &mut encoder, Predicted::Everywhere, most, steps, &mut rng)?;
        Ok(Self { problem, history, encoder, surrogate, is_known })
    }

    /// Objectives with too few values to predict from.
    pub fn unknown(&self) -> impl Iterator<Item = Objective> + '_ {
        self.problem.objectives().iter().zip(&self.is_known).filter(|(_, is_known)| !**is_known).map(|(one, _)| one)
    }

    /// Predicts some networks.
    ///
    /// # Errors
    /// If an architecture is not of the space.
    pub fn predict(&mut self, architectures: &[Architecture]) -> Result<Vec<Prediction>> {
        let points: Vec<Arc<Encoding>> = self.encoder.encode_all(self.problem, architectures)?;
        let (columns, warps) = (self.surrogate.predict(&points), self.surrogate.warps());
        let of = |(index, architecture): (usize, &Architecture)| {
            let expected = self.problem.objectives().iter().zip(&columns).zip(&warps).zip(&self.is_known);
            let expected = expected.map(|(((objective, column), warp), is_known)| {
                let (mean, deviation) = (column.means[index], column.deviations[index]);
                is_known.then(|| Expected::new(objective, warp, mean, deviation).rounded())
            });
            let expected = expected.collect();
            let known = self.history.known(&self.problem.key(architecture)?).cloned();
            Ok(Prediction { architecture: architecture.clone(), expected, known })
        };
        architectures.iter().enumerate().map(of).collect()
    }
}

/// All architectures of a space, in the order of their choices; `None` where there are more than `most`.
pub fn all(space: &dyn SearchSpace, most: u128) -> Option<Vec<Architecture>> {
    if space.size() > most {
        return None;
    }
    let mut all = vec![Vec::new()];
    for decision in space.decisions() {
        let longer = all
            .iter()
            .flat_map(|begun| (0..decision.choices.len()).map(move |choice| [begun.as_slice(), &[choice]].concat()));
        all = longer.collect();
    }
    Some(all.into_iter().map(Architecture::new).collect())
}
