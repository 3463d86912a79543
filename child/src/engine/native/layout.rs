//! Where the weights of a network lie in the engine, and the way there and back.

use std::ops::Range;

use super::kernels::dense::BLOCK;
use super::nodes::{Node, NodeOp};
use crate::graph::Conv;
use crate::network::{Norm, Weights};

/// Every weight has a place in one list of numbers, in which gradients and momenta lie the same way.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// For each node, the place of its weights.
    pub(super) of_node: Vec<Option<Parameters>>,
    /// Numbers in all.
    pub(super) len: usize,
    /// Numbers of the kernels in the order of the backward pass.
    pub(super) transposed: usize,
    lanes: usize,
}

/// The weights of one node.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Parameters {
    Convolution(Kernel),
    Norm {
        scale: Range<usize>,
        shift: Range<usize>,
        /// Number of the norm, among norms.
        norm: usize,
    },
}

/// The weights of a convolution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kernel {
    pub(super) conv: Conv,
    /// Input channels of the whole convolution.
    pub(super) inputs: usize,
    pub(super) weights: Range<usize>,
    /// Of the kernel in the order of the backward pass; empty for a depthwise convolution.
    pub(super) transposed: Range<usize>,
    pub(super) bias: Option<Range<usize>>,
    /// Whether it is the classifier, whose matrix lies the other way in a [`Network`](crate::network::Network).
    is_linear: bool,
}

impl Kernel {
    /// Whether each output channel reads one input channel. Other groups are computed as one, with zeros between them.
    pub(super) fn is_depthwise(&self) -> bool {
        self.conv.groups > 1 && self.conv.groups == self.inputs && self.conv.groups == self.conv.channels
    }

    pub(super) fn taps(&self) -> usize {
        self.conv.kernel * self.conv.kernel
    }

    /// Each weight's place in a network's kernel, its tap, its input channel and its output channel.
    fn each(&self) -> impl Iterator<Item = [usize; 4]> {
        let (taps, outputs) = (self.taps(), self.conv.channels);
        let (of_group, outputs_of_group) = (self.inputs / self.conv.groups, outputs / self.conv.groups);
        let is_linear = self.is_linear;
        (0..outputs).flat_map(move |output| {
            let first = output / outputs_of_group * of_group;
            (0..of_group).flat_map(move |input| {
                let at = if is_linear { input * outputs + output } else { (output * of_group + input) * taps };
                (0..taps).map(move |tap| [at + tap, tap, first + input, output])
            })
        })
    }
}

impl Layout {
    pub(super) fn of(nodes: &[Node], lanes: usize) -> Self {
        let mut layout = Self { of_node: Vec::new(), len: 0, transposed: 0, lanes };
        let mut norms = 0;
        for (index, node) in nodes.iter().enumerate() {
            let parameters = match node.op {
                NodeOp::Convolution(conv) => {
                    let inputs = nodes[node.inputs[0]].shape.channels;
                    let is_linear = index + 1 == nodes.len();
                    let mut kernel = Kernel { conv, inputs, weights: 0..0, transposed: 0..0, bias: None, is_linear };
                    let taps = kernel.taps();
                    let padded = |channels: usize| channels.next_multiple_of(lanes);
                    if kernel.is_depthwise() {
                        kernel.weights = layout.take(taps * padded(inputs));
                    } else {
                        kernel.weights = layout.take(taps * inputs * padded(conv.channels));
                        let len = taps * conv.channels * padded(inputs);
                        kernel.transposed = layout.transposed..layout.transposed + len;
                        layout.transposed += len;
                    }
                    kernel.bias = conv.bias.then(|| layout.take(padded(conv.channels)));
                    Some(Parameters::Convolution(kernel))
                }
                NodeOp::BatchNorm => {
                    let channels = node.shape.channels.next_multiple_of(lanes);
                    let (scale, shift) = (layout.take(channels), layout.take(channels));
                    norms += 1;
                    Some(Parameters::Norm { scale, shift, norm: norms - 1 })
                }
                _ => None,
            };
            layout.of_node.push(parameters);
        }
        layout
    }

    fn take(&mut self, len: usize) -> Range<usize> {
        self.len += len;
        self.len - len..self.len
    }

    /// The weights of a network in their places, and the norms' running statistics.
    pub(super) fn pack(&self, nodes: &[Node], network: &[Weights]) -> (Vec<f32>, Vec<Running>) {
        let mut values = vec![0.0; self.len];
        let mut running = Vec::new();
        for (node, parameters) in nodes.iter().zip(&self.of_node) {
            match (parameters, &network[node.layer]) {
                (Some(Parameters::Convolution(kernel)), Weights::Convolution { kernel: from, bias }) => {
                    self.pack_kernel(kernel, from, bias.as_deref(), &mut values);
                }
                (Some(Parameters::Convolution(kernel)), Weights::Linear { matrix, bias }) => {
                    self.pack_kernel(kernel, matrix, Some(bias), &mut values);
                }
                (Some(Parameters::Norm { scale, shift, .. }), Weights::BatchNorm(norm)) => {
                    values[scale.clone()][..norm.scale.len()].copy_from_slice(&norm.scale);
                    values[shift.clone()][..norm.shift.len()].copy_from_slice(&norm.shift);
                    let mut statistics = [norm.mean.clone(), norm.variance.clone()];
                    statistics.iter_mut().for_each(|values| values.resize(scale.len(), 0.0));
                    let [mean, variance] = statistics;
                    running.push(Running { mean, variance });
                }
                (None, _) => {}
                (parameters, other) => unreachable!("{parameters:?} and {other:?} are of the same layer"),
            }
        }
        (values, running)
    }

    fn pack_kernel(&self, kernel: &Kernel, from: &[f32], bias: Option<&[f32]>, values: &mut [f32]) {
        let to = &mut values[kernel.weights.clone()];
        for [at, tap, input, output] in kernel.each() {
            to[self.place(kernel, tap, input, output)] = from[at];
        }
        if let (Some(range), Some(bias)) = (&kernel.bias, bias) {
            values[range.clone()][..bias.len()].copy_from_slice(bias);
        }
    }

    /// The weights of each layer, from their places. Lists that lie as the weights do give gradients.
    pub(super) fn unpack(&self, nodes: &[Node], layers: usize, values: &[f32], running: &[Running]) -> Vec<Weights> {
        let mut network = vec![Weights::None; layers];
        for (node, parameters) in nodes.iter().zip(&self.of_node) {
            match parameters {
                Some(Parameters::Convolution(kernel)) => {
                    let from = &values[kernel.weights.clone()];
                    let mut weights = vec![0.0; kernel.each().count()];
                    for [at, tap, input, output] in kernel.each() {
                        weights[at] = from[self.place(kernel, tap, input, output)];
                    }
                    let bias = kernel.bias.clone().map(|range| values[range][..kernel.conv.channels].to_vec());
                    network[node.layer] = match (kernel.is_linear, bias) {
                        (true, Some(bias)) => Weights::Linear { matrix: weights, bias },
                        (_, bias) => Weights::Convolution { kernel: weights, bias },
                    };
                }
                Some(Parameters::Norm { scale, shift, norm }) => {
                    let channels = node.shape.channels;
                    let of = |values: &[f32]| values[..channels].to_vec();
                    network[node.layer] = Weights::BatchNorm(Norm {
                        scale: of(&values[scale.clone()]),
                        shift: of(&values[shift.clone()]),
                        mean: of(&running[*norm].mean),
                        variance: of(&running[*norm].variance),
                    });
                }
                None => {}
            }
        }
        network
    }

    /// Place of a weight within those of its convolution.
    fn place(&self, kernel: &Kernel, tap: usize, input: usize, output: usize) -> usize {
        if kernel.is_depthwise() {
            return tap * output_step(kernel.conv.channels, self.lanes) + output;
        }
        blocked([tap, input, output], [kernel.taps(), kernel.inputs, kernel.conv.channels], self.lanes)
    }

    /// Writes a kernel with inputs and outputs exchanged, as the backward pass reads it, from the list of all weights.
    pub(super) fn transpose(&self, kernel: &Kernel, values: &[f32], transposed: &mut [f32]) {
        let from = &values[kernel.weights.clone()];
        let (taps, inputs, outputs) = (kernel.taps(), kernel.inputs, kernel.conv.channels);
        for output in 0..outputs {
            for tap in 0..taps {
                let read = blocked([tap, 0, output], [taps, inputs, outputs], self.lanes);
                let width = block_width(output, outputs, self.lanes);
                for input in 0..inputs {
                    transposed[blocked([tap, output, input], [taps, outputs, inputs], self.lanes)] =
                        from[read + input * width];
                }
            }
        }
    }

    /// Sets the gradients of weights between groups to 0, which a convolution with groups does not have.
    pub(super) fn clear_between_groups(&self, kernel: &Kernel, gradient: &mut [f32]) {
        let of_group = [kernel.inputs / kernel.conv.groups, kernel.conv.channels / kernel.conv.groups];
        for tap in 0..kernel.taps() {
            for (input, output) in
                (0..kernel.inputs).flat_map(|input| (0..kernel.conv.channels).map(move |output| (input, output)))
            {
                if input / of_group[0] != output / of_group[1] {
                    gradient[self.place(kernel, tap, input, output)] = 0.0;
                }
            }
        }
    }
}

/// Running statistics of a norm, padded as its weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Running {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
}

fn output_step(outputs: usize, lanes: usize) -> usize {
    outputs.next_multiple_of(lanes)
}

/// Output channels of the block that holds one, with padding.
fn block_width(output: usize, outputs: usize, lanes: usize) -> usize {
    let block = BLOCK * lanes;
    let whole = output_step(outputs, lanes) / block * block;
    if output < whole { block } else { lanes }
}

/// Place of a weight in the blocks that [`dense`](super::kernels::dense) reads: `[tap, input, output]` of a kernel of
/// `[taps, inputs, outputs]`.
fn blocked([tap, input, output]: [usize; 3], [taps, inputs, outputs]: [usize; 3], lanes: usize) -> usize {
    let width = block_width(output, outputs, lanes);
    let first = output / width * width;
    first * taps * inputs + (tap * inputs + input) * width + output - first
}
