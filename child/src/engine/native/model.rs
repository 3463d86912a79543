//! A network in the engine.

use super::layout::{Layout, Running};
use super::nodes::Node;
use super::vector::Vectors;

/// The network and its weights.
pub(super) struct Model {
    pub(super) vectors: Vectors,
    pub(super) nodes: Vec<Node>,
    pub(super) layout: Layout,
    pub(super) weights: Vec<f32>,
    pub(super) running: Vec<Running>,
}
