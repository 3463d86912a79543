//! The reward's settings, and from values of several objectives and a preference to one number.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::objective::{Objective, Objectives};

/// Settings of the reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewardConfig {
    /// How the objectives become one number.
    pub scalarisation: Scalarisation,
    /// Chebyshev's ρ: the share of the weighted sum. Above 0, or weakly dominated networks tie with their betters.
    pub augmentation: f64,
    /// Weight of the contribution to the hypervolume.
    pub improvement: f64,
    /// Weight of broken bounds.
    pub penalty: f64,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self { scalarisation: Scalarisation::default(), augmentation: 0.05, improvement: 0.5, penalty: 1.0 }
    }
}

impl RewardConfig {
    /// Checks that no weight is negative or not finite.
    ///
    /// # Errors
    /// The first weight that is.
    pub(crate) fn check(&self) -> Result<()> {
        let weights =
            [("augmentation", self.augmentation), ("improvement", self.improvement), ("penalty", self.penalty)];
        for (name, found) in weights {
            if !found.is_finite() || found < 0.0 {
                bail!("`reward.{name}` is {found}: it must be a number that is not negative");
            }
        }
        Ok(())
    }
}

/// How the objectives become one number; higher is better. Here `w` is the preference, `v` a value, `t` its target
/// (the bound where there is one, otherwise the median measured), and `z` the normalised score: 0 near the best
/// measured, 1 at the worst measured or at the bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scalarisation {
    /// `−Σ wᵢ vᵢ / tᵢ`: the weighted sum of MONAS (Hsu et al. 2018). It cannot reach
    /// concave parts of a front.
    Linear,
    /// `w₀ ln(1 − error) − Σ wᵢ ln(vᵢ / tᵢ)`: the logarithm of MnasNet's `accuracy · Π (vᵢ / tᵢ)^−wᵢ` (Tan et al.
    /// 2019, §3.1). The logarithm orders networks as the product does under every preference, and keeps the rewards
    /// of different preferences on one scale.
    WeightedProduct,
    /// `−w₀ error − Σ wᵢ |vᵢ / tᵢ − 1|`: the absolute reward of TuNAS (Bender et al. 2020, §3.2). It wants costs *at*
    /// their targets, and so ranks a network that is cheaper than asked below one that is not: give bounds with it.
    Absolute,
    /// `−maxᵢ wᵢ zᵢ − ρ Σ wᵢ zᵢ`: the augmented Chebyshev distance from the ideal (Steuer and Choo 1983; Knowles 2006
    /// with ρ = 0.05), which reaches every member of a front.
    #[default]
    Chebyshev,
}

/// One network as a scalarisation sees it, objective by objective.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaled<'a> {
    /// The values themselves.
    pub values: &'a [f64],
    /// Each value over its target.
    pub ratios: &'a [f64],
    /// Each value's normalised score.
    pub scores: &'a [f64],
}

impl Scalarisation {
    /// Smallest accuracy and ratio that logarithms are taken of.
    const FLOOR: f64 = 1e-6;

    /// The number for one network under the weights of a preference; `augmentation` is Chebyshev's ρ.
    pub(crate) fn apply(self, objectives: &Objectives, scaled: Scaled<'_>, weights: &[f64], augmentation: f64) -> f64 {
        let weighted = |terms: &dyn Fn(usize, Objective) -> f64| -> f64 {
            objectives.iter().enumerate().map(|(index, objective)| weights[index] * terms(index, objective)).sum()
        };
        match self {
            Self::Linear => -weighted(&|index, _| scaled.ratios[index]),
            Self::WeightedProduct => weighted(&|index, objective| match objective {
                Objective::Error => (1.0 - scaled.values[index]).max(Self::FLOOR).ln(),
                _ => -scaled.ratios[index].max(Self::FLOOR).ln(),
            }),
            Self::Absolute => -weighted(&|index, objective| match objective {
                Objective::Error => scaled.values[index],
                _ => (scaled.ratios[index] - 1.0).abs(),
            }),
            Self::Chebyshev => {
                let terms = || weights.iter().zip(scaled.scores).map(|(weight, score)| weight * score);
                -terms().fold(f64::NEG_INFINITY, f64::max) - augmentation * terms().sum::<f64>()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(scalarisation: Scalarisation, values: &[f64], weights: &[f64]) -> f64 {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let scaled = Scaled { values, ratios: &[values[0] / 0.5, values[1] / 10.0], scores: values };
        scalarisation.apply(&objectives, scaled, weights, 0.05)
    }

    #[test]
    fn formulas_match_hand_computed_values() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(apply(Scalarisation::Linear, &[0.2, 5.0], &[0.25, 0.75]), -(0.25 * 0.4 + 0.75 * 0.5));
        let product = 0.8f64.powf(0.25) * 0.5f64.powf(-0.75);
        near(apply(Scalarisation::WeightedProduct, &[0.2, 5.0], &[0.25, 0.75]), product.ln());
        near(apply(Scalarisation::Absolute, &[0.2, 5.0], &[0.25, 0.75]), -(0.25 * 0.2 + 0.75 * 0.5));
        near(apply(Scalarisation::Chebyshev, &[0.2, 5.0], &[0.25, 0.75]), -3.75 - 0.05 * 3.8);
        assert!(apply(Scalarisation::WeightedProduct, &[1.0, 0.0], &[0.5, 0.5]).is_finite());
    }

    #[test]
    fn chebyshev_reaches_a_concave_front_and_linear_does_not() {
        // (0.6, 0.6) is not dominated, but above the line between the ends.
        let front = [[0.0, 1.0], [0.6, 0.6], [1.0, 0.0]];
        let objectives = Objectives::new([Objective::Parameters, Objective::Time]).unwrap();
        let best = |scalarisation: Scalarisation, weight: f64| {
            let weights = [weight, 1.0 - weight];
            let value = |point: &[f64; 2]| {
                scalarisation.apply(&objectives, Scaled { values: point, ratios: point, scores: point }, &weights, 0.05)
            };
            (0..3).max_by(|a, b| value(&front[*a]).total_cmp(&value(&front[*b]))).unwrap()
        };
        let weights = || (0..=100).map(|step| f64::from(step) / 100.0);
        assert!(weights().all(|weight| best(Scalarisation::Linear, weight) != 1));
        assert!(weights().any(|weight| best(Scalarisation::Chebyshev, weight) == 1));
        assert!(weights().any(|weight| best(Scalarisation::Chebyshev, weight) == 0));
        assert!(weights().any(|weight| best(Scalarisation::Chebyshev, weight) == 2));
    }
}
