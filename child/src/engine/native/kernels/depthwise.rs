//! Depthwise convolutions: each output channel reads one input channel. Weights are `[taps, channels]`.

use pulp::{Simd, WithSimd};

use super::sweep::Sweep;
use super::{vectors, vectors_mut};

/// Places of a tile, so that a weight is read once for all of them.
const PLACES: usize = 4;

/// `output = Σ over taps of input · weight`.
#[derive(Debug)]
pub(in super::super) struct Convolve<'a> {
    pub(in super::super) sweep: &'a Sweep,
    pub(in super::super) input: &'a [f32],
    pub(in super::super) weights: &'a [f32],
    pub(in super::super) output: &'a mut [f32],
    /// Numbers of a place: the channels with their padding.
    pub(in super::super) channels: usize,
    /// Whether the result is added to the output.
    pub(in super::super) add: bool,
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sweep, add, .. } = self;
        let (input, weights) = (vectors::<S>(self.input), vectors::<S>(self.weights));
        let output = vectors_mut::<S>(self.output);
        let count = self.channels / S::F32_LANES;
        for row in 0..sweep.rows {
            let from = row * sweep.from_row / S::F32_LANES;
            let to = (sweep.to_start + row * sweep.to_row) / S::F32_LANES;
            let mut column = 0;
            while column + PLACES <= sweep.columns {
                places::<S, PLACES>(simd, sweep, input, weights, output, [from, to, column, count], add);
                column += PLACES;
            }
            while column < sweep.columns {
                places::<S, 1>(simd, sweep, input, weights, output, [from, to, column, count], add);
                column += 1;
            }
        }
    }
}

/// All channels of `M` places.
#[inline(always)]
fn places<S: Simd, const M: usize>(
    simd: S,
    sweep: &Sweep,
    input: &[S::f32s],
    weights: &[S::f32s],
    output: &mut [S::f32s],
    [from, to, column, count]: [usize; 4],
    add: bool,
) {
    let (from_step, to_step) = (sweep.from_step / S::F32_LANES, sweep.to_step / S::F32_LANES);
    let (from, to) = (from + column * from_step, to + column * to_step);
    for channel in 0..count {
        let mut sums = [simd.splat_f32s(0.0); M];
        for &(offset, tap) in &sweep.taps {
            let weight = weights[tap * count + channel];
            let at = from + offset / S::F32_LANES + channel;
            for (m, sum) in sums.iter_mut().enumerate() {
                *sum = simd.mul_add_e_f32s(input[at + m * from_step], weight, *sum);
            }
        }
        for (m, sum) in sums.iter().enumerate() {
            let value = &mut output[to + m * to_step + channel];
            *value = if add { simd.add_f32s(*value, *sum) } else { *sum };
        }
    }
}

/// Adds one image's part to the gradient of the weights.
#[derive(Debug)]
pub(in super::super) struct WeightGradient<'a> {
    /// The forward pass. Its output is the gradient.
    pub(in super::super) sweep: &'a Sweep,
    pub(in super::super) input: &'a [f32],
    pub(in super::super) gradient: &'a [f32],
    /// Numbers of a place: the channels with their padding.
    pub(in super::super) channels: usize,
    pub(in super::super) sums: &'a mut [f32],
}

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sweep, .. } = self;
        let (input, gradient) = (vectors::<S>(self.input), vectors::<S>(self.gradient));
        let sums = vectors_mut::<S>(self.sums);
        let count = self.channels / S::F32_LANES;
        let taps = sweep.taps.len();
        for channel in 0..count {
            let mut first = 0;
            // As many sums in registers as hide the time that an addition takes.
            while first + 9 <= taps {
                gradient_of::<S, 9>(simd, sweep, input, gradient, sums, [channel, count, first]);
                first += 9;
            }
            while first + 4 <= taps {
                gradient_of::<S, 4>(simd, sweep, input, gradient, sums, [channel, count, first]);
                first += 4;
            }
            while first < taps {
                gradient_of::<S, 1>(simd, sweep, input, gradient, sums, [channel, count, first]);
                first += 1;
            }
        }
    }
}

/// One vector of channels of `T` taps from number `first` on.
#[inline(always)]
fn gradient_of<S: Simd, const T: usize>(
    simd: S,
    sweep: &Sweep,
    input: &[S::f32s],
    gradient: &[S::f32s],
    sums: &mut [S::f32s],
    [channel, count, first]: [usize; 3],
) {
    let lanes = S::F32_LANES;
    let (from_step, to_step) = (sweep.from_step / lanes, sweep.to_step / lanes);
    let mut tile = [simd.splat_f32s(0.0); T];
    let taps: [usize; T] = std::array::from_fn(|t| sweep.taps[first + t].0 / lanes);
    for row in 0..sweep.rows {
        let from = row * sweep.from_row / lanes + channel;
        let to = (sweep.to_start + row * sweep.to_row) / lanes + channel;
        let inputs: [&[S::f32s]; T] =
            std::array::from_fn(|t| &input[from + taps[t]..][..(sweep.columns - 1) * from_step + 1]);
        let gradient = &gradient[to..][..(sweep.columns - 1) * to_step + 1];
        for column in 0..sweep.columns {
            let value = gradient[column * to_step];
            for t in 0..T {
                tile[t] = simd.mul_add_e_f32s(inputs[t][column * from_step], value, tile[t]);
            }
        }
    }
    for t in 0..T {
        let sum = &mut sums[sweep.taps[first + t].1 * count + channel];
        *sum = simd.add_f32s(*sum, tile[t]);
    }
}
