//! One ONNX model, ready to run in-process.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message as _;
use rten::{DataType, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueType};
use rten_tensor::AsView as _;
use thiserror::Error;

use super::complete::complete;
use super::feed::{Feed, pseudo_random};
use super::guard::guarded;
use super::limits;
use super::segments::Segments;
use crate::onnx::{self, GraphProto, ModelProto};

/// Largest file that is read, in bytes: no protobuf message may have more.
const LARGEST_FILE: u64 = 1 << 31;

/// The advice where this engine cannot run a model: others may.
const ELSEWHERE: &str = "measure it on another device (jetson, openvino, command)";

/// A loaded and optimised ONNX model.
#[derive(Debug)]
pub struct Inference {
    path: PathBuf,
    /// Each input with its shape and the type that the engine computes with.
    inputs: Vec<(NodeId, Vec<usize>, DataType)>,
    pub(super) way: Way,
    pool: Arc<ThreadPool>,
}

/// How a model is computed.
#[derive(Debug)]
pub(super) enum Way {
    Whole(Box<rten::Model>),
    InSegments(Segments),
}

/// Reason why a model could not be loaded or run, with its path.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct InferenceError(String);

impl Inference {
    /// Loads an ONNX model to run on one thread.
    ///
    /// # Errors
    /// If the file cannot be read or is not ONNX, the engine lacks an operator of it, an input has no fixed shape, or the
    /// model needs more memory than any machine should give it.
    pub fn load(path: &Path) -> Result<Self, InferenceError> {
        Self::load_on(path, &Arc::new(ThreadPool::with_num_threads(1)))
    }

    /// The same, to run on the threads of `pool`.
    pub(super) fn load_on(path: &Path, pool: &Arc<ThreadPool>) -> Result<Self, InferenceError> {
        let content = read(path).map_err(|error| InferenceError(format!("cannot read {}: {error}", path.display())))?;
        let rejected = |reason: String| {
            InferenceError(format!("{} is not a model that can be run here: {reason}", path.display()))
        };
        if content.len() as u64 > LARGEST_FILE {
            return Err(rejected(format!("it has more than {} GiB", LARGEST_FILE >> 30)));
        }
        // The engine may take for granted what does not hold for a damaged file.
        let loaded = guarded(|| {
            let (proto, model, inputs) = load(content)?;
            let segments = Segments::new(&proto, &model);
            let mut inference =
                Self { path: path.to_owned(), inputs, way: Way::Whole(Box::new(model)), pool: Arc::clone(pool) };
            if let Some(segments) = segments {
                let feed = inference.pseudo_random_feed().map_err(|error| error.to_string())?;
                // The engine may have rewritten the graph so far that it lacks a value of a segment.
                if inference.pool.run(|| segments.run(&feed, &inference.pool)).is_ok() {
                    inference.way = Way::InSegments(segments);
                }
            }
            Ok(inference)
        });
        loaded.unwrap_or_else(Err).map_err(rejected)
    }

    /// Shape of each input, `[batch, channels, height, width]` for an image.
    pub fn input_shapes(&self) -> Vec<&[usize]> {
        self.inputs.iter().map(|(_, shape, _)| shape.as_slice()).collect()
    }

    /// One inference.
    ///
    /// `values` are those of all inputs, one after the other and each in row-major order; they are converted to the
    /// input's type. The result holds all outputs in the same way, `[batch, classes]` for a classifier.
    ///
    /// # Errors
    /// If the number of values does not fit the inputs' shapes, or the engine fails.
    pub fn run(&mut self, values: &[f32]) -> Result<Vec<f32>, InferenceError> {
        let expected: usize = self.inputs.iter().map(|(_, shape, _)| shape.iter().product::<usize>()).sum();
        if values.len() != expected {
            let (path, shapes, found) = (self.path.display(), self.input_shapes(), values.len());
            return Err(InferenceError(format!("{path} takes {expected} values (shapes {shapes:?}), not {found}")));
        }
        let mut rest = values.iter();
        let feed = self.feed(|length, _| rest.by_ref().take(length).copied().collect())?;
        let outputs = self.run_feed(&feed)?;
        let floats = outputs.iter().map(floats).collect::<Option<Vec<_>>>();
        Ok(floats.ok_or_else(|| self.failed("an output is a sequence of tensors"))?.concat())
    }

    /// The same values every time: bytes over their whole range, as in an image, and zeros and ones for other whole
    /// numbers, which are valid positions in almost every table.
    pub(super) fn pseudo_random_feed(&self) -> Result<Feed, InferenceError> {
        self.feed(|length, element| {
            let mut values = pseudo_random(length);
            match element {
                DataType::Float => (),
                DataType::UInt8 => values.iter_mut().for_each(|value| *value = 128.0 + 73.0 * *value),
                _ => values.iter_mut().for_each(|value| *value = value.abs()),
            }
            values
        })
    }

    /// Values for all inputs: `draw` gives as many as it is asked for.
    fn feed(&self, mut draw: impl FnMut(usize, DataType) -> Vec<f32>) -> Result<Feed, InferenceError> {
        let value = |(_, shape, element): &(NodeId, Vec<usize>, DataType)| {
            let values = draw(shape.iter().product(), *element);
            let value = match element {
                DataType::Float => Value::from_shape(shape, values).map_err(|error| error.to_string()),
                DataType::Int32 => whole(shape, &values, |value| value as i32),
                DataType::Int8 => whole(shape, &values, |value| value as i8),
                DataType::UInt8 => whole(shape, &values, |value| value as u8),
                _ => Err(format!("an input is of {element}, which is not known here")),
            };
            value.map_err(|error| self.failed(&error))
        };
        self.inputs.iter().map(value).collect()
    }

    /// One inference on values that are prepared: this is timed.
    pub(super) fn run_feed(&self, feed: &Feed) -> Result<Vec<Value>, InferenceError> {
        let model = match &self.way {
            Way::Whole(model) => model,
            Way::InSegments(segments) => {
                return self.pool.run(|| segments.run(feed, &self.pool)).map_err(|error| self.failed(&error));
            }
        };
        let inputs = self.inputs.iter().zip(feed).map(|((id, ..), value)| (*id, value.into())).collect();
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        model.run(inputs, model.output_ids(), Some(options)).map_err(|error| self.failed(&error.to_string()))
    }

    fn failed(&self, reason: &str) -> InferenceError {
        InferenceError(format!("{} failed to run: {reason}", self.path.display()))
    }
}

fn whole<T>(shape: &[usize], values: &[f32], convert: impl Fn(f32) -> T) -> Result<Value, String>
where
    Value: From<rten_tensor::Tensor<T>>,
{
    let values = values.iter().map(|value| convert(*value)).collect();
    Value::from_shape(shape, values).map_err(|error| error.to_string())
}

/// The values of a tensor in row-major order; absent for a sequence of tensors.
fn floats(value: &Value) -> Option<Vec<f32>> {
    Some(match value {
        Value::FloatTensor(tensor) => tensor.to_vec(),
        Value::Int32Tensor(tensor) => tensor.iter().map(|value| *value as f32).collect(),
        Value::Int8Tensor(tensor) => tensor.iter().map(|value| f32::from(*value)).collect(),
        Value::UInt8Tensor(tensor) => tensor.iter().map(|value| f32::from(*value)).collect(),
        _ => return None,
    })
}

type Loaded = (ModelProto, rten::Model, Vec<(NodeId, Vec<usize>, DataType)>);

/// The engine gets the messages as they are understood here and not the file: their lengths are then right, and repeated
/// integers unpacked, which it insists on. It never gets weights in other files, which the model's hash would not cover.
fn load(content: Vec<u8>) -> Result<Loaded, String> {
    let mut proto = ModelProto::decode(content.as_slice()).map_err(|error| format!("it is not ONNX: {error}"))?;
    drop(content);
    proto.graph.iter_mut().for_each(complete);
    let graph = proto.graph.as_ref().ok_or("it is not ONNX: it has no graph")?;
    check_outputs(graph)?;
    let inputs = onnx::inputs(graph);
    let shapes = inputs.iter().map(|input| input.sizes()).collect::<Result<Vec<_>, _>>()?;
    limits::check_before_loading(graph, &shapes)?;
    let model =
        ModelOptions::with_all_ops().load(proto.encode_to_vec()).map_err(|error| in_words(&error.to_string()))?;
    limits::check_sizes(graph, &shapes, &model)?;
    let inputs = inputs.iter().zip(shapes).map(|(input, shape)| {
        let id = model.find_node(&input.name).ok_or_else(|| format!("its input {:?} is lost", input.name))?;
        match model.node_info(id).and_then(|info| info.dtype()) {
            Some(ValueType::Tensor(element)) => Ok((id, shape, element)),
            _ => Err(format!(
                "its input {:?} is of {}, which the engine of this program does not know: {ELSEWHERE}",
                input.name, input.element
            )),
        }
    });
    let inputs = inputs.collect::<Result<_, String>>()?;
    Ok((proto, model, inputs))
}

/// The engine's reason, in words of its users where it lacks an operator or a type.
fn in_words(error: &str) -> String {
    let operator = error.split(" operator not supported").next().filter(|before| before.len() < error.len());
    let Some(operator) = operator.and_then(|before| before.rsplit([' ', ':']).next()) else {
        return format!("{error}; {ELSEWHERE}");
    };
    let advice = if operator.starts_with("QLinear") {
        ": quantise the model in the form QDQ (QuantizeLinear and DequantizeLinear), or"
    } else {
        ":"
    };
    format!("the engine of this program has no operator {operator}{advice} {ELSEWHERE}")
}

/// Rejects an output that no node gives, which the engine takes for granted.
fn check_outputs(graph: &GraphProto) -> Result<(), String> {
    let is_given = |name: &str| {
        graph.input.iter().any(|input| input.name == name)
            || graph.initializer.iter().any(|tensor| tensor.name.as_deref() == Some(name))
            || graph.node.iter().any(|node| node.output.iter().any(|output| output == name))
    };
    match graph.output.iter().find(|output| !is_given(&output.name)) {
        Some(output) => Err(format!("no node of it gives its output {:?}", output.name)),
        None => Ok(()),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut content)?;
    Ok(content)
}
