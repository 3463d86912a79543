//! Steps of training.

use std::ops::Range;

use rayon::prelude::*;

use super::layout::{Layout, Parameters};
use super::model::Model;
use super::norms::{join_statistics, join_sums};
use super::plan::Purpose;
use super::program::{Plan, Stage};
use super::run::Context;
use super::state::{Frame, NormState};
use super::vector::Vectors;
use crate::engine::step::Step;
use crate::graph::Graph;
use crate::train::config::TrainingConfig;

/// Chunks of a batch, at most.
const CHUNKS: usize = 16;
/// Images of a chunk, at least: each chunk sums the gradients of kernels for itself.
const CHUNK_IMAGES: usize = 4;
/// Weights that a thread updates at one time.
const PART: usize = 1 << 14;

/// The memory of a training, and what it trains with.
pub(super) struct Training {
    plan: Plan,
    chunks: Vec<Chunk>,
    norms: Vec<NormState>,
    transposed: Vec<f32>,
    gradient: Vec<f32>,
    velocity: Vec<f32>,
    /// The weights that the loss depends on.
    trained: Vec<Range<usize>>,
    config: TrainingConfig,
}

/// Some images, which one thread computes.
struct Chunk {
    frames: Vec<Frame>,
    /// Gradients of a stage's kernels.
    sums: Vec<f32>,
}

/// Images of a chunk, which depends on the batch size alone.
fn chunk_images(batch_size: usize) -> usize {
    batch_size.div_ceil(CHUNKS).max(CHUNK_IMAGES)
}

/// Bytes that training a network holds, the weights included.
pub(crate) fn training_bytes(graph: &Graph, batch: usize) -> u64 {
    let nodes = super::nodes::of(graph);
    let lanes = Vectors::best().lanes();
    let layout = Layout::of(&nodes, lanes);
    let plan = Plan::of(&nodes, &layout, lanes, Purpose::Sizing);
    memory_bytes(&layout, &plan, batch)
}

/// Bytes of the memory that [`Training::new`] allocates, and of the weights.
fn memory_bytes(layout: &Layout, plan: &Plan, batch: usize) -> u64 {
    let chunks = batch.div_ceil(chunk_images(batch)) as u64;
    let numbers = 3 * layout.len as u64 + layout.transposed as u64;
    let sums = (plan.kernel_sums() as u64).saturating_mul(chunks);
    let images = plan.image_bytes().saturating_mul(batch as u64);
    images.saturating_add((numbers.saturating_add(sums)).saturating_mul(4))
}

impl Training {
    pub(super) fn new(model: &Model, config: &TrainingConfig, batch_size: usize) -> Self {
        let Model { nodes, layout, vectors, .. } = model;
        let plan = Plan::of(nodes, layout, vectors.lanes(), Purpose::Training);
        let mut norms = Vec::new();
        let mut norm_lengths = Vec::new();
        for parameters in layout.of_node.iter().flatten() {
            if let Parameters::Norm { scale, .. } = parameters {
                let zeros = vec![0.0; scale.len()];
                norm_lengths.push(2 * scale.len());
                norms.push(NormState {
                    mean: zeros.clone(),
                    inverse: zeros.clone(),
                    factor: zeros.clone(),
                    slope: zeros.clone(),
                    constant: zeros,
                });
            }
        }
        let kernel_sums = plan.kernel_sums();
        let of_chunk = chunk_images(batch_size);
        let chunk = |first: usize| Chunk {
            frames: (first..(first + of_chunk).min(batch_size))
                .map(|_| Frame::new(&plan.slots, &norm_lengths))
                .collect(),
            sums: vec![0.0; kernel_sums],
        };
        let chunks = (0..batch_size).step_by(of_chunk).map(chunk).collect();
        let trained = trained(&plan, layout);
        let zeros = vec![0.0; layout.len];
        let transposed = vec![0.0; layout.transposed];
        let config = config.clone();
        Self { chunks, norms, transposed, gradient: zeros.clone(), velocity: zeros, trained, config, plan }
    }

    /// One step; gives its loss.
    pub(super) fn step(&mut self, model: &mut Model, step: &Step) -> f64 {
        let loss = self.differentiate(model, step);
        self.update(&mut model.weights, step.learning_rate as f32);
        loss
    }

    /// The loss of a batch, and its gradient.
    pub(super) fn differentiate(&mut self, model: &mut Model, step: &Step) -> f64 {
        self.transpose(model);
        let images = step.batch.len();
        for stage in &self.plan.stages {
            let context = Context {
                vectors: model.vectors,
                layout: &model.layout,
                weights: &model.weights,
                transposed: &self.transposed,
                norms: &self.norms,
                batch: step.batch,
                label_smoothing: self.config.label_smoothing,
                path_factors: step.path_factors,
            };
            let of_chunk = self.chunks[0].frames.len();
            let run = |(index, chunk): (usize, &mut Chunk)| {
                let sums = &mut chunk.sums[..stage.kernel_sums];
                sums.fill(0.0);
                let first = index * of_chunk;
                for (image, frame) in (first..images).zip(&mut chunk.frames) {
                    for instruction in &stage.instructions {
                        context.run(instruction, image, frame, sums);
                    }
                }
            };
            self.chunks.par_iter_mut().enumerate().with_max_len(1).for_each(run);
            let frames: Vec<&Frame> = self.chunks.iter().flat_map(|chunk| &chunk.frames).take(images).collect();
            join_norms(stage, model, &frames, &mut self.norms, &mut self.gradient);
            let used = &self.chunks[..images.div_ceil(of_chunk)];
            join_kernels(stage, model, used, &mut self.gradient);
        }
        let frames = self.chunks.iter().flat_map(|chunk| &chunk.frames).take(images);
        frames.map(|frame| frame.loss).sum::<f64>() / images as f64
    }

    /// The momentum, as the weights lie.
    pub(super) fn velocity(&self) -> &[f32] {
        &self.velocity
    }

    /// Sets the momentum to numbers of this layout; `false` if they are more or fewer.
    pub(super) fn set_velocity(&mut self, bytes: &[u8]) -> bool {
        let velocity: &mut [u8] = bytemuck::cast_slice_mut(&mut self.velocity);
        let fits = velocity.len() == bytes.len();
        if fits {
            velocity.copy_from_slice(bytes);
        }
        fits
    }

    /// The gradient, as the weights lie.
    #[cfg(test)]
    pub(super) fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Numbers in memory.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> usize {
        let of_frame = |frame: &Frame| frame.slots.iter().map(Vec::len).sum::<usize>();
        let of_chunk = |chunk: &Chunk| chunk.sums.len() + chunk.frames.iter().map(of_frame).sum::<usize>();
        let lists = [&self.transposed, &self.gradient, &self.velocity];
        self.chunks.iter().map(of_chunk).sum::<usize>() + lists.iter().map(|list| list.len()).sum::<usize>()
    }

    /// Logits of the last batch, whose slot no later instruction uses.
    #[cfg(test)]
    pub(super) fn logits(&self, images: usize) -> Vec<f32> {
        let super::program::Place { slot, map } = self.plan.logits;
        let frames = self.chunks.iter().flat_map(|chunk| &chunk.frames).take(images);
        frames.flat_map(|frame| frame.slots[slot][..map.channels].to_vec()).collect()
    }

    fn transpose(&mut self, model: &Model) {
        let mut rest = self.transposed.as_mut_slice();
        let mut kernels = Vec::new();
        for parameters in model.layout.of_node.iter().flatten() {
            if let Parameters::Convolution(kernel) = parameters
                && !kernel.transposed.is_empty()
            {
                let (part, others) = rest.split_at_mut(kernel.transposed.len());
                kernels.push((kernel, part));
                rest = others;
            }
        }
        kernels.into_par_iter().for_each(|(kernel, part)| model.layout.transpose(kernel, &model.weights, part));
    }

    /// Stochastic gradient descent with Nesterov momentum and weight decay.
    fn update(&mut self, weights: &mut [f32], rate: f32) {
        let (decay, momentum) = (self.config.weight_decay as f32, self.config.momentum as f32);
        for range in &self.trained {
            let parts = (weights[range.clone()].par_chunks_mut(PART))
                .zip(self.velocity[range.clone()].par_chunks_mut(PART))
                .zip(self.gradient[range.clone()].par_chunks(PART));
            parts.for_each(|((weights, velocity), gradient)| {
                for ((weight, velocity), gradient) in weights.iter_mut().zip(velocity).zip(gradient) {
                    let slope = gradient + decay * *weight;
                    *velocity = momentum * *velocity + slope;
                    *weight -= rate * (slope + momentum * *velocity);
                }
            });
        }
    }
}

/// The places of the weights that the loss depends on, joined where they lie side by side.
fn trained(plan: &Plan, layout: &Layout) -> Vec<Range<usize>> {
    let reached = |stage: &Stage| {
        let kernels = stage.kernels.iter().map(|(node, _)| *node);
        kernels.chain(stage.sums.iter().copied()).collect::<Vec<_>>()
    };
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for node in plan.stages.iter().flat_map(reached) {
        match &layout.of_node[node] {
            Some(Parameters::Convolution(kernel)) => {
                ranges.push(kernel.weights.clone());
                ranges.extend(kernel.bias.clone());
            }
            Some(Parameters::Norm { scale, shift, .. }) => ranges.extend([scale.clone(), shift.clone()]),
            None => {}
        }
    }
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.into_iter().fold(Vec::new(), |mut joined: Vec<Range<usize>>, range| {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
        joined
    })
}

fn join_norms(stage: &Stage, model: &mut Model, frames: &[&Frame], norms: &mut [NormState], gradient: &mut [f32]) {
    let Model { nodes, layout, weights, running, .. } = model;
    let places = |node: usize| nodes[node].shape.height * nodes[node].shape.width;
    for &node in &stage.statistics {
        if let Some(Parameters::Norm { scale, norm, .. }) = &layout.of_node[node] {
            let scale = &weights[scale.clone()];
            join_statistics(frames, *norm, places(node), scale, &mut norms[*norm], &mut running[*norm]);
        }
    }
    for &node in &stage.sums {
        if let Some(Parameters::Norm { scale, shift, norm }) = &layout.of_node[node] {
            let (of_scale, of_shift) = gradient[scale.start..shift.end].split_at_mut(scale.len());
            join_sums(frames, *norm, places(node), &mut norms[*norm], of_scale, of_shift);
        }
    }
}

/// The gradients of kernels: the sums of the chunks, in their order.
fn join_kernels(stage: &Stage, model: &Model, chunks: &[Chunk], gradient: &mut [f32]) {
    for &(node, first) in &stage.kernels {
        let Some(Parameters::Convolution(kernel)) = &model.layout.of_node[node] else { continue };
        let mut join = |range: &Range<usize>, first: usize| {
            let parts = gradient[range.clone()].par_chunks_mut(PART).enumerate();
            parts.for_each(|(part, gradient)| {
                gradient.fill(0.0);
                for chunk in chunks {
                    let sums = &chunk.sums[first + part * PART..][..gradient.len()];
                    gradient.iter_mut().zip(sums).for_each(|(gradient, sum)| *gradient += sum);
                }
            });
        };
        join(&kernel.weights, first);
        if let Some(bias) = &kernel.bias {
            join(bias, first + kernel.weights.len());
        }
        if kernel.conv.groups > 1 && !kernel.is_depthwise() {
            model.layout.clear_between_groups(kernel, &mut gradient[kernel.weights.clone()]);
        }
    }
}
