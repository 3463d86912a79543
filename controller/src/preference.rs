//! Preferences over the objectives.

use anyhow::{Result, ensure};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Exp1;
use serde::{Deserialize, Serialize};

/// A point of the simplex over the objectives of a target: the weight of each. Weights are not negative and sum to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct Preference {
    weights: Vec<f64>,
    target: usize,
}

/// The same in files: for the first target its weights alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Saved {
    Weights(Vec<f64>),
    On { weights: Vec<f64>, target: usize },
}

impl From<Saved> for Preference {
    fn from(saved: Saved) -> Self {
        match saved {
            Saved::Weights(weights) => Self { weights, target: 0 },
            Saved::On { weights, target } => Self { weights, target },
        }
    }
}

impl From<Preference> for Saved {
    fn from(preference: Preference) -> Self {
        match preference {
            Preference { weights, target: 0 } => Self::Weights(weights),
            Preference { weights, target } => Self::On { weights, target },
        }
    }
}

impl Preference {
    /// Share of the preferences drawn near a corner where there are three objectives or more.
    ///
    /// Draws near a corner of a simplex are rarer the more corners it has: with three objectives, Dirichlet(1) gives
    /// one of them a weight above 0.9 in 3 % of the draws, and the policy would hardly learn the ends of a front.
    const CORNER_SHARE: f64 = 0.2;
    /// Weight that a draw near a corner spreads over all the objectives.
    const CORNER_SPREAD: f64 = 0.1;
    /// Largest distance of the sum of given weights from 1: room for weights written with a few digits.
    const TOLERANCE: f64 = 1e-3;

    /// A preference from its weights, which are scaled to sum to exactly 1.
    ///
    /// # Errors
    /// If there is none, one is negative or not finite, or they do not sum to 1 within a thousandth.
    pub fn new(weights: impl Into<Vec<f64>>) -> Result<Self> {
        let weights = weights.into();
        for (index, found) in weights.iter().enumerate() {
            let number = index + 1;
            ensure!(
                found.is_finite() && *found >= 0.0,
                "weight number {number} of the preference is {found}: weights are numbers from 0 to 1"
            );
        }
        // Adding 0 turns the empty sum, −0, into 0.
        let sum = weights.iter().sum::<f64>() + 0.0;
        ensure!((sum - 1.0).abs() <= Self::TOLERANCE, "the weights of the preference sum to {sum}, not to 1");
        Ok(Self::normalised(weights))
    }

    /// The preference with equal weights of `objectives` objectives.
    ///
    /// # Panics
    /// If `objectives` is 0.
    pub fn uniform(objectives: usize) -> Self {
        Self::normalised(vec![1.0; objectives])
    }

    /// The preference for one objective alone.
    ///
    /// # Panics
    /// If `index` is not below `objectives`.
    #[cfg(test)]
    pub(crate) fn corner(objectives: usize, index: usize) -> Self {
        let mut weights = vec![0.0; objectives];
        weights[index] = 1.0;
        Self { weights, target: 0 }
    }

    /// Draws a preference: evenly over the simplex (Dirichlet(1)), but for three objectives or more with probability
    /// `CORNER_SHARE` nine tenths of the way towards a corner, each as likely.
    ///
    /// # Panics
    /// If `objectives` is 0.
    pub fn sample(rng: &mut ChaCha8Rng, objectives: usize) -> Self {
        assert!(objectives > 0, "a preference needs an objective");
        let drawn: Vec<f64> = (0..objectives).map(|_| rng.sample::<f64, _>(Exp1)).collect();
        let mut preference = Self::normalised(drawn);
        if objectives >= 3 && rng.random_bool(Self::CORNER_SHARE) {
            let corner = rng.random_range(0..objectives);
            preference.weights.iter_mut().for_each(|weight| *weight *= Self::CORNER_SPREAD);
            preference.weights[corner] += 1.0 - Self::CORNER_SPREAD;
        }
        preference
    }

    /// The weight of each objective.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The same for another target of the search than the first.
    #[must_use]
    pub fn on(self, target: usize) -> Self {
        Self { target, ..self }
    }

    /// Place of the target that it is for.
    pub fn target(&self) -> usize {
        self.target
    }

    fn normalised(weights: Vec<f64>) -> Self {
        let sum: f64 = weights.iter().sum();
        assert!(sum > 0.0, "a preference needs an objective");
        Self { weights: weights.into_iter().map(|weight| weight / sum).collect(), target: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn weights_sum_to_one() {
        let problem = |weights: &[f64]| Preference::new(weights).unwrap_err().to_string();
        assert!(problem(&[0.5, 0.6]).contains("sum to 1.1,"));
        assert!(problem(&[]).contains("sum to 0,"));
        assert!(problem(&[1.5, -0.5]).starts_with("weight number 2 of the preference is -0.5"));
        assert!(problem(&[f64::NAN]).starts_with("weight number 1 of the preference is NaN"));
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
