//! A network's layers as ONNX nodes.

use super::fold::{Affine, folded_norms};
use super::nodes::{float, int, ints, node, tensor, value, window};
use super::proto::{GraphProto, ModelProto, OperatorSetIdProto};
use super::{Description, INPUT, OUTPUT, Options, metadata};
use crate::data::Normalisation;
use crate::graph::{Activation, Conv, Graph, LayerId, Op, PoolKind};
use crate::network::{Network, Norm, Weights};

/// Version of the file format that the tools of the time of opset 11 read.
const IR_VERSION: i64 = 6;

/// Name of the normalised images.
const NORMALISED: &str = "normalised";

pub(super) fn model(network: &Network, description: &Description, options: Options) -> ModelProto {
    let graph = network.graph();
    let input = graph.input_shape();
    let folded = if options.fold_batch_norm { folded_norms(graph) } else { vec![None; graph.layers.len()] };
    let mut writer = Writer { network, graph, folded, names: Vec::new(), proto: GraphProto::default() };
    writer.normalisation(description);
    for index in 0..graph.layers.len() {
        let name = writer.layer(LayerId(index));
        writer.names.push(name);
    }
    let mut proto = writer.proto;
    proto.name = "network".to_owned();
    proto.input = vec![value(INPUT, &[1, input.channels, input.height, input.width])];
    proto.output = vec![value(OUTPUT, &[1, graph.classes()])];
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(proto),
        opset_import: vec![OperatorSetIdProto { domain: None, version: options.opset }],
        metadata_props: metadata::of(description),
    }
}

struct Writer<'a> {
    network: &'a Network,
    graph: &'a Graph,
    /// For every layer, the batch norm folded into it.
    folded: Vec<Option<LayerId>>,
    /// Name of the output of each layer so far.
    names: Vec<String>,
    proto: GraphProto,
}

impl Writer<'_> {
    /// Writes the nodes that normalise the pixels, with the arithmetic of training. They are not folded into the first
    /// convolution: that one pads with 0 after the normalisation, and no pixel has that value.
    fn normalisation(&mut self, description: &Description) {
        let channels = self.graph.input_shape().channels;
        let affine = match description.deployment {
            Some(deployment) => deployment.normalisation.affine(deployment.scale),
            // Neither of the constants may be one that engines remove.
            None => Normalisation { mean: vec![0.5; channels], std: vec![0.25; channels] }.affine(u8::MAX),
        };
        let dims = [1, channels, 1, 1];
        let [factors, offsets]: [Vec<f32>; 2] =
            [affine.iter().map(|one| one.factor).collect(), affine.iter().map(|one| one.offset).collect()];
        let factors = self.constant("pixels.factor".to_owned(), &dims, &factors);
        let scaled = "pixels.scaled".to_owned();
        self.proto.node.push(node("Mul", vec![INPUT.to_owned(), factors], &scaled, vec![]));
        let offsets = self.constant("pixels.offset".to_owned(), &dims, &offsets);
        self.proto.node.push(node("Add", vec![scaled, offsets], NORMALISED, vec![]));
    }

    /// Writes a layer and returns the name of its output.
    fn layer(&mut self, id: LayerId) -> String {
        let layer = self.graph.layer(id);
        let inputs: Vec<_> = layer.inputs.iter().map(|input| self.names[input.0].clone()).collect();
        let output = if id == self.graph.output() { OUTPUT.to_owned() } else { format!("v{}", id.0) };
        match layer.op {
            Op::Input => return NORMALISED.to_owned(),
            Op::BatchNorm if self.folded[layer.inputs[0].0].is_some() => return inputs[0].clone(),
            Op::Conv(conv) => self.convolution(id, conv, inputs, &output),
            Op::BatchNorm => self.batch_norm(id, inputs, &output),
            Op::Activation(activation) => self.activation(activation, inputs, &output),
            Op::Pool(pool) => {
                let mut attributes = window(pool.kernel, pool.stride, pool.padding);
                let op = match pool.kind {
                    PoolKind::Max => "MaxPool",
                    PoolKind::Average => {
                        attributes.push(int("count_include_pad", 0));
                        "AveragePool"
                    }
                };
                self.proto.node.push(node(op, inputs, &output, attributes));
            }
            Op::GlobalAveragePool => self.proto.node.push(node("GlobalAveragePool", inputs, &output, vec![])),
            Op::Add => self.sum(inputs, &output),
            Op::Concat => self.proto.node.push(node("Concat", inputs, &output, vec![int("axis", 1)])),
            Op::Scale => self.proto.node.push(node("Mul", inputs, &output, vec![])),
            Op::Zero { stride } => self.zero(stride, inputs, &output),
            Op::Linear { .. } => self.classifier(inputs, &output),
        }
        output
    }

    /// Adds a constant and returns its name.
    fn constant(&mut self, name: String, dims: &[usize], values: &[f32]) -> String {
        self.proto.initializer.push(tensor(&name, dims, values));
        name
    }

    fn convolution(&mut self, id: LayerId, conv: Conv, mut inputs: Vec<String>, output: &str) {
        let Weights::Convolution { kernel, bias } = &self.network.weights[id.0] else {
            unreachable!("every convolution of the graph has a kernel")
        };
        let dims = self.graph.kernel_shape(id.0);
        let (mut kernel, mut bias) = (kernel.clone(), bias.clone());
        if let Some(norm) = self.folded[id.0] {
            let (folded_kernel, folded_bias) = self.affine(norm).fold(&kernel, bias.as_deref());
            (kernel, bias) = (folded_kernel, Some(folded_bias));
        }
        inputs.push(self.constant(format!("{output}.kernel"), &dims, &kernel));
        if let Some(bias) = bias {
            inputs.push(self.constant(format!("{output}.bias"), &[conv.channels], &bias));
        }
        let mut attributes = window(conv.kernel, conv.stride, conv.padding);
        attributes.extend([ints("dilations", &[conv.dilation; 2]), int("group", conv.groups)]);
        self.proto.node.push(node("Conv", inputs, output, attributes));
    }

    fn affine(&self, norm: LayerId) -> Affine {
        let Norm { scale, shift, mean, variance } = self.network.norm(norm.0);
        Affine::new(scale, shift, mean, variance, Norm::EPSILON)
    }

    fn batch_norm(&mut self, id: LayerId, mut inputs: Vec<String>, output: &str) {
        let Norm { scale, shift, mean, variance } = self.network.norm(id.0);
        for (part, values) in [("scale", scale), ("shift", shift), ("mean", mean), ("variance", variance)] {
            inputs.push(self.constant(format!("{output}.{part}"), &[values.len()], values));
        }
        let attributes = vec![float("epsilon", Norm::EPSILON as f32)];
        self.proto.node.push(node("BatchNormalization", inputs, output, attributes));
    }

    fn activation(&mut self, activation: Activation, mut inputs: Vec<String>, output: &str) {
        let (op, attributes) = match activation {
            Activation::Relu => ("Relu", vec![]),
            Activation::Relu6 => {
                inputs.push(self.constant(format!("{output}.min"), &[], &[0.0]));
                inputs.push(self.constant(format!("{output}.max"), &[], &[6.0]));
                ("Clip", vec![])
            }
            Activation::Sigmoid => ("Sigmoid", vec![]),
            Activation::HardSigmoid => ("HardSigmoid", vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]),
        };
        self.proto.node.push(node(op, inputs, output, attributes));
    }

    /// A chain of binary sums: every runtime accepts `Add`, and some lack `Sum`.
    fn sum(&mut self, inputs: Vec<String>, output: &str) {
        let last = inputs.len() - 1;
        let mut sum = inputs[0].clone();
        for (position, input) in inputs.into_iter().enumerate().skip(1) {
            let name = if position == last { output.to_owned() } else { format!("{output}.{position}") };
            self.proto.node.push(node("Add", vec![sum, input], &name, vec![]));
            sum = name;
        }
    }

    /// Zeros that still read their input: a network may not have an unused input.
    fn zero(&mut self, stride: usize, mut inputs: Vec<String>, output: &str) {
        if stride > 1 {
            let strided = format!("{output}.strided");
            self.proto.node.push(node("MaxPool", inputs, &strided, window(1, stride, 0)));
            inputs = vec![strided];
        }
        inputs.push(self.constant(format!("{output}.zero"), &[], &[0.0]));
        self.proto.node.push(node("Mul", inputs, output, vec![]));
    }

    fn classifier(&mut self, inputs: Vec<String>, output: &str) {
        let Weights::Linear { matrix, bias } = &self.network.weights[self.graph.output().0] else {
            unreachable!("a graph ends with its classifier")
        };
        let classes = bias.len();
        let flat = format!("{output}.flat");
        self.proto.node.push(node("Flatten", inputs, &flat, vec![int("axis", 1)]));
        let weight = self.constant(format!("{output}.weight"), &[matrix.len() / classes, classes], matrix);
        let bias = self.constant(format!("{output}.bias"), &[classes], bias);
        self.proto.node.push(node("Gemm", vec![flat, weight, bias], output, vec![]));
    }
}
