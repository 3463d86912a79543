//! Evaluations of networks.

use child::graph::CanonicalKey;
use child::space::Architecture;
use hardware::log::Status;

use crate::pareto::Uncertain;
use crate::target::Targets;

/// A network that may be evaluated: an encoding and a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// An encoding of the network.
    pub architecture: Architecture,
    /// The key, the same for all encodings of the network.
    pub key: CanonicalKey,
}

/// The results of one evaluation, or the mean of several.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Number in the journal.
    pub number: u64,
    /// The encoding of the network.
    pub architecture: Architecture,
    /// The key of the network.
    pub key: CanonicalKey,
    /// For each [`Column`](crate::target::Column) of the search its value, if it is known. With one target the columns are the
    /// objectives.
    pub values: Vec<Option<f64>>,
    /// For each of them the standard deviation of its value, if it is known.
    pub deviations: Vec<Option<f64>>,
    /// The error after the short training, if there was one. `values` has only the error after the full training.
    pub short_error: Option<f64>,
    /// How far the evaluation is, or how it ended: [`Status::Measured`] while it is not trained in full. Only a network that
    /// no target can use ends as `bounded` or `failed` before its training.
    pub status: Status,
    /// By target, how its measurement ended, where it was measured; empty with one target.
    pub measured: Vec<Option<Status>>,
}

impl Evaluation {
    /// The values; `None` if one is missing.
    pub fn complete(&self) -> Option<Vec<f64>> {
        self.values.iter().copied().collect()
    }

    /// The values with their deviations; `None` if a value is missing.
    pub(crate) fn uncertain(&self) -> Option<Vec<Uncertain>> {
        let both = self.values.iter().zip(&self.deviations);
        both.map(|(value, deviation)| Some(Uncertain { value: (*value)?, deviation: *deviation })).collect()
    }

    /// Whether a device of a target measured it, or tried to; true of the only target.
    pub(crate) fn is_tried_on(&self, target: usize) -> bool {
        self.measured.get(target).is_none_or(Option::is_some)
    }

    /// Whether it failed or diverged, or could not be measured on a target.
    pub(crate) fn is_lost_on(&self, target: usize) -> bool {
        let on_target = self.measured.get(target).copied().flatten();
        matches!(self.status, Status::Failed | Status::Diverged) || on_target == Some(Status::Failed)
    }

    /// The same with the values that a target minimises.
    #[must_use]
    pub(crate) fn on(&self, targets: &Targets, target: usize) -> Self {
        let [values, deviations] = [&self.values, &self.deviations].map(|all| targets.of(target, all));
        Self { values, deviations, ..self.clone() }
    }

    /// Several evaluations of one network as one; `None` for an empty slice.
    ///
    /// Each value is the mean over the successful evaluations, its deviation the standard error of that mean; number and
    /// encoding are those of the first successful evaluation. Without a successful one, the last counts.
    pub(super) fn merged(entered: &[Self]) -> Option<Self> {
        let successful = || entered.iter().filter(|evaluation| evaluation.status == Status::Ok);
        let Some(first) = successful().next() else { return entered.last().cloned() };
        let mut merged = first.clone();
        for (index, value) in merged.values.iter_mut().enumerate() {
            let measured: Vec<Uncertain> = successful()
                .filter_map(|evaluation| {
                    let deviation = evaluation.deviations[index];
                    Some(Uncertain { value: evaluation.values[index]?, deviation })
                })
                .collect();
            let mean = Uncertain::mean(&measured);
            *value = mean.map(|mean| mean.value);
            merged.deviations[index] = mean.and_then(|mean| mean.deviation);
        }
        Some(merged)
    }
}
