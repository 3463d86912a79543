mod damage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto, tensor_proto, tensor_shape_proto, type_proto,
};

use super::*;

const FLOAT: i32 = tensor_proto::DataType::Float as i32;

fn value_info(name: &str, element: i32, shape: &[Option<i64>]) -> ValueInfoProto {
    use tensor_shape_proto::dimension::Value;
    let dim = shape
        .iter()
        .map(|size| tensor_shape_proto::Dimension {
            value: Some(size.map_or_else(|| Value::DimParam("N".to_owned()), Value::DimValue)),
            ..Default::default()
        })
        .collect();
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: element,
                shape: Some(TensorShapeProto { dim }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn node(op_type: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op_type.to_owned(),
        name: output.to_owned(),
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..Default::default()
    }
}

/// A 1×1 convolution from two channels to one (`2a − b`) and a ReLU on 2×2 pixels.
fn convolution(batch: Option<i64>, op: &str) -> ModelProto {
    convolution_on(batch, op, 2)
}

/// The same on `side` × `side` pixels.
fn convolution_on(batch: Option<i64>, op: &str, side: i64) -> ModelProto {
    let weight = TensorProto {
        name: "weight".to_owned(),
        dims: vec![1, 2, 1, 1],
        data_type: FLOAT,
        float_data: vec![2.0, -1.0],
        ..Default::default()
    };
    let kernel = AttributeProto {
        name: "kernel_shape".to_owned(),
        r#type: attribute_proto::AttributeType::Ints as i32,
        ints: vec![1, 1],
        ..Default::default()
    };
    ModelProto {
        ir_version: 7,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        graph: Some(GraphProto {
            name: "convolution".to_owned(),
            node: vec![
                node("Conv", &["image", "weight"], "convolved", vec![kernel]),
                node(op, &["convolved"], "rectified", vec![]),
            ],
            initializer: vec![weight],
            input: vec![value_info("image", FLOAT, &[batch, Some(2), Some(side), Some(side)])],
            output: vec![value_info("rectified", FLOAT, &[batch, Some(1), Some(side), Some(side)])],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn write(folder: &TempDir, model: &ModelProto) -> PathBuf {
    use prost::Message as _;
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    path
}

fn quick() -> Plan {
    Plan { warm_up: Duration::from_millis(5), time_limit: Duration::from_millis(200), ..Plan::default() }
}

fn model(path: &Path, input_shape: [usize; 4]) -> Model {
    Model::load("convolution", path, input_shape).unwrap()
}

fn without_meter() -> HostOptions {
    HostOptions { meter: MeterOptions::None {}, ..HostOptions::default() }
}

#[test]
fn an_inference_computes_what_the_model_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, &convolution(Some(1), "Relu"));
    let mut inference = Inference::load(&path).unwrap();
    assert_eq!(inference.input_shape(), [1, 2, 2, 2]);
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
    let measurement = host.measure(&model(&path, [1, 2, 2, 2]), &quick()).unwrap();
    let latency = &measurement.latency;
    assert!(latency.runs.unwrap() >= 20, "{latency:?}");
    assert!(latency.min_ms.unwrap() <= latency.p50_ms.unwrap());
    assert!(latency.mean_ms < 50.0, "{latency:?}");
    assert_eq!(measurement.energy, None);
    assert!(host.shares_machine());
}

#[test]
fn the_time_limit_ends_a_measurement_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, &convolution(Some(1), "Relu"));
    let mut host = Host::new(without_meter()).unwrap();
    let plan = Plan { warm_up: Duration::ZERO, time_limit: Duration::ZERO, ..Plan::default() };
    let measurement = host.measure(&model(&path, [1, 2, 2, 2]), &plan).unwrap();
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
    // Large enough for the engine to share out.
    let path = write(&folder, &convolution_on(Some(1), "Relu", 128));
    let executor = host.machine.executor(&Arc::new(AtomicBool::new(true))).unwrap();
    let mut on_two = Inference::load_on(&path, executor).unwrap();
    let mut on_one = Inference::load(&path).unwrap();
    let input: Vec<f32> = (0..2 * 128 * 128).map(|i| (i % 17) as f32 - 8.0).collect();
    let output = on_two.run(&input).unwrap();
    assert_eq!(output.len(), 128 * 128);
    assert_eq!(output, on_one.run(&input).unwrap());
    let measurement = host.measure(&model(&path, [1, 2, 128, 128]), &quick());
    assert!(measurement.unwrap().latency.mean_ms > 0.0);
}

#[test]
fn thread_counts_that_cannot_be_honoured_are_refused() {
    for threads in [0, 100_000] {
        let error = Host::new(HostOptions { threads, ..without_meter() }).err().unwrap();
        assert!(error.is_fatal());
        assert!(error.to_string().contains("threads is"), "{error}");
    }
}

#[test]
fn what_is_no_model_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let junk = folder.path().join("junk.onnx");
    std::fs::write(&junk, "this is no model").unwrap();
    let mut host = Host::new(without_meter()).unwrap();
    let error = host.measure(&model(&junk, [1, 2, 2, 2]), &quick());
    let error = error.unwrap_err();
    assert!(matches!(error, DeviceError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("junk.onnx"), "{error}");
}

#[test]
fn an_unknown_operator_a_loose_batch_and_a_wrong_shape_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (convolution(Some(1), "Teleport"), [1, 2, 2, 2], "Teleport"),
        (convolution(None, "Relu"), [1, 2, 2, 2], "batch 1"),
        (convolution(Some(1), "Relu"), [1, 3, 8, 8], "[1, 3, 8, 8]"),
    ];
    let mut host = Host::new(without_meter()).unwrap();
    for (proto, shape, told) in cases {
        let path = write(&folder, &proto);
        let error = host.measure(&model(&path, shape), &quick()).unwrap_err();
        assert!(matches!(error, DeviceError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn the_description_names_the_engine_that_is_built_in() {
    let mut host = Host::new(without_meter()).unwrap();
    let label = host.describe().unwrap().label();
    assert!(label.starts_with("host ") && label.contains(" (threads 1; cores "), "{label}");

    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    let version = RUNTIME.strip_prefix("tract ").unwrap();
    let built_in = format!("name = \"tract-onnx\"\nversion = \"{version}\"");
    assert!(lock.contains(&built_in), "RUNTIME is not the version in Cargo.lock");
}

/// This machine has no meter that would be there everywhere: a program stands in for one that prints 7 W.
#[test]
fn energy_is_measured_where_there_is_a_meter() {
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
    let measurement = host.measure(&model(&path, [1, 2, 2, 2]), &quick()).unwrap();
    let energy = measurement.energy.unwrap();
    assert!((energy.mean_power_mw.unwrap() - 7000.0).abs() < 1e-6, "{energy:?}");
    assert!(energy.above_idle_mj.unwrap().abs() < 1e-9 && energy.power_samples.unwrap() >= 30, "{energy:?}");
    // Energy of an inference is power by its time; this one takes a microsecond, on a machine that does other things.
    let share = energy.per_inference_mj / (7.0 * measurement.latency.mean_ms);
    assert!((0.1..10.0).contains(&share), "{share}");
}
