//! A Jetson over a real SSH server: its measurements, its faults, and its cleanup.
//!
//! The board behind the server is simulated; see `support/board/fake_board.py`.

#[path = "jetson/faults.rs"]
mod faults;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::{Board, BoardOptions, SshdOptions};
use hardware::energy::EnergyOptions;
use hardware::jetson::{Jetson, JetsonOptions, Precision};
use hardware::meter::At;
use hardware::meter::MeterOptions;
use hardware::options::DeviceOptions;
use hardware::remote::MachineOptions;
use hardware::{Device, DeviceError, Measurement, Model, Plan, Warning};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest time that programs may take to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// A board whose inferences take 5 ms, with the shortest possible other times.
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
    let machine = MachineOptions {
        host: Some("127.0.0.1".to_owned()),
        port: Some(board.sshd.port()),
        user: Some(board.sshd.user().to_owned()),
        key: Some(board.sshd.key().to_owned()),
        known_hosts: Some(board.sshd.known_hosts().to_owned()),
        timeout_s: Some(10),
        work_folder: Some(board.work_folder().display().to_string()),
        ..MachineOptions::default()
    };
    JetsonOptions {
        machine,
        meter: MeterOptions::Tegrastats { period_ms: 20, sudo: false },
        window: Duration::from_secs(2),
        window_limit: Duration::from_secs(4),
        idle: Duration::from_millis(700),
        settle_limit: Duration::from_secs(3),
        grace: Duration::from_secs(8),
        patience: Duration::from_secs(40),
        ..JetsonOptions::default()
    }
}

/// The same for tests that need no precise energy.
fn quick(board: &Board) -> JetsonOptions {
    let window = Duration::from_secs(1);
    JetsonOptions { window, window_limit: window, settle_limit: Duration::from_secs(1), ..options(board) }
}

/// A model of the given size: the simulated board reads only the size.
fn model(folder: &TempDir, bytes: usize) -> Model {
    let path: PathBuf = folder.path().join(format!("{bytes}.onnx"));
    std::fs::write(&path, vec![7_u8; bytes]).unwrap();
    Model::load(format!("network of {bytes}"), path).unwrap()
}

fn plan() -> Plan {
    Plan { warm_up: Duration::from_millis(300), ..Plan::default() }
}

fn measure(device: &mut Jetson, bytes: usize) -> Result<Measurement, DeviceError> {
    let folder = tempfile::tempdir().unwrap();
    device.measure(&model(&folder, bytes), &plan())
}

/// Asserts that a dropped device leaves no program on the board, and no file outside its folder.
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
fn files_of_monitors_are_read_every_few_milliseconds() {
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
            meter: MeterOptions::Ina3221 { period_ms: 5, sysfs: None },
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
fn a_meter_that_is_not_the_boards_own_is_read_instead() {
    let Some(board) = board(json!({ "sysfs": "hwmon", "rights": false })) else { return };
    let sensors = vec!["VDD_IN".to_owned()];
    let sysfs = board.sysfs().display().to_string();
    let mut options = options(&board);
    options.meter = MeterOptions::Hwmon { sensors, period_ms: 5, sysfs, at: At::Device };
    options.energy = EnergyOptions {
        window: Some(Duration::from_secs(2)),
        window_limit: Some(Duration::from_secs(4)),
        idle: Some(Duration::from_millis(700)),
        ..EnergyOptions::default()
    };
    let mut device = Jetson::new(options.clone()).unwrap();
    let label = device.describe().unwrap().label();
    assert!(label.contains("VDD_IN") && !label.contains("tegrastats"), "{label}");
    let measurement = measure(&mut device, 1000).unwrap();
    let energy = measurement.energy.as_ref().unwrap();
    assert!(energy.power_samples.unwrap() > 200 && energy.rails.is_empty(), "{energy:?}");
    assert!(error_of(energy.per_inference_mj, &board).abs() < 0.01, "{energy:?}");
    let compute = measurement.latency_without_transfer.as_ref().unwrap();
    assert!((compute.mean_ms / board.truths().last().unwrap().latency_ms - 1.0).abs() < 0.01, "{compute:?}");
    drop(device);
    assert_clean(&board);
    options.meter = MeterOptions::Auto {};
    let error = Jetson::new(options).err().unwrap().to_string();
    assert!(error.contains("\"auto\""), "{error}");
}

#[test]
fn formats_of_other_boards_and_versions_are_read() {
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
fn a_board_has_one_session_for_as_long_as_it_is_used() {
    let Some(board) = board(Value::Null) else { return };
    let mut device = Jetson::new(quick(&board)).unwrap();
    device.describe().unwrap();
    let accepted = || board.sshd.log().matches("Accepted publickey").count();
    assert_eq!((board.sshd.connections(), accepted()), (1, 1));
    for bytes in [1000, 2000, 3 << 20] {
        measure(&mut device, bytes).unwrap();
        assert_eq!((board.sshd.connections(), accepted()), (1, 1));
    }
    // Idle for longer than the agent would wait for a broken connection.
    thread::sleep(Duration::from_secs(25));
    device.describe().unwrap();
    assert_eq!((board.sshd.connections(), accepted()), (1, 1));
    drop(device);
    assert_clean(&board);
}

#[test]
fn older_keys_name_the_same_meters() {
    let Some(board) = board(json!({ "sysfs": "hwmon" })) else { return };
    let machine = options(&board).machine;
    let read = |keys: &str| {
        let text = format!("kind = \"jetson\"\nhost = \"h\"\nuser = \"u\"\n{keys}");
        toml::from_str::<DeviceOptions>(&text).unwrap()
    };
    assert_eq!(read("").notices(), [""; 0]);
    assert_eq!(read("meter = { kind = \"ina3221\" }").notices(), [""; 0]);
    let notices = read("power = \"ina3221\"\npower_interval_ms = 7").notices();
    assert!(
        notices.len() == 2 && notices.iter().all(|notice| notice.contains("kind = \"ina3221\", period_ms = 7")),
        "{notices:?}"
    );
    let DeviceOptions::Jetson(older) = read("power = \"ina3221\"\nwindow_s = 2\nwindow_limit_s = 2\nidle_s = 0.7")
    else {
        panic!()
    };
    let older = JetsonOptions { machine, sysfs: board.sysfs().display().to_string(), ..*older };
    let measurement = measure(&mut Jetson::new(older).unwrap(), 1000).unwrap();
    let energy = measurement.energy.unwrap();
    assert!(energy.source.contains("INA3221 VDD_IN") && energy.power_samples.unwrap() > 200, "{energy:?}");
}

#[test]
fn an_engine_is_built_once() {
    let Some(board) = board(Value::Null) else { return };
    let mut device = Jetson::new(quick(&board)).unwrap();
    measure(&mut device, 1000).unwrap();
    let (started, before) = (Instant::now(), board.truths().len());
    measure(&mut device, 1000).unwrap();
    // Idle before and after, warm-up and inference; any further time is our overhead.
    let runs = &board.truths()[before..];
    let inference_ns: u64 = runs.iter().map(|truth| truth.end_ns - truth.start_ns).sum();
    let wanted = Duration::from_nanos(inference_ns) + plan().warm_up * runs.len() as u32 + 2 * quick(&board).idle;
    let overhead = started.elapsed().as_secs_f64() - wanted.as_secs_f64();
    println!("overhead beyond inference and settling: {overhead:.2} s for {} run(s) of trtexec", runs.len());
    measure(&mut device, 2000).unwrap();
    let builds = board.calls().iter().filter(|call| call.contains("--saveEngine")).count();
    assert_eq!(builds, 2, "{:#?}", board.calls());
    // Another program finds the engine of this one.
    drop(device);
    let mut device = Jetson::new(quick(&board)).unwrap();
    measure(&mut device, 2000).unwrap();
    assert_eq!(board.calls().iter().filter(|call| call.contains("--saveEngine")).count(), 2);
    // Another board needs its own engine.
    board.set("serial", json!("another"));
    measure(&mut device, 2000).unwrap();
    assert_eq!(board.calls().iter().filter(|call| call.contains("--saveEngine")).count(), 3);
}

#[test]
fn power_mode_and_clocks_are_restored() {
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
fn errors_about_missing_rights_and_tools_name_the_remedy() {
    let cases = [
        (json!({"rights": false}), false, "sudo = true"),
        (json!({"rights": false}), true, "set `meter.kind = \"none\"` in its section"),
        (json!({"needs_sudo": true, "sudo": "password"}), true, "sudoers"),
    ];
    for (physics, sudo, expected) in cases {
        let Some(board) = board(physics) else { return };
        let options = JetsonOptions { sudo, ..options(&board) };
        let error = Jetson::new(options).unwrap().describe().unwrap_err();
        assert!(error.is_fatal() && error.to_string().contains(expected), "{error}");
        assert_clean(&board);
    }
    let Some(board) = board(Value::Null) else { return };
    let options = JetsonOptions { trtexec: Some("/no/such/trtexec".to_owned()), ..options(&board) };
    let error = Jetson::new(options).unwrap().describe().unwrap_err().to_string();
    assert!(error.contains("/no/such/trtexec"), "{error}");
}

#[test]
fn a_board_without_power_rails_is_measured_for_time_and_int8_says_what_it_is() {
    let Some(board) = board(json!({"rights": false})) else { return };
    let settings = JetsonOptions { meter: MeterOptions::None {}, precision: Precision::Int8, ..options(&board) };
    let settings = DeviceOptions::Jetson(Box::new(settings));
    assert!(settings.reservation().unwrap().contains("without calibration"));
    let mut device = settings.open().unwrap();
    assert!(device.describe().unwrap().label().contains("precision int8") && !device.measures_energy());
    let folder = tempfile::tempdir().unwrap();
    let measurement = device.measure(&model(&folder, 1000), &plan()).unwrap();
    assert!(measurement.energy.is_none() && measurement.latency.p50_ms.is_some(), "{measurement:?}");
    assert!(measurement.warnings.contains(&Warning::Uncalibrated), "{}", reasons(&measurement));
}

#[test]
fn another_program_on_the_board_is_noticed() {
    let Some(board) = board(json!({"intruder": true})) else { return };
    let mut device = Jetson::new(options(&board)).unwrap();
    let measurement = measure(&mut device, 1000).unwrap();
    let is_repeated = measurement.warnings.iter().any(|warning| matches!(warning, Warning::Repeated { .. }));
    assert!(is_repeated, "{}", reasons(&measurement));
    board.set("intruder", json!(false));
    let undisturbed = measure(&mut device, 1000).unwrap();
    assert!(
        undisturbed.warnings.iter().all(|warning| !matches!(warning, Warning::Repeated { .. })),
        "{}",
        reasons(&undisturbed)
    );
}

#[test]
fn heat_that_slows_the_board_down_gives_a_warning() {
    let physics = json!({"heat_c_per_w": 10.0, "heat_tau_s": 1.0, "throttle_at_c": 75.0, "throttle_factor": 0.6});
    let Some(board) = board(physics) else { return };
    let options = JetsonOptions { tries: 1, window: Duration::from_secs(3), ..options(&board) };
    let measurement = measure(&mut Jetson::new(options).unwrap(), 1000).unwrap();
    let throttled = |warning: &Warning| matches!(warning, Warning::Throttled { .. });
    assert!(measurement.warnings.iter().any(throttled), "{}", reasons(&measurement));
}

#[test]
fn a_board_serves_one_program_at_a_time() {
    let Some(board) = board(Value::Null) else { return };
    let mut first = Jetson::new(options(&board)).unwrap();
    first.describe().unwrap();
    let hasty = JetsonOptions { patience: Duration::ZERO, ..options(&board) };
    let error = Jetson::new(hasty).unwrap().describe().unwrap_err().to_string();
    assert!(error.contains("another program measures on this board"), "{error}");
    // A waiting program gets it as soon as it is free.
    let mut second = Jetson::new(options(&board)).unwrap();
    let waiting = thread::spawn(move || second.describe().map(|description| description.label()));
    thread::sleep(Duration::from_millis(500));
    drop(first);
    waiting.join().unwrap().unwrap();
}

#[test]
fn settings_do_not_reach_a_shell() {
    let Some(board) = board(Value::Null) else { return };
    let folder = board.work_folder().join("a b'$(touch harm)`touch harm`;touch harm");
    let mut options = options(&board);
    options.machine.work_folder = Some(folder.display().to_string());
    let mut device = Jetson::new(options).unwrap();
    measure(&mut device, 1000).unwrap();
    drop(device);
    assert_clean(&board);
    assert!(folder.join("engines").is_dir());
    let harmed = |folder: PathBuf| folder.join("harm").exists();
    assert!(!harmed(board.home()) && !harmed(board.work_folder()) && !harmed(folder));
}
