//! What was found out about one network.

use child::graph::CanonicalKey;
use child::space::Architecture;
use hardware::log::Status;

use crate::objective::{Bounds, Objectives};
use crate::pareto::Uncertain;

/// A network that may be evaluated: how it is written, and what identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// One way to write the network.
    pub architecture: Architecture,
    /// The same for every way to write it.
    pub key: CanonicalKey,
}

/// What was found out about one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Its number in the journal.
    pub number: u64,
    /// How the network was written.
    pub architecture: Architecture,
    /// What identifies the network.
    pub key: CanonicalKey,
    /// For each of the search's [`Objectives`], what was measured, if it was.
    pub values: Vec<Option<f64>>,
    /// For each of them the standard deviation of its value, if it is known, as [`noise`](crate::pareto::noise) defines
    /// it.
    pub deviations: Vec<Option<f64>>,
    /// How it ended.
    pub status: Status,
}

impl Evaluation {
    /// The values, where none is missing.
    pub fn complete(&self) -> Option<Vec<f64>> {
        self.values.iter().copied().collect()
    }

    /// The values with their deviations, where no value is missing.
    pub fn uncertain(&self) -> Option<Vec<Uncertain>> {
        let both = self.values.iter().zip(&self.deviations);
        both.map(|(value, deviation)| Some(Uncertain { value: (*value)?, deviation: *deviation })).collect()
    }

    /// Whether everything was measured and every bound is kept.
    pub fn is_feasible(&self, objectives: &Objectives, bounds: &Bounds) -> bool {
        self.values.iter().all(Option::is_some) && bounds.are_kept(objectives, &self.values)
    }

    /// Several evaluations of one network as one, `None` if there is none.
    ///
    /// Each value is the mean of those that successful ones have, with the deviation that their spread gives; number
    /// and text are the first successful one's. Where none was successful, it is the last.
    pub(super) fn merged(entered: &[Self]) -> Option<Self> {
        let successful = || entered.iter().filter(|evaluation| evaluation.status == Status::Ok);
        let Some(first) = successful().next() else { return entered.last().cloned() };
        let mean = |index: usize| {
            let measured = successful().filter_map(|evaluation| {
                Some(Uncertain { value: evaluation.values[index]?, deviation: evaluation.deviations[index] })
            });
            Uncertain::mean(&measured.collect::<Vec<_>>())
        };
        let means: Vec<_> = (0..first.values.len()).map(mean).collect();
        Some(Self {
            values: means.iter().map(|mean| mean.map(|mean| mean.value)).collect(),
            deviations: means.iter().map(|mean| mean.and_then(|mean| mean.deviation)).collect(),
            ..first.clone()
        })
    }
}
