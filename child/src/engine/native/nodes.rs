//! The network as the engine computes it: the graph's layers, with drop-path as an operation of its own, the classifier as
//! a convolution of one place, and equal activations once.

use crate::graph::{Activation, Conv, Graph, Op, Pool, Shape};

/// One operation and the nodes that it reads, each before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) op: NodeOp,
    pub(super) inputs: Vec<usize>,
    pub(super) shape: Shape,
    /// The layer that it comes from.
    pub(super) layer: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum NodeOp {
    Input,
    Convolution(Conv),
    BatchNorm,
    Activation(Activation),
    Pool(Pool),
    GlobalMean,
    Add,
    Concat,
    Scale,
    Zero,
    /// Times the image's factor of a droppable path, by its number.
    DropPath(usize),
}

/// The nodes of a graph, in topological order. The last one gives the logits.
pub(super) fn of(graph: &Graph) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut node_of = Vec::new();
    let mut paths = 0;
    for (index, layer) in graph.layers.iter().enumerate() {
        let inputs: Vec<usize> = layer.inputs.iter().map(|id| node_of[id.0]).collect();
        let op = match layer.op {
            Op::Input => NodeOp::Input,
            Op::Conv(conv) => NodeOp::Convolution(conv),
            Op::Linear { outputs } => NodeOp::Convolution(Conv { bias: true, ..Conv::same(outputs, 1, 1) }),
            Op::BatchNorm => NodeOp::BatchNorm,
            Op::Activation(activation) => NodeOp::Activation(activation),
            Op::Pool(pool) => NodeOp::Pool(pool),
            Op::GlobalAveragePool => NodeOp::GlobalMean,
            Op::Add => NodeOp::Add,
            Op::Concat => NodeOp::Concat,
            Op::Scale => NodeOp::Scale,
            Op::Zero { .. } => NodeOp::Zero,
        };
        let node = Node { op, inputs, shape: layer.shape, layer: index };
        let is_same =
            |other: &Node| matches!(op, NodeOp::Activation(_)) && (other.op, &other.inputs) == (op, &node.inputs);
        let known = nodes.iter().position(is_same);
        let mut at = known.unwrap_or(nodes.len());
        if known.is_none() {
            nodes.push(node);
        }
        if layer.droppable {
            nodes.push(Node { op: NodeOp::DropPath(paths), inputs: vec![at], shape: layer.shape, layer: index });
            paths += 1;
            at = nodes.len() - 1;
        }
        node_of.push(at);
    }
    nodes
}

/// For each node, those that read it, as often as they do.
pub(super) fn readers(nodes: &[Node]) -> Vec<Vec<usize>> {
    let mut readers = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for input in &node.inputs {
            readers[*input].push(index);
        }
    }
    readers
}

/// For each node, whether its gradient is of use: some weight lies before it.
pub(super) fn need_gradients(nodes: &[Node]) -> Vec<bool> {
    let mut needs: Vec<bool> = Vec::new();
    for node in nodes {
        let own = matches!(node.op, NodeOp::Convolution(_) | NodeOp::BatchNorm);
        needs.push(own || node.op != NodeOp::Zero && node.inputs.iter().any(|input| needs[*input]));
    }
    needs
}
