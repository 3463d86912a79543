//! The engine against burn, on random networks of each space.

use super::*;
use crate::engine::burn;
use crate::engine::gradient_tests::{Derived, batch, moved};
use crate::engine::reference::{of_layer, wide};
use crate::graph::Shape;
use crate::network::Weights;
use crate::space::{
    Architecture, Decision, Mobile, MobileSettings, NasBench201, NasBench201Settings, Nasnet, NasnetSettings,
    SearchSpace,
};
use crate::train::drop_path::DropPath;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Logits while training, and derivatives of the loss by every weight. The image's are not computed.
pub(in super::super) fn derive(network: &Network, batch: &Batch, smoothing: f64, path_factors: &[Vec<f32>]) -> Derived {
    let config = TrainingConfig { label_smoothing: smoothing, ..TrainingConfig::default() };
    let mut engine = NativeEngine::new(network, &config, batch.len());
    let mut training = Training::new(&engine.model, &config, batch.len());
    let step = Step { batch, learning_rate: 0.0, path_factors };
    training.differentiate(&mut engine.model, &step);
    let Model { nodes, layout, running, .. } = &engine.model;
    let gradients = layout.unpack(nodes, engine.graph.layers.len(), training.gradient(), running);
    (training.logits(batch.len()), gradients.iter().map(of_layer).collect())
}

/// Networks of each space; `NETWORKS` sets another number.
fn networks() -> u64 {
    std::env::var("NETWORKS").ok().and_then(|number| number.parse().ok()).unwrap_or(12)
}

fn spaces() -> [Box<dyn SearchSpace>; 3] {
    let nasbench201 = NasBench201Settings { channels: 4, cells: 1, ..NasBench201Settings::default() };
    let nasnet = NasnetSettings { depths: vec![1], widths: vec![4, 6, 8], ..NasnetSettings::default() };
    let mobile = MobileSettings {
        stems: vec![4, 6],
        strides: vec![1, 2, 2],
        widths: vec![vec![4, 8], vec![8, 12], vec![12, 16]],
        depths: vec![1, 2],
        head: 24,
        ..MobileSettings::default()
    };
    [
        Box::new(NasBench201::new(nasbench201).unwrap()),
        Box::new(Nasnet::new(nasnet).unwrap()),
        Box::new(Mobile::new(mobile).unwrap()),
    ]
}

/// Random networks of each space, each with a batch of images and factors of drop-path.
fn cases() -> impl Iterator<Item = (String, Network, Batch, Vec<Vec<f32>>, ChaCha8Rng)> {
    spaces().into_iter().flat_map(|space| {
        (0..networks()).map(move |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut chosen = |decision: &Decision| rng.random_range(0..decision.choices.len());
            let architecture = Architecture::new(space.decisions().iter().map(&mut chosen).collect::<Vec<_>>());
            let text = space.format(&architecture).unwrap();
            // NAS-Bench-201 halves its maps twice.
            let sides = if space.name() == "nasbench201" { [8, 12] } else { [7, 10] };
            let side = [sides[rng.random_range(0..2)], sides[rng.random_range(0..2)]];
            let graph = space.graph(&architecture, Shape::new(3, side[0], side[1]), 5).unwrap().pruned();
            let labels: Vec<i64> = (0..4).map(|_| rng.random_range(0..5)).collect();
            let batch = batch(graph.input_shape(), &labels, &mut rng);
            let mut paths = DropPath { probability: 0.3, rng: ChaCha8Rng::from_rng(&mut rng) };
            let factors = paths.factors(&graph, labels.len());
            let network = moved(Network::init(Arc::new(graph), &mut rng), &mut rng);
            (text, network, batch, factors, rng)
        })
    })
}

/// Largest difference, as a share of the largest number.
fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let off = found.iter().zip(expected).fold(0.0, |off: f64, (a, b)| off.max((a - b).abs()));
    if off == 0.0 { 0.0 } else { off / largest.max(1e-3) }
}

/// Largest difference from burn of a list of derivatives, with its place.
fn largest_difference(text: &str, network: &Network, batch: &Batch, factors: &[Vec<f32>]) -> (f64, String) {
    let (found, gradients) = derive(network, batch, 0.1, factors);
    let (expected, expected_gradients) = burn::derive(network, batch, 0.1, factors);
    assert!(difference(&wide(&found), &wide(&expected)) < 1e-4, "{text}: {found:?} {expected:?}");
    let mut worst = (0.0, String::new());
    for (layer, (found, expected)) in gradients.iter().zip(&expected_gradients).enumerate().skip(1) {
        for off in found.iter().zip(expected).map(|(found, expected)| difference(found, expected)) {
            if off > worst.0 {
                worst = (off, format!("layer {layer} of {text}"));
            }
        }
    }
    worst
}

#[test]
fn logits_and_gradients_of_random_networks_agree_with_burn() {
    /// Batch norms over few places subtract numbers that are nearly equal, in both.
    const TOLERANCE: f64 = 5e-3;
    let (mut worst, mut of, mut at_kinks, mut compared) = (0.0, String::new(), 0, 0);
    for (text, network, batch, factors, mut rng) in cases() {
        compared += 1;
        let (mut off, mut place) = largest_difference(&text, &network, &batch, &factors);
        if off >= TOLERANCE {
            // An activation at a kink, where both slopes are right, is at none with other images.
            at_kinks += 1;
            let other = super::super::gradient_tests::batch(batch.shape, &batch.labels, &mut rng);
            (off, place) = largest_difference(&text, &network, &other, &factors);
        }
        if off > worst {
            (worst, of) = (off, place);
        }
    }
    println!(
        "largest difference of a gradient, as a share of its list's largest: {worst:.1e}, {of}; {at_kinks} at kinks"
    );
    assert!(worst < TOLERANCE, "{worst} in {of}");
    assert!(at_kinks <= compared / 30, "{at_kinks} of {compared}");
}

#[test]
fn ten_steps_and_the_evaluation_after_them_agree_with_burn() {
    let config = TrainingConfig { label_smoothing: 0.1, weight_decay: 1e-3, ..TrainingConfig::default() };
    let mut differences = Vec::new();
    for (text, network, batch, factors, mut rng) in cases().step_by(4) {
        let device = ::burn::tensor::Device::flex();
        let mut engines: [Box<dyn Engine>; 2] = [
            Box::new(NativeEngine::new(&network, &config, 4)),
            Box::new(burn::BurnEngine::new(&network, &device, &config)),
        ];
        let batches: Vec<Batch> = (0..10)
            // The last batch of an epoch may be smaller.
            .map(|step| super::super::gradient_tests::batch(batch.shape, &[1, 0, 3, 2][step % 2..], &mut rng))
            .collect();
        for engine in &mut engines {
            for batch in &batches {
                let of_batch: Vec<Vec<f32>> = factors.iter().map(|all| all[..batch.len()].to_vec()).collect();
                engine.step(&Step { batch, learning_rate: 0.0005, path_factors: &of_batch });
            }
        }
        let [native, burn] = engines.each_mut();
        let losses = [native.take_loss(), burn.take_loss()];
        assert!((losses[0] - losses[1]).abs() < 0.02 * losses[1], "{text}: {losses:?}");
        let logits = [native.logits(&batch), burn.logits(&batch)].map(|logits| wide(&logits));
        let mut off = difference(&logits[0], &logits[1]);
        for (found, expected) in native.network().weights.iter().zip(&burn.network().weights) {
            for (found, expected) in lists(found).iter().zip(lists(expected)) {
                off = off.max(difference(found, &expected));
            }
        }
        differences.push(off);
    }
    // Differences grow with each step where a ReLU or a maximum turns, and norms over few places amplify them: in some
    // networks beyond all bounds.
    differences.sort_by(f64::total_cmp);
    let share = |share: f64| differences[(share * (differences.len() - 1) as f64) as usize];
    println!(
        "difference, as a share of the largest number: median {:.1e}, 9 of 10 below {:.1e}",
        share(0.5),
        share(0.9)
    );
    assert!(share(0.5) < 1e-4 && share(0.9) < 0.01, "{differences:?}");
}

/// All numbers of a layer, running statistics included.
fn lists(weights: &Weights) -> Vec<Vec<f64>> {
    match weights {
        Weights::None => Vec::new(),
        Weights::Convolution { kernel, bias } => vec![wide(kernel), wide(bias.as_deref().unwrap_or(&[]))],
        Weights::BatchNorm(norm) => {
            [&norm.scale, &norm.shift, &norm.mean, &norm.variance].map(|list| wide(list)).to_vec()
        }
        Weights::Linear { matrix, bias } => vec![wide(matrix), wide(bias)],
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    for (text, network, _, _, mut rng) in cases().step_by(7) {
        let labels: Vec<i64> = (0..40).map(|_| rng.random_range(0..5)).collect();
        let batch = batch(network.graph().input_shape(), &labels, &mut rng);
        let trained = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut engine = NativeEngine::new(&network, &TrainingConfig::default(), labels.len());
                for _ in 0..2 {
                    engine.step(&Step { batch: &batch, learning_rate: 0.05, path_factors: &[] });
                }
                (engine.take_loss(), engine.logits(&batch), engine.network())
            })
        };
        let alone = trained(1);
        assert!([2, 3, 16].into_iter().all(|threads| trained(threads) == alone), "{text}");
    }
}

#[test]
fn the_memory_is_known_before() {
    for (text, network, batch, ..) in cases().step_by(5) {
        let engine = NativeEngine::new(&network, &TrainingConfig::default(), batch.len());
        let training = Training::new(&engine.model, &TrainingConfig::default(), batch.len());
        let numbers = training.numbers() + engine.model.weights.len();
        assert_eq!(training_bytes(network.graph(), batch.len()), 4 * numbers as u64, "{text}");
    }
}
