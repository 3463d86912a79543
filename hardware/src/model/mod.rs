//! The model file that is measured.

mod kind;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use prost::Message as _;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::input::{Input, InputShape, NO_TENSOR};
use crate::onnx::{self, ModelProto, whole};
use crate::path::folder_of;

/// A model file with the facts that a device needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Text of the architecture that the file was made from; the key of a replayed log.
    pub architecture: String,
    /// The file; ONNX, unless its device takes others.
    pub path: PathBuf,
    /// The model's inputs; empty if the file is not ONNX, which the device reports.
    pub inputs: Vec<Input>,
    /// SHA-256 of the file's content, 64 lower-case hexadecimal digits: the key under which a device
    /// keeps the engine that it builds from the file.
    pub sha256: String,
    /// What the file is if not ONNX, as the end of a sentence.
    pub not_onnx: Option<String>,
}

/// The reason why a model could not be loaded.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct ModelError(pub(crate) String);

impl Model {
    /// Reads and hashes the file at `path`. The device reports a file that is not ONNX.
    ///
    /// # Errors
    /// If the file cannot be read, an input of the model has no fixed shape, or its weights are in other files.
    pub fn load(architecture: impl Into<String>, path: impl Into<PathBuf>) -> Result<Self, ModelError> {
        let path = path.into();
        let (content, name) = (read(&path)?, path.display().to_string());
        Self::of(architecture.into(), path, &name, &content)
    }

    /// The same for a file from elsewhere: inputs with open sizes get `shapes`, and weights in other files are taken in.
    /// A model that this changes is written into the folder `scratch`.
    ///
    /// # Errors
    /// If the file cannot be read, an input of the model has no fixed shape, `shapes` do not fit its inputs, or weights are
    /// missing.
    pub fn load_whole(path: &Path, shapes: &[InputShape], scratch: &Path) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let failed = |problem: String| ModelError(format!("the model {name} cannot be measured: {problem}"));
        let content = read(path)?;
        let Some(model) = decode(&content).ok().filter(|model| model.graph.is_some()) else {
            return Self::of(name.clone(), path.to_owned(), &name, &content);
        };
        let mut changed = None;
        // Every weight in another file has this key.
        if content.windows(8).any(|bytes| bytes == b"location") {
            let folder = folder_of(path);
            changed = whole::with_weights(&content, folder).map_err(failed)?;
        }
        if !shapes.is_empty() {
            let inputs = model.graph.as_ref().map(onnx::inputs).unwrap_or_default();
            let shapes = shapes_of(&inputs, shapes).map_err(failed)?;
            changed = Some(whole::with_shapes(changed.as_deref().unwrap_or(&content), &shapes).map_err(failed)?);
        }
        let Some(content) = changed else {
            return Self::of(name.clone(), path.to_owned(), &name, &content);
        };
        let digest = HEXLOWER.encode(&Sha256::digest(&content));
        let copy = scratch.join(format!("{}.onnx", &digest[..16]));
        std::fs::write(&copy, &content)
            .map_err(|error| ModelError(format!("cannot write {}: {error}", copy.display())))?;
        Self::of(name.clone(), copy, &name, &content)
    }

    /// `name` stands for the file in errors.
    fn of(architecture: String, path: PathBuf, name: &str, content: &[u8]) -> Result<Self, ModelError> {
        let failed = |problem: &str| Err(ModelError(format!("the model {name} cannot be measured: {problem}")));
        let decoded = decode(content);
        let not_onnx = kind::problem(content, &decoded, &path);
        let graph = decoded.as_ref().ok().and_then(|model| model.graph.as_ref());
        let inputs = graph.map(onnx::inputs).unwrap_or_default();
        let open: Vec<&Input> = inputs.iter().filter(|input| input.sizes().is_err()).collect();
        if let Some(problem) = open.first().and_then(|input| input.sizes().err()) {
            let options = open.iter().map(|input| input.shape_option(inputs.len() == 1)).collect::<Vec<_>>().join(" ");
            let is_shape = open.iter().all(|input| input.element != NO_TENSOR);
            return failed(&if is_shape { format!("{problem}, or give {options}") } else { problem });
        }
        if decoded.as_ref().is_ok_and(whole::has_weights_elsewhere) {
            return failed("its weights are in other files: Model::load_whole takes them in");
        }
        let sha256 = HEXLOWER.encode(&Sha256::digest(content));
        Ok(Self { architecture, path, inputs, sha256, not_onnx })
    }

    /// The size of an image's batch where that is not 1: a time is then that of all its images. Only inputs of four
    /// dimensions are taken for images.
    pub fn batch(&self) -> Option<usize> {
        let sizes = self.inputs.iter().filter_map(|input| input.sizes().ok());
        sizes.filter(|sizes| sizes.len() == 4).map(|sizes| sizes[0]).find(|batch| *batch > 1)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    std::fs::read(path).map_err(|error| ModelError(format!("cannot read the model {}: {error}", path.display())))
}

fn decode(content: &[u8]) -> Result<ModelProto, prost::DecodeError> {
    ModelProto::decode(content)
}

/// The shapes by the names of inputs.
fn shapes_of(inputs: &[Input], shapes: &[InputShape]) -> Result<Vec<(String, Vec<usize>)>, String> {
    let names = || inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut found: Vec<(String, Vec<usize>)> = Vec::new();
    for shape in shapes {
        let input = match (&shape.name, inputs) {
            (Some(name), _) => inputs
                .iter()
                .find(|input| input.name == *name)
                .ok_or_else(|| format!("--input-shape {shape}: it has no input {name:?}, but {}", names()))?,
            (None, [only]) => only,
            (None, _) => {
                return Err(format!("--input-shape {shape}: it has {} inputs: name one: {}", inputs.len(), names()));
            }
        };
        if found.iter().any(|(name, _)| *name == input.name) {
            return Err(format!("--input-shape {shape}: its input {:?} has a shape already", input.name));
        }
        let agrees = input.shape.as_ref().is_none_or(|stated| {
            let is_open = |size: &Option<usize>| size.is_none_or(|size| size == 0);
            stated.len() == shape.sizes.len()
                && stated.iter().zip(&shape.sizes).all(|(stated, size)| is_open(stated) || *stated == Some(*size))
        });
        if !agrees {
            return Err(format!(
                "--input-shape {shape}: its input {:?} differs: it takes {}",
                input.name,
                input.shape_option(inputs.len() == 1)
            ));
        }
        found.push((input.name.clone(), shape.sizes.clone()));
    }
    Ok(found)
}
