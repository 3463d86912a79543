//! One key for all encodings of the same network.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest, Sha256};

use super::{Activation, Graph, Op, PoolKind, Shape};

/// Key of a network's canonical form: see [`Graph::canonical`]. Shown as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalKey([u8; 16]);

impl fmt::Display for CanonicalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A key of other bits that identify a network, such as a hash of its text.
impl From<[u8; 16]> for CanonicalKey {
    fn from(bits: [u8; 16]) -> Self {
        Self(bits)
    }
}

impl Graph {
    /// The key of the network that the graph means: two graphs with the same key need only one evaluation.
    ///
    /// Computed on the [`pruned`](Self::pruned) graph, in which a sum that only one other sum reads becomes part of
    /// that sum, and in which zeros are zeros wherever they come from. Colours are refined along and against the edges
    /// until they distinguish no further layers (Weisfeiler and Leman 1968, on a directed acyclic graph); the key is a
    /// SHA-256 of all colours, cut to 128 bits, so it is the same on every machine and in every version of Rust.
    ///
    /// - Graphs that differ in the order of their layers or of their summands only have the same key.
    /// - Operations and their settings, shapes, the order of concatenation and sharing count: a convolution read twice
    ///   is another network than two convolutions of the same input. Drop-path's marks do not count.
    /// - Different networks nearly always have different keys: refinement does not distinguish some graphs of many equal
    ///   layers that are wired in different rings. NAS-Bench-201 has none, which a test proves by matching layer by layer.
    pub fn canonical(&self) -> CanonicalKey {
        let nodes = nodes(&self.pruned());
        let mut colours: Vec<_> = nodes.iter().map(|node| digest([&node.kind[..]])).collect();
        let mut distinguished = 0;
        loop {
            refine(&nodes, &mut colours);
            let distinct = colours.iter().collect::<BTreeSet<_>>().len();
            if distinct == distinguished {
                break;
            }
            distinguished = distinct;
        }
        colours.sort_unstable();
        CanonicalKey(digest(&colours))
    }
}

/// 128 bits that represent a layer and the surroundings seen so far.
type Colour = [u8; 16];

/// A layer, reduced to what matters for the network.
#[derive(Debug, Clone)]
struct Node {
    /// Operation, settings and shape.
    kind: Vec<u8>,
    /// Whether the order of the inputs does not matter.
    is_sum: bool,
    inputs: Vec<usize>,
}

/// The layers of a pruned graph, with equal zeros merged and nested sums flattened.
fn nodes(graph: &Graph) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut places: Vec<usize> = Vec::new();
    for layer in &graph.layers {
        let kind = kind(layer.op, layer.shape);
        let is_zero = matches!(layer.op, Op::Zero { .. });
        let known = if is_zero { nodes.iter().position(|node| node.kind == kind) } else { None };
        places.push(known.unwrap_or(nodes.len()));
        if known.is_none() {
            let reads = if is_zero { &[][..] } else { &layer.inputs[..] };
            let inputs = reads.iter().map(|id| places[id.0]).collect();
            nodes.push(Node { kind, is_sum: layer.op == Op::Add, inputs });
        }
    }
    flatten_sums(nodes)
}

/// Moves the summands of every sum whose only reader is another sum into that sum.
fn flatten_sums(mut nodes: Vec<Node>) -> Vec<Node> {
    let mut readers: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for input in &node.inputs {
            readers[*input].insert(index);
        }
    }
    let mut stays = vec![true; nodes.len()];
    // From the logits backwards: summands moved into a sum are then examined as part of that sum.
    for outer in (0..nodes.len()).rev().filter(|index| nodes[*index].is_sum).collect::<Vec<_>>() {
        while let (true, Some(inner)) = (stays[outer], nested_sum(&nodes, &readers, outer)) {
            let moved = std::mem::take(&mut nodes[inner].inputs);
            for summand in &moved {
                readers[*summand].remove(&inner);
                readers[*summand].insert(outer);
            }
            let summands = std::mem::take(&mut nodes[outer].inputs);
            let replaced = summands.into_iter().flat_map(|s| if s == inner { moved.clone() } else { vec![s] });
            nodes[outer].inputs = replaced.collect();
            stays[inner] = false;
        }
    }
    let mut places = Vec::with_capacity(nodes.len());
    let mut kept = 0;
    for stays in &stays {
        places.push(kept);
        kept += usize::from(*stays);
    }
    let remaining = nodes.into_iter().zip(&stays).filter(|(_, stays)| **stays);
    remaining.map(|(node, _)| Node { inputs: node.inputs.iter().map(|id| places[*id]).collect(), ..node }).collect()
}

/// A summand of the sum `outer` that is a sum itself and has no other reader.
fn nested_sum(nodes: &[Node], readers: &[BTreeSet<usize>], outer: usize) -> Option<usize> {
    let mut summands = nodes[outer].inputs.iter().copied();
    summands.find(|inner| nodes[*inner].is_sum && readers[*inner].len() == 1)
}

/// One refinement: by the inputs of a layer, then by its readers and their places for it.
fn refine(nodes: &[Node], colours: &mut [Colour]) {
    for (index, node) in nodes.iter().enumerate() {
        let mut seen: Vec<Colour> = node.inputs.iter().map(|id| colours[*id]).collect();
        if node.is_sum {
            seen.sort_unstable();
        }
        colours[index] = digest(std::iter::once(&colours[index]).chain(&seen));
    }
    let mut seen: Vec<Vec<Colour>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate().rev() {
        seen[index].sort_unstable();
        colours[index] = digest(std::iter::once(&colours[index]).chain(&seen[index]));
        for (place, input) in node.inputs.iter().enumerate() {
            let place = if node.is_sum { 0 } else { place as u64 + 1 };
            seen[*input].push(digest([&place.to_le_bytes()[..], &colours[index]]));
        }
    }
}

fn digest<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> Colour {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let whole = hasher.finalize();
    std::array::from_fn(|index| whole[index])
}

/// An operation, its settings and its output's shape as bytes that never change.
fn kind(op: Op, shape: Shape) -> Vec<u8> {
    let settings: Vec<usize> = match op {
        Op::Input => vec![0],
        Op::Conv(c) => {
            vec![1, c.channels, c.kernel, c.stride, c.padding, c.dilation, c.groups, usize::from(c.bias)]
        }
        Op::BatchNorm => vec![2],
        Op::Activation(Activation::Relu) => vec![3, 0],
        Op::Activation(Activation::Relu6) => vec![3, 1],
        Op::Activation(Activation::Sigmoid) => vec![3, 2],
        Op::Activation(Activation::HardSigmoid) => vec![3, 3],
        Op::Pool(pool) => {
            let kind = match pool.kind {
                PoolKind::Average => 0,
                PoolKind::Max => 1,
            };
            vec![4, kind, pool.kernel, pool.stride, pool.padding]
        }
        Op::GlobalAveragePool => vec![5],
        Op::Add => vec![6],
        Op::Concat => vec![7],
        Op::Scale => vec![8],
        // Zeros are zeros at any stride.
        Op::Zero { .. } => vec![9],
        Op::Linear { outputs } => vec![10, outputs],
    };
    let numbers = settings.into_iter().chain([shape.channels, shape.height, shape.width]);
    numbers.flat_map(|number| (number as u64).to_le_bytes()).collect()
}

#[cfg(test)]
mod function_tests;
#[cfg(test)]
mod tests;
