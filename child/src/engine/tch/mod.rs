//! Training by LibTorch: the network is one graph of LibTorch's operations, with its own backward pass.

mod forward;
mod images;
#[cfg(test)]
pub(super) mod tests;
mod weights;

use std::sync::Arc;

use ::tch::{Cuda, Device, Kind, Reduction, Tensor, no_grad};

use super::step::{Engine, Step};
use crate::backend::Processor;
use crate::data::Batch;
use crate::graph::Graph;
use crate::network::Network;
use crate::train::config::{Precision, TrainingConfig};
use forward::Forward;
use images::ImageStore;
use weights::{FlatWeights, numbers};

pub(super) struct TchEngine {
    graph: Arc<Graph>,
    is_alive: Vec<bool>,
    weights: FlatWeights,
    images: ImageStore,
    device: Device,
    config: TrainingConfig,
    /// Sum of the losses, on the device.
    loss: Option<Tensor>,
}

/// A step's forward pass.
struct Forwarded {
    #[cfg_attr(not(test), expect(dead_code, reason = "compared in tests"))]
    logits: Tensor,
    loss: Tensor,
    /// For each norm the batch's mean and 1 / √(variance + ε).
    statistics: Vec<(Tensor, Tensor)>,
}

impl TchEngine {
    pub(super) fn new(network: &Network, device: Device, config: &TrainingConfig) -> Self {
        if device.is_cuda() {
            // cuDNN times its algorithms for each shape once and keeps the fastest.
            Cuda::cudnn_set_benchmark(true);
        } else {
            ::tch::set_num_threads(rayon::current_num_threads().try_into().unwrap_or(i32::MAX));
        }
        let graph = network.shared_graph();
        let is_alive = graph.executed();
        let weights = FlatWeights::new(network, &is_alive, device);
        let images = ImageStore::new(device);
        Self { graph, is_alive, weights, images, device, config: config.clone(), loss: None }
    }

    fn forward(&mut self, batch: &Batch, path_factors: &[Vec<f32>]) -> Forwarded {
        let precision = self.config.precision;
        let images = self.images.of(batch).to_kind(kind(precision));
        let path_factors = (!path_factors.is_empty()).then(|| {
            let shape = [path_factors.len() as i64, batch.len() as i64, 1, 1, 1];
            Tensor::from_slice(&path_factors.concat()).view(shape).to_device(self.device)
        });
        let mut statistics = Vec::new();
        let forward = Forward {
            graph: &self.graph,
            is_alive: &self.is_alive,
            parts: &self.weights.parts(precision),
            path_factors,
            statistics: Some(&mut statistics),
        };
        let logits = forward.logits(images).to_kind(Kind::Float);
        let labels = Tensor::from_slice(&batch.labels).to_device(self.device);
        let smoothing = self.config.label_smoothing;
        let loss = logits.cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, NO_LABEL, smoothing);
        Forwarded { logits, loss, statistics }
    }

    /// The gradient by all weights.
    fn gradient(&self, loss: &Tensor) -> Tensor {
        Tensor::run_backward(&[loss], &[self.weights.values()], false, false).remove(0)
    }
}

/// Numbers with the channels innermost, seen as `[batch, channels, height, width]`.
fn channels_last(numbers: &Tensor, [batch, channels, height, width]: [i64; 4]) -> Tensor {
    numbers.view([batch, height, width, channels]).permute([0, 3, 1, 2])
}

/// A label that LibTorch would leave out; no image has it.
const NO_LABEL: i64 = -100;

fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::Float32 => Kind::Float,
        Precision::Bfloat16 => Kind::BFloat16,
    }
}

impl Engine for TchEngine {
    fn name(&self) -> String {
        format!("tch ({})", Processor::Tch(self.device))
    }

    fn takes_bytes(&self) -> bool {
        self.device.is_cuda()
    }

    fn step(&mut self, step: &Step) {
        let Forwarded { loss, statistics, .. } = self.forward(step.batch, step.path_factors);
        let gradient = self.gradient(&loss);
        let TrainingConfig { momentum, weight_decay, .. } = self.config;
        no_grad(|| {
            self.weights.step(&gradient, step.learning_rate, momentum, weight_decay);
            self.weights.update_running(&statistics);
            let loss = loss.detach();
            self.loss = Some(match self.loss.take() {
                Some(total) => total + loss,
                None => loss,
            });
        });
    }

    fn take_loss(&mut self) -> f64 {
        self.loss.take().map_or(f64::NAN, |total| total.double_value(&[]))
    }

    /// In 32 bits also where training is not: these are the numbers of the exported network.
    fn logits(&mut self, batch: &Batch) -> Vec<f32> {
        no_grad(|| {
            let images = self.images.of(batch);
            let parts = self.weights.parts(Precision::Float32);
            let Self { graph, is_alive, .. } = &*self;
            let forward = Forward { graph, is_alive, parts: &parts, path_factors: None, statistics: None };
            numbers(&forward.logits(images))
        })
    }

    fn network(&mut self) -> Network {
        Network::new(Arc::clone(&self.graph), self.weights.network())
    }

    fn momentum(&self) -> Option<Vec<u8>> {
        Some(bytemuck::cast_slice(&self.weights.velocity()).to_vec())
    }

    fn set_momentum(&mut self, momentum: &[u8]) -> bool {
        self.weights.set_velocity(momentum)
    }
}
