//! The geometry that a convolution's forward pass and its backward pass to the input share: for each place of an output,
//! a sum over taps, each at a fixed distance in the input.

use super::super::map::Map;
use crate::graph::Conv;

/// The places of one output map, or every n-th of them, and the input that each reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Sweep {
    /// Distance of each tap from an output place's first input number, and the number of its weights.
    pub(super) taps: Vec<(usize, usize)>,
    /// In the input, per output row and column.
    pub(super) from_row: usize,
    pub(super) from_step: usize,
    /// First number of the output, and distances in it.
    pub(super) to_start: usize,
    pub(super) to_row: usize,
    pub(super) to_step: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Sweep {
    /// The forward pass; the input's border is at least the padding.
    pub(in super::super) fn forward(conv: &Conv, from: &Map, to: &Map) -> Self {
        let origin = (from.border - conv.padding) * (from.row() + from.step);
        let tap = |tap: usize| {
            let (down, right) = (tap / conv.kernel * conv.dilation, tap % conv.kernel * conv.dilation);
            (origin + down * from.row() + right * from.step, tap)
        };
        Self {
            taps: (0..conv.kernel * conv.kernel).map(tap).collect(),
            from_row: conv.stride * from.row(),
            from_step: conv.stride * from.step,
            to_start: to.start(),
            to_row: to.row(),
            to_step: to.step,
            rows: to.height,
            columns: to.width,
        }
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
            Self {
                taps: reaching(down).flat_map(of_row).collect(),
                from_row: gradient.row(),
                from_step: gradient.step,
                to_start: input.start() + down * input.row() + right * input.step,
                to_row: stride * input.row(),
                to_step: stride * input.step,
                rows: input.height.saturating_sub(down).div_ceil(stride),
                columns: input.width.saturating_sub(right).div_ceil(stride),
            }
        };
        (0..stride * stride).map(|at| sweep((at / stride, at % stride))).collect()
    }
}
