//! Measurements that cannot be trusted: a network that a neighbour on the machine, or the heat, made twice as slow.

use statrs::distribution::{Continuous, Normal, StudentsT};

use super::Hyperparameters;
use super::kernel::Pairs;
use super::process::Conditioned;

/// Degrees of freedom of the noise where it has heavy tails: the customary value, with a variance that is just finite.
const FREEDOM: f64 = 4.0;
/// Times that trust is worked out from what trusting so leaves over.
const PASSES: usize = 2;

/// How far each target is trusted: its noise has the variance of the hyper-parameters divided by this.
///
/// All are trusted alike while their leave-one-out residuals look normal. Where Student's t distribution with four
/// degrees of freedom foretells them better (by the sum of their log densities), the noise is taken for such: a scale
/// mixture of normal distributions, in which a target with the standardised residual z has the expected precision
/// (ν + 1) / (ν + z²) (Lange, Little and Taylor 1989). None if the covariance has no Cholesky factor.
pub(super) fn trust(pairs: &Pairs, targets: &[f64], at: &Hyperparameters) -> Option<Vec<f64>> {
    let (normal, heavy) = (Normal::standard(), StudentsT::new(0.0, 1.0, FREEDOM).ok()?);
    let mut trust = vec![1.0; targets.len()];
    for pass in 0..PASSES {
        let conditioned = Conditioned::on(pairs, targets, &trust, at)?;
        let standardised: Vec<f64> = conditioned
            .left_out()
            .zip(&trust)
            .map(|((residual, variance), trust)| {
                // As unlikely as it is under noise that everything else is taken to have.
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
    fn normal_noise_is_trusted_alike() {
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
