//! The covariance between two architectures.

use ndarray::{Array2, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::Encoding;

/// Hyper-parameters of the kernel, as logarithms.
///
/// k(a, b) = linear · ⟨a, b⟩ + r(live) r(executed) (whole · r(decisions) + structure), where r is a squared
/// exponential of the distance in one group of an [`Encoding`], with its own length scale. The second product carries
/// information between encodings of similar networks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameters(pub(super) [f64; Hyperparameters::COUNT]);

impl Hyperparameters {
    /// Their number: whole, the length scales of decisions, live and executed features, linear, noise, structure.
    pub const COUNT: usize = 7;
    /// Median of the prior of each (not its logarithm), for targets of unit variance.
    pub(super) const MEDIAN: [f64; Self::COUNT] = [1.0, 1.5, 1.0, 1.5, 0.3, 0.05, 0.5];
    /// Standard deviation of the logarithm under the prior: wide, a factor of three to twelve, for measurements of
    /// different boards and data sets differ that much in noise.
    pub(super) const WIDTH: [f64; Self::COUNT] = [1.25, 1.25, 1.25, 1.25, 1.75, 2.5, 1.75];
    /// Least variance of the noise, which keeps the covariance positive definite.
    pub(super) const LEAST_NOISE: f64 = 1e-3;

    /// Those of a smooth and mostly linear process, before anything is measured.
    pub(super) fn smooth() -> Self {
        Self([0.2, 2.0, 2.0, 3.0, 2.0, 0.02, 0.3].map(f64::ln))
    }

    pub(super) fn noise(&self) -> f64 {
        self.0[5].exp().max(Self::LEAST_NOISE)
    }

    /// Variance of a point before anything is measured.
    pub(super) fn prior_variance(&self, at: &Encoding) -> f64 {
        let squared: f64 = at.groups().iter().flat_map(|group| group.iter()).map(|value| value * value).sum();
        self.0[4].exp() * squared + self.0[0].exp() + self.0[6].exp()
    }

    /// Negative logarithm of the prior's density, without its constant.
    pub(super) fn surprise(&self) -> f64 {
        let known = Self::MEDIAN.iter().zip(Self::WIDTH);
        self.0.iter().zip(known).map(|(value, (median, width))| 0.5 * ((value - median.ln()) / width).powi(2)).sum()
    }
}

impl Default for Hyperparameters {
    fn default() -> Self {
        Self(Self::MEDIAN.map(f64::ln))
    }
}

/// Squared distances and inner products of two lists of points, for use with many hyper-parameters; `[rows, columns]` each.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    /// One for each group of an [`Encoding`].
    squared: [Array2<f64>; 3],
    inner: Array2<f64>,
}

impl Pairs {
    pub fn between(rows: &[&Encoding], columns: &[&Encoding]) -> Self {
        let mut inner = Array2::zeros((rows.len(), columns.len()));
        let squared = [0, 1, 2].map(|group| {
            let coordinates = rows.iter().chain(columns).next().map_or(0, |point| point.groups()[group].len());
            let matrix = |points: &[&Encoding]| {
                Array2::from_shape_fn((points.len(), coordinates), |(point, index)| {
                    points[point].groups()[group][index]
                })
            };
            let [a, b] = [rows, columns].map(matrix);
            let [of_a, of_b] = [&a, &b].map(|points| points.pow2().sum_axis(Axis(1)));
            let product = a.dot(&b.t());
            inner += &product;
            // ‖a − b‖² = ‖a‖² + ‖b‖² − 2 ⟨a, b⟩, which rounding may take below 0.
            let squared = of_a.insert_axis(Axis(1)) + &of_b - 2.0 * product;
            squared.mapv_into(|value| value.max(0.0))
        });
        Self { squared, inner }
    }

    /// Covariances, `[rows, columns]`.
    pub fn covariance(&self, at: &Hyperparameters) -> Array2<f64> {
        let [decisions, live, executed] = [1, 2, 3].map(|index| -0.5 / (2.0 * at.0[index]).exp());
        let [linear, whole, structure] = [4, 0, 6].map(|index: usize| at.0[index].exp());
        let [by_decisions, by_live, by_executed] = &self.squared;
        let pairs = Zip::from(&self.inner).and(by_decisions).and(by_live).and(by_executed);
        pairs.map_collect(|inner, a, b, c| {
            linear * inner + (live * b + executed * c).exp() * (whole * (decisions * a).exp() + structure)
        })
    }
}
