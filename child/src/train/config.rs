//! How a child is trained.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::backend::Backend;
use crate::data::Augmentation;

/// Settings of a training run; every one has a default, which suits a quick estimate of a child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// The library that computes it.
    pub backend: Backend,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step.
    pub batch_size: usize,
    /// Learning rate at the start; it falls to 0 along a cosine.
    pub learning_rate: f64,
    /// Momentum, after Nesterov.
    pub momentum: f64,
    /// L2 penalty on all weights.
    pub weight_decay: f64,
    /// Share of each label that is spread over all classes.
    pub label_smoothing: f64,
    /// Probability with which a path is left out, reached linearly at the last epoch. For final training.
    pub drop_path: f64,
    /// Random changes of training images.
    pub augmentation: Augmentation,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            epochs: 12,
            batch_size: 64,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            label_smoothing: 0.0,
            drop_path: 0.0,
            augmentation: Augmentation::default(),
        }
    }
}

impl TrainingConfig {
    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// The first one outside.
    pub fn check(&self) -> Result<(), Error> {
        const SHARE: &str = "at least 0 and below 1";
        let is_share = |value: f64| (0.0..1.0).contains(&value);
        let is_positive = |value: f64| value > 0.0 && value.is_finite();
        let rules = [
            ("epochs", self.epochs as f64, self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size as f64, self.batch_size >= 2, "at least 2, for batch norm"),
            ("learning_rate", self.learning_rate, is_positive(self.learning_rate), "above 0"),
            ("momentum", self.momentum, is_share(self.momentum), SHARE),
            ("weight_decay", self.weight_decay, (0.0..f64::INFINITY).contains(&self.weight_decay), "at least 0"),
            ("label_smoothing", self.label_smoothing, is_share(self.label_smoothing), SHARE),
            ("drop_path", self.drop_path, is_share(self.drop_path), SHARE),
        ];
        for (key, value, is_right, range) in rules {
            if !is_right {
                let text = format!("training.{key} = {value} is out of range: it must be {range}");
                return Err(Error(text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_errors() {
        assert_eq!(TrainingConfig::default().check(), Ok(()));
        let wrong = TrainingConfig { momentum: 1.0, ..TrainingConfig::default() };
        let message = wrong.check().unwrap_err().to_string();
        assert_eq!(message, "training.momentum = 1 is out of range: it must be at least 0 and below 1");
        assert!(TrainingConfig { learning_rate: f64::NAN, ..TrainingConfig::default() }.check().is_err());
    }
}
