//! The joint process against its formula (Kennedy and O'Hagan 2000), with plain loops.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::super::Covariances;
use super::super::covariances::Block;
use super::super::dense::{self, Matrix, dot, inverted, is_near, kernel, times};
use super::*;

fn points(count: usize, rng: &mut ChaCha8Rng) -> Vec<Arc<Encoding>> {
    dense::points(count, rng).into_iter().map(Arc::new).collect()
}

/// full = ρ · short + δ + constant, from the definitions: short ~ k + same, δ ~ scale · k + same, constant ~ 4.
fn covariance_of(at: &JointHyperparameters, a: &Trained, b: &Trained) -> f64 {
    let [ratio, scale, same_short, same_difference, _] = at.link.map(f64::exp);
    let same = f64::from(u8::from(a.point.network == b.point.network));
    let base = kernel(&at.short, &a.point, &b.point);
    let short = base + same_short * same;
    match (a.is_full, b.is_full) {
        (false, false) => short,
        (true, true) => ratio * ratio * short + scale * base + same_difference * same + 4.0,
        _ => ratio * short,
    }
}

fn noise_of(at: &JointHyperparameters, row: &Trained) -> f64 {
    if row.is_full { at.link[4].exp() } else { at.short.0[5].exp() }
}

fn dense_covariance(at: &JointHyperparameters, rows: &[Trained]) -> Matrix {
    let entry =
        |i: usize, j: usize| covariance_of(at, &rows[i], &rows[j]) + if i == j { noise_of(at, &rows[i]) } else { 0.0 };
    (0..rows.len()).map(|i| (0..rows.len()).map(|j| entry(i, j)).collect()).collect()
}

/// Means and covariances of trainings given standardised targets.
fn dense_posterior(
    at: &JointHyperparameters,
    rows: &[Trained],
    targets: &[f64],
    new: &[Trained],
) -> (Vec<f64>, Matrix) {
    let (inverse, _) = inverted(&dense_covariance(at, rows));
    let cross: Matrix = new.iter().map(|a| rows.iter().map(|b| covariance_of(at, a, b)).collect()).collect();
    let means = cross.iter().map(|row| dot(row, &times(&inverse, targets))).collect();
    let entry = |i: usize, j: usize| covariance_of(at, &new[i], &new[j]) - dot(&cross[i], &times(&inverse, &cross[j]));
    (means, (0..new.len()).map(|i| (0..new.len()).map(|j| entry(i, j)).collect()).collect())
}

/// Short trainings of all points and full ones of the last few, which follow the short ones.
fn trainings(points: &[Arc<Encoding>], full: usize, rng: &mut ChaCha8Rng) -> (Vec<Trained>, Vec<f64>) {
    let rows = trained(points, false).chain(trained(&points[points.len() - full..], true));
    let value = |row: Trained| {
        let short = 5.0 + 3.0 * (2.0 * row.point.live[0]).sin() + row.point.decisions[1];
        let noise: f64 = rng.sample(StandardNormal);
        (row.clone(), if row.is_full { 0.5 * short + row.point.executed[0] - 20.0 } else { short } + 0.1 * noise)
    };
    rows.map(value).unzip()
}

/// Targets of mean 0 and variance 1 for each of the two trainings.
fn standardised(rows: &[Trained], targets: &[f64], process: &Joint) -> Vec<f64> {
    let short = rows.iter().zip(targets).filter(|(row, _)| !row.is_full);
    let short = Standard::of(&short.map(|(_, target)| *target).collect::<Vec<_>>());
    let of = |(row, target): (&Trained, &f64)| if row.is_full { process.full } else { short }.apply(*target);
    rows.iter().zip(targets).map(of).collect()
}

#[test]
fn posterior_and_residuals_follow_the_textbook() {
    for (seed, count, full) in [(1, 30, 9), (2, 40, 3), (3, 12, 0), (4, 9, 9)] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let all = points(count + 5, &mut rng);
        // The first new point encodes a network that was trained.
        let (known, new) = all.split_at(count);
        let (rows, targets) = trainings(known, full, &mut rng);
        let process = Joint::fit(rows.clone(), &targets, JointHyperparameters::default(), 20, &mut rng).unwrap();
        let at = process.hyperparameters;
        let standardised = standardised(&rows, &targets, &process);
        let both: Vec<Trained> = trained(new, true).chain(trained(new, false)).collect();
        let (means, covariances) = dense_posterior(&at, &rows, &standardised, &both);
        let posterior = process.posterior(new);
        let covariance = process.covariance(new);
        let Standard { mean, scale } = process.full;
        for index in 0..new.len() {
            assert!(is_near(posterior.means[index], mean + scale * means[index]), "{}", posterior.means[index]);
            assert!(is_near(posterior.deviations[index], scale * covariances[index][index].sqrt()));
        }
        for row in 0..both.len() {
            for column in 0..both.len() {
                assert!(is_near(covariance[(row, column)], scale * scale * covariances[row][column]));
            }
        }
        assert!(is_near(process.noise(), scale * scale * at.link[4].exp()));
        assert!(is_near(process.short_noise(), scale * scale * at.short.0[5].exp()));
        for (index, residual) in process.residuals().into_iter().enumerate() {
            let (mut others, mut theirs) = (rows.clone(), standardised.clone());
            let (left, target) = (others.remove(index), theirs.remove(index));
            let (means, covariances) = dense_posterior(&at, &others, &theirs, std::slice::from_ref(&left));
            let expected = (target - means[0]) / (covariances[0][0] + noise_of(&at, &left)).sqrt();
            assert!(is_near(residual, expected), "{residual} {expected}");
        }
    }
}

/// −log p(y) − log p(hyper-parameters) falls.
#[test]
fn the_fit_goes_uphill_in_marginal_likelihood_times_prior() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let known = points(36, &mut rng);
    let (rows, targets) = trainings(&known, 10, &mut rng);
    let from = JointHyperparameters::default();
    let process = Joint::fit(rows.clone(), &targets, from, 60, &mut rng).unwrap();
    let standardised = standardised(&rows, &targets, &process);
    let loss = |at: &JointHyperparameters| {
        let (inverse, logarithm) = inverted(&dense_covariance(at, &rows));
        let short = Hyperparameters::MEDIAN.iter().zip(Hyperparameters::WIDTH).zip(at.short.0);
        let link = JointHyperparameters::MEDIAN.iter().zip(JointHyperparameters::WIDTH).zip(at.link);
        let prior = short.chain(link).map(|((median, width), value)| ((value - median.ln()) / width).powi(2));
        0.5 * (dot(&standardised, &times(&inverse, &standardised)) + logarithm + prior.sum::<f64>())
    };
    assert!(loss(&process.hyperparameters) < loss(&from) - 1.0);
}

/// A few full trainings and many short ones predict the full ones of networks that were trained short.
#[test]
fn short_trainings_tell_the_full_ones() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let known = points(60, &mut rng);
    let value = |point: &Encoding, is_full: bool| {
        let short =
            point.decisions.iter().enumerate().map(|(index, value)| (3.0 * value + index as f64).sin()).sum::<f64>();
        if is_full { 2.0 * short + 0.2 * point.live[0] } else { short }
    };
    let error = |with_short: bool| {
        let short = trained(&known, false).filter(|_| with_short);
        let rows: Vec<Trained> = short.chain(trained(&known[..6], true)).collect();
        let targets: Vec<f64> = rows.iter().map(|row| value(&row.point, row.is_full)).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let process = Joint::fit(rows, &targets, JointHyperparameters::default(), 80, &mut rng).unwrap();
        let posterior = process.posterior(&known[6..]);
        let off = posterior.means.iter().zip(&known[6..]).map(|(mean, point)| (mean - value(point, true)).abs());
        off.sum::<f64>() / 54.0
    };
    let errors = [true, false].map(error);
    assert!(errors[0] < 0.3 * errors[1], "{errors:?}");
}

#[test]
fn few_or_constant_trainings_give_finite_predictions() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let all = points(12, &mut rng);
    for (short, full) in [(0, 1), (1, 0), (1, 1), (8, 0), (8, 3), (0, 3)] {
        let rows: Vec<Trained> = trained(&all[..short], false).chain(trained(&all[..full], true)).collect();
        let targets: Vec<f64> = rows.iter().map(|row| if row.is_full { 7.0 } else { 9.0 }).collect();
        let process = Joint::fit(rows, &targets, JointHyperparameters::default(), 10, &mut rng).unwrap();
        let posterior = process.posterior(&all);
        let expected = if full > 0 { 7.0 } else { 9.0 };
        assert!(posterior.means.iter().all(|mean| (mean - expected).abs() < 1e-9), "{:?}", posterior.means);
        assert!(posterior.deviations.iter().all(|deviation| deviation.is_finite() && *deviation > 0.0));
    }
}

/// An assumed observation leaves the covariances that the real one leaves.
#[test]
fn assumed_observations_change_covariances_as_real_ones() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let all = points(24, &mut rng);
    let (known, new) = all.split_at(20);
    let (rows, targets) = trainings(known, 6, &mut rng);
    let process = Joint::fit(rows.clone(), &targets, JointHyperparameters::default(), 10, &mut rng).unwrap();
    let (matrix, short_noise) = (process.covariance(new), Some(process.short_noise()));
    let mut assumed = Covariances(vec![Some(Block { matrix, noise: process.noise(), short_noise })]);
    assumed.observe_short(1);
    assumed.observe(0, 2);
    let seen =
        [Trained { point: Arc::clone(&new[1]), is_full: false }, Trained { point: Arc::clone(&new[2]), is_full: true }];
    let rows = [rows, seen.to_vec()].concat();
    let zeros = vec![0.0; rows.len()];
    let both: Vec<Trained> = trained(new, true).collect();
    let (_, covariances) = dense_posterior(&process.hyperparameters, &rows, &zeros, &both);
    for (place, row) in covariances.iter().enumerate() {
        let expected = process.full.scale * row[place].sqrt();
        assert!(is_near(assumed.deviation(0, place).unwrap(), expected), "{place}");
    }
}
