//! Copies of planes between their padding, in the order in which windows read them.

use pulp::{Arch, Simd, WithSimd};

use super::{Geometry, Windows};
use crate::host::planes::{Columns, copy};

impl Windows {
    /// Copies planes between their padding, which is zero from the start.
    pub(in crate::host) fn pad_all(&self, values: &[f32], padded: &mut [f32]) {
        Arch::new().dispatch(Padding { windows: self, values, padded });
    }

    /// Copies a group of planes between their padding.
    #[inline(always)]
    pub(super) fn pad<S: Simd>(&self, simd: S, values: &[f32], sorted: &mut [f32], padded: &mut [f32]) {
        let Self { geometry: Geometry { strides, before, .. }, input: [height, width], group, row, part, .. } = *self;
        let rows = height.min((padded.len() / (strides[1] * row * group)).saturating_sub(before[0]));
        for remainder in 0..strides[1].min(width) {
            let columns = (width - remainder).div_ceil(strides[1]);
            let column = before[1] + remainder;
            let start = column % strides[1] * part + before[0] * row + column / strides[1];
            let length = columns.min(row - (column / strides[1]).min(row));
            let start = (start * group).min(padded.len());
            let (plane, places) = (&values[..rows * width], &mut padded[start..]);
            let is_whole = group == 1 && length == columns && width == columns * strides[1];
            match (strides[1], remainder, if is_whole { columns } else { 0 }) {
                (1, 0, 8) => take::<1, 0, 8>(plane, places, row),
                (1, 0, 16) => take::<1, 0, 16>(plane, places, row),
                (1, 0, 32) => take::<1, 0, 32>(plane, places, row),
                (2, 0, 8) => take::<2, 0, 8>(plane, places, row),
                (2, 1, 8) => take::<2, 1, 8>(plane, places, row),
                (2, 0, 16) => take::<2, 0, 16>(plane, places, row),
                (2, 1, 16) => take::<2, 1, 16>(plane, places, row),
                _ => {
                    let of_remainder = if strides[1] == 1 && group == 1 {
                        values
                    } else {
                        let rows = Columns { width, step: strides[1], remainder };
                        match group {
                            4 => rows.interleave::<4>(values, sorted),
                            8 => rows.interleave::<8>(values, sorted),
                            _ => rows.interleave::<1>(values, sorted),
                        }
                        &*sorted
                    };
                    let of_rows = of_remainder.chunks_exact(columns * group).take(rows);
                    for (values, place) in of_rows.zip(places.chunks_mut(row * group)) {
                        copy(simd, &values[..length * group], place);
                    }
                }
            }
        }
    }
}

/// Copies the `COLUMNS` columns of a plane that have the remainder `AT` by `STEP` to rows of `row` values.
#[inline(always)]
fn take<const STEP: usize, const AT: usize, const COLUMNS: usize>(plane: &[f32], places: &mut [f32], row: usize) {
    let (steps, _) = plane.as_chunks::<STEP>();
    for (values, place) in steps.as_chunks::<COLUMNS>().0.iter().zip(places.chunks_mut(row)) {
        // The compiler makes vectors of the loop since it works on copies.
        let (values, mut taken) = (*values, [0.0; COLUMNS]);
        for (taken, values) in taken.iter_mut().zip(values) {
            *taken = values[AT];
        }
        if let Some(place) = place.first_chunk_mut() {
            *place = taken;
        }
    }
}

/// Planes to copy between their padding.
struct Padding<'a> {
    windows: &'a Windows,
    values: &'a [f32],
    padded: &'a mut [f32],
}

impl WithSimd for Padding<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let size = self.windows.input[0] * self.windows.input[1] * self.windows.group;
        let mut sorted = vec![0.0; size];
        let planes = self.values.chunks_exact(size).zip(self.padded.chunks_exact_mut(self.windows.copied()));
        for (values, padded) in planes {
            self.windows.pad(simd, values, &mut sorted, padded);
        }
    }
}
