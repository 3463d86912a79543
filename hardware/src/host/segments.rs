//! A graph in segments: depthwise convolutions, convolutions of one pixel and average pooling run here, all else in the
//! engine.
//!
//! The engine is several times slower at these operators than at all others, relative to other engines, which would
//! distort the ranking of networks. It can compute any value of a graph from any others, so a run alternates between the
//! engine and the operators of [`super::windows`] and [`super::vector`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rten::{DataType, Dimension, Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueType};
use rten_tensor::AsView as _;

use super::feed::Feed;
use super::vector::Dense;
use super::windows::{Geometry, Pair, Windows};
use crate::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Number of 32-bit floats among the element types of the format.
const FLOAT: i32 = 1;

/// The order in which a graph is computed.
#[derive(Debug)]
pub(super) struct Segments {
    segments: Vec<Segment>,
    outputs: Vec<NodeId>,
}

#[derive(Debug, Default)]
struct Segment {
    /// Values that the engine computes, read by a later step.
    wanted: Vec<NodeId>,
    /// Values that only the engine reads in this segment, and no later step.
    last_read: Vec<NodeId>,
    /// The operators that follow, in order.
    operators: Vec<Operator>,
    /// Values that no later segment reads.
    done: Vec<NodeId>,
}

#[derive(Debug)]
struct Operator {
    input: NodeId,
    output: NodeId,
    /// Shape of the output.
    shape: Vec<usize>,
    kernel: Kernel,
}

#[derive(Debug)]
enum Kernel {
    Windows(Windows),
    Dense(Dense),
}

impl Kernel {
    fn run(&self, values: &[f32]) -> Vec<f32> {
        match self {
            Self::Windows(windows) => windows.run(values),
            Self::Dense(dense) => dense.run(values),
        }
    }
}

impl Segments {
    /// The segments of a graph that `model` was loaded from; absent where it has no operator to run here, or where the
    /// segments cannot be told apart by the names of its values.
    pub(super) fn new(graph: &GraphProto, model: &Model) -> Option<Self> {
        let is_plain = |node: &NodeProto| node.attribute.iter().all(|attribute| attribute.g.is_none());
        if !graph.node.iter().all(is_plain) {
            return None;
        }
        let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        for node in &graph.node {
            node.input.iter().for_each(|input| readers.entry(input).or_default().push(node));
        }
        let mut operators: HashMap<&str, Operator> = HashMap::new();
        for node in &graph.node {
            let [output] = &node.output[..] else { continue };
            // The engine merges these with the convolution before.
            let merges = |reader: &&NodeProto| match &*reader.op_type {
                "BatchNormalization" => true,
                "Add" => node.input.len() == 2,
                _ => false,
            };
            let is_merged = node.op_type == "Conv" && readers.get(&**output).is_some_and(|all| all.iter().any(merges));
            if let Some(operator) = operator(node, graph, model).filter(|_| !is_merged) {
                operators.insert(output, operator);
            }
        }
        if operators.is_empty() {
            return None;
        }

        // Step 2n of a run is the engine's in segment n, step 2n + 1 that of the operators that follow.
        let mut steps: HashMap<&str, usize> = HashMap::new();
        let mut last_reads: HashMap<&str, usize> = HashMap::new();
        for node in graph.node.iter().filter(|node| node.op_type != "Constant") {
            let is_operator = node.output.first().is_some_and(|output| operators.contains_key(&**output));
            let inputs = || node.input.iter().map(String::as_str);
            let earliest = inputs().filter_map(|input| steps.get(input)).max().copied().unwrap_or(0);
            let step = if is_operator { earliest | 1 } else { earliest.next_multiple_of(2) };
            for input in inputs() {
                let last = last_reads.entry(input).or_default();
                *last = step.max(*last);
            }
            steps.extend(node.output.iter().filter(|name| !name.is_empty()).map(|name| (name.as_str(), step)));
        }
        for output in &graph.output {
            steps.get(&*output.name)?;
            last_reads.insert(&output.name, usize::MAX);
        }

        let id = |name: &str| model.find_node(name);
        let last_step = steps.values().max()?;
        let mut segments: Vec<Segment> = Vec::new();
        segments.resize_with(last_step / 2 + 1, Segment::default);
        // In the order of the graph.
        for name in graph.node.iter().flat_map(|node| &node.output) {
            let (Some(step), Some(last)) = (steps.get(&**name), last_reads.get(&**name)) else { continue };
            let segment = &mut segments[step / 2];
            match operators.remove(&**name) {
                Some(operator) => segment.operators.push(operator),
                None if last > step => segment.wanted.push(id(name)?),
                None => continue,
            }
            match segments.get_mut(last / 2) {
                Some(segment) if last % 2 == 0 => segment.last_read.push(id(name)?),
                Some(segment) => segment.done.push(id(name)?),
                None => (),
            }
        }
        let outputs = graph.output.iter().map(|output| id(&output.name)).collect::<Option<Vec<_>>>()?;
        let unique: HashSet<_> = outputs.iter().collect();
        (unique.len() == outputs.len()).then_some(Self { segments, outputs })
    }

    /// One inference on the threads of `pool`, which is that of the calling thread.
    ///
    /// # Errors
    /// The engine's, as text.
    pub(super) fn run(&self, model: &Model, feed: &Feed, pool: &Arc<ThreadPool>) -> Result<Vec<Value>, String> {
        let mut values: HashMap<NodeId, Value> = HashMap::new();
        for segment in &self.segments {
            if !segment.wanted.is_empty() {
                // The engine may overwrite values that it owns.
                let owned = segment.last_read.iter().filter_map(|id| values.remove_entry(id)).collect::<Vec<_>>();
                let owned = owned.into_iter().map(|(id, value)| (id, ValueOrView::Value(value)));
                let views = feed.iter().map(|(id, value)| (*id, value.into()));
                let views = views.chain(values.iter().map(|(id, value)| (*id, value.into())));
                let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
                let made = model.run(owned.chain(views).collect(), &segment.wanted, Some(options));
                let made = made.map_err(|error| error.to_string())?;
                values.extend(segment.wanted.iter().copied().zip(made));
            }
            for operator in &segment.operators {
                let value = match values.get(&operator.input) {
                    Some(value) => Some(value),
                    None => feed.iter().find(|(id, _)| *id == operator.input).map(|(_, value)| value),
                };
                let Some(Value::FloatTensor(tensor)) = value else {
                    return Err("the input of a convolution or of pooling is not a tensor of floats".to_owned());
                };
                let result = match tensor.data() {
                    Some(values) => operator.kernel.run(values),
                    None => operator.kernel.run(&tensor.to_vec()),
                };
                let result = Value::from_shape(&operator.shape, result).map_err(|error| error.to_string())?;
                values.insert(operator.output, result);
            }
            for id in &segment.done {
                values.remove(id);
            }
        }
        let outputs = self.outputs.iter().map(|id| values.remove(id)).collect::<Option<_>>();
        outputs.ok_or_else(|| "an output was not computed".to_owned())
    }
}

/// The operator of a node where it runs here: its sizes are known, its elements are 32-bit floats, and its attributes are
/// those that a [`Kernel`] knows.
fn operator(node: &NodeProto, graph: &GraphProto, model: &Model) -> Option<Operator> {
    let (input, output) = (model.find_node(node.input.first()?)?, model.find_node(node.output.first()?)?);
    let [batch, channels, height, width] = float_shape(model, input)?;
    let initial = |name: &String| {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name.as_ref() == Some(name))?;
        Some((tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect::<Option<Vec<_>>>()?, floats(tensor)?))
    };
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let number = |name: &str, default: i64| attribute(name).map_or(Some(default), |attribute| attribute.i);
    let is_set = |attribute: &AttributeProto| attribute.s.as_deref().is_some_and(|text| text != b"NOTSET");
    if attribute("auto_pad").is_some_and(is_set) || !matches!(node.domain.as_deref(), None | Some("" | "ai.onnx")) {
        return None;
    }
    let sizes = |name: &str, default: &[usize]| match attribute(name) {
        Some(attribute) => attribute.ints.iter().map(|size| usize::try_from(*size).ok()).collect(),
        None => Some(default.to_vec()),
    };
    let pair = |name: &str, default: &[usize]| Pair::try_from(sizes(name, default)?).ok();
    let geometry = |kernel: &[usize]| {
        let [top, left, bottom, right] = sizes("pads", &[0; 4])?.try_into().ok()?;
        Some(Geometry {
            kernel: pair("kernel_shape", kernel)?,
            strides: pair("strides", &[1; 2])?,
            dilations: pair("dilations", &[1; 2])?,
            before: [top, left],
            after: [bottom, right],
        })
    };
    let windows = |windows: Windows| {
        let [height, width] = windows.output();
        (Kernel::Windows(windows), [batch, channels, height, width])
    };
    let (kernel, shape) = match (&*node.op_type, &node.input[..]) {
        ("Conv", [_, weights, bias @ ..]) => {
            let (shape, weights) = initial(weights)?;
            let bias = match bias.first().filter(|name| !name.is_empty()) {
                Some(name) => initial(name)?.1,
                None => Vec::new(),
            };
            let (geometry, group) = (geometry(shape.get(2..)?)?, number("group", 1)?);
            let [rows, columns] = geometry.kernel;
            if channels > 1 && group == i64::try_from(channels).ok()? && shape == [channels, 1, rows, columns] {
                windows(Windows::depthwise(geometry, [height, width], weights, bias)?)
            } else if [height, width, rows, columns] == [1; 4] && group == 1 && shape.get(1) == Some(&channels) {
                (Kernel::Dense(Dense::new(shape[0], channels, weights, bias)?), [batch, shape[0], 1, 1])
            } else {
                return None;
            }
        }
        ("AveragePool", [_]) if number("ceil_mode", 0)? == 0 => {
            windows(Windows::average(geometry(&[])?, [height, width], number("count_include_pad", 0)? != 0)?)
        }
        ("GlobalAveragePool", [_]) => {
            (Kernel::Dense(Dense::mean(height.checked_mul(width)?)?), [batch, channels, 1, 1])
        }
        _ => return None,
    };
    let fits = float_shape(model, output)? == shape && ![batch, channels, height, width, shape[1]].contains(&0);
    fits.then(|| Operator { input, output, shape: shape.to_vec(), kernel })
}

/// The shape of a tensor of 32-bit floats with four dimensions, where it is known.
fn float_shape(model: &Model, id: NodeId) -> Option<[usize; 4]> {
    let info = model.node_info(id)?;
    let sizes = info.shape()?.into_iter().map(|dimension| match dimension {
        Dimension::Fixed(size) => Some(size),
        Dimension::Symbolic(_) => None,
    });
    let is_float = info.dtype() == Some(ValueType::Tensor(DataType::Float));
    sizes.collect::<Option<Vec<_>>>()?.try_into().ok().filter(|_| is_float)
}

/// The values of a tensor of 32-bit floats.
fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type != Some(FLOAT) {
        return None;
    }
    Some(match &tensor.raw_data {
        Some(raw) => raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        None => tensor.float_data.clone(),
    })
}

#[cfg(test)]
mod tests;
