//! Faults of boards, of their tools and of their connections.

use std::thread;
use std::time::{Duration, Instant};

use end_to_end::Board;
use hardware::Device;
use hardware::jetson::{Jetson, JetsonOptions};
use serde_json::{Value, json};

use super::{assert_clean, board, error_of, measure, options, reasons};

/// Runs a test with several boards at once, since most of its time is waiting.
fn together<const N: usize>(attempt: fn(Value, &str), cases: [(Value, &str); N]) {
    thread::scope(|scope| {
        for (physics, told) in cases {
            scope.spawn(move || attempt(physics, told));
        }
    });
}

/// Measures despite a fault; the warnings must contain the expected text.
fn survives(physics: Value, expected: &str) {
    let Some(board) = board(physics.clone()) else { return };
    let mut device = Jetson::new(options(&board)).unwrap();
    let measurement = measure(&mut device, 1000).unwrap_or_else(|error| panic!("{physics}: {error}"));
    let warnings = reasons(&measurement);
    assert!(warnings.contains(expected), "{physics}: {warnings}");
    let energy = measurement.energy.unwrap();
    assert!(error_of(energy.per_inference_mj, &board).abs() < 0.03, "{physics}: {energy:?}");
    drop(device);
    assert_clean(&board);
}

/// Measures with a permanent fault of the meter, which is not the model's.
fn blames_the_meter(physics: Value, expected: &str) {
    fails_for(physics, expected, true);
}

/// Measures with a permanent fault: that model fails, with a reason, and the next one is measured.
fn fails(physics: Value, expected: &str) {
    fails_for(physics, expected, false);
}

fn fails_for(physics: Value, expected: &str, is_of_equipment: bool) {
    let Some(board) = board(physics.clone()) else { return };
    let mut device = Jetson::new(JetsonOptions { tries: 2, ..options(&board) }).unwrap();
    let error = measure(&mut device, 1000).unwrap_err();
    assert!(error.to_string().contains(expected), "{physics}: {error}");
    assert_eq!(error.is_fatal(), is_of_equipment, "{physics}: {error}");
    for fault in ["trtexec_fault", "tegrastats_fault"] {
        board.set(fault, Value::Null);
    }
    measure(&mut device, 1000).unwrap_or_else(|error| panic!("after {physics}: {error}"));
    drop(device);
    assert_clean(&board);
}

#[test]
fn a_meter_that_fails_once_is_started_again() {
    together(
        survives,
        [
            (json!({"tegrastats_fault": "ends_early", "tegrastats_fault_times": 1}), "before it was stopped"),
            (json!({"tegrastats_fault": "garbage", "tegrastats_fault_times": 1}), "rejected"),
            (json!({"tegrastats_fault": "half_lines"}), ""),
        ],
    );
}

#[test]
fn a_meter_that_hangs_is_started_again() {
    together(
        survives,
        [
            (json!({"tegrastats_fault": "hang", "tegrastats_fault_times": 1}), "has given no reading"),
            (json!({"tegrastats_fault": "stalls", "tegrastats_fault_times": 1}), "has given no reading"),
        ],
    );
}

#[test]
fn a_meter_that_never_works_is_a_fault_of_the_equipment() {
    together(
        blames_the_meter,
        [
            (json!({"tegrastats_fault": "ends_early"}), "tegrastats"),
            (json!({"tegrastats_fault": "nonsense"}), "rejected"),
        ],
    );
}

#[test]
fn trtexec_that_fails_once_is_run_again() {
    together(
        survives,
        [
            (json!({"trtexec_fault": "killed", "trtexec_fault_times": 1}), "signal 9"),
            (json!({"trtexec_fault": "crash", "trtexec_fault_times": 1}), "signal 6"),
            (json!({"trtexec_fault": "out_of_memory", "trtexec_fault_times": 1}), "memory"),
            (json!({"trtexec_fault": "no_summary", "trtexec_fault_times": 1}), "trtexec"),
            (json!({"trtexec_fault": "hang", "trtexec_fault_times": 1}), "had not ended after"),
            (json!({"trtexec_fault": "half_times", "trtexec_fault_times": 1}), "times"),
        ],
    );
}

#[test]
fn a_model_that_trtexec_always_rejects_costs_the_evaluation() {
    together(
        fails,
        [
            (json!({"trtexec_fault": "unsupported"}), "TensorRT does not accept it"),
            (json!({"trtexec_fault": "fail_build"}), "find any implementation"),
            (json!({"trtexec_fault": "disk_full"}), "trtexec failed"),
            (json!({"trtexec_fault": "no_times"}), "times cannot be used"),
        ],
    );
}

#[test]
fn an_interrupted_upload_continues() {
    let Some(board) = board(Value::Null) else { return };
    let mut device = Jetson::new(options(&board)).unwrap();
    device.describe().unwrap();
    let models = board.work_folder().join("models");
    let measuring = thread::spawn(move || measure(&mut device, 100 << 20));
    let begun = Instant::now();
    let is_under_way = || {
        let files = std::fs::read_dir(&models).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).any(|file| file.len() > 1 << 20)
    };
    while !is_under_way() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is uploaded");
        thread::sleep(Duration::from_millis(1));
    }
    board.sshd.cut();
    let measurement = measuring.join().unwrap().unwrap();
    assert!(reasons(&measurement).contains("measured again because"), "{}", reasons(&measurement));
    assert_clean(&board);
}

#[test]
fn broken_connections_are_replaced() {
    let Some(mut board) = board(json!({"build_s": 2.0})) else { return };
    let options = JetsonOptions { window: Duration::from_secs(3), ..options(&board) };
    let mut device = Jetson::new(options).unwrap();
    device.describe().unwrap();
    let measuring = thread::spawn(move || (measure(&mut device, 1000), device));
    // While the engine is built, and while inference runs.
    wait_for(&board, "--saveEngine");
    board.sshd.cut();
    wait_for(&board, "--loadEngine");
    thread::sleep(Duration::from_secs(1));
    board.sshd.cut();
    let (measurement, mut device) = measuring.join().unwrap();
    let measurement = measurement.unwrap();
    assert!(reasons(&measurement).contains("measured again because"), "{}", reasons(&measurement));
    // The whole server is away for a while; programs of the broken session must end.
    let measuring = thread::spawn(move || (measure(&mut device, 1000), device));
    thread::sleep(Duration::from_secs(1));
    board.sshd.kill();
    thread::sleep(Duration::from_secs(20));
    board.sshd.restart();
    let (measurement, mut device) = measuring.join().unwrap();
    measurement.unwrap();
    // The board restarts without its folder.
    std::fs::remove_dir_all(board.work_folder()).unwrap();
    board.sshd.cut();
    measure(&mut device, 1000).unwrap();
    drop(device);
    assert_clean(&board);
}

#[test]
fn a_cable_that_is_pulled_is_noticed_on_both_sides() {
    let Some(board) = board(Value::Null) else { return };
    let options = JetsonOptions { window: Duration::from_secs(3), fix_clocks: true, ..options(&board) };
    let mut device = Jetson::new(options).unwrap();
    device.describe().unwrap();
    let measuring = thread::spawn(move || measure(&mut device, 1000));
    wait_for(&board, "--loadEngine");
    board.sshd.freeze();
    // Neither side receives anything: the agent releases the board after a while, and the device connects anew.
    let measurement = measuring.join().unwrap().unwrap();
    assert!(reasons(&measurement).contains("measured again because"), "{}", reasons(&measurement));
    board.sshd.cut();
    assert_clean(&board);
    assert_eq!(board.state()["clocks"], json!(false), "{:?}", board.calls());
}

fn wait_for(board: &Board, call: &str) {
    let begun = Instant::now();
    while !board.calls().iter().any(|line| line.contains(call)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{call} is never called: {:#?}", board.calls());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_board_that_stays_away_fails_the_evaluation_with_its_reason() {
    let Some(mut board) = board(Value::Null) else { return };
    let options = JetsonOptions { patience: Duration::from_secs(2), tries: 1, ..options(&board) };
    let mut device = Jetson::new(options).unwrap();
    device.describe().unwrap();
    board.sshd.kill();
    let error = (0..2).map(|_| measure(&mut device, 1000).unwrap_err()).last().unwrap();
    assert!(error.is_fatal() && error.to_string().contains("127.0.0.1"), "{error}");
}

#[test]
fn settings_of_a_killed_agent_are_restored_by_the_next() {
    let Some(board) = board(Value::Null) else { return };
    let set = JetsonOptions { power_mode: Some(2), fix_clocks: true, ..options(&board) };
    let mut device = Jetson::new(set).unwrap();
    device.describe().unwrap();
    let agent = format!("python3 -I -u -c .*{}$", board.work_folder().display());
    let killed = std::process::Command::new("pkill").args(["-9", "-f", &agent]).status().unwrap();
    assert!(killed.success());
    drop(device);
    assert_eq!((&board.state()["mode"], &board.state()["clocks"]), (&json!("2"), &json!(true)));
    let mut device = Jetson::new(options(&board)).unwrap();
    let label = device.describe().unwrap().label();
    assert!(label.contains("0 MAXN"), "{label}");
    assert_eq!((&board.state()["mode"], &board.state()["clocks"]), (&json!("0"), &json!(false)));
    drop(device);
    assert_clean(&board);
    // A setting that cannot be restored gives an error, and is not taken for the board's own.
    let set = JetsonOptions { fix_clocks: true, ..options(&board) };
    Jetson::new(set.clone()).unwrap().describe().unwrap();
    assert_clean(&board);
    let mut device = Jetson::new(set).unwrap();
    device.describe().unwrap();
    board.set("jetson_clocks_fault", json!("fail"));
    drop(device);
    assert_clean(&board);
    let error = Jetson::new(options(&board)).unwrap().describe().unwrap_err().to_string();
    assert!(error.contains("could not be put back") && error.contains("--restore"), "{error}");
    board.set("jetson_clocks_fault", Value::Null);
    Jetson::new(options(&board)).unwrap().describe().unwrap();
    assert_eq!(board.state()["clocks"], json!(false));
}
