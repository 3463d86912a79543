//! The parts of a plan.

use super::kernels::norm::Then;
use super::kernels::sweep::Sweep;
use super::map::Map;
use crate::graph::{Activation, Pool};

/// A feature map, or the gradient of one, in the memory of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) map: Map,
}

/// One operation on one image.
#[derive(Debug, Clone)]
pub(super) struct Instruction {
    pub(super) kind: Kind,
    pub(super) reads: Vec<Place>,
    pub(super) writes: Option<Place>,
    /// Whether the result is added to what is there.
    pub(super) add: bool,
}

/// Numbers name nodes, whose weights and norms the instruction uses.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Writes the image.
    Load,
    /// Zeros everywhere.
    Clear,
    Convolve {
        node: usize,
        sweep: Sweep,
    },
    /// Statistics of a norm's input.
    Statistics {
        norm: usize,
    },
    Normalise {
        node: usize,
        then: Then,
    },
    Activate(Activation),
    Pool(Pool),
    /// Means of the channels.
    Mean,
    Copy,
    /// Copies channels, from the first number on to the second one.
    Channels {
        from: usize,
        to: usize,
        count: usize,
    },
    /// Reads the map and the gate.
    Scale,
    DropPath(usize),
    /// Reads the logits and writes their gradient.
    Loss,
    /// Reads the input and the output's gradient, and adds to the stage's sums from number `first` on.
    WeightGradient {
        node: usize,
        sweep: Sweep,
        first: usize,
    },
    /// Reads the output's gradient and writes the input's.
    ConvolveBackward {
        node: usize,
        sweeps: Vec<Sweep>,
    },
    /// Reads the norm's input and the output's gradient.
    NormSums {
        norm: usize,
    },
    /// Reads them as well, and writes the input's gradient.
    NormBackward {
        node: usize,
    },
    /// Reads the output and its gradient.
    ActivationBackward(Activation),
    /// Reads the output's gradient and, for a maximum, the input.
    PoolBackward(Pool),
    /// Reads the gradient of a mean.
    Spread,
    /// Reads the map and the output's gradient, and writes the gate's.
    GateBackward,
}

/// Instructions that run image by image, and what the whole batch gives after them.
#[derive(Debug, Default)]
pub(super) struct Stage {
    pub(super) instructions: Vec<Instruction>,
    /// Norms whose statistics are complete, by node.
    pub(super) statistics: Vec<usize>,
    /// Norms whose gradient's sums are complete, by node.
    pub(super) sums: Vec<usize>,
    /// Convolutions, by node, whose weights' gradients are complete, each with its first number in the stage's sums.
    pub(super) kernels: Vec<(usize, usize)>,
    /// Numbers of the stage's sums.
    pub(super) kernel_sums: usize,
}

/// The program of a network.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) stages: Vec<Stage>,
    /// Numbers of each slot of an image.
    pub(super) slots: Vec<usize>,
    pub(super) logits: Place,
}

impl Plan {
    /// Bytes that each image takes.
    pub(super) fn image_bytes(&self) -> u64 {
        self.slots.iter().map(|len| *len as u64 * 4).sum()
    }

    /// Most numbers of the gradients of kernels that a stage sums.
    pub(super) fn kernel_sums(&self) -> usize {
        self.stages.iter().map(|stage| stage.kernel_sums).max().unwrap_or(0)
    }
}
