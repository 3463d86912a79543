//! Beliefs about a network: its known values, and predictions of all others.

use crate::history::Evaluation;
use crate::surrogate::{Posterior, Warp};
use crate::target::Targets;

/// Means and standard deviations of a network's objectives, on their scales.
#[derive(Debug, Clone)]
pub(super) struct Belief {
    pub means: Vec<f64>,
    pub deviations: Vec<f64>,
    /// Whether a deviation is that of a measured value, which no other observation makes smaller.
    pub is_fixed: Vec<bool>,
    /// By target, whether the network may enter its front: all of them while nothing is known of it; later where it was
    /// measured with success and keeps the bounds.
    pub counts: Vec<bool>,
}

impl Belief {
    /// Of the network at a place of a prediction, of which nothing is known.
    pub fn predicted(prediction: &[Posterior], place: usize, targets: &Targets) -> Self {
        let columns = prediction.iter().map(|column| (column.means[place], column.deviations[place]));
        let (means, deviations): (Vec<f64>, Vec<f64>) = columns.unzip();
        Self { is_fixed: vec![false; means.len()], means, deviations, counts: vec![true; targets.len()] }
    }

    /// Sets a value that is known to this deviation.
    pub fn fix(&mut self, objective: usize, mean: f64, deviation: f64) {
        (self.means[objective], self.deviations[objective], self.is_fixed[objective]) = (mean, deviation, true);
    }

    /// The same with what is known of the network, where it was evaluated in part.
    #[must_use]
    pub fn knowing(mut self, known: Option<&Evaluation>, warps: &[Warp], targets: &Targets) -> Self {
        let Some(known) = known else { return self };
        for (objective, (value, warp)) in known.values.iter().zip(warps).enumerate() {
            if let Some(value) = value {
                self.fix(objective, warp.forward(*value), 0.0);
            }
        }
        let counts = |target: usize| {
            known.is_tried_on(target) && !known.is_lost_on(target) && targets.keeps_bounds(target, &known.values)
        };
        self.counts = (0..targets.len()).map(|target| !targets.are_several() || counts(target)).collect();
        self
    }
}
