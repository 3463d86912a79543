//! Removal of layers that cannot change the logits.

use super::{Graph, Layer, LayerId, Op, Shape};

impl Graph {
    /// Whether the logits depend on the image at all.
    ///
    /// A sum depends on it if one of its summands does. A convolution, a normalisation or a pooling of zeros counts as
    /// zeros: it can only add a learnt constant.
    pub fn is_connected(&self) -> bool {
        self.sees_image()[self.output().0]
    }

    /// The same network without dead branches.
    ///
    /// Pruning removes layers that are not read on the way to the logits, and layers that work on zeros only (see
    /// [`is_connected`](Self::is_connected)). A sum with one summand left becomes that summand, which then no longer
    /// ends a droppable path. A concatenation keeps its width: one [`Op::Zero`] replaces a part that is zero.
    ///
    /// If the logits do not depend on the image, the result is a classifier of zeros, which learns one constant: the
    /// same graph for every disconnected network of this input and these classes.
    ///
    /// Pruning twice is pruning once. The costs of a pruned graph of this crate's search spaces are never above those
    /// of the graph itself.
    pub fn pruned(&self) -> Graph {
        let sees_image = self.sees_image();
        if !sees_image[self.output().0] {
            return constant(self.input_shape(), self.classes());
        }
        let mut layers: Vec<Layer> = Vec::with_capacity(self.layers.len());
        // For every layer, the one in its place.
        let mut places: Vec<LayerId> = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let mut inputs = layer.inputs.clone();
            if layer.op == Op::Add {
                inputs.retain(|id| sees_image[id.0] == sees_image[index]);
                // Any summand can replace a sum of zeros.
                if inputs.len() == 1 || !sees_image[index] {
                    let summand = places[inputs[0].0];
                    layers[summand.0].droppable = false;
                    places.push(summand);
                    continue;
                }
            }
            let first_zero = layers.len();
            let mut reads = Vec::with_capacity(inputs.len());
            for id in &inputs {
                let shape = self.layer(*id).shape;
                let is_alike = |other: &&LayerId| sees_image[other.0] && self.layer(**other).shape == shape;
                reads.push(match inputs.iter().find(is_alike) {
                    Some(alike) if layer.op == Op::Concat && !sees_image[id.0] => {
                        let inputs = vec![places[alike.0]];
                        let known = (first_zero..layers.len()).find(|zero| layers[*zero].inputs == inputs);
                        LayerId(known.unwrap_or_else(|| {
                            layers.push(Layer { op: Op::Zero { stride: 1 }, inputs, shape, droppable: false });
                            layers.len() - 1
                        }))
                    }
                    _ => places[id.0],
                });
            }
            places.push(LayerId(layers.len()));
            layers.push(Layer { inputs: reads, ..layer.clone() });
        }
        Graph { layers }.without_unread_layers()
    }

    fn without_unread_layers(self) -> Graph {
        let is_read = self.read_by_logits(|_| true);
        let mut layers = Vec::with_capacity(self.layers.len());
        let mut places = Vec::with_capacity(self.layers.len());
        for (mut layer, is_read) in self.layers.into_iter().zip(is_read) {
            places.push(LayerId(layers.len()));
            if is_read {
                layer.inputs.iter_mut().for_each(|id| *id = places[id.0]);
                layers.push(layer);
            }
        }
        Graph { layers }
    }

    /// For every layer, whether the logits read it, directly or through layers that are `read_through`.
    fn read_by_logits(&self, read_through: impl Fn(&Layer) -> bool) -> Vec<bool> {
        let mut is_read = vec![false; self.layers.len()];
        is_read[self.output().0] = true;
        for (index, layer) in self.layers.iter().enumerate().rev() {
            if is_read[index] && read_through(layer) {
                layer.inputs.iter().for_each(|input| is_read[input.0] = true);
            }
        }
        is_read
    }

    /// For every layer, whether the logits read it, and not through [`Op::Zero`] alone, which gives the same whatever it
    /// reads.
    pub(crate) fn executed(&self) -> Vec<bool> {
        self.read_by_logits(|layer| !matches!(layer.op, Op::Zero { .. }))
    }

    /// For every layer, whether its output depends on the image.
    fn sees_image(&self) -> Vec<bool> {
        let mut sees: Vec<bool> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let mut inputs = layer.inputs.iter().map(|id| sees[id.0]);
            let this = match layer.op {
                Op::Input => true,
                Op::Zero { .. } => false,
                Op::Add | Op::Concat => inputs.any(|sees| sees),
                _ => inputs.all(|sees| sees),
            };
            sees.push(this);
        }
        sees
    }
}

/// A classifier of zeros.
fn constant(input: Shape, classes: usize) -> Graph {
    // The longest stride leaves one place: a whole image of zeros would be the largest activation of the network.
    let stride = input.height.max(input.width);
    let pixel = Shape::new(input.channels, 1, 1);
    let layer = |op, reads: Option<usize>, shape| {
        let inputs = reads.into_iter().map(LayerId).collect();
        Layer { op, inputs, shape, droppable: false }
    };
    let layers = vec![
        layer(Op::Input, None, input),
        layer(Op::Zero { stride }, Some(0), pixel),
        layer(Op::GlobalAveragePool, Some(1), pixel),
        layer(Op::Linear { outputs: classes }, Some(2), Shape::new(classes, 1, 1)),
    ];
    Graph { layers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::graph::{Activation, Conv, GraphBuilder};

    fn operations(graph: &Graph) -> Vec<&'static str> {
        graph.layers.iter().map(|layer| layer.op.name()).collect()
    }

    fn stem() -> Result<(GraphBuilder, LayerId), Error> {
        let (mut graph, image) = GraphBuilder::new(Shape::new(3, 8, 8))?;
        let x = graph.conv(image, Conv::same(4, 3, 1))?;
        Ok((graph, x))
    }

    #[test]
    fn unread_layers_are_removed() -> Result<(), Error> {
        let (mut graph, x) = stem()?;
        let unread = graph.conv(x, Conv::same(8, 3, 1))?;
        graph.batch_norm(unread)?;
        let pruned = graph.classifier(x, 10)?.pruned();
        assert_eq!(operations(&pruned), ["input", "convolution", "global average pooling", "linear"]);
        Ok(())
    }

    #[test]
    fn zero_summands_are_removed_with_their_layers() -> Result<(), Error> {
        let (mut graph, x) = stem()?;
        let zero = graph.push(Op::Zero { stride: 1 }, &[x])?;
        let conv = graph.conv(zero, Conv::same(4, 3, 1))?;
        let norm = graph.batch_norm(conv)?;
        let relu = graph.activation(x, Activation::Relu)?;
        graph.mark_droppable(relu);
        let sum = graph.add(&[relu, norm])?;
        let three = graph.add(&[sum, norm, x])?;
        let written = graph.classifier(three, 10)?;
        let pruned = written.pruned();
        assert_eq!(
            operations(&pruned),
            ["input", "convolution", "activation", "add", "global average pooling", "linear"]
        );
        assert_eq!(pruned.layers[3].inputs, [LayerId(2), LayerId(1)]);
        // It replaces the sum that it was a droppable path of.
        assert!(!pruned.layers[2].droppable);
        assert!(written.is_connected() && pruned.is_connected());
        assert_eq!(pruned.pruned(), pruned);
        Ok(())
    }

    #[test]
    fn droppable_paths_stay_droppable() -> Result<(), Error> {
        let (mut graph, x) = stem()?;
        let relu = graph.activation(x, Activation::Relu)?;
        graph.mark_droppable(relu);
        let sum = graph.add(&[relu, x])?;
        assert!(graph.classifier(sum, 10)?.pruned().layers[2].droppable);
        Ok(())
    }

    #[test]
    fn concat_keeps_its_zeros() -> Result<(), Error> {
        let (mut graph, x) = stem()?;
        let zero = graph.push(Op::Zero { stride: 1 }, &[x])?;
        let dead = graph.conv(zero, Conv::same(4, 5, 1))?;
        let both = graph.concat(&[dead, x, dead])?;
        let pruned = graph.classifier(both, 10)?.pruned();
        assert_eq!(operations(&pruned), ["input", "convolution", "zero", "concat", "global average pooling", "linear"]);
        assert_eq!(pruned.layers[3].inputs, [2, 1, 2].map(LayerId));
        assert_eq!(pruned.layers[3].shape, Shape::new(12, 8, 8));
        assert_eq!(pruned.pruned(), pruned);
        Ok(())
    }

    #[test]
    fn zeros_of_a_unique_shape_keep_their_layers() -> Result<(), Error> {
        let (mut graph, x) = stem()?;
        let zero = graph.push(Op::Zero { stride: 1 }, &[x])?;
        let sum = graph.add(&[zero, zero])?;
        let dead = graph.conv(sum, Conv::same(7, 1, 1))?;
        let both = graph.concat(&[dead, x])?;
        let pruned = graph.classifier(both, 10)?.pruned();
        assert_eq!(
            operations(&pruned),
            ["input", "convolution", "zero", "convolution", "concat", "global average pooling", "linear"]
        );
        assert_eq!(pruned.layers[4].shape, Shape::new(11, 8, 8));
        assert_eq!(pruned.pruned(), pruned);
        Ok(())
    }

    #[test]
    fn a_disconnected_network_becomes_a_constant() -> Result<(), Error> {
        let (mut graph, x) = stem()?;
        let zero = graph.push(Op::Zero { stride: 2 }, &[x])?;
        let conv = graph.conv(zero, Conv::same(4, 3, 1))?;
        let sum = graph.add(&[zero, conv])?;
        let gate = graph.push(Op::GlobalAveragePool, &[x])?;
        let scaled = graph.push(Op::Scale, &[sum, gate])?;
        let written = graph.classifier(scaled, 7)?;
        let pruned = written.pruned();
        assert!(!written.is_connected() && !pruned.is_connected());
        assert_eq!(operations(&pruned), ["input", "zero", "global average pooling", "linear"]);
        assert_eq!((pruned.input_shape(), pruned.classes()), (Shape::new(3, 8, 8), 7));
        assert_eq!(pruned.pruned(), pruned);
        Ok(())
    }
}
