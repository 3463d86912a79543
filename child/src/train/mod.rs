//! Training of a child network, and its accuracy.

mod checkpoint;
pub(crate) mod config;
pub(crate) mod drop_path;
mod schedule;

pub use checkpoint::{Continued, TrainingCheckpoint};
pub use config::{Precision, TrainingConfig};

use std::ops::ControlFlow;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::backend::{Backend, Processor};
use crate::data::{Normalisation, Split, Splits};
use crate::engine::{self, Engine, Step};
use crate::graph::Graph;
use crate::network::Network;
use checkpoint::{Progress, Saver};
use drop_path::DropPath;
use schedule::cosine;

/// The result of one epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochReport {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Mean loss over the epoch's batches.
    pub loss: f64,
    /// Share of the validation images that are classified right, in `[0, 1]`; `None` where the epoch was not validated.
    pub accuracy: Option<f64>,
}

/// The state within an epoch, after one of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepReport {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Finished steps of the epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
}

/// Receives the progress of a training run, and may stop it. A closure that takes an [`EpochReport`] is one.
pub trait Observer {
    /// The training continues from its checkpoint: the epochs before are finished, and are not reported again.
    fn continued(&mut self, _from: &Continued) {}

    /// A message for the user: why the checkpoint is not used or cannot be written. The training goes on.
    fn note(&mut self, _message: &str) {}

    /// A step has ended.
    fn step(&mut self, _report: &StepReport) {}

    /// An epoch has ended.
    fn epoch(&mut self, report: &EpochReport) -> ControlFlow<()>;
}

impl<F: FnMut(&EpochReport) -> ControlFlow<()>> Observer for F {
    fn epoch(&mut self, report: &EpochReport) -> ControlFlow<()> {
        self(report)
    }
}

/// When a training run validates the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// After the last epoch alone.
    AtEnd,
    /// After every epoch, for a learning curve.
    EveryEpoch,
}

/// A child that has been trained.
#[derive(Debug)]
pub struct Trained {
    /// The network in evaluation mode.
    pub network: Network,
    /// Share of the validation images that it classifies right, in `[0, 1]`.
    pub accuracy: f64,
    /// What computed it, such as `native (avx2)`.
    pub trainer: String,
}

/// A training run without an accuracy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// The loss, or a logit of a validation image, is not finite.
    #[error("the loss is not finite in epoch {epoch}; a lower learning rate may help")]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
    },
    /// The observer asked to stop.
    #[error("stopped after epoch {epoch}")]
    Stopped {
        /// The last epoch that was finished.
        epoch: usize,
    },
}

/// Data, recipe and device of a training run: the same for all children of a search.
#[derive(Debug, Clone, Copy)]
pub struct Trainer<'a> {
    /// Training and validation images.
    pub data: &'a Splits,
    /// Statistics that bring the images to mean 0 and deviation 1.
    pub normalisation: &'a Normalisation,
    /// The recipe.
    pub config: &'a TrainingConfig,
    /// The processor that computes it.
    pub processor: &'a Processor,
    /// When the network is validated.
    pub validation: Validation,
    /// Where the training is saved, and continues from if it was broken off.
    pub checkpoint: Option<TrainingCheckpoint<'a>>,
}

impl Trainer<'_> {
    /// Trains a network on the training images and validates it on those held out: stochastic gradient descent with
    /// Nesterov momentum (Sutskever et al. 2013), a cosine schedule, weight decay, and the other parts of the recipe.
    ///
    /// Everything random comes from `rng`, so that the same network, data and seed give the same result.
    /// `observer` receives a report of every step and epoch, and may stop the training.
    ///
    /// A training with a checkpoint is saved before the report of an epoch, and where `observer` stops it. Called again
    /// with the same network, data and generator, it continues after the last saved epoch, and ends with the bits of one
    /// that was never broken off. From a file that is damaged, of another training or of another engine it does not
    /// continue: it begins from its start.
    ///
    /// # Errors
    /// If the loss or a logit of a validation image is not finite, or `observer` stops the training.
    pub fn train(
        &self,
        network: Network,
        rng: &mut ChaCha8Rng,
        observer: &mut dyn Observer,
    ) -> Result<Trained, TrainError> {
        let Self { data, normalisation, config, .. } = *self;
        let batch_size = config.batch_size.min(data.train.len());
        let graph = network.shared_graph();
        let engine_for = |network: &Network| engine::of(self.processor, network, config, batch_size);
        let mut engine = engine_for(&network);
        let place = self.checkpoint;
        let mut saver = place.map(|place| Saver::new(place, self, &network, rng, engine.as_ref()));
        let mut drop_path =
            (config.drop_path > 0.0).then(|| DropPath { probability: 0.0, rng: ChaCha8Rng::from_rng(rng) });
        let began = Instant::now();
        let (mut finished, mut seconds_before) = (0, 0.0);
        match saver.as_ref().map_or(Ok(None), |saver| saver.resume(&network, engine_for)) {
            Ok(None) => {}
            Ok(Some(saved)) => {
                let Progress { epoch, seconds, rng: of_batches, drop_path: of_paths } = saved.progress;
                (engine, *rng, finished, seconds_before) = (saved.engine, of_batches, epoch, seconds);
                if let (Some(paths), Some(of_paths)) = (&mut drop_path, of_paths) {
                    paths.rng = of_paths;
                }
                observer.continued(&Continued { epoch, epochs: config.epochs, seconds });
            }
            Err(reason) => observer.note(&reason),
        }
        // The engine holds the weights from here on.
        drop(network);
        let steps_per_epoch = config.steps_per_epoch(data.train.len());
        let mut step = finished * steps_per_epoch;
        let mut accuracy = None;
        for epoch in finished + 1..=config.epochs {
            if let Some(drop_path) = &mut drop_path {
                drop_path.probability = config.drop_path * epoch as f64 / config.epochs as f64;
            }
            let batches = data.train.shuffled_batches(config.batch_size, normalisation, config.augmentation, rng);
            for batch in batches.with_values(!engine.takes_bytes()) {
                let path_factors = drop_path.as_mut().map(|paths| paths.factors(&graph, batch.len()));
                let learning_rate = cosine(config.learning_rate, step, config.epochs * steps_per_epoch);
                engine.step(&Step { batch: &batch, learning_rate, path_factors: &path_factors.unwrap_or_default() });
                step += 1;
                let (epochs, steps) = (config.epochs, steps_per_epoch);
                observer.step(&StepReport { epoch, epochs, step: step - (epoch - 1) * steps, steps });
            }
            let loss = engine.take_loss() / steps_per_epoch as f64;
            if !loss.is_finite() {
                return Err(TrainError::Diverged { epoch });
            }
            let validated = self.validation == Validation::EveryEpoch || epoch == config.epochs;
            accuracy = None;
            if validated {
                let (share, is_finite) = accuracy_of(engine.as_mut(), &data.validation, normalisation);
                // The loss of the last step is that before its update.
                if !is_finite {
                    return Err(TrainError::Diverged { epoch });
                }
                accuracy = Some(share);
            }
            let progress = || {
                let seconds = seconds_before + began.elapsed().as_secs_f64();
                let drop_path = drop_path.as_ref().map(|paths| paths.rng.clone());
                Progress { epoch, seconds, rng: rng.clone(), drop_path }
            };
            if let Some(saver) = saver.as_mut().filter(|saver| saver.is_due(epoch)) {
                saver.save(engine.as_mut(), progress()).unwrap_or_else(|message| observer.note(&message));
            }
            let report = EpochReport { epoch, epochs: config.epochs, loss, accuracy };
            if observer.epoch(&report).is_break() && epoch < config.epochs {
                if let Some(saver) = saver.as_mut().filter(|saver| saver.is_behind(epoch)) {
                    saver.save(engine.as_mut(), progress()).unwrap_or_else(|message| observer.note(&message));
                }
                return Err(TrainError::Stopped { epoch });
            }
        }
        let accuracy = accuracy.unwrap_or_else(|| accuracy_of(engine.as_mut(), &data.validation, normalisation).0);
        Ok(Trained { network: engine.network(), accuracy, trainer: engine.name() })
    }
}

/// The memory that training a network on this machine's processor holds at one time, in bytes, besides the data set and
/// the program: what our engine will allocate, or an estimate for the others ([`Graph::training_bytes`]).
pub fn memory_bytes(graph: &Graph, backend: Backend, batch_size: usize) -> u64 {
    match backend {
        Backend::Native => engine::native::training_bytes(graph, batch_size),
        _ => graph.training_bytes(batch_size),
    }
}

/// Images of a batch in evaluation.
const EVALUATED: usize = 128;

/// Share of a split's images that a network in evaluation mode classifies right, in `[0, 1]`.
pub fn evaluate(network: &Network, split: &Split, normalisation: &Normalisation, processor: &Processor) -> f64 {
    let mut engine = engine::of(processor, network, &TrainingConfig::default(), EVALUATED);
    accuracy_of(engine.as_mut(), split, normalisation).0
}

/// Logits of the images of a split in evaluation mode, in their order: `[images, classes]`.
pub fn logits(network: &Network, split: &Split, normalisation: &Normalisation, processor: &Processor) -> Vec<f32> {
    let mut engine = engine::of(processor, network, &TrainingConfig::default(), EVALUATED);
    let batches = split.batches(EVALUATED, normalisation).with_values(!engine.takes_bytes());
    batches.flat_map(|batch| engine.logits(&batch)).collect()
}

/// Share of a split's images that are classified right, and whether all logits are finite.
fn accuracy_of(engine: &mut dyn Engine, split: &Split, normalisation: &Normalisation) -> (f64, bool) {
    let (mut correct, mut is_finite) = (0, true);
    for batch in split.batches(EVALUATED, normalisation).with_values(!engine.takes_bytes()) {
        let logits = engine.logits(&batch);
        correct += count_correct(&logits, &batch.labels);
        is_finite &= logits.iter().all(|logit| logit.is_finite());
    }
    (correct as f64 / split.len().max(1) as f64, is_finite)
}

/// Number of images whose largest logit is at their label. A row with a NaN is never right.
fn count_correct(logits: &[f32], labels: &[i64]) -> usize {
    let classes = logits.len() / labels.len().max(1);
    let mut correct = 0;
    for (row, label) in logits.chunks(classes.max(1)).zip(labels) {
        let label = *label as usize;
        let is_largest = row.iter().enumerate().all(|(class, logit)| class == label || *logit < row[label]);
        correct += usize::from(is_largest);
    }
    correct
}

#[cfg(test)]
pub(crate) mod recipe_tests;
#[cfg(test)]
mod tests;
