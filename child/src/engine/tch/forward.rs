//! The forward pass in LibTorch's tensors, `[batch, channels, height, width]` with their channels innermost in memory.

use ::tch::Tensor;

use super::channels_last;
use super::weights::Parts;
use crate::graph::{Activation, Graph, Op, Pool, PoolKind, Shape};
use crate::network::Norm;

/// A forward pass.
pub(super) struct Forward<'a> {
    pub(super) graph: &'a Graph,
    /// Layers to compute, which are those that can change the logits: [`Graph::executed`].
    pub(super) is_alive: &'a [bool],
    /// One entry for each layer.
    pub(super) parts: &'a [Parts],
    /// `[paths, batch, 1, 1, 1]`; `None` where no path is left out.
    pub(super) path_factors: Option<Tensor>,
    /// While training, for each norm the batch's mean and 1 / √(variance + ε) are put here; `None` in evaluation mode.
    pub(super) statistics: Option<&'a mut Vec<(Tensor, Tensor)>>,
}

impl Forward<'_> {
    /// Logits of a batch of images, `[batch, classes]`.
    pub(super) fn logits(mut self, images: Tensor) -> Tensor {
        let graph = self.graph;
        let (batch, device, kind) = (images.size()[0], images.device(), images.kind());
        let last_readers = graph.last_readers();
        let mut outputs: Vec<Option<Tensor>> = graph.layers.iter().map(|_| None).collect();
        outputs[0] = Some(images);
        let mut path = 0;
        for (index, layer) in graph.layers.iter().enumerate() {
            let of_path = layer.droppable.then_some(path);
            path += i64::from(layer.droppable);
            if index == 0 || !self.is_alive[index] {
                continue;
            }
            let mut output = match layer.op {
                Op::Zero { .. } => {
                    let Shape { channels, height, width } = layer.shape;
                    let sizes = [batch, channels as i64, height as i64, width as i64];
                    channels_last(&Tensor::zeros(sizes.iter().product::<i64>(), (kind, device)), sizes)
                }
                op => {
                    let of_input = |id: &crate::graph::LayerId| outputs[id.0].as_ref().expect("computed before");
                    let inputs: Vec<&Tensor> = layer.inputs.iter().map(of_input).collect();
                    self.of_layer(index, op, &inputs)
                }
            };
            for id in layer.inputs.iter().filter(|id| last_readers[id.0] == index) {
                outputs[id.0] = None;
            }
            if let (Some(factors), Some(path)) = (&self.path_factors, of_path) {
                output = output * factors.get(path).to_kind(kind);
            }
            outputs[index] = Some(output);
        }
        outputs.pop().flatten().expect("the last layer is alive")
    }

    fn of_layer(&mut self, index: usize, op: Op, inputs: &[&Tensor]) -> Tensor {
        let x = inputs[0];
        match (op, &self.parts[index]) {
            (Op::Conv(conv), Parts::Convolution { kernel, bias }) => {
                let [mut stride, padding, dilation] = [conv.stride, conv.padding, conv.dilation].map(|n| n as i64);
                let mut x = x.shallow_clone();
                if !x.device().is_cuda() && conv.kernel == 1 && padding == 0 && stride > 1 {
                    // LibTorch 2.9 gives wrong derivatives by such kernels on processors, and writes beyond its memory,
                    // where they read 2 or 4 channels that lie innermost.
                    x = x.slice(2, None, None, stride).slice(3, None, None, stride);
                    stride = 1;
                }
                let [stride, padding, dilation] = [stride, padding, dilation].map(|n| [n; 2]);
                x.conv2d(kernel, bias.as_ref(), stride, padding, dilation, conv.groups as i64)
            }
            (Op::BatchNorm, Parts::BatchNorm { scale, shift, mean, variance }) => {
                let (momentum, epsilon) = (Norm::MOMENTUM, Norm::EPSILON);
                match &mut self.statistics {
                    // LibTorch would bring running statistics on by the unbiased variance.
                    Some(statistics) => {
                        let no: Option<&Tensor> = None;
                        let (output, mean, inverse) =
                            x.native_batch_norm(Some(scale), Some(shift), no, no, true, momentum, epsilon);
                        statistics.push((mean.detach(), inverse.detach()));
                        output
                    }
                    None => {
                        let [scale, shift, mean, variance] = [scale, shift, mean, variance].map(Some);
                        x.batch_norm(scale, shift, mean, variance, false, momentum, epsilon, true)
                    }
                }
            }
            (Op::Linear { .. }, Parts::Linear { matrix, bias }) => bias.addmm(&x.flatten(1, -1), matrix),
            (Op::Activation(Activation::Relu), _) => x.relu(),
            (Op::Activation(Activation::Relu6), _) => x.clamp(0.0, 6.0),
            (Op::Activation(Activation::Sigmoid), _) => x.sigmoid(),
            (Op::Activation(Activation::HardSigmoid), _) => x.hardsigmoid(),
            (Op::Pool(pool), _) => pooled(x, &pool),
            (Op::GlobalAveragePool, _) => x.adaptive_avg_pool2d([1, 1]),
            (Op::Add, _) => inputs[1..].iter().fold(x.shallow_clone(), |sum, y| sum + *y),
            (Op::Concat, _) => Tensor::cat(inputs, 1),
            (Op::Scale, _) => x * inputs[1],
            (other, _) => unreachable!("{} has no weights or no inputs", other.name()),
        }
    }
}

/// The padding counts neither in a mean nor in a maximum.
fn pooled(x: &Tensor, pool: &Pool) -> Tensor {
    let [kernel, stride, padding] = [pool.kernel, pool.stride, pool.padding].map(|n| [n as i64; 2]);
    match pool.kind {
        PoolKind::Max => x.max_pool2d(kernel, stride, padding, [1, 1], false),
        PoolKind::Average => x.avg_pool2d(kernel, stride, padding, false, false, None),
    }
}
