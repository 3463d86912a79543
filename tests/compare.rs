//! Two searches on each other's devices: the loss by searching for the wrong one.

use std::collections::BTreeMap;
use std::path::Path;

use end_to_end::{
    Ended, Entry, Journal, Program, Table, dominated_area, experiment, front, live_experiment, two_boards,
};
use serde_json::Value;

const OBJECTIVES: [&str; 2] = ["error", "time_ms"];
/// The bound of [`experiment`].
const MOST_ERROR: f64 = 0.38;

/// Two tables of the same cells: cells that are fast on the first device are slow on the second.
struct Place {
    folder: tempfile::TempDir,
    tables: [Table; 2],
}

impl Place {
    /// A search in each table.
    fn searched() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let first = Table::write(folder.path());
        let mut entries = first.entries.clone();
        for (number, entry) in entries.iter_mut().enumerate() {
            let count = |operation: &str| entry.cell.matches(operation).count() as u64;
            entry.microseconds =
                20_000 + 9_000 * count("nor_conv_1x1") + 1_500 * count("nor_conv_3x3") + (number as u64 * 37) % 500;
        }
        let second = Table { path: folder.path().join("other.csv"), entries };
        second.rewrite();
        std::fs::write(folder.path().join("a.toml"), experiment()).unwrap();
        std::fs::write(folder.path().join("b.toml"), experiment().replace("table.csv", "other.csv")).unwrap();
        let place = Self { folder, tables: [first, second] };
        place.search("table.csv", "a", &["--objectives", "error,time_ms"]);
        place.search("other.csv", "b", &["--objectives", "error,time_ms"]);
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A search of 60 evaluations into a folder of the name of its experiment.
    fn search(&self, log: &str, name: &str, more: &[&str]) {
        self.search_as(log, name, name, more);
    }

    fn search_as(&self, log: &str, name: &str, out: &str, more: &[&str]) {
        let experiment = format!("{name}.toml");
        let args = ["replay", log, "--experiment", &experiment, "--evaluations", "60", "--strategy", "evolution"];
        Program::new(self.path()).args(args).args(["--quiet", "--out", out]).args(more).succeed();
    }

    fn compare(&self, args: &[&str]) -> Ended {
        Program::new(self.path()).args(["compare"]).args(args).run()
    }

    fn json(&self, args: &[&str]) -> Value {
        let ended = self.compare(&[args, &["--json"]].concat());
        assert_eq!(ended.code, Some(0), "{ended}");
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended}"))
    }

    fn rejection(&self, args: &[&str]) -> String {
        Program::new(self.path()).args(["compare"]).args(args).fail()
    }

    /// The cells of the front that a run found within its bound.
    fn found(&self, run: &str) -> Vec<String> {
        let mut journal = Journal::read(&self.path().join(run).join("measurements.csv"));
        journal.rows.retain(|row| 1.0 - row.number("accuracy").unwrap() <= MOST_ERROR);
        front(&journal, &OBJECTIVES).iter().map(|row| row.text("architecture").to_owned()).collect()
    }

    /// Error and time of cells on one of the devices.
    fn values(&self, device: usize, cells: &[String]) -> Vec<Vec<f64>> {
        let value = |entry: &Entry| vec![1.0 - entry.percent / 100.0, entry.microseconds as f64 / 1000.0];
        cells.iter().map(|cell| value(self.tables[device].entry(cell))).collect()
    }
}

fn near(found: &Value, expected: f64) -> bool {
    found.as_f64().is_some_and(|found| (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3))
}

fn members(front: &Value) -> BTreeMap<String, (f64, f64)> {
    let member = |member: &Value| {
        let value = |name: &str| member["objectives"][name].as_f64().unwrap();
        (member["architecture"].as_str().unwrap().to_owned(), (value("error"), value("time_ms")))
    };
    front["members"].as_array().unwrap().iter().map(member).collect()
}

/// The least error within a time, and its place.
fn best(values: &[Vec<f64>], time: f64) -> Option<&Vec<f64>> {
    values.iter().filter(|point| point[1] <= time).min_by(|a, b| a[0].total_cmp(&b[0]))
}

#[test]
fn each_front_is_compared_by_the_values_of_the_other_table() {
    let place = Place::searched();
    let fronts = [place.found("a"), place.found("b")];
    let answer = place.json(&["a", "b", "--bound", "time_ms=2.5", "--bound", "time_ms=30"]);
    assert_eq!(answer["objectives"], serde_json::json!(OBJECTIVES));
    for (device, letter) in ["a", "b"].into_iter().enumerate() {
        let on = &answer["on"][letter];
        let own = place.values(device, &fronts[device]);
        let foreign = place.values(device, &fronts[1 - device]);
        let all = [own.clone(), foreign.clone()].concat();
        assert_eq!(on["unknown"], serde_json::json!([]), "the tables hold every cell");
        let expected: BTreeMap<_, _> =
            fronts[1 - device].iter().cloned().zip(foreign.iter().map(|point| (point[0], point[1]))).collect();
        let found = members(&on["foreign"]);
        assert!(found.keys().eq(expected.keys()), "{found:?} {expected:?}");
        assert!(found.values().zip(expected.values()).all(|(a, b)| (a.0 - b.0).abs() < 1e-12 && a.1 == b.1));
        assert_eq!(members(&on["own"]).len(), own.len());
        let reference = [MOST_ERROR, 1.1 * all.iter().map(|point| point[1]).fold(0.0, f64::max)];
        assert!(near(&on["reference"]["error"], reference[0]) && near(&on["reference"]["time_ms"], reference[1]));
        let area = |points: &[Vec<f64>]| dominated_area(points, reference);
        assert!(near(&on["own"]["hypervolume"], area(&own) * reference[0] * reference[1]), "{on}");
        assert!(near(&on["hypervolume_share"], area(&foreign) / area(&own)), "{on}");
        let beats = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a <= b) && a != b;
        let staying = foreign.iter().filter(|point| !all.iter().any(|rival| beats(rival, point))).count();
        assert_eq!(on["foreign"]["on_joint_front"], staying);
        assert_eq!(on["foreign"]["within_bounds"], foreign.len(), "the error is the same everywhere");
        for (pick, time) in on["best"].as_array().unwrap().iter().zip([f64::INFINITY, 2.5, 30.0]) {
            let (mine, theirs) = (best(&own, time), best(&foreign, time));
            assert_eq!(pick["own"].is_null(), mine.is_none(), "{pick}");
            assert_eq!(pick["foreign"].is_null(), theirs.is_none(), "{pick}");
            let Some(mine) = mine else { continue };
            assert!(near(&pick["own"]["objectives"]["time_ms"], mine[1]), "{pick}");
            if let Some(theirs) = theirs {
                assert!(near(&pick["error_difference"], theirs[0] - mine[0]), "{pick}");
            }
            let times = foreign.iter().filter(|point| point[0] <= mine[0]).map(|point| point[1]);
            match times.reduce(f64::min) {
                Some(time) => assert!(near(&pick["as_accurate"]["time_ms"], time / mine[1]), "{pick}"),
                None => assert!(pick["as_accurate"]["time_ms"].is_null(), "{pick}"),
            }
        }
    }
    // The other way round it is the same, under the other letters.
    let swapped = place.json(&["b", "a", "--bound", "time_ms=2.5", "--bound", "time_ms=30"]);
    assert_eq!((&swapped["on"]["b"], &swapped["on"]["a"]), (&answer["on"]["a"], &answer["on"]["b"]));
}

#[test]
fn tables_and_plots_are_written_and_printed() {
    let place = Place::searched();
    let printed = place.compare(&["a", "b", "--bound", "time_ms=30", "--out", "compared"]);
    assert_eq!(printed.code, Some(0), "{printed}");
    for wanted in ["A: a, 60 evaluations", "hypervolume", "on A, searching on B for A", "time_ms ≤ 30", "more error"]
    {
        assert!(printed.out.contains(wanted), "{wanted}: {printed}");
    }
    let text = std::fs::read_to_string(place.path().join("compared/comparison.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(
        rows.headers().unwrap().iter().collect::<Vec<_>>().join(","),
        "on,found_on,evaluation,architecture,source,error,time_ms,within_bounds,on_joint_front"
    );
    let members = place.found("a").len() + place.found("b").len();
    assert_eq!(rows.records().map(Result::unwrap).count(), 2 * members, "each front on each device");
    let svg = std::fs::read_to_string(place.path().join("compared/comparison.svg")).unwrap();
    for wanted in ["<svg", "on A", "on B", "found on A", "validation error", "time per inference"] {
        assert!(svg.contains(wanted), "{wanted}");
    }
    let names: Vec<_> = std::fs::read_dir(place.path().join("compared")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn files_are_written_though_the_reader_of_the_output_has_left() {
    let place = Place::searched();
    let unread = ["bash", "-c", "\"$0\" \"$@\" | true; exit ${PIPESTATUS[0]}"];
    let compare = |args: &[&str]| Program::below(place.path(), &unread).args(["compare"]).args(args).succeed();
    compare(&["a", "b", "--out", "pair"]);
    compare(&["a", "a", "a", "--out", "several"]);
    for file in ["pair/comparison.csv", "pair/comparison.svg", "several/progress.csv", "several/fronts.csv"] {
        assert!(place.path().join(file).is_file(), "{file}");
    }
}

#[test]
fn of_several_runs_each_target_is_one_and_one_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    Table::write(folder.path());
    std::fs::write(folder.path().join("experiment.toml"), two_boards()).unwrap();
    for seed in ["1", "2"] {
        let search = ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "20", "--quiet"];
        let out = format!("run-{seed}");
        Program::new(folder.path()).args(search).args(["--seed", seed, "--out", &out]).succeed();
    }
    // A run beside itself is no second seed.
    let compare = |more: &[&str]| Program::new(folder.path()).args(["compare", "run-1", "run-2", "run-1"]).args(more);
    let printed = compare(&["--out", "compared"]).succeed();
    for wanted in ["target", "mean and 95 % interval of #1, #3,", "mean and 95 % interval of #2, #4,"] {
        assert!(printed.contains(wanted), "no {wanted} in\n{printed}");
    }
    let (_, best) = printed.split_once("best of each front:").unwrap();
    let count = |target: &str| best.lines().filter(|line| line.split_whitespace().next() == Some(target)).count();
    assert!(count("a") > 1 && count("a") == count("b"), "{printed}");
    for file in ["progress", "fronts"] {
        let text = std::fs::read_to_string(folder.path().join(format!("compared/{file}.csv"))).unwrap();
        assert!(text.starts_with("run,target,seed,") && text.contains("\nrun-2,b,2,"), "{text}");
    }
    let printed = compare(&["--target", "b"]).succeed();
    assert!(printed.contains("mean and 95 % interval of #1, #2,") && !printed.contains("#4"), "{printed}");
    let message = compare(&["--target", "c"]).fail();
    assert!(message.contains("--target c: the run has no such target; it has a, b"), "{message}");
}

#[test]
fn logs_are_compared_and_their_unknown_networks_counted() {
    let place = Place::searched();
    let whole = place.json(&["table.csv", "other.csv", "--experiment", "a.toml"]);
    assert_eq!(whole["objectives"], serde_json::json!(["error", "time_ms", "energy_mj"]));
    assert!(whole["runs"]["a"]["budget"].is_null());
    assert_eq!(whole["runs"]["b"]["evaluations"], 729);
    for letter in ["a", "b"] {
        let on = &whole["on"][letter];
        let share = on["hypervolume_share"].as_f64().unwrap();
        assert!(share > 0.0 && share <= 1.0, "no front exceeds that of the whole table: {share}");
        assert_eq!(on["unknown"], serde_json::json!([]));
    }
    // In comparison with a run, the log's space is the run's, and a journal needs no names for its columns.
    let mixed = place.json(&["a", "b/measurements.csv"]);
    let runs = place.json(&["a", "b"]);
    let unknown = mixed["on"]["b"]["unknown"].as_array().unwrap().len();
    assert!(unknown > 0, "60 evaluations of 729 cells do not hold all of the other's front");
    let known = mixed["on"]["b"]["foreign"]["members"].as_array().unwrap().len();
    assert_eq!(unknown + known, runs["on"]["b"]["foreign"]["members"].as_array().unwrap().len());
    // The bound on the error is the run's alone, and so is the log that it replayed.
    assert!(mixed["on"]["a"]["bounds"]["error"] == 0.38 && mixed["on"]["b"]["bounds"] == serde_json::json!({}));
    let printed = place.compare(&["a", "b/measurements.csv"]);
    assert!(printed.out.contains(&format!("{unknown} of A's members are not known there")), "{printed}");
    // A missing log is left out.
    std::fs::rename(place.path().join("other.csv"), place.path().join("gone.csv")).unwrap();
    let ended = place.compare(&["a", "b"]);
    assert!(ended.code == Some(0) && ended.err.contains("only its journal is used"), "{ended}");
    assert_eq!(place.json(&["a", "b"])["on"]["b"]["unknown"].as_array().unwrap().len(), unknown);
}

#[test]
fn equal_unfinished_and_empty_runs_are_compared_with_notices() {
    let place = Place::searched();
    let ended = place.compare(&["a", "a"]);
    assert!(ended.code == Some(0) && ended.err.contains("the same run"), "{ended}");
    assert_eq!(place.json(&["a", "a"])["on"]["a"]["hypervolume_share"], 1.0);
    // Half a line at the end, as in a journal that is being written.
    let copy = place.path().join("going-on");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(place.path().join("a/config.toml"), copy.join("config.toml")).unwrap();
    let journal = std::fs::read_to_string(place.path().join("a/measurements.csv")).unwrap();
    let begun = journal.split_inclusive('\n').take(41).collect::<String>();
    std::fs::write(copy.join("measurements.csv"), format!("{begun}10,,|nor")).unwrap();
    let done = begun.matches(",ok,").count();
    let ended = place.compare(&["going-on", "b"]);
    assert!(ended.code == Some(0) && ended.err.contains(&format!("{done} of 60 evaluations")), "{ended}");
    let bounded = ["--objectives", "error,time_ms", "--bound", "error=0.01"];
    place.search_as("other.csv", "b", "strict", &bounded);
    let answer = place.json(&["a", "strict"]);
    assert_eq!(answer["on"]["b"]["own"]["members"], serde_json::json!([]));
    for letter in ["a", "b"] {
        assert!(answer["on"][letter]["hypervolume_share"].is_null(), "{answer}");
    }
    assert_eq!(answer["on"]["b"]["foreign"]["within_bounds"], 0);
    let ended = place.compare(&["a", "strict", "--bound", "time_ms=30", "--out", "compared"]);
    assert!(ended.code == Some(0) && ended.out.contains("B has found nothing that keeps its bounds"), "{ended}");
    let message = place.rejection(&["strict", "strict"]);
    assert!(message.contains("nothing to compare"), "{message}");
}

#[test]
fn incomparable_runs_are_rejected() {
    let place = Place::searched();
    place.search_as("table.csv", "a", "energy", &["--objectives", "error,energy_mj"]);
    place.search_as("table.csv", "a", "wide", &["--objectives", "error,time_ms", "--set", "space.channels=8"]);
    place.search_as("table.csv", "a", "many", &["--set", "input={ shape = [3, 32, 32], classes = 100 }"]);
    for (args, wanted) in [
        (&["a", "energy"][..], &["error, time_ms", "error, energy_mj", "share too little"][..]),
        (&["a", "wide"], &["different search spaces", "space.channels (4 in A, 8 in B)"]),
        (&["a", "many"], &["different inputs", "10 classes", "100"]),
        (&["a", "nowhere"], &["neither a run folder nor a log", "nowhere"]),
        (&["a", "."], &["not a run folder"]),
        (&["a", "a/config.toml"], &["config.toml"]),
        (&["a", "b", "--bound", "energy_mj=3"], &["energy_mj", "the runs share error, time_ms"]),
        (&["a", "b", "--bound", "time=3"], &["did you mean `time_ms`"]),
        (&["a", "b", "--bound", "time_ms=-3"], &["must be positive"]),
        (&["a", "b", "--bound", "time_ms"], &["OBJECTIVE=VALUE"]),
        (&["a", "b", "--measure"], &["--out"]),
        (&["a", "b", "--experiment", "a.toml"], &["are for logs"]),
        (&["a", "b", "--out", "table.csv"], &["table.csv"]),
    ] {
        let message = place.rejection(args);
        wanted.iter().for_each(|wanted| assert!(message.contains(wanted), "{wanted}: {message}"));
    }
}

#[test]
fn unknown_networks_are_measured_once() {
    let place = Place { folder: tempfile::tempdir().unwrap(), tables: [0, 1].map(|_| empty_table()) };
    let folder = place.path();
    std::fs::write(folder.join("live.toml"), live_experiment(1, 2, 15)).unwrap();
    for (seed, out) in [("1", "a"), ("2", "b")] {
        let five = ["--evaluations", "5", "--set", "search.batch=5"];
        Program::new(folder)
            .args(["search", "live.toml", "--quiet", "--seed", seed, "--out", out])
            .args(five)
            .succeed();
    }
    let journals = ["a", "b"].map(|run| std::fs::read(folder.join(run).join("measurements.csv")).unwrap());
    let before = place.json(&["a", "b"]);
    let unknown: Vec<_> = ["a", "b"].map(|on| before["on"][on]["unknown"].as_array().unwrap().len()).to_vec();
    assert!(unknown.iter().sum::<usize>() > 0, "two seeds that find the same five networks");
    let ended = place.compare(&["a", "b", "--measure", "--out", "compared"]);
    assert!(ended.code == Some(0) && ended.err.contains("measuring"), "{ended}");
    let logs = || -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(folder.join("compared")).unwrap().map(|entry| entry.unwrap());
        let logs = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("measured-"));
        logs.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
    };
    let measured = logs();
    let rows: usize = measured.keys().map(|name| Journal::read(&folder.join("compared").join(name)).rows.len()).sum();
    assert_eq!(rows, unknown.iter().sum::<usize>());
    // Used again, also under the other letters.
    let after = place.json(&["b", "a", "--measure", "--out", "compared"]);
    assert_eq!(logs(), measured, "nothing is measured twice");
    for on in ["a", "b"] {
        assert_eq!(after["on"][on]["unknown"], serde_json::json!([]));
        assert!(after["on"][on]["hypervolume_share"].as_f64().is_some(), "{after}");
    }
    let sources = ["b", "a"].map(|on| after["on"][on]["foreign"]["members"].as_array().unwrap().clone()).into_iter();
    let measured_now: Vec<usize> =
        sources.map(|members| members.iter().filter(|member| member["source"] == "measured").count()).collect();
    assert_eq!(measured_now, unknown, "the others are in the journals");
    for (run, journal) in ["a", "b"].into_iter().zip(&journals) {
        assert_eq!(&std::fs::read(folder.join(run).join("measurements.csv")).unwrap(), journal, "not the run's own");
    }
    // Medians and means are not alike.
    let config = std::fs::read_to_string(folder.join("a/config.toml")).unwrap();
    let of_means = config.replace("statistic = \"median\"", "statistic = \"mean\"");
    assert_ne!(of_means, config);
    std::fs::write(folder.join("a/config.toml"), of_means).unwrap();
    let ended = place.compare(&["a", "b"]);
    let warning = "warning: time_ms is the mean of the runs in A, and their median in B";
    assert!(ended.code == Some(0) && ended.err.contains(warning), "{ended}");
    std::fs::write(folder.join("a/config.toml"), config).unwrap();
    // Runs of other machines are not measured here, and runs with other images are not compared.
    let journal = String::from_utf8(journals[0].clone()).unwrap();
    let other = journal.replace(",host ", ",host of another kind ");
    assert_ne!(other, journal);
    std::fs::write(folder.join("a/measurements.csv"), other).unwrap();
    let message = place.rejection(&["a", "b", "--measure", "--out", "elsewhere"]);
    assert!(message.contains("host of another kind") && message.contains("but this machine is host "), "{message}");
    let config = std::fs::read_to_string(folder.join("a/config.toml")).unwrap();
    let other = config.replace("name = \"digits\"", "name = \"cifar10\"");
    assert_ne!(other, config);
    std::fs::write(folder.join("a/config.toml"), other).unwrap();
    let message = place.rejection(&["a", "b"]);
    assert!(message.contains("A on cifar10, B on digits"), "{message}");
}

fn empty_table() -> Table {
    Table { path: std::path::PathBuf::new(), entries: Vec::new() }
}
