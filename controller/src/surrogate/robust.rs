//! Outliers among measurements: another program on the machine, or heat, can make a network twice as slow.

use statrs::distribution::{Continuous, Normal, StudentsT};

use super::Hyperparameters;
use super::conditioned::Conditioned;
use super::kernel::Pairs;

/// Degrees of freedom of noise with heavy tails: the usual value, with a variance that is just finite.
const FREEDOM: f64 = 4.0;
/// Passes, each from the residuals under the trust of the pass before.
const PASSES: usize = 2;

/// The trust in each target: its noise has the variance of the hyper-parameters divided by this.
///
/// All targets have a trust of 1 while their leave-one-out residuals look normal. If Student's t distribution with four
/// degrees of freedom fits them better (by the sum of their log densities), it becomes the model of the noise: a scale
/// mixture of normal distributions, in which a target with the standardised residual z has the expected precision
/// (ν + 1) / (ν + z²) (Lange, Little and Taylor 1989). `None` if the covariance has no Cholesky factor.
pub(super) fn trust(pairs: &Pairs, targets: &[f64], at: &Hyperparameters) -> Option<Vec<f64>> {
    let (normal, heavy) = (Normal::standard(), StudentsT::new(0.0, 1.0, FREEDOM).ok()?);
    let mut trust = vec![1.0; targets.len()];
    for pass in 0..PASSES {
        let conditioned = Conditioned::on(pairs, targets, &trust, at)?;
        let standardised: Vec<f64> = conditioned
            .left_out()
            .zip(&trust)
            .map(|((residual, variance), trust)| {
                // Standardised with the noise that all other targets have.
                let of_others = (variance - at.noise() / trust).max(0.0);
                residual / (of_others + at.noise()).sqrt()
            })
            .collect();
        let gain: f64 = standardised.iter().map(|z| heavy.ln_pdf(*z) - normal.ln_pdf(*z)).sum();
        if pass == 0 && gain <= 0.0 {
            break;
        }
        trust = standardised.iter().map(|z| (FREEDOM + 1.0) / (FREEDOM + z * z)).collect();
    }
    Some(trust)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surrogate::Encoding;
    use child::graph::Cost;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// A smooth function with normal noise, of which some values are far too high.
    fn trusted(outliers: &[usize]) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let cost = Cost { macs: 0, parameters: 0, peak_activation_bytes: 0, depth: 0 };
        let mut point = || {
            let live = vec![rng.sample::<f64, _>(StandardNormal)];
            let noise: f64 = rng.sample(StandardNormal);
            let network = [0; 16].into();
            (Encoding { decisions: vec![0.0], executed: vec![0.0], live, cost, network }, noise)
        };
        let drawn: Vec<(Encoding, f64)> = (0..60).map(|_| point()).collect();
        let at = Hyperparameters::default();
        let target = |(index, (point, noise)): (usize, &(Encoding, f64))| {
            let off = if outliers.contains(&index) { 3.0 } else { 0.0 };
            point.live[0].sin() + at.noise().sqrt() * noise + off
        };
        let targets: Vec<f64> = drawn.iter().enumerate().map(target).collect();
        let points: Vec<&Encoding> = drawn.iter().map(|(point, _)| point).collect();
        trust(&Pairs::between(&points, &points), &targets, &at).unwrap()
    }

    #[test]
    fn targets_with_normal_noise_are_fully_trusted() {
        assert!(trusted(&[]).iter().all(|trust| *trust == 1.0));
    }

    #[test]
    fn outliers_are_trusted_less() {
        let trusted = trusted(&[7, 20, 41]);
        for (index, trust) in trusted.iter().enumerate() {
            let is_outlier = [7, 20, 41].contains(&index);
            assert!(if is_outlier { *trust < 0.1 } else { *trust > 0.3 }, "{index}: {trust}");
        }
    }
}
