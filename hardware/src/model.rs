//! The model file that is measured.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use prost::Message as _;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::input::Input;
use crate::onnx::{self, ModelProto};

/// An ONNX file with the facts that a device needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Text of the architecture that the file was made from; the key of a replayed log.
    pub architecture: String,
    /// The ONNX file.
    pub path: PathBuf,
    /// The model's inputs; empty if the file is not ONNX, which the device reports.
    pub inputs: Vec<Input>,
    /// SHA-256 of the file's content, 64 lower-case hexadecimal digits: the key under which a device
    /// keeps the engine that it builds from the file.
    pub sha256: String,
}

/// The reason why a model could not be loaded.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct ModelError(pub(crate) String);

impl Model {
    /// Reads and hashes the file at `path`. The device reports a file that is not ONNX.
    ///
    /// # Errors
    /// If the file cannot be read, or an input of the model has no fixed shape with batch 1.
    pub fn load(architecture: impl Into<String>, path: impl Into<PathBuf>) -> Result<Self, ModelError> {
        let path = path.into();
        let content = std::fs::read(&path)
            .map_err(|error| ModelError(format!("cannot read the model {}: {error}", path.display())))?;
        let graph = ModelProto::decode(content.as_slice()).ok().and_then(|model| model.graph);
        let inputs = graph.as_ref().map(onnx::inputs).unwrap_or_default();
        if let Some(problem) = inputs.iter().find_map(|input| input.sizes().err()) {
            return Err(ModelError(format!("the model {} cannot be measured: {problem}", path.display())));
        }
        Ok(Self { architecture: architecture.into(), sha256: HEXLOWER.encode(&Sha256::digest(&content)), path, inputs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{DimensionProto, GraphProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto};

    #[test]
    fn the_hash_is_that_of_the_published_test_vector() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, "abc").unwrap();
        let model = Model::load("a", &path).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(model.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(model.inputs, []);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Model::load("a", "no/such/model.onnx").unwrap_err();
        assert!(error.to_string().contains("no/such/model.onnx"), "{error}");
    }

    /// Loads a model with one input of bytes of this shape, and a weight that is listed among its inputs.
    fn load(shape: &[Option<i64>]) -> Result<Model, ModelError> {
        let dim = shape.iter().map(|size| DimensionProto { dim_value: *size, dim_param: None }).collect();
        let tensor = TensorTypeProto { elem_type: Some(2), shape: Some(TensorShapeProto { dim }) };
        let info = |name: &str, tensor| onnx::ValueInfoProto {
            name: name.to_owned(),
            r#type: Some(TypeProto { tensor_type: Some(tensor) }),
        };
        let weight = TensorProto { name: Some("weight".to_owned()), ..TensorProto::default() };
        let graph = GraphProto {
            input: vec![info("image", tensor), info("weight", TensorTypeProto::default())],
            initializer: vec![weight],
            ..GraphProto::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec()).unwrap();
        Model::load("a", &path)
    }

    #[test]
    fn inputs_have_name_element_type_and_shape() {
        let [input] = &load(&[Some(1), Some(3), Some(8), Some(8)]).unwrap().inputs[..] else { panic!("one input") };
        assert_eq!((input.name.as_str(), input.element), ("image", "uint8"));
        assert_eq!(input.sizes(), Ok(vec![1, 3, 8, 8]));
        assert!(load(&[Some(7), Some(2)]).is_ok() && load(&[]).is_ok());
    }

    #[test]
    fn a_batch_other_than_one_an_open_size_and_a_zero_are_rejected() {
        for first in [Some(2), None, Some(0), Some(-1)] {
            let error = load(&[first, Some(3), Some(8), Some(8)]).unwrap_err().to_string();
            assert!(error.contains("batch 1") && error.contains("model.onnx") && error.contains("image"), "{error}");
        }
    }
}
