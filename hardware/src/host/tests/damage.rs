//! ONNX files damaged by a full disk, a broken transfer or a hex editor.

use proptest::prelude::*;

use super::*;
use crate::mutation::mutated_bytes;

fn models() -> Vec<Vec<u8>> {
    let convolutions = [convolution(Some(1), "Relu"), convolution_on(Some(1), "Sigmoid", 5)];
    convolutions.iter().map(|model| model.encode_to_vec()).collect()
}

/// Loads a file of this content, and runs it once where it is a model.
fn attempt(content: &[u8]) -> Result<Vec<f32>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, content).unwrap();
    let mut inference = Inference::load(&path).map_err(|error| error.to_string())?;
    let input = vec![0.5; inference.input_shapes().iter().map(|shape| shape.iter().product::<usize>()).sum()];
    inference.run(&input).map_err(|error| error.to_string())
}

/// A model that makes a tensor of ones as large as its constant says, and adds it to its input.
fn maker(operator: &str, size: &[i64]) -> ModelProto {
    let mut model = convolution(Some(1), "Relu");
    let graph = model.graph.as_mut().unwrap();
    let size = TensorProto {
        name: Some("size".to_owned()),
        dims: vec![size.len() as i64],
        data_type: Some(INT64),
        int64_data: size.to_vec(),
        ..Default::default()
    };
    graph.initializer.push(size);
    let inputs = if operator == "ConstantOfShape" { &["size"][..] } else { &["weight", "size"] };
    graph.node.insert(0, node(operator, inputs, "made", vec![]));
    graph.node[1].input[1] = "made".to_owned();
    model
}

#[test]
fn a_model_that_needs_immense_memory_is_rejected() {
    let far = 1 << 40;
    for (model, named) in [
        (maker("ConstantOfShape", &[1, 2, far, 1]), "made"),
        (maker("ConstantOfShape", &[1 << 20, 1 << 20]), "made"),
        (maker("Expand", &[far, 2, 1, 1]), "made"),
        (maker("Tile", &[far, 1, 1, 1]), "made"),
        (convolution_on(Some(1), "Relu", 1 << 24), "GiB"),
        (convolution_on(Some(1), "Relu", i64::MAX), "GiB"),
    ] {
        let error = attempt(&model.encode_to_vec()).unwrap_err();
        assert!(error.contains("model.onnx") && error.contains(named) && error.contains("GiB"), "{error}");
    }
    // A reasonable size is accepted.
    assert!(attempt(&maker("Expand", &[1, 2, 1, 1]).encode_to_vec()).is_ok());
}

#[test]
fn the_limit_counts_the_tensors_held_at_one_time() {
    // 150 tensors of 64 MiB: each is read by the next one only, or also by a sum at the end.
    let chain = |summed: bool| {
        let mut model = convolution_on(Some(1), "Relu", 1 << 12);
        let graph = model.graph.as_mut().unwrap();
        let names: Vec<String> = (0..150).map(|number| format!("link{number}")).collect();
        graph.node.push(node("Sigmoid", &["rectified"], &names[0], vec![]));
        graph.node.extend(names.windows(2).map(|pair| node("Sigmoid", &[&pair[0]], &pair[1], vec![])));
        // In reverse order: the first ones are held until the end.
        let all: Vec<&str> = names.iter().rev().map(String::as_str).collect();
        graph.node.push(node("Sum", if summed { &all } else { &all[..1] }, "end", vec![]));
        graph.output[0].name = "end".to_owned();
        let folder = tempfile::tempdir().unwrap();
        Inference::load(&write(&folder, &model)).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(chain(false), Ok(()));
    assert!(chain(true).unwrap_err().contains("8 GiB"));
}

#[test]
fn an_output_without_a_node_is_rejected_by_name() {
    let mut model = convolution(Some(1), "Relu");
    model.graph.as_mut().unwrap().output[0].name = "lost".to_owned();
    let error = attempt(&model.encode_to_vec()).unwrap_err();
    assert!(error.contains("no node of it gives its output \"lost\"") && !error.contains("panicked"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_models_run_or_are_rejected_by_name(content in mutated_bytes(models())) {
        match attempt(&content) {
            Ok(output) => prop_assert!(!output.is_empty()),
            Err(error) => prop_assert!(error.contains("model.onnx"), "{}", error),
        }
    }

    #[test]
    fn random_bytes_are_rejected_by_name(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let error = attempt(&content).unwrap_err();
        prop_assert!(error.contains("model.onnx"), "{}", error);
    }
}
