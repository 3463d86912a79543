//! The forward pass in burn's tensors.

use burn::tensor::activation::{hard_sigmoid, relu, sigmoid};
use burn::tensor::module::{adaptive_avg_pool2d, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};

use super::module::Parameters;
use super::pooling;
use crate::graph::{Activation, Conv, Graph, LayerId, Op, Shape};

/// Logits of a batch of images.
///
/// # Shapes
/// - `images`: `[batch, channels, height, width]`
/// - `path_factors`: for each droppable layer one factor for each image, or empty
/// - result: `[batch, classes]`
///
/// # Panics
/// If the images have another shape than the graph's input.
pub(super) fn logits(
    graph: &Graph,
    parameters: &Parameters,
    images: Tensor<4>,
    path_factors: &[Vec<f32>],
) -> Tensor<2> {
    let [batch, channels, height, width] = images.dims();
    assert_eq!(Shape::new(channels, height, width), graph.input_shape(), "shape of the images");
    let mut path_factors = path_factors.iter();
    let mut outputs: Vec<Option<Tensor<4>>> = vec![None; graph.layers.len()];
    outputs[0] = Some(images);
    let last_readers = graph.last_readers();
    for (index, layer) in graph.layers.iter().enumerate().skip(1) {
        let inputs: Vec<_> = layer.inputs.iter().map(|id| read(&outputs, *id)).collect();
        for id in layer.inputs.iter().filter(|id| last_readers[id.0] == index) {
            outputs[id.0] = None;
        }
        let mut output = of_layer(parameters, index, layer.op, inputs);
        if layer.droppable
            && let Some(factors) = path_factors.next()
        {
            let factors = TensorData::new(factors.clone(), [batch, 1, 1, 1]);
            output = output.clone() * Tensor::<4>::from_data(factors, &output.device());
        }
        outputs[index] = Some(output);
    }
    let logits = outputs.pop().flatten().expect("the last layer was computed by the loop");
    logits.reshape([batch, graph.classes()])
}

/// Output of one layer, `[batch, channels, height, width]` like its inputs.
fn of_layer(parameters: &Parameters, index: usize, op: Op, mut inputs: Vec<Tensor<4>>) -> Tensor<4> {
    let x = inputs.remove(0);
    match op {
        Op::Input => unreachable!("a graph's only input is its first layer"),
        Op::Conv(conv) => {
            let (weight, bias) = parameters.convolution(index);
            conv2d(x, weight, bias, options(&conv))
        }
        Op::BatchNorm => parameters.batch_norm(index).forward(x),
        Op::Activation(Activation::Relu) => relu(x),
        Op::Activation(Activation::Relu6) => x.clamp(0.0, 6.0),
        Op::Activation(Activation::Sigmoid) => sigmoid(x),
        Op::Activation(Activation::HardSigmoid) => hard_sigmoid(x, 1.0 / 6.0, 0.5),
        Op::Pool(pool) => pooling::pool(x, &pool),
        Op::GlobalAveragePool => adaptive_avg_pool2d(x, [1, 1]),
        Op::Add => inputs.into_iter().fold(x, |sum, y| sum + y),
        Op::Concat => {
            inputs.insert(0, x);
            Tensor::cat(inputs, 1)
        }
        Op::Scale => x * inputs.remove(0),
        Op::Zero { stride } => {
            let [batch, channels, height, width] = x.dims();
            Tensor::zeros([batch, channels, height.div_ceil(stride), width.div_ceil(stride)], &x.device())
        }
        Op::Linear { outputs } => {
            let (weight, bias) = parameters.classifier();
            let [batch, features, ..] = x.dims();
            let logits = x.reshape([batch, features]).matmul(weight) + bias.unsqueeze();
            logits.reshape([batch, outputs, 1, 1])
        }
    }
}

fn options(conv: &Conv) -> ConvOptions<2> {
    let [stride, padding, dilation] = [conv.stride, conv.padding, conv.dilation].map(|n| [n, n]);
    ConvOptions::new(stride, padding, dilation, conv.groups)
}

/// A layer's output. Its memory is freed by its last reader, which clears it.
fn read(outputs: &[Option<Tensor<4>>], id: LayerId) -> Tensor<4> {
    outputs[id.0].clone().expect("a layer is computed before those that read it")
}
