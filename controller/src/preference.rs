//! Preferences over the objectives.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Exp1;
use serde::{Deserialize, Serialize};

/// A point of the simplex: how much each objective matters. The weights are not negative and sum to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Preference(Vec<f64>);

impl Preference {
    /// Share of the preferences drawn near a corner where there are three objectives or more.
    ///
    /// The corners of a simplex are rarer the more of them there are: with three objectives Dirichlet(1) gives one
    /// of them a weight above 0.9 in 3 % of the draws, and the ends of a front would hardly be learnt.
    pub const CORNER_SHARE: f64 = 0.2;
    /// Weight that a draw near a corner spreads over all the objectives.
    const CORNER_SPREAD: f64 = 0.1;
    /// How far the sum of given weights may be from 1: room for weights written with a few digits.
    const TOLERANCE: f64 = 1e-3;

    /// A preference from its weights, which are scaled to sum to exactly 1.
    ///
    /// # Errors
    /// If there is none, one is negative or not finite, or they do not sum to 1 within a thousandth.
    pub fn new(weights: impl Into<Vec<f64>>) -> Result<Self, PreferenceError> {
        let weights = weights.into();
        if let Some(index) = weights.iter().position(|weight| !weight.is_finite() || *weight < 0.0) {
            return Err(PreferenceError::Weight { index, found: weights[index] });
        }
        let sum: f64 = weights.iter().sum();
        if (sum - 1.0).abs() > Self::TOLERANCE {
            return Err(PreferenceError::Sum { found: sum });
        }
        Ok(Self::normalised(weights))
    }

    /// The preference in which `objectives` objectives matter alike.
    ///
    /// # Panics
    /// If there is no objective; so do all that follow.
    pub fn uniform(objectives: usize) -> Self {
        Self::normalised(vec![1.0; objectives])
    }

    /// The preference in which only one objective matters.
    ///
    /// # Panics
    /// If there is no such objective.
    pub fn corner(objectives: usize, index: usize) -> Self {
        let mut weights = vec![0.0; objectives];
        weights[index] = 1.0;
        Self(weights)
    }

    /// Draws a preference: evenly over the simplex (Dirichlet(1)), but for three objectives or more with probability
    /// [`CORNER_SHARE`](Self::CORNER_SHARE) nine tenths of the way towards a corner, each as likely.
    ///
    /// # Panics
    /// If there is no objective.
    pub fn sample(rng: &mut ChaCha8Rng, objectives: usize) -> Self {
        assert!(objectives > 0, "a preference needs an objective");
        let drawn: Vec<f64> = (0..objectives).map(|_| rng.sample::<f64, _>(Exp1)).collect();
        let mut preference = Self::normalised(drawn);
        if objectives >= 3 && rng.random_bool(Self::CORNER_SHARE) {
            let corner = rng.random_range(0..objectives);
            preference.0.iter_mut().for_each(|weight| *weight *= Self::CORNER_SPREAD);
            preference.0[corner] += 1.0 - Self::CORNER_SPREAD;
        }
        preference
    }

    /// The weight of each objective.
    pub fn weights(&self) -> &[f64] {
        &self.0
    }

    fn normalised(weights: Vec<f64>) -> Self {
        let sum: f64 = weights.iter().sum();
        assert!(sum > 0.0, "a preference needs an objective");
        Self(weights.into_iter().map(|weight| weight / sum).collect())
    }
}

impl TryFrom<Vec<f64>> for Preference {
    type Error = PreferenceError;

    fn try_from(weights: Vec<f64>) -> Result<Self, PreferenceError> {
        Self::new(weights)
    }
}

impl From<Preference> for Vec<f64> {
    fn from(preference: Preference) -> Self {
        preference.0
    }
}

/// Weights that are no preference.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum PreferenceError {
    /// A weight is negative or not finite.
    #[error("weight number {} of the preference is {found}: weights are numbers from 0 to 1", .index + 1)]
    Weight {
        /// Place of the weight, from 0.
        index: usize,
        /// The weight.
        found: f64,
    },
    /// The weights do not sum to 1.
    #[error("the weights of the preference sum to {found}, not to 1")]
    Sum {
        /// Their sum.
        found: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn weights_are_checked_and_scaled() {
        assert_eq!(Preference::new([0.5, 0.6]), Err(PreferenceError::Sum { found: 1.1 }));
        assert_eq!(Preference::new([]), Err(PreferenceError::Sum { found: 0.0 }));
        assert_eq!(Preference::new([1.5, -0.5]), Err(PreferenceError::Weight { index: 1, found: -0.5 }));
        assert!(matches!(Preference::new([f64::NAN]), Err(PreferenceError::Weight { index: 0, .. })));
        let thirds = Preference::new([0.333, 0.333, 0.333]).unwrap();
        assert!((thirds.weights().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(Preference::corner(3, 1).weights(), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn draws_are_even_with_the_documented_share_of_corners() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws: Vec<_> = (0..20_000).map(|_| Preference::sample(&mut rng, 3)).collect();
        for index in 0..3 {
            let mean = draws.iter().map(|draw| draw.weights()[index]).sum::<f64>() / draws.len() as f64;
            assert!((mean - 1.0 / 3.0).abs() < 0.01, "{mean}");
        }
        // Dirichlet(1) over three has a weight of at least 0.9 with probability 3 × 0.1².
        let at_corner = draws.iter().filter(|draw| draw.weights().iter().any(|weight| *weight >= 0.9)).count();
        let expected = Preference::CORNER_SHARE + (1.0 - Preference::CORNER_SHARE) * 0.03;
        assert!((at_corner as f64 / draws.len() as f64 - expected).abs() < 0.01, "{at_corner}");
        let pairs = (0..20_000).filter(|_| Preference::sample(&mut rng, 2).weights()[0] < 0.25).count();
        assert!((pairs as f64 / 20_000.0 - 0.25).abs() < 0.015, "two objectives are drawn evenly: {pairs}");
    }
}
