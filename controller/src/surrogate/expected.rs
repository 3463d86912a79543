//! A prediction in the unit of its objective.

use serde::Serialize;

use super::Warp;
use crate::objective::Objective;

/// A prediction of one objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Expected {
    /// Median of the prediction.
    pub value: f64,
    /// One standard deviation better, on the surrogate's scale.
    pub low: f64,
    /// One standard deviation worse. Neither end includes the noise of a single measurement.
    pub high: f64,
}

impl Expected {
    /// Of a normal belief on a scale.
    pub fn new(objective: Objective, warp: &Warp, mean: f64, deviation: f64) -> Self {
        // The scale of an error has no end at 1.
        let most = if objective == Objective::Error { 1.0 } else { f64::INFINITY };
        let ends = [mean, mean - deviation, mean + deviation].map(|place| warp.inverse(place).min(most));
        let [value, low, high] = ends;
        Self { value, low, high }
    }

    /// The same with six significant digits: the others depend on how many networks are predicted at a time.
    #[must_use]
    pub fn rounded(self) -> Self {
        let Self { value, low, high } = self;
        // A number in this form can be read.
        let [value, low, high] = [value, low, high].map(|end| format!("{end:.5e}").parse().unwrap_or(end));
        Self { value, low, high }
    }

    /// Half of the distance between the ends.
    pub fn deviation(&self) -> f64 {
        0.5 * (self.high - self.low)
    }
}
