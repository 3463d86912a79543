//! Operators that slide a window over each channel by itself: depthwise convolution and average pooling.

use pulp::{Arch, Simd, WithSimd, bytemuck};
use rayon::prelude::*;

/// Largest plane that is copied with its padding, in elements.
const LARGEST_PLANE: usize = 1 << 24;

/// Heights or widths of an operator, in pixels: `[vertical, horizontal]`.
pub(super) type Pair = [usize; 2];

/// The attributes that the two operators share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub kernel: Pair,
    pub strides: Pair,
    pub dilations: Pair,
    /// Padding above and to the left.
    pub before: Pair,
    /// Padding below and to the right.
    pub after: Pair,
}

/// One operator for planes of one size, ready to run.
///
/// Each plane is copied with its padding, columns sorted by their remainder by the stride. The values that one weight
/// meets in neighbouring windows then lie side by side, whatever the stride and the dilation are, so that one loop
/// serves all.
#[derive(Debug)]
pub(super) struct Windows {
    geometry: Geometry,
    input: Pair,
    output: Pair,
    /// Number of columns with one remainder, and the number of values in the rows of one remainder.
    row: usize,
    part: usize,
    /// Where the value for each weight of a kernel lies, relative to that of the first one.
    offsets: Vec<usize>,
    /// A kernel for each channel, or one for all channels.
    weights: Vec<f32>,
    /// As many as there are kernels.
    bias: Vec<f32>,
    /// The factor of each sum of a plane.
    factors: Option<Vec<f32>>,
}

impl Windows {
    /// A convolution of each channel with its own kernel: `weights` is `[channels, height, width]`, and `bias` empty or
    /// `[channels]`. Absent where sizes do not fit together or are too large.
    pub(super) fn depthwise(geometry: Geometry, input: Pair, weights: Vec<f32>, bias: Vec<f32>) -> Option<Self> {
        let channels = weights.len() / geometry.kernel[0].saturating_mul(geometry.kernel[1]).max(1);
        let bias = if bias.is_empty() { vec![0.0; channels] } else { bias };
        Self::new(geometry, input, weights, bias)
    }

    /// The mean of each window. Padding counts as zeros, or not at all.
    pub(super) fn average(geometry: Geometry, input: Pair, counts_padding: bool) -> Option<Self> {
        let size = geometry.kernel[0].checked_mul(geometry.kernel[1]).filter(|size| *size <= LARGEST_PLANE)?;
        let mut windows = Self::new(geometry, input, vec![1.0; size], vec![0.0])?;
        let [rows, columns] = [0, 1].map(|axis| windows.pixels_met(axis));
        let factor = |row: usize, column: usize| {
            1.0 / if counts_padding { size as f32 } else { (rows[row] * columns[column]) as f32 }
        };
        let [height, width] = windows.output;
        windows.factors = Some((0..height * width).map(|i| factor(i / width, i % width)).collect());
        Some(windows)
    }

    fn new(geometry: Geometry, input: Pair, weights: Vec<f32>, bias: Vec<f32>) -> Option<Self> {
        let Geometry { kernel, strides, dilations, before, after } = geometry;
        let is_immense = |number: usize| number > LARGEST_PLANE;
        if [kernel, strides, dilations, before, after, input].into_iter().flatten().any(is_immense)
            || [kernel, strides, dilations].into_iter().flatten().any(|number| number == 0)
        {
            return None;
        }
        let mut output = [0; 2];
        let mut padded = [0; 2];
        for axis in [0, 1] {
            let reach = (kernel[axis] - 1) * dilations[axis] + 1;
            output[axis] = (input[axis] + before[axis] + after[axis]).checked_sub(reach)? / strides[axis] + 1;
            // The last block of windows may reach beyond the padding.
            padded[axis] = (output[axis].next_multiple_of(BLOCKS[axis]) - 1) * strides[axis] + reach;
        }
        let row = padded[1].div_ceil(strides[1]);
        let part = padded[0].checked_mul(row)?;
        if part.checked_mul(strides[1])? > LARGEST_PLANE || output[0].checked_mul(output[1])? > LARGEST_PLANE {
            return None;
        }
        let offset = |tap: usize| {
            let (y, x) = (tap / kernel[1] * dilations[0], tap % kernel[1] * dilations[1]);
            x % strides[1] * part + y * row + x / strides[1]
        };
        let offsets: Vec<_> = (0..kernel[0] * kernel[1]).map(offset).collect();
        let fits = !bias.is_empty() && weights.len() == bias.len() * offsets.len();
        fits.then_some(Self { geometry, input, output, row, part, offsets, weights, bias, factors: None })
    }

    /// For each window along an axis, how many of its pixels are inside the plane.
    fn pixels_met(&self, axis: usize) -> Vec<usize> {
        let Geometry { kernel, strides, dilations, before, .. } = &self.geometry;
        let pixels = before[axis]..before[axis] + self.input[axis];
        let met = |window: usize| {
            let places = (0..kernel[axis]).map(|tap| window * strides[axis] + tap * dilations[axis]);
            places.filter(|place| pixels.contains(place)).count()
        };
        (0..self.output[axis]).map(met).collect()
    }

    /// Height and width of the result.
    pub(super) fn output(&self) -> Pair {
        self.output
    }

    /// Computes all planes of `values`, `[batch, channels, height, width]`, on the threads of the calling pool. The
    /// result does not depend on their number.
    pub(super) fn run(&self, values: &[f32]) -> Vec<f32> {
        let [size, made] = [self.input, self.output].map(|sides| sides[0] * sides[1]);
        let mut result = vec![0.0; values.len() / size.max(1) * made];
        let arch = Arch::new();
        let planes = result.par_chunks_mut(made.max(1)).zip(values.par_chunks(size.max(1)));
        planes.enumerate().for_each_init(
            || vec![0.0; self.part * self.geometry.strides[1]],
            |padded, (plane, (result, values))| {
                self.pad(values, padded);
                arch.dispatch(Plane { windows: self, kernel: plane % self.bias.len(), padded, result: &mut *result });
                if let Some(factors) = &self.factors {
                    result.iter_mut().zip(factors).for_each(|(sum, factor)| *sum *= factor);
                }
            },
        );
        result
    }

    /// Copies a plane between its padding, which is zero from the start.
    fn pad(&self, values: &[f32], padded: &mut [f32]) {
        let Geometry { strides, before, .. } = &self.geometry;
        let width = self.input[1];
        let rows = padded.len() / (strides[1] * self.row);
        for (y, values) in values.chunks_exact(width).enumerate().take(rows.saturating_sub(before[0])) {
            for remainder in 0..strides[1].min(width) {
                let column = before[1] + remainder;
                let start = column % strides[1] * self.part + (y + before[0]) * self.row;
                let Some(place) = padded[start..start + self.row].get_mut(column / strides[1]..) else { continue };
                if strides[1] == 1 {
                    let length = width.min(place.len());
                    place[..length].copy_from_slice(&values[..length]);
                } else {
                    let values = values[remainder..].iter().step_by(strides[1]);
                    place.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// The sums of one plane, computed with the vector instructions that the processor has.
struct Plane<'a> {
    windows: &'a Windows,
    kernel: usize,
    padded: &'a [f32],
    result: &'a mut [f32],
}

impl WithSimd for Plane<'_> {
    type Output = ();

    // Without inlining, the loops would be compiled for the oldest processor of the architecture.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [height, width] = self.windows.output;
        // Eight sums in turn hide the latency of an addition.
        if width > S::F32_LANES {
            self.sum::<S, 4, 2>(simd);
        } else if height > 4 {
            self.sum::<S, 8, 1>(simd);
        } else {
            self.sum::<S, 4, 1>(simd);
        }
    }
}

impl Plane<'_> {
    /// Sums up the windows in blocks of `ROWS` rows and as many columns as fit into `VECTORS`.
    #[inline(always)]
    fn sum<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let Self { windows, kernel, padded, result } = self;
        let [height, width] = windows.output;
        let weights = &windows.weights[kernel * windows.offsets.len()..][..windows.offsets.len()];
        let step = windows.geometry.strides[0] * windows.row;
        let columns = VECTORS * S::F32_LANES;
        for y in (0..height).step_by(ROWS) {
            for x in (0..width).step_by(columns) {
                let mut sums = [[simd.splat_f32s(windows.bias[kernel]); VECTORS]; ROWS];
                for (offset, weight) in windows.offsets.iter().zip(weights) {
                    let weight = simd.splat_f32s(*weight);
                    let block = &padded[y * step + x + offset..];
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let (values, _) = S::as_simd_f32s(&block[row * step..][..columns]);
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = simd.mul_add_e_f32s(weight, *value, *sum);
                        }
                    }
                }
                let used = columns.min(width - x);
                for (place, sums) in result[y * width..].chunks_exact_mut(width).zip(&sums) {
                    let sums: &[f32] = bytemuck::cast_slice(sums);
                    place[x..x + used].copy_from_slice(&sums[..used]);
                }
            }
        }
    }
}

/// Most rows of a block, and most columns with the widest vectors.
const BLOCKS: Pair = [8, 32];

#[cfg(test)]
mod tests;
