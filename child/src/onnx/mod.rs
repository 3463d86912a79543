//! ONNX export: the file that devices measure and that users deploy.
//!
//! Batch 1, opset 11 to 13, and only operators that TensorRT 8.2 and OpenVINO 2021.4 accept: `Conv`,
//! `BatchNormalization`, `Relu`, `Clip`, `Sigmoid`, `HardSigmoid`, `AveragePool`, `MaxPool`, `GlobalAveragePool`, `Add`,
//! `Mul`, `Concat`, `Flatten`, `Gemm`.

mod fold;
mod metadata;
mod nodes;
mod proto;
mod writer;

use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::data::Deployment;
use crate::network::Network;

/// Name of the model's input, `[1, channels, height, width]`: the values of the pixels as the data set stores them, such
/// as 0 to 255, as 32-bit floats. The first nodes of the model normalise them as in training.
pub const INPUT: &str = "images";

/// Name of the model's output, `[1, classes]`.
pub const OUTPUT: &str = "logits";

/// Options of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    pub fn check(self) -> Result<(), Error> {
        match self.opset {
            11..=13 => Ok(()),
            other => Err(Error(format!("opset {other} is not supported: choose 11, 12 or 13"))),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { opset: 13, fold_batch_norm: true }
    }
}

/// The description of a network in the metadata of its file.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    /// The architecture's text.
    pub architecture: &'a str,
    /// How the network is fed, and what its outputs mean; `None` where the data set was not read. The nodes are the same
    /// then, with constants that stand in.
    pub deployment: Option<&'a Deployment>,
    /// Accuracies of the trained network.
    pub accuracies: &'a [Accuracy],
}

/// The accuracy of a network on some images.
#[derive(Debug, Clone, PartialEq)]
pub struct Accuracy {
    /// Key in the metadata: `accuracy`, `test_accuracy`.
    pub key: &'static str,
    /// Share of the images that are classified right, in `[0, 1]`.
    pub share: f64,
    /// The images, in words.
    pub images: String,
}

impl<'a> Description<'a> {
    /// That of a network that was not trained.
    pub fn untrained(architecture: &'a str, deployment: Option<&'a Deployment>) -> Self {
        Self { architecture, deployment, accuracies: &[] }
    }
}

/// The bytes of a network's ONNX file, with its description in the metadata.
///
/// # Errors
/// If the options name an opset outside 11 to 13.
pub fn to_bytes(network: &Network, description: &Description, options: Options) -> Result<Vec<u8>, Error> {
    options.check()?;
    Ok(writer::model(network, description, options).encode_to_vec())
}
