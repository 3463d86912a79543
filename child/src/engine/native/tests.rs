//! The engine against burn, on random networks of each space.

use super::*;
use crate::engine::reference::Numbers;
use crate::network::Weights;

/// Logits while training, and derivatives of the loss by every weight. The image's are not computed.
pub(in super::super) fn derive(network: &Network, batch: &Batch, smoothing: f64) -> (Vec<f32>, Numbers) {
    let config = TrainingConfig { label_smoothing: smoothing, ..TrainingConfig::default() };
    let mut engine = NativeEngine::new(network, &config, batch.len());
    let mut training = Training::new(&engine.model, &config, batch.len());
    let step = Step { batch, learning_rate: 0.0, path_factors: &[] };
    training.differentiate(&mut engine.model, &step);
    let Model { nodes, layout, running, .. } = &engine.model;
    let gradients = layout.unpack(nodes, engine.graph.layers.len(), training.gradient(), running);
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
    let numbers = gradients.into_iter().map(|weights| match weights {
        Weights::None => Default::default(),
        Weights::Convolution { kernel, bias } => [wide(kernel), wide(bias.unwrap_or_default())],
        Weights::BatchNorm(norm) => [wide(norm.scale), wide(norm.shift)],
        Weights::Linear { matrix, bias } => [wide(matrix), wide(bias)],
    });
    (training.logits(batch.len()), numbers.collect())
}

#[test]
#[ignore = "prints speeds"]
fn speed() {
    use crate::graph::{Conv, Shape};
    use kernels::sweep::Sweep;
    use map::Map;
    let vectors = Vectors(pulp::Arch::new());
    let lanes = vectors.lanes();
    let best = |macs: usize, run: &mut dyn FnMut()| {
        let times = (0..400).map(|_| {
            let start = std::time::Instant::now();
            run();
            start.elapsed().as_secs_f64()
        });
        macs as f64 / times.fold(f64::INFINITY, f64::min) / 1e9
    };
    struct Peak;
    impl pulp::WithSimd for Peak {
        type Output = f32;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> f32 {
            let mut sums = [simd.splat_f32s(0.1); 12];
            let (a, b) = (simd.splat_f32s(std::hint::black_box(0.99)), simd.splat_f32s(std::hint::black_box(0.1)));
            for _ in 0..20_000 {
                for sum in &mut sums {
                    *sum = simd.mul_add_e_f32s(*sum, a, b);
                }
            }
            sums.iter().map(|sum| simd.reduce_sum_f32s(*sum)).sum()
        }
    }
    let mut peak = 0.0;
    let mut most = || {
        peak = f64::max(
            peak,
            best(20_000 * 12 * lanes, &mut || {
                std::hint::black_box(vectors.run(Peak));
            }),
        )
    };
    most();
    println!("peak {peak:.1}");
    for (channels, outputs, side, kernel, stride) in [
        (16, 16, 32, 3, 1),
        (32, 32, 16, 3, 1),
        (64, 64, 8, 3, 1),
        (3, 16, 32, 3, 1),
        (16, 32, 32, 3, 2),
        (16, 96, 32, 1, 1),
        (96, 24, 16, 1, 1),
        (8, 8, 4, 3, 1),
        (4, 4, 8, 3, 1),
        (24, 24, 16, 3, 1),
        (96, 256, 4, 1, 1),
        (576, 144, 1, 1, 1),
    ] {
        let conv = Conv::same(outputs, kernel, stride);
        let from = Map::new(Shape::new(channels, side, side), kernel / 2, lanes);
        let to = Map::new(
            Shape::new(outputs, side.div_ceil(stride), side.div_ceil(stride)),
            Sweep::border(&conv, [side, side], [side.div_ceil(stride); 2]),
            lanes,
        );
        let sweep = Sweep::forward(&conv, &from, &to);
        let back = Sweep::backward(&conv, &to, &from);
        let mut input = vec![0.5; from.len()];
        let taps = kernel * kernel;
        let (mut output, weights) = (vec![0.1; to.len()], vec![0.1; taps * channels * to.step]);
        let transposed = vec![0.1; taps * outputs * from.step];
        let mut sums = vec![0.0; weights.len()];
        let macs = taps * channels * outputs * to.places();
        let forward = best(macs, &mut || {
            vectors.run(kernels::dense::Convolve {
                sweep: &sweep,
                input: &input,
                channels,
                taps,
                weights: &weights,
                output: &mut output,
                outputs: to.step,
                add: false,
            })
        });
        let gradient = best(macs, &mut || {
            vectors.run(kernels::dense::WeightGradient {
                sweep: &sweep,
                input: &input,
                channels,
                gradient: &output,
                outputs: to.step,
                sums: &mut sums,
            })
        });
        let backward = best(macs, &mut || {
            for sweep in &back {
                vectors.run(kernels::dense::Convolve {
                    sweep,
                    input: &output,
                    channels: outputs,
                    taps,
                    weights: &transposed,
                    output: &mut input,
                    outputs: from.step,
                    add: false,
                })
            }
        });
        println!(
            "{kernel}x{kernel}/{stride} {channels}->{outputs} {side}: forward {forward:.1} weights {gradient:.1} backward {backward:.1} GMAC/s"
        );
    }
}
