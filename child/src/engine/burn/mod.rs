//! Training by any backend of burn, with its automatic differentiation.

mod forward;
mod loss;
mod module;
mod pooling;

use std::sync::Arc;

use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Bytes, Device, Tensor, TensorData};

use super::step::{Engine, Step};
use crate::data::Batch;
use crate::graph::Graph;
use crate::network::Network;
use crate::train::config::TrainingConfig;
use loss::cross_entropy;
use module::Parameters;

pub(super) struct BurnEngine {
    graph: Arc<Graph>,
    /// On the autodiff device.
    parameters: Parameters,
    optimiser: ModuleOptimizer,
    label_smoothing: f64,
    /// With differentiation.
    device: Device,
    /// Sum of the losses, on the device.
    loss: Option<Tensor<1>>,
}

impl BurnEngine {
    pub(super) fn new(network: &Network, device: &Device, config: &TrainingConfig) -> Self {
        let device = device.clone().autodiff();
        let optimiser = SgdConfig::new()
            .with_weight_decay(Some(WeightDecayConfig::new(config.weight_decay as f32)))
            // burn dampens by default, which PyTorch and the benchmarks' recipes do not.
            .with_momentum(Some(
                MomentumConfig::new().with_momentum(config.momentum).with_dampening(0.0).with_nesterov(true),
            ))
            .init();
        Self {
            graph: network.shared_graph(),
            parameters: Parameters::of(network, &device).train(),
            optimiser,
            label_smoothing: config.label_smoothing,
            device,
            loss: None,
        }
    }
}

impl Engine for BurnEngine {
    fn name(&self) -> String {
        if self.device.clone().inner() == Device::flex() { "flex".to_owned() } else { "burn (gpu)".to_owned() }
    }

    fn step(&mut self, step: &Step) {
        let images = images(step.batch, &self.device);
        let logits = forward::logits(&self.graph, &self.parameters, images, step.path_factors);
        let loss = cross_entropy(logits, &step.batch.labels, self.label_smoothing);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.parameters);
        let seen = loss.detach();
        self.loss = Some(self.loss.take().map_or(seen.clone(), |total| total + seen));
        self.parameters = self.optimiser.step(step.learning_rate, self.parameters.clone(), gradients);
    }

    fn take_loss(&mut self) -> f64 {
        self.loss.take().map_or(f64::NAN, |total| f64::from(total.into_scalar::<f32>()))
    }

    fn logits(&mut self, batch: &Batch) -> Vec<f32> {
        let images = images(batch, &self.device.clone().inner());
        let logits = forward::logits(&self.graph, &self.parameters.valid(), images, &[]);
        logits.into_data().convert::<f32>().try_to_vec().expect("converted to this type just before")
    }

    fn network(&mut self) -> Network {
        Network::new(Arc::clone(&self.graph), self.parameters.valid().weights(&self.graph))
    }

    fn momentum(&self) -> Option<Vec<u8>> {
        self.optimiser.into_bytes().ok().map(|bytes| bytes.to_vec())
    }

    fn set_momentum(&mut self, momentum: &[u8]) -> bool {
        let restored = self.optimiser.clone().from_bytes(Bytes::from_bytes_vec(momentum.to_vec()));
        let fits = restored.is_ok();
        if let Ok(optimiser) = restored {
            self.optimiser = optimiser;
        }
        fits
    }
}

/// A batch's images as a tensor, `[batch, channels, height, width]`.
fn images(batch: &Batch, device: &Device) -> Tensor<4> {
    let shape = [batch.len(), batch.shape.channels, batch.shape.height, batch.shape.width];
    Tensor::from_data(TensorData::new(batch.images.clone(), shape), device)
}

/// Logits while training, and derivatives of the loss by every number.
#[cfg(test)]
pub(super) fn derive(
    network: &Network,
    batch: &Batch,
    smoothing: f64,
    path_factors: &[Vec<f32>],
) -> super::gradient_tests::Derived {
    let device = Device::flex().autodiff();
    let parameters = Parameters::of(network, &device).train();
    let images = images(batch, &device).require_grad();
    let logits = forward::logits(network.graph(), &parameters, images.clone(), path_factors);
    let gradients = cross_entropy(logits.clone(), &batch.labels, smoothing).backward();
    let mut derived = parameters.gradients(network.graph(), &gradients);
    let of_images: Vec<f32> = images.grad(&gradients).map_or(vec![], |it| it.into_data().try_to_vec().unwrap());
    derived[0][0] = of_images.into_iter().map(f64::from).collect();
    (logits.into_data().try_to_vec().unwrap(), derived)
}
