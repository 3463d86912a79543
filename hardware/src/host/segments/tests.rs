//! A model in segments gives what the engine gives for the whole model.

use prost::Message as _;
use tempfile::TempDir;

use super::*;
use crate::host::feed::pseudo_random;
use crate::host::inference::{Inference, Way};
use crate::host::kernels::FLOAT;
use crate::host::tests::{int, ints, model_of, node, value_info, write};
use crate::onnx::{AttributeProto, TensorProto};

fn weights(name: &str, dims: &[i64]) -> TensorProto {
    let values = pseudo_random(dims.iter().product::<i64>() as usize);
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(FLOAT),
        float_data: values.iter().map(|value| value / 4.0).collect(),
        ..Default::default()
    }
}

fn convolution(input: &str, kernel: (&str, i64), output: &str, group: i64, more: Vec<AttributeProto>) -> NodeProto {
    let (kernel, side) = kernel;
    let bias = format!("{kernel}.bias");
    let attributes = vec![int("group", group), ints("kernel_shape", &[side; 2])];
    node("Conv", &[input, kernel, &bias], output, [attributes, more].concat())
}

/// Two branches of depthwise convolutions and pooling which meet again, then squeeze-and-excitation, on images of 9 × 11
/// pixels.
fn branches() -> GraphProto {
    let same = |strides: i64| vec![ints("pads", &[1; 4]), ints("strides", &[strides; 2])];
    let pooled = [same(2), vec![ints("kernel_shape", &[3, 3])]].concat();
    GraphProto {
        name: "branches".to_owned(),
        node: vec![
            convolution("image", ("wide", 1), "a", 1, vec![]),
            node("Relu", &["a"], "b", vec![]),
            convolution("b", ("five", 5), "c", 6, vec![ints("pads", &[2; 4])]),
            node("Relu", &["c"], "d", vec![]),
            convolution("d", ("three", 3), "e", 6, same(2)),
            node("AveragePool", &["b"], "f", pooled.clone()),
            node("AveragePool", &["f"], "g", [same(1), vec![ints("kernel_shape", &[3, 3])]].concat()),
            node("Sigmoid", &["e"], "h", vec![]),
            node("Mul", &["h", "g"], "i", vec![]),
            node("Add", &["i", "f"], "j", vec![]),
            node("AveragePool", &["b"], "k", pooled),
            node("Add", &["j", "k"], "l", vec![]),
            node("GlobalAveragePool", &["l"], "m", vec![]),
            convolution("m", ("dense", 1), "n", 1, vec![]),
            node("HardSigmoid", &["n"], "o", vec![]),
            node("Mul", &["l", "o"], "sum", vec![]),
        ],
        initializer: vec![
            weights("wide", &[6, 3, 1, 1]),
            weights("wide.bias", &[6]),
            weights("five", &[6, 1, 5, 5]),
            weights("five.bias", &[6]),
            weights("three", &[6, 1, 3, 3]),
            weights("three.bias", &[6]),
            weights("dense", &[6, 6, 1, 1]),
            weights("dense.bias", &[6]),
        ],
        input: vec![value_info("image", FLOAT, &[Some(1), Some(3), Some(9), Some(11)])],
        output: vec![
            value_info("sum", FLOAT, &[Some(1), Some(6), Some(5), Some(6)]),
            value_info("d", FLOAT, &[Some(1), Some(6), Some(9), Some(11)]),
        ],
        ..Default::default()
    }
}

/// The outputs of a graph, and those of the engine alone.
fn both_ways(graph: GraphProto) -> (Vec<f32>, Vec<f32>) {
    let folder = TempDir::new().unwrap();
    let model = model_of(graph);
    let mut inference = Inference::load(&write(&folder, &model)).unwrap();
    let values = pseudo_random(3 * 9 * 11);
    assert!(matches!(inference.way, Way::InSegments(_)));
    let in_segments = inference.run(&values).unwrap();
    assert_eq!(in_segments, inference.run(&values).unwrap());
    inference.way = Way::Whole(Box::new(rten::Model::load(model.encode_to_vec()).unwrap()));
    (in_segments, inference.run(&values).unwrap())
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found} for {expected}");
    }
}

#[test]
fn a_graph_in_segments_gives_what_the_engine_gives() {
    let (found, expected) = both_ways(branches());
    assert_close(&found, &expected);
}

#[test]
fn a_window_that_meets_padding_alone_gives_the_bias() {
    let mut graph = branches();
    let beside = vec![ints("pads", &[1; 4]), ints("strides", &[3; 2])];
    graph.node =
        vec![node("GlobalAveragePool", &["image"], "m", vec![]), convolution("m", ("dense", 1), "n", 1, beside)];
    graph.initializer = vec![weights("dense", &[4, 3, 1, 1]), weights("dense.bias", &[4])];
    graph.output = vec![value_info("n", FLOAT, &[Some(1), Some(4), Some(1), Some(1)])];
    let bias = graph.initializer[1].float_data.clone();
    let (found, _) = both_ways(graph);
    assert_eq!(found, bias);
}

#[test]
fn the_limits_of_an_activation_hold() {
    let limit = |name: &str, value: f32| TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(FLOAT),
        float_data: vec![value],
        ..Default::default()
    };
    for (inputs, limits) in [(&["c", "low", "high"][..], -0.25..=0.5), (&["c", "low"], -0.25..=f32::INFINITY)] {
        let mut graph = branches();
        graph.node[3] = node("Clip", inputs, "d", vec![]);
        graph.initializer.extend([limit("low", -0.25), limit("high", 0.5)]);
        let (found, expected) = both_ways(graph);
        assert_close(&found, &expected);
        // The second output, that of the activation.
        let of_activation = &found[6 * 5 * 6..];
        assert!(of_activation.iter().all(|value| limits.contains(value)));
        assert!(of_activation.contains(limits.start()));
    }
}

#[test]
fn a_value_that_is_read_before_its_activation_is_kept() {
    let mut graph = branches();
    graph.output.push(value_info("c", FLOAT, &[Some(1), Some(6), Some(9), Some(11)]));
    let (found, expected) = both_ways(graph);
    assert_close(&found, &expected);
    assert!(found[found.len() - 6 * 9 * 11..].iter().any(|value| *value < 0.0));
}

#[test]
fn only_known_operators_run_here() {
    let count = |change: &dyn Fn(&mut GraphProto)| {
        let mut graph = branches();
        change(&mut graph);
        let proto = model_of(graph);
        let model = rten::Model::load(proto.encode_to_vec()).unwrap();
        let segments = Segments::new(&proto, &model);
        segments.map_or(0, |segments| segments.segments.iter().map(|segment| segment.operators.len()).sum())
    };
    assert_eq!(count(&|_| ()), 8);
    assert_eq!(count(&|graph| graph.node[5].attribute.push(int("ceil_mode", 1))), 7);
    // The engine merges a batch norm with the convolution before.
    let statistics = ["five.bias"; 4];
    let norm = |graph: &mut GraphProto| {
        graph.node[3] = node("BatchNormalization", &[&["c"], &statistics[..]].concat(), "d", vec![]);
    };
    assert_eq!(count(&norm), 7);
    // Nothing is left to run here.
    let plain = |graph: &mut GraphProto| {
        graph.node = vec![node("Relu", &["image"], "b", vec![])];
        graph.output = vec![value_info("b", FLOAT, &[Some(1), Some(3), Some(9), Some(11)])];
    };
    assert_eq!(count(&plain), 0);
}
