//! The instructions of the backward pass.

use super::super::kernels::sweep::Sweep;
use super::super::layout::Parameters;
use super::super::nodes::NodeOp;
use super::super::program::Kind;
use super::{Builder, Purpose};

impl Builder<'_> {
    /// The backward pass, from the logits to the image.
    pub(super) fn backward(&mut self) {
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
                let len = match &self.layout.of_node[index] {
                    Some(Parameters::Convolution(kernel)) => {
                        kernel.weights.len() + kernel.bias.as_ref().map_or(0, std::ops::Range::len)
                    }
                    _ => unreachable!("every convolution has its weights"),
                };
                let of = self.stage(stage);
                let first = of.kernel_sums;
                of.kernels.push((index, first));
                of.kernel_sums += len;
                self.emit(stage, Kind::WeightGradient { node: index, sweep, first }, &[value, gradient], None);
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
