//! A graph in segments: the operators of [`super::kernels`] run here, all else in the engine.
//!
//! The engine takes two to four times as long for these operators as other engines do, and for some more than for others,
//! which would distort the ranking of networks. So a run alternates between parts of the graph, which the engine computes,
//! and these operators.

mod part;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rten::{Model, ThreadPool, Value};
use rten_tensor::AsView as _;

use self::part::Part;
use super::kernels::{self, Kernel};
use super::range::Range;
use crate::onnx::{self, GraphProto, ModelProto, NodeProto};

/// Place of a value among those of a run: first come the graph's inputs, then what its nodes make.
type Index = usize;

/// The order in which a graph is computed.
#[derive(Debug)]
pub(super) struct Segments {
    segments: Vec<Segment>,
    /// Number of values.
    count: usize,
    outputs: Vec<Index>,
}

#[derive(Debug, Default)]
struct Segment {
    /// Absent where the engine has nothing to compute.
    part: Option<Part>,
    /// The operators that follow, in order.
    operators: Vec<Operator>,
    /// Values that no later segment reads.
    done: Vec<Index>,
}

#[derive(Debug)]
struct Operator {
    input: Index,
    output: Index,
    /// Shape of the output.
    shape: Vec<usize>,
    kernel: Kernel,
    /// Of the activation that follows.
    range: Range,
}

impl Segments {
    /// The segments of a model that `whole` was loaded from; absent where it has no operator to run here, or where the
    /// segments cannot be told apart by the names of its values.
    pub(super) fn new(proto: &ModelProto, whole: &Model) -> Option<Self> {
        let graph = proto.graph.as_ref()?;
        let is_plain = |node: &NodeProto| node.attribute.iter().all(|attribute| attribute.g.is_none());
        if !graph.node.iter().all(is_plain) {
            return None;
        }
        let mut kernels = kernels_of(graph, whole);
        if kernels.is_empty() {
            return None;
        }
        let steps = Steps::new(graph, &kernels)?;
        let inputs = onnx::inputs(graph);
        let names = inputs.iter().map(|input| &*input.name);
        let names: Vec<&str> = names.chain(graph.node.iter().flat_map(outputs)).collect();
        let places: HashMap<&str, Index> = names.iter().copied().zip(0..).collect();
        if places.len() != names.len() {
            return None;
        }

        let mut segments = Vec::new();
        for number in 0..=steps.last / 2 {
            let is_step = |name: &str| steps.of.get(name) == Some(&(2 * number));
            let is_last = |name: &str| steps.last_reads.get(name) <= Some(&(2 * number));
            let nodes: Vec<&NodeProto> = graph.node.iter().filter(|node| outputs(node).any(is_step)).collect();
            let part = if nodes.is_empty() { None } else { Some(Part::new(proto, whole, &nodes, &places, is_last)?) };
            segments.push(Segment { part, ..Segment::default() });
        }
        for name in graph.node.iter().flat_map(outputs) {
            let (Some(step), Some(last)) = (steps.of.get(name), steps.last_reads.get(name)) else { continue };
            if let Some(Found { input, kernel, shape, range, .. }) = kernels.remove(name) {
                let (input, output) = (*places.get(input)?, places[name]);
                segments[step / 2].operators.push(Operator { input, output, shape, kernel, range });
            }
            // The engine takes a value that it is the last to read.
            if let Some(segment) = segments.get_mut(last / 2).filter(|_| last % 2 == 1) {
                segment.done.push(places[name]);
            }
        }
        let outputs =
            graph.output.iter().map(|output| places.get(&*output.name).copied()).collect::<Option<Vec<_>>>()?;
        let unique: HashSet<_> = outputs.iter().collect();
        (unique.len() == outputs.len()).then_some(Self { segments, count: names.len(), outputs })
    }

    /// One inference on the threads of `pool`, which is that of the calling thread. `feed` has a value for each input.
    ///
    /// # Errors
    /// The engine's, as text.
    pub(super) fn run(&self, feed: &[Value], pool: &Arc<ThreadPool>) -> Result<Vec<Value>, String> {
        let mut made: Vec<Option<Value>> = Vec::new();
        made.resize_with(self.count, || None);
        let mut spare = Spare::default();
        for segment in &self.segments {
            if let Some(part) = &segment.part {
                part.run(feed, &mut made, pool)?;
            }
            for operator in &segment.operators {
                let Some(Value::FloatTensor(tensor)) = value(feed, &made, operator.input) else {
                    return Err("the input of a convolution or of pooling is not a tensor of floats".to_owned());
                };
                let mut result = spare.take(operator.shape.iter().product());
                match tensor.data() {
                    Some(values) => operator.kernel.run(values, operator.range, &mut result),
                    None => operator.kernel.run(&tensor.to_vec(), operator.range, &mut result),
                }
                let result = Value::from_shape(&operator.shape, result).map_err(|error| error.to_string())?;
                made[operator.output] = Some(result);
            }
            for done in &segment.done {
                spare.give(made[*done].take());
            }
        }
        let outputs = self.outputs.iter().map(|output| made[*output].take()).collect::<Option<_>>();
        outputs.ok_or_else(|| "an output was not computed".to_owned())
    }
}

/// Most values whose memory is kept.
const MOST_SPARE: usize = 8;

/// Memory of values that are no longer read. It is warm, and need not be filled with zeros.
#[derive(Default)]
struct Spare(Vec<Vec<f32>>);

impl Spare {
    fn give(&mut self, value: Option<Value>) {
        if let Some(Value::FloatTensor(tensor)) = value.filter(|_| self.0.len() < MOST_SPARE) {
            self.0.push(tensor.into_data());
        }
    }

    /// Room for `length` values, which may be any.
    fn take(&mut self, length: usize) -> Vec<f32> {
        let fitting = self.0.iter().enumerate().filter(|(_, spare)| spare.len() >= length);
        let Some((place, _)) = fitting.min_by_key(|(_, spare)| spare.len()) else { return vec![0.0; length] };
        let mut values = self.0.swap_remove(place);
        values.truncate(length);
        values
    }
}

/// An input, or a value that was made.
fn value<'a>(feed: &'a [Value], made: &'a [Option<Value>], place: Index) -> Option<&'a Value> {
    feed.get(place).or_else(|| made[place].as_ref())
}

/// The outputs that a node has.
fn outputs(node: &NodeProto) -> impl Iterator<Item = &str> {
    node.output.iter().map(String::as_str).filter(|name| !name.is_empty())
}

/// An operator that runs here.
struct Found<'a> {
    input: &'a str,
    /// The input of the activation that follows and runs with it.
    between: Option<&'a str>,
    kernel: Kernel,
    /// Shape of the output.
    shape: Vec<usize>,
    range: Range,
}

/// The operators that run here, by the names of their outputs.
fn kernels_of<'a>(graph: &'a GraphProto, whole: &Model) -> HashMap<&'a str, Found<'a>> {
    let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
    for node in &graph.node {
        node.input.iter().for_each(|input| readers.entry(input).or_default().push(node));
    }
    let operator = |node: &'a NodeProto| {
        let ([input, ..], [output]) = (&node.input[..], &node.output[..]) else { return None };
        let readers = readers.get(&**output).map_or(&[][..], Vec::as_slice);
        // The engine merges these with the convolution before.
        let merges = |reader: &&NodeProto| match &*reader.op_type {
            "BatchNormalization" => true,
            "Add" => node.input.len() == 2,
            _ => false,
        };
        let is_convolution = node.op_type == "Conv";
        let is_merged = is_convolution && readers.iter().any(merges);
        let (kernel, shape) = kernels::of_node(node, graph, whole).filter(|_| !is_merged)?;
        let is_output = graph.output.iter().any(|info| info.name == *output);
        let activation = match readers {
            [reader] if is_convolution && !is_output => Some(*reader).zip(kernels::range_of(reader, graph)),
            _ => None,
        };
        Some(match activation {
            Some((reader, range)) => {
                (&**reader.output.first()?, Found { input, between: Some(&**output), kernel, shape, range })
            }
            None => (&**output, Found { input, between: None, kernel, shape, range: Range::ALL }),
        })
    };
    graph.node.iter().filter_map(operator).collect()
}

/// When values are made and read. Step 2n of a run is the engine's in segment n, step 2n + 1 that of the operators that
/// follow.
struct Steps<'a> {
    of: HashMap<&'a str, usize>,
    last_reads: HashMap<&'a str, usize>,
    last: usize,
}

impl<'a> Steps<'a> {
    /// Absent where no node makes an output of the graph.
    fn new(graph: &'a GraphProto, kernels: &HashMap<&'a str, Found<'a>>) -> Option<Self> {
        let mut of: HashMap<&str, usize> = HashMap::new();
        let mut last_reads: HashMap<&str, usize> = HashMap::new();
        let between: HashSet<&str> = kernels.values().filter_map(|found| found.between).collect();
        let is_left =
            |node: &&NodeProto| node.op_type != "Constant" && !outputs(node).any(|name| between.contains(name));
        for node in graph.node.iter().filter(is_left) {
            let found = outputs(node).find_map(|name| kernels.get(name));
            let inputs =
                found.map_or_else(|| node.input.iter().map(String::as_str).collect(), |found| vec![found.input]);
            let earliest = inputs.iter().filter_map(|input| of.get(input)).max().copied().unwrap_or(0);
            let step = if found.is_some() { earliest | 1 } else { earliest.next_multiple_of(2) };
            for input in inputs {
                let last = last_reads.entry(input).or_default();
                *last = step.max(*last);
            }
            of.extend(outputs(node).map(|name| (name, step)));
        }
        for output in &graph.output {
            of.get(&*output.name)?;
            last_reads.insert(&output.name, usize::MAX);
        }
        Some(Self { last: of.values().max().copied()?, of, last_reads })
    }
}

#[cfg(test)]
mod tests;
