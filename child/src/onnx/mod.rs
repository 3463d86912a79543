//! ONNX export: the file that devices measure and that users deploy.
//!
//! Batch 1, opset 11 to 13, and only operators that TensorRT 8.2 and OpenVINO 2021.4 accept: `Conv`,
//! `BatchNormalization`, `Relu`, `Clip`, `Sigmoid`, `HardSigmoid`, `AveragePool`, `MaxPool`, `GlobalAveragePool`, `Add`,
//! `Mul`, `Concat`, `Flatten`, `Gemm`.

mod fold;
mod nodes;
mod proto;
mod writer;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::network::Network;

/// Name of the model's input, `[1, channels, height, width]`, normalised as in training.
pub const INPUT: &str = "images";

/// Name of the model's output, `[1, classes]`.
pub const OUTPUT: &str = "logits";

/// Options of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Version of the operator set, 11 to 13.
    pub opset: i64,
    /// Whether a batch norm that follows a convolution becomes part of it; devices do the same when they load it.
    pub fold_batch_norm: bool,
}

impl Options {
    /// Checks that the exporter knows the opset.
    ///
    /// # Errors
    /// If it is not 11, 12 or 13.
    pub fn check(self) -> Result<(), OnnxError> {
        if (11..=13).contains(&self.opset) { Ok(()) } else { Err(OnnxError::Opset(self.opset)) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { opset: 13, fold_batch_norm: true }
    }
}

/// Reason why a network cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The boards' tools and this exporter do not share the operator set.
    #[error("opset {0} is not supported: choose 11, 12 or 13")]
    Opset(i64),
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// The bytes of a network's ONNX file. `architecture` is kept in the file's metadata.
///
/// # Errors
/// If the options name an opset outside 11 to 13.
pub fn to_bytes(network: &Network, architecture: &str, options: Options) -> Result<Vec<u8>, OnnxError> {
    options.check()?;
    Ok(writer::model(network, architecture, options).encode_to_vec())
}

/// Writes a network's ONNX file: to a temporary name beside it, then renamed, so that no reader sees half a model.
///
/// # Errors
/// If the opset is not supported, or the file cannot be written.
pub fn write(path: &Path, network: &Network, architecture: &str, options: Options) -> Result<(), OnnxError> {
    let bytes = to_bytes(network, architecture, options)?;
    let temporary = path.with_extension("onnx.tmp");
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| OnnxError::Write { path: path.to_owned(), source })
}
