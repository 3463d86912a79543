//! Operations on each number by itself, and the sums over whole maps. Plain loops: the compiler makes vectors of them.

use pulp::{Simd, WithSimd};

use super::super::map::Map;
use super::{vectors, vectors_mut};
use crate::graph::Activation;

/// `output = of(input)`, or added to it, row by row.
#[derive(Debug)]
pub(in super::super) struct Each<'a, F> {
    pub(in super::super) from: &'a Map,
    pub(in super::super) input: &'a [f32],
    pub(in super::super) to: &'a Map,
    pub(in super::super) output: &'a mut [f32],
    /// Whether the result is added to the output.
    pub(in super::super) add: bool,
    pub(in super::super) of: F,
}

impl<F: Fn(f32) -> f32> WithSimd for Each<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let of = self.of;
        for (input, output) in self.from.rows(self.input).zip(self.to.rows_mut(self.output)) {
            if self.add {
                output.iter_mut().zip(input).for_each(|(output, input)| *output += of(*input));
            } else {
                output.iter_mut().zip(input).for_each(|(output, input)| *output = of(*input));
            }
        }
    }
}

/// The value of an activation.
#[inline(always)]
pub(in super::super) fn activated(activation: Activation, x: f32) -> f32 {
    match activation {
        // A value that is not a number stays so.
        Activation::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::HardSigmoid => (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0),
    }
}

/// The derivative of an activation at its output.
#[inline(always)]
fn slope(activation: Activation, output: f32) -> f32 {
    let inside = |least: f32, most: f32, slope: f32| if output > least && output < most { slope } else { 0.0 };
    match activation {
        Activation::Relu => inside(0.0, f32::INFINITY, 1.0),
        Activation::Relu6 => inside(0.0, 6.0, 1.0),
        Activation::Sigmoid => output * (1.0 - output),
        Activation::HardSigmoid => inside(0.0, 1.0, 1.0 / 6.0),
    }
}

/// The gradient of an activation's input, from its output.
#[derive(Debug)]
pub(in super::super) struct ActivationBackward<'a> {
    pub(in super::super) activation: Activation,
    pub(in super::super) result_map: &'a Map,
    /// The output of the activation.
    pub(in super::super) result: &'a [f32],
    pub(in super::super) gradient_map: &'a Map,
    pub(in super::super) gradient: &'a [f32],
    pub(in super::super) to: &'a Map,
    pub(in super::super) output: &'a mut [f32],
    /// Whether the result is added to the output.
    pub(in super::super) add: bool,
}

impl WithSimd for ActivationBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Chosen outside of the loops, so that each is one of vectors.
        match self.activation {
            Activation::Relu => self.each(|output| slope(Activation::Relu, output)),
            Activation::Relu6 => self.each(|output| slope(Activation::Relu6, output)),
            Activation::Sigmoid => self.each(|output| slope(Activation::Sigmoid, output)),
            Activation::HardSigmoid => self.each(|output| slope(Activation::HardSigmoid, output)),
        }
    }
}

impl ActivationBackward<'_> {
    #[inline(always)]
    fn each(self, slope: impl Fn(f32) -> f32) {
        let rows = self.result_map.rows(self.result).zip(self.gradient_map.rows(self.gradient));
        for ((result, gradient), output) in rows.zip(self.to.rows_mut(self.output)) {
            let products = result.iter().zip(gradient).map(|(result, gradient)| slope(*result) * gradient);
            if self.add {
                output.iter_mut().zip(products).for_each(|(output, product)| *output += product);
            } else {
                output.iter_mut().zip(products).for_each(|(output, product)| *output = product);
            }
        }
    }
}

/// Each channel times its number of `gate`; or the gradient of that by its map, which is the same.
#[derive(Debug)]
pub(in super::super) struct Scale<'a> {
    pub(in super::super) from: &'a Map,
    pub(in super::super) input: &'a [f32],
    /// One number a channel.
    pub(in super::super) gate: &'a [f32],
    pub(in super::super) to: &'a Map,
    pub(in super::super) output: &'a mut [f32],
    /// Whether the result is added to the output.
    pub(in super::super) add: bool,
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let gate = vectors::<S>(self.gate);
        for (input, output) in self.from.rows(self.input).zip(self.to.rows_mut(self.output)) {
            let places = vectors::<S>(input).chunks_exact(gate.len());
            for (input, output) in places.zip(vectors_mut::<S>(output).chunks_exact_mut(gate.len())) {
                for ((input, gate), output) in input.iter().zip(gate).zip(output) {
                    let product = simd.mul_f32s(*input, *gate);
                    *output = if self.add { simd.add_f32s(*output, product) } else { product };
                }
            }
        }
    }
}

/// Per channel, the sum of the products of two maps: the gradient of [`Scale`]'s gate.
#[derive(Debug)]
pub(in super::super) struct Products<'a> {
    pub(in super::super) map: &'a Map,
    pub(in super::super) values: &'a [f32],
    pub(in super::super) gradient_map: &'a Map,
    pub(in super::super) gradient: &'a [f32],
    pub(in super::super) sums: &'a mut [f32],
    /// Whether the result is added to the sums.
    pub(in super::super) add: bool,
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let sums = vectors_mut::<S>(self.sums);
        if !self.add {
            sums.fill(simd.splat_f32s(0.0));
        }
        for (values, gradient) in self.map.rows(self.values).zip(self.gradient_map.rows(self.gradient)) {
            let places = vectors::<S>(values).chunks_exact(sums.len());
            for (values, gradient) in places.zip(vectors::<S>(gradient).chunks_exact(sums.len())) {
                for ((value, gradient), sum) in values.iter().zip(gradient).zip(&mut *sums) {
                    *sum = simd.mul_add_e_f32s(*value, *gradient, *sum);
                }
            }
        }
    }
}

/// Mean of each channel.
#[derive(Debug)]
pub(in super::super) struct Mean<'a> {
    pub(in super::super) map: &'a Map,
    pub(in super::super) values: &'a [f32],
    pub(in super::super) means: &'a mut [f32],
}

impl WithSimd for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let means = vectors_mut::<S>(self.means);
        means.fill(simd.splat_f32s(0.0));
        for row in self.map.rows(self.values) {
            for place in vectors::<S>(row).chunks_exact(means.len()) {
                for (mean, value) in means.iter_mut().zip(place) {
                    *mean = simd.add_f32s(*mean, *value);
                }
            }
        }
        let share = simd.splat_f32s(1.0 / self.map.places() as f32);
        means.iter_mut().for_each(|mean| *mean = simd.mul_f32s(*mean, share));
    }
}

/// One number a channel, times `factor`, to every place: the gradient of [`Mean`], and the bias of a convolution.
#[derive(Debug)]
pub(in super::super) struct Spread<'a> {
    pub(in super::super) numbers: &'a [f32],
    pub(in super::super) factor: f32,
    pub(in super::super) to: &'a Map,
    pub(in super::super) output: &'a mut [f32],
    /// Whether the result is added to the output.
    pub(in super::super) add: bool,
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let numbers = vectors::<S>(self.numbers);
        let factor = simd.splat_f32s(self.factor);
        for output in self.to.rows_mut(self.output) {
            for place in vectors_mut::<S>(output).chunks_exact_mut(numbers.len()) {
                for (number, output) in numbers.iter().zip(place) {
                    let value = simd.mul_f32s(*number, factor);
                    *output = if self.add { simd.add_f32s(*output, value) } else { value };
                }
            }
        }
    }
}

/// Adds the sum of each channel: the gradient of a bias.
#[derive(Debug)]
pub(in super::super) struct Sum<'a> {
    pub(in super::super) map: &'a Map,
    pub(in super::super) values: &'a [f32],
    pub(in super::super) sums: &'a mut [f32],
}

impl WithSimd for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let sums = vectors_mut::<S>(self.sums);
        for row in self.map.rows(self.values) {
            for place in vectors::<S>(row).chunks_exact(sums.len()) {
                for (sum, value) in sums.iter_mut().zip(place) {
                    *sum = simd.add_f32s(*sum, *value);
                }
            }
        }
    }
}

/// Copies some channels of every place.
#[derive(Debug)]
pub(in super::super) struct Channels<'a> {
    pub(in super::super) from: &'a Map,
    pub(in super::super) input: &'a [f32],
    pub(in super::super) to: &'a Map,
    pub(in super::super) output: &'a mut [f32],
    /// First channel read, first channel written, and their number.
    pub(in super::super) channels: [usize; 3],
    /// Whether they are added to the output.
    pub(in super::super) add: bool,
}

impl WithSimd for Channels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { from, to, channels: [first, target, count], .. } = self;
        for (input, output) in from.rows(self.input).zip(to.rows_mut(self.output)) {
            for (input, output) in input.chunks_exact(from.step).zip(output.chunks_exact_mut(to.step)) {
                let places = output[target..][..count].iter_mut().zip(&input[first..][..count]);
                if self.add {
                    places.for_each(|(output, input)| *output += input);
                } else {
                    places.for_each(|(output, input)| *output = *input);
                }
            }
        }
    }
}
