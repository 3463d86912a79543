//! A part of a graph, which the engine computes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use prost::Message as _;
use rten::{DataType, Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueType};

use super::{Index, outputs, value};
use crate::onnx::{
    DimensionProto, GraphProto, ModelProto, NodeProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// A model of its own: the engine remembers the order of its operators for one set of outputs.
#[derive(Debug)]
pub(super) struct Part {
    model: Model,
    reads: Vec<Read>,
    /// The values of the model's outputs.
    makes: Vec<Index>,
}

#[derive(Debug)]
struct Read {
    value: Index,
    input: NodeId,
    /// Whether this part is the last to read the value.
    is_last: bool,
}

impl Part {
    /// The part that consists of `nodes`; absent where the engine cannot load it. `whole` is the engine's model of the
    /// whole graph, `places` has the inputs of the graph and what its nodes make, and `is_last` says whether a value is
    /// read by this part or before, and not later.
    pub(super) fn new(
        proto: &ModelProto,
        whole: &Model,
        nodes: &[&NodeProto],
        places: &HashMap<&str, Index>,
        is_last: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        let graph = proto.graph.as_ref()?;
        let made: BTreeSet<&str> = nodes.iter().flat_map(|node| outputs(node)).collect();
        let read: BTreeSet<&str> = nodes.iter().flat_map(|node| &node.input).map(String::as_str).collect();
        let is_read = |name: Option<&String>| name.is_some_and(|name| read.contains(&**name));
        let is_constant = |node: &&NodeProto| node.op_type == "Constant" && is_read(node.output.first());
        let constants: Vec<&NodeProto> = graph.node.iter().filter(is_constant).collect();
        let is_given = |name: &&&str| {
            places.contains_key(**name)
                && !made.contains(**name)
                && !constants.iter().any(|node| outputs(node).any(|constant| constant == **name))
        };
        let given: Vec<&str> = read.iter().filter(is_given).copied().collect();
        let kept: Vec<&str> = made.iter().filter(|name| !is_last(name)).copied().collect();
        let part = GraphProto {
            node: constants.iter().chain(nodes).map(|node| (*node).clone()).collect(),
            name: graph.name.clone(),
            initializer: graph.initializer.iter().filter(|tensor| is_read(tensor.name.as_ref())).cloned().collect(),
            input: given.iter().map(|name| value_info(name, whole)).collect(),
            output: kept.iter().map(|name| ValueInfoProto { name: (*name).to_owned(), r#type: None }).collect(),
            value_info: Vec::new(),
        };
        let proto = ModelProto { graph: Some(part), opset_import: proto.opset_import.clone(), ..*proto };
        let model = ModelOptions::with_all_ops().load(proto.encode_to_vec()).ok()?;
        let read =
            |(name, input): (&&str, &NodeId)| Read { value: places[*name], input: *input, is_last: is_last(name) };
        let reads = given.iter().zip(model.input_ids()).map(read).collect();
        let makes = kept.iter().map(|name| places[*name]).collect();
        Some(Self { reads, makes, model })
    }

    /// Computes the part's values into `made`.
    ///
    /// # Errors
    /// The engine's, as text.
    pub(super) fn run(&self, feed: &[Value], made: &mut [Option<Value>], pool: &Arc<ThreadPool>) -> Result<(), String> {
        // The engine may overwrite values that it owns.
        let last = self.reads.iter().filter(|read| read.is_last);
        let owned: Vec<_> = last.filter_map(|read| Some((read.input, made[read.value].take()?.into()))).collect();
        let views = self.reads.iter().filter_map(|read| Some((read.input, value(feed, made, read.value)?.into())));
        let inputs: Vec<(NodeId, ValueOrView)> = views.chain(owned).collect();
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
        let values = self.model.run(inputs, self.model.output_ids(), Some(options));
        for (place, value) in self.makes.iter().zip(values.map_err(|error| error.to_string())?) {
            made[*place] = Some(value);
        }
        Ok(())
    }
}

/// A value as an input, with the type and the shape that the engine knows.
fn value_info(name: &str, whole: &Model) -> ValueInfoProto {
    let info = whole.find_node(name).and_then(|id| whole.node_info(id));
    // Numbers of element types in the format.
    let element = match info.as_ref().and_then(|info| info.dtype()) {
        Some(ValueType::Tensor(DataType::Float)) => Some(1),
        Some(ValueType::Tensor(DataType::UInt8)) => Some(2),
        Some(ValueType::Tensor(DataType::Int8)) => Some(3),
        Some(ValueType::Tensor(DataType::Int32)) => Some(6),
        _ => None,
    };
    let dimension = |dimension| match dimension {
        Dimension::Fixed(size) => DimensionProto { dim_value: i64::try_from(size).ok(), dim_param: None },
        Dimension::Symbolic(name) => DimensionProto { dim_value: None, dim_param: Some(name) },
    };
    let shape = info.and_then(|info| info.shape());
    let shape = shape.map(|shape| TensorShapeProto { dim: shape.into_iter().map(dimension).collect() });
    let tensor_type = element.map(|element| TensorTypeProto { elem_type: Some(element), shape });
    let r#type = tensor_type.map(|tensor| TypeProto { tensor_type: Some(tensor), ..TypeProto::default() });
    ValueInfoProto { name: name.to_owned(), r#type }
}
