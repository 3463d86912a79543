//! Pooling over windows. Padded places count neither in a mean nor in a maximum.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::super::map::Map;
use super::{vectors, vectors_mut};
use crate::graph::{Pool, PoolKind};

/// The places of one side that a window covers.
#[inline(always)]
fn window(pool: &Pool, at: usize, size: usize) -> Range<usize> {
    let start = at * pool.stride;
    let end = (start + pool.kernel).saturating_sub(pool.padding).min(size);
    start.saturating_sub(pool.padding).min(end)..end
}

/// The forward pass.
#[derive(Debug)]
pub(in super::super) struct Forward<'a> {
    pub(in super::super) pool: &'a Pool,
    pub(in super::super) from: &'a Map,
    pub(in super::super) input: &'a [f32],
    pub(in super::super) to: &'a Map,
    pub(in super::super) output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.pool.kind {
            PoolKind::Average => {
                let mean = |sum, count: usize| simd.mul_f32s(sum, simd.splat_f32s(1.0 / count as f32));
                self.each(simd, 0.0, |a, b| simd.add_f32s(a, b), mean);
            }
            PoolKind::Max => self.each(simd, f32::NEG_INFINITY, |a, b| simd.max_f32s(b, a), |most, _| most),
        }
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn each<S: Simd>(
        self,
        simd: S,
        start: f32,
        join: impl Fn(S::f32s, S::f32s) -> S::f32s,
        end: impl Fn(S::f32s, usize) -> S::f32s,
    ) {
        let Self { pool, from, to, .. } = self;
        let input = vectors::<S>(self.input);
        let count = from.step / S::F32_LANES;
        let (first, row_length) = (from.start() / S::F32_LANES, from.row() / S::F32_LANES);
        for (y, output) in to.rows_mut(self.output).enumerate() {
            let rows = window(pool, y, from.height);
            for (x, output) in vectors_mut::<S>(output).chunks_exact_mut(count).enumerate() {
                let columns = window(pool, x, from.width);
                for (channel, output) in output.iter_mut().enumerate() {
                    let mut joined = simd.splat_f32s(start);
                    for row in rows.clone() {
                        let at = first + row * row_length + channel;
                        for column in columns.clone() {
                            joined = join(joined, input[at + column * count]);
                        }
                    }
                    *output = end(joined, rows.len() * columns.len());
                }
            }
        }
    }
}

/// The backward pass, which adds to the output.
#[derive(Debug)]
pub(in super::super) struct Backward<'a> {
    pub(in super::super) pool: &'a Pool,
    pub(in super::super) input_map: &'a Map,
    /// The input of the forward pass; empty for a mean, which does not need it.
    pub(in super::super) input: &'a [f32],
    pub(in super::super) gradient_map: &'a Map,
    pub(in super::super) gradient: &'a [f32],
    pub(in super::super) to: &'a Map,
    pub(in super::super) output: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.pool.kind {
            PoolKind::Average => self.spread(simd),
            PoolKind::Max => self.give_to_first_maximum(simd),
        }
    }
}

impl Backward<'_> {
    #[inline(always)]
    fn spread<S: Simd>(self, simd: S) {
        let Self { pool, gradient_map, to, .. } = self;
        let output = vectors_mut::<S>(self.output);
        let count = to.step / S::F32_LANES;
        let (first, row_length) = (to.start() / S::F32_LANES, to.row() / S::F32_LANES);
        for (y, gradient) in gradient_map.rows(self.gradient).enumerate() {
            let rows = window(pool, y, to.height);
            for (x, gradient) in vectors::<S>(gradient).chunks_exact(count).enumerate() {
                let columns = window(pool, x, to.width);
                let share = simd.splat_f32s(1.0 / (rows.len() * columns.len()) as f32);
                for (channel, gradient) in gradient.iter().enumerate() {
                    let part = simd.mul_f32s(*gradient, share);
                    for row in rows.clone() {
                        let at = first + row * row_length + channel;
                        for column in columns.clone() {
                            let value = &mut output[at + column * count];
                            *value = simd.add_f32s(*value, part);
                        }
                    }
                }
            }
        }
    }

    /// As in PyTorch, the gradient goes to the first of equal maxima.
    #[inline(always)]
    fn give_to_first_maximum<S: Simd>(self, simd: S) {
        let Self { pool, input_map, gradient_map, to, .. } = self;
        let (input, output) = (vectors::<S>(self.input), vectors_mut::<S>(self.output));
        let count = to.step / S::F32_LANES;
        let [from, first] = [input_map.start(), to.start()].map(|start| start / S::F32_LANES);
        let [from_row, row_length] = [input_map.row(), to.row()].map(|row| row / S::F32_LANES);
        let zero = simd.splat_f32s(0.0);
        for (y, gradient) in gradient_map.rows(self.gradient).enumerate() {
            let rows = window(pool, y, to.height);
            for (x, gradient) in vectors::<S>(gradient).chunks_exact(count).enumerate() {
                let columns = window(pool, x, to.width);
                for (channel, gradient) in gradient.iter().enumerate() {
                    let mut most = simd.splat_f32s(f32::NEG_INFINITY);
                    for row in rows.clone() {
                        let at = from + row * from_row + channel;
                        for column in columns.clone() {
                            most = simd.max_f32s(input[at + column * count], most);
                        }
                    }
                    // The gradient, where no maximum was met yet.
                    let mut left = *gradient;
                    for row in rows.clone() {
                        let (from, to) = (from + row * from_row + channel, first + row * row_length + channel);
                        for column in columns.clone() {
                            let is_most = simd.equal_f32s(input[from + column * count], most);
                            let value = &mut output[to + column * count];
                            *value = simd.add_f32s(*value, simd.select_f32s(is_most, left, zero));
                            left = simd.select_f32s(is_most, zero, left);
                        }
                    }
                }
            }
        }
    }
}
