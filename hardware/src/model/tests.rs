use std::path::Path;

use super::*;
use crate::onnx::{
    AttributeProto, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

#[test]
fn the_hash_is_that_of_the_published_test_vector() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "abc").unwrap();
    let model = Model::load("a", &path).unwrap();
    // FIPS 180-2, appendix B.1.
    assert_eq!(model.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(model.inputs, []);
    assert!(model.not_onnx.unwrap().contains("text"));
}

#[test]
fn a_missing_file_is_named() {
    let error = Model::load("a", "no/such/model.onnx").unwrap_err();
    assert!(error.to_string().contains("no/such/model.onnx"), "{error}");
}

fn input(name: &str, element: i32, shape: &[Option<i64>]) -> ValueInfoProto {
    let dim = shape.iter().map(|size| DimensionProto { dim_value: *size, dim_param: None }).collect();
    let tensor = TensorTypeProto { elem_type: Some(element), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { tensor_type: Some(tensor), ..TypeProto::default() }),
    }
}

/// A model of these inputs, and a weight that is listed among them.
fn proto(mut inputs: Vec<ValueInfoProto>) -> ModelProto {
    let weight = TensorProto { name: Some("weight".to_owned()), ..TensorProto::default() };
    inputs.push(ValueInfoProto { name: "weight".to_owned(), ..ValueInfoProto::default() });
    let node = vec![NodeProto { op_type: "Relu".to_owned(), ..NodeProto::default() }];
    let graph = GraphProto { node, input: inputs, initializer: vec![weight], ..GraphProto::default() };
    ModelProto { ir_version: Some(7), graph: Some(graph), ..ModelProto::default() }
}

fn written(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

fn load(inputs: Vec<ValueInfoProto>, shapes: &[&str]) -> Result<Model, String> {
    let (folder, path) = written(&proto(inputs).encode_to_vec());
    let shapes: Vec<InputShape> = shapes.iter().map(|text| text.parse().unwrap()).collect();
    Model::load_whole(&path, &shapes, folder.path()).map_err(|error| error.to_string())
}

const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const INT64: i32 = 7;

#[test]
fn inputs_have_name_element_type_and_shape() {
    let model = load(vec![input("image", UINT8, &[Some(1), Some(3), Some(8), Some(8)])], &[]).unwrap();
    let [input] = &model.inputs[..] else { panic!("one input") };
    assert_eq!((input.name.as_str(), input.element), ("image", "uint8"));
    assert_eq!(input.sizes(), Ok(vec![1, 3, 8, 8]));
    assert_eq!((model.not_onnx, model.inputs.len()), (None, 1));
}

#[test]
fn inputs_of_any_number_rank_and_type_are_accepted() {
    for inputs in [
        vec![input("a", INT64, &[Some(1), Some(77)]), input("b", FLOAT, &[Some(2), Some(1), Some(64)])],
        vec![input("a", 10, &[Some(4), Some(3), Some(8), Some(8)])],
        vec![input("a", 9, &[])],
        vec![],
    ] {
        assert!(load(inputs.clone(), &[]).is_ok(), "{inputs:?}");
    }
    let batch = |first| load(vec![input("a", FLOAT, &[Some(first), Some(3), Some(8), Some(8)])], &[]).unwrap().batch();
    assert_eq!((batch(1), batch(4)), (None, Some(4)));
}

#[test]
fn an_open_size_is_rejected_with_the_option_that_fixes_it() {
    for first in [None, Some(0), Some(-1)] {
        let error = load(vec![input("image", FLOAT, &[first, Some(3), Some(8), Some(8)])], &[]).unwrap_err();
        let parts = ["model.onnx", "image", "export it with a fixed one, batch 1", "--input-shape 1,3,8,8"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let two = vec![input("ids", INT64, &[None, None]), input("mask", INT64, &[None, Some(9)])];
    let error = load(two, &[]).unwrap_err();
    assert!(error.ends_with("or give --input-shape ids:1,N --input-shape mask:1,9"), "{error}");
    let list = TypeProto { sequence_type: Some(Vec::new()), ..TypeProto::default() };
    let list = ValueInfoProto { name: "list".to_owned(), r#type: Some(list) };
    assert!(load(vec![list], &[]).unwrap_err().contains("is a sequence, a map"));
}

#[test]
fn a_given_shape_is_that_of_the_file_that_is_measured() {
    let open = || vec![input("x", FLOAT, &[None, Some(3), Some(8), Some(8)])];
    let (folder, path) = written(&proto(open()).encode_to_vec());
    let model = Model::load_whole(&path, &["1,3,8,8".parse().unwrap()], folder.path()).unwrap();
    assert_ne!(model.path, path);
    let again = Model::load("a", &model.path).unwrap();
    assert_eq!((again.inputs[0].sizes(), &again.sha256), (Ok(vec![1, 3, 8, 8]), &model.sha256));
    let expected = proto(vec![input("x", FLOAT, &[Some(1), Some(3), Some(8), Some(8)])]);
    assert_eq!(decode(&std::fs::read(&model.path).unwrap()).unwrap(), expected, "all else is as it was");

    let two = || vec![input("a:0", INT64, &[None, None]), input("b", INT64, &[None])];
    let model = load(two(), &["a:0:1,77", "b:5"]).unwrap();
    assert_eq!((model.inputs[0].sizes(), model.inputs[1].sizes()), (Ok(vec![1, 77]), Ok(vec![5])));
    let nowhere = ValueInfoProto {
        name: "x".to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto { elem_type: Some(FLOAT), shape: None }),
            ..TypeProto::default()
        }),
    };
    assert_eq!(load(vec![nowhere], &["1,4"]).unwrap().inputs[0].sizes(), Ok(vec![1, 4]));
    for (inputs, shapes, part) in [
        (open(), vec!["1,3,9,8"], "differs: it takes --input-shape 1,3,8,8"),
        (open(), vec!["1,3,8"], "differs"),
        (open(), vec!["y:1,3,8,8"], "no input \"y\", but x"),
        (open(), vec!["1,3,8,8", "x:1,3,8,8"], "has a shape already"),
        (two(), vec!["1,77"], "it has 2 inputs: name one: a:0, b"),
        (two(), vec!["b:5"], "or give --input-shape a:0:1,N"),
    ] {
        let error = load(inputs, &shapes).unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// A tensor of four bytes whose values are in another file.
fn outside(name: &str, location: &str, offset: u64, length: u64) -> Vec<u8> {
    let entry = |key: &str, value: &str| {
        [&[0x0a, key.len() as u8][..], key.as_bytes(), &[0x12, value.len() as u8], value.as_bytes()].concat()
    };
    let mut bytes = TensorProto {
        name: Some(name.to_owned()),
        dims: vec![1],
        data_type: Some(FLOAT),
        data_location: Some(1),
        ..TensorProto::default()
    }
    .encode_to_vec();
    for (key, value) in
        [("location", location.to_owned()), ("offset", offset.to_string()), ("length", length.to_string())]
    {
        let entry = entry(key, &value);
        bytes.extend([0x6a, entry.len() as u8]);
        bytes.extend(entry);
    }
    bytes
}

/// A model with a weight and a constant in other files.
fn of_two_files(location: &str, length: u64) -> Vec<u8> {
    let mut graph = proto(vec![input("x", FLOAT, &[Some(1)])]).graph.unwrap().encode_to_vec();
    let weight = outside("w", location, 4, length);
    graph.extend([0x2a, weight.len() as u8]);
    graph.extend(weight);
    let constant = outside("c", location, 0, 4);
    let attribute =
        AttributeProto { name: "value".to_owned(), r#type: Some(4), ..AttributeProto::default() }.encode_to_vec();
    let attribute = [&attribute[..], &[0x2a, constant.len() as u8], &constant].concat();
    let node = [&[0x22, 8][..], b"Constant", &[0x2a, attribute.len() as u8], &attribute].concat();
    graph.extend([0x0a, node.len() as u8]);
    graph.extend(node);
    // A field that this crate does not know.
    let mut model = vec![0x08, 7, 0x12, 2, b'p', b't', 0x3a];
    prost::encoding::encode_varint(graph.len() as u64, &mut model);
    model.extend(graph);
    model
}

#[test]
fn weights_of_another_file_are_taken_in() {
    let (folder, path) = written(&of_two_files("weights/w.bin", 4));
    std::fs::create_dir(folder.path().join("weights")).unwrap();
    std::fs::write(folder.path().join("weights/w.bin"), [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let model = Model::load_whole(&path, &[], folder.path()).unwrap();
    let content = std::fs::read(&model.path).unwrap();
    let graph = decode(&content).unwrap().graph.unwrap();
    let weight = graph.initializer.iter().find(|tensor| tensor.name.as_deref() == Some("w")).unwrap();
    assert_eq!((&weight.raw_data, weight.data_location), (&Some(vec![5, 6, 7, 8]), None));
    let constant = graph.node.iter().find(|node| node.op_type == "Constant").unwrap();
    assert_eq!(constant.attribute[0].t.as_ref().unwrap().raw_data, Some(vec![1, 2, 3, 4]));
    assert!(content.windows(4).any(|bytes| bytes == [0x12, 2, b'p', b't']), "unknown fields stay");
    let error = Model::load("a", &path).unwrap_err().to_string();
    assert!(error.contains("its weights are in other files"), "{error}");
}

#[test]
fn weights_that_are_not_there_are_named() {
    for (location, length, part) in [
        ("absent.bin", 4, "absent.bin, which is missing: copy it to"),
        ("short.bin", 400, "which has 8 bytes and not the 404 that are needed"),
        ("../short.bin", 4, "only files in its own folder are read"),
        ("/etc/hostname", 4, "only files in its own folder are read"),
    ] {
        let (folder, path) = written(&of_two_files(location, length));
        std::fs::write(folder.path().join("short.bin"), [0; 8]).unwrap();
        let error = Model::load_whole(&path, &[], folder.path()).unwrap_err().to_string();
        assert!(error.contains(part), "{location}: {error}");
    }
}

#[test]
fn a_model_that_needs_no_change_is_measured_where_it_is() {
    let (folder, path) = written(&proto(vec![input("x", FLOAT, &[Some(1)])]).encode_to_vec());
    let model = Model::load_whole(&path, &[], folder.path()).unwrap();
    assert_eq!((model.path.as_path(), model.architecture.as_str()), (path.as_path(), path.to_str().unwrap()));
    assert_eq!(Model::load(model.architecture.clone(), Path::new(&path)).unwrap(), model);
}
