//! The Gaussian process against Rasmussen and Williams (2006), written out with plain loops: the kernel from its
//! formula, inverses and determinants by elimination with pivoting, one left out by leaving it out.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::super::dense::{Matrix, dot, hyperparameters, inverted, is_near, kernel, points, times};
use super::*;

/// K + Σ, with the noise of each target divided by its trust.
fn covariance(at: &Hyperparameters, points: &[&Encoding], trust: &[f64]) -> Matrix {
    let noise = at.0[5].exp().max(1e-3);
    let entry = |row: usize, column: usize| {
        kernel(at, points[row], points[column]) + if row == column { noise / trust[row] } else { 0.0 }
    };
    (0..points.len()).map(|row| (0..points.len()).map(|column| entry(row, column)).collect()).collect()
}

/// Mean and covariance of some points given targets (eqs. 2.25 and 2.26, without the noise of a new measurement).
fn posterior(
    at: &Hyperparameters,
    measured: &[&Encoding],
    targets: &[f64],
    trust: &[f64],
    new: &[&Encoding],
) -> (Vec<f64>, Matrix) {
    let (inverse, _) = inverted(&covariance(at, measured, trust));
    let cross: Matrix =
        new.iter().map(|point| measured.iter().map(|other| kernel(at, point, other)).collect()).collect();
    let means = cross.iter().map(|row| dot(row, &times(&inverse, targets))).collect();
    let entry = |a: usize, b: usize| kernel(at, new[a], new[b]) - dot(&cross[a], &times(&inverse, &cross[b]));
    let covariances = (0..new.len()).map(|a| (0..new.len()).map(|b| entry(a, b)).collect()).collect();
    (means, covariances)
}

/// The residual of each target from the prediction by all others, and its variance, by leaving the target out.
fn left_out(at: &Hyperparameters, points: &[&Encoding], targets: &[f64], trust: &[f64]) -> Vec<(f64, f64)> {
    let without = |index: usize| {
        let rest = |values: &[f64]| [&values[..index], &values[index + 1..]].concat();
        let others = [&points[..index], &points[index + 1..]].concat();
        let (means, covariances) = posterior(at, &others, &rest(targets), &rest(trust), &[points[index]]);
        (targets[index] - means[0], covariances[0][0] + at.0[5].exp().max(1e-3) / trust[index])
    };
    (0..points.len()).map(without).collect()
}

#[test]
fn marginal_likelihood_and_residuals_follow_the_textbook() {
    for seed in 0..8 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let all = points(14, &mut rng);
        let all: Vec<&Encoding> = all.iter().collect();
        let mut at = hyperparameters(&mut rng);
        if seed == 7 {
            // The noise never falls below its least.
            at.0[5] = -30.0;
        }
        let targets: Vec<f64> = all.iter().map(|_| rng.sample(StandardNormal)).collect();
        let trust: Vec<f64> = all.iter().map(|_| rng.random_range(0.05..1.25)).collect();
        let pairs = Pairs::between(&all, &all);
        let found = pairs.covariance(&at);
        for (row, a) in all.iter().enumerate() {
            for (column, b) in all.iter().enumerate() {
                assert!(is_near(found[(row, column)], kernel(&at, a, b)));
            }
            assert!(is_near(at.prior_variance(a), kernel(&at, a, a)));
        }
        let conditioned = Conditioned::on(&pairs, &targets, &trust, &at).unwrap();
        // −log p(y) = ½ yᵀ K⁻¹ y + ½ log |K| + const (eq. 2.30).
        let (inverse, logarithm) = inverted(&covariance(&at, &all, &trust));
        let expected = 0.5 * dot(&targets, &times(&inverse, &targets)) + 0.5 * logarithm;
        assert!(is_near(conditioned.loss, expected), "{} {expected}", conditioned.loss);
        for (found, expected) in conditioned.left_out().zip(left_out(&at, &all, &targets, &trust)) {
            assert!(is_near(found.0, expected.0) && is_near(found.1, expected.1), "{found:?} {expected:?}");
        }
    }
}

/// Fitted to targets with one outlier, so that the test covers trust and scale.
#[test]
fn posterior_follows_the_textbook_also_with_outliers() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let all = points(46, &mut rng);
    let all: Vec<&Encoding> = all.iter().collect();
    let (measured, new) = all.split_at(40);
    let mut targets: Vec<f64> = measured.iter().map(|p| 5.0 + 3.0 * (2.0 * p.live[0]).sin() + p.decisions[1]).collect();
    targets[17] += 25.0;
    let from = Hyperparameters::default();
    let process = Process::fit(measured, &targets, from, 40, &mut rng).unwrap();
    let at = process.hyperparameters;
    let mean = targets.iter().sum::<f64>() / 40.0;
    let scale = (targets.iter().map(|target| (target - mean).powi(2)).sum::<f64>() / 40.0).sqrt();
    let standard: Vec<f64> = targets.iter().map(|target| (target - mean) / scale).collect();

    // Trust from Student's t with 4 degrees of freedom, (ν + 1) / (ν + z²) (Lange, Little and Taylor 1989), where z is
    // the residual of an ordinary measurement; twice, the second time with the first trust.
    let trusted = |at: &Hyperparameters| {
        let noise = at.0[5].exp().max(1e-3);
        let mut trust = vec![1.0; 40];
        for _ in 0..2 {
            let off = left_out(at, measured, &standard, &trust);
            let each = off.iter().zip(&trust).map(|((off, variance), trust)| {
                let z = off / (variance - noise / trust + noise).sqrt();
                5.0 / (4.0 + z * z)
            });
            trust = each.collect();
        }
        trust
    };
    let trust_then = trusted(&at);
    assert!(trust_then[17] < 0.1, "the outlier is one: {}", trust_then[17]);

    let (means, covariances) = posterior(&at, measured, &standard, &trust_then, new);
    let found = process.posterior(measured, new);
    let chosen = [4, 0, 5];
    let found_covariance = process.covariance(&found, new, &chosen);
    for (index, expected) in means.iter().enumerate() {
        assert!((found.means[index] - (mean + scale * expected)).abs() < 1e-6, "{} {expected}", found.means[index]);
        let deviation = scale * covariances[index][index].sqrt();
        assert!((found.deviations[index] - deviation).abs() < 1e-6, "{} {deviation}", found.deviations[index]);
    }
    for (row, a) in chosen.iter().enumerate() {
        for (column, b) in chosen.iter().enumerate() {
            let expected = scale * scale * covariances[*a][*b];
            assert!((found_covariance[(row, column)] - expected).abs() < 1e-6, "{row} {column} {expected}");
        }
    }
    for (found, (off, variance)) in process.residuals().iter().zip(left_out(&at, measured, &standard, &trust_then)) {
        assert!((found - off / variance.sqrt()).abs() < 1e-6, "{found} {off}");
    }
    assert!((process.noise() - scale * scale * at.0[5].exp().max(1e-3)).abs() < 1e-12);

    // The search went uphill in marginal likelihood times prior, by the trust that it began with.
    let trust_before = trusted(&from);
    let loss = |at: &Hyperparameters| {
        let (inverse, logarithm) = inverted(&covariance(at, measured, &trust_before));
        let known = Hyperparameters::MEDIAN.iter().zip(Hyperparameters::WIDTH);
        let prior = at.0.iter().zip(known).map(|(value, (median, width))| ((value - median.ln()) / width).powi(2));
        0.5 * (dot(&standard, &times(&inverse, &standard)) + logarithm + prior.sum::<f64>())
    };
    assert!(loss(&at) < loss(&from) - 0.1, "{} {}", loss(&at), loss(&from));
}

/// The scale by its definition, apart from the code: logarithm, median, the width down to the 16 % quantile, levelled
/// off from half a width above the median on.
#[test]
fn the_warp_follows_its_documentation() {
    use crate::surrogate::Warp;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for count in [1, 2, 5, 26, 101] {
        let values: Vec<f64> = (0..count).map(|_| rng.sample::<f64, _>(StandardNormal).exp()).collect();
        let mut logarithms: Vec<f64> = values.iter().map(|value| value.ln()).collect();
        logarithms.sort_by(f64::total_cmp);
        // The value below and above which the shares lie, linear between two (Hyndman and Fan 1996, definition 7).
        let quantile = |share: f64| {
            let place = share * (count - 1) as f64;
            let below = place as usize;
            let above = (below + 1).min(count - 1);
            logarithms[below] * (1.0 - place.fract()) + logarithms[above] * place.fract()
        };
        let (centre, width) = (quantile(0.5), (quantile(0.5) - quantile(0.16)).max(1e-6));
        let warp = Warp::fit(&values);
        for value in &values {
            let height = (value.ln() - centre) / width;
            let expected = if height <= 0.5 { height } else { 0.5 + 2.0 * (1.0 - (-(height - 0.5) / 2.0).exp()) };
            assert!((warp.forward(*value) - expected).abs() < 1e-8, "{height} {expected} {}", warp.forward(*value));
        }
        // No step and no kink where it begins to level off.
        let at = |height: f64| warp.forward((centre + width * height).exp());
        let slope = |height: f64| (at(height + 1e-3) - at(height - 1e-3)) / 2e-3;
        assert!(count == 1 || (slope(0.49) - 1.0).abs() < 1e-3 && (slope(0.51) - 1.0).abs() < 0.01);
    }
}
