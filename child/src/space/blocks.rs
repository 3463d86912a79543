//! Sequences of layers that several spaces share.

use crate::Error;
use crate::graph::{Activation, Conv, GraphBuilder, LayerId};

/// Convolution, batch norm.
pub(super) fn conv_bn(graph: &mut GraphBuilder, input: LayerId, conv: Conv) -> Result<LayerId, Error> {
    let x = graph.conv(input, conv)?;
    graph.batch_norm(x)
}

/// ReLU, convolution, batch norm: the order of cell-based spaces since NASNet.
pub(super) fn relu_conv_bn(graph: &mut GraphBuilder, input: LayerId, conv: Conv) -> Result<LayerId, Error> {
    let x = graph.activation(input, Activation::Relu)?;
    conv_bn(graph, x, conv)
}
