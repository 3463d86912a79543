//! Convolutions whose outputs read all input channels.
//!
//! Weights lie in blocks of output channels, each `[taps, input channels, channels of the block]`, so that a tile reads
//! them in their order. A tile of `M` places × `V` vectors of channels is computed in registers: 6 × 2 for the 16 vector
//! registers of AVX2. `benches/kernels.rs` shows its speed: a wrong tile costs a factor of twenty.

use pulp::{Simd, WithSimd};

use super::sweep::Sweep;
use super::{vectors, vectors_mut};

/// Vectors of output channels that a block of weights holds, but for the last one, which may hold 1.
pub(in super::super) const BLOCK: usize = 2;

/// `output = Σ over taps and input channels of input · weight`.
#[derive(Debug)]
pub(in super::super) struct Convolve<'a> {
    pub(in super::super) sweep: &'a Sweep,
    pub(in super::super) input: &'a [f32],
    /// Input channels, without padding.
    pub(in super::super) channels: usize,
    /// Taps of a block.
    pub(in super::super) taps: usize,
    pub(in super::super) weights: &'a [f32],
    pub(in super::super) output: &'a mut [f32],
    /// Numbers of an output place: the channels with their padding.
    pub(in super::super) outputs: usize,
    /// Whether the result is added to the output.
    pub(in super::super) add: bool,
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (channels, taps) = (self.channels, self.taps);
        let vectors_out = self.outputs / S::F32_LANES;
        let weights = vectors::<S>(self.weights);
        let mut output = Output { values: vectors_mut::<S>(self.output), add: self.add };
        let mut done = 0;
        while done < vectors_out {
            let block = &weights[done * taps * channels..];
            if done + BLOCK <= vectors_out {
                block_of::<S, BLOCK>(simd, self.sweep, self.input, channels, block, &mut output, done);
                done += BLOCK;
            } else {
                block_of::<S, 1>(simd, self.sweep, self.input, channels, block, &mut output, done);
                done += 1;
            }
        }
    }
}

struct Output<'a, V> {
    values: &'a mut [V],
    add: bool,
}

/// All places of `V` vectors of output channels, the first of which is number `first` of each place.
#[inline(always)]
fn block_of<S: Simd, const V: usize>(
    simd: S,
    sweep: &Sweep,
    input: &[f32],
    channels: usize,
    weights: &[S::f32s],
    output: &mut Output<'_, S::f32s>,
    first: usize,
) {
    let weights = weights.as_chunks::<V>().0;
    let mut places = sweep.places.as_slice();
    while let Some((tile, rest)) = places.split_first_chunk::<6>() {
        // Eight are two tiles of four, not one of six and a slow one of two.
        if rest.len() == 2 {
            break;
        }
        tile_of::<S, 6, V>(simd, sweep, tile, input, channels, weights, output, first);
        places = rest;
    }
    while let Some((tile, rest)) = places.split_first_chunk::<4>() {
        tile_of::<S, 4, V>(simd, sweep, tile, input, channels, weights, output, first);
        places = rest;
    }
    while let Some((tile, rest)) = places.split_first_chunk::<1>() {
        tile_of::<S, 1, V>(simd, sweep, tile, input, channels, weights, output, first);
        places = rest;
    }
}

/// `M` places of `V` vectors.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a kernel's loop, inlined into its only caller")]
fn tile_of<S: Simd, const M: usize, const V: usize>(
    simd: S,
    sweep: &Sweep,
    places: &[[usize; 2]; M],
    input: &[f32],
    channels: usize,
    weights: &[[S::f32s; V]],
    output: &mut Output<'_, S::f32s>,
    first: usize,
) {
    let mut sums = [[simd.splat_f32s(0.0); V]; M];
    for &(offset, tap) in &sweep.taps {
        let mut inputs = [&input[..0]; M];
        for (part, [from, _]) in inputs.iter_mut().zip(places) {
            *part = &input[from + offset..][..channels];
        }
        let weights = &weights[tap * channels..][..channels];
        for channel in 0..channels {
            let weights = weights[channel];
            for m in 0..M {
                let value = simd.splat_f32s(inputs[m][channel]);
                for v in 0..V {
                    sums[m][v] = simd.mul_add_e_f32s(value, weights[v], sums[m][v]);
                }
            }
        }
    }
    for (sums, [_, to]) in sums.iter().zip(places) {
        let place = &mut output.values[to / S::F32_LANES + first..][..V];
        for (value, sum) in place.iter_mut().zip(sums) {
            *value = if output.add { simd.add_f32s(*value, *sum) } else { *sum };
        }
    }
}

/// Adds one image's part to the gradient of the weights: `Σ over places of input · gradient of the output`.
#[derive(Debug)]
pub(in super::super) struct WeightGradient<'a> {
    /// The forward pass. Its output is the gradient.
    pub(in super::super) sweep: &'a Sweep,
    pub(in super::super) input: &'a [f32],
    /// Input channels, without padding.
    pub(in super::super) channels: usize,
    pub(in super::super) gradient: &'a [f32],
    /// Numbers of an output place: the channels with their padding.
    pub(in super::super) outputs: usize,
    /// As the weights lie.
    pub(in super::super) sums: &'a mut [f32],
}

/// Places whose numbers stay in the fastest cache while all taps read them.
const CACHED_PLACES: usize = 128;

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sweep, input, channels, outputs, .. } = self;
        let gradient = vectors::<S>(self.gradient);
        let sums = vectors_mut::<S>(self.sums);
        let vectors_out = outputs / S::F32_LANES;
        let taps = sweep.taps.len();
        for places in sweep.places.chunks(CACHED_PLACES) {
            let mut done = 0;
            while done < vectors_out {
                let block = &mut sums[done * taps * channels..];
                let gradient = &gradient[done..];
                if done + BLOCK <= vectors_out {
                    gradient_of::<S, BLOCK>(simd, &sweep.taps, places, input, channels, gradient, block);
                    done += BLOCK;
                } else {
                    gradient_of::<S, 1>(simd, &sweep.taps, places, input, channels, gradient, block);
                    done += 1;
                }
            }
        }
    }
}

/// Adds the part of some places to `V` vectors of output channels.
#[inline(always)]
fn gradient_of<S: Simd, const V: usize>(
    simd: S,
    taps: &[(usize, usize)],
    places: &[[usize; 2]],
    input: &[f32],
    channels: usize,
    gradient: &[S::f32s],
    sums: &mut [S::f32s],
) {
    let sums = sums.as_chunks_mut::<V>().0;
    for &(offset, tap) in taps {
        let (input, sums) = (&input[offset..], &mut sums[tap * channels..][..channels]);
        let mut done = 0;
        // Six input channels by two vectors fill the registers of AVX2.
        while let Some(tile) = sums[done..].first_chunk_mut::<6>() {
            // Eight are two tiles of four, not one of six and a slow one of two.
            if done + 8 == channels {
                break;
            }
            gradient_tile::<S, 6, V>(simd, places, &input[done..], gradient, tile);
            done += 6;
        }
        while let Some(tile) = sums[done..].first_chunk_mut::<4>() {
            gradient_tile::<S, 4, V>(simd, places, &input[done..], gradient, tile);
            done += 4;
        }
        // The colours of an image.
        while let Some(tile) = sums[done..].first_chunk_mut::<3>() {
            gradient_tile::<S, 3, V>(simd, places, &input[done..], gradient, tile);
            done += 3;
        }
        while let Some(tile) = sums[done..].first_chunk_mut::<1>() {
            gradient_tile::<S, 1, V>(simd, places, &input[done..], gradient, tile);
            done += 1;
        }
    }
}

/// `C` input channels × `V` vectors of output channels of one tap.
#[inline(always)]
fn gradient_tile<S: Simd, const C: usize, const V: usize>(
    simd: S,
    places: &[[usize; 2]],
    input: &[f32],
    gradient: &[S::f32s],
    sums: &mut [[S::f32s; V]; C],
) {
    let mut tile = *sums;
    for &[from, to] in places {
        let (Some(place), Some(gradient)) =
            (input[from..].first_chunk::<C>(), gradient[to / S::F32_LANES..].first_chunk::<V>())
        else {
            unreachable!("every place lies inside of its map")
        };
        for c in 0..C {
            let value = simd.splat_f32s(place[c]);
            for v in 0..V {
                tile[c][v] = simd.mul_add_e_f32s(value, gradient[v], tile[c][v]);
            }
        }
    }
    *sums = tile;
}
