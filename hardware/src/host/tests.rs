mod damage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use prost::Message as _;
use tempfile::TempDir;

use super::*;
use crate::onnx::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// Numbers of element types in the format.
const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const INT32: i32 = 6;
const INT64: i32 = 7;

pub(super) fn value_info(name: &str, element: i32, shape: &[Option<i64>]) -> ValueInfoProto {
    let dimension =
        |size: &Option<i64>| DimensionProto { dim_value: *size, dim_param: size.is_none().then(|| "N".to_owned()) };
    let shape = TensorShapeProto { dim: shape.iter().map(dimension).collect() };
    let tensor_type = TensorTypeProto { elem_type: Some(element), shape: Some(shape) };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }),
    }
}

pub(super) fn node(op_type: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op_type.to_owned(),
        name: output.to_owned(),
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..Default::default()
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: Some(2), i: Some(value), ..Default::default() }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: Some(7), ints: values.to_vec(), ..Default::default() }
}

pub(super) fn model_of(graph: GraphProto) -> ModelProto {
    let opset = OperatorSetIdProto { domain: None, version: Some(13) };
    ModelProto { ir_version: Some(7), opset_import: vec![opset], graph: Some(graph) }
}

/// A 1×1 convolution from two channels to one (`2a − b`) and a ReLU on 2×2 pixels.
fn convolution(batch: Option<i64>, op: &str) -> ModelProto {
    convolution_on(batch, op, 2)
}

/// The same on `side` × `side` pixels.
fn convolution_on(batch: Option<i64>, op: &str, side: i64) -> ModelProto {
    let weight = TensorProto {
        name: Some("weight".to_owned()),
        dims: vec![1, 2, 1, 1],
        data_type: Some(FLOAT),
        float_data: vec![2.0, -1.0],
        ..Default::default()
    };
    model_of(GraphProto {
        name: "convolution".to_owned(),
        node: vec![
            node("Conv", &["image", "weight"], "convolved", vec![ints("kernel_shape", &[1, 1])]),
            node(op, &["convolved"], "rectified", vec![]),
        ],
        initializer: vec![weight],
        input: vec![value_info("image", FLOAT, &[batch, Some(2), Some(side), Some(side)])],
        output: vec![value_info("rectified", FLOAT, &[batch, Some(1), Some(side), Some(side)])],
        ..Default::default()
    })
}

pub(super) fn write(folder: &TempDir, model: &ModelProto) -> PathBuf {
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    path
}

fn quick() -> Plan {
    Plan { warm_up: Duration::from_millis(5), time_limit: Duration::from_millis(200), ..Plan::default() }
}

fn model(path: &Path) -> Model {
    Model::load("convolution", path).unwrap()
}

fn without_meter() -> HostOptions {
    HostOptions { meter: MeterOptions::None {}, ..HostOptions::default() }
}

#[test]
fn an_inference_computes_what_the_model_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, &convolution(Some(1), "Relu"));
    let mut inference = Inference::load(&path).unwrap();
    assert_eq!(inference.input_shapes(), [[1, 2, 2, 2]]);
    let output = inference.run(&[1.0, 2.0, 3.0, 4.0, 10.0, 1.0, 1.0, 1.0]).unwrap();
    assert_eq!(output, [0.0, 3.0, 5.0, 7.0]);
    let error = inference.run(&[1.0; 7]).unwrap_err().to_string();
    assert!(error.contains("8 values") && error.contains("not 7"), "{error}");
}

#[test]
fn a_model_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, &convolution(Some(1), "Relu"));
    let mut host = Host::new(without_meter()).unwrap();
    let measurement = host.measure(&model(&path), &quick()).unwrap();
    let latency = &measurement.latency;
    assert!(latency.runs.unwrap() >= 20, "{latency:?}");
    assert!(latency.min_ms.unwrap() <= latency.p50_ms.unwrap());
    assert!(latency.mean_ms < 50.0, "{latency:?}");
    assert_eq!(measurement.energy, None);
    assert!(host.shares_machine());
}

#[test]
fn the_time_limit_ends_a_measurement_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, &convolution(Some(1), "Relu"));
    let mut host = Host::new(without_meter()).unwrap();
    let plan = Plan { warm_up: Duration::ZERO, time_limit: Duration::ZERO, ..Plan::default() };
    let measurement = host.measure(&model(&path), &plan).unwrap();
    assert_eq!(measurement.latency.runs, Some(1));
    assert!(
        matches!(measurement.warnings[..], [Warning::WideInterval { reached: None, runs: 1, .. }]),
        "{:?}",
        measurement.warnings
    );
}

#[test]
fn two_threads_give_the_same_result_as_one() {
    let mut host = match Host::new(HostOptions { threads: 2, ..without_meter() }) {
        Ok(host) => host,
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    // Large enough for the engine to divide among threads.
    let path = write(&folder, &convolution_on(Some(1), "Relu", 128));
    let mut on_two = Inference::load_on(&path, &host.machine.pool).unwrap();
    let mut on_one = Inference::load(&path).unwrap();
    let input: Vec<f32> = (0..2 * 128 * 128).map(|i| (i % 17) as f32 - 8.0).collect();
    let output = on_two.run(&input).unwrap();
    assert_eq!(output.len(), 128 * 128);
    assert_eq!(output, on_one.run(&input).unwrap());
    let measurement = host.measure(&model(&path), &quick());
    assert!(measurement.unwrap().latency.mean_ms > 0.0);
}

#[test]
fn thread_counts_outside_the_cores_are_rejected() {
    for threads in [0, 100_000] {
        let error = Host::new(HostOptions { threads, ..without_meter() }).err().unwrap();
        assert!(error.is_fatal());
        assert!(error.to_string().contains("threads is"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_a_model_is_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let junk = folder.path().join("junk.onnx");
    std::fs::write(&junk, "not a model").unwrap();
    let mut host = Host::new(without_meter()).unwrap();
    let error = host.measure(&model(&junk), &quick());
    let error = error.unwrap_err();
    assert!(matches!(error, DeviceError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("junk.onnx"), "{error}");
}

#[test]
fn an_unknown_operator_is_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::new(without_meter()).unwrap();
    let path = write(&folder, &convolution(Some(1), "Teleport"));
    let error = host.measure(&model(&path), &quick()).unwrap_err();
    assert!(matches!(error, DeviceError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("Teleport"), "{error}");
}

#[test]
fn an_open_batch_is_rejected_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, &convolution(None, "Relu"));
    let messages = [Inference::load(&path).unwrap_err().to_string(), Model::load("a", &path).unwrap_err().to_string()];
    for message in messages {
        assert!(message.contains("\"image\"") && message.contains("batch 1"), "{message}");
    }
}

/// Several inputs of all element types and ranks, and two outputs of which one is an `ArgMax`.
#[test]
fn a_network_from_elsewhere_is_computed_and_measured() {
    let cast = |input: &str, output: &str| node("Cast", &[input], output, vec![int("to", i64::from(FLOAT))]);
    let graph = GraphProto {
        name: "elsewhere".to_owned(),
        node: vec![
            cast("bytes", "a"),
            cast("words", "b"),
            cast("places", "c"),
            node("Add", &["a", "b"], "ab", vec![]),
            node("Add", &["ab", "scores"], "abs", vec![]),
            node("Add", &["abs", "c"], "sum", vec![]),
            node("ArgMax", &["sum"], "best", vec![int("axis", 1), int("keepdims", 0)]),
        ],
        input: vec![
            value_info("bytes", UINT8, &[Some(2), Some(3)]),
            value_info("words", INT64, &[Some(3)]),
            value_info("places", INT32, &[]),
            value_info("scores", FLOAT, &[Some(1), Some(2), Some(3)]),
        ],
        output: vec![
            value_info("sum", FLOAT, &[Some(1), Some(2), Some(3)]),
            value_info("best", INT64, &[Some(1), Some(3)]),
        ],
        ..Default::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, &model_of(graph));
    let mut inference = Inference::load(&path).unwrap();
    assert_eq!(inference.input_shapes(), [&[2, 3][..], &[3], &[], &[1, 2, 3]]);
    let values = [&[1.0, 200.0, 3.0, 4.0, 5.0, 6.0][..], &[-10.0, 0.0, 10.0], &[100.0], &[0.5; 6]].concat();
    let sums = [91.5, 300.5, 113.5, 94.5, 105.5, 116.5];
    assert_eq!(inference.run(&values).unwrap(), [&sums[..], &[1.0, 0.0, 1.0]].concat());

    let model = model(&path);
    let elements: Vec<_> = model.inputs.iter().map(|input| input.element).collect();
    assert_eq!(elements, ["uint8", "int64", "int32", "float32"]);
    let mut host = Host::new(without_meter()).unwrap();
    assert!(host.measure(&model, &quick()).unwrap().latency.mean_ms > 0.0);
}

/// Weights in another file would not be part of the model's hash.
#[test]
fn weights_in_another_file_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = convolution(Some(1), "Relu");
    let weight = &mut model.graph.as_mut().unwrap().initializer[0];
    (weight.data_location, weight.float_data) = (Some(1), Vec::new());
    let error = Inference::load(&write(&folder, &model)).unwrap_err().to_string();
    assert!(error.contains("weight") && error.contains("external"), "{error}");
}

#[test]
fn packed_integers_are_read() {
    use prost::encoding::{WireType, encode_key, encode_varint, int64};
    let folder = tempfile::tempdir().unwrap();
    let unpacked = convolution(Some(1), "Relu").encode_to_vec();
    // The field `ints` of the only attribute, 1 and 1.
    let (mut from, mut to) = (Vec::new(), Vec::new());
    int64::encode_repeated(8, &[1, 1], &mut from);
    encode_key(8, WireType::LengthDelimited, &mut to);
    encode_varint(2, &mut to);
    to.extend([1, 1]);
    let place = unpacked.windows(from.len()).position(|bytes| bytes == from).unwrap();
    let packed = [&unpacked[..place], &to, &unpacked[place + from.len()..]].concat();
    assert_ne!(packed, unpacked);
    let path = folder.path().join("packed.onnx");
    std::fs::write(&path, packed).unwrap();
    let output = Inference::load(&path).unwrap().run(&[1.0, 2.0, 3.0, 4.0, 10.0, 1.0, 1.0, 1.0]).unwrap();
    assert_eq!(output, [0.0, 3.0, 5.0, 7.0]);
}

#[test]
fn the_description_names_the_engine_that_is_built_in() {
    let mut host = Host::new(without_meter()).unwrap();
    let label = host.describe().unwrap().label();
    assert!(label.starts_with("host ") && label.contains(" (threads 1; cores "), "{label}");

    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    let (version, _) = RUNTIME.strip_prefix("rten ").unwrap().split_once(' ').unwrap();
    let built_in = format!("name = \"rten\"\nversion = \"{version}\"");
    assert!(lock.contains(&built_in), "RUNTIME is not the version in Cargo.lock");
}

/// Some machines have no meter: a program that prints 7 W replaces it.
#[test]
fn energy_is_measured_with_a_meter() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, &convolution(Some(1), "Relu"));
    let program = "import time\nwhile True:\n    print('7.0', flush=True)\n    time.sleep(0.005)";
    let meter: MeterOptions = toml::from_str(&format!(
        "kind = \"stream\"\ncommand = [\"python3\", \"-c\", {program:?}]\ncolumns = {{ power = {{ column = 1, unit = \"w\" }} }}"
    ))
    .unwrap();
    let energy = EnergyOptions {
        window: Some(Duration::from_millis(600)),
        window_limit: Some(Duration::from_secs(3)),
        idle: Some(Duration::from_millis(200)),
        settle_limit: None,
        subtract_idle: false,
    };
    let options = HostOptions { meter, energy, ..without_meter() };
    let mut host = Host::new(options).unwrap();
    assert!(host.measures_energy() && host.describe().unwrap().label().contains("power by"));
    let measurement = host.measure(&model(&path), &quick()).unwrap();
    let energy = measurement.energy.unwrap();
    assert!((energy.mean_power_mw.unwrap() - 7000.0).abs() < 1e-6, "{energy:?}");
    assert!(energy.above_idle_mj.unwrap().abs() < 1e-9 && energy.power_samples.unwrap() >= 30, "{energy:?}");
    // The energy of an inference is its power times its time, which is a microsecond here, on a machine that is busy.
    let share = energy.per_inference_mj / (7.0 * measurement.latency.mean_ms);
    assert!((0.1..10.0).contains(&share), "{share}");
}
