//! The other verbs: `measure`, `train`, `export`, `front`, `doctor`.

use std::path::Path;

use end_to_end::{Program, Table, experiment};
use hardware::host::Inference;
use serde_json::Value;

const CELL: &str = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|";

fn program(folder: &tempfile::TempDir) -> Program {
    Program::new(folder.path())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_verb_has_help() {
    let folder = tempfile::tempdir().unwrap();
    let help = program(&folder).args(["--help"]).succeed();
    for verb in ["search", "replay", "measure", "train", "export", "front", "propose", "doctor"] {
        assert!(help.contains(verb), "{help}");
        assert!(program(&folder).args([verb, "--help"]).succeed().contains("Usage"));
    }
    assert!(program(&folder).args(["--version"]).succeed().contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_architecture_is_exported_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    program(&folder).args(["export", CELL, "--to", "cell.onnx", "--set", "export.opset=11"]).succeed();
    let logits = Inference::load(&folder.path().join("cell.onnx")).unwrap().run(&[0.1; 64]).unwrap();
    assert_eq!(logits.len(), 10);
    let short = ["--set", "measuring.time_limit_ms=200", "--json"];
    let of_file = json(&program(&folder).args(["measure", "cell.onnx"]).args(short).succeed());
    let of_text = json(&program(&folder).args(["measure", CELL]).args(short).succeed());
    for measurement in [&of_file, &of_text] {
        let figure = |name: &str| measurement[name].as_f64().unwrap_or_else(|| panic!("no {name}: {measurement}"));
        assert!(0.0 < figure("time_ms_min") && figure("time_ms_min") <= figure("time_ms_p50"));
        assert!(figure("time_ms_min") <= figure("time_ms") && figure("time_runs") >= 20.0);
        assert!(measurement["energy_mj"].is_null(), "there is no meter in a test");
        assert!(measurement["device"].as_str().unwrap().contains("host"));
    }
    assert_eq!(of_text["model"], CELL);
    // The plain form has the same figures' names.
    let plain = program(&folder).args(["measure", "cell.onnx"]).args(&short[..2]).succeed();
    assert!(plain.contains("time") && plain.contains("energy") && plain.contains("not measured"), "{plain}");
}

#[test]
fn training_prints_every_epoch_and_exports_the_trained_network() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["train", CELL, "--set", "training.epochs=3", "--set", "data.limit=400", "--export", "trained.onnx"];
    let printed = program(&folder).args(args).succeed();
    let accuracies: Vec<f64> =
        printed.lines().filter_map(|line| line.split_once("accuracy ")?.1.split_once(" %")?.0.parse().ok()).collect();
    assert!(accuracies.len() >= 3 && printed.contains("epoch 3/3"), "{printed}");
    assert!(*accuracies.last().unwrap() > 50.0, "ten digits are classified better than that: {printed}");
    let again = program(&folder).args(args).succeed();
    assert_eq!(losses(&printed), losses(&again), "the same seed trains the same network");
    Inference::load(&folder.path().join("trained.onnx")).unwrap();
}

/// The lines of the epochs without their times.
fn losses(printed: &str) -> Vec<&str> {
    let epochs = printed.lines().filter(|line| line.starts_with("epoch "));
    let losses: Vec<_> = epochs.map(|line| line.split_once(" %").map_or(line, |(losses, _)| losses)).collect();
    assert_eq!(losses.len(), 3, "{printed}");
    losses
}

#[test]
fn a_front_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    replayed_run(folder.path());
    let table = program(&folder).args(["front", "run"]).succeed();
    assert!(table.contains("accuracy %") && table.contains("energy mJ"), "{table}");
    program(&folder).args(["front", "run", "--svg", "front.svg"]).succeed();
    let svg = std::fs::read_to_string(folder.path().join("front.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("time"), "{}", &svg[..200.min(svg.len())]);
}

fn replayed_run(folder: &Path) {
    Table::write(folder);
    std::fs::write(folder.join("experiment.toml"), experiment()).unwrap();
    let args =
        ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "20", "--quiet", "--out", "run"];
    Program::new(folder).args(args).succeed();
}

#[test]
fn the_doctor_reports_present_and_missing_parts() {
    let folder = tempfile::tempdir().unwrap();
    let healthy = program(&folder).args(["doctor"]).succeed();
    assert!(healthy.contains("host") && !healthy.contains("FAILED"), "{healthy}");
    let ill = program(&folder).args(["doctor", "--set", "data={ name = \"cifar10\", dir = \"nowhere\" }"]).run();
    assert_eq!(ill.code, Some(1), "{ill}");
    let failed: Vec<_> = ill.out.lines().filter(|line| line.contains("FAILED")).collect();
    assert!(failed.len() == 1 && failed[0].contains("nowhere"), "{ill}");
}

#[test]
fn every_experiment_of_the_project_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments");
    let mut found = 0;
    for entry in std::fs::read_dir(experiments).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let ended = program(&folder).args(["doctor"]).args([&path]).run();
            // Its data or its log need not be here, but its keys are right.
            assert!(ended.out.contains("ok      search space"), "{}: {ended}", path.display());
            found += 1;
        }
    }
    assert!(found >= 3, "{found} experiments");
}
