//! Convolutions that join channels: each output is a weighted sum over the windows of all inputs.
//!
//! The engine treats them as products of two matrices and arranges both anew for each run. Networks for a board have images of
//! few pixels, for which that takes as long as the product.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::blocks::{Blocks, ROWS};
use super::planes::{copy, lanes};
use super::range::Range;
use super::windows::{Geometry, Pair, Windows};

/// Most values that are copied for a run: 1 GiB.
const MOST_COPIED: usize = 1 << 28;

/// A convolution, ready to run.
#[derive(Debug)]
pub(super) struct Convolution {
    /// Terms are `inputs × window`.
    blocks: Blocks<ROWS>,
    /// Where the first value for each weight lies among those of an image: in its padded planes, or in the copies of
    /// narrow ones.
    starts: Vec<usize>,
    inputs: usize,
    outputs: usize,
    /// Height and width of the inputs.
    input: Pair,
    /// How planes are padded.
    padding: Windows,
    /// Rows are shorter than a vector, so the values for each weight are copied one after the other.
    is_narrow: bool,
}

impl Convolution {
    /// `weights` is `[outputs, inputs, height, width]`, and `bias` empty or `[outputs]`. Absent where sizes do not fit
    /// together or are too large.
    pub(super) fn new(geometry: Geometry, input: Pair, weights: &[f32], bias: &[f32], outputs: usize) -> Option<Self> {
        let blocks = Blocks::new(weights, bias, outputs)?;
        let padding = Windows::padding(geometry, input)?;
        let (terms, taps) = (blocks.terms(), padding.offsets().len());
        let inputs = Some(terms / taps).filter(|inputs| inputs * taps == terms)?;
        let made = padding.output()[0].saturating_mul(padding.output()[1]);
        let is_narrow = padding.output()[1] < lanes();
        let copied = if is_narrow { made.saturating_mul(terms) } else { 0 };
        if padding.copied().saturating_mul(inputs) > MOST_COPIED || copied > MOST_COPIED {
            return None;
        }
        let starts = if is_narrow {
            (0..terms).map(|term| term * made).collect()
        } else {
            let (offsets, plane) = (padding.offsets(), padding.copied());
            (0..inputs).flat_map(|input| offsets.iter().map(move |offset| input * plane + offset)).collect()
        };
        Some(Self { blocks, starts, inputs, outputs, input, padding, is_narrow })
    }

    /// Height and width of the outputs.
    pub(super) fn output(&self) -> Pair {
        self.padding.output()
    }

    /// Computes all images of `values`, `[batch, inputs, height, width]`, into `result`, `[batch, outputs, height, width]`,
    /// on the threads of the calling pool. Sums are within `range`. They do not depend on the number of threads.
    pub(super) fn run(&self, values: &[f32], range: Range, result: &mut [f32]) {
        let [size, pixels] = [self.input, self.output()].map(|sides| sides[0] * sides[1]);
        let arch = Arch::new();
        let rows = self.outputs.div_ceil(rayon::current_num_threads()).next_multiple_of(ROWS);
        let mut padded = vec![0.0; self.inputs * self.padding.copied()];
        let mut copied = vec![0.0; if self.is_narrow { self.starts.len() * pixels } else { 0 }];
        let images = values.chunks_exact(self.inputs * size);
        for (values, result) in images.zip(result.chunks_exact_mut(self.outputs * pixels)) {
            self.padding.pad_all(values, &mut padded);
            let values = if self.is_narrow {
                arch.dispatch(Copy { windows: &self.padding, padded: &padded, copied: &mut copied });
                &copied
            } else {
                &padded
            };
            let parts = result.par_chunks_mut(rows * pixels).enumerate();
            parts.for_each(|(part, result)| {
                arch.dispatch(Outputs { convolution: self, first: part * rows, values, range, result });
            });
        }
    }
}

/// The values of a padded image for each weight, `[terms, height, width]`.
struct Copy<'a> {
    windows: &'a Windows,
    padded: &'a [f32],
    copied: &'a mut [f32],
}

impl WithSimd for Copy<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { windows, padded, copied } = self;
        let [height, width] = windows.output();
        let step = windows.row_step();
        let of_input = copied.chunks_exact_mut(windows.offsets().len() * height * width);
        for (plane, copied) in padded.chunks_exact(windows.copied()).zip(of_input) {
            for (offset, copied) in windows.offsets().iter().zip(copied.chunks_exact_mut(height * width)) {
                for (y, place) in copied.chunks_exact_mut(width).enumerate() {
                    copy(simd, &plane[offset + y * step..][..width], place);
                }
            }
        }
    }
}

/// Outputs of one image, from the `first` on, which is a multiple of `ROWS`.
struct Outputs<'a> {
    convolution: &'a Convolution,
    first: usize,
    values: &'a [f32],
    range: Range,
    result: &'a mut [f32],
}

/// Pixels in some vectors: neighbours in a row, or the beginnings of rows.
#[derive(Clone, Copy)]
struct Pixels {
    /// Where the values for the first weight begin, and from one vector to the next.
    from: [usize; 2],
    /// The same for the pixels of an output.
    to: [usize; 2],
    /// Number of pixels, and most in one vector.
    count: [usize; 2],
}

impl WithSimd for Outputs<'_> {
    type Output = ();

    // Without inlining, the loops would be compiled for the oldest processor of the architecture.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [height, width] = self.convolution.output();
        let lanes = S::F32_LANES;
        // As many sums as there are registers for.
        let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        let Convolution { padding, is_narrow, .. } = self.convolution;
        let step = padding.row_step();
        if *is_narrow {
            self.sum_row(simd, most, 0, 0, height * width);
        } else if width == lanes {
            // Padded rows have zeros for whole vectors, and some rows of zeros follow.
            for y in (0..height).step_by(most) {
                let rows = most.min(height - y);
                let (from, to) = ([y * step, step], [y * width, width]);
                self.sum_most::<S, false>(simd, most, Pixels { from, to, count: [rows * width, width] });
            }
        } else {
            for y in 0..height {
                self.sum_row(simd, 2, y * step, y * width, width);
            }
        }
    }
}

impl Outputs<'_> {
    /// All outputs of a row of pixels, by at most so many vectors at once.
    #[inline(always)]
    fn sum_row<S: Simd>(&mut self, simd: S, most: usize, from: usize, to: usize, width: usize) {
        let lanes = S::F32_LANES;
        let mut x = 0;
        while x < width {
            // The last vectors may hold values of other rows, whose sums are not used.
            let vectors = (width - x).div_ceil(lanes).next_power_of_two().min(most);
            let count = [(width - x).min(vectors * lanes), lanes];
            self.sum_most::<S, true>(simd, vectors, Pixels { from: [from + x, lanes], to: [to + x, lanes], count });
            x += vectors * lanes;
        }
    }

    /// `NEXT` says whether the values for each vector follow those for the one before.
    #[inline(always)]
    fn sum_most<S: Simd, const NEXT: bool>(&mut self, simd: S, vectors: usize, pixels: Pixels) {
        match vectors {
            4 => self.sum::<S, 4, NEXT>(simd, pixels),
            2 => self.sum::<S, 2, NEXT>(simd, pixels),
            _ => self.sum::<S, 1, NEXT>(simd, pixels),
        }
    }

    /// All outputs of some pixels.
    #[inline(always)]
    fn sum<S: Simd, const VECTORS: usize, const NEXT: bool>(&mut self, simd: S, pixels: Pixels) {
        let Self { convolution: Convolution { blocks, starts, .. }, first, values, range, result } = self;
        let [height, width] = self.convolution.output();
        let plane = height * width;
        let ([from, next], [to, next_to], [count, in_vector]) = (pixels.from, pixels.to, pixels.count);
        for ((weights, bias), result) in blocks.starting_at(*first).zip(result.chunks_mut(ROWS * plane)) {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            for (sums, bias) in sums.iter_mut().zip(bias) {
                *sums = [simd.splat_f32s(*bias); VECTORS];
            }
            for (weights, start) in weights.iter().zip(starts) {
                let vectors = load::<S, VECTORS, NEXT>(simd, &values[start + from..], next);
                for (sums, weight) in sums.iter_mut().zip(weights) {
                    let weight = simd.splat_f32s(*weight);
                    for (sum, value) in sums.iter_mut().zip(vectors) {
                        *sum = simd.mul_add_e_f32s(weight, value, *sum);
                    }
                }
            }
            // A copy: the sums themselves are never in memory, so that they stay in registers.
            let mut limited = sums;
            for sum in limited.as_flattened_mut() {
                *sum = range.clamp(simd, *sum);
            }
            for (place, sums) in result.chunks_exact_mut(plane).zip(&limited) {
                for (number, sums) in sums.iter().enumerate().take(count.div_ceil(in_vector)) {
                    let used = in_vector.min(count - number * in_vector);
                    let place = &mut place[to + number * next_to..][..used];
                    match S::as_mut_simd_f32s(place) {
                        ([whole], []) => *whole = *sums,
                        (_, rest) => simd.partial_store_f32s(rest, *sums),
                    }
                }
            }
        }
    }
}

/// The values for each vector, which begin `next` values apart; `NEXT` says that this is the length of a vector.
#[inline(always)]
fn load<S: Simd, const VECTORS: usize, const NEXT: bool>(simd: S, values: &[f32], next: usize) -> [S::f32s; VECTORS] {
    if NEXT && let Some(vectors) = S::as_simd_f32s(values).0.first_chunk() {
        return *vectors;
    }
    let mut vectors = [simd.splat_f32s(0.0); VECTORS];
    for (number, vector) in vectors.iter_mut().enumerate() {
        // Only at the end of an image are values too few for a vector.
        let values = &values[(number * next).min(values.len())..];
        *vector = match S::as_simd_f32s(&values[..S::F32_LANES.min(values.len())]) {
            ([whole], _) => *whole,
            (_, rest) => simd.partial_load_f32s(rest),
        };
    }
    vectors
}

#[cfg(test)]
mod tests;
