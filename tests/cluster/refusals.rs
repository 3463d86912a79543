//! Workers that do not take part in a search say why, to everyone.

use std::fs;

use end_to_end::Running;
use serde_json::json;

use super::client::{so_far, wait_until};
use super::scene::Scene;

/// Waits until `controller workers` shows this.
fn wait_for_remark(scene: &Scene, remark: &str) {
    wait_until(remark, || scene.program("workers", &[]).succeed().contains(remark));
}

#[test]
fn a_search_of_another_version_is_refused_by_name() {
    let Some(scene) = Scene::new() else { return };
    let mut searching = scene.log_search("run", &["--evaluations", "1"]);
    let client = scene.client();
    client.announced_run();
    let mut worker = scene.log_worker(1000.0);
    searching.succeed();
    for (run, protocol, version) in [("00000000000000a1", 1, "0.0.9"), ("00000000000000a2", 999, "7.0.0")] {
        let announcement = json!({
            "protocol": protocol, "version": version, "task": "", "data": "", "deployment": null, "device": null,
            "ended": false,
        });
        client.store(&format!("nas.{run}.run"), announcement.to_string()).unwrap();
        let refused = format!("the search is of version {version}, and this worker of ");
        wait_until(&refused, || {
            client.send(&format!("nas.{run}.alive"), "");
            worker.messages().contains(&refused)
        });
        assert!(worker.messages().contains("use the same version of the program on both"));
        wait_for_remark(&scene, &format!("run {run}: {refused}"));
    }
    // One whose messages have changed cannot be read at all.
    client.store("nas.00000000000000a3.run", r#"{"protocol": 2, "spells": []}"#).unwrap();
    wait_for_remark(&scene, "run 00000000000000a3: its announcement cannot be read");
    assert!(worker.is_running());
}

#[test]
fn a_worker_with_another_log_or_without_one_does_not_take_part_and_says_why_on_both_sides() {
    let Some(scene) = Scene::new() else { return };
    let of_search = fs::read_to_string(scene.path("table.csv")).unwrap();
    scene.write("other.csv", &of_search.replacen("60", "61", 1));
    let log = fs::read_to_string(scene.path("log.toml")).unwrap();
    scene.write("other.toml", &log.replace("table.csv", "other.csv"));

    let mut searching = scene.log_search("run", &["--evaluations", "5"]);
    let run = scene.client().announced_run();
    for (file, reason) in [
        ("other.toml", "its data set is another one than the search's"),
        ("live.toml", "a log answers in this search: name it in the worker's file (replay.log)"),
    ] {
        let mut worker = scene.worker(&["--experiment", file]);
        searching.wait_for(&format!("does not take part: {reason}"));
        worker.wait_for(&format!("run {run}: {reason}"));
        wait_for_remark(&scene, &format!("run {run}: {reason}"));
    }
    assert!(scene.rows_on_disk("run").is_empty());
    let _worker = scene.log_worker(1000.0);
    searching.succeed();
}

#[test]
fn a_worker_with_an_unlike_device_trains_and_says_why_it_does_not_measure() {
    let Some(scene) = Scene::new() else { return };
    scene.tool("tool", "echo '{\"time_ms\": 2.5, \"time_runs\": 30, \"device\": \"scales\"}'\n");
    let mut first = scene.worker(&["--set", "devices.host={ kind = 'host', threads = 1 }", "--measure"]);
    first.wait_for("waiting for searches");
    let mut searching = scene.live_search("run", &["--evaluations", "3"]);
    searching.wait_for("takes jobs: 1 measurement at a time");
    let begin = |arguments: &[&str]| -> Running { scene.worker(arguments) };
    let mut threads = begin(&["--set", "devices.host={ kind = 'host', threads = 2 }", "--measure"]);
    let reason = "it can neither measure nor train for it: it does not measure: ";
    searching.wait_for(&format!("does not take part: {reason}"));
    threads.wait_for("they differ in threads: 1 and 2");
    wait_for_remark(&scene, "they differ in threads: 1 and 2");
    let _trains = begin(&["--experiment", "tool.toml"]);
    let remark = "it does not measure: the search measures on host, not command";
    searching.wait_for(&format!("takes jobs: 1 training at a time ({remark})"));
    searching.succeed();
    for row in scene.journal("run").ended() {
        assert!(row.text("status") == "ok" && row.text("device").starts_with("host"), "{row:?}");
    }
}

#[test]
fn a_worker_of_another_version_is_listed() {
    let Some(scene) = Scene::new() else { return };
    let mut searching = scene.log_search("run", &[]);
    let client = scene.client();
    client.announced_run();
    searching.kill();
    let presence = json!({
        "machine": "attic", "version": "0.0.9", "backend": "flex", "device": null, "measures": 0, "trains": 2,
        "measuring": 0, "training": 1, "for_s": 60.0, "done": 5, "failed": 1, "runs": {}, "leaving": null,
    });
    client.send("nas.attic-1.report", presence.to_string());
    wait_until("it is kept", || client.subjects("NAS_WORKERS") == ["nas.attic-1.report"]);
    let listed = scene.program("workers", &[]).succeed();
    for part in ["attic-1", "0.0.9", "2 × flex", "1 trained", "does not answer"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    // It answers as soon as it is asked.
    let asked = client.listen("nas.who");
    let mut listing = scene.begin(scene.program("workers", &["--json"]), "workers");
    wait_until("the workers are asked", || !so_far(&asked).is_empty());
    client.send("nas.attic-1.report", presence.to_string());
    let answers = listing.end().out;
    assert!(answers.contains("\"answers\": true"), "{answers}");
}
