//! What a model may ask of this machine.
//!
//! The engine allocates whatever a file's numbers say, and an allocation that fails ends the program. A network of a few
//! hundred bytes can ask for any amount: the sizes that would be allocated are therefore looked at before they are.

use std::collections::{BTreeSet, HashMap};

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, tensor_proto};
use tract_onnx::prelude::TypedModel;
use tract_onnx::tract_core::ops::konst::Const;

/// Most elements that a model may hold at one time: 8 GiB of 32-bit floats. A ResNet-50 has 26 million weights.
const MOST_ELEMENTS: usize = 1 << 31;

/// Operators that make a tensor as large as one of their inputs says, and the number of that input.
const MAKERS: [(&str, &[usize]); 7] = [
    ("ConstantOfShape", &[0]),
    ("Expand", &[1]),
    ("Tile", &[1]),
    ("Range", &[0, 1]),
    ("Pad", &[1]),
    ("Resize", &[3]),
    ("OneHot", &[1]),
];

/// Refuses constants that say an immense size. The engine computes with constants while it loads a model.
///
/// # Errors
/// The node that says it.
pub(super) fn check_constants(graph: &GraphProto) -> Result<(), String> {
    let constant = |name: &String| {
        let initial = graph.initializer.iter().find(|tensor| tensor.name == *name);
        let node = || graph.node.iter().find(|node| node.op_type == "Constant" && node.output.contains(name));
        initial.or_else(|| node()?.attribute.iter().find_map(|attribute| attribute.t.as_ref()))
    };
    let is_immense = |node: &NodeProto| {
        let inputs =
            MAKERS.iter().find(|(operator, _)| *operator == node.op_type).map_or(&[][..], |(_, inputs)| inputs);
        let sizes = inputs.iter().filter_map(|input| size(constant(node.input.get(*input)?)?));
        let pads = || node.attribute.iter().filter(|attribute| attribute.name == "pads").flat_map(|pads| &pads.ints);
        sizes.fold(1, usize::saturating_mul) > MOST_ELEMENTS || pads().any(|pad| pad.unsigned_abs() > 1 << 31)
    };
    match graph.node.iter().find(|node| is_immense(node)) {
        Some(node) => Err(format!("its node {:?} ({}) {}", node.name, node.op_type, beyond())),
        None => Ok(()),
    }
}

/// Refuses a model that holds more at one time than this machine should: weights throughout, and what other nodes give
/// until the last of their readers has been computed.
///
/// # Errors
/// The node at which it is too much.
pub(super) fn check_sizes(model: &TypedModel) -> Result<(), String> {
    let too_much = |node: usize| Err(format!("its node {:?} {}", model.nodes[node].name, beyond()));
    // What has no fixed size is refused for that.
    let size = |node: usize| {
        let shapes = model.nodes[node].outputs.iter().filter_map(|output| output.fact.shape.as_concrete());
        let product = |shape: &[usize]| shape.iter().fold(1, |size: usize, side| size.saturating_mul(*side));
        shapes.map(product).fold(0_usize, usize::saturating_add)
    };
    let is_weight = |node: usize| model.nodes[node].op_is::<Const>();
    let mut held = 0_usize;
    for node in 0..model.nodes.len() {
        held = if is_weight(node) { held.saturating_add(size(node)) } else { held };
        // A node by itself, too: one that leads nowhere is not in the order below.
        if held > MOST_ELEMENTS || size(node) > MOST_ELEMENTS {
            return too_much(node);
        }
    }
    let order = model.eval_order().map_err(|error| format!("its nodes have no order: {error:#}"))?;
    let mut last_reader = HashMap::new();
    for node in &order {
        last_reader.extend(model.nodes[*node].inputs.iter().map(|input| (input.node, *node)));
    }
    for node in order.into_iter().filter(|node| !is_weight(*node)) {
        held = held.saturating_add(size(node));
        if held > MOST_ELEMENTS {
            return too_much(node);
        }
        let inputs: BTreeSet<usize> = model.nodes[node].inputs.iter().map(|input| input.node).collect();
        let is_done = |input: &usize| last_reader.get(input) == Some(&node) && !is_weight(*input);
        held -= inputs.into_iter().filter(is_done).map(size).sum::<usize>();
    }
    Ok(())
}

fn beyond() -> String {
    format!("takes what is held at one time beyond {} GiB", (MOST_ELEMENTS * size_of::<f32>()) >> 30)
}

/// The product of a tensor of whole numbers; none of another tensor.
fn size(tensor: &TensorProto) -> Option<usize> {
    let is_whole = tensor.data_type == tensor_proto::DataType::Int64 as i32;
    let raw = tensor.raw_data.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes);
    let product = raw.chain(tensor.int64_data.iter().copied()).fold(1_usize, |product, number| {
        product.saturating_mul(usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX).max(1))
    });
    is_whole.then_some(product)
}
