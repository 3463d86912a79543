//! Convolutions that join channels: each output is a weighted sum over the windows of all inputs.
//!
//! The engine treats them as products of two matrices and arranges both anew for each run. Networks for a board have images of
//! few pixels, for which that takes as long as the product.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::planes::copy;
use super::range::Range;
use super::windows::{Geometry, Pair, Windows};

/// Outputs that one loop computes.
const ROWS: usize = 6;

/// Most values that are copied for a run: 1 GiB.
const MOST_COPIED: usize = 1 << 28;

/// A convolution, ready to run.
#[derive(Debug)]
pub(super) struct Convolution {
    /// For `ROWS` outputs each, `[inputs × window, ROWS]`; those beyond the last output have zeros.
    weights: Vec<[f32; ROWS]>,
    /// `[outputs]`, then zeros up to a multiple of `ROWS`.
    bias: Vec<f32>,
    /// Where the first value for each weight lies among those of an image: in its padded planes, or in the copies of
    /// narrow ones.
    starts: Vec<usize>,
    inputs: usize,
    outputs: usize,
    /// Height and width of the inputs.
    input: Pair,
    /// How planes are padded; absent for windows of one pixel, which read the image itself as a single row.
    padding: Option<Windows>,
    /// Rows are shorter than a vector, so the values for each weight are copied one after the other.
    is_narrow: bool,
}

impl Convolution {
    /// `weights` is `[outputs, inputs, height, width]`, and `bias` empty or `[outputs]`. Absent where sizes do not fit
    /// together or are too large.
    pub(super) fn new(geometry: Geometry, input: Pair, weights: &[f32], bias: &[f32], outputs: usize) -> Option<Self> {
        let taps = geometry.kernel[0].checked_mul(geometry.kernel[1])?;
        let inputs = weights.len() / outputs.checked_mul(taps).filter(|size| *size > 0)?;
        if inputs == 0 || weights.len() != inputs * outputs * taps || ![0, outputs].contains(&bias.len()) {
            return None;
        }
        let pixels = input[0].checked_mul(input[1]).filter(|pixels| *pixels > 0)?;
        let padding = if geometry.is_one_pixel() { None } else { Some(Windows::padding(geometry, input)?) };
        let (offsets, plane) =
            padding.as_ref().map_or((&[0][..], pixels), |windows| (windows.offsets(), windows.copied()));
        let (padded, terms) = (outputs.next_multiple_of(ROWS), inputs * taps);
        let mut arranged = vec![[0.0; ROWS]; padded / ROWS * terms];
        for (output, weights) in weights.chunks_exact(terms).enumerate() {
            for (place, weight) in arranged[output / ROWS * terms..].iter_mut().zip(weights) {
                place[output % ROWS] = *weight;
            }
        }
        let mut bias = bias.to_vec();
        bias.resize(padded, 0.0);
        let is_narrow = padding.as_ref().is_some_and(|windows| windows.output()[1] < lanes());
        let made = padding.as_ref().map_or(0, |windows| windows.output()[0].saturating_mul(windows.output()[1]));
        let copied = if is_narrow { made.saturating_mul(terms) } else { 0 };
        if plane.saturating_mul(inputs) > MOST_COPIED || copied > MOST_COPIED {
            return None;
        }
        let starts = if is_narrow {
            (0..terms).map(|term| term * made).collect()
        } else {
            (0..inputs).flat_map(|input| offsets.iter().map(move |offset| input * plane + offset)).collect()
        };
        Some(Self { weights: arranged, bias, starts, inputs, outputs, input, padding, is_narrow })
    }

    /// Height and width of the outputs.
    pub(super) fn output(&self) -> Pair {
        self.padding.as_ref().map_or(self.input, Windows::output)
    }

    /// Computes all images of `values`, `[batch, inputs, height, width]`, into `result`, `[batch, outputs, height, width]`,
    /// on the threads of the calling pool. Sums are within `range`. They do not depend on the number of threads.
    pub(super) fn run(&self, values: &[f32], range: Range, result: &mut [f32]) {
        let [size, pixels] = [self.input, self.output()].map(|sides| sides[0] * sides[1]);
        let arch = Arch::new();
        let rows = self.outputs.div_ceil(rayon::current_num_threads()).next_multiple_of(ROWS);
        let mut padded =
            self.padding.as_ref().map_or_else(Vec::new, |windows| vec![0.0; self.inputs * windows.copied()]);
        let mut copied = vec![0.0; if self.is_narrow { self.starts.len() * pixels } else { 0 }];
        let images = values.chunks_exact(self.inputs * size);
        for (values, result) in images.zip(result.chunks_exact_mut(self.outputs * pixels)) {
            let values = match &self.padding {
                Some(windows) => {
                    windows.pad_all(values, &mut padded);
                    if self.is_narrow {
                        arch.dispatch(Copy { windows, padded: &padded, copied: &mut copied });
                        &*copied
                    } else {
                        &*padded
                    }
                }
                None => values,
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

/// Values of a vector of this processor.
fn lanes() -> usize {
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
        match &self.convolution.padding {
            _ if self.convolution.is_narrow => self.sum_row(simd, most, 0, 0, height * width),
            // Padded rows have zeros for whole vectors, and some rows of zeros follow.
            Some(windows) if width == lanes => {
                let step = windows.row_step();
                for y in (0..height).step_by(most) {
                    let rows = most.min(height - y);
                    let (from, to) = ([y * step, step], [y * width, width]);
                    self.sum_most(simd, most, Pixels { from, to, count: [rows * width, width] });
                }
            }
            Some(windows) => {
                for y in 0..height {
                    self.sum_row(simd, 2, y * windows.row_step(), y * width, width);
                }
            }
            None => self.sum_row(simd, most, 0, 0, height * width),
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
            self.sum_most(simd, vectors, Pixels { from: [from + x, lanes], to: [to + x, lanes], count });
            x += vectors * lanes;
        }
    }

    #[inline(always)]
    fn sum_most<S: Simd>(&mut self, simd: S, vectors: usize, pixels: Pixels) {
        match vectors {
            4 => self.sum::<S, 4>(simd, pixels),
            2 => self.sum::<S, 2>(simd, pixels),
            _ => self.sum::<S, 1>(simd, pixels),
        }
    }

    /// All outputs of some pixels.
    #[inline(always)]
    fn sum<S: Simd, const VECTORS: usize>(&mut self, simd: S, pixels: Pixels) {
        let Self { convolution: Convolution { weights, bias, starts, .. }, first, values, range, result } = self;
        let [height, width] = self.convolution.output();
        let (plane, lanes) = (height * width, S::F32_LANES);
        let ([from, next], [to, next_to], [count, in_vector]) = (pixels.from, pixels.to, pixels.count);
        let blocks = weights[*first / ROWS * starts.len()..].chunks_exact(starts.len());
        let blocks = blocks.zip(bias[*first..].chunks_exact(ROWS));
        for ((weights, bias), result) in blocks.zip(result.chunks_mut(ROWS * plane)) {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            for (sums, bias) in sums.iter_mut().zip(bias) {
                *sums = [simd.splat_f32s(*bias); VECTORS];
            }
            for (weights, start) in weights.iter().zip(starts) {
                let values = &values[start + from..];
                let mut vectors = [simd.splat_f32s(0.0); VECTORS];
                for (number, vector) in vectors.iter_mut().enumerate() {
                    // Only at the end of an image are values too few for a vector.
                    let values = &values[(number * next).min(values.len())..];
                    *vector = match S::as_simd_f32s(&values[..lanes.min(values.len())]) {
                        ([whole], _) => *whole,
                        (_, rest) => simd.partial_load_f32s(rest),
                    };
                }
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

#[cfg(test)]
mod tests;
