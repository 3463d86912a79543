//! Weighted sums of whole images or of their channels: global pooling, and convolutions of one pixel in images of one pixel.
//! Squeeze-and-excitation consists of them.
//!
//! The engine treats such a convolution as a product of two matrices, and arranges its weights anew for each run.

use pulp::{Arch, Simd, WithSimd};

use super::blocks::Blocks;
use super::product::{COLUMN, product};
use super::range::Range;

/// Sums that run side by side, so that the processor's vector instructions serve.
const LANES: usize = 16;

/// A convolution of one pixel in images of one pixel: each output is a weighted sum of all inputs.
#[derive(Debug)]
pub(super) struct Dense {
    /// Terms are the inputs.
    blocks: Blocks<COLUMN>,
    outputs: usize,
}

impl Dense {
    /// `weights` is `[outputs, inputs]`, and `bias` empty or `[outputs]`. Absent where the numbers of values do not fit
    /// together.
    pub(super) fn new(outputs: usize, inputs: usize, weights: &[f32], bias: &[f32]) -> Option<Self> {
        let blocks = Blocks::new(weights, bias, outputs).filter(|blocks| blocks.terms() == inputs)?;
        Some(Self { blocks, outputs })
    }

    /// The outputs of each image of `values`, `[batch, inputs]`, within `range`, into `[batch, outputs]`.
    pub(super) fn run(&self, values: &[f32], range: Range, result: &mut [f32]) {
        Arch::new().dispatch(Products { dense: self, values, range, result });
    }
}

struct Products<'a> {
    dense: &'a Dense,
    values: &'a [f32],
    range: Range,
    result: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    // Without inlining, the loops would be compiled for the oldest processor of the architecture.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dense: Dense { blocks, outputs }, values, range, result } = self;
        for (values, result) in values.chunks_exact(blocks.terms()).zip(result.chunks_exact_mut(*outputs)) {
            for ((columns, bias), result) in blocks.starting_at(0).zip(result.chunks_mut(COLUMN)) {
                product(simd, columns, values, bias, range, result);
            }
        }
    }
}

/// The mean of each plane.
#[derive(Debug)]
pub(super) struct Mean {
    /// Number of values of a plane.
    size: usize,
}

impl Mean {
    /// Absent where planes have no values.
    pub(super) fn new(size: usize) -> Option<Self> {
        (size > 0).then_some(Self { size })
    }

    /// The means of the planes of `values`, `[batch, channels, height, width]`, within `range`, into `[batch, channels]`.
    pub(super) fn run(&self, values: &[f32], range: Range, result: &mut [f32]) {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (plane, result) in values.chunks_exact(self.size).zip(result) {
                    *result = range.limit(sum(plane) / self.size as f32);
                }
            },
        );
    }
}

/// The sum of some values.
#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let (values, last) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for values in values {
        for lane in 0..LANES {
            sums[lane] += values[lane];
        }
    }
    sums.iter().sum::<f32>() + last.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::feed::pseudo_random;

    fn assert_close(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} for {expected}");
        }
    }

    #[test]
    fn a_convolution_of_one_pixel_is_a_product_of_matrices() {
        for (outputs, inputs) in [(1, 1), (7, 16), (10, 33), (35, 15)] {
            let (weights, values) = (pseudo_random(outputs * inputs), pseudo_random(2 * inputs));
            let bias: Vec<f32> = (0..outputs).map(|channel| channel as f32).collect();
            let product = |image: usize, channel: usize| -> f64 {
                let terms = (0..inputs).map(|i| weights[channel * inputs + i] * values[image * inputs + i]);
                f64::from(bias[channel]) + terms.map(f64::from).sum::<f64>()
            };
            let expected = (0..2 * outputs).map(|i| product(i / outputs, i % outputs)).collect::<Vec<_>>();
            let mut found = vec![f32::NAN; 2 * outputs];
            Dense::new(outputs, inputs, &weights, &bias).unwrap().run(&values, Range::ALL, &mut found);
            assert_close(&found, &expected);
        }
        assert!(Dense::new(2, 3, &[0.0; 5], &[]).is_none());
        assert!(Dense::new(2, 3, &[0.0; 6], &[0.0; 3]).is_none());
        assert!(Dense::new(0, 3, &[], &[]).is_none() && Mean::new(0).is_none());
    }

    #[test]
    fn means_are_those_of_the_planes() {
        for size in [1, 15, 16, 49] {
            let values = pseudo_random(3 * size);
            let mean = |plane: &[f32]| plane.iter().map(|value| f64::from(*value)).sum::<f64>() / size as f64;
            let mut found = [f32::NAN; 3];
            Mean::new(size).unwrap().run(&values, Range::ALL, &mut found);
            assert_close(&found, &values.chunks(size).map(mean).collect::<Vec<_>>());
        }
    }
}
