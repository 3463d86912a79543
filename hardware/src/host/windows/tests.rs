//! The operators against their definitions.

use super::*;
use crate::host::feed::pseudo_random;

/// Every window, pixel by pixel: the sum over its weights, and the number of its pixels inside the plane.
fn by_definition(geometry: &Geometry, input: Pair, values: &[f32], weights: &[f32]) -> Vec<(f32, usize)> {
    let Geometry { kernel, strides, dilations, before, after } = geometry;
    let sides = [0, 1].map(|axis| {
        (input[axis] + before[axis] + after[axis] - dilations[axis] * (kernel[axis] - 1) - 1) / strides[axis] + 1
    });
    let windows = (0..sides[0] * sides[1]).map(|window| [window / sides[1], window % sides[1]]);
    let sum = |window: Pair| {
        let (mut sum, mut pixels) = (0.0, 0);
        for (tap, weight) in weights.iter().enumerate().take(kernel[0] * kernel[1]) {
            let at = [tap / kernel[1], tap % kernel[1]];
            let place = [0, 1]
                .map(|axis| (window[axis] * strides[axis] + at[axis] * dilations[axis]).checked_sub(before[axis]));
            if let [Some(y), Some(x)] = place
                && y < input[0]
                && x < input[1]
            {
                sum += weight * values[y * input[1] + x];
                pixels += 1;
            }
        }
        (sum, pixels)
    };
    windows.map(sum).collect()
}

/// Kernels, strides, dilations, paddings and sizes, those of the search spaces among them.
fn geometries() -> Vec<(Geometry, Pair)> {
    let mut all = Vec::new();
    for side in [1, 3, 5, 7] {
        for stride in [1, 2, 3] {
            for dilation in [1, 2] {
                for input in [[32, 32], [16, 16], [8, 8], [4, 4], [13, 21], [1, 9]] {
                    for padding in [[0; 2], [side / 2; 2], [1, 2]] {
                        let geometry = Geometry {
                            kernel: [side; 2],
                            strides: [stride; 2],
                            dilations: [dilation; 2],
                            before: padding,
                            after: [padding[1], padding[0]],
                        };
                        all.push((geometry, input));
                    }
                }
            }
        }
    }
    let uneven = Geometry { kernel: [2, 5], strides: [3, 1], dilations: [1, 3], before: [0, 4], after: [1, 0] };
    all.push((uneven, [17, 30]));
    all.retain(|(geometry, input)| {
        (0..2).all(|axis| {
            let reach = geometry.dilations[axis] * (geometry.kernel[axis] - 1);
            reach < input[axis] + geometry.before[axis] + geometry.after[axis]
        })
    });
    assert!(all.len() > 150);
    all
}

fn run(windows: &Windows, values: &[f32], range: Range) -> Vec<f32> {
    let [size, made] = [windows.input, windows.output].map(|sides| sides[0] * sides[1]);
    let mut result = vec![f32::NAN; values.len() / size * made];
    windows.run(values, range, &mut result);
    result
}

fn assert_close(found: &[f32], expected: &[f32], geometry: &Geometry) {
    assert_eq!(found.len(), expected.len(), "{geometry:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found} for {expected}: {geometry:?}");
    }
}

#[test]
fn depthwise_convolution_is_the_sum_of_its_definition() {
    // With eight channels, narrow planes are computed in groups.
    for (channels, (geometry, input)) in
        [3, 8].into_iter().flat_map(|channels| geometries().into_iter().map(move |one| (channels, one)))
    {
        let (plane, taps) = (input[0] * input[1], geometry.kernel[0] * geometry.kernel[1]);
        let values = pseudo_random(2 * channels * plane);
        let weights = pseudo_random(channels * taps + 1).split_off(1);
        let bias: Vec<f32> = (0..channels).map(|channel| channel as f32 / 2.0 - 1.0).collect();
        let convolution = Windows::depthwise(geometry, input, weights.clone(), bias.clone()).unwrap();
        let sums = (0..2 * channels).flat_map(|i| {
            let channel = i % channels;
            let weights = &weights[channel * taps..][..taps];
            let sums = by_definition(&geometry, input, &values[i * plane..][..plane], weights);
            sums.into_iter().map(|(sum, _)| sum + bias[channel]).collect::<Vec<_>>()
        });
        let expected: Vec<f32> = sums.collect();
        assert_close(&run(&convolution, &values, Range::ALL), &expected, &geometry);
        let limited: Vec<f32> = expected.iter().map(|sum| sum.clamp(0.0, 6.0)).collect();
        assert_close(&run(&convolution, &values, Range { low: 0.0, high: 6.0 }), &limited, &geometry);
    }
}

#[test]
fn average_pooling_is_the_mean_of_its_definition() {
    for (geometry, input) in geometries() {
        let taps = geometry.kernel[0] * geometry.kernel[1];
        let values = pseudo_random(input[0] * input[1]);
        let sums = by_definition(&geometry, input, &values, &vec![1.0; taps]);
        for counts_padding in [false, true] {
            let mean = |(sum, pixels): &(f32, usize)| sum / if counts_padding { taps } else { *pixels } as f32;
            // A window that meets padding only has no mean.
            if !counts_padding && sums.iter().any(|(_, pixels)| *pixels == 0) {
                continue;
            }
            let pooling = Windows::average(geometry, input, counts_padding).unwrap();
            assert_close(&run(&pooling, &values, Range::ALL), &sums.iter().map(mean).collect::<Vec<_>>(), &geometry);
        }
    }
}

#[test]
fn sizes_that_do_not_fit_give_no_operator() {
    let geometry = Geometry { kernel: [3; 2], strides: [1; 2], dilations: [1; 2], before: [0; 2], after: [0; 2] };
    let convolution =
        |geometry: Geometry, input, weights| Windows::depthwise(geometry, input, vec![0.0; weights], vec![]);
    assert!(convolution(geometry, [3, 3], 18).is_some());
    assert!(convolution(geometry, [2, 3], 18).is_none());
    assert!(convolution(geometry, [3, 3], 0).is_none());
    for immense in [
        Geometry { before: [1 << 24; 2], ..geometry },
        Geometry { strides: [0, 1], ..geometry },
        Geometry { kernel: [0, 3], ..geometry },
        Geometry { kernel: [usize::MAX; 2], ..geometry },
        Geometry { dilations: [usize::MAX; 2], ..geometry },
    ] {
        assert!(convolution(immense, [3, 3], 9).is_none(), "{immense:?}");
        assert!(Windows::average(immense, [3, 3], true).is_none(), "{immense:?}");
    }
}
