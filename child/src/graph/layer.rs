//! Layers and their operations.

use serde::Serialize;

use super::Shape;

/// A layer's place in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct LayerId(pub(crate) usize);

/// One layer: an operation, where its inputs come from, and the shape it gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Layer {
    pub(crate) op: Op,
    /// The layers it reads, each before this one.
    pub(crate) inputs: Vec<LayerId>,
    pub(crate) shape: Shape,
    /// Whether it ends a path that drop-path may leave out while training.
    pub(crate) droppable: bool,
}

/// A two-dimensional convolution with a square kernel, padded on all four sides alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Conv {
    /// Channels of the output.
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Zeros added on each side.
    pub padding: usize,
    /// Distance between the kernel's points.
    pub dilation: usize,
    /// Groups: 1 for a full convolution, the number of input channels for a depthwise one.
    pub groups: usize,
    /// Whether a bias is added: where no batch norm follows.
    pub bias: bool,
}

impl Conv {
    /// A full convolution without bias that keeps the size at stride 1.
    pub const fn same(channels: usize, kernel: usize, stride: usize) -> Self {
        Self { channels, kernel, stride, padding: kernel / 2, dilation: 1, groups: 1, bias: false }
    }

    /// A depthwise convolution over `channels` channels without bias that keeps the size at stride 1.
    pub const fn depthwise(channels: usize, kernel: usize, stride: usize, dilation: usize) -> Self {
        Self { channels, kernel, stride, padding: dilation * (kernel - 1) / 2, dilation, groups: channels, bias: false }
    }
}

/// A pooling over a square window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Pool {
    /// Mean or maximum.
    pub kind: PoolKind,
    /// Side of the window.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Padding on each side; padded places do not count in a mean.
    pub padding: usize,
}

/// The statistic that a pooling takes of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum PoolKind {
    /// The mean over the places inside the image.
    Average,
    /// The maximum.
    Max,
}

/// An element-wise non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// `min(max(x / 6 + ½, 0), 1)`, which squeeze-and-excitation uses on phones.
    HardSigmoid,
}

/// The operation of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Op {
    /// The image itself.
    Input,
    /// Convolution.
    Conv(Conv),
    /// Batch normalisation with a learnt scale and shift.
    BatchNorm,
    /// Non-linearity.
    Activation(Activation),
    /// Pooling over windows.
    Pool(Pool),
    /// Mean over each whole channel: `[channels, 1, 1]`.
    GlobalAveragePool,
    /// Sum of one or more inputs of the same shape.
    Add,
    /// Concatenation of inputs along their channels.
    Concat,
    /// Each channel of the first input (`[c, h, w]`) times the one number of the second (`[c, 1, 1]`).
    Scale,
    /// Zeros of the input's size, at a stride: the operation `none` of a cell.
    Zero {
        /// Step in both directions.
        stride: usize,
    },
    /// The fully connected classifier, with bias, from `[channels, 1, 1]`.
    Linear {
        /// Number of outputs.
        outputs: usize,
    },
}

impl Op {
    /// The operation with the settings that tell it from others of its kind, such as `convolution 3×3, stride 2`.
    pub(crate) fn in_words(&self) -> String {
        let (name, kernel, stride, dilation) = match self {
            Self::Conv(conv) if conv.groups == conv.channels && conv.groups > 1 => {
                ("depthwise convolution", conv.kernel, conv.stride, conv.dilation)
            }
            Self::Conv(conv) => (self.name(), conv.kernel, conv.stride, conv.dilation),
            Self::Pool(pool) => (self.name(), pool.kernel, pool.stride, 1),
            Self::Zero { stride } => return with_stride(self.name().to_owned(), *stride),
            Self::Activation(activation) => return format!("{activation:?}").to_lowercase(),
            _ => return self.name().to_owned(),
        };
        let text = with_stride(format!("{name} {kernel}×{kernel}"), stride);
        if dilation > 1 { format!("{text}, dilation {dilation}") } else { text }
    }

    /// Name of the operation in messages and features.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Conv(conv) if conv.groups > 1 => "grouped convolution",
            Self::Conv(_) => "convolution",
            Self::BatchNorm => "batch norm",
            Self::Activation(_) => "activation",
            Self::Pool(Pool { kind: PoolKind::Average, .. }) => "average pooling",
            Self::Pool(Pool { kind: PoolKind::Max, .. }) => "max pooling",
            Self::GlobalAveragePool => "global average pooling",
            Self::Add => "add",
            Self::Concat => "concat",
            Self::Scale => "scale",
            Self::Zero { .. } => "zero",
            Self::Linear { .. } => "linear",
        }
    }
}

fn with_stride(text: String, stride: usize) -> String {
    if stride > 1 { format!("{text}, stride {stride}") } else { text }
}
