//! Several runs side by side, on the page and in the terminal.

use std::fs;

use end_to_end::{Browser, Program, Table, two_boards};
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
fn the_boards_of_one_search_are_studied() {
    let folder = tempfile::tempdir().unwrap();
    Table::write(folder.path());
    fs::write(folder.path().join("experiment.toml"), two_boards()).unwrap();
    let search = ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "30", "--quiet"];
    Program::new(folder.path()).args(search).args(["--out", "run"]).succeed();
    let study: Value =
        serde_json::from_str(&Program::new(folder.path()).args(["study", "run", "--json"]).succeed()).unwrap();
    let Some(browser) = Browser::start(1200, 900, false) else { return };
    let server = serve(folder.path(), &["run"]);
    let report = format!("file://{}", folder.path().join("run/report.html").display());
    for address in [&report, &server.address] {
        browser.open(address);
        browser.wait_for("window.page && page.ready && page.charts['study-0']");
        let drawn = browser.value("page.document.runs[1].study");
        assert_eq!(drawn["targets"][0]["members"], study["targets"][0]["members"]);
        let text = browser.value("document.getElementById('part-study').innerText");
        let text = text.as_str().unwrap();
        assert!(text.contains("kept on a") && text.contains("kept on b"), "{text}");
        for transfer in study["transfers"].as_array().unwrap() {
            assert!(transfer["kept"].as_f64().unwrap() <= 1.0 + 1e-9);
            let wanted = format!("{} in common, {} measured there", transfer["in_common"], transfer["measured"]);
            assert!(text.contains(&wanted), "no {wanted} in {text}");
        }
        let points = "page.charts['study-0'].getOption().series.map((one) => one.data.length)";
        let points = browser.value(points);
        let points: u64 = points.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(points, study["correlations"][0]["networks"].as_u64().unwrap());
        check_quiet(&browser, address);
    }
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
