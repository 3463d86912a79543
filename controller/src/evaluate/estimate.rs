//! The time that a search will take on this machine, from a network that is typical of its space.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use child::graph::Graph;
use child::network::Network;
use child::train::{EpochReport, Trainer, TrainingConfig, Validation};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Live, Need, free_memory, untrained_model, untrained_network};
use crate::problem::Problem;

/// Networks that are drawn to find one of middling size.
const DRAWN: usize = 9;
/// Steps of training that are run; all but the last only warm up.
const STEPS: usize = 3;
/// A longer step is not run again: it is known well enough.
const LONG: Duration = Duration::from_secs(2);

impl Live {
    /// About how long a typical child trains: the time of a training step, times the steps of an epoch, times the epochs.
    /// Children trained side by side, and validation, take more.
    ///
    /// # Errors
    /// If the network does not fit into memory, or no step could be timed.
    pub fn training_time(&self) -> Result<Duration> {
        let settings = &self.settings;
        let graph = typical_network(&settings.problem)?.1;
        self.need(&graph, self.images()?).map_or(Ok(()), |need: Need| need.check(free_memory()))?;
        let threads = rayon::ThreadPoolBuilder::new().num_threads(settings.trainer_threads).build()?;
        threads.install(|| self.time_training(graph))
    }

    fn time_training(&self, graph: Graph) -> Result<Duration> {
        let (settings, data) = (&self.settings, self.images()?);
        let images = data.splits.train.len();
        let batch = settings.training.batch_size.min(images);
        let mut splits = data.splits.clone();
        // An epoch of one step.
        splits.train = splits.train.first(batch);
        let config = TrainingConfig { epochs: STEPS + 1, ..settings.training.clone() };
        let assigned = self.processors.assign()?;
        let trainer = Trainer {
            data: &splits,
            normalisation: &data.normalisation,
            config: &config,
            processor: assigned.processor,
            validation: Validation::AtEnd,
            checkpoint: None,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let network = Network::init(graph.into(), &mut rng);
        let (mut began, mut step) = (Instant::now(), None);
        let mut observe = |report: &EpochReport| {
            let took = began.elapsed();
            step = Some(took);
            began = Instant::now();
            if report.epoch == STEPS || took > LONG { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // The training ends early, as it should.
        let _ = trainer.train(network, &mut rng, &mut observe);
        let step = step.context("the loss of the first training step is not finite")?;
        Ok(step.mul_f64(images as f64 / batch as f64 * settings.training.epochs as f64))
    }

    /// How long a device of each target takes, all together, to measure a typical network, whose model is written to `scratch`.
    ///
    /// # Errors
    /// If the network cannot be measured.
    pub async fn measuring_time(&self, scratch: &Path) -> Result<Duration> {
        let settings = &self.settings;
        let (text, graph) = typical_network(&settings.problem)?;
        let network = untrained_network(graph, &mut ChaCha8Rng::seed_from_u64(0))?;
        let model = untrained_model(
            &network,
            &text,
            Some(&settings.deployment),
            &scratch.join("typical.onnx"),
            settings.export,
        )?;
        let began = Instant::now();
        for pool in settings.pools.iter().flatten() {
            pool.measure(model.clone(), |_| true).await?;
        }
        Ok(began.elapsed())
    }
}

/// The network with the median number of multiply-accumulates among some drawn from the space: the same each time.
fn typical_network(problem: &Problem) -> Result<(String, Graph)> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut drawn = Vec::new();
    for _ in 0..DRAWN {
        let architecture = problem.space().random(&mut rng);
        let graph = problem.graph(&architecture)?.pruned();
        if graph.is_connected() {
            drawn.push((problem.space().format(&architecture)?, graph));
        }
    }
    drawn.sort_by_key(|(_, graph)| graph.cost().macs);
    let median = drawn.len() / 2;
    drawn.into_iter().nth(median).context("no network that was drawn connects images and logits")
}
