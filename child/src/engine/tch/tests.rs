//! The engine against burn on random networks of each space, and what is its own: images on the device, precision.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::burn::{self, BurnEngine};
use super::super::gradient_tests::{Derived, batch, moved};
use super::super::reference;
use super::*;
use crate::data::{Augmentation, DataConfig, Images, Normalisation, Source, Split};
use crate::graph::{Activation, Conv, GraphBuilder, Shape};
use crate::network::Weights;
use crate::space::{Mobile, MobileSettings, NasBench201, NasBench201Settings, Nasnet, NasnetSettings, SearchSpace};

fn engine(network: &Network, config: &TrainingConfig) -> TchEngine {
    TchEngine::new(network, Device::Cpu, config)
}

/// Logits while training, and derivatives of the loss by every weight. The image's are not computed.
pub(in super::super) fn derive(network: &Network, batch: &Batch, smoothing: f64, path_factors: &[Vec<f32>]) -> Derived {
    let config = TrainingConfig { label_smoothing: smoothing, ..TrainingConfig::default() };
    derived(&mut engine(network, &config), batch, path_factors)
}

fn derived(engine: &mut TchEngine, batch: &Batch, path_factors: &[Vec<f32>]) -> Derived {
    let Forwarded { logits, loss, .. } = engine.forward(batch, path_factors);
    let gradients = engine.weights.unpacked(&engine.gradient(&loss));
    // A dead layer's entry holds its weights, not derivatives.
    let of_layer = |(layer, weights): (usize, &Weights)| {
        if engine.is_alive[layer] { reference::of_layer(weights) } else { Default::default() }
    };
    (numbers(&logits), gradients.iter().enumerate().map(of_layer).collect())
}

/// Networks of each space that are compared; `NETWORKS` sets another number.
fn networks() -> usize {
    std::env::var("NETWORKS").ok().and_then(|number| number.parse().ok()).unwrap_or(60)
}

const BATCH: usize = 4;
const CLASSES: usize = 3;
const SMOOTHING: f64 = 0.1;

/// Whether two lists agree up to a share of the largest number of the second.
fn agree(found: &[f64], expected: &[f64], share: f64) -> bool {
    let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= share * largest + 1e-5)
}

fn agrees_with_burn(space: &dyn SearchSpace) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut compared, mut at_kinks) = (0, std::collections::BTreeSet::new());
    while compared < networks() {
        let architecture = space.random(&mut rng);
        let text = space.format(&architecture).unwrap();
        let graph = space.graph(&architecture, Shape::new(3, 8, 8), CLASSES).unwrap().pruned();
        if !graph.is_connected() {
            continue;
        }
        compared += 1;
        let network = moved(Network::init(Arc::new(graph), &mut rng), &mut rng);
        let labels: Vec<i64> = (0..BATCH).map(|_| rng.random_range(0..CLASSES as i64)).collect();
        let batch = batch(network.graph().input_shape(), &labels, &mut rng);
        let agrees = |batch: &Batch, rng: &mut ChaCha8Rng| {
            gradients_agree(&network, batch, &text)?;
            steps_agree(&network, batch, &text, rng)
        };
        if let Err(off) = agrees(&batch, &mut rng) {
            // An activation at a kink, where both slopes are right, is at none with other images.
            at_kinks.insert(text.clone());
            let other = super::super::gradient_tests::batch(batch.shape, &batch.labels, &mut rng);
            assert_eq!(agrees(&other, &mut rng), Ok(()), "{off}");
        }
    }
    assert!(at_kinks.len() <= compared / 30, "{at_kinks:?}");
}

/// Logits and derivatives by every weight, by both.
fn gradients_agree(network: &Network, batch: &Batch, text: &str) -> Result<(), String> {
    let (logits, gradients) = derive(network, batch, SMOOTHING, &[]);
    let (expected_logits, expected) = burn::derive(network, batch, SMOOTHING, &[]);
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    assert!(agree(&wide(&logits), &wide(&expected_logits), 1e-3), "{text}: {logits:?} {expected_logits:?}");
    for (layer, (found, expected)) in gradients.iter().zip(&expected).enumerate().skip(1) {
        for (found, expected) in found.iter().zip(expected).filter(|(found, _)| !found.is_empty()) {
            if !agree(found, expected, 5e-3) {
                return Err(format!("{text}, derivatives of layer {layer}"));
            }
        }
    }
    Ok(())
}

/// Ten steps with drop-path, by both. Where they disagree, rounding errors may have grown, as batch norms over few values
/// and activations at kinks let them: then they also grow within burn, from weights that are a millionth off.
///
/// # Errors
/// Where they disagree for no such reason.
fn steps_agree(network: &Network, batch: &Batch, text: &str, rng: &mut ChaCha8Rng) -> Result<(), String> {
    let config = TrainingConfig { label_smoothing: 0.1, weight_decay: 0.01, ..TrainingConfig::default() };
    let paths = network.graph().layers.iter().filter(|layer| layer.droppable).count();
    let mut factor = || if rng.random_bool(0.2) { 0.0 } else { 1.25 };
    let factors: Vec<Vec<Vec<f32>>> =
        (0..10).map(|_| (0..paths).map(|_| (0..BATCH).map(|_| factor()).collect()).collect()).collect();
    let burn = |network: &Network| {
        let mut engine = BurnEngine::new(network, &::burn::tensor::Device::flex(), &config);
        ten_steps(&mut engine, batch, &factors)
    };
    let (ours, theirs) = (ten_steps(&mut engine(network, &config), batch, &factors), burn(network));
    let off = distance(&ours, &theirs);
    if off < 5e-3 {
        return Ok(());
    }
    let mut shifted = network.clone();
    for list in shifted.weights.iter_mut().flat_map(lists_mut) {
        list.iter_mut().for_each(|value| *value *= 1.0 + 1e-6 * rng.random_range(-1.0..1.0));
    }
    let grown = distance(&burn(&shifted), &theirs);
    if grown > 0.1 * off { Ok(()) } else { Err(format!("{text}: {off}, where rounding grows to {grown}")) }
}

/// Losses of ten steps, logits after them, and all numbers of the network.
fn ten_steps(engine: &mut dyn Engine, batch: &Batch, factors: &[Vec<Vec<f32>>]) -> Vec<Vec<f64>> {
    let mut losses = Vec::new();
    for path_factors in factors {
        engine.step(&Step { batch, learning_rate: 1e-3, path_factors });
        losses.push(engine.take_loss());
    }
    let wide = |list: &Vec<f32>| list.iter().copied().map(f64::from).collect();
    let mut found = vec![losses, wide(&engine.logits(batch))];
    let mut network = engine.network();
    found.extend(network.weights.iter_mut().flat_map(lists_mut).map(|list| wide(list)));
    found
}

fn lists_mut(weights: &mut Weights) -> Vec<&mut Vec<f32>> {
    match weights {
        Weights::None => vec![],
        Weights::Convolution { kernel, bias } => std::iter::once(kernel).chain(bias).collect(),
        Weights::BatchNorm(norm) => vec![&mut norm.scale, &mut norm.shift, &mut norm.mean, &mut norm.variance],
        Weights::Linear { matrix, bias } => vec![matrix, bias],
    }
}

/// Largest difference of two lists, as a share of the largest number of the second; infinite for numbers that are none.
fn distance(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let of = |(found, expected): (&Vec<f64>, &Vec<f64>)| {
        let largest = expected.iter().fold(2e-3, |largest: f64, value| largest.max(value.abs()));
        let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest);
        off.fold(0.0, |most: f64, off| if off.is_nan() { f64::INFINITY } else { most.max(off) })
    };
    found.iter().zip(expected).map(of).fold(0.0, f64::max)
}

#[test]
fn networks_of_nasbench201_train_as_with_burn() {
    let settings = NasBench201Settings { channels: 4, cells: 1, ..Default::default() };
    agrees_with_burn(&NasBench201::new(settings).unwrap());
}

#[test]
fn networks_of_nasnet_train_as_with_burn() {
    let settings = NasnetSettings { blocks: 3, depths: vec![1], widths: vec![4], ..Default::default() };
    agrees_with_burn(&Nasnet::new(settings).unwrap());
}

#[test]
fn networks_of_mobile_train_as_with_burn() {
    let settings = MobileSettings {
        stems: vec![4],
        strides: vec![1, 2],
        widths: vec![vec![4, 6], vec![6, 8]],
        kernels: vec![3, 5, 7],
        expansions: vec![1, 3],
        depths: vec![1, 2],
        squeeze_excitation: vec![false, true],
        head: 8,
    };
    agrees_with_burn(&Mobile::new(settings).unwrap());
}

/// An image, a norm of a convolution of it, and the classifier.
fn small(shape: Shape, classes: usize) -> Graph {
    let (mut graph, image) = GraphBuilder::new(shape).unwrap();
    let x = graph.conv(image, Conv { bias: true, ..Conv::same(6, 3, 1) }).unwrap();
    let x = graph.batch_norm(x).unwrap();
    let x = graph.activation(x, Activation::Relu).unwrap();
    let x = graph.conv(x, Conv::same(12, 3, 2)).unwrap();
    let x = graph.batch_norm(x).unwrap();
    let x = graph.activation(x, Activation::Relu).unwrap();
    graph.classifier(x, classes).unwrap()
}

#[test]
fn images_on_the_device_equal_those_of_the_processor() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let shape = Shape::new(3, 5, 7);
    let bytes = (0..20 * shape.elements()).map(|_| rng.random()).collect();
    let split = Split::all(Arc::new(Images::new(shape, 255, bytes, vec![0; 20]).unwrap()));
    let normalisation = Normalisation::of(&split);
    let augmentation = Augmentation { flip: true, crop_padding: 3, cutout: 3 };
    let mut store = ImageStore::new(Device::Cpu);
    for _ in 0..5 {
        let of = |rng: &mut ChaCha8Rng, with_values| -> Vec<Batch> {
            split.shuffled_batches(8, &normalisation, augmentation, rng).with_values(with_values).collect()
        };
        let values = of(&mut rng.clone(), true);
        for (batch, expected) in of(&mut rng, false).into_iter().zip(values) {
            assert!(batch.images.is_empty());
            let found = store.of(&batch);
            assert_eq!((found.kind(), numbers(&found)), (Kind::Float, expected.images));
            assert_eq!(batch.labels, expected.labels);
        }
    }
    assert_eq!(store.stored.len(), 1, "the bytes are stored once");
}

#[test]
fn bfloat16_only_rounds() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let network = moved(Network::init(Arc::new(small(Shape::new(3, 8, 8), 4)), &mut rng), &mut rng);
    let batch = batch(network.graph().input_shape(), &[0, 1, 2, 3, 0, 1], &mut rng);
    let config = TrainingConfig { precision: Precision::Bfloat16, ..TrainingConfig::default() };
    let mut rounded = engine(&network, &config);
    let mut exact = engine(&network, &TrainingConfig::default());
    let [found, expected] = [&mut rounded, &mut exact].map(|engine| derived(engine, &batch, &[]).1);
    let [found, expected] =
        [found, expected].map(|numbers| numbers.into_iter().flatten().flatten().collect::<Vec<_>>());
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let off = length(&mut found.iter().zip(&expected).map(|(a, b)| a - b)) / length(&mut expected.iter().copied());
    assert!(off > 1e-4 && off < 0.1, "the gradient is {off} of its length away");
    for _ in 0..20 {
        let step = Step { batch: &batch, learning_rate: 0.02, path_factors: &[] };
        rounded.step(&step);
        exact.step(&step);
    }
    let [found, expected] = [rounded.take_loss(), exact.take_loss()];
    assert!((found - expected).abs() < 0.02 * expected, "{found} {expected}");
    let weights = rounded.network();
    assert_eq!(rounded.logits(&batch), engine(&weights, &config).logits(&batch), "an evaluation is not rounded");
}

#[test]
fn weights_that_cannot_change_the_loss_stay_as_they_are() {
    let (mut graph, image) = GraphBuilder::new(Shape::new(2, 6, 6)).unwrap();
    let x = graph.conv(image, Conv::same(4, 3, 1)).unwrap();
    let dead = graph.conv(image, Conv::same(4, 3, 1)).unwrap();
    let dead = graph.push(crate::graph::Op::Zero { stride: 1 }, &[dead]).unwrap();
    let sum = graph.add(&[x, dead]).unwrap();
    let graph = Arc::new(graph.classifier(sum, 3).unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let network = Network::init(graph, &mut rng);
    let batch = batch(network.graph().input_shape(), &[0, 1, 2], &mut rng);
    let mut engine = engine(&network, &TrainingConfig { weight_decay: 0.1, ..TrainingConfig::default() });
    engine.step(&Step { batch: &batch, learning_rate: 0.1, path_factors: &[] });
    let trained = engine.network();
    assert_ne!(trained.weights[1], network.weights[1]);
    assert_eq!(trained.weights[2], network.weights[2]);
}

#[test]
fn the_same_seed_gives_the_same_child_and_the_same_images_as_another_engine() {
    use crate::backend::Processor;
    use crate::train::{EpochReport, Trainer, Validation, evaluate};
    let dataset = DataConfig::new(Source::Digits {}).load().unwrap();
    let splits = dataset.split(0.25, &mut ChaCha8Rng::seed_from_u64(7)).unwrap();
    let normalisation = Normalisation::of(&splits.train);
    let augmentation = Augmentation { crop_padding: 1, ..Augmentation::default() };
    let config = TrainingConfig { epochs: 2, batch_size: 32, augmentation, ..TrainingConfig::default() };
    let train = |processor: &Processor| {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let network = Network::init(Arc::new(small(splits.train.shape(), 10)), &mut rng);
        let validation = Validation::EveryEpoch;
        let trainer = Trainer {
            data: &splits,
            normalisation: &normalisation,
            config: &config,
            processor,
            validation,
            checkpoint: None,
        };
        let mut losses = Vec::new();
        let mut observe = |report: &EpochReport| {
            losses.push(report.loss);
            std::ops::ControlFlow::Continue(())
        };
        (trainer.train(network, &mut rng, &mut observe).unwrap(), losses)
    };
    let processor = Processor::Tch(Device::Cpu);
    let (child, losses) = train(&processor);
    assert_eq!(train(&processor).0.network, child.network);
    assert_eq!(evaluate(&child.network, &splits.validation, &normalisation, &processor), child.accuracy);
    for (ours, others) in losses.iter().zip(train(&Processor::Native).1) {
        assert!((ours - others).abs() < 0.01 * others, "{losses:?}");
    }
}
