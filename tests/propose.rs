//! Proposals by the policy of a run, for a preference or within bounds.

use std::path::Path;

use end_to_end::{Journal, Program, Table, experiment};
use serde_json::Value;

/// A finished search of 60 evaluations.
fn searched(strategy: &str) -> (tempfile::TempDir, Table) {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::write(folder.path());
    std::fs::write(folder.path().join("experiment.toml"), experiment()).unwrap();
    let args = ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "60", "--quiet"];
    Program::new(folder.path()).args(args).args(["--strategy", strategy, "--out", "run"]).succeed();
    (folder, table)
}

fn proposals(folder: &Path, args: &[&str]) -> Value {
    let printed = Program::new(folder).args(["propose", "run", "--json"]).args(args).succeed();
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

fn rejection(folder: &Path, args: &[&str]) -> String {
    Program::new(folder).args(["propose"]).args(args).fail()
}

/// Mean of the table's values of some proposals.
fn truth(table: &Table, answer: &Value, value: impl Fn(&end_to_end::Entry) -> f64) -> f64 {
    let proposals = answer["proposals"].as_array().unwrap();
    let cells = proposals.iter().map(|proposal| proposal["architecture"].as_str().unwrap());
    cells.map(|cell| value(table.entry(cell))).sum::<f64>() / proposals.len() as f64
}

#[test]
fn proposals_follow_the_preference_and_show_measurements() {
    let (folder, table) = searched("model-based");
    let journal = Journal::read(&folder.path().join("run/measurements.csv"));
    let accurate = proposals(folder.path(), &["--preference", "1,0,0", "-n", "8"]);
    let fast = proposals(folder.path(), &["--preference", "0,1,0", "-n", "8"]);
    assert_eq!(accurate["objectives"], serde_json::json!(["error", "time_ms", "energy_mj"]));
    assert!(truth(&table, &accurate, |entry| entry.percent) > truth(&table, &fast, |entry| entry.percent) + 3.0);
    let time = |entry: &end_to_end::Entry| entry.microseconds as f64;
    assert!(truth(&table, &fast, time) < 0.7 * truth(&table, &accurate, time));
    let mut measured = 0;
    for proposal in [&accurate, &fast].into_iter().flat_map(|answer| answer["proposals"].as_array().unwrap()) {
        let cell = proposal["architecture"].as_str().unwrap();
        let row = journal.rows.iter().find(|row| row.text("architecture") == cell);
        assert_eq!(proposal["evaluation"].as_u64(), row.map(end_to_end::Row::evaluation));
        assert_eq!(proposal["measured"]["time_ms"].as_f64(), row.and_then(|row| row.number("time_ms")));
        measured += usize::from(row.is_some());
        let expected = &proposal["expected"]["time_ms"];
        let [low, value, high] = ["low", "value", "high"].map(|name| expected[name].as_f64().unwrap());
        assert!(low <= value && value <= high);
        let error = value * 1000.0 / table.entry(cell).microseconds as f64 - 1.0;
        assert!(error.abs() < 0.2, "{proposal}");
    }
    assert!(measured > 0);
    assert_eq!(
        accurate,
        proposals(folder.path(), &["--preference", "1,0,0", "-n", "8"]),
        "the same seed, the same answer"
    );
    let printed = Program::new(folder.path()).args(["propose", "run", "--preference", "1,0,0"]).succeed();
    for wanted in ["preference: error 1.00", "accuracy %", "measured", "±", "keeps bounds", "|nor_conv"] {
        assert!(printed.contains(wanted), "{printed}");
    }
}

#[test]
fn proposals_keep_the_bounds_or_a_line_says_that_they_do_not() {
    let (folder, table) = searched("policy-gradient");
    let answer = proposals(folder.path(), &["--bound", "time_ms=2.5"]);
    assert_eq!(answer["preference"], serde_json::json!([0.5, 0.0, 0.5]));
    assert_eq!(answer["bounds"]["time_ms"], 2.5);
    assert_eq!(answer["bounds"]["error"], 0.38, "the run's own bound holds as well");
    let time = |entry: &end_to_end::Entry| entry.microseconds as f64;
    assert!(truth(&table, &answer, time) < 2600.0);
    for proposal in answer["proposals"].as_array().unwrap() {
        assert!(proposal["keeps_bounds"].as_f64().unwrap() >= 0.5, "{proposal}");
    }
    let printed = Program::new(folder.path()).args(["propose", "run", "--bound", "time_ms=0.1"]).succeed();
    assert!(printed.contains("these come nearest") && printed.contains("0 %"), "{printed}");
}

#[test]
fn unanswerable_requests_are_rejected() {
    let (folder, _) = searched("random");
    let message = rejection(folder.path(), &["run", "--preference", "1,0,0"]);
    assert!(message.contains("`random`") && message.contains("no policy"), "{message}");
    let (folder, _) = searched("policy-gradient");
    for (args, wanted) in [
        (&["run", "--preference", "0.5,0.5"][..], &["2 weights", "error, time_ms, energy_mj"][..]),
        (&["run", "--preference", "0.5,0.5,0.5"], &["sum to 1.5"]),
        (&["run", "--preference", "0.5,x,0.5"], &["x"]),
        (&["run", "--bound", "time=3"], &["did you mean `time_ms`"]),
        (&["run", "--bound", "macs=3"], &["macs", "not among the objectives"]),
        (&["run", "--bound", "time_ms"], &["OBJECTIVE=VALUE"]),
        (&["run", "--bound", "time_ms=fast"], &["fast", "not a number"]),
        (&["."], &["not a run folder"]),
    ] {
        let message = rejection(folder.path(), args);
        wanted.iter().for_each(|wanted| assert!(message.contains(wanted), "{wanted}: {message}"));
    }
    std::fs::remove_file(folder.path().join("run/checkpoint/strategy")).unwrap();
    assert!(rejection(folder.path(), &["run"]).contains("no checkpoint yet"));
}
