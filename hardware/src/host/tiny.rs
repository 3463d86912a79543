//! Depthwise convolutions of planes with a few pixels, as the last stages of networks for small images have them.
//!
//! There, padding a plane takes longer than the convolution, and its rows fill a part of a vector. Each channel becomes a
//! product with a matrix instead, whose vectors hold all outputs.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::product::{COLUMN, product};
use super::range::Range;
use super::windows::{Geometry, Pair};

/// Most pixels of an input. A matrix then has 1 KiB.
const INPUTS: usize = 16;

/// Channels that a thread computes at once.
const CHANNELS: usize = 32;

/// A depthwise convolution of small planes, ready to run.
#[derive(Debug)]
pub(super) struct Tiny {
    /// `[channels, inputs, COLUMN]`: what each pixel of the input adds to those of the output; zeros beyond them.
    matrices: Vec<[f32; COLUMN]>,
    /// `[channels, COLUMN]`: the same for each pixel.
    bias: Vec<[f32; COLUMN]>,
    /// Number of pixels of a plane.
    inputs: usize,
    outputs: usize,
}

impl Tiny {
    /// As [`super::windows::Windows::depthwise`], of which `output` is the size; absent where planes have too many pixels.
    pub(super) fn new(geometry: Geometry, input: Pair, output: Pair, weights: &[f32], bias: &[f32]) -> Option<Self> {
        let Geometry { kernel, strides, dilations, before, .. } = geometry;
        let [inputs, outputs] = [input, output].map(|sides| sides[0].saturating_mul(sides[1]));
        if inputs == 0 || outputs == 0 || inputs > INPUTS || outputs > COLUMN {
            return None;
        }
        let taps = kernel[0] * kernel[1];
        let channels = weights.len() / taps;
        let mut matrices = vec![[0.0; COLUMN]; channels * inputs];
        for (matrix, weights) in matrices.chunks_exact_mut(inputs).zip(weights.chunks_exact(taps)) {
            for (place, (tap, weight)) in
                (0..outputs).flat_map(|place| weights.iter().enumerate().map(move |w| (place, w)))
            {
                let (window, at) = ([place / output[1], place % output[1]], [tap / kernel[1], tap % kernel[1]]);
                let pixel = [0, 1].map(|axis| {
                    let pixel = (window[axis] * strides[axis] + at[axis] * dilations[axis]).checked_sub(before[axis]);
                    pixel.filter(|pixel| *pixel < input[axis])
                });
                if let [Some(y), Some(x)] = pixel {
                    matrix[y * input[1] + x][place] = *weight;
                }
            }
        }
        let bias = if bias.is_empty() { &vec![0.0; channels] } else { bias };
        let fits = channels > 0 && bias.len() == channels;
        let bias = bias.iter().map(|bias| [*bias; COLUMN]).collect();
        fits.then_some(Self { matrices, bias, inputs, outputs })
    }

    /// Computes all planes of `values`, `[batch, channels, height, width]`, into those of `result`, on the threads of the
    /// calling pool. Sums are within `range`. They do not depend on the number of threads.
    pub(super) fn run(&self, values: &[f32], range: Range, result: &mut [f32]) {
        let arch = Arch::new();
        let parts = result.par_chunks_mut(CHANNELS * self.outputs).zip(values.par_chunks(CHANNELS * self.inputs));
        parts.enumerate().for_each(|(part, (result, values))| {
            arch.dispatch(Planes { tiny: self, first: part * CHANNELS, values, range, result });
        });
    }
}

struct Planes<'a> {
    tiny: &'a Tiny,
    /// Number of the first plane.
    first: usize,
    values: &'a [f32],
    range: Range,
    result: &'a mut [f32],
}

impl WithSimd for Planes<'_> {
    type Output = ();

    // Without inlining, the loops would be compiled for the oldest processor of the architecture.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiny: Tiny { matrices, bias, inputs, outputs }, first, values, range, result } = self;
        let planes = values.chunks_exact(*inputs).zip(result.chunks_exact_mut(*outputs));
        for (plane, (values, result)) in planes.enumerate() {
            let channel = (first + plane) % bias.len();
            let matrix = &matrices[channel * inputs..][..*inputs];
            product(simd, matrix, values, &bias[channel], range, result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::feed::pseudo_random;
    use crate::host::windows::Windows;

    #[test]
    fn tiny_planes_are_convolved_as_large_ones() {
        for (side, kernel, stride) in [(4, 3, 1), (4, 7, 1), (4, 5, 2), (2, 5, 1), (1, 3, 1), (3, 3, 2)] {
            let padding = [kernel / 2; 2];
            let (kernel, strides, dilations) = ([kernel; 2], [stride; 2], [1; 2]);
            let geometry = Geometry { kernel, strides, dilations, before: padding, after: padding };
            let weights = pseudo_random(5 * kernel[0] * kernel[1]);
            let (bias, values) = (pseudo_random(5), pseudo_random(2 * 5 * side * side));
            let windows = Windows::depthwise(geometry, [side; 2], weights.clone(), bias.clone()).unwrap();
            let tiny = Tiny::new(geometry, [side; 2], windows.output(), &weights, &bias).unwrap();
            for range in [Range::ALL, Range { low: 0.0, high: 1.0 }] {
                let size = 2 * 5 * windows.output()[0] * windows.output()[1];
                let (mut found, mut expected) = (vec![f32::NAN; size], vec![f32::NAN; size]);
                tiny.run(&values, range, &mut found);
                windows.run(&values, range, &mut expected);
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found} for {expected}");
                }
            }
        }
    }
}
