//! Batch normalisation (Ioffe and Szegedy 2015): what one image gives to the statistics of its batch, and the passes that
//! use them. All maps have the same shape; borders may differ.

use pulp::{Simd, WithSimd};

use super::super::map::Map;
use super::super::state::NormState;
use super::{vectors, vectors_mut};

/// Mean of each channel over the image, and the sum of the squared distances from it: two passes, since the mean of
/// squares less the square of the mean loses digits.
#[derive(Debug)]
pub(in super::super) struct Statistics<'a> {
    pub(in super::super) map: &'a Map,
    pub(in super::super) values: &'a [f32],
    /// `[2, channels with padding]`.
    pub(in super::super) sums: &'a mut [f32],
}

impl WithSimd for Statistics<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, values, sums } = self;
        let (means, squares) = sums.split_at_mut(map.step);
        let (means, squares) = (vectors_mut::<S>(means), vectors_mut::<S>(squares));
        let zero = simd.splat_f32s(0.0);
        means.fill(zero);
        squares.fill(zero);
        let count = means.len();
        for row in map.rows(values) {
            let row = vectors::<S>(row);
            for (channel, mean) in means.iter_mut().enumerate() {
                *mean = simd.add_f32s(*mean, sum_of(simd, row, channel, count, |value| value));
            }
        }
        let share = simd.splat_f32s(1.0 / map.places() as f32);
        means.iter_mut().for_each(|mean| *mean = simd.mul_f32s(*mean, share));
        for row in map.rows(values) {
            let row = vectors::<S>(row);
            for (channel, square) in squares.iter_mut().enumerate() {
                let mean = means[channel];
                let of = |value| {
                    let distance = simd.sub_f32s(value, mean);
                    simd.mul_f32s(distance, distance)
                };
                *square = simd.add_f32s(*square, sum_of(simd, row, channel, count, of));
            }
        }
    }
}

/// Sum over a row of one vector of channels, of `count`, in four parts: additions wait for each other.
#[inline(always)]
fn sum_of<S: Simd>(simd: S, row: &[S::f32s], channel: usize, count: usize, of: impl Fn(S::f32s) -> S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    let mut sums = [zero; 4];
    let mut places = row.chunks_exact(4 * count);
    for four in &mut places {
        for (part, sum) in sums.iter_mut().enumerate() {
            *sum = simd.add_f32s(*sum, of(four[part * count + channel]));
        }
    }
    for place in places.remainder().chunks_exact(count) {
        sums[0] = simd.add_f32s(sums[0], of(place[channel]));
    }
    simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]))
}

/// `output = (value − mean) · factor + shift`, per channel.
#[derive(Debug)]
pub(in super::super) struct Normalise<'a> {
    pub(in super::super) from: &'a Map,
    pub(in super::super) to: &'a Map,
    pub(in super::super) values: &'a [f32],
    pub(in super::super) mean: &'a [f32],
    pub(in super::super) factor: &'a [f32],
    pub(in super::super) shift: &'a [f32],
    pub(in super::super) output: &'a mut [f32],
    pub(in super::super) then: Then,
}

/// The use of a normalised value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Then {
    /// It is the output.
    Write,
    /// It is added to the output.
    Add,
    /// The output is the larger of it and 0.
    Relu,
    /// As [`Then::Relu`], and at most 6.
    Relu6,
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A value that is not a number stays so with the vectors of x86, whose `max` then gives its second operand, and
        // may become 0 elsewhere: `NativeEngine::take_loss` finds it all the same.
        let (zero, six) = (simd.splat_f32s(0.0), simd.splat_f32s(6.0));
        match self.then {
            Then::Write => self.each(simd, |value, _| value),
            Then::Add => self.each(simd, |value, output| simd.add_f32s(output, value)),
            Then::Relu => self.each(simd, |value, _| simd.max_f32s(zero, value)),
            Then::Relu6 => self.each(simd, |value, _| simd.min_f32s(six, simd.max_f32s(zero, value))),
        }
    }
}

impl Normalise<'_> {
    #[inline(always)]
    fn each<S: Simd>(self, simd: S, then: impl Fn(S::f32s, S::f32s) -> S::f32s) {
        let [mean, factor, shift] = [self.mean, self.factor, self.shift].map(vectors::<S>);
        let count = mean.len();
        for (row, output) in self.from.rows(self.values).zip(self.to.rows_mut(self.output)) {
            let (row, output) = (vectors::<S>(row), vectors_mut::<S>(output));
            for channel in 0..count {
                let (mean, factor, shift) = (mean[channel], factor[channel], shift[channel]);
                for (place, output) in row.chunks_exact(count).zip(output.chunks_exact_mut(count)) {
                    let value = simd.mul_add_e_f32s(simd.sub_f32s(place[channel], mean), factor, shift);
                    output[channel] = then(value, output[channel]);
                }
            }
        }
    }
}

/// Per channel, the sum of the gradient and of its products with `value − mean`.
#[derive(Debug)]
pub(in super::super) struct GradientSums<'a> {
    pub(in super::super) gradient_map: &'a Map,
    pub(in super::super) gradient: &'a [f32],
    pub(in super::super) map: &'a Map,
    pub(in super::super) values: &'a [f32],
    pub(in super::super) mean: &'a [f32],
    /// `[2, channels with padding]`.
    pub(in super::super) sums: &'a mut [f32],
}

impl WithSimd for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mean = vectors::<S>(self.mean);
        let count = mean.len();
        let (sums, products) = self.sums.split_at_mut(self.map.step);
        let (sums, products) = (vectors_mut::<S>(sums), vectors_mut::<S>(products));
        let zero = simd.splat_f32s(0.0);
        sums.fill(zero);
        products.fill(zero);
        for (row, gradient) in self.map.rows(self.values).zip(self.gradient_map.rows(self.gradient)) {
            let (row, gradient) = (vectors::<S>(row), vectors::<S>(gradient));
            for channel in 0..count {
                let mean = mean[channel];
                let mut parts = [[zero; 2]; 2];
                let mut pairs = row.chunks_exact(2 * count);
                let mut gradients = gradient.chunks_exact(2 * count);
                for (values, gradients) in (&mut pairs).zip(&mut gradients) {
                    for (part, [sum, product]) in parts.iter_mut().enumerate() {
                        let gradient = gradients[part * count + channel];
                        let distance = simd.sub_f32s(values[part * count + channel], mean);
                        *sum = simd.add_f32s(*sum, gradient);
                        *product = simd.mul_add_e_f32s(gradient, distance, *product);
                    }
                }
                if let ([_, ..], [_, ..]) = (pairs.remainder(), gradients.remainder()) {
                    let gradient = gradients.remainder()[channel];
                    let distance = simd.sub_f32s(pairs.remainder()[channel], mean);
                    parts[0][0] = simd.add_f32s(parts[0][0], gradient);
                    parts[0][1] = simd.mul_add_e_f32s(gradient, distance, parts[0][1]);
                }
                sums[channel] = simd.add_f32s(sums[channel], simd.add_f32s(parts[0][0], parts[1][0]));
                products[channel] = simd.add_f32s(products[channel], simd.add_f32s(parts[0][1], parts[1][1]));
            }
        }
    }
}

/// The gradient of a batch norm's input: `factor · gradient + slope · (value − mean) + constant`, per channel.
#[derive(Debug)]
pub(in super::super) struct NormBackward<'a> {
    pub(in super::super) gradient_map: &'a Map,
    pub(in super::super) gradient: &'a [f32],
    pub(in super::super) map: &'a Map,
    pub(in super::super) values: &'a [f32],
    pub(in super::super) state: &'a NormState,
    pub(in super::super) to: &'a Map,
    pub(in super::super) output: &'a mut [f32],
    /// Whether the result is added to the output.
    pub(in super::super) add: bool,
}

impl WithSimd for NormBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let NormState { mean, factor, slope, constant, .. } = self.state;
        let [mean, factor, slope, constant] = [mean, factor, slope, constant].map(|values| vectors::<S>(values));
        let count = mean.len();
        let rows = self.map.rows(self.values).zip(self.gradient_map.rows(self.gradient));
        for ((row, gradient), output) in rows.zip(self.to.rows_mut(self.output)) {
            let (row, gradient, output) = (vectors::<S>(row), vectors::<S>(gradient), vectors_mut::<S>(output));
            for channel in 0..count {
                let (mean, factor) = (mean[channel], factor[channel]);
                let (slope, constant) = (slope[channel], constant[channel]);
                let places = row.chunks_exact(count).zip(gradient.chunks_exact(count));
                for ((value, gradient), output) in places.zip(output.chunks_exact_mut(count)) {
                    let rest = simd.mul_add_e_f32s(simd.sub_f32s(value[channel], mean), slope, constant);
                    let result = simd.mul_add_e_f32s(gradient[channel], factor, rest);
                    let output = &mut output[channel];
                    *output = if self.add { simd.add_f32s(*output, result) } else { result };
                }
            }
        }
    }
}
