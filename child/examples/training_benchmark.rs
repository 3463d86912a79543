//! Times training and evaluation of one network: the part of scripts/benchmark.sh that is ours.
//!
//! ```text
//! training_benchmark time BACKEND NAME    images per second of NAME, such as train-mobile or evaluate-nasnet
//! training_benchmark describe NAME        its network and batch as JSON, from which the other side is built
//! training_benchmark names                the names, one a line
//! ```
//!
//! BACKEND may name a device as well, as `tch:cuda:0`.
//!
//! Training is [`Trainer`]'s own, so batching, the forward and backward passes and the optimiser's step are all in it;
//! the figure is that of the fastest epoch of a few steps.

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use child::backend::{Backend, Processor};
use child::data::{Images, Normalisation, Split, Splits};
use child::graph::{Graph, Shape};
use child::network::Network;
use child::space::{Mobile, MobileSettings, NasBench201, NasBench201Settings, Nasnet, NasnetSettings, SearchSpace};
use child::train::{EpochReport, Precision, Trainer, TrainingConfig, Validation, evaluate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

/// The cell that the benchmark's published costs are quoted for.
const CELL: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|";
const MOBILE: &str = "stem=16 k3e3d2w16s0 k5e6d2w24s1 k3e6d2w48s1 k5e6d1w96s1";
const NASNET: &str = "normal[0.sep_conv_3x3+1.sep_conv_5x5, 0.skip_connect+2.sep_conv_3x3, 1.avg_pool_3x3+0.conv_1x1, \
     2.dil_conv_3x3+3.max_pool_3x3, 4.sep_conv_5x5+1.skip_connect] reduce[0.sep_conv_5x5+1.max_pool_3x3, \
     0.avg_pool_3x3+1.sep_conv_3x3, 2.skip_connect+0.conv_3x3, 1.max_pool_3x3+2.sep_conv_3x3, \
     3.dil_conv_3x3+4.conv_1x1] depth=1 width=16";
/// A cell of the quickstart.
const SMALL_CELL: &str =
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_3x3~1|skip_connect~2|";

const NAMES: [&str; 8] = [
    "train-nasbench201-b64",
    "train-nasbench201-b256",
    "train-mobile",
    "train-nasnet",
    "evaluate-nasbench201",
    "evaluate-mobile",
    "evaluate-nasnet",
    "train-quickstart",
];
const CLASSES: u16 = 10;
/// Epochs that count.
const TIMED: usize = 4;

struct Case {
    graph: Graph,
    batch: usize,
    trains: bool,
}

impl Case {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let colour = Shape::new(3, 32, 32);
        let classes = CLASSES.into();
        let nasbench201 = |settings, cell: &str, shape| -> Result<Graph, Box<dyn Error>> {
            let space = NasBench201::new(settings)?;
            Ok(space.graph(&space.parse(cell)?, shape, classes)?.pruned())
        };
        let graph = match name {
            "train-quickstart" => {
                let settings = NasBench201Settings { channels: 4, cells: 1, ..NasBench201Settings::default() };
                nasbench201(settings, SMALL_CELL, Shape::new(1, 8, 8))?
            }
            name if name.contains("nasbench201") => nasbench201(NasBench201Settings::default(), CELL, colour)?,
            name if name.ends_with("mobile") => {
                let space = Mobile::new(MobileSettings::default())?;
                space.graph(&space.parse(MOBILE)?, colour, classes)?.pruned()
            }
            name if name.ends_with("nasnet") => {
                let space = Nasnet::new(NasnetSettings::default())?;
                space.graph(&space.parse(NASNET)?, colour, classes)?.pruned()
            }
            other => return Err(format!("unknown name {other}: choose one of {}", NAMES.join(", ")).into()),
        };
        let batch = match name {
            "train-nasbench201-b256" => 256,
            "train-quickstart" => 32,
            name if name.starts_with("evaluate") => 128,
            _ => 64,
        };
        Ok(Self { graph, batch, trains: name.starts_with("train") })
    }

    /// Images of an epoch: a few steps.
    fn images(&self) -> usize {
        match self.batch {
            ..64 => 16 * self.batch,
            64 => 3 * self.batch,
            _ => self.batch,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["names"] => println!("{}", NAMES.join("\n")),
        ["describe", name] => {
            let case = Case::new(name)?;
            println!(
                "{}",
                serde_json::json!({ "batch": case.batch, "images": case.images(), "trains": case.trains, "layers": case.graph })
            );
        }
        ["time", backend, name] => {
            let processor = match backend.split_once(':') {
                Some((backend, device)) => read::<Backend>(backend)?.open(Some(read(device)?))?,
                None => read::<Backend>(backend)?.open(None)?,
            };
            println!("{:.1}", time(Case::new(name)?, &processor)?);
        }
        _ => return Err("say `time BACKEND NAME`, `describe NAME` or `names`".into()),
    }
    Ok(())
}

/// A name as experiment files have it.
fn read<'a, T: Deserialize<'a>>(name: &'a str) -> Result<T, ValueError> {
    let deserializer: StrDeserializer<'_, ValueError> = name.into_deserializer();
    T::deserialize(deserializer)
}

/// Images per second.
fn time(case: Case, processor: &Processor) -> Result<f64, Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let (count, batch_size, trains) = (case.images(), case.batch, case.trains);
    let graph = Arc::new(case.graph);
    let images = noise(graph.input_shape(), count, &mut rng)?;
    let normalisation = Normalisation::of(&images);
    let network = Network::init(graph, &mut rng);
    let epochs = if trains {
        training(network, &images, &normalisation, batch_size, processor, &mut rng)?
    } else {
        let timed = |_| {
            let start = Instant::now();
            evaluate(&network, &images, &normalisation, processor);
            start.elapsed()
        };
        (0..=TIMED).map(timed).skip(1).collect()
    };
    let fastest: Duration = epochs.into_iter().min().ok_or("no epoch was timed")?;
    Ok(count as f64 / fastest.as_secs_f64())
}

fn noise(shape: Shape, count: usize, rng: &mut ChaCha8Rng) -> Result<Split, Box<dyn Error>> {
    let bytes = (0..count * shape.elements()).map(|_| rng.random()).collect();
    let labels = (0..count).map(|_| rng.random_range(0..CLASSES)).collect();
    Ok(Split::all(Arc::new(Images::new(shape, 255, bytes, labels)?)))
}

/// The time of each epoch but the first, which warms up, and the last, which ends with a validation.
fn training(
    network: Network,
    images: &Split,
    normalisation: &Normalisation,
    batch_size: usize,
    processor: &Processor,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    // As PyTorch's side does.
    let precision = if processor.is_gpu() { Precision::Bfloat16 } else { Precision::default() };
    let config =
        TrainingConfig { epochs: TIMED + 2, batch_size, learning_rate: 0.01, precision, ..TrainingConfig::default() };
    let data = Splits { train: images.clone(), validation: images.first(1) };
    let validation = Validation::AtEnd;
    let trainer = Trainer { data: &data, normalisation, config: &config, processor, validation, checkpoint: None };
    let mut ends = Vec::new();
    trainer.train(network, rng, &mut |_: &EpochReport| {
        ends.push(Instant::now());
        ControlFlow::Continue(())
    })?;
    Ok(ends.windows(2).take(TIMED).map(|pair| pair[1] - pair[0]).collect())
}
