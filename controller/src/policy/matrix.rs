//! Products of matrices that are slices, row by row.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

pub(super) type Matrix<'a> = MatRef<'a, f32>;

/// A slice as the rows of a matrix.
pub(super) fn matrix(values: &[f32], columns: usize) -> Matrix<'_> {
    MatRef::from_row_major_slice(values, values.len() / columns, columns)
}

/// Adds the product of two matrices.
pub(super) fn add_product(result: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    product(result, Accum::Add, left, right);
}

/// Overwrites with the product of two matrices.
pub(super) fn set_product(result: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    product(result, Accum::Replace, left, right);
}

fn product(result: &mut [f32], accumulate: Accum, left: Matrix<'_>, right: Matrix<'_>) {
    let result = MatMut::from_row_major_slice_mut(result, left.nrows(), right.ncols());
    // Parts of a batch run side by side already.
    matmul(result, accumulate, left, right, 1.0, Par::Seq);
}

/// One of the equal blocks that a list consists of.
pub(super) fn block<T>(list: &[T], index: usize, size: usize) -> &[T] {
    &list[index * size..][..size]
}

pub(super) fn block_mut<T>(list: &mut [T], index: usize, size: usize) -> &mut [T] {
    &mut list[index * size..][..size]
}
