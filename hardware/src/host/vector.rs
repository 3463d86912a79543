//! Weighted sums of whole images or of their channels: global pooling, and convolutions of one pixel. Squeeze-and-excitation
//! consists of them.
//!
//! The engine treats a convolution of one pixel as a product of two matrices, and arranges its weights anew for each run.

use pulp::Arch;

use super::range::Range;

/// Sums that run side by side, so that the processor's vector instructions serve.
const LANES: usize = 16;

/// Each output is a weighted sum of all inputs: a convolution of one pixel, whose inputs are channels, or the mean of a
/// plane, whose inputs are its values.
#[derive(Debug)]
pub(super) struct Dense {
    /// `[outputs, inputs]`.
    weights: Vec<f32>,
    /// `[outputs]`.
    bias: Vec<f32>,
}

impl Dense {
    /// `bias` is empty or has a value for each output. Absent where the numbers of values do not fit together.
    pub(super) fn new(outputs: usize, inputs: usize, weights: Vec<f32>, bias: Vec<f32>) -> Option<Self> {
        let bias = if bias.is_empty() { vec![0.0; outputs] } else { bias };
        let fits =
            inputs > 0 && outputs > 0 && bias.len() == outputs && Some(weights.len()) == outputs.checked_mul(inputs);
        fits.then_some(Self { weights, bias })
    }

    /// The mean of planes with `size` values. Absent where that is 0.
    pub(super) fn mean(size: usize) -> Option<Self> {
        Self::new(1, size, vec![1.0 / size as f32; size], Vec::new())
    }

    /// The outputs of each part of `values`, `[parts, inputs]`, within `range`, into `[parts, outputs]`.
    pub(super) fn run(&self, values: &[f32], range: Range, result: &mut [f32]) {
        let inputs = self.weights.len() / self.bias.len();
        Arch::new().dispatch(
            #[inline(always)]
            || {
                let parts = values.chunks_exact(inputs).zip(result.chunks_exact_mut(self.bias.len()));
                for (part, result) in parts {
                    for ((row, bias), result) in self.weights.chunks_exact(inputs).zip(&self.bias).zip(result) {
                        *result = range.limit(bias + dot(row, part));
                    }
                }
            },
        );
    }
}

/// The sum of the products of two lists of equal length.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, last_a), (b, last_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + last_a.iter().zip(last_b).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::feed::pseudo_random;

    fn assert_close(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} for {expected}");
        }
    }

    fn outputs_of(dense: &Dense, values: &[f32]) -> Vec<f32> {
        let mut result = vec![f32::NAN; values.len() / (dense.weights.len() / dense.bias.len()) * dense.bias.len()];
        dense.run(values, Range::ALL, &mut result);
        result
    }

    #[test]
    fn a_convolution_of_one_pixel_is_a_product_of_matrices() {
        for (outputs, inputs) in [(1, 1), (7, 16), (10, 33), (3, 15)] {
            let (weights, values) = (pseudo_random(outputs * inputs), pseudo_random(2 * inputs));
            let bias: Vec<f32> = (0..outputs).map(|channel| channel as f32).collect();
            let product = |image: usize, channel: usize| -> f64 {
                let terms = (0..inputs).map(|i| weights[channel * inputs + i] * values[image * inputs + i]);
                f64::from(bias[channel]) + terms.map(f64::from).sum::<f64>()
            };
            let expected = (0..2 * outputs).map(|i| product(i / outputs, i % outputs)).collect::<Vec<_>>();
            let dense = Dense::new(outputs, inputs, weights.clone(), bias.clone()).unwrap();
            assert_close(&outputs_of(&dense, &values), &expected);
        }
        assert!(Dense::new(2, 3, vec![0.0; 5], vec![]).is_none());
        assert!(Dense::new(2, 3, vec![0.0; 6], vec![0.0; 3]).is_none());
        assert!(Dense::new(0, 3, vec![], vec![]).is_none() && Dense::mean(0).is_none());
    }

    #[test]
    fn means_are_those_of_the_planes() {
        for size in [1, 15, 16, 49] {
            let values = pseudo_random(3 * size);
            let mean = |plane: &[f32]| plane.iter().map(|value| f64::from(*value)).sum::<f64>() / size as f64;
            assert_close(
                &outputs_of(&Dense::mean(size).unwrap(), &values),
                &values.chunks(size).map(mean).collect::<Vec<_>>(),
            );
        }
    }
}
