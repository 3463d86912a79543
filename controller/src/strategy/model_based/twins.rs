//! What was measured of the same network in another writing.

use std::collections::BTreeMap;
use std::sync::Arc;

use child::graph::CanonicalKey;

use crate::history::Evaluation;
use crate::objective::{Objective, Objectives};
use crate::surrogate::{Encoding, Surrogate};

/// The errors of the networks that were measured, for candidates that mean one of them but are written otherwise.
///
/// Where texts are told apart ([`Identity::Architecture`](crate::strategy::Identity)), one network was trained once for
/// each of them, and the errors differ by no more than training does; what the surrogate makes of dead branches is
/// without ground. Time and energy stay the surrogate's: a runtime that has not removed dead branches spends both on
/// them. In NAS-Bench-201 on a Jetson TX2 (HW-NAS-Bench), among networks with an error below 20 %, the logarithms of the
/// times of one network in several writings have a standard deviation of 0.25, of which the writing explains 85 %; of
/// the error's 0.03 it explains 1 %.
#[derive(Debug)]
pub(super) struct Twins {
    /// Place of the error among the objectives; none if it is not one.
    objective: Option<usize>,
    /// By network, how many measurements there are and their mean, on the error's scale.
    means: BTreeMap<CanonicalKey, (usize, f64)>,
    /// Variance of one measurement.
    variance: f64,
}

impl Twins {
    /// Differences within networks, at least, that a variance is taken from.
    const LEAST: usize = 3;

    /// The twins among evaluations with these points.
    pub fn new(
        objectives: &Objectives,
        evaluations: &[&Evaluation],
        points: &[Arc<Encoding>],
        surrogate: &Surrogate,
    ) -> Self {
        let objective = objectives.iter().position(|objective| objective == Objective::Error);
        let told = objective.map(|place| {
            let warp = surrogate.warps()[place];
            let pairs = evaluations.iter().zip(points);
            let told = pairs.filter_map(move |(evaluation, point)| Some((point.network, evaluation.values[place]?)));
            told.map(move |(network, error)| (network, warp.forward(error)))
        });
        let noise = objective.map_or(0.0, |place| surrogate.noise()[place]);
        Self::among(objective, told.into_iter().flatten(), noise)
    }

    /// The twins among measurements. Their noise is the variance within networks, pooled over all of them, or the given
    /// one while there is too little of that.
    fn among(objective: Option<usize>, told: impl Iterator<Item = (CanonicalKey, f64)>, noise: f64) -> Self {
        // Ordered, so that the sums below are the same every time.
        let mut groups: BTreeMap<CanonicalKey, Vec<f64>> = BTreeMap::new();
        told.for_each(|(network, error)| groups.entry(network).or_default().push(error));
        let (mut squares, mut differences) = (0.0, 0);
        let mut summary = |(network, errors): (CanonicalKey, Vec<f64>)| {
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            squares += errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>();
            differences += errors.len() - 1;
            (network, (errors.len(), mean))
        };
        let means = groups.into_iter().map(&mut summary).collect();
        let variance = if differences < Self::LEAST { noise } else { squares / differences as f64 };
        Self { objective, means, variance }
    }

    /// Puts the mean error of a network's twins, and the standard deviation of that mean, in the place of what is
    /// believed of it; leaves it as it is if the network has none.
    pub fn correct(&self, network: CanonicalKey, means: &mut [f64], deviations: &mut [f64]) {
        if let (Some(objective), Some((count, mean))) = (self.objective, self.means.get(&network)) {
            means[objective] = *mean;
            deviations[objective] = (self.variance / *count as f64).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::toy::key;
    use super::*;

    /// What is believed of a network's second objective, 7 ± 1 without twins.
    fn corrected(twins: &Twins, network: usize) -> (f64, f64) {
        let (mut means, mut deviations) = ([5.0, 7.0], [2.0, 1.0]);
        twins.correct(key(network), &mut means, &mut deviations);
        assert!(means[0] == 5.0 && deviations[0] == 2.0);
        (means[1], deviations[1])
    }

    #[test]
    fn correct_the_error_of_their_network_only() {
        let told = [(1, 0.0), (2, 3.0), (1, 2.0), (3, 4.0), (1, 4.0), (3, 6.0)];
        let told = told.map(|(network, error)| (key(network), error));
        let twins = Twins::among(Some(1), told.into_iter(), 9.0);
        // Squares of 8 in the first and 2 in the third, over 2 + 1 differences.
        let variance: f64 = 10.0 / 3.0;
        assert_eq!(corrected(&twins, 1), (2.0, (variance / 3.0).sqrt()));
        assert_eq!(corrected(&twins, 2), (3.0, variance.sqrt()));
        assert_eq!(corrected(&twins, 4), (7.0, 1.0));
        // One difference fewer is too little, and the surrogate's noise stands in.
        let twins = Twins::among(Some(1), told[..5].iter().copied(), 9.0);
        assert_eq!(corrected(&twins, 2), (3.0, 3.0));
        let without = Twins::among(None, told.into_iter(), 9.0);
        assert_eq!(corrected(&without, 1), (7.0, 1.0));
    }
}
