//! One cell: its operations and how its blocks are wired.

use crate::Error;
use crate::graph::{Activation, Conv, GraphBuilder, LayerId, Op, Pool, PoolKind};
use crate::space::blocks::{conv_bn, relu_conv_bn};

/// The operation of a block on one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    None,
    SkipConnect,
    Conv { kernel: usize },
    SeparableConv { kernel: usize },
    DilatedConv { kernel: usize },
    Pool(PoolKind),
}

/// The known operations by name.
pub(super) const OPERATIONS: [(&str, Operation); 13] = [
    ("none", Operation::None),
    ("skip_connect", Operation::SkipConnect),
    ("conv_1x1", Operation::Conv { kernel: 1 }),
    ("conv_3x3", Operation::Conv { kernel: 3 }),
    ("conv_5x5", Operation::Conv { kernel: 5 }),
    ("conv_7x7", Operation::Conv { kernel: 7 }),
    ("sep_conv_3x3", Operation::SeparableConv { kernel: 3 }),
    ("sep_conv_5x5", Operation::SeparableConv { kernel: 5 }),
    ("sep_conv_7x7", Operation::SeparableConv { kernel: 7 }),
    ("dil_conv_3x3", Operation::DilatedConv { kernel: 3 }),
    ("dil_conv_5x5", Operation::DilatedConv { kernel: 5 }),
    ("avg_pool_3x3", Operation::Pool(PoolKind::Average)),
    ("max_pool_3x3", Operation::Pool(PoolKind::Max)),
];

/// Two paths that are added, each the number of an input and its operation.
pub(super) type Block = [(usize, Operation); 2];

/// A cell and its place in the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a> {
    pub(super) blocks: &'a [Block],
    /// Channels of each block.
    pub(super) channels: usize,
    /// 2 in a reduction cell, else 1.
    pub(super) stride: usize,
}

impl Cell<'_> {
    /// Appends the cell after the outputs of the last two, the older one first.
    pub(super) fn append(self, graph: &mut GraphBuilder, (older, newer): (LayerId, LayerId)) -> Result<LayerId, Error> {
        let after_reduction = graph.shape(older).height != graph.shape(newer).height
            || graph.shape(older).width != graph.shape(newer).width;
        let older_stride = if after_reduction { 2 } else { 1 };
        let mut inputs = vec![
            relu_conv_bn(graph, older, Conv::same(self.channels, 1, older_stride))?,
            relu_conv_bn(graph, newer, Conv::same(self.channels, 1, 1))?,
        ];
        let cell_inputs = inputs.len();
        for block in self.blocks {
            let mut paths = Vec::with_capacity(block.len());
            for (input, operation) in block {
                let stride = if *input < cell_inputs { self.stride } else { 1 };
                paths.push(operation.append(graph, inputs[*input], stride)?);
            }
            inputs.push(graph.add(&paths)?);
        }
        let mut unread = Vec::new();
        for (number, block) in inputs.iter().enumerate().skip(cell_inputs) {
            if !self.blocks.iter().flatten().any(|(input, _)| *input == number) {
                unread.push(*block);
            }
        }
        graph.concat(&unread)
    }
}

impl Operation {
    /// Appends the operation; it keeps the number of channels.
    fn append(self, graph: &mut GraphBuilder, input: LayerId, stride: usize) -> Result<LayerId, Error> {
        let channels = graph.shape(input).channels;
        let end = match self {
            Self::SkipConnect if stride == 1 => return Ok(input),
            Self::None => return graph.push(Op::Zero { stride }, &[input]),
            Self::SkipConnect => relu_conv_bn(graph, input, Conv::same(channels, 1, stride))?,
            Self::Conv { kernel } => relu_conv_bn(graph, input, Conv::same(channels, kernel, stride))?,
            Self::SeparableConv { kernel } => {
                let x = depthwise_pointwise(graph, input, Conv::depthwise(channels, kernel, stride, 1))?;
                depthwise_pointwise(graph, x, Conv::depthwise(channels, kernel, 1, 1))?
            }
            Self::DilatedConv { kernel } => {
                depthwise_pointwise(graph, input, Conv::depthwise(channels, kernel, stride, 2))?
            }
            Self::Pool(kind) => graph.pool(input, Pool { kind, kernel: 3, stride, padding: 1 })?,
        };
        graph.mark_droppable(end);
        Ok(end)
    }
}

/// ReLU, the depthwise convolution, a 1 × 1 convolution, batch norm.
fn depthwise_pointwise(graph: &mut GraphBuilder, input: LayerId, depthwise: Conv) -> Result<LayerId, Error> {
    let x = graph.activation(input, Activation::Relu)?;
    let x = graph.conv(x, depthwise)?;
    conv_bn(graph, x, Conv::same(depthwise.channels, 1, 1))
}
