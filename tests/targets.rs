//! Searches for several boards at once: each child is trained once and measured on each board, and each board has its front.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use end_to_end::{
    Board, BoardOptions, Entry, Journal, Program, Row, SshdOptions, Table, experiment, openvino, two_boards,
};
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

/// Searches on board a, and writes the experiment of a board b whose times are in a column of the table; returns it.
fn begin_on_a(folder: &Path, evaluations: &str, time: &str) -> String {
    std::fs::write(folder.join("a.toml"), experiment()).unwrap();
    let begin =
        ["replay", "table.csv", "--experiment", "a.toml", "--evaluations", evaluations, "--quiet", "--out", "a"];
    Program::new(folder).args(begin).succeed();
    let b = format!(
        "[replay]\nlog = \"table.csv\"\n[replay.columns]\narchitecture = \"network\"\n\
         accuracy = {{ column = \"top-1 %\", unit = \"percent\" }}\n[replay.columns.targets.b]\ntime = {time}\n"
    );
    std::fs::write(folder.join("b.toml"), &b).unwrap();
    b
}

#[test]
fn a_board_that_comes_later_is_measured_without_training_and_then_searched_for() {
    let (folder, table) = place();
    let b = begin_on_a(folder.path(), "40", "\"early %\"");
    let extend = |out: &str, more: &[&str]| {
        let args = ["extend", "a", "--experiment", "b.toml", "--quiet", "--out", out];
        Program::new(folder.path()).args(args).args(more).succeed();
        Journal::read(&folder.path().join(out).join("measurements.csv"))
    };
    let before = Journal::read(&folder.path().join("a/measurements.csv"));
    let trained: BTreeSet<_> =
        before.jobs.iter().filter(|row| !row.text("accuracy").is_empty()).map(|row| row.text("architecture")).collect();
    let measured = extend("measured", &[]);
    let on_b_alone: Vec<_> = measured.jobs.iter().filter(|row| row.text("target") == "b").collect();
    assert_eq!(on_b_alone.iter().map(|row| row.text("architecture")).collect::<BTreeSet<_>>(), trained);
    assert_eq!(on_b_alone.len(), trained.len(), "each is measured once");
    assert_eq!(measured.jobs.len(), before.jobs.len() + trained.len(), "and nothing is trained");
    // Measurements after the last training count. The bound on the error stays. A network for all boards is judged on both.
    let front = json_of(folder.path(), &["front", "measured", "--json", "--target", "b"]);
    let study = json_of(folder.path(), &["study", "measured", "--json"]);
    let of_b = study["targets"].as_array().unwrap().iter().find(|target| target["name"] == "b").unwrap();
    assert_eq!(front["hypervolume_share"], of_b["hypervolume_share"]);
    assert!(front["hypervolume_share"].as_f64() > Some(0.0) && front["reference"][0] == 0.38, "{front}");
    let all = json_of(folder.path(), &["front", "measured", "--targets", "all", "--json"]);
    let combined = all["mean"].as_array().unwrap().iter().flat_map(|one| one["combined"].as_array().unwrap());
    assert!(combined.clone().count() > 0 && combined.clone().all(Value::is_number), "{all}");
    // A run that was killed before it had the rows of the earlier one begins with them all the same.
    let path = folder.path().join("measured/measurements.csv");
    let whole = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for file in std::fs::read_dir(folder.path().join("measured/checkpoint")).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() && file.file_name().unwrap() != "config.toml" {
            std::fs::remove_file(file).unwrap();
        }
    }
    Program::new(folder.path()).args(["--resume", "measured", "--quiet"]).succeed();
    assert!(std::fs::read(&path).unwrap() == whole, "the same rows");
    // A board on which no trained network runs.
    let text = std::fs::read_to_string(folder.path().join("table.csv")).unwrap();
    let others = text.lines().filter(|line| !trained.iter().any(|cell| line.contains(cell))).take(60);
    std::fs::write(folder.path().join("few.csv"), others.flat_map(|line| [line, "\n"]).collect::<String>()).unwrap();
    std::fs::write(
        folder.path().join("few.toml"),
        b.replace("table.csv", "few.csv").replace("targets.b", "targets.few"),
    )
    .unwrap();
    let few = ["extend", "a", "--experiment", "few.toml", "--quiet", "--out"];
    Program::new(folder.path()).args(few).args(["few"]).succeed();
    Program::new(folder.path()).args(few).args(["ten", "--measure", "10"]).succeed();
    let ten = Journal::read(&folder.path().join("ten/measurements.csv"));
    let of_few: Vec<_> = ten.jobs.iter().filter(|row| row.text("target") == "few").collect();
    assert!(of_few.len() == 10 && of_few.iter().all(|row| row.text("status") == "measured"), "{of_few:?}");
    // A search goes on from networks that were measured and not trained.
    Program::new(folder.path()).args(["--resume", "ten", "--evaluations", "43", "--quiet"]).succeed();
    let refused = |args: &[&str]| {
        let extend = ["extend", "a", "--experiment", "b.toml", "--out", "refused"];
        Program::new(folder.path()).args(extend).args(args).fail()
    };
    assert!(refused(&["--set", "search.seed=3"]).contains("the run decides on it"));
    assert!(refused(&["--target", "x.y"]).contains("cannot be the name of a target"));
    assert!(refused(&["--measure", "3", "--trainings", "3"]).contains("cannot be used with"));
    let searched = extend("searched", &["--trainings", "10"]);
    let count = |journal: &Journal| journal.jobs.iter().filter(|row| !row.text("accuracy").is_empty()).count();
    assert_eq!(count(&searched), count(&before) + 10);
    let new: Vec<_> =
        searched.jobs[measured.jobs.len()..].iter().filter(|row| !row.text("target").is_empty()).collect();
    assert!(new.iter().all(|row| row.text("target") == "b"), "the earlier board is not searched for any more");
    let share =
        |run: &str| json_of(folder.path(), &["front", run, "--json", "--target", "b"])["hypervolume_share"].as_f64();
    assert!(share("searched") > share("measured"));
    let front = front_of(&table, &trained_and_measured(&searched, "b"), on_b);
    let json = json_of(folder.path(), &["front", "searched", "--json", "--target", "b"]);
    assert_eq!(json["front"].as_array().unwrap().len(), front.len());
    // Resumed with a larger budget, it goes on.
    Program::new(folder.path()).args(["--resume", "searched", "--evaluations", "55", "--quiet"]).succeed();
    assert_eq!(count(&Journal::read(&folder.path().join("searched/measurements.csv"))), 55);
}

/// Spearman's rank correlation of pairs, few of which are equal.
fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let ranks = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        pairs.iter().map(|one| pairs.iter().filter(|other| of(other) < of(one)).count() as f64).collect()
    };
    let squares: f64 = ranks(|pair| pair.0).iter().zip(ranks(|pair| pair.1)).map(|(a, b)| (a - b).powi(2)).sum();
    let count = pairs.len() as f64;
    1.0 - 6.0 * squares / (count * (count * count - 1.0))
}

#[test]
fn ten_networks_of_the_whole_space_predict_the_times_of_all_others() {
    let (folder, table) = place();
    begin_on_a(folder.path(), "12", "{ column = \"latency_us\", unit = \"us\" }");
    let extend = ["extend", "a", "--experiment", "b.toml", "--measure", "10", "--quiet", "--out", "b"];
    Program::new(folder.path()).args(extend).succeed();
    let journal = || Journal::read(&folder.path().join("b/measurements.csv"));
    let of_b = |journal: &Journal| {
        let rows = journal.jobs.iter().filter(|row| row.text("target") == "b");
        rows.map(|row| row.text("architecture").to_owned()).collect::<Vec<_>>()
    };
    let (before, first) = (Journal::read(&folder.path().join("a/measurements.csv")), journal());
    assert_eq!(first.jobs.len(), before.jobs.len() + 10, "nothing is trained");
    let measured: BTreeSet<String> = of_b(&first).into_iter().collect();
    assert_eq!(measured.len(), 10);
    Program::new(folder.path()).args(["--resume", "b", "--quiet"]).succeed();
    assert_eq!(of_b(&journal()).len(), 10, "resumed, it measures no more");

    let all = ["predict", "b", "--target", "b", "--all", "--csv", "all.csv"];
    Program::new(folder.path()).args(all).succeed();
    let mut reader = csv::Reader::from_path(folder.path().join("all.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), table.entries.len(), "each cell of the space");
    let pairs: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| (row["time_ms"].parse().unwrap(), table.entry(&row["architecture"]).microseconds as f64 / 1e3))
        .collect();
    let found = spearman(&pairs);
    assert!(found > 0.9, "rank correlation {found}");
    for row in &rows {
        assert_eq!(!row["time_ms_measured"].is_empty(), measured.contains(&row["architecture"]));
        let [low, value, high] =
            ["time_ms_low", "time_ms", "time_ms_high"].map(|name| row[name].parse::<f64>().unwrap());
        assert!(low <= value && value <= high);
    }
    let cell = &table.entries[5].cell;
    std::fs::write(folder.path().join("some.csv"), format!("note,architecture\nfirst,{cell}\n")).unwrap();
    std::fs::write(folder.path().join("some.txt"), format!("{cell}\n\n{cell}\n")).unwrap();
    let predict =
        |more: &[&str]| json_of(folder.path(), &[&["predict", "b", "--target", "b", "--json"], more].concat());
    let [named, csv, text] = [&[cell.as_str()][..], &["--file", "some.csv"], &["--file", "some.txt"]].map(predict);
    assert_eq!(named, csv);
    assert_eq!([&text["networks"][0], &text["networks"][1]], [&named["networks"][0]; 2]);
    std::fs::write(folder.path().join("sheet.csv"), format!("\u{feff}note;architecture\r\nfirst;{cell}\r\n")).unwrap();
    assert_eq!(named, predict(&["--file", "sheet.csv"]));
    let refused = |args: &[&str]| Program::new(folder.path()).args(args).fail();
    let journal = ["predict", "b", "--target", "b", "--all", "--csv", "b/measurements.csv"];
    assert!(refused(&journal).contains("choose another name"));
    std::fs::write(folder.path().join("wrong.txt"), format!("{cell}\n|none\n")).unwrap();
    let wrong = refused(&["predict", "b", "--target", "b", "--file", "wrong.txt"]);
    assert!(wrong.contains("wrong.txt, line 2: `|none`"), "{wrong}");
    assert!(refused(&["predict", "b", "--target", "b"]).contains("no architecture to predict"));
    assert!(refused(&["predict", "b", "--all"]).contains("choose one with --target"));
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
