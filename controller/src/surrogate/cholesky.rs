//! Cholesky factors, and the equations that they solve.
//!
//! Everything halves its matrix until that is small (Gustavson 1997, "Recursion leads to automatic variable blocking for
//! dense linear-algebra algorithms"), which leaves nearly all of the work to products of matrices.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};

/// Most rows that plain loops take.
const SMALL: usize = 24;
/// Most rows of a symmetric product of which both triangles are computed.
const WHOLE: usize = 64;

/// The lower triangular matrix L with L Lᵀ = A. Values above its diagonal are undefined.
#[derive(Debug, Clone)]
pub(super) struct Cholesky(Array2<f64>);

impl Cholesky {
    /// Factor of a symmetric matrix, of which only the lower triangle is read; `None` if it is not positive definite.
    pub fn of(mut matrix: Array2<f64>) -> Option<Self> {
        factorise(matrix.view_mut()).then_some(Self(matrix))
    }

    /// Rows, or columns.
    pub fn count(&self) -> usize {
        self.0.nrows()
    }

    /// Logarithm of the factor's determinant, which is half of the matrix's.
    pub fn log_determinant(&self) -> f64 {
        self.0.diag().iter().map(|value| value.ln()).sum()
    }

    /// Replaces B, `[rows, columns]`, by L⁻¹ B.
    pub fn solve(&self, columns: &mut Array2<f64>) {
        solve(self.0.view(), columns.view_mut());
    }

    /// Replaces b by L⁻¹ b.
    pub fn solve_vector(&self, vector: &mut Array1<f64>) {
        for (index, row) in self.0.rows().into_iter().enumerate() {
            let [before, known] = [row, vector.view()].map(|values| values.split_at(Axis(0), index).0);
            vector[index] = (vector[index] - before.dot(&known)) / row[index];
        }
    }

    /// Replaces b by L⁻ᵀ b.
    pub fn solve_transposed(&self, vector: &mut Array1<f64>) {
        for (index, row) in self.0.rows().into_iter().enumerate().rev() {
            let value = vector[index] / row[index];
            let (mut rest, _) = vector.view_mut().split_at(Axis(0), index);
            rest.scaled_add(-value, &row.split_at(Axis(0), index).0);
            vector[index] = value;
        }
    }
}

/// Where a matrix is halved: at a multiple of what the products compute at once.
fn half(count: usize) -> usize {
    (count / 2).next_multiple_of(8)
}

/// Replaces the lower triangle by its Cholesky factor; whether it has one.
fn factorise(mut matrix: ArrayViewMut2<'_, f64>) -> bool {
    let count = matrix.nrows();
    if count <= SMALL {
        return factorise_small(matrix);
    }
    let middle = half(count);
    let (upper, lower) = matrix.view_mut().split_at(Axis(0), middle);
    let (mut first, _) = upper.split_at(Axis(1), middle);
    let (mut below, mut last) = lower.split_at(Axis(1), middle);
    if !factorise(first.view_mut()) {
        return false;
    }
    // L₂₁ L₁₁ᵀ = A₂₁
    solve(first.view(), below.view_mut().reversed_axes());
    subtract_square(below.view(), last.view_mut());
    factorise(last)
}

fn factorise_small(mut matrix: ArrayViewMut2<'_, f64>) -> bool {
    for column in 0..matrix.nrows() {
        for row in column..matrix.nrows() {
            let explained: f64 = (0..column).map(|k| matrix[(row, k)] * matrix[(column, k)]).sum();
            let left = matrix[(row, column)] - explained;
            if row > column {
                matrix[(row, column)] = left / matrix[(column, column)];
            } else if left > 0.0 {
                matrix[(row, column)] = left.sqrt();
            } else {
                return false;
            }
        }
    }
    true
}

/// Subtracts M Mᵀ from the lower triangle of a matrix.
fn subtract_square(factor: ArrayView2<'_, f64>, mut matrix: ArrayViewMut2<'_, f64>) {
    let count = matrix.nrows();
    if count <= WHOLE {
        return general_mat_mul(-1.0, &factor, &factor.t(), 1.0, &mut matrix);
    }
    let middle = half(count);
    let (above, below) = factor.split_at(Axis(0), middle);
    let (upper, lower) = matrix.split_at(Axis(0), middle);
    let (mut left, right) = lower.split_at(Axis(1), middle);
    subtract_square(above, upper.split_at(Axis(1), middle).0);
    general_mat_mul(-1.0, &below, &above.t(), 1.0, &mut left);
    subtract_square(below, right);
}

/// Replaces B by L⁻¹ B.
fn solve(factor: ArrayView2<'_, f64>, mut columns: ArrayViewMut2<'_, f64>) {
    let count = factor.nrows();
    if count <= SMALL {
        for row in 0..count {
            let (known, mut rest) = columns.view_mut().split_at(Axis(0), row);
            let mut values = rest.row_mut(0);
            known.rows().into_iter().enumerate().for_each(|(k, known)| values.scaled_add(-factor[(row, k)], &known));
            values /= factor[(row, row)];
        }
        return;
    }
    let middle = half(count);
    let (upper, lower) = factor.split_at(Axis(0), middle);
    let (left, right) = lower.split_at(Axis(1), middle);
    let (mut above, mut below) = columns.split_at(Axis(0), middle);
    solve(upper.split_at(Axis(1), middle).0, above.view_mut());
    general_mat_mul(-1.0, &left, &above, 1.0, &mut below);
    solve(right, below);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// B Bᵀ + I, on either side of the sizes at which a matrix is halved.
    fn positive(count: usize) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(count as u64);
        let root = Array2::from_shape_simple_fn((count, count), || rng.random_range(-1.0..1.0));
        root.dot(&root.t()) + Array2::<f64>::eye(count)
    }

    fn lower(factor: &Cholesky) -> Array2<f64> {
        Array2::from_shape_fn(factor.0.dim(), |(row, column)| if column <= row { factor.0[(row, column)] } else { 0.0 })
    }

    fn assert_near(found: &Array2<f64>, expected: &Array2<f64>) {
        let error = (found - expected).iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        assert!(error < 1e-9, "{error}");
    }

    const COUNTS: [usize; 11] = [0, 1, 2, 7, 24, 25, 40, 63, 129, 160, 301];

    #[test]
    fn the_factor_times_its_transpose_is_the_matrix() {
        for count in COUNTS {
            let matrix = positive(count);
            // Only the lower triangle is read.
            let half = Array2::from_shape_fn((count, count), |(row, column)| match column <= row {
                true => matrix[(row, column)],
                false => f64::NAN,
            });
            for (given, expected) in [(matrix.clone(), &matrix), (half, &matrix)] {
                let factor = Cholesky::of(given).unwrap();
                let lower = lower(&factor);
                assert_eq!(factor.count(), count);
                assert_near(&lower.dot(&lower.t()), expected);
                let logarithm: f64 = (0..count).map(|index| lower[(index, index)].ln()).sum();
                assert!((factor.log_determinant() - logarithm).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn what_is_solved_gives_the_right_hand_side_again() {
        for count in COUNTS {
            let factor = Cholesky::of(positive(count)).unwrap();
            let lower = lower(&factor);
            for columns in [0, 1, 3, 50] {
                let right =
                    Array2::from_shape_fn((count, columns), |(row, column)| (row * 7 + column * 3) as f64 % 5.0);
                let mut solved = right.clone();
                factor.solve(&mut solved);
                assert_near(&lower.dot(&solved), &right);
            }
            let right = Array1::from_shape_fn(count, |row| (row * 7) as f64 % 5.0 - 2.0);
            let mut solved = right.clone();
            factor.solve_vector(&mut solved);
            assert_near(&lower.dot(&solved).insert_axis(Axis(1)), &right.clone().insert_axis(Axis(1)));
            let mut solved = right.clone();
            factor.solve_transposed(&mut solved);
            assert_near(&lower.t().dot(&solved).insert_axis(Axis(1)), &right.insert_axis(Axis(1)));
        }
    }

    #[test]
    fn only_a_positive_definite_matrix_has_a_factor() {
        for count in COUNTS.into_iter().filter(|count| *count > 0) {
            for place in [0, count / 2, count - 1] {
                for value in [0.0, -1.0, f64::NAN] {
                    let mut matrix = positive(count);
                    matrix[(place, place)] = value;
                    assert!(Cholesky::of(matrix).is_none(), "{value} at {place} of {count}");
                }
            }
        }
    }
}
