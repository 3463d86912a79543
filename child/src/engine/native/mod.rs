//! Our own engine for processors: a network's forward and backward pass planned once, in memory that is allocated once.
//!
//! Maps lie with their channels side by side ([`map`]); kernels compute one image in tiles that stay in registers
//! ([`kernels`]); a [`plan`] lists the instructions of a step in stages, each of which runs image by image. Images are
//! dealt to threads in chunks, whose number depends on the batch alone, and sums over chunks are taken in their order:
//! the same bits on any number of threads.

pub mod benchmark;
mod kernels;
mod layout;
mod loss;
mod map;
mod model;
mod nodes;
mod norms;
mod plan;
mod program;
mod run;
mod slots;
mod state;
#[cfg(test)]
pub(super) mod tests;
mod training;
mod vector;

use std::sync::Arc;

use rayon::prelude::*;

use super::step::{Engine, Step};
use crate::data::Batch;
use crate::graph::Graph;
use crate::network::{Network, Norm};
use crate::train::config::TrainingConfig;
use layout::Layout;
use model::Model;
use plan::Purpose;
use program::Plan;
use run::Context;
use state::{Frame, NormState};
use training::Training;
pub(crate) use training::training_bytes;
use vector::Vectors;

pub(super) struct NativeEngine {
    graph: Arc<Graph>,
    model: Model,
    config: TrainingConfig,
    batch_size: usize,
    /// From the first step on.
    training: Option<Training>,
    evaluation: Evaluation,
    /// Sum of the losses since they were last taken.
    loss: Option<f64>,
}

/// The plan of an evaluation.
struct Evaluation {
    plan: Plan,
    norms: Vec<NormState>,
}

impl NativeEngine {
    pub(super) fn new(network: &Network, config: &TrainingConfig, batch_size: usize) -> Self {
        let graph = network.shared_graph();
        let vectors = Vectors::best();
        let nodes = nodes::of(&graph);
        let layout = Layout::of(&nodes, vectors.lanes());
        let (weights, running) = layout.pack(&nodes, &network.weights);
        let plan = Plan::of(&nodes, &layout, vectors.lanes(), Purpose::Evaluation);
        let norms = vec![NormState::default(); running.len()];
        Self {
            graph,
            model: Model { vectors, nodes, layout, weights, running },
            config: config.clone(),
            batch_size,
            training: None,
            evaluation: Evaluation { plan, norms },
            loss: None,
        }
    }
}

impl Engine for NativeEngine {
    fn name(&self) -> String {
        format!("native ({})", self.model.vectors.name())
    }

    fn step(&mut self, step: &Step) {
        let Self { model, config, batch_size, training, .. } = self;
        let training = training.get_or_insert_with(|| Training::new(model, config, *batch_size));
        // Within the pool of threads from here on: entering it for each stage takes longer than a stage of a small network.
        let loss = rayon::scope(|_| training.step(model, step));
        self.loss = Some(self.loss.unwrap_or(0.0) + loss);
    }

    fn take_loss(&mut self) -> f64 {
        // A ReLU or a maximum may lose a value that is not a number, and the logits then do not show it; weights and
        // running statistics keep it.
        let Model { weights, running, .. } = &self.model;
        let statistics = running.iter().flat_map(|norm| norm.mean.iter().chain(&norm.variance));
        let is_finite = weights.iter().chain(statistics).all(|value| value.is_finite());
        self.loss.take().filter(|_| is_finite).unwrap_or(f64::NAN)
    }

    fn logits(&mut self, batch: &Batch) -> Vec<f32> {
        let Self { model, evaluation, .. } = self;
        rayon::scope(|_| evaluation.logits(model, batch))
    }

    fn network(&mut self) -> Network {
        let Model { nodes, layout, weights, running, .. } = &self.model;
        let weights = layout.unpack(nodes, self.graph.layers.len(), weights, running);
        Network::new(Arc::clone(&self.graph), weights)
    }

    fn momentum(&self) -> Option<Vec<u8>> {
        self.training.as_ref().map(|training| bytemuck::cast_slice(training.velocity()).to_vec())
    }

    fn set_momentum(&mut self, momentum: &[u8]) -> bool {
        let Self { model, config, batch_size, training, .. } = self;
        let training = training.get_or_insert_with(|| Training::new(model, config, *batch_size));
        training.set_velocity(momentum)
    }
}

impl Evaluation {
    fn logits(&mut self, model: &Model, batch: &Batch) -> Vec<f32> {
        for (state, running) in self.norms.iter_mut().zip(&model.running) {
            let inverse = |variance: &f32| (1.0 / (f64::from(*variance) + Norm::EPSILON).sqrt()) as f32;
            state.mean.clone_from(&running.mean);
            state.inverse = running.variance.iter().map(inverse).collect();
        }
        norms::set_factors(model, &mut self.norms);
        let Self { plan, norms } = &*self;
        let context = Context {
            vectors: model.vectors,
            layout: &model.layout,
            weights: &model.weights,
            transposed: &[],
            norms,
            batch,
            label_smoothing: 0.0,
            path_factors: &[],
        };
        let classes = plan.logits.map.channels;
        let mut logits = vec![0.0; batch.len() * classes];
        let part = batch.len().div_ceil(rayon::current_num_threads());
        logits.par_chunks_mut(part * classes).enumerate().for_each(|(index, logits)| {
            let mut frame = Frame::new(&plan.slots, &[]);
            for (image, logits) in logits.chunks_exact_mut(classes).enumerate() {
                for instruction in plan.stages.iter().flat_map(|stage| &stage.instructions) {
                    context.run(instruction, index * part + image, &mut frame, &mut []);
                }
                logits.copy_from_slice(&frame.slots[plan.logits.slot][..classes]);
            }
        });
        logits
    }
}
