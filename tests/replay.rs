//! A log answers in place of training and devices: a foreign table, a journal, real measurements.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use end_to_end::{Ended, Entry, Journal, Program, Row, Table, experiment, front, shared_data};

const STRATEGIES: [&str; 5] = ["random", "evolution", "policy-gradient", "bayesian", "model-based"];

/// A folder with a table and the experiment that searches it.
fn place() -> (tempfile::TempDir, Table) {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::write(folder.path());
    std::fs::write(folder.path().join("experiment.toml"), experiment()).unwrap();
    (folder, table)
}

fn replay(folder: &Path, out: &str, more: &[&str]) -> Vec<u8> {
    let fixed =
        ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "60", "--quiet", "--out", out];
    let printed = Program::new(folder).args(fixed).args(more).succeed();
    assert_eq!(printed, "", "--quiet prints nothing");
    std::fs::read(folder.join(out).join("measurements.csv")).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_journal_and_another_one_another() {
    let (folder, _) = place();
    let mut journals = BTreeSet::new();
    for strategy in STRATEGIES {
        let run = |seed: &str, name: &str| {
            replay(folder.path(), &format!("{strategy}-{name}"), &["--strategy", strategy, "--seed", seed])
        };
        let first = run("1", "a");
        assert_eq!(first, run("1", "b"), "{strategy}");
        journals.extend([first, run("2", "c")]);
    }
    assert_eq!(journals.len(), 2 * STRATEGIES.len(), "every seed and strategy searches in its own way");
}

#[test]
fn the_journal_has_the_tables_values_in_its_own_units() {
    let (folder, table) = place();
    replay(folder.path(), "run", &[]);
    let journal = Journal::read(&folder.path().join("run/measurements.csv"));
    let mut seen = BTreeSet::new();
    for row in journal.ended() {
        let entry = table.entry(row.text("architecture"));
        assert!(seen.insert(entry.cell.clone()), "{} is evaluated twice", entry.cell);
        assert_eq!(row.text("status"), "ok");
        assert_eq!(row.number("accuracy"), Some(entry.percent / 100.0));
        assert_eq!(row.number("time_ms"), Some(entry.microseconds as f64 / 1000.0));
        assert_eq!(row.number("energy_mj"), Some(entry.joules * 1000.0));
        for empty in ["started_at", "time_ms_std", "time_runs", "power_samples", "epochs", "message"] {
            assert_eq!(row.text(empty), "", "the table has no {empty}");
        }
    }
    assert_eq!(seen.len(), 60);
}

#[test]
fn objectives_are_those_that_are_asked_for() {
    let (folder, _) = place();
    let run = folder.path().join("run");
    replay(folder.path(), "run", &["--objectives", "error,energy_mj", "--bound", "energy_mj=100"]);
    let json: serde_json::Value =
        serde_json::from_str(&Program::new(folder.path()).args(["front", "run", "--json"]).succeed()).unwrap();
    assert_eq!(json["objectives"], serde_json::json!(["error", "energy_mj"]));
    let journal = Journal::read(&run.join("measurements.csv"));
    // Networks beyond a bound are not on the front where others keep all bounds.
    let keeps_bounds = |row: &&Row| row.number("energy_mj") <= Some(100.0) && row.number("accuracy") >= Some(0.62);
    let expected = front(&journal, &["error", "energy_mj"]).into_iter().filter(keeps_bounds).count();
    assert!(expected > 0);
    assert_eq!(json["front"].as_array().unwrap().len(), expected);
    let config: toml::Table = std::fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap();
    assert_eq!(config["search"]["bounds"]["energy_mj"].as_float(), Some(100.0));
}

#[test]
fn a_journal_of_our_own_is_searched_to_its_end() {
    let (folder, _) = place();
    replay(folder.path(), "run", &["--strategy", "random", "--seed", "5"]);
    let first = folder.path().join("run/measurements.csv");
    // Its own columns need no names, and only its own architectures are to be had.
    let space = "space={ name = \"nasbench201\", operations = [\"skip_connect\", \"nor_conv_1x1\", \"nor_conv_3x3\"] }";
    let args =
        ["replay", "run/measurements.csv", "--set", space, "--evaluations", "500", "--seed", "9", "--out", "again"];
    let ended = Program::new(folder.path()).args(args).run();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(ended.err.contains("all different networks that can be evaluated are evaluated"), "{ended}");
    let values = |path: &Path| {
        let rows = Journal::read(path).rows.into_iter();
        let line = |row: Row| ["architecture", "accuracy", "time_ms", "energy_mj"].map(|c| row.text(c).to_owned());
        rows.map(line).collect::<BTreeSet<_>>()
    };
    assert_eq!(values(&folder.path().join("again/measurements.csv")), values(&first));
}

/// Writes a table of every cell whose objectives are changed, and searches it.
fn searched(change: impl Fn(&mut Entry), more: &[&str]) -> (tempfile::TempDir, Ended) {
    let (folder, mut table) = place();
    table.entries.iter_mut().for_each(change);
    table.rewrite();
    let args = ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "40", "--out", "run"];
    let ended = Program::new(folder.path()).args(args).args(more).run();
    assert_eq!(ended.code, Some(0), "{ended}");
    (folder, ended)
}

#[test]
fn a_constant_objective_is_searched_all_the_same() {
    let (folder, _) = searched(|entry| entry.joules = 0.5, &[]);
    let journal = Journal::read(&folder.path().join("run/measurements.csv"));
    assert_eq!(journal.ended().len(), 40);
    assert!(journal.rows.iter().all(|row| row.number("energy_mj") == Some(500.0)));
}

#[test]
fn a_network_without_a_value_that_is_searched_for_is_a_failure() {
    let (folder, table) = place();
    let text = std::fs::read_to_string(&table.path).unwrap();
    let energy = text.lines().next().unwrap().split(',').position(|name| name == "joules").unwrap();
    let without = |(number, line): (usize, &str)| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if number % 2 == 1 {
            cells[energy] = "";
        }
        cells.join(",") + "\n"
    };
    std::fs::write(&table.path, text.lines().enumerate().map(without).collect::<String>()).unwrap();
    replay(folder.path(), "run", &["--strategy", "random"]);
    let rows = Journal::read(&folder.path().join("run/measurements.csv")).rows;
    let failed: Vec<&Row> = rows.iter().filter(|row| row.text("status") == "failed").collect();
    assert!(failed.len() > 10, "{}", failed.len());
    for row in failed {
        assert_eq!((row.text("message"), row.number("energy_mj")), ("energy_mj is missing", None));
    }
}

#[test]
fn a_bound_that_no_network_keeps_is_searched_towards() {
    // Accuracy grows with time alone, up to some 96 %.
    let slow_is_accurate = |entry: &mut Entry| entry.percent = 60.0 + (entry.microseconds as f64 - 1000.0) / 150.0;
    let (folder, ended) = searched(slow_is_accurate, &["--bound", "error=0.01", "--seed", "3"]);
    assert!(ended.out.contains("all beyond a bound"), "{ended}");
    let shown = Program::new(folder.path()).args(["front", "run"]).succeed();
    assert!(shown.contains("all beyond a bound"), "{shown}");
    let journal = Journal::read(&folder.path().join("run/measurements.csv"));
    let best = |rows: &[Row]| rows.iter().filter_map(|row| row.number("accuracy")).fold(0.0, f64::max);
    assert!(best(&journal.rows[10..]) > best(&journal.rows[..10]) + 0.02, "later children come nearer to the bound");
}

#[test]
fn rows_that_disagree_are_measurements_of_one_network() {
    let (folder, table) = place();
    let Entry { cell, percent, microseconds, joules, .. } = &table.entries[100];
    let mut text = std::fs::read_to_string(&table.path).unwrap();
    text.push_str(&format!("{percent},{cell},{joules},again,{},\n", microseconds + 30));
    std::fs::write(&table.path, text).unwrap();
    let args = ["replay", "table.csv", "--experiment", "experiment.toml", "--strategy", "random", "--quiet"];
    Program::new(folder.path()).args(args).args(["--evaluations", "729", "--out", "run"]).succeed();
    let journal = Journal::read(&folder.path().join("run/measurements.csv"));
    let row = journal.rows.iter().find(|row| row.text("architecture") == cell).unwrap();
    let close = |column: &str, expected: f64| (row.number(column).unwrap() - expected).abs() < 1e-9;
    assert!(close("time_ms", (*microseconds as f64 + 15.0) / 1000.0), "{row:?}");
    // Two values 0.03 ms apart: the standard error of their mean is half of that.
    assert!(close("time_ms_std", 0.015) && close("energy_mj", joules * 1000.0), "{row:?}");
}

/// Writes the table with other separators, units and columns, and searches it with the settings.
fn searched_as(text: impl Fn(&Entry) -> String, header: &str, settings: &[&str]) -> (Ended, Vec<[Option<f64>; 3]>) {
    let (folder, table) = place();
    let lines: String = table.entries[..30].iter().map(|entry| text(entry) + "\n").collect();
    std::fs::write(folder.path().join("theirs.csv"), format!("{header}\n{lines}")).unwrap();
    let args = ["replay", "theirs.csv", "--space", "nasbench201", "--strategy", "random", "--evaluations", "30"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let ended = Program::new(folder.path()).args(args).args(["--out", "run"]).args(settings).run();
    if ended.code != Some(0) {
        return (ended, Vec::new());
    }
    let rows = Journal::read(&folder.path().join("run/measurements.csv")).rows;
    // In the order of the table, in the units of the journal.
    let of = |entry: &Entry| rows.iter().find(|row| row.text("architecture") == entry.cell).unwrap();
    let values = |row: &Row| ["accuracy", "time_ms", "energy_mj"].map(|column| row.number(column));
    (ended, table.entries[..30].iter().map(|entry| values(of(entry))).collect())
}

#[test]
fn tables_of_other_people_are_read_and_their_columns_printed() {
    let (_, table) = place();
    let near = |found: &[[Option<f64>; 3]]| {
        assert_eq!(found.len(), 30);
        for ([accuracy, time_ms, energy_mj], entry) in found.iter().zip(&table.entries) {
            let is = |found: &Option<f64>, right: f64| found.is_none_or(|found| (found / right - 1.0).abs() < 1e-6);
            let right = is(accuracy, entry.percent / 100.0) && is(time_ms, entry.microseconds as f64 / 1000.0);
            assert!(
                right && accuracy.is_some() && time_ms.is_some() && is(energy_mj, entry.joules * 1000.0),
                "{entry:?}"
            );
        }
    };
    let time_ms = |entry: &Entry| entry.microseconds as f64 / 1000.0;
    // Of a German spreadsheet, with either separator.
    for separator in [";", "\t"] {
        let header = ["architecture", "accuracy_percent", "time_ms"].join(separator);
        let row = |entry: &Entry| {
            [entry.cell.clone(), entry.percent.to_string(), time_ms(entry).to_string()]
                .join(separator)
                .replace('.', ",")
        };
        let (ended, found) = searched_as(row, &header, &[]);
        near(&found);
        let columns = "columns: architecture = \"architecture\", accuracy = \"accuracy_percent\" (in percent), \
                       time_ms = \"time_ms\"";
        assert!(ended.err.contains(columns), "{ended}");
    }
    // Columns that happen to be called like a journal's.
    let row = |entry: &Entry| format!("{},{},{},finished,200.0", entry.cell, entry.percent, time_ms(entry));
    let header = "architecture,accuracy_percent,time_ms,status,epochs";
    near(&searched_as(row, header, &[]).1);
    let (ended, _) = searched_as(row, header, &["replay.columns.status=status"]);
    assert!(ended.err.contains("theirs.csv:2: column \"status\": \"finished\" is not a status"), "{ended}");
    // Inferences a second, and microjoules.
    let row =
        |entry: &Entry| format!("{},{},{},{}", entry.cell, entry.percent, 1e3 / time_ms(entry), entry.joules * 1e6);
    let settings = [
        "replay.columns.accuracy={ column = \"top1_percent\", unit = \"percent\" }",
        "replay.columns.time={ column = \"throughput_inf_s\", unit = \"per_s\" }",
        "replay.columns.energy={ column = \"energy_uJ\", unit = \"uj\" }",
    ];
    let (ended, found) = searched_as(row, "architecture,top1_percent,throughput_inf_s,energy_uJ", &settings);
    near(&found);
    assert!(found.iter().all(|[.., energy_mj]| energy_mj.is_some()), "{ended}");
}

#[test]
fn a_file_of_another_kind_is_named_in_one_line() {
    let (folder, _) = place();
    let json = format!("{{\"|none~0|\": {{\"acc\": 0.5}}{}}}", ", \"x\": 1".repeat(200_000));
    let utf_16: Vec<u8> = "architecture,time_ms\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content, name) in [
        (json.as_bytes(), "it is JSON"),
        (&utf_16, "it is UTF-16 text"),
        (b"PK\x03\x04\x14\0\x06\0", "it is a workbook"),
        (b"architecture,time_ms\ra,1\rb,2\r", "carriage returns alone"),
    ] {
        std::fs::write(folder.path().join("theirs.csv"), content).unwrap();
        let error = Program::new(folder.path()).args(["replay", "theirs.csv", "--space", "nasbench201"]).fail();
        assert!(error.contains(name) && error.contains("theirs.csv") && error.len() < 500, "{error}");
    }
}

#[test]
fn real_measurements_of_a_board() {
    let Some(log) = shared_data("nb201_tx2_cifar10.csv") else { return };
    let text = std::fs::read_to_string(&log).unwrap();
    let rows: std::collections::HashMap<&str, Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|line| {
            let (cell, numbers) = line.split_once(',').unwrap();
            (cell, numbers.split(',').map(|number| number.parse().unwrap()).collect())
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    for strategy in STRATEGIES {
        let columns = "replay.columns.accuracy={ column = \"valid_accuracy_percent\", unit = \"percent\" }";
        let program = Program::new(folder.path()).args(["replay"]).args([&log]);
        let program = program.args(["--space", "nasbench201", "--strategy", strategy, "--evaluations", "100"]);
        program.args(["--bound", "error=0.20", "--set", columns, "--out", strategy, "--quiet"]).succeed();
        let journal = Journal::read(&folder.path().join(strategy).join("measurements.csv"));
        assert_eq!(journal.ended().len(), 100);
        for row in journal.ended() {
            let values = &rows[row.text("architecture")];
            assert_eq!(row.number("accuracy"), Some(values[0] / 100.0));
            assert_eq!((row.number("time_ms"), row.number("energy_mj")), (Some(values[3]), Some(values[4])));
        }
        let json: serde_json::Value =
            serde_json::from_str(&Program::new(folder.path()).args(["front", strategy, "--json"]).succeed()).unwrap();
        let members = front(&journal, &["error", "time_ms", "energy_mj"]).into_iter();
        let expected = members.filter(|row| row.number("accuracy") >= Some(0.80)).count();
        assert!(expected > 0);
        assert_eq!(json["front"].as_array().unwrap().len(), expected);
    }
}

#[test]
fn the_measurements_in_the_program_are_searched_without_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let program = |args: &[&str]| Program::new(folder.path()).args(args);
    let replay = |out: &str, evaluations: &str, more: &[&str]| {
        program(&["replay", "tx2", "--evaluations", evaluations, "--out", out]).args(more).run()
    };
    let ended = replay("whole", "20", &[]);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(ended.err.contains("Jetson TX2") && ended.err.contains("minimising error, time_ms"), "{ended}");
    let journal = |run: &str| std::fs::read(folder.path().join(run).join("measurements.csv")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&program(&["front", "whole", "--json"]).succeed()).unwrap();
    assert_eq!(json["objectives"], serde_json::json!(["error", "time_ms", "energy_mj"]));
    // Its run goes on, and its settings repeat it.
    assert_eq!(replay("part", "12", &[]).code, Some(0));
    program(&["--resume", "part", "--evaluations", "20", "--quiet"]).succeed();
    assert!(journal("part") == journal("whole"));
    program(&["--resume", "whole", "--quiet"]).succeed();
    assert_eq!(replay("again", "20", &["--experiment", "whole"]).code, Some(0));
    assert!(journal("again") == journal("whole"));
    program(&["compare", "whole", "again"]).succeed();
}

#[test]
fn a_file_comes_before_the_measurements_in_the_program() {
    let (folder, table) = place();
    std::fs::rename(&table.path, folder.path().join("tx2")).unwrap();
    let fixed = ["replay", "tx2", "--experiment", "experiment.toml", "--evaluations", "5", "--out", "run", "--quiet"];
    Program::new(folder.path()).args(fixed).succeed();
    for row in Journal::read(&folder.path().join("run/measurements.csv")).ended() {
        assert_eq!(row.number("energy_mj"), Some(table.entry(row.text("architecture")).joules * 1000.0));
    }
}

#[test]
fn the_measurements_in_the_program_are_those_of_their_source() {
    let Some(source) = shared_data("nb201_tx2_cifar10.csv") else { return };
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../controller/data/tx2.csv.gz");
    let mut shipped = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut shipped).unwrap();
    assert!(lines(&shipped) == lines(&std::fs::read_to_string(source).unwrap()));
    assert_eq!(lines(&shipped).len(), 1 + 15_625);
}
