//! Every mistake gives an error that names it, its place and the remedy; no file is lost or left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use end_to_end::{Program, Table, experiment};

const CELL: &str = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|";

/// A folder with a table and the experiment that searches it.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Table::write(folder.path());
    fs::write(folder.path().join("experiment.toml"), experiment()).unwrap();
    folder
}

/// Every file below a folder with its content.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// The message of a run that must fail and leave the folder unchanged.
fn error_of(folder: &Path, args: &[&str]) -> String {
    let before = contents(folder);
    let message = Program::new(folder).args(args).fail();
    let after = contents(folder);
    assert!(before == after, "{args:?} changed {:?}: {message}", after.keys().collect::<Vec<_>>());
    message
}

/// Asserts that a message contains all of these.
fn assert_contains(message: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn mistakes_in_experiments_are_errors_with_their_place() {
    let folder = place();
    for (text, wanted) in [
        ("[search]\nevaluatoins = 3\n", &["bad.toml:2:1", "evaluatoins", "did you mean `evaluations`?"][..]),
        ("[serach]\nevaluations = 3\n", &["bad.toml:1:2", "did you mean `search`?"]),
        ("[search]\nevaluations = \"many\"\n", &["bad.toml:2:15", "invalid type"]),
        ("[search]\nevaluations = -3\n", &["bad.toml:2:15"]),
        ("[search]\nevaluations = 0\n", &["search.evaluations"]),
        ("[search]\nseed = 1\nseed = 2\n", &["bad.toml:3:1", "duplicate key"]),
        ("[search\n", &["bad.toml:1:8"]),
        ("[search]\nobjectives = [\"error\", \"error\"]\n", &["bad.toml:2:14", "`error` is named twice"]),
        ("[search]\nobjectives = [\"error\", \"tme_ms\"]\n", &["bad.toml:2:", "tme_ms", "did you mean `time_ms`?"]),
        ("[search]\nobjectives = [\"error\"]\n", &["bad.toml:2:14", "2 to 5 objectives"]),
        ("[search.bounds]\nerror = 1.5\n", &["error", "1.5"]),
        ("[search.bounds]\nerror = nan\n", &["error"]),
        ("[strategy]\nname = \"randm\"\n", &["bad.toml:", "did you mean `random`?"]),
        ("[strategy]\nname = \"random\"\ndraws = 3\n", &["bad.toml:", "draws"]),
        ("[strategy]\nname = \"policy-gradient\"\n[strategy.policy]\nhidden = 0\n", &["hidden", "above 0"]),
        ("[reward]\nimprovement = -1.0\n", &["reward.improvement"]),
        ("[training]\nmomentum = 1.0\n", &["training.momentum"]),
        ("[training]\nbackend = \"cuda\"\n", &["cuda", "cargo run --release -p controller --features cuda"]),
        ("[export]\nopset = 14\n", &["opset", "11"]),
        ("[measuring]\nconfidence_interval = 2.0\n", &["measuring.confidence_interval"]),
        ("[devices.board]\nkind = \"hots\"\n", &["bad.toml:", "hots"]),
        ("[devices.host]\nkind = \"host\"\nthreads = 4096\n", &["threads", "4096"]),
    ] {
        fs::write(folder.path().join("bad.toml"), text).unwrap();
        let message = error_of(folder.path(), &["search", "bad.toml", "--out", "run"]);
        assert_contains(&message, wanted);
    }
    assert_contains(&error_of(folder.path(), &["search", "missing.toml"]), &["missing.toml"]);
    for words in [&["searhc"][..], &["searhc", "bad.toml"], &["searhc", "--quiet", "bad.toml"]] {
        assert_contains(&error_of(folder.path(), words), &["did you mean `controller search`?"]);
    }
    assert_contains(&error_of(folder.path(), &["begin", "bad.toml"]), &["`begin` is neither", "`controller --help`"]);
}

#[test]
fn mistakes_in_spaces_are_errors() {
    let folder = place();
    for (space, wanted) in [
        (
            "name = \"nasbench201\"\noperations = [\"none\", \"nor_conv_3x4\"]",
            &["nor_conv_3x4", "did you mean `nor_conv_3x3`?"][..],
        ),
        ("name = \"nasbench102\"", &["bad.toml:", "did you mean `nasbench201`?"]),
        ("name = \"nasbench201\"\nchanels = 8", &["bad.toml:", "did you mean `channels`?"]),
        ("name = \"nasbench201\"\noperations = []", &["operations", "empty"]),
        ("name = \"nasbench201\"\noperations = [\"none\"]", &["nothing to search"]),
        ("name = \"mobile\"\nstrides = []\nwidths = []", &["strides", "empty"]),
        ("name = \"nasnet\"\nblocks = 0", &["blocks"]),
    ] {
        fs::write(folder.path().join("bad.toml"), format!("[space]\n{space}\n")).unwrap();
        assert_contains(&error_of(folder.path(), &["search", "bad.toml", "--out", "run"]), wanted);
    }
}

#[test]
fn mistakes_in_overrides_are_errors_with_their_key() {
    let folder = place();
    for (given, wanted) in [
        ("search.evaluatoins=3", &["--set search.evaluatoins=3", "did you mean `evaluations`?"][..]),
        ("search.evaluations", &["--set search.evaluations", "KEY=VALUE"]),
        ("search.evaluations=three", &["--set search.evaluations=three"]),
        ("search.seed.deep=3", &["--set search.seed.deep=3"]),
        ("search.evaluations=9000000000000000000", &["search.evaluations", "at most 1000000000", "search.hours"]),
    ] {
        assert_contains(
            &error_of(folder.path(), &["search", "experiment.toml", "--set", given, "--out", "run"]),
            wanted,
        );
    }
    let bound = ["replay", "table.csv", "--experiment", "experiment.toml", "--bound", "time_s=3", "--out", "run"];
    assert_contains(&error_of(folder.path(), &bound), &["time_s", "time_ms"]);
    // Epochs that the log does not have.
    let epochs = ["replay", "table.csv", "--experiment", "experiment.toml", "--set", "search.epochs=100"];
    assert_contains(&error_of(folder.path(), &epochs), &["search.epochs = 100", "table.csv", "search.evaluations"]);
    let short = ["replay", "tx2", "--set", "fidelity.short_epochs=6"];
    assert_contains(&error_of(folder.path(), &short), &["fidelity.short_epochs = 6", "tx2", "200"]);
}

#[test]
fn mistakes_in_logs_are_errors_with_their_place() {
    let folder = place();
    let good = fs::read_to_string(folder.path().join("table.csv")).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let with_line_5 = |line: &str| [&lines[..4], &[line], &lines[5..]].concat().join("\n") + "\n";
    let changed = |column: usize, cell: &str| {
        let mut cells: Vec<&str> = lines[4].split(',').collect();
        cells[column] = cell;
        with_line_5(&cells.join(","))
    };
    for (text, wanted) in [
        (
            good.replacen("latency_us", "latency_ms", 1),
            &["bad.csv:1", "latency_us", "did you mean \"latency_ms\"?"][..],
        ),
        (changed(4, "fast"), &["bad.csv:5", "latency_us", "fast"]),
        (changed(4, "NaN"), &["bad.csv:5", "latency_us", "NaN"]),
        (changed(4, "inf"), &["bad.csv:5", "latency_us", "inf"]),
        (changed(4, "-3"), &["bad.csv:5", "latency_us", "-3"]),
        (changed(4, "0"), &["bad.csv:5", "latency_us"]),
        (changed(0, "101"), &["bad.csv:5", "top-1 %", "101"]),
        (changed(2, "-0.5"), &["bad.csv:5", "joules", "-0.5"]),
        (changed(1, ""), &["bad.csv:5", "network"]),
        (changed(1, "|nor_conv_3x4~0|"), &["bad.csv:5", "network", "did you mean `nor_conv_3x3`?"]),
        (with_line_5(&lines[4][..20]), &["bad.csv:5", "cells"]),
        (format!("{}\n", lines[0]), &["bad.csv", "no row"]),
        (String::new(), &["bad.csv", "empty"]),
    ] {
        fs::write(folder.path().join("bad.csv"), text).unwrap();
        let message =
            error_of(folder.path(), &["replay", "bad.csv", "--experiment", "experiment.toml", "--out", "run"]);
        assert_contains(&message, wanted);
    }
    assert_contains(
        &error_of(folder.path(), &["replay", "gone.csv", "--experiment", "experiment.toml"]),
        &["gone.csv"],
    );
    // A table is not a journal, so its columns have to be named.
    assert_contains(
        &error_of(folder.path(), &["replay", "table.csv", "--space", "nasbench201"]),
        &["table.csv:1", "architecture", "network"],
    );
    let objectives = [
        "--objectives",
        "time_ms,energy_mj",
        "--set",
        "replay.columns={ architecture = \"network\", time = \"latency_us\" }",
    ];
    let message =
        error_of(folder.path(), &[&["replay", "table.csv", "--space", "nasbench201"], &objectives[..]].concat());
    assert_contains(&message, &["energy_mj", "replay.columns"]);
}

#[test]
fn wrong_data_folders_are_errors() {
    let folder = place();
    let data = |text: &str| {
        fs::write(folder.path().join("bad.toml"), format!("[data]\n{text}\n")).unwrap();
        error_of(folder.path(), &["search", "bad.toml", "--out", "run"])
    };
    assert_contains(&data("name = \"folder\"\ndir = \"photos\""), &["photos"]);
    fs::create_dir(folder.path().join("photos")).unwrap();
    assert_contains(&data("name = \"folder\"\ndir = \"photos\""), &["photos", "train"]);
    fs::create_dir_all(folder.path().join("photos/train/cat")).unwrap();
    fs::create_dir_all(folder.path().join("photos/train/dog")).unwrap();
    fs::write(folder.path().join("photos/train/cat/1.png"), "no picture").unwrap();
    assert_contains(&data("name = \"folder\"\ndir = \"photos\""), &["photos/train"]);
    assert_contains(&data("name = \"cifar10\"\ndir = \"photos\""), &["photos", "cs.toronto.edu"]);
    fs::write(folder.path().join("photos/data_batch_1.bin"), [0; 100]).unwrap();
    assert_contains(&data("name = \"cifar10\"\ndir = \"photos\""), &["data_batch_1.bin", "100"]);
    assert_contains(&data("name = \"digits\"\ndir = \"photos\""), &["bad.toml:", "dir"]);
    // A padding as large as the image can hide all of it.
    assert_contains(&data("name = \"digits\"\n[training.augmentation]\ncrop_padding = 9"), &["crop_padding", "9"]);
}

#[test]
fn wrong_or_used_run_folders_are_errors() {
    let folder = place();
    let begin = ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "20", "--out", "run"];
    Program::new(folder.path()).args(begin).succeed();
    assert_contains(&error_of(folder.path(), &begin), &["run", "holds a run already", "--resume"]);
    assert_contains(&error_of(folder.path(), &["--resume", "nowhere"]), &["nowhere", "not a run folder"]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_contains(&error_of(folder.path(), &["--resume", "empty"]), &["empty", "not a run folder"]);
    assert_contains(&error_of(folder.path(), &["front", "empty"]), &["empty", "not a run folder"]);
    fs::write(folder.path().join("file"), "").unwrap();
    assert_contains(&error_of(folder.path(), &["search", "experiment.toml", "--out", "file"]), &["file"]);
}

#[test]
fn edited_journals_are_errors_with_their_place() {
    let folder = place();
    let begin = ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "20", "--out", "run"];
    Program::new(folder.path()).args(begin).succeed();
    let path = folder.path().join("run/measurements.csv");
    let good = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let without_line_4 = [&lines[..3], &lines[4..]].concat().join("\n") + "\n";
    let wrong_number = good.replacen(",ok,", ",ok,most of them", 1);
    let trained = lines.iter().position(|line| line.contains(",ok,0.")).unwrap();
    let place = format!("measurements.csv:{}", trained + 1);
    let another_value = lines[trained].replacen(",ok,0.", ",ok,0.9", 1);
    let another_value = good.replacen(lines[trained], &another_value, 1);
    let changed = format!("evaluation 0 (line {}) is not as it was written", trained + 1);
    let wrong_status = good.replacen(",ok,", ",fine,", 1);
    for (text, wanted) in [
        (without_line_4, &["measurements.csv", "evaluation 3 (line 4) is not as it was written"][..]),
        (wrong_number, &[&place, "accuracy", "most of them"]),
        (another_value, &["measurements.csv", &changed]),
        (wrong_status, &[&place, "status", "fine"]),
        ("a,b\n1,2\n".to_owned(), &["measurements.csv:1", "not a measurement log"]),
    ] {
        fs::write(&path, text).unwrap();
        assert_contains(&error_of(folder.path(), &["--resume", "run"]), wanted);
    }
}

#[test]
fn wrong_architecture_texts_are_errors_with_their_column() {
    let folder = place();
    let wrong = CELL.replace("nor_conv_1x1", "nor_conv_1x2");
    let out = ["--to", "x.onnx"];
    for (text, wanted) in [
        (wrong.as_str(), &["column 65", "did you mean `nor_conv_1x1`?"][..]),
        (&CELL[..25], &["column 26"]),
        ("", &["column 1"]),
    ] {
        for args in [&["measure", text][..], &["train", text], &["export", text, out[0], out[1]]] {
            assert_contains(&error_of(folder.path(), args), wanted);
        }
    }
}

#[test]
fn wrong_models_and_devices_are_errors() {
    let folder = place();
    fs::write(folder.path().join("junk.onnx"), "no model").unwrap();
    assert_contains(&error_of(folder.path(), &["measure", "junk.onnx"]), &["junk.onnx"]);
    assert_contains(&error_of(folder.path(), &["measure", "gone.onnx"]), &["gone.onnx"]);
    assert_contains(&error_of(folder.path(), &["measure", CELL, "--device", "board"]), &["board", "host"]);
    assert_contains(&error_of(folder.path(), &["export", CELL, "--to", "nowhere/x.onnx"]), &["nowhere/x.onnx"]);
    assert_contains(
        &error_of(folder.path(), &["export", CELL, "--to", "x.onnx", "--set", "export.opset=10"]),
        &["opset 10", "11"],
    );
}
