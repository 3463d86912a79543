//! Products of matrices that are slices, row by row.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

pub(super) type Matrix<'a> = ArrayView2<'a, f32>;

/// A slice as the rows of a matrix.
pub(super) fn matrix(values: &[f32], columns: usize) -> Matrix<'_> {
    ArrayView2::from_shape((values.len() / columns, columns), values).expect("rows of equal length")
}

/// Adds the product of two matrices.
pub(super) fn add_product(result: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    product(result, 1.0, left, right);
}

/// Overwrites with the product of two matrices.
pub(super) fn set_product(result: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    product(result, 0.0, left, right);
}

/// Adds the product of two matrices to `kept` times what there is.
fn product(result: &mut [f32], kept: f32, left: Matrix<'_>, right: Matrix<'_>) {
    let shape = (left.nrows(), right.ncols());
    let mut result = ArrayViewMut2::from_shape(shape, result).expect("a result of the product's shape");
    general_mat_mul(1.0, &left, &right, kept, &mut result);
}

/// One of the equal blocks that a list consists of.
pub(super) fn block<T>(list: &[T], index: usize, size: usize) -> &[T] {
    &list[index * size..][..size]
}

pub(super) fn block_mut<T>(list: &mut [T], index: usize, size: usize) -> &mut [T] {
    &mut list[index * size..][..size]
}
