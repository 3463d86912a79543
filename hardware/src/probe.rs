//! The smallest network, which checks a device before a search begins.

use std::path::Path;

use prost::Message as _;

use crate::model::{Model, ModelError};
use crate::onnx::{
    DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use crate::remote::RemoteError;

/// Input of the network, `[batch, channels, height, width]`.
const SHAPE: [usize; 4] = [1, 3, 8, 8];

/// Calls `act` with the model file of a network of one rectifier.
pub(crate) fn with_model<T>(act: impl FnOnce(&Model) -> Result<T, RemoteError>) -> Result<T, RemoteError> {
    let failed = |problem: String| RemoteError::Failed { problem };
    let folder = tempfile::Builder::new().prefix("controller-probe-").tempdir();
    let folder = folder.map_err(|error| failed(format!("cannot make a folder for temporary files: {error}")))?;
    let model = model(folder.path()).map_err(|error| failed(error.to_string()))?;
    act(&model)
}

fn model(folder: &Path) -> Result<Model, ModelError> {
    let path = folder.join("probe.onnx");
    std::fs::write(&path, onnx()).map_err(|error| ModelError(format!("cannot write {}: {error}", path.display())))?;
    Model::load("a network of one rectifier", path)
}

/// The file's content.
fn onnx() -> Vec<u8> {
    let float = 1;
    let dim = SHAPE.iter().map(|&size| DimensionProto { dim_value: Some(size as i64), dim_param: None }).collect();
    let tensor = TensorTypeProto { elem_type: Some(float), shape: Some(TensorShapeProto { dim }) };
    let value = |name: &str| ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { tensor_type: Some(tensor.clone()), ..TypeProto::default() }),
    };
    let (input, output) = (vec!["x".to_owned()], vec!["y".to_owned()]);
    let graph = GraphProto {
        node: vec![NodeProto { input, output, op_type: "Relu".to_owned(), ..NodeProto::default() }],
        name: "probe".to_owned(),
        input: vec![value("x")],
        output: vec![value("y")],
        ..GraphProto::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(12) }];
    ModelProto { ir_version: Some(7), graph: Some(graph), opset_import }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Inference;

    #[test]
    fn probes_of_two_devices_at_once_are_two_files() {
        with_model(|first| {
            with_model(|second| {
                assert_ne!(first.path, second.path);
                Ok(())
            })?;
            assert!(first.path.exists());
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn the_probe_is_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let model = model(folder.path()).unwrap();
        let mut inference = Inference::load(&model.path).unwrap();
        assert_eq!(inference.input_shapes(), [SHAPE]);
        let output = inference.run(&vec![-1.0; SHAPE.iter().product()]).unwrap();
        assert_eq!(output, vec![0.0; SHAPE.iter().product()]);
        assert!(onnx().len() < 128);
    }
}
