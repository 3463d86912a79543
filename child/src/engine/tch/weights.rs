//! All weights of a network in one tensor, and all its running statistics in two, so that a step of the optimiser is a
//! few operations however many layers there are.

use ::tch::{Device, Kind, Tensor};

use super::channels_last;
use crate::network::{Network, Norm, Weights};
use crate::train::config::Precision;

/// The weights of a network on a device.
///
/// Layers that cannot change the loss are left out: they keep their weights.
pub(super) struct FlatWeights {
    /// The network as it came: its layers' kinds, and the weights of the layers that are left out.
    given: Vec<Weights>,
    /// Kernels, matrices and their biases, which a lower precision rounds; one after the other from the start.
    matrices: Vec<Place>,
    /// Scales and shifts of batch norms, which it leaves alone; they follow the matrices.
    scales: Vec<Place>,
    /// Layer and channels of each batch norm, in the order of the running statistics.
    norms: Vec<(usize, i64)>,
    values: Tensor,
    velocity: Tensor,
    mean: Tensor,
    variance: Tensor,
}

/// One list of numbers.
struct Place {
    layer: usize,
    /// The second of the layer's two lists: the bias, or the shift.
    is_second: bool,
    /// As the network has it; of a kernel `[channels out, channels in / groups, side, side]`.
    shape: Vec<i64>,
}

/// The tensors of one layer: parts of the flat ones.
pub(super) enum Parts {
    /// The layer has none.
    None,
    Convolution {
        kernel: Tensor,
        bias: Option<Tensor>,
    },
    BatchNorm {
        scale: Tensor,
        shift: Tensor,
        mean: Tensor,
        variance: Tensor,
    },
    Linear {
        matrix: Tensor,
        bias: Tensor,
    },
}

impl Place {
    fn len(&self) -> i64 {
        self.shape.iter().product()
    }
}

impl FlatWeights {
    /// # Panics
    /// If the device's memory is too small.
    pub(super) fn new(network: &Network, is_alive: &[bool], device: Device) -> Self {
        let graph = network.graph();
        let (mut matrices, mut scales, mut norms) = (Vec::new(), Vec::new(), Vec::new());
        let (mut values, mut of_norms): (Vec<f32>, Vec<f32>) = Default::default();
        let mut running: [Vec<f32>; 2] = Default::default();
        for (layer, weights) in network.weights.iter().enumerate().filter(|(layer, _)| is_alive[*layer]) {
            let place = |is_second, shape| Place { layer, is_second, shape };
            match weights {
                Weights::None => {}
                Weights::Convolution { kernel, bias } => {
                    let shape = graph.kernel_shape(layer).map(|side| side as i64).to_vec();
                    values.extend(inputs_last(kernel, &shape));
                    matrices.push(place(false, shape));
                    if let Some(bias) = bias {
                        values.extend(bias);
                        matrices.push(place(true, vec![bias.len() as i64]));
                    }
                }
                Weights::Linear { matrix, bias } => {
                    let classes = bias.len() as i64;
                    values.extend(matrix);
                    matrices.push(place(false, vec![matrix.len() as i64 / classes, classes]));
                    values.extend(bias);
                    matrices.push(place(true, vec![classes]));
                }
                Weights::BatchNorm(norm) => {
                    let channels = norm.scale.len() as i64;
                    of_norms.extend(norm.scale.iter().chain(&norm.shift));
                    scales.extend([false, true].map(|is_second| place(is_second, vec![channels])));
                    running[0].extend(&norm.mean);
                    running[1].extend(&norm.variance);
                    norms.push((layer, channels));
                }
            }
        }
        values.extend(of_norms);
        let values = Tensor::from_slice(&values).to_device(device);
        let velocity = values.zeros_like();
        let [mean, variance] = running.map(|values| Tensor::from_slice(&values).to_device(device));
        let values = values.set_requires_grad(true);
        Self { given: network.weights.clone(), matrices, scales, norms, values, velocity, mean, variance }
    }

    /// What gradients are taken by.
    pub(super) fn values(&self) -> &Tensor {
        &self.values
    }

    /// The momentum, as the values lie.
    pub(super) fn velocity(&self) -> Vec<f32> {
        numbers(&self.velocity)
    }

    /// Sets the momentum to numbers that lie as the values; `false` if they are more or fewer.
    pub(super) fn set_velocity(&mut self, bytes: &[u8]) -> bool {
        let mut velocity = numbers(&self.velocity);
        let of_numbers: &mut [u8] = bytemuck::cast_slice_mut(&mut velocity);
        let fits = of_numbers.len() == bytes.len();
        if fits {
            of_numbers.copy_from_slice(bytes);
            self.velocity = Tensor::from_slice(&velocity).to_device(self.velocity.device());
        }
        fits
    }

    /// The tensors of each layer, for a forward pass in the given precision. Their gradients come together again in one
    /// tensor by one concatenation.
    pub(super) fn parts(&self, precision: Precision) -> Vec<Parts> {
        let lengths = |places: &[Place]| places.iter().map(Place::len).collect::<Vec<_>>();
        let (matrices, scales) = (lengths(&self.matrices), lengths(&self.scales));
        let (mut matrices, mut scales) = match precision {
            Precision::Float32 => {
                let mut all = self.values.split_with_sizes([matrices.clone(), scales].concat(), 0);
                let scales = all.split_off(matrices.len());
                (all.into_iter(), scales.into_iter())
            }
            Precision::Bfloat16 => {
                let both = self.values.split_with_sizes([matrices.iter().sum(), scales.iter().sum::<i64>()], 0);
                let rounded = both[0].to_kind(Kind::BFloat16);
                let [matrices, scales] = [(&rounded, matrices), (&both[1], scales)]
                    .map(|(part, lengths)| part.split_with_sizes(lengths, 0).into_iter());
                (matrices, scales)
            }
        };
        let mut running = {
            let lengths: Vec<i64> = self.norms.iter().map(|(_, channels)| *channels).collect();
            let [mean, variance] = [&self.mean, &self.variance].map(|all| all.split_with_sizes(&lengths, 0));
            mean.into_iter().zip(variance)
        };
        let mut parts: Vec<Parts> = self.given.iter().map(|_| Parts::None).collect();
        for place in &self.matrices {
            let tensor = matrices.next().expect("as many parts as places");
            match (&mut parts[place.layer], &self.given[place.layer]) {
                (Parts::Convolution { bias, .. }, _) => *bias = Some(tensor),
                (Parts::Linear { bias, .. }, _) => *bias = tensor,
                (part, Weights::Linear { .. }) => {
                    *part = Parts::Linear { matrix: tensor.view(&place.shape[..]), bias: Tensor::new() };
                }
                (part, _) => {
                    let [channels, inputs, height, width] = place.shape[..] else { unreachable!("a kernel's shape") };
                    let kernel = channels_last(&tensor, [channels, inputs, height, width]);
                    *part = Parts::Convolution { kernel, bias: None };
                }
            }
        }
        for (layer, _) in &self.norms {
            let ((mean, variance), scale, shift) = running
                .next()
                .zip(scales.next())
                .zip(scales.next())
                .map(|((running, scale), shift)| (running, scale, shift))
                .expect("a scale, a shift and statistics for every norm");
            parts[*layer] = Parts::BatchNorm { scale, shift, mean, variance };
        }
        parts
    }

    /// A step against the gradient with Nesterov momentum (Sutskever et al. 2013, in PyTorch's form) and an L2 penalty.
    /// Without differentiation.
    pub(super) fn step(&mut self, gradient: &Tensor, learning_rate: f64, momentum: f64, weight_decay: f64) {
        let gradient = gradient + &self.values * weight_decay;
        self.velocity *= momentum;
        self.velocity += &gradient;
        self.values -= (gradient + &self.velocity * momentum) * learning_rate;
    }

    /// Brings the running statistics on by those of a batch: for each norm that was computed, in their order, mean and
    /// 1 / √(biased variance + ε). Without differentiation.
    pub(super) fn update_running(&mut self, statistics: &[(Tensor, Tensor)]) {
        if statistics.is_empty() {
            return;
        }
        let (means, inverses): (Vec<_>, Vec<_>) = statistics.iter().map(|(mean, inverse)| (mean, inverse)).unzip();
        let variance = (Tensor::cat(&inverses, 0).pow_tensor_scalar(-2) - Norm::EPSILON).clamp_min(0.0);
        let _ = self.mean.lerp_(&Tensor::cat(&means, 0), Norm::MOMENTUM);
        let _ = self.variance.lerp_(&variance, Norm::MOMENTUM);
    }

    /// The weights as they are now, one entry for each layer.
    pub(super) fn network(&self) -> Vec<Weights> {
        let mut weights = self.unpacked(&self.values);
        let [mut means, mut variances] = [&self.mean, &self.variance].map(|all| numbers(all).into_iter());
        for (layer, channels) in &self.norms {
            if let Weights::BatchNorm(norm) = &mut weights[*layer] {
                norm.mean = means.by_ref().take(*channels as usize).collect();
                norm.variance = variances.by_ref().take(*channels as usize).collect();
            }
        }
        weights
    }

    /// Numbers in the order of the values, such as a gradient, as one entry for each layer.
    pub(super) fn unpacked(&self, flat: &Tensor) -> Vec<Weights> {
        let flat = numbers(flat);
        let mut rest = &flat[..];
        let mut weights = self.given.clone();
        for place in self.matrices.iter().chain(&self.scales) {
            let (of_place, after) = rest.split_at(place.len() as usize);
            rest = after;
            let list = match (&mut weights[place.layer], place.is_second) {
                (Weights::Convolution { kernel, .. }, false) => {
                    *kernel = inputs_first(of_place, &place.shape);
                    continue;
                }
                (Weights::Convolution { bias: Some(bias), .. }, _) => bias,
                (Weights::Linear { matrix, .. }, false) => matrix,
                (Weights::Linear { bias, .. }, true) => bias,
                (Weights::BatchNorm(norm), false) => &mut norm.scale,
                (Weights::BatchNorm(norm), true) => &mut norm.shift,
                (other, _) => unreachable!("no place was given to {other:?}"),
            };
            list.copy_from_slice(of_place);
        }
        weights
    }
}

/// A tensor's numbers on this machine.
pub(super) fn numbers(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    let mut values = vec![0.0; tensor.numel()];
    let count = values.len();
    tensor.copy_data(&mut values, count);
    values
}

/// A kernel with its input channels innermost, from the network's order. Its shape is the network's.
fn inputs_last(kernel: &[f32], shape: &[i64]) -> Vec<f32> {
    let (inputs, taps) = (shape[1] as usize, (shape[2] * shape[3]) as usize);
    let of_channel = |kernel: &[f32]| -> Vec<f32> {
        (0..taps * inputs).map(|at| kernel[at % inputs * taps + at / inputs]).collect()
    };
    kernel.chunks_exact(inputs * taps).flat_map(of_channel).collect()
}

/// The inverse of [`inputs_last`].
fn inputs_first(kernel: &[f32], shape: &[i64]) -> Vec<f32> {
    let (inputs, taps) = (shape[1] as usize, (shape[2] * shape[3]) as usize);
    let of_channel =
        |kernel: &[f32]| -> Vec<f32> { (0..taps * inputs).map(|at| kernel[at % taps * inputs + at / taps]).collect() };
    kernel.chunks_exact(inputs * taps).flat_map(of_channel).collect()
}
