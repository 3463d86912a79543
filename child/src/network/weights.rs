//! The weights of a network.

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use crate::graph::{Graph, Op};

/// One entry for each layer of the graph, empty for layers of another kind.
#[derive(Module, Debug)]
pub(crate) struct Weights {
    /// `[channels out, channels in / groups, kernel, kernel]` each.
    kernels: Vec<Option<Param<Tensor<4>>>>,
    /// `[channels out]` each, for convolutions with bias.
    biases: Vec<Option<Param<Tensor<1>>>>,
    batch_norms: Vec<Option<BatchNorm>>,
    /// `[features, classes]`.
    classifier: Param<Tensor<2>>,
    /// `[classes]`.
    classifier_bias: Param<Tensor<1>>,
}

impl Weights {
    /// Fresh weights, every one drawn from `rng` in the order of the layers: kernels normal with variance
    /// 2 / fan-in (He et al. 2015, §2.2), the classifier uniform within ±1/√features, biases 0, scales 1.
    ///
    /// burn's own initialisers draw from a generator that all threads share, and at first use. These do not, so that the
    /// same seed gives the same network, also while other networks are trained.
    pub(crate) fn init(graph: &Graph, device: &Device, rng: &mut ChaCha8Rng) -> Self {
        let layers = &graph.layers;
        let mut kernels = vec![None; layers.len()];
        let mut biases = vec![None; layers.len()];
        let mut batch_norms = vec![None; layers.len()];
        let (mut features, mut classes) = (0, 0);
        for (index, layer) in layers.iter().enumerate() {
            match layer.op {
                Op::Conv(conv) => {
                    let inputs = graph.layer(layer.inputs[0]).shape.channels / conv.groups;
                    let shape = [conv.channels, inputs, conv.kernel, conv.kernel];
                    let fan_in = (inputs * conv.kernel * conv.kernel) as f32;
                    kernels[index] = Some(param(he_normal(shape.iter().product(), fan_in, rng), shape, device));
                    biases[index] = conv.bias.then(|| param(vec![0.0; conv.channels], [conv.channels], device));
                }
                Op::BatchNorm => batch_norms[index] = Some(unit_batch_norm(layer.shape.channels, device)),
                Op::Linear { outputs } => {
                    (features, classes) = (graph.layer(layer.inputs[0]).shape.channels, outputs);
                }
                _ => {}
            }
        }
        let bound = 1.0 / (features.max(1) as f32).sqrt();
        let classifier = (0..features * classes).map(|_| rng.random_range(-bound..=bound)).collect();
        Self {
            kernels,
            biases,
            batch_norms,
            classifier: param(classifier, [features, classes], device),
            classifier_bias: param(vec![0.0; classes], [classes], device),
        }
    }

    /// The device of the weights, where the images have to be too.
    pub(crate) fn device(&self) -> Device {
        self.classifier.val().device()
    }

    /// Kernel and bias of the convolution at a layer.
    pub(crate) fn convolution(&self, layer: usize) -> (Tensor<4>, Option<Tensor<1>>) {
        let kernel = self.kernels[layer].as_ref().expect("every convolution of the graph was given a kernel");
        (kernel.val(), self.biases[layer].as_ref().map(Param::val))
    }

    pub(crate) fn batch_norm(&self, layer: usize) -> &BatchNorm {
        self.batch_norms[layer].as_ref().expect("every batch norm of the graph was given its weights")
    }

    /// Matrix `[features, classes]` and bias `[classes]` of the classifier.
    pub(crate) fn classifier(&self) -> (Tensor<2>, Tensor<1>) {
        (self.classifier.val(), self.classifier_bias.val())
    }
}

fn param<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values, shape), device)
}

fn he_normal(count: usize, fan_in: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let normal = Normal::new(0.0, (2.0 / fan_in).sqrt()).expect("a fan-in of at least 1 gives a finite deviation");
    (0..count).map(|_| normal.sample(rng)).collect()
}

/// A batch norm with its scale and shift; burn alone would make them at first use.
fn unit_batch_norm(channels: usize, device: &Device) -> BatchNorm {
    let mut norm = BatchNormConfig::new(channels).init(device);
    norm.gamma = param(vec![1.0; channels], [channels], device);
    norm.beta = param(vec![0.0; channels], [channels], device);
    norm
}
