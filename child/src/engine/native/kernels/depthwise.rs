//! Depthwise convolutions: each output channel reads one input channel. Weights are `[taps, channels]`.

use pulp::{Simd, WithSimd};

use super::sweep::Sweep;
use super::{vectors, vectors_mut};

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
        let mut places = sweep.places.as_slice();
        // Several at a time, so that a weight is read once for all of them.
        while let Some((tile, rest)) = places.split_first_chunk::<4>() {
            tile_of(simd, &sweep.taps, tile, input, weights, output, count, add);
            places = rest;
        }
        while let Some((tile, rest)) = places.split_first_chunk::<1>() {
            tile_of(simd, &sweep.taps, tile, input, weights, output, count, add);
            places = rest;
        }
    }
}

/// All channels of `M` places, `count` vectors each.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a kernel's loop, inlined into its only caller")]
fn tile_of<S: Simd, const M: usize>(
    simd: S,
    taps: &[(usize, usize)],
    places: &[[usize; 2]; M],
    input: &[S::f32s],
    weights: &[S::f32s],
    output: &mut [S::f32s],
    count: usize,
    add: bool,
) {
    let lanes = S::F32_LANES;
    for channel in 0..count {
        let mut sums = [simd.splat_f32s(0.0); M];
        for &(offset, tap) in taps {
            let weight = weights[tap * count + channel];
            for (sum, [from, _]) in sums.iter_mut().zip(places) {
                *sum = simd.mul_add_e_f32s(input[(from + offset) / lanes + channel], weight, *sum);
            }
        }
        for (sum, [_, to]) in sums.iter().zip(places) {
            let value = &mut output[to / lanes + channel];
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
    let mut tile = [simd.splat_f32s(0.0); T];
    let mut taps = [0; T];
    for (tap, (offset, _)) in taps.iter_mut().zip(&sweep.taps[first..]) {
        *tap = offset / lanes;
    }
    for [from, to] in &sweep.places {
        let value = gradient[to / lanes + channel];
        let from = from / lanes + channel;
        for t in 0..T {
            tile[t] = simd.mul_add_e_f32s(input[from + taps[t]], value, tile[t]);
        }
    }
    for t in 0..T {
        let sum = &mut sums[sweep.taps[first + t].1 * count + channel];
        *sum = simd.add_f32s(*sum, tile[t]);
    }
}
