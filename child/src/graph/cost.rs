//! What a network costs, counted from its layers.

use serde::Serialize;

use super::{Graph, Layer, Op, Shape};

/// Bytes of one number: `f32`.
pub(super) const ELEMENT_BYTES: u64 = 4;

/// Costs of a graph that follow from its layers alone, for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Multiply-accumulates, as NAS-Bench-201 counts them (its "FLOPs"; Dong and Yang 2020): convolutions and linear
    /// layers with their biases; pooling, normalisation, non-linearities, sums and scalings count nothing.
    pub macs: u64,
    /// Learnt numbers: weights and biases, and two for each channel of a batch norm.
    pub parameters: u64,
    /// Largest number of bytes of activations held at one time, for a batch of one in `f32`, when layers run in the
    /// graph's order, each output has its own memory, and an activation is freed after its last reader.
    pub peak_activation_bytes: u64,
    /// Most layers with weights (convolutions, linear layers) on one path from the image to the logits.
    pub depth: usize,
}

/// One layer of a graph, for people to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerCost {
    /// The operation with its settings, such as `convolution 3×3, stride 2`.
    pub operation: String,
    /// Shape of its output.
    pub shape: Shape,
    /// Multiply-accumulates, counted as in [`Cost`].
    pub macs: u64,
    /// Learnt numbers.
    pub parameters: u64,
}

impl Graph {
    /// The layers in the graph's order.
    pub fn layer_costs(&self) -> impl Iterator<Item = LayerCost> {
        self.layers.iter().map(|layer| {
            let (macs, parameters) = self.counts(layer);
            LayerCost { operation: layer.op.in_words(), shape: layer.shape, macs, parameters }
        })
    }

    /// Costs of the graph, dead branches included. A runtime executes those of the [`pruned`](Self::pruned) graph.
    pub fn cost(&self) -> Cost {
        let (mut macs, mut parameters) = (0_u64, 0_u64);
        for (layer_macs, layer_parameters) in self.layers.iter().map(|layer| self.counts(layer)) {
            // The counts of an absurd network exceed the type, and are as good as infinite.
            macs = macs.saturating_add(layer_macs);
            parameters = parameters.saturating_add(layer_parameters);
        }
        Cost { macs, parameters, peak_activation_bytes: self.peak_activation_bytes(), depth: self.depth() }
    }

    /// Multiply-accumulates and parameters of one layer.
    pub(super) fn counts(&self, layer: &Layer) -> (u64, u64) {
        let channels_in = layer.inputs.first().map_or(0, |id| self.layer(*id).shape.channels as u64);
        let channels = layer.shape.channels as u64;
        match layer.op {
            Op::Conv(conv) => {
                let weights_each = (conv.kernel * conv.kernel) as u64 * channels_in / conv.groups as u64;
                let parameters_each = weights_each + u64::from(conv.bias);
                (parameters_each.saturating_mul(layer.shape.elements() as u64), parameters_each * channels)
            }
            Op::Linear { .. } => ((channels_in + 1) * channels, (channels_in + 1) * channels),
            Op::BatchNorm => (0, 2 * channels),
            _ => (0, 0),
        }
    }

    fn peak_activation_bytes(&self) -> u64 {
        let mut freed_after = vec![0; self.layers.len()];
        for (layer, last) in self.layers.iter().zip(self.last_readers()) {
            freed_after[last] += layer.shape.elements() as u64;
        }
        let (mut held, mut peak) = (0, 0);
        for (layer, freed) in self.layers.iter().zip(freed_after) {
            held += layer.shape.elements() as u64;
            peak = peak.max(held);
            held -= freed;
        }
        peak * ELEMENT_BYTES
    }

    fn depth(&self) -> usize {
        let mut depths: Vec<usize> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let before = layer.inputs.iter().map(|id| depths[id.0]).max().unwrap_or(0);
            depths.push(before + usize::from(matches!(layer.op, Op::Conv(_) | Op::Linear { .. })));
        }
        depths[self.output().0]
    }
}

#[cfg(test)]
mod tests {
    use crate::Error;
    use crate::graph::{Conv, GraphBuilder, Shape};

    #[test]
    fn costs_equal_those_counted_by_hand() -> Result<(), Error> {
        let (mut graph, image) = GraphBuilder::new(Shape::new(3, 8, 8))?;
        let full = graph.conv(image, Conv::same(4, 3, 2))?;
        let norm = graph.batch_norm(full)?;
        let depthwise = graph.conv(norm, Conv::depthwise(4, 5, 1, 1))?;
        let biased = graph.conv(norm, Conv { bias: true, ..Conv::same(4, 1, 1) })?;
        let sum = graph.add(&[depthwise, biased])?;
        let cost = graph.classifier(sum, 10)?.cost();
        // Outputs of 4 × 4 places; in turn 3·3·3, 5·5 and 4 + 1 for every element of the output.
        assert_eq!(cost.macs, 64 * 27 + 64 * 25 + 64 * 5 + 50);
        assert_eq!(cost.parameters, 4 * 27 + 8 + 4 * 25 + 4 * 5 + 50);
        // The image (192 elements) and the first convolution's output.
        assert_eq!(cost.peak_activation_bytes, (192 + 64) * 4);
        assert_eq!(cost.depth, 3);
        Ok(())
    }

    #[test]
    fn layers_are_named_with_their_settings_and_share_the_costs() -> Result<(), Error> {
        let (mut graph, image) = GraphBuilder::new(Shape::new(3, 8, 8))?;
        let full = graph.conv(image, Conv::same(4, 3, 2))?;
        let depthwise = graph.conv(full, Conv::depthwise(4, 5, 1, 2))?;
        let graph = graph.classifier(depthwise, 10)?;
        let layers: Vec<_> = graph.layer_costs().collect();
        let names: Vec<_> = layers.iter().map(|layer| layer.operation.as_str()).collect();
        let expected =
            ["input", "convolution 3×3, stride 2", "depthwise convolution 5×5, dilation 2", "global average pooling"];
        assert_eq!(names[..4], expected);
        assert_eq!(layers[1].shape, Shape::new(4, 4, 4));
        let sums = layers.iter().fold((0, 0), |(macs, weights), one| (macs + one.macs, weights + one.parameters));
        let cost = graph.cost();
        assert_eq!(sums, (cost.macs, cost.parameters));
        Ok(())
    }

    #[test]
    fn the_peak_includes_activations_that_wait_for_a_reader() -> Result<(), Error> {
        let (mut graph, image) = GraphBuilder::new(Shape::new(1, 8, 8))?;
        let wide = graph.conv(image, Conv::same(10, 1, 1))?;
        let narrow = graph.conv(wide, Conv::same(1, 1, 1))?;
        let sum = graph.add(&[image, narrow])?;
        let cost = graph.classifier(sum, 2)?.cost();
        assert_eq!(cost.peak_activation_bytes, 64 * (1 + 10 + 1) * 4);
        Ok(())
    }
}
