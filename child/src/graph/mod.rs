//! The graph of a child network: layers in topological order, with inferred shapes.
//!
//! Everything that is said of a network is derived from this one description: the burn network, the ONNX file, the
//! costs ([`Cost`]), the canonical form and whatever a surrogate is told.

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
pub use canonical::{CanonicalKey, CanonicalKeyError};
pub use cost::Cost;
pub use features::Features;
pub use layer::{Activation, Conv, Layer, LayerId, Op, Pool, PoolKind};

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

/// A layer that cannot follow the ones before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A layer's input has a shape that it cannot take.
    #[error("layer {layer} ({op}) cannot take an input of shape {shape}: {reason}")]
    Shape {
        /// Number of the layer in the graph.
        layer: usize,
        /// Name of its operation.
        op: &'static str,
        /// Shape of the offending input.
        shape: Shape,
        /// What does not fit.
        reason: String,
    },
    /// A setting of a layer makes no sense on its own.
    #[error("layer {layer} ({op}): {reason}")]
    Setting {
        /// Number of the layer in the graph.
        layer: usize,
        /// Name of its operation.
        op: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// A network: layers in topological order, the first of which is the input and the last the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    layers: Vec<Layer>,
}

impl Graph {
    /// The layers, every one after its inputs. The first is [`Op::Input`], the last gives the logits.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// One layer.
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.index()]
    }

    /// Shape of an input image.
    pub fn input_shape(&self) -> Shape {
        self.layers[0].shape
    }

    /// Number of logits.
    pub fn classes(&self) -> usize {
        self.layers[self.layers.len() - 1].shape.channels
    }

    /// The layer that gives the logits.
    pub fn output(&self) -> LayerId {
        LayerId::new(self.layers.len() - 1)
    }
}
