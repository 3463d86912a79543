//! The model file that is measured.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// An ONNX file with what a device has to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Text of the architecture the file was made from; the key of a replayed log.
    pub architecture: String,
    /// The ONNX file.
    pub path: PathBuf,
    /// Shape of the one input, `[batch, channels, height, width]`; the batch is 1.
    pub input_shape: [usize; 4],
    /// SHA-256 of the file's content, 64 lower-case hexadecimal digits: the key under which
    /// whatever a device builds from the file can be kept.
    pub sha256: String,
}

/// Why a model could not be loaded.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The file could not be read.
    #[error("cannot read the model {path}: {source}", path = path.display())]
    Read {
        /// The model file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The shape is none that a device could measure.
    #[error(
        "the model {path} has the input shape {shape:?}; it must be \
         [1, channels, height, width] without a zero: latency is that of one inference",
        path = path.display()
    )]
    Shape {
        /// The model file.
        path: PathBuf,
        /// The refused shape.
        shape: [usize; 4],
    },
}

impl Model {
    /// Reads and hashes the file at `path`. Whether it is an ONNX file is for the device to say.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, and when `input_shape` has a zero or a batch other than 1.
    pub fn load(
        architecture: impl Into<String>,
        path: impl Into<PathBuf>,
        input_shape: [usize; 4],
    ) -> Result<Self, ModelError> {
        let path = path.into();
        if input_shape[0] != 1 || input_shape.contains(&0) {
            return Err(ModelError::Shape { path, shape: input_shape });
        }
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            Err(source) => return Err(ModelError::Read { path, source }),
        };
        Ok(Self {
            architecture: architecture.into(),
            sha256: hexadecimal(&Sha256::digest(&content)),
            path,
            input_shape,
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_published_test_vector() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, "abc").unwrap();
        let model = Model::load("a", &path, [1, 3, 8, 8]).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(model.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Model::load("a", "no/such/model.onnx", [1, 3, 8, 8]).unwrap_err();
        assert!(error.to_string().contains("no/such/model.onnx"), "{error}");
    }

    #[test]
    fn a_batch_other_than_one_and_a_zero_are_refused() {
        for shape in [[2, 3, 8, 8], [1, 0, 8, 8]] {
            let error = Model::load("a", "model.onnx", shape).unwrap_err();
            assert!(matches!(error, ModelError::Shape { .. }), "{error}");
        }
    }
}
