//! The weights of a network as a burn module.

use burn::module::{Module, Param, ParamId};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, Tensor, TensorData};

use crate::graph::{Graph, Op};
use crate::network::{Network, Norm, Weights};

/// One entry for each layer of the graph, empty for layers of another kind.
#[derive(Module, Debug)]
pub(super) struct Parameters {
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

impl Parameters {
    pub(super) fn of(network: &Network, device: &Device) -> Self {
        let graph = network.graph();
        let count = graph.layers.len();
        let mut kernels = vec![None; count];
        let mut biases = vec![None; count];
        let mut batch_norms = vec![None; count];
        let mut classifier = None;
        for (index, weights) in network.weights.iter().enumerate() {
            let layer = &graph.layers[index];
            match weights {
                Weights::None => {}
                Weights::Convolution { kernel, bias } => {
                    kernels[index] = Some(param(kernel, graph.kernel_shape(index), [index, 0], device));
                    biases[index] = bias.as_ref().map(|bias| param(bias, [bias.len()], [index, 1], device));
                }
                Weights::BatchNorm(norm) => batch_norms[index] = Some(batch_norm(norm, index, device)),
                Weights::Linear { matrix, bias } => {
                    let features = graph.layer(layer.inputs[0]).shape.channels;
                    let matrix = param(matrix, [features, bias.len()], [index, 0], device);
                    classifier = Some((matrix, param(bias, [bias.len()], [index, 1], device)));
                }
            }
        }
        let (classifier, classifier_bias) = classifier.expect("a graph ends with its classifier");
        Self { kernels, biases, batch_norms, classifier, classifier_bias }
    }

    /// The weights as they are now, one entry for each layer.
    pub(super) fn weights(&self, graph: &Graph) -> Vec<Weights> {
        let of = |index: usize| match graph.layers[index].op {
            Op::Conv(_) => {
                let (kernel, bias) = self.convolution(index);
                Weights::Convolution { kernel: values(kernel), bias: bias.map(values) }
            }
            Op::BatchNorm => {
                let norm = self.batch_norm(index);
                Weights::BatchNorm(Norm {
                    scale: values(norm.gamma.val()),
                    shift: values(norm.beta.val()),
                    mean: values(norm.running_mean.value_sync()),
                    variance: values(norm.running_var.value_sync()),
                })
            }
            Op::Linear { .. } => {
                let (matrix, bias) = self.classifier();
                Weights::Linear { matrix: values(matrix), bias: values(bias) }
            }
            _ => Weights::None,
        };
        (0..graph.layers.len()).map(of).collect()
    }

    /// The derivative by every number; zeros where burn has none.
    #[cfg(test)]
    pub(super) fn gradients(
        &self,
        graph: &Graph,
        gradients: &burn::tensor::Gradients,
    ) -> crate::engine::reference::Numbers {
        fn of<const D: usize>(tensor: Tensor<D>, gradients: &burn::tensor::Gradients) -> Vec<f64> {
            let gradient = tensor.grad(gradients).map_or_else(|| vec![0.0f32; tensor.shape().num_elements()], values);
            gradient.into_iter().map(f64::from).collect()
        }
        let of_layer = |index: usize| match graph.layers[index].op {
            Op::Conv(_) => {
                let (kernel, bias) = self.convolution(index);
                [of(kernel, gradients), bias.map_or(vec![], |bias| of(bias, gradients))]
            }
            Op::BatchNorm => {
                let norm = self.batch_norm(index);
                [of(norm.gamma.val(), gradients), of(norm.beta.val(), gradients)]
            }
            Op::Linear { .. } => {
                let (matrix, bias) = self.classifier();
                [of(matrix, gradients), of(bias, gradients)]
            }
            _ => Default::default(),
        };
        (0..graph.layers.len()).map(of_layer).collect()
    }

    /// Kernel and bias of the convolution at a layer.
    pub(super) fn convolution(&self, layer: usize) -> (Tensor<4>, Option<Tensor<1>>) {
        let kernel = self.kernels[layer].as_ref().expect("every convolution of the graph was given a kernel");
        (kernel.val(), self.biases[layer].as_ref().map(Param::val))
    }

    pub(super) fn batch_norm(&self, layer: usize) -> &BatchNorm {
        self.batch_norms[layer].as_ref().expect("every batch norm of the graph was given its weights")
    }

    /// Matrix `[features, classes]` and bias `[classes]` of the classifier.
    pub(super) fn classifier(&self) -> (Tensor<2>, Tensor<1>) {
        (self.classifier.val(), self.classifier_bias.val())
    }
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// The first or second list of a layer. Its name is the same in each program, since the optimiser's record names the
/// momentum by it.
fn param<const D: usize>(
    values: &[f32],
    shape: [usize; D],
    [layer, list]: [usize; 2],
    device: &Device,
) -> Param<Tensor<D>> {
    let mut param = Param::from_data(TensorData::new(values.to_vec(), shape), device);
    param.id = ParamId::from((2 * layer + list) as u64);
    param
}

fn batch_norm(norm: &Norm, layer: usize, device: &Device) -> BatchNorm {
    let channels = norm.scale.len();
    let config = BatchNormConfig::new(channels).with_epsilon(Norm::EPSILON).with_momentum(Norm::MOMENTUM);
    let mut result = config.init(device);
    result.gamma = param(&norm.scale, [channels], [layer, 0], device);
    result.beta = param(&norm.shift, [channels], [layer, 1], device);
    result.running_mean.update(tensor(&norm.mean, [channels], device));
    result.running_var.update(tensor(&norm.variance, [channels], device));
    result
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().expect("converted to this type just before")
}
