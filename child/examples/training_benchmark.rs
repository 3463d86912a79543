//! Times training and evaluation of a NAS-Bench-201 network on images of CIFAR-10's shape.
//!
//! `cargo run --release -p child --example training_benchmark [BACKEND]` prints one line a figure, images per second:
//! `train_batch_128`, `train_batch_64`, `evaluate_batch_128`. Training is [`Trainer`]'s own, so batching, the forward
//! and backward passes and the optimiser's step are all in it; each figure is the median of several epochs.

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use child::backend::{Backend, Processor};
use child::data::{Images, Normalisation, Split, Splits};
use child::graph::{Graph, Shape};
use child::network::Network;
use child::space::{NasBench201, NasBench201Settings, SearchSpace};
use child::train::{EpochReport, Trainer, TrainingConfig, Validation, evaluate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

/// The cell that the benchmark's published costs are quoted for.
const CELL: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|";
const SHAPE: Shape = Shape::new(3, 32, 32);
const CLASSES: u16 = 10;
/// Images of an epoch: whole batches of either size.
const IMAGES: usize = 384;
/// Epochs that count.
const TIMED: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let backend = match std::env::args().nth(1) {
        Some(name) => Backend::deserialize(name.as_str().into_deserializer() as StrDeserializer<'_, ValueError>)?,
        None => Backend::default(),
    };
    let processor = backend.open()?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let space = NasBench201::new(NasBench201Settings::default())?;
    let graph = Arc::new(space.graph(&space.parse(CELL)?, SHAPE, CLASSES.into())?.pruned());
    let images = noise(&mut rng)?;
    for batch_size in [128, 64] {
        let rate = training_rate(&graph, &images, batch_size, &processor, &mut rng)?;
        println!("train_batch_{batch_size} {rate:.1}");
    }
    let network = Network::init(graph, &mut rng);
    println!("evaluate_batch_128 {:.1}", evaluation_rate(&network, &images, &processor));
    Ok(())
}

fn noise(rng: &mut ChaCha8Rng) -> Result<Split, Box<dyn Error>> {
    let bytes = (0..IMAGES * SHAPE.elements()).map(|_| rng.random()).collect();
    let labels = (0..IMAGES).map(|_| rng.random_range(0..CLASSES)).collect();
    Ok(Split::all(Arc::new(Images::new(SHAPE, 255, bytes, labels)?)))
}

/// Images per second.
fn training_rate(
    graph: &Arc<Graph>,
    images: &Split,
    batch_size: usize,
    processor: &Processor,
    rng: &mut ChaCha8Rng,
) -> Result<f64, Box<dyn Error>> {
    // The first epoch warms up, the last one ends with a validation.
    let config = TrainingConfig { epochs: TIMED + 2, batch_size, learning_rate: 0.01, ..TrainingConfig::default() };
    let data = Splits { train: images.clone(), validation: images.clone() };
    let normalisation = Normalisation::of(images);
    let trainer = Trainer {
        data: &data,
        normalisation: &normalisation,
        config: &config,
        processor,
        validation: Validation::AtEnd,
    };
    let (mut ends, network) = (Vec::new(), Network::init(Arc::clone(graph), rng));
    trainer.train(network, rng, &mut |_: &EpochReport| {
        ends.push(Instant::now());
        ControlFlow::Continue(())
    })?;
    Ok(rate(ends.windows(2).take(TIMED).map(|pair| pair[1] - pair[0]).collect()))
}

/// Images per second.
fn evaluation_rate(network: &Network, images: &Split, processor: &Processor) -> f64 {
    let normalisation = Normalisation::of(images);
    let timed = |_| {
        let start = Instant::now();
        evaluate(network, images, &normalisation, processor);
        start.elapsed()
    };
    rate((0..=TIMED).map(timed).skip(1).collect())
}

/// Images per second at the median time of an epoch.
fn rate(mut epochs: Vec<Duration>) -> f64 {
    epochs.sort_unstable();
    IMAGES as f64 / epochs[epochs.len() / 2].as_secs_f64()
}
