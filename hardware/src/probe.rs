//! The smallest network, which checks a device before a search begins.

use std::path::Path;

use crate::model::{Model, ModelError};
use crate::remote::RemoteError;

/// Input of the network, `[batch, channels, height, width]`.
const SHAPE: [usize; 4] = [1, 3, 8, 8];

/// Calls `act` with the model file of a network of one rectifier.
///
/// # Errors
/// If the file cannot be written, and the errors of `act`.
pub(crate) fn with_model<T>(act: impl FnOnce(&Model) -> Result<T, RemoteError>) -> Result<T, RemoteError> {
    let folder = std::env::temp_dir().join(format!("controller-probe-{}", std::process::id()));
    let result = model(&folder)
        .map_err(|error| RemoteError::Failed { problem: error.to_string() })
        .and_then(|model| act(&model));
    // The operating system cleans up what is left.
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn model(folder: &Path) -> Result<Model, ModelError> {
    let path = folder.join("probe.onnx");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, onnx()))
        .map_err(|error| ModelError(format!("cannot write {}: {error}", path.display())))?;
    Model::load("a network of one rectifier", path)
}

/// The file's content, in protobuf's wire format; the fields' numbers are those of `onnx.proto`, version 7 of it.
fn onnx() -> Vec<u8> {
    let dimensions: Vec<u8> = SHAPE.iter().flat_map(|&size| message(1, &number(1, size as u8))).collect();
    let float = 1;
    let tensor = [number(1, float), message(2, &dimensions)].concat();
    let value = |name: &str| [message(1, name.as_bytes()), message(2, &message(1, &tensor))].concat();
    let node = [message(1, b"x"), message(2, b"y"), message(4, b"Relu")].concat();
    let graph = [message(1, &node), message(2, b"probe"), message(11, &value("x")), message(12, &value("y"))].concat();
    let opset = [message(1, b""), number(2, 12)].concat();
    [number(1, 7), message(7, &graph), message(8, &opset)].concat()
}

/// A field that holds a number below 128.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// A field that holds fewer than 128 bytes.
fn message(field: u8, content: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2, content.len() as u8], content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Inference;

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
