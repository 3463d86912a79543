//! The quality of the surrogate's predictions, judged by the measurements that followed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ranks::rank_correlation;

/// The latest pairs of prediction and measurement, by objective.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PredictionQuality(Vec<VecDeque<(f64, f64)>>);

impl PredictionQuality {
    /// Pairs kept for each objective.
    const WINDOW: usize = 50;
    /// Fewest pairs for a correlation.
    const LEAST: usize = 5;

    /// Adds a pair of prediction and measurement of an objective.
    pub fn observe(&mut self, objective: usize, predicted: f64, measured: f64) {
        if self.0.len() <= objective {
            self.0.resize_with(objective + 1, VecDeque::new);
        }
        let pairs = &mut self.0[objective];
        pairs.push_back((predicted, measured));
        if pairs.len() > Self::WINDOW {
            pairs.pop_front();
        }
    }

    /// Spearman's rank correlation of an objective's pairs; `None` for too few pairs or if one side is constant.
    pub fn rank_correlation(&self, objective: usize) -> Option<f64> {
        let pairs = self.0.get(objective).filter(|pairs| pairs.len() >= Self::LEAST)?;
        rank_correlation(pairs.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(f64, f64)]) -> Option<f64> {
        let mut quality = PredictionQuality::default();
        pairs.iter().for_each(|(predicted, measured)| quality.observe(1, *predicted, *measured));
        assert_eq!(quality.rank_correlation(0), None);
        quality.rank_correlation(1)
    }

    #[test]
    fn few_pairs_have_no_correlation() {
        let rising: Vec<_> = (0..6).map(|i| (f64::from(i), f64::from(i * i))).collect();
        assert!((of(&rising).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(of(&rising[..4]), None);
    }

    #[test]
    fn old_pairs_are_forgotten() {
        let past = (0..50).map(|i| (f64::from(i), f64::from(-i)));
        let recent = (0..50).map(|i| (f64::from(i), f64::from(i)));
        assert!((of(&past.chain(recent).collect::<Vec<_>>()).unwrap() - 1.0).abs() < 1e-12);
    }
}
