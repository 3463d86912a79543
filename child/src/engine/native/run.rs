//! Running a plan's instructions on one image.

use super::kernels::norm::{GradientSums, NormBackward, Normalise, Statistics};
use super::kernels::pointwise::{ActivationBackward, Channels, Each, Mean, Products, Scale, Spread, Sum, activated};
use super::kernels::{dense, depthwise, pool};
use super::layout::{Kernel, Layout, Parameters};
use super::loss::loss;
use super::program::{Instruction, Kind};
use super::state::{Frame, NormState};
use super::vector::Vectors;
use crate::data::Batch;
use crate::graph::Activation;

/// All that instructions read besides the image's memory.
pub(super) struct Context<'a> {
    pub(super) vectors: Vectors,
    pub(super) layout: &'a Layout,
    pub(super) weights: &'a [f32],
    /// Kernels in the order of the backward pass.
    pub(super) transposed: &'a [f32],
    pub(super) norms: &'a [NormState],
    pub(super) batch: &'a Batch,
    pub(super) label_smoothing: f64,
    pub(super) path_factors: &'a [Vec<f32>],
}

impl Context<'_> {
    fn kernel(&self, node: usize) -> &Kernel {
        match &self.layout.of_node[node] {
            Some(Parameters::Convolution(kernel)) => kernel,
            _ => unreachable!("every convolution has its weights"),
        }
    }

    /// State and shift of the norm at a node.
    fn norm(&self, node: usize) -> (&NormState, &[f32]) {
        match &self.layout.of_node[node] {
            Some(Parameters::Norm { shift, norm, .. }) => (&self.norms[*norm], &self.weights[shift.clone()]),
            _ => unreachable!("every batch norm has its weights"),
        }
    }

    /// Runs one instruction on an image of the batch; `sums` are the gradients of the stage's kernels.
    pub(super) fn run(&self, instruction: &Instruction, image: usize, frame: &mut Frame, sums: &mut [f32]) {
        let Instruction { kind, reads, writes, add } = instruction;
        let add = *add;
        // Out of the frame while it is written, so that the others can be read.
        let mut taken = writes.map(|to| std::mem::take(&mut frame.slots[to.slot])).unwrap_or_default();
        let output = taken.as_mut_slice();
        let Frame { slots, norms, loss: image_loss } = frame;
        let read = |index: usize| slots[reads[index].slot].as_slice();
        let map = |index: usize| &reads[index].map;
        let to = writes.as_ref().map(|place| &place.map);
        match (kind, to) {
            (Kind::Load, Some(to)) => self.load(image, to, output),
            (Kind::Clear, Some(_)) => output.fill(0.0),
            (Kind::Convolve { node, sweep }, Some(to)) => {
                let kernel = self.kernel(*node);
                if let Some(bias) = &kernel.bias {
                    let numbers = &self.weights[bias.clone()];
                    self.vectors.run(Spread { numbers, factor: 1.0, to, output, add: false });
                }
                let (input, weights) = (read(0), &self.weights[kernel.weights.clone()]);
                let add = kernel.bias.is_some();
                if kernel.is_depthwise() {
                    self.vectors.run(depthwise::Convolve { sweep, input, weights, output, channels: to.step, add });
                } else {
                    let (channels, taps) = (kernel.inputs, kernel.taps());
                    let outputs = to.step;
                    self.vectors.run(dense::Convolve { sweep, input, channels, taps, weights, output, outputs, add });
                }
            }
            (Kind::Statistics { norm }, _) => {
                self.vectors.run(Statistics { map: map(0), values: read(0), sums: &mut norms[*norm] });
            }
            (Kind::Normalise { node, then }, Some(to)) => {
                let (state, shift) = self.norm(*node);
                let (mean, factor) = (&state.mean, &state.factor);
                let (from, values, then) = (map(0), read(0), *then);
                self.vectors.run(Normalise { from, to, values, mean, factor, shift, output, then });
            }
            (Kind::Activate(activation), Some(to)) => {
                let (from, input) = (map(0), read(0));
                // Chosen outside of the loops, so that each is one of vectors.
                macro_rules! run {
                    ($($variant:ident),*) => {
                        match activation {
                            $(Activation::$variant => {
                                let of = |x| activated(Activation::$variant, x);
                                self.vectors.run(Each { from, input, to, output, add, of });
                            })*
                        }
                    };
                }
                run!(Relu, Relu6, Sigmoid, HardSigmoid);
            }
            (Kind::Pool(pool), Some(to)) => {
                self.vectors.run(pool::Forward { pool, from: map(0), input: read(0), to, output });
            }
            (Kind::Mean, Some(to)) => {
                self.vectors.run(Mean { map: map(0), values: read(0), means: to.place_mut(output) });
            }
            (Kind::Copy, Some(to)) => {
                self.vectors.run(Each { from: map(0), input: read(0), to, output, add, of: |x| x });
            }
            (Kind::Channels { from, to: first, count }, Some(to)) => {
                let channels = [*from, *first, *count];
                self.vectors.run(Channels { from: map(0), input: read(0), to, output, channels, add });
            }
            (Kind::Scale, Some(to)) => {
                let gate = map(1).place(read(1));
                self.vectors.run(Scale { from: map(0), input: read(0), gate, to, output, add });
            }
            (Kind::DropPath(path), Some(to)) => {
                let factor = self.path_factors.get(*path).map_or(1.0, |factors| factors[image]);
                self.vectors.run(Each { from: map(0), input: read(0), to, output, add, of: |x| x * factor });
            }
            (Kind::Loss, Some(_)) => {
                let label = self.batch.labels[image];
                *image_loss = loss(&read(0)[..map(0).channels], label, self.label_smoothing, self.batch.len(), output);
            }
            (Kind::WeightGradient { node, sweep, first }, _) => {
                let kernel = self.kernel(*node);
                let sums = &mut sums[*first..];
                let (of_weights, of_bias) = sums.split_at_mut(kernel.weights.len());
                let (input, gradient, step) = (read(0), read(1), map(1).step);
                if kernel.is_depthwise() {
                    let sums = of_weights;
                    self.vectors.run(depthwise::WeightGradient { sweep, input, gradient, channels: step, sums });
                } else {
                    let channels = kernel.inputs;
                    let (outputs, sums) = (step, of_weights);
                    self.vectors.run(dense::WeightGradient { sweep, input, channels, gradient, outputs, sums });
                }
                if let Some(bias) = &kernel.bias {
                    let sums = &mut of_bias[..bias.len()];
                    self.vectors.run(Sum { map: map(1), values: gradient, sums });
                }
            }
            (Kind::ConvolveBackward { node, sweeps }, Some(to)) => {
                let kernel = self.kernel(*node);
                let input = read(0);
                for sweep in sweeps {
                    if kernel.is_depthwise() {
                        let weights = &self.weights[kernel.weights.clone()];
                        self.vectors.run(depthwise::Convolve { sweep, input, weights, output, channels: to.step, add });
                    } else {
                        let weights = &self.transposed[kernel.transposed.clone()];
                        let (channels, taps) = (kernel.conv.channels, kernel.taps());
                        let outputs = to.step;
                        self.vectors.run(dense::Convolve {
                            sweep,
                            input,
                            channels,
                            taps,
                            weights,
                            output,
                            outputs,
                            add,
                        });
                    }
                }
            }
            (Kind::NormSums { norm }, _) => {
                let mean = &self.norms[*norm].mean;
                let (map, values, sums) = (map(0), read(0), &mut norms[*norm][..]);
                let (gradient_map, gradient) = (&reads[1].map, read(1));
                self.vectors.run(GradientSums { gradient_map, gradient, map, values, mean, sums });
            }
            (Kind::NormBackward { node }, Some(to)) => {
                let (state, _) = self.norm(*node);
                let (values, gradient) = (read(0), read(1));
                let [map, gradient_map] = [map(0), map(1)];
                self.vectors.run(NormBackward { gradient_map, gradient, map, values, state, to, output, add });
            }
            (Kind::ActivationBackward(activation), Some(to)) => {
                let activation = *activation;
                let (result_map, result) = (map(0), read(0));
                let (gradient_map, gradient) = (map(1), read(1));
                self.vectors.run(ActivationBackward {
                    activation,
                    result_map,
                    result,
                    gradient_map,
                    gradient,
                    to,
                    output,
                    add,
                });
            }
            (Kind::PoolBackward(pool), Some(to)) => {
                let (gradient_map, gradient) = (map(0), read(0));
                let (input_map, input) = (map(1), read(1));
                self.vectors.run(pool::Backward { pool, input_map, input, gradient_map, gradient, to, output });
            }
            (Kind::Spread, Some(to)) => {
                let factor = 1.0 / to.places() as f32;
                self.vectors.run(Spread { numbers: map(0).place(read(0)), factor, to, output, add });
            }
            (Kind::GateBackward, Some(to)) => {
                let (map, values) = (map(0), read(0));
                let (gradient_map, gradient) = (&reads[1].map, read(1));
                let sums = to.place_mut(output);
                self.vectors.run(Products { map, values, gradient_map, gradient, sums, add });
            }
            (kind, None) => unreachable!("{kind:?} writes a map"),
        }
        if let Some(to) = writes {
            frame.slots[to.slot] = taken;
        }
    }

    /// Writes an image of the batch, `[channels, height, width]`, as a map.
    fn load(&self, image: usize, to: &super::map::Map, output: &mut [f32]) {
        let shape = self.batch.shape;
        let places = shape.height * shape.width;
        let image = &self.batch.images[image * shape.elements()..][..shape.elements()];
        for (y, row) in to.rows_mut(output).enumerate() {
            for (x, place) in row.chunks_exact_mut(to.step).enumerate() {
                for (channel, value) in place[..shape.channels].iter_mut().enumerate() {
                    *value = image[channel * places + y * shape.width + x];
                }
            }
        }
    }
}
