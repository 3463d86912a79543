//! The geometry that a convolution's forward pass and its backward pass to the input share: for each place of an output,
//! a sum over taps, each at a fixed distance in the input.

use super::super::map::Map;
use crate::graph::Conv;

/// The places of one output map, or every n-th of them, and the input that each reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Sweep {
    /// Distance of each tap from a place's first input number, and the number of its weights.
    pub(super) taps: Vec<(usize, usize)>,
    /// For each place, its first number in the input and its first number in the output. A list, so that a tile may take
    /// places of several rows: many maps are narrow.
    pub(super) places: Vec<[usize; 2]>,
}

impl Sweep {
    /// The forward pass; the input's border is at least the padding.
    pub(in super::super) fn forward(conv: &Conv, from: &Map, to: &Map) -> Self {
        let origin = (from.border - conv.padding) * (from.row() + from.step);
        let tap = |tap: usize| {
            let (down, right) = (tap / conv.kernel * conv.dilation, tap % conv.kernel * conv.dilation);
            (origin + down * from.row() + right * from.step, tap)
        };
        let place = |at: usize| {
            let (row, column) = (at / to.width, at % to.width);
            let input = row * conv.stride * from.row() + column * conv.stride * from.step;
            [input, to.start() + row * to.row() + column * to.step]
        };
        Self { taps: (0..conv.kernel * conv.kernel).map(tap).collect(), places: (0..to.places()).map(place).collect() }
    }

    /// The border that the gradient of a convolution's output needs, for [`backward`](Self::backward).
    pub(in super::super) fn border(conv: &Conv, input: [usize; 2], output: [usize; 2]) -> usize {
        let before = ((conv.kernel - 1) * conv.dilation).saturating_sub(conv.padding).div_ceil(conv.stride);
        let after = |side: usize| ((input[side] - 1 + conv.padding) / conv.stride).saturating_sub(output[side] - 1);
        before.max(after(0)).max(after(1))
    }

    /// The backward pass from the gradient of the output to that of the input: one sweep for each remainder of the
    /// input's places by the stride, whose taps are those that meet it.
    pub(in super::super) fn backward(conv: &Conv, gradient: &Map, input: &Map) -> Vec<Self> {
        let stride = conv.stride;
        // Taps that reach the places `first`, `first + stride` and so on, each with the first place of the output, which
        // may lie in its border.
        let reaching = |first: usize| {
            (0..conv.kernel).filter_map(move |tap| {
                let at = (first + conv.padding) as isize - (tap * conv.dilation) as isize;
                (at.rem_euclid(stride as isize) == 0).then(|| (at.div_euclid(stride as isize), tap))
            })
        };
        let inside = |at: isize| at.saturating_add_unsigned(gradient.border) as usize;
        let sweep = |(down, right): (usize, usize)| {
            let of_row = |(y, tap_y): (isize, usize)| {
                reaching(right).map(move |(x, tap_x)| {
                    (inside(y) * gradient.row() + inside(x) * gradient.step, tap_y * conv.kernel + tap_x)
                })
            };
            let place = |row: usize, column: usize| {
                let output =
                    input.start() + (down + row * stride) * input.row() + (right + column * stride) * input.step;
                [row * gradient.row() + column * gradient.step, output]
            };
            let rows = input.height.saturating_sub(down).div_ceil(stride);
            let columns = input.width.saturating_sub(right).div_ceil(stride);
            Self {
                taps: reaching(down).flat_map(of_row).collect(),
                places: (0..rows).flat_map(|row| (0..columns).map(move |column| place(row, column))).collect(),
            }
        };
        (0..stride * stride).map(|at| sweep((at / stride, at % stride))).collect()
    }
}
