//! The kernels of convolutions by themselves, for `benches/kernels.rs`.

use pulp::{Simd, WithSimd};

use super::kernels::sweep::Sweep;
use super::kernels::{dense, depthwise};
use super::map::Map;
use super::vector::Vectors;
use crate::graph::{Conv, Shape};

/// A kernel with its data.
pub struct Kernel {
    /// Such as `3x3 16->16 on 32x32: forward`.
    pub name: String,
    /// Multiply-accumulates of a run.
    pub macs: usize,
    run: Box<dyn FnMut()>,
}

impl Kernel {
    /// Computes one image.
    pub fn run(&mut self) {
        (self.run)();
    }
}

/// A loop of multiply-accumulates in registers alone, whose speed is the processor's peak.
pub fn peak() -> Kernel {
    const ROUNDS: usize = 20_000;
    const SUMS: usize = 12;
    struct Peak;
    impl WithSimd for Peak {
        type Output = f32;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            let [factor, summand] = [0.99, 0.1].map(|value| simd.splat_f32s(std::hint::black_box(value)));
            let mut sums = [summand; SUMS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = simd.mul_add_e_f32s(*sum, factor, summand);
                }
            }
            sums.iter().map(|sum| simd.reduce_sum_f32s(*sum)).sum()
        }
    }
    let vectors = Vectors::best();
    let run = Box::new(move || {
        std::hint::black_box(vectors.run(Peak));
    });
    Kernel { name: "peak".to_owned(), macs: ROUNDS * SUMS * vectors.lanes(), run }
}

/// Every kernel on maps as the spaces have them: wide and narrow, many channels and few.
pub fn kernels() -> Vec<Kernel> {
    let full = [
        (3, Conv::same(16, 3, 1), 32),
        (16, Conv::same(16, 3, 1), 32),
        (32, Conv::same(32, 3, 1), 16),
        (64, Conv::same(64, 3, 1), 8),
        (16, Conv::same(32, 3, 2), 32),
        (16, Conv::same(96, 1, 1), 32),
        (96, Conv::same(24, 1, 1), 16),
        (96, Conv::same(256, 1, 1), 4),
        (8, Conv::same(8, 3, 1), 8),
    ];
    let depthwise = [
        (96, Conv::depthwise(96, 3, 1, 1), 32),
        (144, Conv::depthwise(144, 5, 2, 1), 16),
        (32, Conv::depthwise(32, 5, 1, 2), 16),
        (64, Conv::depthwise(64, 7, 1, 1), 8),
    ];
    full.into_iter().chain(depthwise).flat_map(|(channels, conv, side)| passes(channels, conv, side)).collect()
}

/// The three passes of a convolution.
fn passes(channels: usize, conv: Conv, side: usize) -> [Kernel; 3] {
    let vectors = Vectors::best();
    let lanes = vectors.lanes();
    let is_depthwise = conv.groups > 1;
    let side_out = (side + 2 * conv.padding - conv.dilation * (conv.kernel - 1) - 1) / conv.stride + 1;
    let from = Map::new(Shape::new(channels, side, side), conv.padding, lanes);
    let border = Sweep::border(&conv, [side; 2], [side_out; 2]);
    let to = Map::new(Shape::new(conv.channels, side_out, side_out), border, lanes);
    let (taps, outputs) = (conv.kernel * conv.kernel, conv.channels);
    let macs = taps * to.places() * if is_depthwise { channels } else { channels * outputs };
    let kernel = |pass: &str, run: Box<dyn FnMut()>| {
        let kind = if is_depthwise { " depthwise" } else { "" };
        let name =
            format!("{0}x{0}/{1}{kind} {channels}->{outputs} on {side}x{side}: {pass}", conv.kernel, conv.stride);
        Kernel { name, macs, run }
    };
    let values = |len: usize| vec![0.1; len];
    let sweep = Sweep::forward(&conv, &from, &to);
    let (input, mut output) = (values(from.len()), values(to.len()));
    let weights = values(if is_depthwise { taps * to.step } else { taps * channels * to.step });
    let forward = Box::new(move || {
        let (sweep, input, weights, output) = (&sweep, &input, &weights, &mut output);
        if is_depthwise {
            vectors.run(depthwise::Convolve { sweep, input, weights, output, channels: to.step, add: false });
        } else {
            let outputs = to.step;
            vectors.run(dense::Convolve { sweep, input, channels, taps, weights, output, outputs, add: false });
        }
    });
    let sweep = Sweep::forward(&conv, &from, &to);
    let (input, gradient) = (values(from.len()), values(to.len()));
    let mut sums = values(if is_depthwise { taps * to.step } else { taps * channels * to.step });
    let of_weights = Box::new(move || {
        let (sweep, input, gradient, sums) = (&sweep, &input, &gradient, &mut sums);
        sums.fill(0.0);
        if is_depthwise {
            vectors.run(depthwise::WeightGradient { sweep, input, gradient, channels: to.step, sums });
        } else {
            vectors.run(dense::WeightGradient { sweep, input, channels, gradient, outputs: to.step, sums });
        }
    });
    let sweeps = Sweep::backward(&conv, &to, &from);
    let (gradient, mut output) = (values(to.len()), values(from.len()));
    let weights = values(if is_depthwise { taps * from.step } else { taps * outputs * from.step });
    let backward = Box::new(move || {
        for sweep in &sweeps {
            let (input, weights, output) = (&gradient, &weights, &mut output);
            if is_depthwise {
                vectors.run(depthwise::Convolve { sweep, input, weights, output, channels: from.step, add: false });
            } else {
                let (channels, outputs) = (outputs, from.step);
                vectors.run(dense::Convolve { sweep, input, channels, taps, weights, output, outputs, add: false });
            }
        }
    });
    [kernel("forward", forward), kernel("weights", of_weights), kernel("backward", backward)]
}
