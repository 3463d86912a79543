//! The program of a network: which instruction runs when, and in which memory.
//!
//! Instructions work on one image. A *stage* runs all of its instructions image by image, so that what one writes is
//! still in the cache when the next reads it; only a batch norm needs all images of a batch, so a stage ends where the
//! statistics of some norm, or the sums of its gradient, are complete.

use super::kernels::norm::Then;
use super::kernels::sweep::Sweep;
use super::layout::{Layout, Parameters};
use super::map::Map;
use super::nodes::{Node, NodeOp, need_gradients, readers};
use super::slots;
use crate::graph::{Activation, Conv, Graph, Pool};

/// A feature map, or the gradient of one, in the memory of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) map: Map,
}

/// One operation on one image.
#[derive(Debug, Clone)]
pub(super) struct Instruction {
    pub(super) kind: Kind,
    pub(super) reads: Vec<Place>,
    pub(super) writes: Option<Place>,
    /// Whether the result is added to what is there.
    pub(super) add: bool,
}

/// Numbers name nodes, whose weights and norms the instruction uses.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Writes the image.
    Load,
    /// Zeros everywhere.
    Clear,
    Convolve {
        node: usize,
        sweep: Sweep,
    },
    /// Statistics of a norm's input.
    Statistics {
        norm: usize,
    },
    Normalise {
        node: usize,
        then: Then,
    },
    Activate(Activation),
    Pool(Pool),
    /// Sums channels' means.
    Mean,
    Copy,
    /// Copies channels, from the first number on to the second one.
    Channels {
        from: usize,
        to: usize,
        count: usize,
    },
    /// Reads the map and the gate.
    Scale,
    DropPath(usize),
    /// Reads the logits and writes their gradient.
    Loss,
    /// Reads the input and the output's gradient.
    WeightGradient {
        node: usize,
        sweep: Sweep,
    },
    /// Reads the output's gradient and writes the input's.
    ConvolveBackward {
        node: usize,
        sweeps: Vec<Sweep>,
    },
    /// Reads the norm's input and the output's gradient.
    NormSums {
        norm: usize,
    },
    /// Reads them as well, and writes the input's gradient.
    NormBackward {
        node: usize,
    },
    /// Reads the output and its gradient.
    ActivationBackward(Activation),
    /// Reads the output's gradient and, for a maximum, the input.
    PoolBackward(Pool),
    /// Reads the gradient of a mean.
    Spread,
    /// Reads the map and the output's gradient, and writes the gate's.
    GateBackward,
}

/// Instructions that run image by image, and what the whole batch gives after them.
#[derive(Debug, Default)]
pub(super) struct Stage {
    pub(super) instructions: Vec<Instruction>,
    /// Norms whose statistics are complete, by node.
    pub(super) statistics: Vec<usize>,
    /// Norms whose gradient's sums are complete, by node.
    pub(super) sums: Vec<usize>,
    /// Convolutions, by node, whose weights' gradients are complete, each with its first number in the stage's sums.
    pub(super) kernels: Vec<(usize, usize)>,
    /// Numbers of the stage's sums.
    pub(super) kernel_sums: usize,
}

/// The program of a network.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) stages: Vec<Stage>,
    /// Numbers of each slot of an image.
    pub(super) slots: Vec<usize>,
    pub(super) logits: Place,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Training,
    /// Norms use their running statistics, and no path is left out.
    Evaluation,
    /// As [`Training`](Self::Training), but only to know the memory: convolutions have no places.
    Sizing,
}

impl Plan {
    pub(super) fn of(nodes: &[Node], layout: &Layout, lanes: usize, purpose: Purpose) -> Self {
        let builder = Builder::new(nodes, layout, lanes, purpose);
        builder.build()
    }

    /// Bytes that each image takes.
    pub(super) fn image_bytes(&self) -> u64 {
        self.slots.iter().map(|len| *len as u64 * 4).sum()
    }

    /// Most numbers of the gradients of kernels that a stage sums.
    pub(super) fn kernel_sums(&self) -> usize {
        self.stages.iter().map(|stage| stage.kernel_sums).max().unwrap_or(0)
    }
}

struct Builder<'a> {
    nodes: &'a [Node],
    layout: &'a Layout,
    purpose: Purpose,
    readers: Vec<Vec<usize>>,
    needs_gradient: Vec<bool>,
    /// For each node, the stage that computes it.
    stage_of: Vec<usize>,
    /// For each node, its value; slots are numbers of buffers until [`slots::assign`].
    values: Vec<Place>,
    /// For each node, the gradient of its value.
    gradients: Vec<Place>,
    stages: Vec<Stage>,
}

impl<'a> Builder<'a> {
    fn new(nodes: &'a [Node], layout: &'a Layout, lanes: usize, purpose: Purpose) -> Self {
        let readers = readers(nodes);
        let padding = |reader: &usize| match nodes[*reader].op {
            NodeOp::Convolution(conv) => conv.padding,
            _ => 0,
        };
        let value = |(index, node): (usize, &Node)| {
            let border = readers[index].iter().map(padding).max().unwrap_or(0);
            Place { slot: index, map: Map::new(node.shape, border, lanes) }
        };
        let values = nodes.iter().enumerate().map(value).collect();
        let gradient = |(index, node): (usize, &Node)| {
            let border = match node.op {
                NodeOp::Convolution(conv) => {
                    let input = nodes[node.inputs[0]].shape;
                    Sweep::border(&conv, [input.height, input.width], [node.shape.height, node.shape.width])
                }
                _ => 0,
            };
            Place { slot: nodes.len() + index, map: Map::new(node.shape, border, lanes) }
        };
        let gradients = nodes.iter().enumerate().map(gradient).collect();
        let needs_gradient = need_gradients(nodes);
        let stage_of = vec![0; nodes.len()];
        Self { nodes, layout, purpose, readers, needs_gradient, stage_of, values, gradients, stages: Vec::new() }
    }

    fn build(mut self) -> Plan {
        for node in 0..self.nodes.len() {
            self.forward(node);
        }
        let last = self.nodes.len() - 1;
        let logits = self.values[last];
        if self.purpose != Purpose::Evaluation {
            self.emit(self.stage_of[last], Kind::Loss, &[logits], Some(self.gradients[last]));
            self.backward();
        }
        let mut plan = Plan { stages: self.stages, slots: Vec::new(), logits };
        slots::assign(&mut plan);
        plan
    }

    fn emit(&mut self, stage: usize, kind: Kind, reads: &[Place], writes: Option<Place>) {
        if self.stages.len() <= stage {
            self.stages.resize_with(stage + 1, Stage::default);
        }
        // Whether it is added to what is there is known when the order is.
        self.stages[stage].instructions.push(Instruction { kind, reads: reads.to_vec(), writes, add: false });
    }

    /// The only reader of a node, if it has one.
    fn only_reader(&self, node: usize) -> Option<usize> {
        match self.readers[node][..] {
            [reader] => Some(reader),
            _ => None,
        }
    }

    /// Whether the value of a norm is written by its only reader, a sum or a ReLU, without a map of its own.
    fn is_fused(&self, node: usize) -> bool {
        let into = |reader: usize| {
            matches!(self.nodes[reader].op, NodeOp::Add | NodeOp::Activation(Activation::Relu | Activation::Relu6))
        };
        self.nodes[node].op == NodeOp::BatchNorm && self.only_reader(node).is_some_and(into)
    }

    fn forward(&mut self, index: usize) {
        let node = &self.nodes[index];
        let inputs: Vec<Place> = node.inputs.iter().map(|input| self.values[*input]).collect();
        let mut stage = node.inputs.iter().map(|input| self.stage_of[*input]).max().unwrap_or(0);
        let to = self.values[index];
        match node.op {
            NodeOp::Input => self.emit(stage, Kind::Load, &[], Some(to)),
            NodeOp::Convolution(conv) => {
                let sweep = self.sweep(&conv, &inputs[0].map, &to.map);
                self.emit(stage, Kind::Convolve { node: index, sweep }, &inputs, Some(to));
            }
            NodeOp::BatchNorm => {
                if self.purpose != Purpose::Evaluation {
                    self.emit(stage, Kind::Statistics { norm: self.norm(index) }, &inputs, None);
                    self.stages[stage].statistics.push(index);
                    stage += 1;
                }
                if !self.is_fused(index) {
                    self.emit(stage, Kind::Normalise { node: index, then: Then::Write }, &inputs, Some(to));
                }
            }
            NodeOp::Activation(activation) => {
                let input = node.inputs[0];
                if self.is_fused(input) {
                    let then = if activation == Activation::Relu { Then::Relu } else { Then::Relu6 };
                    let from = self.values[self.nodes[input].inputs[0]];
                    self.emit(stage, Kind::Normalise { node: input, then }, &[from], Some(to));
                } else {
                    self.emit(stage, Kind::Activate(activation), &inputs, Some(to));
                }
            }
            NodeOp::Pool(pool) => self.emit(stage, Kind::Pool(pool), &inputs, Some(to)),
            NodeOp::GlobalMean => self.emit(stage, Kind::Mean, &inputs, Some(to)),
            NodeOp::Add => {
                for (input, from) in node.inputs.iter().zip(inputs) {
                    if self.is_fused(*input) {
                        let from = self.values[self.nodes[*input].inputs[0]];
                        // Becomes `Then::Write` for the first of the sum.
                        self.emit(stage, Kind::Normalise { node: *input, then: Then::Add }, &[from], Some(to));
                    } else {
                        self.emit(stage, Kind::Copy, &[from], Some(to));
                    }
                }
            }
            NodeOp::Concat => {
                let mut first = 0;
                for from in inputs {
                    let count = from.map.channels;
                    self.emit(stage, Kind::Channels { from: 0, to: first, count }, &[from], Some(to));
                    first += count;
                }
            }
            NodeOp::Scale => self.emit(stage, Kind::Scale, &inputs, Some(to)),
            NodeOp::Zero => self.emit(stage, Kind::Clear, &[], Some(to)),
            NodeOp::DropPath(path) => {
                let kind = if self.purpose == Purpose::Evaluation { Kind::Copy } else { Kind::DropPath(path) };
                self.emit(stage, kind, &inputs, Some(to));
            }
        }
        self.stage_of[index] = stage;
    }

    fn sweep(&self, conv: &Conv, from: &Map, to: &Map) -> Sweep {
        match self.purpose {
            Purpose::Sizing => Sweep::default(),
            _ => Sweep::forward(conv, from, to),
        }
    }

    fn norm(&self, node: usize) -> usize {
        match self.layout.of_node[node] {
            Some(Parameters::Norm { norm, .. }) => norm,
            _ => unreachable!("every batch norm has its weights"),
        }
    }

    /// The backward pass, from the logits to the image.
    fn backward(&mut self) {
        let last = self.nodes.len() - 1;
        // For each node, the stage in which its gradient is complete.
        let mut complete: Vec<Option<usize>> = vec![None; self.nodes.len()];
        complete[last] = Some(self.stage_of[last]);
        for index in (1..self.nodes.len()).rev() {
            let Some(stage) = complete[index].filter(|_| self.needs_gradient[index]) else { continue };
            let gives = self.node_backward(index, stage);
            for input in &self.nodes[index].inputs {
                let stage = complete[*input].map_or(gives, |other| other.max(gives));
                complete[*input] = Some(stage);
            }
        }
    }

    /// The backward pass of a node whose gradient is complete in a stage; gives the stage of its inputs' gradients.
    fn node_backward(&mut self, index: usize, stage: usize) -> usize {
        let node = &self.nodes[index];
        let gradient = self.gradients[index];
        let (input, value) = match node.inputs[..] {
            [input, ..] => (input, self.values[input]),
            [] => return stage,
        };
        let to = self.needs_gradient[input].then(|| self.gradients[input]);
        match node.op {
            NodeOp::Input | NodeOp::Zero => {}
            NodeOp::Convolution(conv) => {
                let sweep = self.sweep(&conv, &value.map, &gradient.map);
                self.emit(stage, Kind::WeightGradient { node: index, sweep }, &[value, gradient], None);
                let len = match &self.layout.of_node[index] {
                    Some(Parameters::Convolution(kernel)) => {
                        kernel.weights.len() + kernel.bias.as_ref().map_or(0, std::ops::Range::len)
                    }
                    _ => unreachable!("every convolution has its weights"),
                };
                let of = &mut self.stages[stage];
                of.kernels.push((index, of.kernel_sums));
                of.kernel_sums += len;
                if let Some(to) = to {
                    let is_run = self.purpose != Purpose::Sizing;
                    let sweeps = if is_run { Sweep::backward(&conv, &gradient.map, &to.map) } else { Vec::new() };
                    self.emit(stage, Kind::ConvolveBackward { node: index, sweeps }, &[gradient], Some(to));
                }
            }
            NodeOp::BatchNorm => {
                self.emit(stage, Kind::NormSums { norm: self.norm(index) }, &[value, gradient], None);
                self.stages[stage].sums.push(index);
                if let Some(to) = to {
                    self.emit(stage + 1, Kind::NormBackward { node: index }, &[value, gradient], Some(to));
                }
                return stage + 1;
            }
            NodeOp::Activation(activation) => {
                let reads = [self.values[index], gradient];
                if let Some(to) = to {
                    self.emit(stage, Kind::ActivationBackward(activation), &reads, Some(to));
                }
            }
            NodeOp::Pool(pool) => {
                if let Some(to) = to {
                    self.emit(stage, Kind::PoolBackward(pool), &[gradient, value], Some(to));
                }
            }
            NodeOp::GlobalMean => {
                if let Some(to) = to {
                    self.emit(stage, Kind::Spread, &[gradient], Some(to));
                }
            }
            NodeOp::Add => {
                for input in &node.inputs {
                    if !self.needs_gradient[*input] {
                        continue;
                    }
                    let to = self.gradients[*input];
                    if self.only_reader(*input).is_some() && to.map == gradient.map {
                        // Its gradient is this one.
                        self.gradients[*input] = gradient;
                    } else {
                        self.emit(stage, Kind::Copy, &[gradient], Some(to));
                    }
                }
            }
            NodeOp::Concat => {
                let mut first = 0;
                for input in &node.inputs {
                    let count = self.nodes[*input].shape.channels;
                    if self.needs_gradient[*input] {
                        let kind = Kind::Channels { from: first, to: 0, count };
                        self.emit(stage, kind, &[gradient], Some(self.gradients[*input]));
                    }
                    first += count;
                }
            }
            NodeOp::Scale => {
                let gate = node.inputs[1];
                if let Some(to) = to {
                    self.emit(stage, Kind::Scale, &[gradient, self.values[gate]], Some(to));
                }
                if self.needs_gradient[gate] {
                    self.emit(stage, Kind::GateBackward, &[value, gradient], Some(self.gradients[gate]));
                }
            }
            NodeOp::DropPath(path) => {
                if let Some(to) = to {
                    self.emit(stage, Kind::DropPath(path), &[gradient], Some(to));
                }
            }
        }
        stage
    }
}

/// Bytes that training a network holds, the weights included.
pub(crate) fn training_bytes(graph: &Graph, batch: usize) -> u64 {
    let nodes = super::nodes::of(graph);
    let lanes = super::vector::Vectors::best(graph).lanes();
    let layout = Layout::of(&nodes, lanes);
    let plan = Plan::of(&nodes, &layout, lanes, Purpose::Sizing);
    super::training::memory_bytes(&layout, &plan, batch)
}
