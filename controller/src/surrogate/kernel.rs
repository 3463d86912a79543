//! The covariance between two architectures.

use faer::Mat;
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

    /// Covariance of two points from their distances and their inner product.
    fn of(&self, rates: &[f64; 3], scales: [f64; 3], pair: &Pair) -> f64 {
        let structure = (rates[1] * pair.squared[1] + rates[2] * pair.squared[2]).exp();
        let decisions = (rates[0] * pair.squared[0]).exp();
        scales[0] * pair.inner + structure * (scales[1] * decisions + scales[2])
    }
}

impl Default for Hyperparameters {
    fn default() -> Self {
        Self(Self::MEDIAN.map(f64::ln))
    }
}

/// Distances and inner product of two points.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    squared: [f64; 3],
    inner: f64,
}

/// Distances and inner products of two lists of points, for use with many hyper-parameters.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    rows: usize,
    pairs: Vec<Pair>,
}

impl Pairs {
    pub fn between(rows: &[&Encoding], columns: &[&Encoding]) -> Self {
        let count = rows.len();
        // Coordinate by coordinate, so that a loop over the rows is one over neighbours in memory.
        let groups: Vec<Vec<Vec<f64>>> = (0..3)
            .map(|group| {
                let coordinates = rows.first().map_or(0, |row| row.groups()[group].len());
                let coordinate = |index: usize| rows.iter().map(|row| row.groups()[group][index]).collect();
                (0..coordinates).map(coordinate).collect()
            })
            .collect();
        let mut pairs = Vec::with_capacity(count * columns.len());
        let (mut squared, mut inner) = ([const { Vec::new() }; 3], Vec::new());
        for column in columns {
            inner.clear();
            inner.resize(count, 0.0);
            for ((squared, group), place) in squared.iter_mut().zip(&groups).zip(column.groups()) {
                squared.clear();
                squared.resize(count, 0.0);
                for (coordinate, at) in group.iter().zip(place) {
                    for ((value, squared), inner) in coordinate.iter().zip(squared.iter_mut()).zip(&mut inner) {
                        *squared += (value - at) * (value - at);
                        *inner += value * at;
                    }
                }
            }
            let [first, second, third] = &squared;
            let distances = first.iter().zip(second).zip(third).zip(&inner);
            pairs.extend(distances.map(|(((a, b), c), inner)| Pair { squared: [*a, *b, *c], inner: *inner }));
        }
        Self { rows: count, pairs }
    }

    /// Covariances, `[rows, columns]`.
    pub fn covariance(&self, at: &Hyperparameters) -> Mat<f64> {
        let rates = [1, 2, 3].map(|index| -0.5 / (2.0 * at.0[index]).exp());
        let scales = [at.0[4].exp(), at.0[0].exp(), at.0[6].exp()];
        let columns = self.pairs.len().checked_div(self.rows).unwrap_or(0);
        Mat::from_fn(self.rows, columns, |row, column| at.of(&rates, scales, &self.pairs[column * self.rows + row]))
    }
}
