//! The Gaussian process of one objective.

use anyhow::{Context as _, Result};
use ndarray::{Array2, Axis};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::conditioned::{Conditioned, StandardPosterior};
use super::kernel::Pairs;
use super::local_search::{Steps, minimise};
use super::robust::trust;
use super::{Encoding, Hyperparameters};

/// A Gaussian process conditioned on measurements.
#[derive(Debug, Clone)]
pub struct Process {
    pub hyperparameters: Hyperparameters,
    standard: Standard,
    conditioned: Conditioned,
}

/// Mean and standard deviation of the targets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standard {
    pub mean: f64,
    pub scale: f64,
}

impl Standard {
    pub fn of(targets: &[f64]) -> Self {
        let count = targets.len();
        let mean = targets.iter().sum::<f64>() / count.max(1) as f64;
        let variance = targets.iter().map(|target| (target - mean).powi(2)).sum::<f64>() / count.max(1) as f64;
        // A constant objective has no scale: any will do.
        let scale = if variance > 1e-18 { variance.sqrt() } else { 1.0 };
        Self { mean, scale }
    }

    /// The same with at least this scale.
    pub fn with_least(self, scale: f64) -> Self {
        Self { scale: self.scale.max(scale), ..self }
    }

    pub fn apply(&self, target: f64) -> f64 {
        (target - self.mean) / self.scale
    }

    /// A prediction for points of these prior variances, in the units of the targets.
    pub fn restore(&self, standard: StandardPosterior, prior: impl Iterator<Item = f64>) -> Posterior {
        let means = standard.means.iter().map(|mean| self.mean + self.scale * mean).collect();
        let left = prior.zip(&standard.explained).map(|(prior, explained)| (prior - explained).max(1e-8));
        let deviations = left.map(|variance| self.scale * variance.sqrt()).collect();
        Posterior { means, deviations, solved: standard.solved }
    }
}

/// The prediction of a process for some points, in the units of the targets.
#[derive(Debug, Clone)]
pub struct Posterior {
    pub means: Vec<f64>,
    /// Standard deviation of each point, without the noise of a measurement.
    pub deviations: Vec<f64>,
    /// Covariances with the measurements, solved with the Cholesky factor: `[measurements, points]`.
    pub(super) solved: Array2<f64>,
}

impl Posterior {
    /// The prediction of values that are exact.
    pub fn exact(means: Vec<f64>) -> Self {
        Self { deviations: vec![0.0; means.len()], solved: Array2::zeros((0, means.len())), means }
    }
}

impl Process {
    /// Most measurements that the hyper-parameters are fitted to: more of them change little and cost the cube.
    const FITTED: usize = 300;
    /// Probability that a step of the fit moves a hyper-parameter.
    const MOVED: f64 = 0.5;

    /// Conditions a process on targets at points, after `steps` of a local search, from the given ones, for the
    /// hyper-parameters with the highest posterior (marginal likelihood times a log-normal prior). Outliers get a larger
    /// variance of noise.
    ///
    /// # Errors
    /// If the covariance has no Cholesky factor, because a target or a feature is not finite.
    pub fn fit(
        points: &[&Encoding],
        targets: &[f64],
        from: Hyperparameters,
        steps: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let count = targets.len();
        let failure = || format!("the surrogate's covariance of {count} measurements is not positive definite");
        let standard = Standard::of(targets);
        let targets: Vec<f64> = targets.iter().map(|target| standard.apply(*target)).collect();
        // Every n-th, so that the subset has old and new measurements.
        let stride = count.div_ceil(Self::FITTED).max(1);
        let some: Vec<&Encoding> = points.iter().step_by(stride).copied().collect();
        let theirs: Vec<f64> = targets.iter().step_by(stride).copied().collect();
        let some_pairs = Pairs::between(&some, &some);
        let their_trust = trust(&some_pairs, &theirs, &from).with_context(failure)?;
        let hyperparameters = likeliest(&some_pairs, &theirs, &their_trust, from, steps, rng);
        let pairs = Pairs::between(points, points);
        let trust = trust(&pairs, &targets, &hyperparameters).with_context(failure)?;
        let conditioned = Conditioned::on(&pairs, &targets, &trust, &hyperparameters).with_context(failure)?;
        Ok(Self { hyperparameters, standard, conditioned })
    }

    /// Variance of a measurement's noise, in squared units of the targets.
    pub fn noise(&self) -> f64 {
        self.hyperparameters.noise() * self.standard.scale * self.standard.scale
    }

    /// The prediction for points; `measured` are the points that it was fitted to.
    pub fn posterior(&self, measured: &[&Encoding], points: &[&Encoding]) -> Posterior {
        if measured.is_empty() {
            let deviation = |point: &&Encoding| self.standard.scale * self.hyperparameters.prior_variance(point).sqrt();
            let (means, deviations) = (vec![self.standard.mean; points.len()], points.iter().map(deviation).collect());
            return Posterior { means, deviations, solved: Array2::zeros((0, points.len())) };
        }
        let covariances = Pairs::between(measured, points).covariance(&self.hyperparameters);
        let prior = points.iter().map(|point| self.hyperparameters.prior_variance(point));
        self.standard.restore(self.conditioned.posterior(covariances), prior)
    }

    /// Covariances of some of the points of a posterior: `[points, points]`, in squared units of the targets.
    pub fn covariance(&self, posterior: &Posterior, points: &[&Encoding], chosen: &[usize]) -> Array2<f64> {
        let chosen_points: Vec<&Encoding> = chosen.iter().map(|index| points[*index]).collect();
        let prior = Pairs::between(&chosen_points, &chosen_points).covariance(&self.hyperparameters);
        let solved = posterior.solved.select(Axis(1), chosen);
        (prior - solved.t().dot(&solved)) * (self.standard.scale * self.standard.scale)
    }

    /// Standardised leave-one-out residual of each measurement.
    pub fn residuals(&self) -> Vec<f64> {
        self.conditioned.left_out().map(|(residual, variance)| residual / variance.sqrt()).collect()
    }
}

/// The likeliest hyper-parameters that a local search finds.
fn likeliest(
    pairs: &Pairs,
    targets: &[f64],
    trust: &[f64],
    from: Hyperparameters,
    steps: usize,
    rng: &mut ChaCha8Rng,
) -> Hyperparameters {
    let loss = |at: &Hyperparameters| {
        let conditioned = Conditioned::on(pairs, targets, trust, at);
        conditioned.map_or(f64::INFINITY, |conditioned| conditioned.loss + at.surprise())
    };
    let steps = Steps { count: steps, width: 0.4, range: [0.05, 1.0], narrowing: 0.95 };
    minimise(from, &steps, loss, |best, width| {
        let mut next = *best;
        for value in &mut next.0 {
            let step: f64 = rng.sample(StandardNormal);
            if rng.random_bool(Process::MOVED) {
                *value += width * step;
            }
        }
        next
    })
}

#[cfg(test)]
mod textbook_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use child::graph::Cost;
    use rand::SeedableRng;

    fn points(count: usize, rng: &mut ChaCha8Rng) -> Vec<Encoding> {
        let group = |rng: &mut ChaCha8Rng| (0..3).map(|_| rng.sample::<f64, _>(StandardNormal)).collect::<Vec<_>>();
        let cost = Cost { macs: 0, parameters: 0, peak_activation_bytes: 0, depth: 0 };
        let network = [0; 16].into();
        let mut point = || Encoding { decisions: group(rng), live: group(rng), executed: group(rng), cost, network };
        (0..count).map(|_| point()).collect()
    }

    /// The textbook: k(x, X) (K + σ²I)⁻¹, with the inverse written out by Gauss and Jordan.
    fn dense(process: &Process, measured: &[&Encoding], targets: &[f64], point: &Encoding) -> (f64, f64) {
        let at = process.hyperparameters;
        let covariance = Pairs::between(measured, measured).covariance(&at);
        let count = measured.len();
        let mut rows: Vec<Vec<f64>> = (0..count)
            .map(|i| {
                let noise = |j| if i == j { at.noise() } else { 0.0 };
                let left = (0..count).map(|j| covariance[(i, j)] + noise(j));
                left.chain((0..count).map(|j| f64::from(u8::from(i == j)))).collect()
            })
            .collect();
        for pivot in 0..count {
            let row: Vec<f64> = rows[pivot].iter().map(|value| value / rows[pivot][pivot]).collect();
            for (index, other) in rows.iter_mut().enumerate() {
                let factor = other[pivot];
                if index != pivot {
                    other.iter_mut().zip(&row).for_each(|(value, by)| *value -= factor * by);
                }
            }
            rows[pivot] = row;
        }
        let cross = Pairs::between(measured, &[point]).covariance(&at);
        let product = |i: usize, v: &dyn Fn(usize) -> f64| (0..count).map(|j| rows[i][count + j] * v(j)).sum::<f64>();
        let target = |j: usize| process.standard.apply(targets[j]);
        let mean: f64 = (0..count).map(|i| cross[(i, 0)] * product(i, &target)).sum();
        let explained: f64 = (0..count).map(|i| cross[(i, 0)] * product(i, &|j| cross[(j, 0)])).sum();
        (
            process.standard.mean + process.standard.scale * mean,
            process.standard.scale * (at.prior_variance(point) - explained).sqrt(),
        )
    }

    #[test]
    fn posterior_is_the_textbooks() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let all = points(25, &mut rng);
        let all: Vec<&Encoding> = all.iter().collect();
        let (measured, new) = all.split_at(20);
        let targets: Vec<f64> = measured.iter().map(|p| 3.0 + p.live[0].sin() + 0.3 * p.decisions[1]).collect();
        let process = Process::fit(measured, &targets, Hyperparameters::default(), 20, &mut rng).unwrap();
        let posterior = process.posterior(measured, new);
        for (index, point) in new.iter().enumerate() {
            let (mean, deviation) = dense(&process, measured, &targets, point);
            assert!((posterior.means[index] - mean).abs() < 1e-8);
            assert!((posterior.deviations[index] - deviation).abs() < 1e-8);
        }
        let covariance = process.covariance(&posterior, new, &[3, 1]);
        assert!((covariance[(0, 0)].sqrt() - posterior.deviations[3]).abs() < 1e-8);
        // Leaving one out and predicting it gives its residual.
        let without: Vec<&Encoding> = measured[1..].to_vec();
        let (mean, deviation) = dense(&process, &without, &targets[1..], measured[0]);
        let noisy = (deviation.powi(2) + process.noise()).sqrt();
        assert!((process.residuals()[0] - (targets[0] - mean) / noisy).abs() < 1e-8);
    }

    #[test]
    fn fitting_finds_likelier_hyperparameters_and_predicts() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let all = points(140, &mut rng);
        let all: Vec<&Encoding> = all.iter().collect();
        let value = |p: &&Encoding| 2.0 * p.executed[0] + p.live[1];
        let targets: Vec<f64> = all.iter().map(value).collect();
        let (measured, new) = all.split_at(100);
        let errors = [0, 100].map(|steps| {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let process = Process::fit(measured, &targets[..100], Hyperparameters::default(), steps, &mut rng).unwrap();
            let posterior = process.posterior(measured, new);
            posterior.means.iter().zip(&targets[100..]).map(|(mean, target)| (mean - target).abs()).sum::<f64>() / 40.0
        });
        assert!(errors[1] < 0.5 * errors[0] && errors[1] < 0.2, "{errors:?}");
    }

    #[test]
    fn a_constant_objective_is_predicted_as_such() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let all = points(12, &mut rng);
        let all: Vec<&Encoding> = all.iter().collect();
        let process = Process::fit(&all[..10], &[7.0; 10], Hyperparameters::default(), 10, &mut rng).unwrap();
        let posterior = process.posterior(&all[..10], &all[10..]);
        assert!(posterior.means.iter().all(|mean| (mean - 7.0).abs() < 1e-9));
        assert!(posterior.deviations.iter().all(|deviation| deviation.is_finite()));
    }
}
