//! The engine against burn, on random networks of each space.

use super::*;
use crate::engine::reference::Numbers;
use crate::network::Weights;

/// Logits while training, and derivatives of the loss by every weight. The image's are not computed.
pub(in super::super) fn derive(network: &Network, batch: &Batch, smoothing: f64) -> (Vec<f32>, Numbers) {
    let config = TrainingConfig { label_smoothing: smoothing, ..TrainingConfig::default() };
    let mut engine = NativeEngine::new(network, &config, batch.len());
    let mut training = Training::new(&engine.model, &config, batch.len());
    let step = Step { batch, learning_rate: 0.0, path_factors: &[] };
    training.differentiate(&mut engine.model, &step);
    let Model { nodes, layout, running, .. } = &engine.model;
    let gradients = layout.unpack(nodes, engine.graph.layers.len(), training.gradient(), running);
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
    let numbers = gradients.into_iter().map(|weights| match weights {
        Weights::None => Default::default(),
        Weights::Convolution { kernel, bias } => [wide(kernel), wide(bias.unwrap_or_default())],
        Weights::BatchNorm(norm) => [wide(norm.scale), wide(norm.shift)],
        Weights::Linear { matrix, bias } => [wide(matrix), wide(bias)],
    });
    (training.logits(batch.len()), numbers.collect())
}
