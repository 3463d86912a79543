//! A Gaussian process of standardised targets, conditioned on them.

use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Mat, Par, Side};

use super::Hyperparameters;
use super::kernel::Pairs;

/// A process for targets of mean 0 and variance 1, conditioned on those targets.
#[derive(Debug, Clone)]
pub(super) struct Conditioned {
    /// Cholesky factor of the targets' covariance, noise included.
    pub factor: Mat<f64>,
    /// The covariance's inverse times the targets: `[targets, 1]`.
    pub weights: Mat<f64>,
    /// Negative log marginal likelihood, without its constant.
    pub loss: f64,
}

impl Conditioned {
    /// Conditions on targets, each with its [`trust`](super::robust::trust); `None` if the covariance has no Cholesky
    /// factor.
    pub fn on(pairs: &Pairs, targets: &[f64], trust: &[f64], at: &Hyperparameters) -> Option<Self> {
        let mut covariance = pairs.covariance(at);
        let count = targets.len();
        (0..count).for_each(|index| covariance[(index, index)] += at.noise() / trust[index]);
        Self::on_covariance(&covariance, targets)
    }

    /// Conditions on targets with this covariance, noise included; `None` if it has no Cholesky factor.
    pub fn on_covariance(covariance: &Mat<f64>, targets: &[f64]) -> Option<Self> {
        let count = targets.len();
        let factor = covariance.llt(Side::Lower).ok()?.L().to_owned();
        let mut weights = Mat::from_fn(count, 1, |row, _| targets[row]);
        solve_lower_triangular_in_place(factor.as_ref(), weights.as_mut(), Par::Seq);
        let fit = weights.squared_norm_l2();
        let log_determinant: f64 = (0..count).map(|index| factor[(index, index)].ln()).sum();
        solve_upper_triangular_in_place(factor.transpose(), weights.as_mut(), Par::Seq);
        let loss = 0.5 * fit + log_determinant;
        loss.is_finite().then_some(Self { factor, weights, loss })
    }

    /// For each target, its residual from the prediction by all others, and the variance of that, noise included
    /// (Rasmussen and Williams 2006, section 5.4.2).
    pub fn left_out(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let count = self.factor.nrows();
        let mut inverse = Mat::<f64>::identity(count, count);
        solve_lower_triangular_in_place(self.factor.as_ref(), inverse.as_mut(), Par::Seq);
        (0..count).map(move |index| {
            let precision = inverse.col(index).squared_norm_l2();
            (self.weights[(index, 0)] / precision, 1.0 / precision)
        })
    }
}
