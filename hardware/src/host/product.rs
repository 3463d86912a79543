//! Products of a matrix with a vector.

use pulp::Simd;

use super::range::Range;

/// Values of a column: those of the widest vector.
pub(super) const COLUMN: usize = 16;

/// Sums that hide the latency of an addition.
const SUMS: usize = 4;

/// Writes the product of a matrix, which consists of `columns`, with `values`, plus `bias`, to `result`, within `range`.
/// `result` may be shorter than a column.
#[inline(always)]
pub(super) fn product<S: Simd>(
    simd: S,
    columns: &[[f32; COLUMN]],
    values: &[f32],
    bias: &[f32; COLUMN],
    range: Range,
    result: &mut [f32],
) {
    let (columns, last_columns) = columns.as_chunks::<SUMS>();
    let (values, last_values) = values.as_chunks::<SUMS>();
    for (start, place) in (0..COLUMN).step_by(S::F32_LANES).zip(result.chunks_mut(S::F32_LANES)) {
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        sums[0] = part::<S>(bias, start);
        for (columns, values) in columns.iter().zip(values) {
            for ((sum, column), value) in sums.iter_mut().zip(columns).zip(values) {
                *sum = simd.mul_add_e_f32s(simd.splat_f32s(*value), part::<S>(column, start), *sum);
            }
        }
        for ((sum, column), value) in sums.iter_mut().zip(last_columns).zip(last_values) {
            *sum = simd.mul_add_e_f32s(simd.splat_f32s(*value), part::<S>(column, start), *sum);
        }
        let [a, b, c, d] = sums;
        let sum = range.clamp(simd, simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)));
        simd.partial_store_f32s(place, sum);
    }
}

/// The vector of a column that begins at `start`.
#[inline(always)]
fn part<S: Simd>(column: &[f32; COLUMN], start: usize) -> S::f32s {
    S::as_simd_f32s(&column[start..start + S::F32_LANES]).0[0]
}
