//! The joint Gaussian process of an objective's values after short and after full trainings.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::conditioned::Conditioned;
use super::kernel::Pairs;
use super::local_search::{Steps, minimise};
use super::process::Standard;
use super::{Encoding, Hyperparameters, Posterior};

/// A network at the end of its short or its full training.
#[derive(Debug, Clone)]
pub(super) struct Trained {
    pub point: Arc<Encoding>,
    pub is_full: bool,
}

/// A Gaussian process over both trainings of a network (Kennedy and O'Hagan 2000): full = ρ · short + δ + constant.
///
/// A short training costs a small part of a full one, and tells most of what the full one will: the process predicts the
/// full one from all of them. The short value has the kernel of [`Process`](super::process::Process), and δ the same one
/// on a smaller scale, each with a term for encodings of one network. The constant has a wide prior, because the first few
/// full trainings, chosen among the best, say little about its place.
#[derive(Debug, Clone)]
pub(super) struct Joint {
    pub hyperparameters: JointHyperparameters,
    rows: Vec<Trained>,
    full: Standard,
    conditioned: Conditioned,
}

/// Hyper-parameters of the joint process, as logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JointHyperparameters {
    /// Those of the short training's kernel, and of its noise.
    short: Hyperparameters,
    /// ρ, the scale of δ's kernel, the variances that encodings of one network share in the short value and in δ, the
    /// noise of the full training.
    link: [f64; Self::COUNT],
}

impl JointHyperparameters {
    const COUNT: usize = 5;
    /// Median of the prior of each of the link (not its logarithm), for targets of unit variance.
    const MEDIAN: [f64; Self::COUNT] = [1.0, 0.15, 0.05, 0.05, 0.05];
    /// Standard deviation of the logarithm under the prior.
    const WIDTH: [f64; Self::COUNT] = [0.6, 1.5, 1.5, 1.5, 2.5];
    /// Variance of the constant, for targets of unit variance.
    const CONSTANT: f64 = 4.0;

    fn ratio(&self) -> f64 {
        self.link[0].exp()
    }

    fn noise(&self, is_full: bool) -> f64 {
        if is_full { self.link[4].exp().max(Hyperparameters::LEAST_NOISE) } else { self.short.noise() }
    }

    /// Covariance of two trainings of one or of two networks, from the short kernel's.
    fn of(&self, kernel: f64, is_same: bool, full: [bool; 2]) -> f64 {
        let same = if is_same { 1.0 } else { 0.0 };
        let [_, difference, same_short, same_difference, _] = self.link.map(f64::exp);
        let ratio = full.iter().filter(|is_full| **is_full).fold(1.0, |product, _| product * self.ratio());
        let short = ratio * (kernel + same_short * same);
        if full == [true; 2] { short + difference * kernel + same_difference * same + Self::CONSTANT } else { short }
    }

    /// Covariances, `[rows, columns]`; `pairs` are those of the points.
    fn covariance(&self, pairs: &Pairs, rows: &[Trained], columns: &[Trained]) -> Array2<f64> {
        let mut covariance = pairs.covariance(&self.short);
        for (a, mut values) in rows.iter().zip(covariance.rows_mut()) {
            for (b, value) in columns.iter().zip(&mut values) {
                *value = self.of(*value, a.point.network == b.point.network, [a.is_full, b.is_full]);
            }
        }
        covariance
    }

    /// Variance of a training before anything is known.
    fn prior_variance(&self, at: &Encoding, is_full: bool) -> f64 {
        self.of(self.short.prior_variance(at), true, [is_full; 2])
    }

    /// Negative logarithm of the prior's density, without its constant.
    fn surprise(&self) -> f64 {
        let known = Self::MEDIAN.iter().zip(Self::WIDTH);
        let link = self.link.iter().zip(known);
        link.map(|(value, (median, width))| 0.5 * ((value - median.ln()) / width).powi(2)).sum::<f64>()
            + self.short.surprise()
    }

    /// Moves some hyper-parameters by normal steps of a width in standard deviations of their priors.
    fn moved(mut self, width: f64, rng: &mut ChaCha8Rng) -> Self {
        let widths = Hyperparameters::WIDTH.into_iter().chain(Self::WIDTH);
        for (value, prior) in self.short.0.iter_mut().chain(&mut self.link).zip(widths) {
            let step: f64 = rng.sample(StandardNormal);
            if rng.random_bool(Joint::MOVED) {
                *value += width * prior * step;
            }
        }
        self
    }
}

impl Default for JointHyperparameters {
    fn default() -> Self {
        Self { short: Hyperparameters::default(), link: Self::MEDIAN.map(f64::ln) }
    }
}

impl Joint {
    /// Most short trainings of networks without a full one that the hyper-parameters are fitted to, and most full ones.
    const FITTED: usize = 160;
    /// Probability that a step of the fit moves a hyper-parameter.
    const MOVED: f64 = 0.4;
    /// Least scale of the full targets, on their warp: the first few full trainings, chosen among the best, may be much
    /// more alike than those to come.
    const LEAST_SCALE: f64 = 0.3;

    /// Conditions a process on targets, after `steps` of a local search, from the given ones, for the hyper-parameters with
    /// the highest posterior.
    ///
    /// # Errors
    /// If the covariance has no Cholesky factor, because a target or a feature is not finite.
    pub fn fit(
        rows: Vec<Trained>,
        targets: &[f64],
        from: JointHyperparameters,
        steps: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let of = |is_full: bool| -> Vec<f64> {
            let these = rows.iter().zip(targets).filter(|(row, _)| row.is_full == is_full);
            these.map(|(_, target)| *target).collect()
        };
        let short = Standard::of(&of(false));
        // Without a full training, its scale is the short one's.
        let full = match of(true) {
            none if none.is_empty() => short,
            some => Standard::of(&some).with_least(Self::LEAST_SCALE),
        };
        let standardised = |(row, target): (&Trained, &f64)| if row.is_full { &full } else { &short }.apply(*target);
        let standard: Vec<f64> = rows.iter().zip(targets).map(standardised).collect();
        let subset = subset(&rows);
        let some: Vec<Trained> = subset.iter().map(|index| rows[*index].clone()).collect();
        let theirs: Vec<f64> = subset.iter().map(|index| standard[*index]).collect();
        let hyperparameters = likeliest(&some, &theirs, from, steps, rng);
        let pairs = between(&rows, &rows);
        let conditioned = conditioned(&pairs, &rows, &standard, &hyperparameters);
        let failure = || format!("the surrogate's covariance of {} trainings is not positive definite", rows.len());
        let conditioned = conditioned.with_context(failure)?;
        Ok(Self { hyperparameters, rows, full, conditioned })
    }

    /// Variance of the noise of a full training, in squared units of the full targets.
    pub fn noise(&self) -> f64 {
        self.hyperparameters.noise(true) * self.full.scale.powi(2)
    }

    /// Variance of the noise of a short training, in the same units as its covariances.
    pub fn short_noise(&self) -> f64 {
        self.hyperparameters.noise(false) * self.full.scale.powi(2)
    }

    /// The prediction of the full training for points.
    pub fn posterior(&self, points: &[Arc<Encoding>]) -> Posterior {
        let columns: Vec<Trained> = trained(points, true).collect();
        let pairs = between(&self.rows, &columns);
        let covariances = self.hyperparameters.covariance(&pairs, &self.rows, &columns);
        let prior = points.iter().map(|point| self.hyperparameters.prior_variance(point, true));
        self.full.restore(self.conditioned.posterior(covariances), prior)
    }

    /// Covariances of the full trainings of some points, then of their short ones: `[2 points, 2 points]`, in squared units
    /// of the full targets.
    pub fn covariance(&self, points: &[Arc<Encoding>]) -> Array2<f64> {
        let columns: Vec<Trained> = trained(points, true).chain(trained(points, false)).collect();
        let known = self.hyperparameters.covariance(&between(&self.rows, &columns), &self.rows, &columns);
        let prior = self.hyperparameters.covariance(&between(&columns, &columns), &columns, &columns);
        let solved = self.conditioned.solved(known);
        (prior - solved.t().dot(&solved)) * self.full.scale.powi(2)
    }

    /// Standardised leave-one-out residual of each training.
    pub fn residuals(&self) -> Vec<f64> {
        self.conditioned.left_out().map(|(residual, variance)| residual / variance.sqrt()).collect()
    }
}

fn trained(points: &[Arc<Encoding>], is_full: bool) -> impl Iterator<Item = Trained> + '_ {
    points.iter().map(move |point| Trained { point: Arc::clone(point), is_full })
}

fn between(rows: &[Trained], columns: &[Trained]) -> Pairs {
    let [rows, columns] = [rows, columns].map(|all| all.iter().map(|row| row.point.as_ref()).collect::<Vec<_>>());
    Pairs::between(&rows, &columns)
}

fn conditioned(pairs: &Pairs, rows: &[Trained], targets: &[f64], at: &JointHyperparameters) -> Option<Conditioned> {
    let mut covariance = at.covariance(pairs, rows, rows);
    covariance.diag_mut().iter_mut().zip(rows).for_each(|(variance, row)| *variance += at.noise(row.is_full));
    Conditioned::on_covariance(covariance, targets)
}

/// The trainings that the hyper-parameters are fitted to: full ones and the short ones of the same networks, from which ρ
/// and δ are learnt, and some of the other short ones, old and new.
fn subset(rows: &[Trained]) -> Vec<usize> {
    let places = |is_full: bool| (0..rows.len()).filter(move |index| rows[*index].is_full == is_full);
    let full = thinned(places(true).collect());
    let networks: HashSet<_> = full.iter().map(|index| rows[*index].point.network).collect();
    let (both, alone): (Vec<_>, Vec<_>) =
        places(false).partition(|index| networks.contains(&rows[*index].point.network));
    [full, thinned(both), thinned(alone)].concat()
}

/// Every n-th, so that at most [`Joint::FITTED`] are left.
fn thinned(places: Vec<usize>) -> Vec<usize> {
    let stride = places.len().div_ceil(Joint::FITTED).max(1);
    places.into_iter().step_by(stride).collect()
}

/// The likeliest hyper-parameters that a local search finds.
fn likeliest(
    rows: &[Trained],
    targets: &[f64],
    from: JointHyperparameters,
    steps: usize,
    rng: &mut ChaCha8Rng,
) -> JointHyperparameters {
    let pairs = between(rows, rows);
    let loss = |at: &JointHyperparameters| {
        let conditioned = conditioned(&pairs, rows, targets, at);
        conditioned.map_or(f64::INFINITY, |conditioned| conditioned.loss + at.surprise())
    };
    let steps = Steps { count: steps, width: 0.3, range: [0.06, 0.6], narrowing: 0.93 };
    minimise(from, &steps, loss, |best, width| best.moved(width, rng))
}

#[cfg(test)]
mod textbook_tests;
