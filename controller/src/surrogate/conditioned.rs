//! A Gaussian process of standardised targets, conditioned on them.

use ndarray::{Array1, Array2, Axis};

use super::Hyperparameters;
use super::cholesky::Cholesky;
use super::kernel::Pairs;

/// A process for targets of mean 0 and variance 1, conditioned on those targets.
#[derive(Debug, Clone)]
pub(super) struct Conditioned {
    /// Cholesky factor of the targets' covariance, noise included.
    factor: Cholesky,
    /// The covariance's inverse times the targets.
    weights: Array1<f64>,
    /// Negative log marginal likelihood, without its constant.
    pub loss: f64,
}

/// The prediction for some points, for targets of mean 0 and variance 1.
#[derive(Debug)]
pub(super) struct StandardPosterior {
    pub means: Array1<f64>,
    /// By how much the targets lower the variance of each point.
    pub explained: Array1<f64>,
    /// Covariances with the targets, solved with the Cholesky factor: `[targets, points]`.
    pub solved: Array2<f64>,
}

impl Conditioned {
    /// Conditions on targets, each with its [`trust`](super::robust::trust); `None` if the covariance has no Cholesky
    /// factor.
    pub fn on(pairs: &Pairs, targets: &[f64], trust: &[f64], at: &Hyperparameters) -> Option<Self> {
        let mut covariance = pairs.covariance(at);
        covariance.diag_mut().iter_mut().zip(trust).for_each(|(variance, trust)| *variance += at.noise() / trust);
        Self::on_covariance(covariance, targets)
    }

    /// Conditions on targets with this covariance, noise included; `None` if it has no Cholesky factor.
    pub fn on_covariance(covariance: Array2<f64>, targets: &[f64]) -> Option<Self> {
        let factor = Cholesky::of(covariance)?;
        let mut weights = Array1::from(targets.to_vec());
        factor.solve_vector(&mut weights);
        let loss = 0.5 * weights.dot(&weights) + factor.log_determinant();
        factor.solve_transposed(&mut weights);
        loss.is_finite().then_some(Self { factor, weights, loss })
    }

    /// The prediction for points with these covariances with the targets, `[targets, points]`.
    pub fn posterior(&self, covariances: Array2<f64>) -> StandardPosterior {
        let mut means = Array1::zeros(covariances.ncols());
        covariances.rows().into_iter().zip(&self.weights).for_each(|(row, weight)| means.scaled_add(*weight, &row));
        let solved = self.solved(covariances);
        StandardPosterior { means, explained: squares(&solved), solved }
    }

    /// Covariances with the targets, `[targets, points]`, solved with the Cholesky factor.
    pub fn solved(&self, mut covariances: Array2<f64>) -> Array2<f64> {
        self.factor.solve(&mut covariances);
        covariances
    }

    /// For each target, its residual from the prediction by all others, and the variance of that, noise included
    /// (Rasmussen and Williams 2006, section 5.4.2).
    pub fn left_out(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let inverse = self.solved(Array2::eye(self.factor.count()));
        let weights = self.weights.iter();
        weights.zip(squares(&inverse)).map(|(weight, precision)| (weight / precision, 1.0 / precision))
    }
}

/// Sum of each column's squares.
fn squares(matrix: &Array2<f64>) -> Array1<f64> {
    matrix.fold_axis(Axis(0), 0.0, |sum, value| sum + value * value)
}
