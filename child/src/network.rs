//! The weights of a [`Graph`]: a network.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::graph::{Graph, Op};

/// A network: its graph, and the weights of every layer that has some.
///
/// The engines of [`train`](crate::train) compute with weights in layouts of their own, and hand them back in this one.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    graph: Arc<Graph>,
    /// One entry for each layer of the graph.
    pub(crate) weights: Vec<Weights>,
}

/// The weights of one layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Weights {
    /// The layer has none.
    None,
    Convolution {
        /// `[channels out, channels in / groups, kernel, kernel]`.
        kernel: Vec<f32>,
        /// `[channels out]`, where the convolution has a bias.
        bias: Option<Vec<f32>>,
    },
    BatchNorm(Norm),
    Linear {
        /// `[features, classes]`.
        matrix: Vec<f32>,
        /// `[classes]`.
        bias: Vec<f32>,
    },
}

/// The weights of a batch norm, `[channels]` each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Norm {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
    /// Running mean of the batches' means.
    pub(crate) mean: Vec<f32>,
    /// Running mean of the batches' biased variances.
    pub(crate) variance: Vec<f32>,
}

impl Weights {
    /// All lists of numbers, in the order of their fields.
    pub(crate) fn lists(&self) -> Vec<&[f32]> {
        match self {
            Self::None => Vec::new(),
            Self::Convolution { kernel, bias } => std::iter::once(kernel).chain(bias).map(Vec::as_slice).collect(),
            Self::BatchNorm(Norm { scale, shift, mean, variance }) => vec![scale, shift, mean, variance],
            Self::Linear { matrix, bias } => vec![matrix, bias],
        }
    }

    /// The same lists, to write to.
    pub(crate) fn lists_mut(&mut self) -> Vec<&mut [f32]> {
        match self {
            Self::None => Vec::new(),
            Self::Convolution { kernel, bias } => std::iter::once(kernel).chain(bias).map(Vec::as_mut_slice).collect(),
            Self::BatchNorm(Norm { scale, shift, mean, variance }) => vec![scale, shift, mean, variance],
            Self::Linear { matrix, bias } => vec![matrix, bias],
        }
    }
}

impl Norm {
    /// Added to a variance, as in PyTorch and burn.
    pub(crate) const EPSILON: f64 = 1e-5;
    /// Weight of a batch in the running statistics, as in PyTorch and burn.
    pub(crate) const MOMENTUM: f64 = 0.1;

    fn unit(channels: usize) -> Self {
        let [zeros, ones] = [0.0, 1.0].map(|value| vec![value; channels]);
        Self { scale: ones.clone(), shift: zeros.clone(), mean: zeros, variance: ones }
    }
}

impl Network {
    /// A network with fresh weights, every one drawn from `rng` in the order of the layers: kernels and the classifier
    /// uniform within ±1/√fan-in, as in PyTorch, biases 0, scales 1.
    ///
    /// A batch norm follows a kernel and makes its scale meaningless for the output, but not for the step of the next
    /// update, which is relative to it: kernels with the variance 2 / fan-in (He et al. 2015), six times as much, learn so
    /// much slower that a cell of NAS-Bench-201 reaches 71.0 % after twelve epochs on CIFAR-10, 77.4 % with these; the
    /// benchmark has 77.7 %.
    pub fn init(graph: Arc<Graph>, rng: &mut ChaCha8Rng) -> Self {
        let mut weights: Vec<Weights> = graph
            .layers
            .iter()
            .enumerate()
            .map(|(index, layer)| match layer.op {
                Op::Conv(conv) => {
                    let [outputs, inputs, height, width] = graph.kernel_shape(index);
                    let fan_in = inputs * height * width;
                    let kernel = uniform(outputs * fan_in, fan_in, rng);
                    Weights::Convolution { kernel, bias: conv.bias.then(|| vec![0.0; conv.channels]) }
                }
                Op::BatchNorm => Weights::BatchNorm(Norm::unit(layer.shape.channels)),
                _ => Weights::None,
            })
            .collect();
        // A graph has one classifier, its last layer.
        if let Some((index, layer)) = graph.layers.iter().enumerate().next_back()
            && let Op::Linear { outputs } = layer.op
        {
            let features = graph.layer(layer.inputs[0]).shape.channels;
            let matrix = uniform(features * outputs, features, rng);
            weights[index] = Weights::Linear { matrix, bias: vec![0.0; outputs] };
        }
        Self { graph, weights }
    }

    /// A network of weights that an engine hands back.
    pub(crate) fn new(graph: Arc<Graph>, weights: Vec<Weights>) -> Self {
        Self { graph, weights }
    }

    /// The graph that it computes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn shared_graph(&self) -> Arc<Graph> {
        Arc::clone(&self.graph)
    }

    /// The weights of the batch norm at a layer.
    pub(crate) fn norm(&self, layer: usize) -> &Norm {
        match &self.weights[layer] {
            Weights::BatchNorm(norm) => norm,
            other => unreachable!("a batch norm has weights of its own, not {other:?}"),
        }
    }
}

fn uniform(count: usize, fan_in: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    (0..count).map(|_| rng.random_range(-bound..=bound)).collect()
}
