//! The burn network of a [`Graph`].

mod drop_path;
#[cfg(test)]
#[cfg(feature = "flex")]
mod gradient_tests;
mod pooling;
#[cfg(test)]
#[cfg(feature = "flex")]
pub(crate) mod reference;
mod weights;

pub use drop_path::DropPath;
use weights::Weights;

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::activation::{hard_sigmoid, relu, sigmoid};
use burn::tensor::module::{adaptive_avg_pool2d, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use crate::graph::{Activation, Conv, Graph, LayerId, Op, Shape};

/// A network: its graph, and the weights of every layer that has some.
#[derive(Debug, Clone)]
pub struct Network {
    graph: Arc<Graph>,
    pub(crate) weights: Weights,
}

impl Network {
    /// A network with fresh weights, drawn from `rng` in the order of the layers.
    pub fn init(graph: Arc<Graph>, device: &Device, rng: &mut ChaCha8Rng) -> Self {
        let weights = Weights::init(&graph, device, rng);
        Self { graph, weights }
    }

    /// The graph that it computes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The network in evaluation mode: off the autodiff graph, batch norms using their running statistics.
    pub fn valid(&self) -> Self {
        Self { graph: Arc::clone(&self.graph), weights: self.weights.valid() }
    }

    /// Logits of a batch of images.
    ///
    /// With `drop_path`, whole paths are left out at random for each image, as in training.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, height, width]`
    /// - result: `[batch, classes]`
    ///
    /// # Panics
    /// If the images have another shape than the graph's input.
    pub fn forward(&self, images: Tensor<4>, mut drop_path: Option<&mut DropPath>) -> Tensor<2> {
        let [batch, channels, height, width] = images.dims();
        assert_eq!(Shape::new(channels, height, width), self.graph.input_shape(), "shape of the images");
        let mut outputs: Vec<Option<Tensor<4>>> = vec![None; self.graph.layers.len()];
        outputs[0] = Some(images);
        let last_readers = self.graph.last_readers();
        for (index, layer) in self.graph.layers.iter().enumerate().skip(1) {
            let inputs: Vec<_> = layer.inputs.iter().map(|id| read(&outputs, *id)).collect();
            for id in layer.inputs.iter().filter(|id| last_readers[id.0] == index) {
                outputs[id.0] = None;
            }
            let mut output = self.layer(index, layer.op, inputs);
            if let Some(drop_path) = drop_path.as_deref_mut().filter(|_| layer.droppable) {
                output = drop_path.apply(output);
            }
            outputs[index] = Some(output);
        }
        let logits = outputs.pop().flatten().expect("the last layer was computed by the loop");
        logits.reshape([batch, self.graph.classes()])
    }

    /// Output of one layer, `[batch, channels, height, width]` like its inputs.
    fn layer(&self, index: usize, op: Op, mut inputs: Vec<Tensor<4>>) -> Tensor<4> {
        let x = inputs.remove(0);
        match op {
            Op::Input => unreachable!("a graph's only input is its first layer"),
            Op::Conv(conv) => {
                let (weight, bias) = self.weights.convolution(index);
                conv2d(x, weight, bias, options(&conv))
            }
            Op::BatchNorm => self.weights.batch_norm(index).forward(x),
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
                let (weight, bias) = self.weights.classifier();
                let [batch, features, ..] = x.dims();
                let logits = x.reshape([batch, features]).matmul(weight) + bias.unsqueeze();
                logits.reshape([batch, outputs, 1, 1])
            }
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
