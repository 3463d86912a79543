//! Convolutions of one pixel: each output is a weighted sum of all inputs in the same place.
//!
//! Planes often have a power of two of values, so that those of all inputs in one place compete for a few lines of the
//! processor's cache. Values are therefore copied first, for as many pixels as stay in the cache, in the order in which the
//! loop over the weights reads them.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::blocks::{Blocks, ROWS};
use super::planes::{copy, store};
use super::range::Range;

/// Values that are copied before they are read, 48 KiB.
const COPIED_TOGETHER: usize = 12 << 10;

/// A convolution of one pixel, ready to run.
#[derive(Debug)]
pub(super) struct Pointwise {
    blocks: Blocks<ROWS>,
    outputs: usize,
    /// Number of pixels of a plane.
    pixels: usize,
}

impl Pointwise {
    /// `weights` is `[outputs, inputs]`, and `bias` empty or `[outputs]`. Absent where sizes do not fit together.
    pub(super) fn new(pixels: usize, weights: &[f32], bias: &[f32], outputs: usize) -> Option<Self> {
        let blocks = Blocks::new(weights, bias, outputs).filter(|_| pixels > 0)?;
        Some(Self { blocks, outputs, pixels })
    }

    /// Computes all images of `values`, `[batch, inputs, height, width]`, into `result`, `[batch, outputs, height, width]`,
    /// on the threads of the calling pool. Sums are within `range`. They do not depend on the number of threads.
    pub(super) fn run(&self, values: &[f32], range: Range, result: &mut [f32]) {
        let arch = Arch::new();
        let rows = self.outputs.div_ceil(rayon::current_num_threads()).next_multiple_of(ROWS);
        let images = values.chunks_exact(self.blocks.terms() * self.pixels);
        for (values, result) in images.zip(result.chunks_exact_mut(self.outputs * self.pixels)) {
            let parts = result.par_chunks_mut(rows * self.pixels).enumerate();
            parts.for_each(|(part, result)| {
                arch.dispatch(Outputs { pointwise: self, first: part * rows, values, range, result });
            });
        }
    }
}

/// Outputs of one image, from the `first` on, which is a multiple of `ROWS`.
struct Outputs<'a> {
    pointwise: &'a Pointwise,
    first: usize,
    values: &'a [f32],
    range: Range,
    result: &'a mut [f32],
}

impl WithSimd for Outputs<'_> {
    type Output = ();

    // Without inlining, the loops would be compiled for the oldest processor of the architecture.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many sums as there are registers for, and no more than small planes need.
        match self.pointwise.pixels.div_ceil(S::F32_LANES) {
            1 => self.sum::<S, 1>(simd),
            3.. if const { S::REGISTER_COUNT >= 32 } => self.sum::<S, 4>(simd),
            _ => self.sum::<S, 2>(simd),
        }
    }
}

impl Outputs<'_> {
    /// Sums for `VECTORS` of neighbouring pixels at once.
    #[inline(always)]
    fn sum<S: Simd, const VECTORS: usize>(self, simd: S) {
        let Self { pointwise: Pointwise { blocks, pixels, .. }, first, values, range, result } = self;
        let columns = VECTORS * S::F32_LANES;
        let size = blocks.terms() * columns;
        let together = (COPIED_TOGETHER / size).clamp(1, pixels.div_ceil(columns));
        let mut copied = vec![0.0; together * size];
        for start in (0..*pixels).step_by(together * columns) {
            let end = *pixels.min(&(start + together * columns));
            for (input, plane) in values.chunks_exact(*pixels).enumerate() {
                for (number, x) in (start..end).step_by(columns).enumerate() {
                    let place = &mut copied[number * size + input * columns..][..columns];
                    match S::as_simd_f32s(&plane[x..]).0.first_chunk::<VECTORS>() {
                        Some(whole) => S::as_mut_simd_f32s(place).0.copy_from_slice(whole),
                        None => copy(simd, &plane[x..], place),
                    }
                }
            }
            for ((weights, bias), result) in blocks.starting_at(first).zip(result.chunks_mut(ROWS * pixels)) {
                for (number, x) in (start..end).step_by(columns).enumerate() {
                    let (values, _) = S::as_simd_f32s(&copied[number * size..][..size]).0.as_chunks::<VECTORS>();
                    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
                    for (sums, bias) in sums.iter_mut().zip(bias) {
                        *sums = [simd.splat_f32s(*bias); VECTORS];
                    }
                    for (weights, values) in weights.iter().zip(values) {
                        for (sums, weight) in sums.iter_mut().zip(weights) {
                            let weight = simd.splat_f32s(*weight);
                            for (sum, value) in sums.iter_mut().zip(values) {
                                *sum = simd.mul_add_e_f32s(weight, *value, *sum);
                            }
                        }
                    }
                    store(simd, sums, range, result, *pixels, x);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::feed::pseudo_random;

    #[test]
    fn outputs_are_weighted_sums_of_the_inputs_in_their_place() {
        for (inputs, outputs, pixels) in [(1, 1, 1), (3, 6, 16), (5, 7, 49), (4, 20, 100), (8, 13, 143), (900, 2, 256)]
        {
            let (weights, values) = (pseudo_random(outputs * inputs), pseudo_random(2 * inputs * pixels));
            let bias: Vec<f32> = (0..outputs).map(|output| output as f32 / 4.0).collect();
            let pointwise = Pointwise::new(pixels, &weights, &bias, outputs).unwrap();
            for range in [Range::ALL, Range { low: 0.0, high: 2.0 }] {
                let mut found = vec![f32::NAN; 2 * outputs * pixels];
                pointwise.run(&values, range, &mut found);
                for (place, found) in found.iter().enumerate() {
                    let (image, output, pixel) = (place / pixels / outputs, place / pixels % outputs, place % pixels);
                    let term = |input: usize| {
                        f64::from(weights[output * inputs + input])
                            * f64::from(values[(image * inputs + input) * pixels + pixel])
                    };
                    let expected = f64::from(bias[output]) + (0..inputs).map(term).sum::<f64>();
                    let expected = expected.clamp(f64::from(range.low), f64::from(range.high));
                    assert!((f64::from(*found) - expected).abs() < 1e-3, "{found} for {expected}");
                }
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_rejected() {
        for (outputs, weights, bias) in [(2, 5, 0), (2, 6, 3), (0, 0, 0), (2, 0, 0)] {
            assert!(Pointwise::new(16, &vec![0.0; weights], &vec![0.0; bias], outputs).is_none());
        }
        assert!(Pointwise::new(0, &[1.0], &[], 1).is_none());
    }
}
