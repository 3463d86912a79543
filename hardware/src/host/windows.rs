//! Operators that slide a window over each channel by itself: depthwise convolution and average pooling.

mod padding;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::planes::{lanes, separate, store};
use super::range::Range;

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

impl Geometry {
    /// Whether an output depends on the pixel in its own place only.
    pub(super) fn is_one_pixel(&self) -> bool {
        [self.kernel, self.strides] == [[1; 2]; 2] && [self.before, self.after] == [[0; 2]; 2]
    }
}

/// One operator for planes of one size, ready to run.
///
/// Each plane is copied with its padding, columns sorted by their remainder by the stride. The values that one weight
/// meets in neighbouring windows then lie side by side, whatever the stride and the dilation are, so that one loop
/// serves all. Planes whose rows are shorter than a vector are copied in groups, pixel by pixel in turn: a row of the group
/// then fills the vector.
#[derive(Debug)]
pub(super) struct Windows {
    geometry: Geometry,
    input: Pair,
    output: Pair,
    /// Number of planes in a group.
    group: usize,
    /// Number of columns with one remainder, and the number of pixels in the rows of one remainder.
    row: usize,
    part: usize,
    /// Where the value for each weight of a kernel lies, relative to that of the first one.
    offsets: Vec<usize>,
    /// Kernels, for each group or one for all of them: `[weights, lanes]`. Groups of one plane have one lane, others
    /// `WIDEST`, with the weights of their planes in turn.
    weights: Vec<f32>,
    /// `[kernels, lanes]`.
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
        Self::new(geometry, input, &weights, &bias)
    }

    /// The mean of each window. Padding counts as zeros, or not at all.
    pub(super) fn average(geometry: Geometry, input: Pair, counts_padding: bool) -> Option<Self> {
        let size = geometry.kernel[0].checked_mul(geometry.kernel[1]).filter(|size| *size <= LARGEST_PLANE)?;
        let mut windows = Self::new(geometry, input, &vec![1.0; size], &[0.0])?;
        let [rows, columns] = [0, 1].map(|axis| windows.pixels_met(axis));
        let factor = |row: usize, column: usize| {
            1.0 / if counts_padding { size as f32 } else { (rows[row] * columns[column]) as f32 }
        };
        let [height, width] = windows.output;
        windows.factors = Some((0..height * width).map(|i| factor(i / width, i % width)).collect());
        Some(windows)
    }

    fn new(geometry: Geometry, input: Pair, weights: &[f32], bias: &[f32]) -> Option<Self> {
        let Geometry { kernel, strides, dilations, before, after } = geometry;
        let is_immense = |number: usize| number > LARGEST_PLANE;
        if [kernel, strides, dilations, before, after, input].into_iter().flatten().any(is_immense)
            || [kernel, strides, dilations].into_iter().flatten().any(|number| number == 0)
        {
            return None;
        }
        let mut output = [0; 2];
        for axis in [0, 1] {
            let reach = (kernel[axis] - 1) * dilations[axis] + 1;
            output[axis] = (input[axis] + before[axis] + after[axis]).checked_sub(reach)? / strides[axis] + 1;
        }
        let fits =
            |planes: &usize| planes * output[1].next_power_of_two() <= BLOCKS[1] && bias.len().is_multiple_of(*planes);
        let is_narrow = output[1] < lanes();
        let group = if is_narrow { [8, 4].into_iter().find(fits).unwrap_or(1) } else { 1 };
        // The last block of windows may reach beyond the padding.
        let blocks = [output[0].next_multiple_of(BLOCKS[0]), (output[1] * group).next_multiple_of(BLOCKS[1]) / group];
        let padded = [0, 1].map(|axis| (blocks[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1);
        let row = padded[1].div_ceil(strides[1]);
        // One row more, so that each row is followed by as many values as it has.
        let part = (padded[0] + 1).checked_mul(row)?;
        let copied = part.checked_mul(strides[1])?.checked_mul(group)?;
        if copied > LARGEST_PLANE || output[0].checked_mul(output[1])? > LARGEST_PLANE {
            return None;
        }
        let offset = |tap: usize| {
            let (y, x) = (tap / kernel[1] * dilations[0], tap % kernel[1] * dilations[1]);
            (x % strides[1] * part + y * row + x / strides[1]) * group
        };
        let offsets: Vec<_> = (0..kernel[0] * kernel[1]).map(offset).collect();
        if bias.is_empty() || weights.len() != bias.len() * offsets.len() {
            return None;
        }
        let lanes = if group == 1 { 1 } else { WIDEST };
        // `values` is `[channels, taps]`.
        let in_turn = |values: &[f32], taps: usize| -> Vec<f32> {
            let of_group = |values: &[f32]| {
                let value = |place: usize| values[place % lanes % group * taps + place / lanes];
                (0..taps * lanes).map(value).collect::<Vec<_>>()
            };
            values.chunks_exact(group * taps).flat_map(of_group).collect()
        };
        let (weights, bias) = (in_turn(weights, offsets.len()), in_turn(bias, 1));
        Some(Self { geometry, input, output, group, row, part, offsets, weights, bias, factors: None })
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

    /// Only the padding of planes. Absent where sizes are too large.
    pub(super) fn padding(geometry: Geometry, input: Pair) -> Option<Self> {
        let size = geometry.kernel[0].checked_mul(geometry.kernel[1]).filter(|size| *size <= LARGEST_PLANE)?;
        Self::new(geometry, input, &vec![0.0; size], &[0.0])
    }

    /// Height and width of the result.
    pub(super) fn output(&self) -> Pair {
        self.output
    }

    /// Where the value for each weight lies in a padded plane, relative to that for the first one.
    pub(super) fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Number of values of a padded group of planes.
    pub(super) fn copied(&self) -> usize {
        self.part * self.geometry.strides[1] * self.group
    }

    /// Number of values from a window to the one below.
    pub(super) fn row_step(&self) -> usize {
        self.geometry.strides[0] * self.row * self.group
    }

    /// Computes all planes of `values`, `[batch, channels, height, width]`, into those of `result`, on the threads of the
    /// calling pool. Sums are within `range`. They do not depend on the number of threads.
    pub(super) fn run(&self, values: &[f32], range: Range, result: &mut [f32]) {
        let [size, made] = [self.input, self.output].map(|sides| sides[0] * sides[1] * self.group);
        let arch = Arch::new();
        let copied = self.copied();
        // Values that were stored just now are slow to load: small groups are copied before the first one is summed up.
        let groups = (COPIED_TOGETHER / copied.max(1)).max(1);
        let parts = result.par_chunks_mut((groups * made).max(1)).zip(values.par_chunks((groups * size).max(1)));
        parts.enumerate().for_each_init(
            || (vec![0.0; groups * copied], vec![0.0; size.max(made)]),
            |(padded, sorted), (part, (result, values))| {
                arch.dispatch(Planes { windows: self, first: part * groups, values, padded, sorted, range, result });
            },
        );
    }
}

/// The sums of a few groups of planes, computed with the vector instructions that the processor has.
struct Planes<'a> {
    windows: &'a Windows,
    /// Number of the first group.
    first: usize,
    values: &'a [f32],
    /// Zero but for the values of groups before.
    padded: &'a mut [f32],
    /// Room for the values or the sums of a group in another order.
    sorted: &'a mut [f32],
    range: Range,
    result: &'a mut [f32],
}

impl WithSimd for Planes<'_> {
    type Output = ();

    // Without inlining, the loops would be compiled for the oldest processor of the architecture. This holds for closures,
    // too, so there are none in here.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { windows, first, values, padded, sorted, range, result } = self;
        let [size, made] = [windows.input, windows.output].map(|sides| sides[0] * sides[1] * windows.group);
        let copied = windows.copied();
        for (values, padded) in values.chunks_exact(size).zip(padded.chunks_exact_mut(copied)) {
            windows.pad(simd, values, sorted, padded);
        }
        for (number, (padded, result)) in padded.chunks_exact(copied).zip(result.chunks_exact_mut(made)).enumerate() {
            if windows.group == 1 {
                windows.sum_blocks::<S, 1>(simd, first + number, padded, range, result);
            } else {
                windows.sum_blocks::<S, WIDEST>(simd, first + number, padded, range, sorted);
                match windows.group {
                    4 => separate::<4>(sorted, result),
                    _ => separate::<8>(sorted, result),
                }
            }
            if let Some(factors) = &windows.factors {
                for (sum, factor) in result.iter_mut().zip(factors) {
                    *sum *= factor;
                }
            }
        }
    }
}

impl Windows {
    /// Sums up all windows of a group.
    #[inline(always)]
    fn sum_blocks<S: Simd, const LANES: usize>(
        &self,
        simd: S,
        number: usize,
        padded: &[f32],
        range: Range,
        result: &mut [f32],
    ) {
        // Without vectors, loops for each shape are not worth their compilation.
        if const { S::F32_LANES == 1 } {
            return self.sum_shape::<S, LANES, 0, 0>(simd, number, padded, range, result);
        }
        let Geometry { kernel, strides, dilations, .. } = self.geometry;
        let side = if kernel[0] == kernel[1] && dilations[0] == 1 { kernel[0] } else { 0 };
        match (side, strides[0]) {
            (3, 1) => self.sum_shape::<S, LANES, 3, 1>(simd, number, padded, range, result),
            (5, 1) => self.sum_shape::<S, LANES, 5, 1>(simd, number, padded, range, result),
            (7, 1) => self.sum_shape::<S, LANES, 7, 1>(simd, number, padded, range, result),
            (3, 2) => self.sum_shape::<S, LANES, 3, 2>(simd, number, padded, range, result),
            (5, 2) => self.sum_shape::<S, LANES, 5, 2>(simd, number, padded, range, result),
            (7, 2) => self.sum_shape::<S, LANES, 7, 2>(simd, number, padded, range, result),
            _ => self.sum_shape::<S, LANES, 0, 0>(simd, number, padded, range, result),
        }
    }

    /// The same for kernels of `SIDE` × `SIDE` weights in steps of `STEP` rows, or for any if they are 0.
    #[inline(always)]
    fn sum_shape<S: Simd, const LANES: usize, const SIDE: usize, const STEP: usize>(
        &self,
        simd: S,
        number: usize,
        padded: &[f32],
        range: Range,
        result: &mut [f32],
    ) {
        // Eight sums in turn hide the latency of an addition.
        if LANES > 1 || self.output[1] > S::F32_LANES {
            self.sum::<S, LANES, 4, 2, SIDE, STEP>(simd, number, padded, range, result);
        } else {
            self.sum::<S, LANES, 8, 1, SIDE, STEP>(simd, number, padded, range, result);
        }
    }

    /// Sums up the windows in blocks of `ROWS` rows and as many columns as fit into `VECTORS`.
    #[inline(always)]
    fn sum<
        S: Simd,
        const LANES: usize,
        const ROWS: usize,
        const VECTORS: usize,
        const SIDE: usize,
        const STEP: usize,
    >(
        &self,
        simd: S,
        number: usize,
        padded: &[f32],
        range: Range,
        result: &mut [f32],
    ) {
        let (height, width) = (self.output[0], self.output[1] * self.group);
        let taps = self.offsets.len() * LANES;
        let kernel = number % (self.bias.len() / LANES);
        let (bias, _) = self.bias[kernel * LANES..][..LANES].as_chunks::<LANES>();
        let (weights, _) = self.weights[kernel * taps..][..taps].as_chunks::<LANES>();
        let (step, pitch) = (self.row_step(), self.row * self.group);
        let columns = VECTORS * S::F32_LANES;
        for (block, places) in result[..height * width].chunks_mut(ROWS * width).enumerate() {
            let from = &padded[block * ROWS * step..];
            for x in (0..width).step_by(columns) {
                let mut sums = [vectors::<S, LANES, VECTORS>(simd, &bias[0], x); ROWS];
                if SIDE > 0 {
                    // Each row of values is loaded once for all sums that it is part of.
                    for (across, offset) in self.offsets[..SIDE].iter().enumerate() {
                        let mut rest = &from[x + offset..];
                        let mut rows = [[simd.splat_f32s(0.0); VECTORS]; MOST_ROWS];
                        for vectors in rows.iter_mut().take((ROWS - 1) * STEP + SIDE) {
                            let (row, others) = rest.split_at(pitch);
                            let (values, _) = S::as_simd_f32s(&row[..columns]);
                            for (vector, value) in vectors.iter_mut().zip(values) {
                                *vector = *value;
                            }
                            rest = others;
                        }
                        for down in 0..SIDE {
                            let weights = vectors::<S, LANES, VECTORS>(simd, &weights[down * SIDE + across], x);
                            for (row, sums) in sums.iter_mut().enumerate() {
                                for ((sum, value), weight) in sums.iter_mut().zip(rows[row * STEP + down]).zip(weights)
                                {
                                    *sum = simd.mul_add_e_f32s(weight, value, *sum);
                                }
                            }
                        }
                    }
                } else {
                    for (offset, weights) in self.offsets.iter().zip(weights) {
                        let weights = vectors::<S, LANES, VECTORS>(simd, weights, x);
                        let values = &from[x + offset..];
                        for (row, sums) in sums.iter_mut().enumerate() {
                            let (values, _) = S::as_simd_f32s(&values[row * step..][..columns]);
                            for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
                                *sum = simd.mul_add_e_f32s(weight, *value, *sum);
                            }
                        }
                    }
                }
                store(simd, sums, range, places, width, x);
            }
        }
    }
}

/// The weights or the bias of the columns from `x` on: one for all of them, or several in turn.
#[inline(always)]
fn vectors<S: Simd, const LANES: usize, const VECTORS: usize>(
    simd: S,
    values: &[f32; LANES],
    x: usize,
) -> [S::f32s; VECTORS] {
    if LANES == 1 {
        return [simd.splat_f32s(values[0]); VECTORS];
    }
    std::array::from_fn(|vector| {
        let start = (x + vector * S::F32_LANES) % LANES;
        S::as_simd_f32s(&values[start..start + S::F32_LANES]).0[0]
    })
}

/// Values that are copied before they are read, about 16 KiB.
const COPIED_TOGETHER: usize = 4096;

/// Rows of values for eight sums with a kernel of 7 × 7 in steps of two rows.
const MOST_ROWS: usize = 21;

/// Values of the widest vector.
const WIDEST: usize = 16;

/// Most rows of a block, and most columns with the widest vectors.
const BLOCKS: Pair = [8, 32];

#[cfg(test)]
mod tests;
