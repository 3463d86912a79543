//! Several runs side by side, on the page and in the terminal.

use std::fs;

use end_to_end::{Browser, Program};
use serde_json::Value;

use super::live::serve;
use super::report::{check_quiet, replayed};

#[test]
fn seeds_are_compared_under_one_reference() {
    let folder = tempfile::tempdir().unwrap();
    for seed in ["1", "2", "3"] {
        replayed(folder.path(), &format!("seed-{seed}"), &["--seed", seed]);
    }
    replayed(folder.path(), "other", &["--strategy", "random"]);
    let runs = ["seed-1", "seed-2", "seed-3", "other"];
    let compare = |more: &[&str]| Program::new(folder.path()).args(["compare"]).args(runs).args(more).succeed();
    let printed = compare(&["--out", "together"]);
    for wanted in ["mean and 95 % interval of #1, #2, #3", "after 40 evaluations", "strategy.name", "search.seed"] {
        assert!(printed.contains(wanted), "no {wanted} in\n{printed}");
    }
    let json: Value = serde_json::from_str(&compare(&["--json"])).unwrap();
    let together = &json["runs_together"];
    let groups: Vec<&Value> = together["groups"].as_array().unwrap().iter().map(|group| &group["runs"]).collect();
    assert_eq!(groups, [&serde_json::json!([0, 1, 2]), &serde_json::json!([3])]);
    // The mean of the last values, computed here.
    let last = |run: usize| {
        together["runs"][run]["hypervolume"].as_array().unwrap().last().unwrap()["share"].as_f64().unwrap()
    };
    let mean = (last(0) + last(1) + last(2)) / 3.0;
    let spread = together["groups"][0]["spread"].as_array().unwrap().last().unwrap();
    assert!((spread["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{spread}");
    let progress = fs::read_to_string(folder.path().join("together/progress.csv")).unwrap();
    assert!(progress.starts_with("run,seed,evaluations,epochs,hours,hypervolume\n"), "{progress}");
    assert!(progress.lines().count() > 100);
    let fronts = fs::read_to_string(folder.path().join("together/fronts.csv")).unwrap();
    assert!(fronts.starts_with("run,seed,evaluation,architecture,error,time_ms"), "{fronts}");

    let Some(browser) = Browser::start(1200, 900, false) else { return };
    let server = serve(folder.path(), &runs);
    browser.open(&server.address);
    browser.wait_for("window.page && page.ready && page.charts.front && page.charts.hypervolume");
    assert_eq!(browser.value("page.document.runs.length"), 4);
    let names = browser.value("document.getElementById('part-runs').innerText");
    assert!(runs.iter().all(|run| names.as_str().unwrap().contains(run)), "{names}");
    let settings = browser.value("document.getElementById('part-settings').innerText");
    assert!(settings.as_str().unwrap().contains("strategy.name"), "{settings}");
    browser.wait_for("page.charts.attainment");
    check_quiet(&browser, &server.address);
}

#[test]
fn a_run_of_other_objectives_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    replayed(folder.path(), "a", &["--set", "search.objectives=[\"error\", \"time_ms\"]", "--set", "search.bounds={}"]);
    replayed(
        folder.path(),
        "b",
        &["--set", "search.objectives=[\"macs\", \"parameters\"]", "--set", "search.bounds={}"],
    );
    let message = Program::new(folder.path()).args(["compare", "a", "a", "b"]).fail();
    assert!(message.contains("the runs share too little to compare"), "{message}");
}
