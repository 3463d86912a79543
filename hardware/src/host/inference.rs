//! One ONNX model, ready to run in-process.

use std::any::Any;
use std::fs::File;
use std::io::{Cursor, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tract_onnx::pb::GraphProto;
use tract_onnx::prelude::multithread::Executor;
use tract_onnx::prelude::{
    DatumType, Framework, InferenceModelExt, RunOptions, TValue, Tensor, TractError, TractResult, TypedRunnableModel,
    TypedSimpleState, tvec,
};

use super::limits;

/// Largest file that is read, in bytes: no protobuf message may have more.
const LARGEST_FILE: u64 = 1 << 31;

/// A loaded and optimised ONNX model with one input and one output of 32-bit floats.
#[derive(Debug)]
pub struct Inference {
    path: PathBuf,
    input_shape: Vec<usize>,
    state: TypedSimpleState,
}

/// Why a model could not be loaded or run.
#[derive(Debug, Error)]
pub enum InferenceError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The model file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The content is no model this engine can run.
    #[error("{path} is not a model that can be run here: {reason}", path = path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// What the engine said.
        reason: String,
    },
    /// The input has another size or shape than the model takes.
    #[error("{path} takes an input of {expected}, not {found}", path = path.display())]
    Input {
        /// The model file.
        path: PathBuf,
        /// What the model takes.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// The engine failed in the middle of an inference.
    #[error("{path} failed to run: {reason}", path = path.display())]
    Run {
        /// The model file.
        path: PathBuf,
        /// What the engine said.
        reason: String,
    },
}

impl Inference {
    /// Loads an ONNX model to run on the calling thread.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no ONNX model, uses an operator the engine does not know,
    /// or has other than one input and one output of 32-bit floats in fixed shapes.
    pub fn load(path: &Path) -> Result<Self, InferenceError> {
        Self::load_on(path, Executor::SingleThread)
    }

    /// The same, to run on `executor`.
    pub(super) fn load_on(path: &Path, executor: Executor) -> Result<Self, InferenceError> {
        let content = read(path).map_err(|source| InferenceError::Read { path: path.to_owned(), source })?;
        let refused = |reason: String| InferenceError::Model { path: path.to_owned(), reason };
        if content.len() as u64 > LARGEST_FILE {
            return Err(refused(format!("it has more than {} GiB", LARGEST_FILE >> 30)));
        }
        // What the engine takes for granted of a file need not hold for a damaged one.
        let loaded = catch_unwind(AssertUnwindSafe(|| {
            let plan = optimise(&content, executor).map_err(|error| format!("{error:#}"))?;
            let input_shape = only_input(&plan).map_err(|problem| format!("its input {problem}"))?;
            let state = plan.spawn().map_err(|error| format!("{error:#}"))?;
            Ok((input_shape, state))
        }));
        let panicked = |panic: Box<dyn Any + Send>| Err(format!("the engine panicked: {}", panic_message(&*panic)));
        let (input_shape, state) = loaded.unwrap_or_else(panicked).map_err(refused)?;
        Ok(Self { path: path.to_owned(), input_shape, state })
    }

    /// Shape of the input, `[batch, channels, height, width]` for an image model.
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// One inference.
    ///
    /// `input` is in row-major order of [`input_shape`](Self::input_shape); the result is the
    /// output in row-major order, `[batch, classes]` for a classifier.
    ///
    /// # Errors
    ///
    /// When `input` has another length than the shape asks, and when the engine fails.
    pub fn run(&mut self, input: &[f32]) -> Result<Vec<f32>, InferenceError> {
        let input = self.tensor(input)?;
        let output = self.run_tensor(&input)?;
        let values = output.to_plain_array_view::<f32>().map_err(|error| self.run_error(&error))?;
        Ok(values.iter().copied().collect())
    }

    /// Refuses a shape other than the model's own.
    pub(super) fn expect_input_shape(&self, shape: &[usize]) -> Result<(), InferenceError> {
        if self.input_shape == shape {
            return Ok(());
        }
        Err(InferenceError::Input {
            path: self.path.clone(),
            expected: format!("shape {:?}", self.input_shape),
            found: format!("shape {shape:?}"),
        })
    }

    /// The values as a tensor of the input's shape.
    pub(super) fn tensor(&self, values: &[f32]) -> Result<TValue, InferenceError> {
        let expected: usize = self.input_shape.iter().product();
        if values.len() != expected {
            return Err(InferenceError::Input {
                path: self.path.clone(),
                expected: format!("{expected} values (shape {:?})", self.input_shape),
                found: values.len().to_string(),
            });
        }
        Tensor::from_shape(&self.input_shape, values).map(TValue::from).map_err(|error| self.run_error(&error))
    }

    /// One inference without copies at its ends: what is timed.
    pub(super) fn run_tensor(&mut self, input: &TValue) -> Result<TValue, InferenceError> {
        let outputs = self.state.run(tvec!(input.clone()));
        outputs.map(|mut outputs| outputs.remove(0)).map_err(|error| self.run_error(&error))
    }

    fn run_error(&self, error: &impl std::fmt::Display) -> InferenceError {
        InferenceError::Run { path: self.path.clone(), reason: format!("{error:#}") }
    }
}

/// Parses the content here rather than by path, so that tract maps no file into memory that may
/// change meanwhile, and a model with weights in other files (which its hash would not cover) is
/// refused.
fn optimise(content: &[u8], executor: Executor) -> TractResult<std::sync::Arc<TypedRunnableModel>> {
    let options = RunOptions { executor: Some(executor), ..RunOptions::default() };
    let onnx = tract_onnx::onnx();
    let proto = onnx.proto_model_for_read(&mut Cursor::new(content))?;
    if let Some(graph) = &proto.graph {
        check_outputs(graph).and_then(|()| limits::check_constants(graph)).map_err(TractError::msg)?;
    }
    let model = onnx.model_for_proto_model(&proto)?.into_typed()?;
    limits::check_sizes(&model).map_err(TractError::msg)?;
    model.into_optimized()?.into_runnable_with_options(&options)
}

/// Refuses an output that nothing gives, which the engine takes for granted.
fn check_outputs(graph: &GraphProto) -> Result<(), String> {
    let is_given = |name: &str| {
        graph.input.iter().any(|input| input.name == name)
            || graph.initializer.iter().any(|tensor| tensor.name == name)
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

pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Shape of the only input; otherwise what is wrong with the inputs or outputs.
fn only_input(plan: &TypedRunnableModel) -> Result<Vec<usize>, String> {
    let model = plan.model();
    let (inputs, outputs) = (model.inputs.len(), model.outputs.len());
    if (inputs, outputs) != (1, 1) {
        return Err(format!("count is {inputs} and its output count {outputs}; both must be 1"));
    }
    for (what, fact) in [("type", model.input_fact(0)), ("output's type", model.output_fact(0))] {
        let found = fact.map_err(|error| format!("has no {what}: {error:#}"))?;
        if found.datum_type != DatumType::F32 {
            return Err(format!("or output is of {:?} ({what}), not of 32-bit floats", found.datum_type));
        }
    }
    let fact = model.input_fact(0).map_err(|error| format!("is unknown: {error:#}"))?;
    match fact.shape.as_concrete() {
        Some(shape) if !shape.contains(&0) => Ok(shape.to_vec()),
        _ => Err(format!("has the shape {:?}; export it with a fixed one, batch 1", fact.shape)),
    }
}
