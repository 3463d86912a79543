//! The program of a network: which instruction runs when, and in which memory.
//!
//! Instructions work on one image. A *stage* runs all of its instructions image by image, so that what one writes is
//! still in the cache when the next reads it; only a batch norm needs all images of a batch, so a stage ends where the
//! statistics of some norm, or the sums of its gradient, are complete.

mod backward;

use super::kernels::norm::Then;
use super::kernels::sweep::Sweep;
use super::layout::{Layout, Parameters};
use super::map::Map;
use super::nodes::{Node, NodeOp, need_gradients, readers};
use super::program::{Instruction, Kind, Place, Plan, Stage};
use super::slots;
use crate::graph::{Activation, Conv};

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

    /// A stage, begun where there is none yet.
    fn stage(&mut self, stage: usize) -> &mut Stage {
        if self.stages.len() <= stage {
            self.stages.resize_with(stage + 1, Stage::default);
        }
        &mut self.stages[stage]
    }

    fn emit(&mut self, stage: usize, kind: Kind, reads: &[Place], writes: Option<Place>) {
        // Whether it is added to what is there is known when the order is.
        self.stage(stage).instructions.push(Instruction { kind, reads: reads.to_vec(), writes, add: false });
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
}
