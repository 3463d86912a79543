//! Gaussian processes with plain loops, for tests: the kernel from its formula, inverses and determinants by elimination.

use child::graph::Cost;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::{Encoding, Hyperparameters};

pub(super) type Matrix = Vec<Vec<f64>>;

pub(super) fn points(count: usize, rng: &mut ChaCha8Rng) -> Vec<Encoding> {
    let group = |rng: &mut ChaCha8Rng, size: usize| {
        (0..size).map(|_| rng.sample::<f64, _>(StandardNormal) / (size as f64).sqrt()).collect::<Vec<_>>()
    };
    let cost = Cost { macs: 0, parameters: 0, peak_activation_bytes: 0, depth: 0 };
    // Every third point is another encoding of the network before.
    let network = |index: usize| if index % 3 == 2 { index - 1 } else { index };
    let point = |index: usize| Encoding {
        decisions: group(rng, 4),
        live: group(rng, 3),
        executed: group(rng, 2),
        cost,
        network: (network(index) as u128).to_be_bytes().into(),
    };
    (0..count).map(point).collect()
}

/// Hyper-parameters somewhere about their medians.
pub(super) fn hyperparameters(rng: &mut ChaCha8Rng) -> Hyperparameters {
    Hyperparameters(Hyperparameters::default().0.map(|value| value + 0.5 * rng.sample::<f64, _>(StandardNormal)))
}

/// k(a, b) = linear ⟨a, b⟩ + r(live) r(executed) (whole r(decisions) + structure), where r is the squared exponential
/// exp(−½ d² / ℓ²) (Rasmussen and Williams 2006, eq. 4.9); the hyper-parameters in the order that they are documented.
pub(super) fn kernel(at: &Hyperparameters, a: &Encoding, b: &Encoding) -> f64 {
    let [whole, decisions, live, executed, linear, _, structure] = at.0.map(f64::exp);
    let exponential = |a: &[f64], b: &[f64], length: f64| {
        let squared: f64 = (0..a.len()).map(|index| (a[index] - b[index]).powi(2)).sum();
        (-0.5 * squared / (length * length)).exp()
    };
    let product = |a: &[f64], b: &[f64]| (0..a.len()).map(|index| a[index] * b[index]).sum::<f64>();
    let inner = product(&a.decisions, &b.decisions) + product(&a.live, &b.live) + product(&a.executed, &b.executed);
    let alike = exponential(&a.live, &b.live, live) * exponential(&a.executed, &b.executed, executed);
    linear * inner + alike * (whole * exponential(&a.decisions, &b.decisions, decisions) + structure)
}

/// Inverse and logarithm of the determinant, by Gauss and Jordan with partial pivoting.
pub(super) fn inverted(matrix: &Matrix) -> (Matrix, f64) {
    let count = matrix.len();
    let unit = |row: usize| (0..count).map(move |column| if row == column { 1.0 } else { 0.0 });
    let mut rows: Matrix =
        matrix.iter().enumerate().map(|(index, row)| row.iter().copied().chain(unit(index)).collect()).collect();
    let mut logarithm = 0.0;
    for pivot in 0..count {
        let largest = (pivot..count).max_by(|a, b| rows[*a][pivot].abs().total_cmp(&rows[*b][pivot].abs())).unwrap();
        rows.swap(pivot, largest);
        logarithm += rows[pivot][pivot].abs().ln();
        let factor = rows[pivot][pivot];
        rows[pivot].iter_mut().for_each(|value| *value /= factor);
        let scaled = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(row, _)| *row != pivot) {
            let factor = row[pivot];
            row.iter_mut().zip(&scaled).for_each(|(value, by)| *value -= factor * by);
        }
    }
    (rows.into_iter().map(|row| row[count..].to_vec()).collect(), logarithm)
}

pub(super) fn times(matrix: &Matrix, vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| dot(row, vector)).collect()
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn is_near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-8 * (1.0 + expected.abs())
}
