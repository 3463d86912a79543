//! Tests of the cell space.

use super::*;
use crate::graph::{Op, PoolKind};

fn small() -> Nasnet {
    Nasnet::new(NasnetSettings { blocks: 2, depths: vec![1, 2], widths: vec![4, 8], ..Default::default() }).unwrap()
}

fn graph(text: &str, input: Shape) -> Graph {
    let space = small();
    space.graph(&space.parse(text).unwrap(), input, 10).unwrap()
}

const PLAIN: &str = "normal[0.sep_conv_3x3+1.skip_connect, 2.max_pool_3x3+0.conv_1x1] \
                     reduce[1.skip_connect+1.dil_conv_3x3, 0.avg_pool_3x3+2.skip_connect] depth=2 width=8";

#[test]
fn text_names_the_decisions_in_order() {
    let space = small();
    let architecture = space.parse(PLAIN).unwrap();
    assert_eq!(architecture.choices(), [0, 1, 1, 0, 2, 5, 0, 6, 1, 0, 1, 3, 0, 4, 2, 0, 1, 1]);
    assert_eq!(space.format(&architecture).unwrap(), PLAIN);
    let names: Vec<_> = space.decisions().iter().map(|decision| decision.name.as_str()).collect();
    assert_eq!(names[4], "normal block 2 left input");
    assert_eq!(names[15], "reduce block 2 right operation");
    assert_eq!(names[16..], ["depth", "width"]);
    assert_eq!(space.decisions()[4].choices, ["0", "1", "2"]);
}

#[test]
fn errors_point_at_their_place() {
    for (text, column, message) in [
        ("", 1, "the text ends where `normal[` should follow"),
        ("normal(0", 7, "expected `[`"),
        ("normal[0", 9, "the text ends where `.` should follow"),
        ("normal[2.conv_1x1", 8, "`2` is not a choice of normal block 1 left input (one of: 0, 1)"),
        ("normal[0.conv_1x2", 10, "did you mean `conv_1x1`?"),
        ("normal[0.conv_1x1,1.conv_1x1", 18, "expected `+`"),
        ("normal[0.conv_1x1+1.conv_1x1,2.conv_1x1", 30, "expected ` `"),
        (&PLAIN.replace(" reduce", "reduce"), 65, "expected ` reduce[`"),
        (&PLAIN.replace("depth=2", "depth=3"), 141, "`3` is not a choice of depth (one of: 1, 2)"),
        (&format!("{PLAIN}0"), 149, "`80` is not a choice of width"),
        (&format!("{PLAIN} "), 150, "nothing may follow"),
    ] {
        let error = small().parse(text).unwrap_err();
        assert!(error.message.contains(message), "{text}: {error}");
        assert_eq!(error.column, column, "{text}: {error}");
    }
}

#[test]
fn reductions_halve_the_size_and_double_the_channels() {
    for (size, sizes) in [(8, [8, 4, 2]), (32, [32, 16, 8]), (5, [5, 3, 2]), (1, [1, 1, 1])] {
        let graph = graph(PLAIN, Shape::new(1, size, size));
        let mut shapes: Vec<_> = graph.layers.iter().filter(|l| l.op == Op::Add).map(|layer| layer.shape).collect();
        shapes.dedup();
        // A block has as many channels as its cell, a cell's output here those of its one unread block.
        assert_eq!(shapes, [0, 1, 2].map(|stage| Shape::new(8 << stage, sizes[stage], sizes[stage])));
    }
}

#[test]
fn the_output_concatenates_the_blocks_that_no_block_reads() {
    let unread = "normal[0.conv_1x1+1.conv_1x1, 0.conv_3x3+1.conv_3x3] \
                  reduce[0.conv_1x1+1.conv_1x1, 2.conv_3x3+1.conv_3x3] depth=1 width=4";
    let graph = graph(unread, Shape::new(3, 8, 8));
    let concatenations: Vec<_> =
        graph.layers.iter().filter(|l| l.op == Op::Concat).map(|layer| layer.shape.channels).collect();
    assert_eq!(concatenations, [8, 16, 32]);
}

#[test]
fn drop_path_never_drops_identities() {
    let graph = graph(PLAIN, Shape::new(3, 8, 8));
    let droppable: Vec<_> = graph.layers.iter().filter(|layer| layer.droppable).map(|layer| layer.op).collect();
    // Three paths of each of six normal cells; of each of two reduction cells the skip that is a convolution there,
    // the dilated convolution and the pooling.
    assert_eq!(droppable.len(), 6 * 3 + 2 * 3);
    assert!(droppable.iter().all(|op| matches!(op, Op::BatchNorm | Op::Pool(_))));
    assert_eq!(droppable.iter().filter(|op| matches!(op, Op::Pool(p) if p.kind == PoolKind::Max)).count(), 6);
}

#[test]
fn the_order_of_blocks_does_not_change_the_key() {
    let one = "normal[0.conv_1x1+1.conv_3x3, 1.sep_conv_3x3+1.skip_connect] \
               reduce[0.conv_1x1+0.conv_1x1, 2.skip_connect+1.conv_3x3] depth=1 width=4";
    let swapped = "normal[1.conv_3x3+0.conv_1x1, 1.skip_connect+1.sep_conv_3x3] \
                   reduce[0.conv_1x1+0.conv_1x1, 1.conv_3x3+2.skip_connect] depth=1 width=4";
    let image = Shape::new(3, 8, 8);
    assert_eq!(graph(one, image).canonical(), graph(swapped, image).canonical());
    assert_ne!(graph(one, image).canonical(), graph(PLAIN, image).canonical());
}

#[test]
fn none_leaves_zeros_in_the_concatenation() {
    let operations = ["none", "conv_1x1"].map(str::to_owned).to_vec();
    let settings = NasnetSettings { blocks: 2, operations, depths: vec![1], widths: vec![4] };
    let space = Nasnet::new(settings).unwrap();
    let text = "normal[0.none+1.none, 0.conv_1x1+1.none] reduce[0.conv_1x1+1.conv_1x1, 0.none+1.conv_1x1] \
                depth=1 width=4";
    let graph = space.graph(&space.parse(text).unwrap(), Shape::new(3, 8, 8), 10).unwrap();
    let zeros = |graph: &Graph| graph.layers.iter().filter(|layer| matches!(layer.op, Op::Zero { .. })).count();
    assert_eq!((zeros(&graph), zeros(&graph.pruned())), (11, 3));
}

/// The eight operations of TEA-DNN (Cai et al. 2018).
const TEA_DNN: [&str; 8] = [
    "max_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "conv_3x3",
    "sep_conv_5x5",
    "conv_5x5",
    "sep_conv_7x7",
    "conv_7x7",
];

fn tea_dnn(blocks: usize) -> Nasnet {
    let operations = TEA_DNN.map(str::to_owned).to_vec();
    Nasnet::new(NasnetSettings { blocks, operations, depths: vec![1], widths: vec![4] }).unwrap()
}

#[test]
fn the_default_space_has_the_choices_that_run_folders_know() {
    let space = Nasnet::new(NasnetSettings::default()).unwrap();
    let known = "skip_connect sep_conv_3x3 sep_conv_5x5 dil_conv_3x3 avg_pool_3x3 max_pool_3x3 conv_1x1 conv_3x3";
    assert_eq!(space.decisions()[1].choices.join(" "), known);
    assert_eq!(space.decisions().len(), 42);
}

#[test]
fn every_block_of_tea_dnn_can_be_written() {
    let space = tea_dnn(2);
    // A block reads the two cells before it and the blocks before it.
    for (inputs, decision) in [(2, 0), (2, 2), (3, 4), (3, 6)] {
        assert_eq!(space.decisions()[decision].choices.len(), inputs);
        assert_eq!(space.decisions()[decision + 1].choices, TEA_DNN);
    }
    for (left, right) in TEA_DNN.into_iter().zip(TEA_DNN.into_iter().rev()) {
        let cell = format!("[0.{left}+1.{right}, 2.{right}+0.{left}]");
        let architecture = space.parse(&format!("normal{cell} reduce{cell} depth=1 width=4")).unwrap();
        let graph = space.graph(&architecture, Shape::new(3, 8, 8), 10).unwrap();
        assert!(graph.is_connected(), "{left} {right}");
    }
}

#[test]
fn costs_of_large_convolutions_equal_those_counted_by_hand() {
    let space = tea_dnn(1);
    let text = "normal[0.conv_5x5+1.conv_7x7] reduce[0.conv_5x5+1.conv_7x7] depth=1 width=4";
    let cost = space.graph(&space.parse(text).unwrap(), Shape::new(3, 8, 8), 10).unwrap().cost();
    // Places and channels of the outputs of five cells; the second and the fourth are reductions.
    let cells = [(64, 4), (16, 8), (16, 8), (4, 16), (4, 16)];
    // Places, and channels before and after, of the convolutions of one pixel that read the two cells before.
    let inputs =
        [[(64, 4, 4); 2], [(64, 4, 8); 2], [(16, 4, 8), (16, 8, 8)], [(16, 8, 16); 2], [(4, 8, 16), (4, 16, 16)]];
    let taps = 25 + 49;
    let (mut macs, mut parameters) = (64 * 4 * 27 + 17 * 10, 4 * 27 + 8 + 17 * 10);
    for ((places, channels), inputs) in cells.into_iter().zip(inputs) {
        let of_inputs = |(places, before, after): (u64, u64, u64)| [places * before * after, before * after];
        let [input_macs, input_weights] =
            inputs.map(of_inputs).into_iter().fold([0; 2], |[a, b], [c, d]| [a + c, b + d]);
        macs += places * channels * channels * taps + input_macs;
        // Four batch norms, each with a scale and a shift.
        parameters += channels * channels * taps + input_weights + 4 * 2 * channels;
    }
    assert_eq!((cost.macs, cost.parameters), (macs, parameters));
}
