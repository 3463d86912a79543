//! Convolutions whose outputs read all input channels.
//!
//! Weights lie in blocks of output channels, each `[taps, input channels, channels of the block]`, so that a tile reads
//! them in their order. A tile of `M` places × `V` vectors of channels is computed in registers: 4 × 2 for the 16 vector
//! registers of AVX2. `benches/kernels.rs` shows its speed: a wrong tile costs a factor of twenty.

use pulp::{Simd, WithSimd};

use super::sweep::Sweep;
use super::{vectors, vectors_mut};

/// Vectors of output channels that a block of weights holds, but for the last one, which may hold 1.
pub(in super::super) const BLOCK: usize = 2;

/// Places of a tile of [`BLOCK`] vectors.
const PLACES: usize = 4;
/// Places of a tile of 1 vector.
const PLACES_OF_ONE: usize = 8;

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
                block_of::<S, PLACES, BLOCK>(simd, self.sweep, self.input, channels, block, &mut output, done);
                done += BLOCK;
            } else {
                block_of::<S, PLACES_OF_ONE, 1>(simd, self.sweep, self.input, channels, block, &mut output, done);
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
fn block_of<S: Simd, const M: usize, const V: usize>(
    simd: S,
    sweep: &Sweep,
    input: &[f32],
    channels: usize,
    weights: &[S::f32s],
    output: &mut Output<'_, S::f32s>,
    first: usize,
) {
    let weights = weights.as_chunks::<V>().0;
    let lanes = S::F32_LANES;
    for row in 0..sweep.rows {
        let from = row * sweep.from_row;
        let to = (sweep.to_start + row * sweep.to_row) / lanes + first;
        let mut column = 0;
        while column + M <= sweep.columns {
            let at = [from + column * sweep.from_step, to + column * sweep.to_step / lanes];
            tile::<S, M, V>(simd, sweep, input, channels, weights, output, at);
            column += M;
        }
        // The rest by halves, so that few tiles are of one place.
        if M > 4 && column + 4 <= sweep.columns {
            let at = [from + column * sweep.from_step, to + column * sweep.to_step / lanes];
            tile::<S, 4, V>(simd, sweep, input, channels, weights, output, at);
            column += 4;
        }
        if column + 2 <= sweep.columns {
            let at = [from + column * sweep.from_step, to + column * sweep.to_step / lanes];
            tile::<S, 2, V>(simd, sweep, input, channels, weights, output, at);
            column += 2;
        }
        if column < sweep.columns {
            let at = [from + column * sweep.from_step, to + column * sweep.to_step / lanes];
            tile::<S, 1, V>(simd, sweep, input, channels, weights, output, at);
        }
    }
}

/// `M` places of `V` vectors; `at`: first number of the input, first vector of the output.
#[inline(always)]
fn tile<S: Simd, const M: usize, const V: usize>(
    simd: S,
    sweep: &Sweep,
    input: &[f32],
    channels: usize,
    weights: &[[S::f32s; V]],
    output: &mut Output<'_, S::f32s>,
    [from, to]: [usize; 2],
) {
    let mut sums = [[simd.splat_f32s(0.0); V]; M];
    for &(offset, tap) in &sweep.taps {
        let places: [&[f32]; M] = std::array::from_fn(|m| &input[from + offset + m * sweep.from_step..][..channels]);
        let weights = &weights[tap * channels..][..channels];
        for channel in 0..channels {
            let weights = weights[channel];
            for m in 0..M {
                let value = simd.splat_f32s(places[m][channel]);
                for v in 0..V {
                    sums[m][v] = simd.mul_add_e_f32s(value, weights[v], sums[m][v]);
                }
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        let place = &mut output.values[to + m * sweep.to_step / S::F32_LANES..][..V];
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

/// Rows whose gradients stay in the fastest cache while all taps read them.
const CACHED_PLACES: usize = 256;

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sweep, input, channels, outputs, .. } = self;
        let gradient = vectors::<S>(self.gradient);
        let sums = vectors_mut::<S>(self.sums);
        let vectors_out = outputs / S::F32_LANES;
        let taps = sweep.taps.len();
        let rows_at_once = (CACHED_PLACES / sweep.columns.max(1)).max(1);
        let mut row = 0;
        while row < sweep.rows {
            let rows = row..(row + rows_at_once).min(sweep.rows);
            row = rows.end;
            let mut done = 0;
            while done < vectors_out {
                let block = &mut sums[done * taps * channels..];
                if done + BLOCK <= vectors_out {
                    gradient_of::<S, BLOCK>(simd, sweep, rows.clone(), input, channels, gradient, done, block);
                    done += BLOCK;
                } else {
                    gradient_of::<S, 1>(simd, sweep, rows.clone(), input, channels, gradient, done, block);
                    done += 1;
                }
            }
        }
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a kernel's loop, inlined into its only caller")]
fn gradient_of<S: Simd, const V: usize>(
    simd: S,
    sweep: &Sweep,
    rows: std::ops::Range<usize>,
    input: &[f32],
    channels: usize,
    gradient: &[S::f32s],
    first: usize,
    sums: &mut [S::f32s],
) {
    let sums = sums.as_chunks_mut::<V>().0;
    for &(offset, tap) in &sweep.taps {
        let sums = &mut sums[tap * channels..][..channels];
        let mut channel = 0;
        while channel + 4 <= channels {
            gradient_tile::<S, 4, V>(
                simd,
                sweep,
                rows.clone(),
                &input[offset + channel..],
                gradient,
                first,
                sums,
                channel,
            );
            channel += 4;
        }
        if channel + 2 <= channels {
            gradient_tile::<S, 2, V>(
                simd,
                sweep,
                rows.clone(),
                &input[offset + channel..],
                gradient,
                first,
                sums,
                channel,
            );
            channel += 2;
        }
        if channel < channels {
            gradient_tile::<S, 1, V>(
                simd,
                sweep,
                rows.clone(),
                &input[offset + channel..],
                gradient,
                first,
                sums,
                channel,
            );
        }
    }
}

/// `C` input channels × `V` vectors of output channels of one tap.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a kernel's loop, inlined into its only caller")]
fn gradient_tile<S: Simd, const C: usize, const V: usize>(
    simd: S,
    sweep: &Sweep,
    rows: std::ops::Range<usize>,
    input: &[f32],
    gradient: &[S::f32s],
    first: usize,
    sums: &mut [[S::f32s; V]],
    channel: usize,
) {
    let lanes = S::F32_LANES;
    let sums = &mut sums[channel..][..C];
    let mut tile: [[S::f32s; V]; C] = std::array::from_fn(|c| sums[c]);
    let (from_step, to_step) = (sweep.from_step, sweep.to_step / lanes);
    for row in rows {
        let to = (sweep.to_start + row * sweep.to_row) / lanes + first;
        // The last place has no step after it.
        let input = &input[row * sweep.from_row..][..(sweep.columns - 1) * from_step + C];
        let gradient = &gradient[to..][..(sweep.columns - 1) * to_step + V];
        for (place, gradient) in input.chunks(from_step).zip(gradient.chunks(to_step)) {
            let (Some(place), Some(gradient)) = (place.first_chunk::<C>(), gradient.first_chunk::<V>()) else { break };
            for c in 0..C {
                let value = simd.splat_f32s(place[c]);
                for v in 0..V {
                    tile[c][v] = simd.mul_add_e_f32s(value, gradient[v], tile[c][v]);
                }
            }
        }
    }
    sums.copy_from_slice(&tile);
}
