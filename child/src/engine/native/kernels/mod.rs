//! Loops over one image, for the vector instructions that the processor has (pulp): every kernel is a [`WithSimd`]
//! that takes slices of whole vectors.

pub(super) mod dense;
pub(super) mod depthwise;
pub(super) mod norm;
pub(super) mod pointwise;
pub(super) mod pool;
pub(super) mod sweep;

use pulp::Simd;

/// A slice as vectors. Its length is a multiple of theirs.
#[inline(always)]
fn vectors<S: Simd>(values: &[f32]) -> &[S::f32s] {
    bytemuck::cast_slice(values)
}

/// A slice as vectors. Its length is a multiple of theirs.
#[inline(always)]
fn vectors_mut<S: Simd>(values: &mut [f32]) -> &mut [S::f32s] {
    bytemuck::cast_slice_mut(values)
}
