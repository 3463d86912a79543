//! Values and derivatives by each engine of every operation of every space, compared with the
//! [`reference`](super::reference).
//!
//! Random images and weights keep clear of the kinks of ReLU and of maxima: the differences are taken in 64 bits over a
//! step of 10⁻⁶, within which one turns with a chance of about 10⁻⁶.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::reference::{Numbers, difference, logits, loss, numbers_of};
use super::{burn, native};
use crate::Error;
use crate::data::Batch;
use crate::graph::{Activation, Conv, Graph, GraphBuilder, LayerId, Op, Pool, PoolKind, Shape};
use crate::network::{Network, Weights};
use crate::space::{Mobile, MobileSettings, NasBench201, NasBench201Settings, Nasnet, NasnetSettings, SearchSpace};

const BATCH: usize = 3;
const CLASSES: usize = 3;
const LABELS: [i64; BATCH] = [2, 0, 1];
const SMOOTHING: f64 = 0.1;
/// Numbers of each list whose derivative is compared, besides the largest.
const SAMPLED: usize = 1;

/// Logits while training, and derivatives of the loss by each number; lists that the engine does not derive are empty.
pub(super) type Derived = (Vec<f32>, Numbers);

/// Derives a network's numbers for a batch, with a label smoothing and factors of drop-path.
type Derive = fn(&Network, &Batch, f64, &[Vec<f32>]) -> Derived;

/// Engines by name.
const ENGINES: &[(&str, Derive)] = &[
    ("burn", burn::derive),
    ("native", native::tests::derive),
    #[cfg(feature = "tch")]
    ("tch", super::tch::tests::derive),
];

/// Moves every weight: fresh biases are all 0 and scales all 1, which would hide mistakes.
pub(super) fn moved(mut network: Network, rng: &mut ChaCha8Rng) -> Network {
    let mut moved = |values: &mut Vec<f32>| values.iter_mut().for_each(|value| *value += rng.random_range(-0.3..0.3));
    for weights in &mut network.weights {
        match weights {
            Weights::None => {}
            Weights::Convolution { kernel, bias } => {
                moved(kernel);
                bias.iter_mut().for_each(&mut moved);
            }
            Weights::BatchNorm(norm) => {
                moved(&mut norm.scale);
                moved(&mut norm.shift);
            }
            Weights::Linear { matrix, bias } => {
                moved(matrix);
                moved(bias);
            }
        }
    }
    network
}

pub(super) fn batch(shape: Shape, labels: &[i64], rng: &mut ChaCha8Rng) -> Batch {
    let images = (0..labels.len() * shape.elements()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Batch { images, labels: labels.to_vec(), shape, drawn: None }
}

/// Compares logits, and derivatives of the loss by some of all numbers: those of the weights and of the images.
fn agrees(name: &str, graph: Graph, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let network = moved(Network::init(Arc::new(graph), &mut rng), &mut rng);
    let graph = network.graph();
    let batch = batch(graph.input_shape(), &LABELS, &mut rng);
    let mut numbers = numbers_of(&network, &batch.images);
    let expected_logits = logits(graph, &numbers, BATCH);
    for (engine, derive) in ENGINES.iter().copied() {
        let (found, gradients) = derive(&network, &batch, SMOOTHING, &[]);
        for (found, expected) in found.iter().zip(&expected_logits) {
            let off = (f64::from(*found) - expected).abs();
            assert!(off < 1e-4 * (1.0 + expected.abs()), "{engine}, {name}: {found} {expected}");
        }
        for (layer, lists) in gradients.iter().enumerate() {
            for (list, found) in lists.iter().enumerate().filter(|(_, found)| !found.is_empty()) {
                let mut indices: Vec<usize> = (0..SAMPLED).map(|_| rng.random_range(0..found.len())).collect();
                // The bound on the others is relative to it.
                indices.extend((0..found.len()).max_by(|a, b| found[*a].abs().total_cmp(&found[*b].abs())));
                let largest = found.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
                for index in indices {
                    let at = [layer, list, index];
                    let expected = difference(&mut numbers, at, |numbers| loss(graph, numbers, &LABELS, SMOOTHING));
                    // In 32 bits sums of some hundred terms are right to about four digits, and batch norms subtract.
                    let off = (found[index] - expected).abs();
                    let op = graph.layers[layer].op;
                    assert!(
                        off < 1e-3 * largest + 2e-6,
                        "{engine}, {name}, {op:?} {at:?}: {} {expected}",
                        found[index]
                    );
                }
            }
        }
    }
}

/// An image of odd and unequal sides, a convolution of it, `body`, and the classifier.
fn graph(body: impl Fn(&mut GraphBuilder, LayerId) -> Result<LayerId, Error>) -> Graph {
    let (mut graph, image) = GraphBuilder::new(Shape::new(2, 7, 6)).unwrap();
    let x = graph.conv(image, Conv::same(4, 3, 1)).unwrap();
    let x = body(&mut graph, x).unwrap();
    graph.classifier(x, CLASSES).unwrap()
}

#[test]
fn convolutions_agree() {
    let grouped = Conv { groups: 2, ..Conv::same(6, 3, 1) };
    let convolutions = [
        Conv::same(5, 1, 1),
        Conv::same(5, 1, 2),
        Conv::same(5, 3, 2),
        Conv { bias: true, ..Conv::same(3, 5, 1) },
        Conv { padding: 0, ..Conv::same(3, 3, 2) },
        Conv { dilation: 2, padding: 2, ..Conv::same(3, 3, 1) },
        grouped,
        Conv { stride: 2, bias: true, ..grouped },
        Conv::depthwise(4, 3, 1, 1),
        Conv::depthwise(4, 5, 2, 1),
        Conv::depthwise(4, 7, 1, 1),
        Conv::depthwise(4, 3, 2, 2),
        Conv::depthwise(4, 5, 1, 2),
    ];
    for (seed, conv) in convolutions.into_iter().enumerate() {
        agrees(&format!("{conv:?}"), graph(|graph, x| graph.conv(x, conv)), seed as u64);
    }
}

#[test]
fn pools_with_padding_agree() {
    for kind in [PoolKind::Average, PoolKind::Max] {
        for (seed, (kernel, stride, padding)) in
            [(3, 1, 1), (3, 2, 1), (2, 2, 0), (2, 2, 1), (5, 2, 2)].into_iter().enumerate()
        {
            let pool = Pool { kind, kernel, stride, padding };
            agrees(&format!("{pool:?}"), graph(|graph, x| graph.pool(x, pool)), seed as u64);
        }
    }
}

#[test]
fn activations_norms_sums_and_scales_agree() {
    for activation in [Activation::Relu, Activation::Relu6, Activation::Sigmoid, Activation::HardSigmoid] {
        let body = |graph: &mut GraphBuilder, x: LayerId| {
            // Wide enough to reach the upper kinks as well.
            let wide = graph.add(&[x, x, x, x, x])?;
            graph.activation(wide, activation)
        };
        agrees(&format!("{activation:?}"), graph(body), 1);
    }
    let body = |graph: &mut GraphBuilder, x: LayerId| {
        let norm = graph.batch_norm(x)?;
        let other = graph.conv(norm, Conv::same(4, 1, 1))?;
        let sum = graph.add(&[norm, other, x])?;
        let zero = graph.push(Op::Zero { stride: 1 }, &[sum])?;
        let both = graph.concat(&[sum, zero, other])?;
        let gate = graph.push(Op::GlobalAveragePool, &[both])?;
        let gate = graph.activation(gate, Activation::HardSigmoid)?;
        graph.push(Op::Scale, &[both, gate])
    };
    agrees("the rest", graph(body), 2);
}

/// Maps of one place with a border, because a padded convolution reads them or gives them.
#[test]
fn means_and_gates_beside_padded_convolutions_agree() {
    let of_mean = |graph: &mut GraphBuilder, x: LayerId| {
        let mean = graph.push(Op::GlobalAveragePool, &[x])?;
        graph.conv(mean, Conv::same(5, 3, 1))
    };
    agrees("a padded convolution of a mean", graph(of_mean), 1);
    let to_gate = |graph: &mut GraphBuilder, x: LayerId| {
        let mean = graph.push(Op::GlobalAveragePool, &[x])?;
        let gate = graph.conv(mean, Conv::same(4, 3, 1))?;
        graph.push(Op::Scale, &[x, gate])
    };
    agrees("a padded convolution as a gate", graph(to_gate), 2);
    let of_gate = |graph: &mut GraphBuilder, x: LayerId| {
        let mean = graph.push(Op::GlobalAveragePool, &[x])?;
        let gate = graph.activation(mean, Activation::Sigmoid)?;
        let scaled = graph.push(Op::Scale, &[x, gate])?;
        let other = graph.conv(gate, Conv::same(4, 5, 1))?;
        graph.push(Op::Scale, &[scaled, other])
    };
    agrees("a padded convolution of a gate", graph(of_gate), 3);
}

#[test]
fn all_operations_of_nasbench201_agree() {
    let space = NasBench201::new(NasBench201Settings { channels: 2, cells: 1, ..Default::default() }).unwrap();
    for (seed, text) in [
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
        "|avg_pool_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_3x3~1|skip_connect~2|",
    ]
    .into_iter()
    .enumerate()
    {
        let graph = space.graph(&space.parse(text).unwrap(), Shape::new(1, 8, 12), CLASSES).unwrap();
        agrees(text, graph, seed as u64);
    }
}

#[test]
fn all_operations_of_nasnet_agree_at_both_strides() {
    let operations = [
        "none",
        "skip_connect",
        "conv_1x1",
        "conv_3x3",
        "conv_5x5",
        "conv_7x7",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "sep_conv_7x7",
        "dil_conv_3x3",
        "dil_conv_5x5",
        "avg_pool_3x3",
        "max_pool_3x3",
    ];
    let operations = operations.map(str::to_owned).to_vec();
    let settings = NasnetSettings { blocks: 7, operations, depths: vec![1], widths: vec![2] };
    let space = Nasnet::new(settings).unwrap();
    let cell = "[0.none+1.skip_connect, 0.conv_1x1+1.conv_3x3, 0.sep_conv_3x3+1.sep_conv_5x5, \
                0.sep_conv_7x7+1.dil_conv_3x3, 0.dil_conv_5x5+1.avg_pool_3x3, 1.max_pool_3x3+4.skip_connect, \
                0.conv_5x5+1.conv_7x7]";
    let text = format!("normal{cell} reduce{cell} depth=1 width=2");
    // Odd sides, so that a reduction rounds up, and the older input of a cell has to be reduced as well.
    let graph = space.graph(&space.parse(&text).unwrap(), Shape::new(1, 5, 7), CLASSES).unwrap();
    agrees("nasnet", graph, 3);
}

#[test]
fn inverted_bottlenecks_with_squeeze_and_excitation_agree() {
    let settings = MobileSettings {
        stems: vec![4],
        strides: vec![1, 2],
        widths: vec![vec![4], vec![6]],
        kernels: vec![3, 5],
        expansions: vec![1, 3],
        depths: vec![1, 2],
        squeeze_excitation: vec![false, true],
        head: 8,
    };
    let space = Mobile::new(settings).unwrap();
    for (seed, text) in ["stem=4 k3e3d2w4s1 k5e3d1w6s1", "stem=4 k5e1d2w4s0 k3e3d2w6s1"].into_iter().enumerate() {
        let graph = space.graph(&space.parse(text).unwrap(), Shape::new(1, 7, 8), CLASSES).unwrap();
        agrees(text, graph, seed as u64);
    }
}
