//! Training by LibTorch: the network is one graph of LibTorch's operations, with its own backward pass.

mod forward;
mod images;
#[cfg(test)]
pub(super) mod tests;
mod weights;

use std::sync::Arc;

use ::tch::{Cuda, Device, Kind, Reduction, Tensor, no_grad};

use super::{Engine, Step};
use crate::data::Batch;
use crate::graph::Graph;
use crate::network::Network;
use crate::train::{Precision, TrainingConfig};
use forward::{Forward, alive};
use images::ImageStore;
use weights::{FlatWeights, numbers};

/// The order of a tensor's numbers in memory; its dimensions are always `[batch, channels, height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Channels innermost: what a GPU's matrix units read.
    ChannelsLast,
    /// Columns innermost. With the channels innermost LibTorch 2.9 gives wrong derivatives on processors, by kernels of
    /// 1x1 at a stride of 2 that read 2 or 4 channels.
    ChannelsFirst,
}

impl Layout {
    fn of(device: Device) -> Self {
        if device.is_cuda() || std::env::var_os("TCH_CL").is_some() { Self::ChannelsLast } else { Self::ChannelsFirst }
    }

    /// Numbers that lie in this order, seen with the given dimensions.
    fn viewed(self, numbers: &Tensor, [batch, channels, height, width]: [i64; 4]) -> Tensor {
        match self {
            Self::ChannelsLast => numbers.view([batch, height, width, channels]).permute([0, 3, 1, 2]),
            Self::ChannelsFirst => numbers.view([batch, channels, height, width]),
        }
    }

    /// The tensor with its numbers in this order; copied only where they are in another.
    fn arranged(self, tensor: &Tensor) -> Tensor {
        match self {
            Self::ChannelsLast => tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
            Self::ChannelsFirst => tensor.contiguous(),
        }
    }
}

pub(super) struct TchEngine {
    graph: Arc<Graph>,
    layout: Layout,
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
        let (layout, is_alive) = (Layout::of(device), alive(&graph));
        let weights = FlatWeights::new(network, &is_alive, layout, device);
        let images = ImageStore::new(layout, device);
        Self { graph, layout, is_alive, weights, images, device, config: config.clone(), loss: None }
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
            layout: self.layout,
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

/// A label that LibTorch would leave out; no image has it.
const NO_LABEL: i64 = -100;

fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::Float32 => Kind::Float,
        Precision::Bfloat16 => Kind::BFloat16,
    }
}

impl Engine for TchEngine {
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
            let Self { graph, is_alive, layout, .. } = &*self;
            let forward =
                Forward { graph, layout: *layout, is_alive, parts: &parts, path_factors: None, statistics: None };
            numbers(&forward.logits(images))
        })
    }

    fn network(&mut self) -> Network {
        Network::new(Arc::clone(&self.graph), self.weights.network())
    }
}
