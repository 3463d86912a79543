//! The graph of a child network: layers in topological order, with inferred shapes.
//!
//! The networks of the engines, the ONNX file, the costs ([`Cost`]), the canonical form ([`CanonicalKey`]) and the features of a
//! surrogate ([`Features`]) are all derived from this one description.

mod builder;
mod canonical;
mod cost;
mod features;
mod layer;
mod memory;
mod prune;
#[cfg(test)]
mod tests;

pub use builder::GraphBuilder;
pub use canonical::CanonicalKey;
pub use cost::{Cost, LayerCost};
pub use features::Features;
pub(crate) use layer::Layer;
pub use layer::{Activation, Conv, LayerId, Op, Pool, PoolKind};

use serde::{Deserialize, Serialize};

/// Shape of one image or feature map, without the batch: `[channels, height, width]`.
///
/// After global pooling and in the classifier, height and width are 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Number of channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// A shape from its three numbers.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Number of elements of one image.
    pub const fn elements(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {}, {}]", self.channels, self.height, self.width)
    }
}

/// A network: layers in topological order, the first of which is the input and the last the logits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Graph {
    /// Every one after its inputs. The first is [`Op::Input`], the last gives the logits.
    pub(crate) layers: Vec<Layer>,
}

impl Graph {
    pub(crate) fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.0]
    }

    /// Shape of a convolution's kernel, by its layer: `[channels out, channels in / groups, kernel, kernel]`.
    pub(crate) fn kernel_shape(&self, layer: usize) -> [usize; 4] {
        let layer = &self.layers[layer];
        match layer.op {
            Op::Conv(conv) => {
                let inputs = self.layer(layer.inputs[0]).shape.channels / conv.groups;
                [conv.channels, inputs, conv.kernel, conv.kernel]
            }
            other => unreachable!("{} has no kernel", other.name()),
        }
    }

    /// Shape of an input image.
    pub fn input_shape(&self) -> Shape {
        self.layers[0].shape
    }

    /// Number of logits.
    pub fn classes(&self) -> usize {
        self.layers[self.layers.len() - 1].shape.channels
    }

    pub(crate) fn output(&self) -> LayerId {
        LayerId(self.layers.len() - 1)
    }

    /// For every layer, the index of its last reader, or its own where no layer reads it.
    pub(crate) fn last_readers(&self) -> Vec<usize> {
        let mut last: Vec<usize> = (0..self.layers.len()).collect();
        for (index, layer) in self.layers.iter().enumerate() {
            for id in &layer.inputs {
                last[id.0] = index;
            }
        }
        last
    }
}
