//! A second computation of a network, for tests: plain loops in 64 bits after the operations' definitions, slow and
//! without an engine. Its central differences are right to about nine digits, unlike differences in 32 bits.

use crate::graph::{Activation, Conv, Graph, Op, Pool, PoolKind, Shape};
use crate::network::{Network, Weights};

/// The numbers of each layer, two lists a layer: the images of the input; kernel and bias of a convolution and of the
/// classifier; scale and shift of a batch norm. Unused lists are empty.
pub(crate) type Numbers = Vec<[Vec<f64>; 2]>;

/// Added to a variance, as in PyTorch and burn.
const EPSILON: f64 = 1e-5;

/// All numbers of a network and of its images.
pub(crate) fn numbers_of(network: &Network, images: &[f32]) -> Numbers {
    let mut numbers: Numbers = network.weights.iter().map(of_layer).collect();
    numbers[0][0] = wide(images);
    numbers
}

/// The numbers of one layer that are learnt, or their gradients.
pub(crate) fn of_layer(weights: &Weights) -> [Vec<f64>; 2] {
    match weights {
        Weights::None => Default::default(),
        Weights::Convolution { kernel, bias } => [wide(kernel), wide(bias.as_deref().unwrap_or(&[]))],
        Weights::BatchNorm(norm) => [wide(&norm.scale), wide(&norm.shift)],
        Weights::Linear { matrix, bias } => [wide(matrix), wide(bias)],
    }
}

/// The same numbers in 64 bits.
pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Mean cross-entropy against labels of which a share is spread evenly over all classes.
pub(crate) fn loss(graph: &Graph, numbers: &Numbers, labels: &[i64], smoothing: f64) -> f64 {
    let logits = logits(graph, numbers, labels.len());
    let classes = graph.classes();
    let of = |(row, label): (&[f64], &i64)| {
        let total: f64 = row.iter().map(|logit| logit.exp()).sum();
        let target = |class: usize| {
            let is_true = usize::try_from(*label) == Ok(class);
            smoothing / classes as f64 + if is_true { 1.0 - smoothing } else { 0.0 }
        };
        -row.iter().enumerate().map(|(class, logit)| target(class) * (logit - total.ln())).sum::<f64>()
    };
    logits.chunks(classes).zip(labels).map(of).sum::<f64>() / labels.len() as f64
}

/// Derivative of a function by one of the numbers, by central differences.
pub(crate) fn difference(numbers: &mut Numbers, [layer, list, index]: [usize; 3], of: impl Fn(&Numbers) -> f64) -> f64 {
    // So small that no ReLU or maximum turns within it, but for bad luck.
    const STEP: f64 = 1e-6;
    let value = numbers[layer][list][index];
    let mut at = |step: f64| {
        numbers[layer][list][index] = value + step;
        of(numbers)
    };
    let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    numbers[layer][list][index] = value;
    slope
}

/// Logits of a batch while training, `[batch, classes]`.
pub(crate) fn logits(graph: &Graph, numbers: &Numbers, batch: usize) -> Vec<f64> {
    let mut outputs: Vec<Vec<f64>> = Vec::new();
    for (index, layer) in graph.layers.iter().enumerate() {
        let read = |place: usize| &outputs[layer.inputs[place].0];
        let shape = |place: usize| graph.layer(layer.inputs[place]).shape;
        let [first, second] = &numbers[index];
        let elements = batch * layer.shape.elements();
        let output = match layer.op {
            Op::Input => first.clone(),
            Op::Conv(conv) => convolved(read(0), shape(0), layer.shape, batch, &conv, first, second),
            Op::BatchNorm => normalised(read(0), layer.shape, batch, first, second),
            Op::Activation(activation) => read(0).iter().map(|value| activated(*value, activation)).collect(),
            Op::Pool(pool) => pooled(read(0), shape(0), layer.shape, batch, &pool),
            Op::GlobalAveragePool => {
                let places = shape(0).height * shape(0).width;
                read(0).chunks(places).map(|map| map.iter().sum::<f64>() / places as f64).collect()
            }
            Op::Add => {
                let sum = |at: usize| layer.inputs.iter().map(|id| outputs[id.0][at]).sum();
                (0..elements).map(sum).collect()
            }
            Op::Concat => (0..batch)
                .flat_map(|image| layer.inputs.iter().map(move |id| (image, *id)))
                .flat_map(|(image, id)| {
                    let size = graph.layer(id).shape.elements();
                    outputs[id.0][image * size..(image + 1) * size].iter().copied()
                })
                .collect(),
            Op::Scale => {
                let places = layer.shape.height * layer.shape.width;
                read(0).iter().enumerate().map(|(at, value)| value * read(1)[at / places]).collect()
            }
            Op::Zero { .. } => vec![0.0; elements],
            Op::Linear { outputs: classes } => read(0)
                .chunks(shape(0).channels)
                .flat_map(|row| {
                    (0..classes).map(move |class| {
                        let sum: f64 = row.iter().enumerate().map(|(at, x)| x * first[at * classes + class]).sum();
                        sum + second[class]
                    })
                })
                .collect(),
        };
        outputs.push(output);
    }
    outputs.pop().unwrap()
}

/// Places of an image that a window's place reads, or none in the padding.
fn inside(output: usize, offset: usize, stride: usize, padding: usize, size: usize) -> Option<usize> {
    (output * stride + offset).checked_sub(padding).filter(|at| *at < size)
}

/// Every place of an output: image, channel, row and column.
fn places(shape: Shape, batch: usize) -> impl Iterator<Item = [usize; 4]> {
    let Shape { channels, height, width } = shape;
    (0..batch * channels * height * width).map(move |at| {
        let (map, place) = (at / (height * width), at % (height * width));
        [map / channels, map % channels, place / width, place % width]
    })
}

fn convolved(x: &[f64], from: Shape, to: Shape, batch: usize, conv: &Conv, kernel: &[f64], bias: &[f64]) -> Vec<f64> {
    let inputs = from.channels / conv.groups;
    let of = |[image, channel, row, column]: [usize; 4]| {
        let group = channel / (conv.channels / conv.groups);
        let mut sum = bias.get(channel).copied().unwrap_or(0.0);
        for tap in 0..conv.kernel * conv.kernel {
            let (down, right) = (tap / conv.kernel, tap % conv.kernel);
            let y = inside(row, down * conv.dilation, conv.stride, conv.padding, from.height);
            let x_at = inside(column, right * conv.dilation, conv.stride, conv.padding, from.width);
            let (Some(y), Some(x_at)) = (y, x_at) else { continue };
            for input in 0..inputs {
                let map = image * from.channels + group * inputs + input;
                let weight = kernel[(channel * inputs + input) * conv.kernel * conv.kernel + tap];
                sum += weight * x[(map * from.height + y) * from.width + x_at];
            }
        }
        sum
    };
    places(to, batch).map(of).collect()
}

/// Ioffe and Szegedy 2015, algorithm 1: over the batch and all places of a channel, with the biased variance.
fn normalised(x: &[f64], shape: Shape, batch: usize, scale: &[f64], shift: &[f64]) -> Vec<f64> {
    let channel_of = |at: usize| at / (shape.height * shape.width) % shape.channels;
    let count = (batch * shape.height * shape.width) as f64;
    let mean_of = |values: &dyn Fn(usize) -> f64| {
        let mut sums = vec![0.0; shape.channels];
        (0..x.len()).for_each(|at| sums[channel_of(at)] += values(at) / count);
        sums
    };
    let means = mean_of(&|at| x[at]);
    let variances = mean_of(&|at| (x[at] - means[channel_of(at)]).powi(2));
    let of = |(at, value): (usize, &f64)| {
        let channel = channel_of(at);
        (value - means[channel]) / (variances[channel] + EPSILON).sqrt() * scale[channel] + shift[channel]
    };
    x.iter().enumerate().map(of).collect()
}

fn activated(x: f64, activation: Activation) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::HardSigmoid => ((x + 3.0) / 6.0).clamp(0.0, 1.0),
    }
}

/// The padding counts neither in a mean nor in a maximum.
fn pooled(x: &[f64], from: Shape, to: Shape, batch: usize, pool: &Pool) -> Vec<f64> {
    let of = |[image, channel, row, column]: [usize; 4]| {
        let mut window = Vec::new();
        for (down, right) in (0..pool.kernel).flat_map(|down| (0..pool.kernel).map(move |right| (down, right))) {
            let y = inside(row, down, pool.stride, pool.padding, from.height);
            let x_at = inside(column, right, pool.stride, pool.padding, from.width);
            if let (Some(y), Some(x_at)) = (y, x_at) {
                window.push(x[((image * from.channels + channel) * from.height + y) * from.width + x_at]);
            }
        }
        match pool.kind {
            PoolKind::Average => window.iter().sum::<f64>() / window.len() as f64,
            PoolKind::Max => window.into_iter().fold(f64::NEG_INFINITY, f64::max),
        }
    };
    places(to, batch).map(of).collect()
}
