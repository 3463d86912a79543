//! Machines whose clocks are wrong by an hour, by libfaketime.

use std::path::Path;
use std::time::SystemTime;

use end_to_end::{Program, skip};

use super::scene::Scene;

/// Where systems have the library.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/libfaketime.so.1",
];

/// The program on a machine whose clock is wrong: the time of day, and no timer.
fn skewed(program: Program, library: &str, by: &str) -> Program {
    program.variable("LD_PRELOAD", library).variable("FAKETIME", by).variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

#[test]
fn clocks_that_are_wrong_by_an_hour_change_no_row_and_nothing_expires() {
    let Some(library) = PLACES.into_iter().find(|place| Path::new(place).exists()) else {
        return skip::unless_ci("libfaketime is missing (install faketime)");
    };
    let Some(scene) = Scene::new() else { return };
    let began = SystemTime::now();
    let worker =
        |arguments: &[&str], by| scene.begin(skewed(scene.program("worker", arguments), library, by), "worker");
    let _workers = [worker(&["--train"], "+1h"), worker(&["--measure"], "-1h")];
    let messages = scene.live_search("live", &["--evaluations", "3"]).succeed();
    assert!(!messages.contains("is silent") && messages.matches("takes jobs").count() == 2, "{messages}");
    for row in &scene.journal("live").jobs {
        assert!(["measured", "ok"].contains(&row.text("status")), "{row:?}");
        let started: jiff::Timestamp = row.text("started_at").parse().unwrap();
        let now = SystemTime::now();
        assert!((began..=now).contains(&SystemTime::from(started)), "{row:?}");
        let took = row.number("train_seconds").or(row.number("measure_seconds")).unwrap();
        assert!((0.0..600.0).contains(&took), "{row:?}");
    }

    // The searching machine's clock is wrong, or that of the machine that lists what there is.
    let search = |run, by| {
        let arguments = ["log.toml", "--out", run, "--strategy", "random", "--seed", "2", "--evaluations", "20"];
        scene.begin(skewed(scene.program("search", &arguments), library, by), run)
    };
    let _log_workers = ["+1h", "-1h"].map(|by| {
        let arguments = ["--experiment", "log.toml", "--set", "replay.speed=4"];
        scene.begin(skewed(scene.program("worker", &arguments), library, by), "worker")
    });
    for (run, by, of_list) in [("ahead", "+1h", "-1h"), ("behind", "-1h", "+0")] {
        let mut searching = search(run, by);
        scene.wait_for_rows(run, 2);
        let listed = skewed(scene.program("workers", &[]), library, of_list).succeed();
        let lines: Vec<_> = listed.lines().filter(|line| line.contains(" ago ")).collect();
        let sane = |line: &&str| line.contains(" answers ") && (line.contains("second") || line.contains("minute"));
        assert!(lines.len() == 1 && lines.iter().all(sane), "{listed}");
        assert!(!listed.contains("hour") && !listed.contains("does not answer"), "{listed}");
        searching.succeed();
        scene.assert_found(run, 20, 2);
    }
    let since: Vec<f64> = scene.workers().iter().map(|worker| worker["for_s"].as_f64().unwrap()).collect();
    assert!(since.len() == 4 && since.iter().all(|since| (0.0..600.0).contains(since)), "{since:?}");
    scene.client().assert_clean();
}
