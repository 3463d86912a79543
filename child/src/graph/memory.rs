//! Memory that training and measuring a network need.

use super::cost::ELEMENT_BYTES;
use super::{Activation, Graph, Layer, Op, Pool, PoolKind};

/// Copies of every weight: itself, its gradient, the optimiser's momentum, and its next value while it is computed.
const WEIGHT_COPIES: u64 = 4;

/// Copies of every weight of a model that is written and run: the network's own, the file's, and those of an engine
/// that reads it and lays it out anew, which are not all there at one time. Measured with models of 98 to 1,560 MB on
/// the project's `host` device: 3.2 to 3.6.
const MODEL_COPIES: f64 = 3.4;
/// Activations that the engine holds, as a multiple of those that have to be held: for images of 512 and 1024 pixels
/// a side 1.2 to 1.6.
const ACTIVATION_COPIES: f64 = 1.4;

impl Graph {
    /// An estimate of the most bytes that writing the network as a model, and running that model on one image, hold at
    /// one time.
    pub fn measuring_bytes(&self) -> u64 {
        let cost = self.cost();
        let weights = (cost.parameters as f64) * (ELEMENT_BYTES as f64);
        // A number too large for the type becomes the largest.
        (weights * MODEL_COPIES + cost.peak_activation_bytes as f64 * ACTIVATION_COPIES) as u64
    }

    /// An estimate of the most bytes that a step of training holds at one time, for a batch of this size: the outputs of
    /// the forward pass that the backward pass needs, the gradients and scratch memory of the backward pass, and the weights.
    ///
    /// The backward pass goes layer by layer, from the logits to the image. At each layer there are
    /// - the outputs kept for the layers that are still to come: the inputs of convolutions, batch norms,
    ///   non-linearities, max poolings and scalings, each once, however many layers read it;
    /// - the gradients of outputs whose readers have been passed, but not the outputs themselves;
    /// - for a convolution, a copy of its input and of its output's gradient in the order of its matrix product.
    ///
    /// The estimate does not know what an allocator holds back, or how a backend computes. It does not include the data
    /// set and the program, which are in memory before.
    pub fn training_bytes(&self, batch: usize) -> u64 {
        let elements = self.peak_of_backward_pass().saturating_mul(batch as u64);
        let weights: u64 = self.layers.iter().map(|layer| self.counts(layer).1).sum();
        elements.saturating_add(weights.saturating_mul(WEIGHT_COPIES)).saturating_mul(ELEMENT_BYTES)
    }

    /// Most elements held at one time, for one image.
    fn peak_of_backward_pass(&self) -> u64 {
        let size = |index: usize| self.layers[index].shape.elements() as u64;
        // For each output, the first layer that needs its values in the backward pass, which comes there last.
        let mut needed_by: Vec<Option<usize>> = vec![None; self.layers.len()];
        let last_readers = self.last_readers();
        for (index, layer) in self.layers.iter().enumerate() {
            for input in layer.inputs.iter().map(|id| id.0) {
                if keeps_inputs(&layer.op) {
                    needed_by[input].get_or_insert(index);
                }
            }
            if keeps_output(&layer.op) {
                needed_by[index] = Some(index);
            }
        }
        let mut most = 0;
        for current in (1..self.layers.len()).rev() {
            let kept = (0..self.layers.len()).filter(|other| needed_by[*other].is_some_and(|first| first <= current));
            let gradients = (1..=current).filter(|other| last_readers[*other] >= current);
            let held = kept.map(size).sum::<u64>() + gradients.map(size).sum::<u64>();
            most = most.max(held + self.scratch(&self.layers[current]));
        }
        most
    }

    /// Elements that a layer needs for itself while its gradients are computed.
    fn scratch(&self, layer: &Layer) -> u64 {
        let inputs = layer.inputs.iter().map(|id| self.layer(*id).shape.elements() as u64).sum::<u64>();
        match layer.op {
            Op::Conv(_) => inputs + layer.shape.elements() as u64,
            _ => 0,
        }
    }
}

/// Whether the gradient of an operation is computed from its inputs.
fn keeps_inputs(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv(_)
            | Op::BatchNorm
            | Op::Activation(Activation::Relu | Activation::Relu6 | Activation::HardSigmoid)
            | Op::Pool(Pool { kind: PoolKind::Max, .. })
            | Op::Scale
            | Op::Linear { .. }
    )
}

/// Whether it is computed from its output.
fn keeps_output(op: &Op) -> bool {
    matches!(op, Op::Activation(Activation::Sigmoid))
}

#[cfg(test)]
mod tests {
    use crate::Error;
    use crate::graph::{Activation, Conv, GraphBuilder, Shape};

    #[test]
    fn bytes_equal_those_counted_by_hand() -> Result<(), Error> {
        let (mut graph, image) = GraphBuilder::new(Shape::new(1, 8, 8))?;
        let wide = graph.conv(image, Conv::same(10, 3, 1))?;
        let norm = graph.batch_norm(wide)?;
        let relu = graph.activation(norm, Activation::Relu)?;
        let graph = graph.classifier(relu, 10)?;
        // Kept: the image for the convolution, its output for the batch norm, whose output for the ReLU, and 10 means.
        // The most is held at the ReLU: 64 + 640 + 640 and the gradients of its output and input.
        let weights = 90 + 20 + 110;
        assert_eq!(graph.training_bytes(1), 4 * (64 + 2 * 640 + 2 * 640 + 4 * weights));
        assert_eq!(graph.training_bytes(100) - graph.training_bytes(99), 4 * (64 + 4 * 640));
        assert_eq!(graph.training_bytes(usize::MAX), u64::MAX);
        // Two outputs of 640 at one time.
        let measuring = 4.0 * (3.4 * f64::from(weights as u32) + 1.4 * 2.0 * 640.0);
        assert!(graph.measuring_bytes().abs_diff(measuring as u64) <= 1);
        Ok(())
    }
}
