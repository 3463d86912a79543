//! The common scale of objectives that have different units.

use statrs::distribution::{ContinuousCDF, Normal};

/// Normal scores of ranks: the value at share `p` of all measured ones gets the `p`-quantile of the standard normal
/// distribution (Blom 1958; van der Waerden scores with a half-step correction).
///
/// Outliers, units and logarithms do not change the scale. Equal values share the mean of their ranks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NormalScores {
    /// Distinct values, rising, with their scores, rising too.
    steps: Vec<(f64, f64)>,
    below: f64,
    above: f64,
}

impl NormalScores {
    /// The scale of some values, those that are not finite left out; `None` without a value.
    pub fn fit(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        if count == 0 {
            return None;
        }
        let mut steps = Vec::new();
        let mut first = 0;
        for group in sorted.chunk_by(|a, b| a == b) {
            let mean_rank = first as f64 + (group.len() - 1) as f64 / 2.0;
            steps.push((group[0], quantile((mean_rank + 0.5) / count as f64)));
            first += group.len();
        }
        // One more value, better or worse than all: half a rank of count + 1.
        let edge = quantile(0.5 / (count + 1) as f64);
        Some(Self { steps, below: edge, above: -edge })
    }

    /// Score of any value: it rises with the value, is linear between neighbours, and beyond the measured values is at
    /// least the score of one more value there.
    pub fn score(&self, value: f64) -> f64 {
        let next = self.steps.partition_point(|step| step.0 < value);
        match (next.checked_sub(1).map(|last| self.steps[last]), self.steps.get(next)) {
            (_, Some(&(at, score))) if at == value => score,
            (Some((low, low_score)), Some(&(high, high_score))) => {
                low_score + (high_score - low_score) * (value - low) / (high - low)
            }
            (None, _) => self.below.min(self.lowest()),
            (_, None) => self.above.max(self.highest()),
        }
    }

    pub fn lowest(&self) -> f64 {
        self.steps[0].1
    }

    pub fn highest(&self) -> f64 {
        self.steps[self.steps.len() - 1].1
    }
}

fn quantile(share: f64) -> f64 {
    Normal::standard().inverse_cdf(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores_are_the_normal_quantiles_of_ranks() {
        assert_eq!(NormalScores::fit(&[f64::NAN]), None);
        let scores = NormalScores::fit(&[30.0, 10.0, 1e9, 20.0]).unwrap();
        // Φ⁻¹(1/8) and Φ⁻¹(3/8), from a table.
        for (value, expected) in [(10.0, -1.150_349), (20.0, -0.318_639), (30.0, 0.318_639), (1e9, 1.150_349)] {
            assert!((scores.score(value) - expected).abs() < 1e-6, "{value}");
        }
        assert!((scores.score(15.0) - (-1.150_349 - 0.318_639) / 2.0).abs() < 1e-6);
        assert!(scores.score(9.0) < scores.lowest() && scores.score(2e9) > scores.highest());
    }

    #[test]
    fn ties_share_their_mean_rank() {
        let scores = NormalScores::fit(&[5.0, 5.0, 5.0, 1.0, 9.0]).unwrap();
        assert!(scores.score(5.0).abs() < 1e-9);
        let same = NormalScores::fit(&[5.0, 5.0]).unwrap();
        assert!(same.score(5.0).abs() < 1e-9 && same.score(4.0) < 0.0 && same.score(6.0) > 0.0);
    }

    proptest! {
        #[test]
        fn rising(values in prop::collection::vec(-10..10i32, 1..30), probes in prop::collection::vec(-12.0..12.0f64, 20)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let scores = NormalScores::fit(&values).unwrap();
            let mut probes: Vec<f64> = probes.into_iter().chain(values).collect();
            probes.sort_by(f64::total_cmp);
            for pair in probes.windows(2) {
                prop_assert!(scores.score(pair[0]) <= scores.score(pair[1]));
            }
        }

        #[test]
        fn any_rising_map_gives_the_same_scores(values in prop::collection::vec(0.01..1e6f64, 1..30)) {
            let logarithms: Vec<f64> = values.iter().map(|value| value.ln()).collect();
            let (plain, logarithmic) = (NormalScores::fit(&values).unwrap(), NormalScores::fit(&logarithms).unwrap());
            for (value, logarithm) in values.iter().zip(&logarithms) {
                prop_assert_eq!(plain.score(*value), logarithmic.score(*logarithm));
            }
        }
    }
}
