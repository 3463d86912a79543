//! Training of a child network, and its accuracy.

mod config;
mod loss;
mod schedule;

pub use config::TrainingConfig;
pub(crate) use loss::cross_entropy;

use std::ops::ControlFlow;

use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::data::{Batch, Normalisation, Split, Splits};
use crate::network::{DropPath, Network};
use loss::count_correct;
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
}

/// A training run without an accuracy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// The loss is not finite.
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
    /// The device that computes it.
    pub device: &'a Device,
    /// When the network is validated.
    pub validation: Validation,
}

impl Trainer<'_> {
    /// Trains a network on the training images and validates it on those held out: stochastic gradient descent with
    /// Nesterov momentum (Sutskever et al. 2013), a cosine schedule, weight decay, and the other parts of the recipe.
    ///
    /// Everything random comes from `rng`, so that the same network, data and seed give the same result.
    /// `observer` receives a report of every step and epoch, and may stop the training.
    ///
    /// # Errors
    /// If the loss is not finite, or `observer` stops the training.
    pub fn train(
        &self,
        mut network: Network,
        rng: &mut ChaCha8Rng,
        observer: &mut dyn Observer,
    ) -> Result<Trained, TrainError> {
        let Self { data, normalisation, config, .. } = *self;
        let device = self.device.clone().autodiff();
        network.weights = network.weights.to_device(&device).train();
        let mut optimiser = SgdConfig::new()
            .with_weight_decay(Some(WeightDecayConfig::new(config.weight_decay as f32)))
            // burn dampens by default, which PyTorch and the benchmarks' recipes do not.
            .with_momentum(Some(
                MomentumConfig::new().with_momentum(config.momentum).with_dampening(0.0).with_nesterov(true),
            ))
            .init();
        let mut drop_path =
            (config.drop_path > 0.0).then(|| DropPath { probability: 0.0, rng: ChaCha8Rng::from_rng(rng) });
        let steps_per_epoch = data.train.len().div_ceil(config.batch_size);
        let mut step = 0;
        let mut accuracy = None;
        for epoch in 1..=config.epochs {
            if let Some(drop_path) = &mut drop_path {
                drop_path.probability = config.drop_path * epoch as f64 / config.epochs as f64;
            }
            let mut total: Option<Tensor<1>> = None;
            for batch in data.train.shuffled_batches(config.batch_size, normalisation, config.augmentation, rng) {
                let labels = batch.labels.clone();
                let logits = network.forward(images(batch, &device), drop_path.as_mut());
                let loss = cross_entropy(logits, &labels, config.label_smoothing);
                let gradients = GradientsParams::from_grads(loss.backward(), &network.weights);
                let seen = loss.detach();
                // Summed on the device: fetching every loss would make a GPU wait for each step.
                total = Some(total.map_or(seen.clone(), |total| total + seen));
                let rate = cosine(config.learning_rate, step, config.epochs * steps_per_epoch);
                network.weights = optimiser.step(rate, network.weights, gradients);
                step += 1;
                let (epochs, steps) = (config.epochs, steps_per_epoch);
                observer.step(&StepReport { epoch, epochs, step: step - (epoch - 1) * steps, steps });
            }
            let loss = total.map_or(f64::NAN, |total| f64::from(total.into_scalar::<f32>())) / steps_per_epoch as f64;
            if !loss.is_finite() {
                return Err(TrainError::Diverged { epoch });
            }
            let validated = self.validation == Validation::EveryEpoch || epoch == config.epochs;
            accuracy = validated.then(|| evaluate(&network.valid(), &data.validation, normalisation));
            let report = EpochReport { epoch, epochs: config.epochs, loss, accuracy };
            if observer.epoch(&report).is_break() && epoch < config.epochs {
                return Err(TrainError::Stopped { epoch });
            }
        }
        let network = network.valid();
        let accuracy = accuracy.unwrap_or_else(|| evaluate(&network, &data.validation, normalisation));
        Ok(Trained { network, accuracy })
    }
}

/// Share of a split's images that a network in evaluation mode classifies right, in `[0, 1]`.
pub fn evaluate(network: &Network, split: &Split, normalisation: &Normalisation) -> f64 {
    const BATCH_SIZE: usize = 128;
    let device = network.weights.device();
    let correct: usize = split
        .batches(BATCH_SIZE, normalisation)
        .map(|batch| {
            let labels = batch.labels.clone();
            let logits = network.forward(images(batch, &device), None).into_data().convert::<f32>();
            count_correct(logits.as_slice::<f32>().unwrap_or(&[]), &labels)
        })
        .sum();
    correct as f64 / split.len().max(1) as f64
}

/// A batch's images as a tensor, `[batch, channels, height, width]`.
fn images(batch: Batch, device: &Device) -> Tensor<4> {
    let shape = [batch.len(), batch.shape.channels, batch.shape.height, batch.shape.width];
    Tensor::from_data(TensorData::new(batch.images, shape), device)
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod recipe_tests;
#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;
