//! The memory that a model may ask for on this machine.
//!
//! The engine allocates as much as the numbers of a file say, and a failed allocation ends the program. A network of a
//! few hundred bytes can ask for any amount, so its sizes are checked first.

use std::collections::{BTreeSet, HashMap};

use rten::Dimension;

use crate::onnx::{GraphProto, NodeProto, TensorProto};

/// Most elements that a model may hold at one time: 8 GiB of 32-bit floats. A ResNet-50 has 26 million weights.
const MOST_ELEMENTS: usize = 1 << 31;

/// Largest attribute of a window: the sides of its output then fit the integers of the engine.
const LARGEST_STEP: u64 = 1 << 24;

/// Number of 64-bit integers among the element types of the format.
const INT64: i32 = 7;

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

/// Attributes that say how large the output of a window is.
const WINDOW: [&str; 6] = ["pads", "strides", "dilations", "kernel_shape", "output_padding", "output_shape"];

/// Rejects inputs, constants and attributes of an immense size. The engine computes with constants while it loads a model.
///
/// # Errors
/// The input or node that asks for too much.
pub(super) fn check_before_loading(graph: &GraphProto, inputs: &[Vec<usize>]) -> Result<(), String> {
    if inputs.iter().any(|shape| product(shape) > MOST_ELEMENTS) {
        return Err(format!("an input {}", beyond()));
    }
    let constant = |name: &String| {
        let initial = graph.initializer.iter().find(|tensor| tensor.name.as_ref() == Some(name));
        let node = || graph.node.iter().find(|node| node.op_type == "Constant" && node.output.contains(name));
        initial.or_else(|| node()?.attribute.iter().find_map(|attribute| attribute.t.as_ref()))
    };
    let is_immense = |node: &NodeProto| {
        let inputs =
            MAKERS.iter().find(|(operator, _)| *operator == node.op_type).map_or(&[][..], |(_, inputs)| inputs);
        let sizes = inputs.iter().filter_map(|input| size(constant(node.input.get(*input)?)?));
        let mut steps = node.attribute.iter().filter(|attribute| WINDOW.contains(&attribute.name.as_str()));
        sizes.fold(1, usize::saturating_mul) > MOST_ELEMENTS
            || steps.any(|attribute| attribute.ints.iter().any(|step| step.unsigned_abs() > LARGEST_STEP))
    };
    match graph.node.iter().find(|node| is_immense(node)) {
        Some(node) => Err(too_much(node)),
        None => Ok(()),
    }
}

/// Rejects a model that holds more at one time than this machine should: weights throughout, and the output of each node
/// until the last of its readers has been computed. A tensor whose size the engine learns only when it runs counts
/// nothing, and so does one that the engine has fused away.
///
/// # Errors
/// The node at which it is too much.
pub(super) fn check_sizes(graph: &GraphProto, inputs: &[Vec<usize>], model: &rten::Model) -> Result<(), String> {
    let size = |name: &str| {
        let shape = model.find_node(name).and_then(|id| model.node_info(id)?.shape());
        let sizes = shape.into_iter().flatten().map(|dimension| match dimension {
            Dimension::Fixed(size) => size,
            Dimension::Symbolic(_) => 0,
        });
        product(&sizes.collect::<Vec<_>>())
    };
    let weights = graph
        .initializer
        .iter()
        .map(|tensor| product(&tensor.dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect::<Vec<_>>()));
    let mut held = weights.chain(inputs.iter().map(|shape| product(shape))).fold(0, usize::saturating_add);
    // The format wants nodes in an order in which they can be computed.
    let mut last_reader = HashMap::new();
    for (position, node) in graph.node.iter().enumerate() {
        last_reader.extend(node.input.iter().map(|input| (input.as_str(), position)));
    }
    let mut made = HashMap::new();
    for (position, node) in graph.node.iter().enumerate() {
        for output in &node.output {
            let size = size(output);
            made.insert(output.as_str(), size);
            held = held.saturating_add(size);
        }
        if held > MOST_ELEMENTS {
            return Err(too_much(node));
        }
        let inputs: BTreeSet<&str> = node.input.iter().map(String::as_str).collect();
        let is_done = |input: &&str| last_reader.get(input) == Some(&position);
        held -= inputs.into_iter().filter(is_done).filter_map(|input| made.remove(input)).sum::<usize>();
    }
    Ok(())
}

fn too_much(node: &NodeProto) -> String {
    format!("its node {:?} ({}) {}", node.name, node.op_type, beyond())
}

fn beyond() -> String {
    format!("takes the memory that is held at one time beyond {} GiB", (MOST_ELEMENTS * size_of::<f32>()) >> 30)
}

fn product(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |product: usize, size| product.saturating_mul(*size))
}

/// The product of a tensor of whole numbers; absent for another tensor.
fn size(tensor: &TensorProto) -> Option<usize> {
    let raw = tensor.raw_data.iter().flat_map(|raw| raw.chunks_exact(8));
    let raw = raw.filter_map(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes);
    let product = raw.chain(tensor.int64_data.iter().copied()).fold(1_usize, |product, number| {
        product.saturating_mul(usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX).max(1))
    });
    (tensor.data_type == Some(INT64)).then_some(product)
}
