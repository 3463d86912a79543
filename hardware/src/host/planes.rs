//! Copies of planes in another order, and sums into planes, in loops that become vector instructions where they are inlined.

use pulp::{Arch, Simd, WithSimd, bytemuck};

use super::range::Range;

/// Values of a vector of this processor.
pub(super) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

/// Copies values to the beginning of another list, which is as long or longer.
#[inline(always)]
pub(super) fn copy<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    let (whole, rest) = S::as_simd_f32s(from);
    let (places, place) = S::as_mut_simd_f32s(&mut to[..from.len()]);
    for (place, value) in places.iter_mut().zip(whole) {
        *place = *value;
    }
    if !rest.is_empty() {
        simd.partial_store_f32s(place, simd.partial_load_f32s(rest));
    }
}

/// Writes sums within `range` to the columns from `x` on of up to `ROWS` rows of `width` values. Sums for columns and rows
/// that there are not remain unused.
#[inline(always)]
pub(super) fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    sums: [[S::f32s; VECTORS]; ROWS],
    range: Range,
    rows: &mut [f32],
    width: usize,
    x: usize,
) {
    let columns = VECTORS * S::F32_LANES;
    if rows.len() == ROWS * width && x + columns <= width {
        for (row, sums) in sums.iter().enumerate() {
            let (places, _) = S::as_mut_simd_f32s(&mut rows[row * width + x..][..columns]);
            for (place, sum) in places.iter_mut().zip(sums) {
                *place = range.clamp(simd, *sum);
            }
        }
    } else {
        // A copy: the sums themselves are never in memory, so that they stay in registers.
        let mut limited = sums;
        for sum in limited.as_flattened_mut() {
            *sum = range.clamp(simd, *sum);
        }
        for (row, sums) in rows.chunks_exact_mut(width).zip(&limited) {
            copy(simd, &bytemuck::cast_slice(sums)[..columns.min(width - x)], &mut row[x..]);
        }
    }
}

/// The columns of planes that have one remainder by the step between two windows.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub width: usize,
    pub step: usize,
    pub remainder: usize,
}

impl Columns {
    /// Copies these columns of `GROUP` planes, pixel by pixel in turn.
    #[inline(always)]
    pub(super) fn interleave<const GROUP: usize>(self, values: &[f32], sorted: &mut [f32]) {
        let Self { width, step, remainder } = self;
        let size = values.len() / GROUP;
        let (mut places, _) = sorted.as_chunks_mut::<GROUP>();
        // Rows that are a multiple of the step need not be told apart.
        let length = if width.is_multiple_of(step) { size } else { width };
        for start in (0..size).step_by(length) {
            let mut planes = [&values[..0]; GROUP];
            for (plane, values) in planes.iter_mut().zip(values.chunks_exact(size)) {
                *plane = &values[start..start + length];
            }
            let (of_row, rest) = places.split_at_mut((length - remainder).div_ceil(step));
            match (step, remainder, length % 2) {
                (1, ..) => take::<GROUP, 1, 0>(planes, of_row),
                (2, 0, 0) => take::<GROUP, 2, 0>(planes, of_row),
                (2, 1, 0) => take::<GROUP, 2, 1>(planes, of_row),
                _ => {
                    for (column, place) in of_row.iter_mut().enumerate() {
                        for (place, plane) in place.iter_mut().zip(planes) {
                            *place = plane[remainder + column * step];
                        }
                    }
                }
            }
            places = rest;
        }
    }
}

/// The columns of planes that have the remainder `AT` by `STEP`, in loops that the compiler makes vectors of. There are as
/// many places as whole steps.
#[inline(always)]
fn take<const GROUP: usize, const STEP: usize, const AT: usize>(planes: [&[f32]; GROUP], places: &mut [[f32; GROUP]]) {
    let mut steps = [&[[0.0; STEP]; 0][..]; GROUP];
    for (steps, plane) in steps.iter_mut().zip(planes) {
        *steps = &plane.as_chunks::<STEP>().0[..places.len()];
    }
    if GROUP == 1 {
        for (place, step) in places.iter_mut().zip(steps[0]) {
            place[0] = step[AT];
        }
        return;
    }
    for (column, place) in places.iter_mut().enumerate() {
        for (place, steps) in place.iter_mut().zip(steps) {
            *place = steps[column][AT];
        }
    }
}

/// The planes whose pixels `sorted` has in turn.
#[inline(always)]
pub(super) fn separate<const GROUP: usize>(sorted: &[f32], result: &mut [f32]) {
    let (sorted, _) = sorted.as_chunks::<GROUP>();
    let size = result.len() / GROUP;
    for (plane, result) in result.chunks_exact_mut(size).enumerate() {
        for (place, values) in result.iter_mut().zip(sorted) {
            *place = values[plane];
        }
    }
}
