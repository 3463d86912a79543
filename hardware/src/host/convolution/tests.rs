//! Convolutions against their definition.

use super::*;
use crate::host::feed::pseudo_random;

fn check(inputs: usize, outputs: usize, input: Pair, geometry: Geometry) {
    let taps = geometry.kernel[0] * geometry.kernel[1];
    let size = input[0] * input[1];
    let weights = pseudo_random(outputs * inputs * taps);
    let values = pseudo_random(2 * inputs * size);
    let bias: Vec<f32> = (0..outputs).map(|output| output as f32 / 4.0).collect();
    let convolution = Convolution::new(geometry, input, &weights, &bias, outputs).unwrap();
    let [height, width] = convolution.output();
    // The sum over the inputs of the depthwise convolution of each.
    let plane = |image: usize, output: usize| -> Vec<f64> {
        let mut sums = vec![f64::from(bias[output]); height * width];
        for channel in 0..inputs {
            let weights = weights[(output * inputs + channel) * taps..][..taps].to_vec();
            let windows = Windows::depthwise(geometry, input, weights, Vec::new()).unwrap();
            let values = &values[(image * inputs + channel) * size..][..size];
            let mut plane = vec![f32::NAN; height * width];
            windows.run(values, Range::ALL, &mut plane);
            for (sum, value) in sums.iter_mut().zip(plane) {
                *sum += f64::from(value);
            }
        }
        sums
    };
    for range in [Range::ALL, Range { low: 0.0, high: 2.0 }] {
        let mut found = vec![f32::NAN; 2 * outputs * height * width];
        convolution.run(&values, range, &mut found);
        let expected = (0..2 * outputs).flat_map(|place| plane(place / outputs, place % outputs));
        for (found, expected) in found.iter().zip(expected) {
            let expected = expected.clamp(f64::from(range.low), f64::from(range.high));
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} for {expected}: {geometry:?}");
        }
    }
}

fn geometry(side: usize, stride: usize, padding: usize) -> Geometry {
    let (before, after) = ([padding; 2], [padding; 2]);
    Geometry { kernel: [side; 2], strides: [stride; 2], dilations: [1; 2], before, after }
}

#[test]
fn windows_join_channels() {
    for (side, stride, padding) in [(3, 1, 1), (3, 2, 1), (5, 1, 0), (1, 2, 0), (7, 2, 3), (2, 3, 0)] {
        for (inputs, outputs, input) in [(3, 16, [32, 32]), (2, 7, [9, 11]), (4, 5, [8, 8])] {
            check(inputs, outputs, input, geometry(side, stride, padding));
        }
    }
    let uneven = Geometry { kernel: [2, 5], strides: [3, 1], dilations: [1, 3], before: [0, 4], after: [1, 0] };
    check(3, 4, [17, 30], uneven);
}

#[test]
fn sizes_that_do_not_fit_are_rejected() {
    for (outputs, weights, bias) in [(2, 5, 0), (2, 6, 3), (0, 0, 0), (2, 0, 0)] {
        let (weights, bias) = (vec![0.0; weights], vec![0.0; bias]);
        assert!(Convolution::new(geometry(1, 1, 0), [4, 4], &weights, &bias, outputs).is_none());
    }
    assert!(Convolution::new(geometry(3, 1, 0), [2, 2], &[0.0; 9], &[], 1).is_none());
}
