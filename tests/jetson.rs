//! A Jetson over a real SSH server: what it measures, what it survives, and what it leaves behind.
//!
//! The board behind the server is simulated; see `support/board/fake_board.py`.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::{Board, BoardOptions, SshdOptions};
use hardware::jetson::{Jetson, JetsonOptions, PowerSource};
use hardware::ssh::{Authentication, SshOptions};
use hardware::{Device, DeviceError, Measurement, Model, Plan, Warning};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long what ends may take to be gone, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(15);

/// A board whose inferences take 5 ms and that is as quick as it may be.
fn board(physics: Value) -> Option<Board> {
    let mut usual = json!({
        "base_ms": 8.0, "ns_per_byte": 0, "fp16_factor": 0.625, "build_s": 0.1, "heat_tau_s": 0.5, "heat_c_per_w": 0.2,
        "waveform_share": 0.9, "waveform_high": 1.05,
    });
    if let (Some(usual), Value::Object(changes)) = (usual.as_object_mut(), physics) {
        usual.extend(changes);
    }
    Board::start(BoardOptions { physics: usual, sshd: SshdOptions::default() })
}

fn options(board: &Board) -> JetsonOptions {
    let ssh = SshOptions {
        port: board.sshd.port(),
        authentication: Authentication::Key { file: board.sshd.key().to_owned(), passphrase: None },
        known_hosts: board.sshd.known_hosts().to_owned(),
        timeout: Duration::from_secs(10),
        ..SshOptions::new("127.0.0.1", board.sshd.user())
    };
    JetsonOptions {
        work_folder: board.work_folder().display().to_string(),
        power: PowerSource::Tegrastats { interval: Duration::from_millis(20) },
        window: Duration::from_secs(2),
        window_limit: Duration::from_secs(4),
        idle: Duration::from_millis(700),
        settle_limit: Duration::from_secs(3),
        grace: Duration::from_secs(8),
        patience: Duration::from_secs(40),
        ..JetsonOptions::new(ssh)
    }
}

/// A model of some bytes: the simulated board looks at no more than their number.
fn model(folder: &TempDir, bytes: usize) -> Model {
    let path: PathBuf = folder.path().join(format!("{bytes}.onnx"));
    std::fs::write(&path, vec![7_u8; bytes]).unwrap();
    Model::load(format!("network of {bytes}"), path, [1, 3, 32, 32]).unwrap()
}

fn plan() -> Plan {
    Plan { warm_up: Duration::from_millis(300), ..Plan::default() }
}

fn measure(device: &mut Jetson, bytes: usize) -> Result<Measurement, DeviceError> {
    let folder = tempfile::tempdir().unwrap();
    device.measure(&model(&folder, bytes), &plan())
}

/// What is left of a board's programs once the device is gone: nothing, and no file outside its folder.
fn assert_clean(board: &Board) {
    let left = board.leftovers_after(PATIENCE);
    assert!(left.is_empty(), "still there: {left:?}");
    let stray = board.stray_files();
    assert!(stray.is_empty(), "outside the work folder: {stray:?}");
}

fn error_of(energy_mj: f64, board: &Board) -> f64 {
    let truths = board.truths();
    let truth = truths.last().expect("something was measured");
    energy_mj / truth.energy_mj_total - 1.0
}

fn reasons(measurement: &Measurement) -> String {
    measurement.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn time_and_energy_are_right_by_tegrastats() {
    let Some(board) = board(Value::Null) else { return };
    let mut device = Jetson::new(options(&board)).unwrap();
    let label = device.describe().unwrap().label();
    assert!(label.contains("TensorRT 8.2.1") && label.contains("power mode 0 MAXN"), "{label}");
    let measurement = measure(&mut device, 1000).unwrap();
    let truths = board.truths();
    let truth = truths.last().unwrap();
    let compute = measurement.latency_without_transfer.as_ref().unwrap();
    assert!((compute.mean_ms / truth.latency_ms - 1.0).abs() < 0.01, "{compute:?} {truth:?}");
    assert!(measurement.latency.mean_ms > compute.mean_ms && measurement.latency.p99_ms.is_some());
    assert_eq!(compute.runs, Some(truths.iter().map(|truth| truth.queries).sum()));
    let energy = measurement.energy.unwrap();
    assert!(error_of(energy.per_inference_mj, &board).abs() < 0.02, "{energy:?} {truth:?}");
    let above = energy.above_idle_mj.unwrap() / truth.energy_mj_above_idle - 1.0;
    assert!(above.abs() < 0.04, "{energy:?} {truth:?}");
    assert!(energy.power_samples.unwrap() >= 30 && energy.source.contains("VDD_IN"), "{energy:?}");
    assert!(energy.rails.iter().any(|rail| rail.rail == "VDD_SYS_GPU" && rail.per_inference_mj > 0.0), "{energy:?}");
    let conditions = measurement.conditions;
    assert!(conditions.temperature_before_c.is_some() && conditions.clock_after_mhz.is_some(), "{conditions:?}");
    drop(device);
    assert_clean(&board);
}

#[test]
fn the_monitors_files_are_read_every_few_milliseconds() {
    for sysfs in ["iio", "hwmon"] {
        let Some(board) = board(json!({ "sysfs": sysfs })) else { return };
        let sysfs_folder = board.sysfs();
        for (name, content) in [
            ("class/thermal/thermal_zone1/type", "GPU-therm\n"),
            ("class/thermal/thermal_zone1/temp", "41500\n"),
            ("class/devfreq/17000000.gp10b/cur_freq", "1300500000\n"),
        ] {
            let path = sysfs_folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let options = JetsonOptions {
            power: PowerSource::Ina3221 { period: Duration::from_millis(5) },
            sysfs: board.sysfs().display().to_string(),
            ..options(&board)
        };
        let mut device = Jetson::new(options).unwrap();
        let measurement = measure(&mut device, 1000).unwrap();
        let conditions = measurement.conditions;
        assert_eq!(
            (conditions.temperature_before_c, conditions.clock_after_mhz),
            (Some(41.5), Some(1300.5)),
            "{conditions:?}"
        );
        let energy = measurement.energy.unwrap();
        assert!(energy.power_samples.unwrap() > 200, "{energy:?}");
        assert!(error_of(energy.per_inference_mj, &board).abs() < 0.01, "{sysfs}: {energy:?}");
        drop(device);
        assert_clean(&board);
    }
}

#[test]
fn other_boards_and_versions_speak_differently() {
    for physics in [json!({"layout": "orin", "tensorrt": "10"}), json!({"layout": "agx-orin", "tensorrt": "7"})] {
        let Some(board) = board(physics.clone()) else { return };
        let mut device = Jetson::new(options(&board)).unwrap();
        let measurement = measure(&mut device, 1000).unwrap();
        let energy = measurement.energy.unwrap();
        assert!(error_of(energy.per_inference_mj, &board).abs() < 0.03, "{physics}: {energy:?}");
        let is_sum = physics["layout"] == "agx-orin";
        assert_eq!(energy.source.contains("sum"), is_sum, "{}", energy.source);
    }
    let Some(board) = board(json!({"tensorrt": "5"})) else { return };
    let error = Jetson::new(options(&board)).unwrap().describe().unwrap_err().to_string();
    assert!(error.contains("JetPack 4.4"), "{error}");
}

#[test]
fn an_engine_is_built_once() {
    let Some(board) = board(Value::Null) else { return };
    let mut device = Jetson::new(options(&board)).unwrap();
    measure(&mut device, 1000).unwrap();
    let (started, before) = (Instant::now(), board.truths().len());
    measure(&mut device, 1000).unwrap();
    // Rest before and after, warm-up and inference; what comes on top is ours.
    let runs = &board.truths()[before..];
    let inference_ns: u64 = runs.iter().map(|truth| truth.end_ns - truth.start_ns).sum();
    let wanted = Duration::from_nanos(inference_ns) + plan().warm_up * runs.len() as u32 + 2 * options(&board).idle;
    let overhead = started.elapsed().as_secs_f64() - wanted.as_secs_f64();
    println!("overhead beyond inference and settling: {overhead:.2} s for {} run(s) of trtexec", runs.len());
    measure(&mut device, 2000).unwrap();
    let builds = board.calls().iter().filter(|call| call.contains("--saveEngine")).count();
    assert_eq!(builds, 2, "{:#?}", board.calls());
    // Another program finds what this one left.
    drop(device);
    let mut device = Jetson::new(options(&board)).unwrap();
    measure(&mut device, 2000).unwrap();
    assert_eq!(board.calls().iter().filter(|call| call.contains("--saveEngine")).count(), 2);
    // An engine of another board is built anew.
    board.set("serial", json!("another"));
    measure(&mut device, 2000).unwrap();
    assert_eq!(board.calls().iter().filter(|call| call.contains("--saveEngine")).count(), 3);
}

#[test]
fn power_mode_and_clocks_are_put_back() {
    let Some(board) = board(json!({"needs_sudo": true})) else { return };
    let set = JetsonOptions { sudo: true, power_mode: Some(2), fix_clocks: true, ..options(&board) };
    let mut device = Jetson::new(set.clone()).unwrap();
    let label = device.describe().unwrap().label();
    assert!(label.contains("MAXP_CORE_ALL") && label.contains("clocks fixed"), "{label}");
    assert_eq!(board.state()["clocks"], json!(true));
    drop(device);
    assert_clean(&board);
    assert_eq!((&board.state()["mode"], &board.state()["clocks"]), (&json!("0"), &json!(false)), "{:?}", board.calls());
    // Also when the connection breaks.
    let mut device = Jetson::new(set).unwrap();
    device.describe().unwrap();
    assert_eq!(board.state()["mode"], json!("2"));
    board.sshd.cut();
    let begun = Instant::now();
    while board.state()["mode"] != json!("0") || board.state()["clocks"] != json!(false) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", board.calls());
        thread::sleep(Duration::from_millis(50));
    }
    drop(device);
    assert_clean(&board);
}

#[test]
fn missing_rights_and_tools_are_told_with_what_to_do() {
    let cases = [
        (json!({"rights": false}), false, "sudo = true"),
        (json!({"needs_sudo": true, "sudo": "password"}), true, "sudoers"),
    ];
    for (physics, sudo, told) in cases {
        let Some(board) = board(physics) else { return };
        let options = JetsonOptions { sudo, ..options(&board) };
        let error = Jetson::new(options).unwrap().describe().unwrap_err();
        assert!(error.is_fatal() && error.to_string().contains(told), "{error}");
        assert_clean(&board);
    }
    let Some(board) = board(Value::Null) else { return };
    let options = JetsonOptions { trtexec: Some("/no/such/trtexec".to_owned()), ..options(&board) };
    let error = Jetson::new(options).unwrap().describe().unwrap_err().to_string();
    assert!(error.contains("/no/such/trtexec"), "{error}");
}

/// Tries something with several boards at once: most of the time it only waits.
fn together<const N: usize>(attempt: fn(Value, &str), cases: [(Value, &str); N]) {
    thread::scope(|scope| {
        for (physics, told) in cases {
            scope.spawn(move || attempt(physics, told));
        }
    });
}

/// Measures while something is wrong; what is said of it must contain a text.
fn survives(physics: Value, told: &str) {
    let Some(board) = board(physics.clone()) else { return };
    let mut device = Jetson::new(options(&board)).unwrap();
    let measurement = measure(&mut device, 1000).unwrap_or_else(|error| panic!("{physics}: {error}"));
    let said = reasons(&measurement);
    assert!(said.contains(told), "{physics}: {said}");
    let energy = measurement.energy.unwrap();
    assert!(error_of(energy.per_inference_mj, &board).abs() < 0.03, "{physics}: {energy:?}");
    drop(device);
    assert_clean(&board);
}

/// Measures while something is wrong for good: that model fails, with a reason, and the next one is measured.
fn fails(physics: Value, told: &str) {
    let Some(board) = board(physics.clone()) else { return };
    let mut device = Jetson::new(JetsonOptions { tries: 2, ..options(&board) }).unwrap();
    let error = measure(&mut device, 1000).unwrap_err();
    assert!(error.to_string().contains(told) && !error.is_fatal(), "{physics}: {error}");
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
            (json!({"tegrastats_fault": "ends_early", "tegrastats_fault_times": 1}), "before it was told to"),
            (json!({"tegrastats_fault": "garbage", "tegrastats_fault_times": 1}), "refused"),
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
fn a_meter_that_never_works_costs_the_evaluation() {
    together(
        fails,
        [
            (json!({"tegrastats_fault": "ends_early"}), "tegrastats"),
            (json!({"tegrastats_fault": "nonsense"}), "refused"),
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
fn a_model_that_trtexec_never_takes_costs_the_evaluation() {
    together(
        fails,
        [
            (json!({"trtexec_fault": "unsupported"}), "TensorRT does not take it"),
            (json!({"trtexec_fault": "fail_build"}), "find any implementation"),
            (json!({"trtexec_fault": "disk_full"}), "trtexec failed"),
            (json!({"trtexec_fault": "nan_summary"}), "nan"),
        ],
    );
}

#[test]
fn an_upload_that_is_cut_goes_on() {
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
fn connections_that_are_cut_are_made_again() {
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
    // The whole server is away for a while; programs of the broken session may not stay.
    let measuring = thread::spawn(move || (measure(&mut device, 1000), device));
    thread::sleep(Duration::from_secs(1));
    board.sshd.kill();
    thread::sleep(Duration::from_secs(20));
    board.sshd.restart();
    let (measurement, mut device) = measuring.join().unwrap();
    measurement.unwrap();
    // The board starts anew without its folder.
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
    // Neither side hears of the other: the agent gives the board free after a while, the device connects anew.
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
fn somebody_else_on_the_board_is_noticed() {
    let Some(board) = board(json!({"intruder": true})) else { return };
    let mut device = Jetson::new(options(&board)).unwrap();
    let measurement = measure(&mut device, 1000).unwrap();
    let is_told = measurement.warnings.iter().any(|warning| matches!(warning, Warning::Repeated { .. }));
    assert!(is_told, "{}", reasons(&measurement));
    board.set("intruder", json!(false));
    let calm = measure(&mut device, 1000).unwrap();
    assert!(calm.warnings.iter().all(|warning| !matches!(warning, Warning::Repeated { .. })), "{}", reasons(&calm));
}

#[test]
fn heat_that_slows_the_board_down_is_told() {
    let physics = json!({"heat_c_per_w": 10.0, "heat_tau_s": 1.0, "throttle_at_c": 75.0, "throttle_factor": 0.6});
    let Some(board) = board(physics) else { return };
    let options = JetsonOptions { tries: 1, window: Duration::from_secs(3), ..options(&board) };
    let measurement = measure(&mut Jetson::new(options).unwrap(), 1000).unwrap();
    let throttled = |warning: &Warning| matches!(warning, Warning::Throttled { .. });
    assert!(measurement.warnings.iter().any(throttled), "{}", reasons(&measurement));
}

#[test]
fn a_board_serves_one_at_a_time() {
    let Some(board) = board(Value::Null) else { return };
    let mut first = Jetson::new(options(&board)).unwrap();
    first.describe().unwrap();
    let hasty = JetsonOptions { patience: Duration::ZERO, ..options(&board) };
    let error = Jetson::new(hasty).unwrap().describe().unwrap_err().to_string();
    assert!(error.contains("another program measures on this board"), "{error}");
    // Whoever waits has it as soon as it is free.
    let mut second = Jetson::new(options(&board)).unwrap();
    let waiting = thread::spawn(move || second.describe().map(|description| description.label()));
    thread::sleep(Duration::from_millis(500));
    drop(first);
    waiting.join().unwrap().unwrap();
}

#[test]
fn nothing_in_a_setting_reaches_a_shell() {
    let Some(board) = board(Value::Null) else { return };
    let folder = board.work_folder().join("a b'$(touch harm)`touch harm`;touch harm");
    let options = JetsonOptions { work_folder: folder.display().to_string(), ..options(&board) };
    let mut device = Jetson::new(options).unwrap();
    measure(&mut device, 1000).unwrap();
    drop(device);
    assert_clean(&board);
    assert!(folder.join("engines").is_dir());
    let harmed = |folder: PathBuf| folder.join("harm").exists();
    assert!(!harmed(board.home()) && !harmed(board.work_folder()) && !harmed(folder));
}

#[test]
fn settings_of_an_agent_that_was_killed_are_put_back_the_next_time() {
    let Some(board) = board(Value::Null) else { return };
    let set = JetsonOptions { power_mode: Some(2), fix_clocks: true, ..options(&board) };
    let mut device = Jetson::new(set).unwrap();
    device.describe().unwrap();
    let agent = format!("agent-.*{}$", board.work_folder().display());
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
    // What fails to be put back is told, and not taken for how the board was.
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
