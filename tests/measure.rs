//! `measure`: models of every kind on each device, several at a time, and by each statistic.

use std::fs;
use std::path::Path;

use end_to_end::{Ended, Journal, Program, openvino, python};
use serde_json::Value;
use tempfile::TempDir;

/// As short as possible.
const SHORT: [&str; 4] = ["--set", "measuring.time_limit_ms=100", "--set", "measuring.warm_up_ms=10"];

const CELL: &str = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|";

/// A folder with models of every kind, made by the Python package `onnx`.
fn models() -> Option<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    python("measure/models.py", folder.path())?;
    Some(folder)
}

fn measure(folder: &Path, args: &[&str]) -> Ended {
    Program::new(folder).args(["measure"]).args(args).args(SHORT).run()
}

/// The list that `--json` prints for several models.
fn list(ended: &Ended) -> Vec<Value> {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended}"))
}

#[test]
fn models_of_any_rank_and_type_and_with_several_inputs_and_outputs_are_measured_here() {
    let Some(folder) = models() else { return };
    let names =
        ["two_outputs", "mlp", "two_inputs", "rank_five", "tokens", "bytes", "half_inside", "bool", "weights_beside"]
            .map(|name| format!("{name}.onnx"));
    let mut args: Vec<&str> = names.iter().map(String::as_str).collect();
    args.push("--json");
    let ended = measure(folder.path(), &args);
    for (found, name) in list(&ended).iter().zip(&names) {
        assert_eq!(found["model"], name.as_str());
        assert!(found["time_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{found}");
        assert!(found["statistic"] == "median" && found["time_ms"] == found["time_ms_p50"], "{found}");
    }
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[test]
fn openvino_measures_what_it_can_run_itself() {
    let (Some(folder), Some(tool)) = (models(), openvino(None)) else { return };
    let names = ["two_outputs", "mlp", "tokens", "bytes", "half_outside", "quantised", "weights_beside"];
    let mut args: Vec<String> = names.iter().map(|name| format!("{name}.onnx")).collect();
    for setting in ["kind=openvino", "device=CPU", &format!("tool={}", tool.display()), "tries=1"] {
        args.extend(["--set".to_owned(), format!("devices.host.{setting}")]);
    }
    args.push("--json".to_owned());
    let ended = measure(folder.path(), &args.iter().map(String::as_str).collect::<Vec<_>>());
    for found in list(&ended) {
        assert!(found["time_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{found}");
    }
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[test]
fn an_open_shape_is_given_on_the_command_line() {
    let Some(folder) = models() else { return };
    for name in ["open_batch", "named_batch", "minus_one"] {
        let file = format!("{name}.onnx");
        let ended = measure(folder.path(), &[&file]);
        let parts = [&file, "export it with a fixed one, batch 1, or give --input-shape 1,3,16,16"];
        assert!(parts.iter().all(|part| ended.err.contains(part)), "{ended}");
        let ended = measure(folder.path(), &[&file, "--input-shape", "1,3,16,16", "--json"]);
        let found: Value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended}"));
        assert!(found["time_ms"].as_f64().is_some_and(|ms| ms > 0.0) && found["model"] == file.as_str(), "{found}");
    }
}

#[test]
fn one_model_that_fails_does_not_hide_the_others() {
    let Some(folder) = models() else { return };
    fs::write(folder.path().join("page.onnx"), "<!DOCTYPE html>\n<html>404: Not Found</html>").unwrap();
    let ended =
        measure(folder.path(), &["page.onnx", "mlp.onnx", "weights_lost.onnx", "quantised.onnx", "absent.onnx"]);
    assert_eq!(ended.code, Some(1), "{ended}");
    let lines: Vec<&str> = ended.out.lines().collect();
    let table = &lines[..6];
    assert!(table[0].contains("time ms (median)") && table[0].contains("runs"), "{ended}");
    assert!(table[2].ends_with("mlp.onnx") && !table[2].contains("failed"), "{ended}");
    assert_eq!(table.iter().filter(|line| line.contains("failed")).count(), 4, "{ended}");
    for part in [
        "failed: page.onnx is not a model that can be measured: it is a page of a web server (HTML)",
        "weights_lost.bin, which is missing",
        "has no operator QLinearMatMul",
        "cannot read the model absent.onnx",
    ] {
        assert!(ended.out.contains(part), "{part}: {ended}");
    }
}

#[test]
fn the_statistic_of_the_journal_is_the_one_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let small = [
        "data={ name = \"digits\", limit = 300 }",
        "training.epochs=1",
        "fidelity.measure_ahead=0",
        "strategy.start=2",
        "training.augmentation={}",
        "space={ name = \"nasbench201\", channels = 4, cells = 1 }",
        "search.evaluations=2",
    ];
    let search = |out: &str, statistic: &[&str]| {
        let mut args = vec!["search", "--out", out, "--quiet"];
        args.extend(small.iter().chain(statistic).flat_map(|setting| ["--set", *setting]));
        Program::new(folder.path()).args(args).args(SHORT).succeed();
        Journal::read(&folder.path().join(out).join("measurements.csv"))
    };
    let config = |out: &str| fs::read_to_string(folder.path().join(out).join("config.toml")).unwrap();
    for (out, setting, column) in
        [("default", vec![], "time_ms_p50"), ("tail", vec!["measuring.statistic=p95"], "time_ms_p95")]
    {
        for row in search(out, &setting).rows {
            assert_eq!(row.text("time_ms"), row.text(column), "{row:?}");
            assert!(row.number("time_ms_p50") <= row.number("time_ms_p95"), "{row:?}");
        }
    }
    assert!(config("default").contains("statistic = \"median\"") && config("tail").contains("statistic = \"p95\""));
    for row in search("mean", &["measuring.statistic=mean"]).rows {
        assert_ne!(row.text("time_ms"), row.text("time_ms_p50"), "{row:?}");
    }
    // Times of different statistics are not mixed.
    let printed = Program::new(folder.path()).args(["import", "mean", "--into", "default"]).succeed();
    assert!(printed.contains("time of 2 rows is the mean of its runs, here the median: left out"), "{printed}");
    // The runs go on with it.
    for (out, column) in [("default", "time_ms_p50"), ("tail", "time_ms_p95")] {
        Program::new(folder.path()).args(["--resume", out, "--quiet", "--evaluations", "3"]).succeed();
        let journal = Journal::read(&folder.path().join(out).join("measurements.csv"));
        assert_eq!(journal.ended().len(), 3);
        assert!(journal.rows.iter().all(|row| row.text("time_ms") == row.text(column)));
    }
}

#[test]
fn a_statistic_that_a_device_cannot_give_is_rejected_before_the_search() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("program"), "echo '{\"time_ms\": 2, \"time_ms_p95\": 3}'").unwrap();
    let device = "devices={ mine = { kind = \"command\", command = [\"sh\", \"program\"], tries = 1 } }";
    let run = |args: &[&str], statistic: &[&str]| {
        let settings = statistic.iter().flat_map(|setting| ["--set", setting]);
        Program::new(folder.path()).args(args).args(["--set", device]).args(settings)
    };
    let search = ["search", "--out", "run", "--set", "data={ name = \"digits\", limit = 300 }"];
    let message = run(&search, &["measuring.statistic=p99"]).fail();
    assert!(
        message.contains("measuring.statistic = \"p99\" cannot be measured") && message.contains("time_ms_p99"),
        "{message}"
    );
    assert!(!folder.path().join("run").exists(), "nothing was begun");
    assert!(run(&["measure", CELL], &["measuring.statistic=median"]).fail().contains("time_ms_p50"));
    let json = |statistic: &[&str]| -> Value {
        serde_json::from_str(&run(&["measure", CELL, "--json"], statistic).succeed()).unwrap()
    };
    // Not stated, it is the one that the device has.
    let (left_out, p95) = (json(&[]), json(&["measuring.statistic=p95"]));
    assert!(left_out["statistic"] == "mean" && left_out["time_ms"] == 2.0, "{left_out}");
    assert!(p95["statistic"] == "p95" && p95["time_ms"] == 3.0, "{p95}");
}
