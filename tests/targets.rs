//! Searches for several boards at once: each child is trained once and measured on each board, and each board has its front.

#[path = "targets/later.rs"]
mod later;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use end_to_end::{Board, BoardOptions, Entry, Journal, Program, Row, SshdOptions, Table, openvino, two_boards};
use serde_json::{Value, json};

/// A folder with a table of two boards and its experiment.
fn place() -> (tempfile::TempDir, Table) {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::write(folder.path());
    std::fs::write(folder.path().join("experiment.toml"), two_boards()).unwrap();
    (folder, table)
}

fn search(folder: &Path, out: &str, more: &[&str]) -> Journal {
    let fixed = ["replay", "table.csv", "--experiment", "experiment.toml", "--quiet", "--out", out];
    Program::new(folder).args(fixed).args(more).succeed();
    Journal::read(&folder.join(out).join("measurements.csv"))
}

fn json_of(folder: &Path, args: &[&str]) -> Value {
    let printed = Program::new(folder).args(args).succeed();
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// Cells that were trained, and measured on a board.
fn trained_and_measured(journal: &Journal, target: &str) -> BTreeSet<String> {
    let of = |keep: &dyn Fn(&Row) -> bool| -> BTreeSet<String> {
        journal.jobs.iter().filter(|row| keep(row)).map(|row| row.text("architecture").to_owned()).collect()
    };
    let trained = of(&|row| !row.text("accuracy").is_empty());
    of(&|row| row.text("target") == target && !row.text("time_ms").is_empty()).intersection(&trained).cloned().collect()
}

/// The cells of a front, found by comparing all with all, within the bound on the error.
fn front_of(table: &Table, cells: &BTreeSet<String>, values: impl Fn(&Entry) -> Vec<f64>) -> BTreeSet<String> {
    let points: Vec<(&String, Vec<f64>)> = cells.iter().map(|cell| (cell, values(table.entry(cell)))).collect();
    let points: Vec<_> = points.into_iter().filter(|(_, point)| point[0] <= 0.38).collect();
    let dominates = |a: &[f64], b: &[f64]| a != b && a.iter().zip(b).all(|(a, b)| a <= b);
    let is_free = |point: &[f64]| !points.iter().any(|(_, other)| dominates(other, point));
    points.iter().filter(|(_, point)| is_free(point)).map(|(cell, _)| (*cell).clone()).collect()
}

fn on_a(entry: &Entry) -> Vec<f64> {
    vec![1.0 - entry.percent / 100.0, entry.microseconds as f64 / 1e3, entry.joules * 1e3]
}

fn on_b(entry: &Entry) -> Vec<f64> {
    vec![1.0 - entry.percent / 100.0, entry.early_percent]
}

#[test]
fn each_board_has_its_front_of_what_was_measured_there() {
    let (folder, table) = place();
    let bound = ["--bound", "b.time_ms=42"];
    for strategy in ["model-based", "evolution", "policy-gradient", "random"] {
        let more = [&["--evaluations", "30", "--strategy", strategy][..], &bound].concat();
        let journal = search(folder.path(), strategy, &more);
        assert!(
            journal.jobs.iter().all(|row| row.text("target").is_empty() != row.text("accuracy").is_empty()),
            "{strategy}"
        );
        let mut measured: BTreeMap<(String, String), usize> = BTreeMap::new();
        for row in journal.jobs.iter().filter(|row| !row.text("target").is_empty()) {
            let entry = table.entry(row.text("architecture"));
            let time_ms = if row.text("target") == "a" { on_a(entry)[1] } else { on_b(entry)[1] };
            assert_eq!(row.number("time_ms"), Some(time_ms));
            assert_eq!(row.text("status") == "bounded", row.text("target") == "b" && time_ms > 42.0);
            *measured.entry((row.text("architecture").to_owned(), row.text("target").to_owned())).or_default() += 1;
        }
        assert!(measured.values().all(|count| *count == 1), "{strategy}: a network is measured once on a board");
        let json = json_of(folder.path(), &["front", strategy, "--json"]);
        let expected = [
            front_of(&table, &trained_and_measured(&journal, "a"), on_a),
            front_of(&table, &trained_and_measured(&journal, "b"), on_b)
                .into_iter()
                .filter(|cell| table.entry(cell).early_percent <= 42.0)
                .collect(),
        ];
        for (target, expected) in ["a", "b"].iter().zip(&expected) {
            let front = json["targets"][target]["front"].as_array().unwrap_or_else(|| panic!("{json}"));
            let found: BTreeSet<String> =
                front.iter().map(|one| one["architecture"].as_str().unwrap().to_owned()).collect();
            assert_eq!(found, *expected, "{strategy}, {target}");
            assert_eq!(
                json_of(folder.path(), &["front", strategy, "--json", "--target", target]),
                json["targets"][target]
            );
            let pareto = Journal::read(&folder.path().join(strategy).join("pareto.csv"));
            let rows = pareto.jobs.iter().filter(|row| row.text("target") == *target);
            assert_eq!(rows.map(|row| row.text("architecture").to_owned()).collect::<BTreeSet<_>>(), *expected);
        }
        assert_eq!(json["targets"]["a"]["objectives"], json!(["error", "time_ms", "energy_mj"]));
        assert_eq!(json["targets"]["b"]["objectives"], json!(["error", "time_ms"]));
    }
}

#[test]
fn a_study_a_front_for_all_and_proposals_know_the_boards() {
    let (folder, table) = place();
    let journal = search(folder.path(), "run", &["--evaluations", "40"]);
    let study = json_of(folder.path(), &["study", "run", "--json", "--out", "paper"]);
    let members = |target: &str, values: fn(&Entry) -> Vec<f64>| {
        front_of(&table, &trained_and_measured(&journal, target), values)
    };
    let (of_a, of_b) = (members("a", on_a), members("b", on_b));
    assert_eq!(study["targets"][0]["members"].as_array().unwrap().len(), of_a.len());
    assert_eq!(study["transfers"][0]["in_common"], of_a.intersection(&of_b).count());
    let correlation = study["correlations"][0]["spearman"].as_f64().unwrap();
    assert!(correlation > 0.5 && correlation < 1.0, "both times rise with the size: {correlation}");
    assert!(
        study["transfers"].as_array().unwrap().iter().all(|transfer| transfer["kept"].as_f64() <= Some(1.0 + 1e-9))
    );
    let rows = std::fs::read_to_string(folder.path().join("paper/study.csv")).unwrap();
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert!(std::fs::read_to_string(folder.path().join("paper/study.svg")).unwrap().contains("found for a"));
    let all = json_of(folder.path(), &["front", "run", "--targets", "all", "--json"]);
    assert_eq!(all["columns"], json!(["error", "a.time_ms", "a.energy_mj", "b.time_ms"]));
    assert!(["worst", "mean"].iter().all(|front| !all[front].as_array().unwrap().is_empty()), "{all}");
    let propose = |args: &[&str]| json_of(folder.path(), &[&["propose", "run", "--json"], args].concat());
    let fast = propose(&["--target", "b", "--preference", "0,1"]);
    let accurate = propose(&["--target", "b", "--preference", "1,0"]);
    let mean = |answer: &Value, index: usize| {
        let cells = answer["proposals"].as_array().unwrap();
        cells.iter().map(|one| on_b(table.entry(one["architecture"].as_str().unwrap()))[index]).sum::<f64>()
            / cells.len() as f64
    };
    assert!(mean(&fast, 1) < mean(&accurate, 1) && mean(&accurate, 0) < mean(&fast, 0));
    let message = Program::new(folder.path()).args(["propose", "run"]).fail();
    assert!(message.contains("choose one with --target: a, b"), "{message}");
}

#[test]
fn a_journal_of_two_boards_answers_for_both() {
    let (folder, _) = place();
    search(folder.path(), "run", &["--evaluations", "20"]);
    let again =
        ["replay", "run/measurements.csv", "--experiment", "run", "--evaluations", "10", "--quiet", "--out", "again"];
    Program::new(folder.path()).args(again).args(["--set", "replay.columns={}", "--strategy", "random"]).succeed();
    let [first, again] = ["run", "again"].map(|run| Journal::read(&folder.path().join(run).join("measurements.csv")));
    for row in again.jobs.iter().filter(|row| !row.text("time_ms").is_empty()) {
        let same =
            |other: &&Row| ["architecture", "target"].iter().all(|column| other.text(column) == row.text(column));
        let known = first.jobs.iter().find(same).unwrap();
        assert_eq!(known.text("time_ms"), row.text("time_ms"));
    }
}

/// Children small and quickly trained, as the boards are the subject.
const SMALL: &str = r#"
[search]
evaluations = 4
batch = 2
seed = 5

[fidelity]
measure_ahead = 0
short_epochs = 0

[strategy]
name = "random"

[data]
name = "digits"
limit = 300

[space]
name = "nasbench201"
channels = 4
cells = 1
operations = ["skip_connect", "nor_conv_1x1", "nor_conv_3x3"]

[training]
epochs = 1

[measuring]
warm_up_ms = 100
time_limit_ms = 500
"#;

/// A simulated TX2 and OpenVINO on this processor as the boards of an experiment, in TOML.
fn simulated_tx2_and_processor() -> Option<(Board, String)> {
    let physics = json!({
        "base_ms": 1.0, "ns_per_byte": 30.0, "load_mw_per_byte": 0.05, "build_s": 0.05, "heat_tau_s": 0.3,
        "heat_c_per_w": 0.2,
    });
    let tool = openvino(None)?;
    let board = Board::start(BoardOptions { physics, sshd: SshdOptions::default() })?;
    let settings = board.quick_settings().into_iter();
    let settings: String = settings.map(|(key, value)| format!("{key} = {value}\n")).collect();
    let devices = format!(
        "[devices.board]\ntarget = \"tx2\"\n{settings}\n[devices.cpu]\ntarget = \"cpu\"\nkind = \"openvino\"\n\
         device = \"CPU\"\ntool = {:?}\nmeter = {{ kind = \"none\" }}\n",
        tool.display().to_string()
    );
    Some((board, devices))
}

/// Prints the study of docs/targets.md.
#[test]
#[ignore = "takes minutes; docs/targets.md has what it prints"]
fn the_study_of_a_simulated_tx2_and_a_processor() {
    let Some((_board, devices)) = simulated_tx2_and_processor() else { return };
    let folder = tempfile::tempdir().unwrap();
    let search = "[search]\nevaluations = 60\nseed = 1\n\n[fidelity]\nmeasure_ahead = 0\nshort_epochs = 0\n\n\
                  [data]\nname = \"digits\"\n\n[space]\nname = \"nasbench201\"\n\
                  channels = 8\ncells = 1\n\n[training]\nepochs = 6\n\n[measuring]\nwarm_up_ms = 100\ntime_limit_ms = 500\n";
    std::fs::write(folder.path().join("both.toml"), format!("{search}{devices}")).unwrap();
    Program::new(folder.path()).args(["both.toml", "--quiet", "--out", "run"]).succeed();
    println!("{}", Program::new(folder.path()).args(["study", "run"]).succeed());
}

#[test]
fn a_simulated_tx2_and_openvino_are_two_boards_of_one_search_that_is_killed_and_goes_on() {
    let Some((_board, devices)) = simulated_tx2_and_processor() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("both.toml"), format!("{SMALL}{devices}")).unwrap();
    let program = || Program::new(folder.path());
    let mut child = program().args(["both.toml", "--quiet", "--out", "run"]).start();
    let path = folder.path().join("run/measurements.csv");
    let begun = std::time::Instant::now();
    // Killed once both boards have measured something.
    let measured = || if path.exists() { Journal::read_whole_lines(&path).jobs } else { Vec::new() };
    let has = |target: &str| measured().iter().any(|row| row.text("target") == target);
    while !(has("tx2") && has("cpu")) {
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", measured());
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = measured();
    program().args(["--resume", "run", "--quiet"]).succeed();
    let after = Journal::read(&path);
    assert_eq!(&after.jobs[..before.len()], before, "no row is lost");
    for row in &after.jobs {
        let (target, status) = (row.text("target"), row.text("status"));
        assert!(status == if target.is_empty() { "ok" } else { "measured" }, "{row:?}");
        assert_eq!(row.number("energy_mj").is_some(), target == "tx2", "only the board has a meter: {row:?}");
    }
    let count = |target: &str| after.jobs.iter().filter(|row| row.text("target") == target).count();
    assert_eq!([count("tx2"), count("cpu"), count("")], [4, 4, 4]);
    let front = json_of(folder.path(), &["front", "run", "--json"]);
    assert_eq!(front["targets"]["tx2"]["objectives"], json!(["error", "time_ms", "energy_mj"]));
    assert_eq!(front["targets"]["cpu"]["objectives"], json!(["error", "time_ms"]));
    // The fronts are measured again in turn.
    program().args(["--resume", "run", "--remeasure", "3", "--quiet"]).succeed();
    let again = Journal::read(&path);
    let repeats: Vec<&Row> = again.jobs[after.jobs.len()..].iter().collect();
    assert_eq!(repeats.iter().map(|row| row.text("target")).collect::<Vec<_>>(), ["cpu", "tx2", "cpu"]);
    let is_known = |row: &&Row| after.jobs.iter().any(|other| other.text("architecture") == row.text("architecture"));
    assert!(repeats.iter().all(is_known), "{repeats:?}");
    assert!(std::fs::read_to_string(folder.path().join("run/report.html")).unwrap().contains("run on cpu"));
}
