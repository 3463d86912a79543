//! The program with a Jetson: `doctor`, `measure`, and the search of `experiments/tx2.toml`, whose journal replays.
//!
//! The board behind the real SSH server is simulated; see `support/board/fake_board.py`.

use std::path::Path;

use end_to_end::{Board, BoardOptions, Journal, Program, SshdOptions};
use serde_json::{Value, json};

/// The experiment file for users.
const EXPERIMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/tx2.toml");

/// A board whose time and power depend on the model, as on a real one.
fn board(changes: Value) -> Option<Board> {
    let mut physics = json!({
        "base_ms": 1.0, "ns_per_byte": 30.0, "load_mw_per_byte": 0.05, "build_s": 0.05, "heat_tau_s": 0.3,
        "heat_c_per_w": 0.2, "waveform_share": 0.9, "waveform_high": 1.05, "needs_sudo": true,
    });
    if let (Some(physics), Value::Object(changes)) = (physics.as_object_mut(), changes) {
        physics.extend(changes);
    }
    Board::start(BoardOptions { physics, sshd: SshdOptions::default() })
}

/// The settings of a board that differ from those in the file.
fn settings(board: &Board) -> Vec<(&'static str, String)> {
    let quick = [
        ("sudo", "true"),
        ("power_interval_ms", "20"),
        ("window_s", "1.0"),
        ("window_limit_s", "2.5"),
        ("idle_s", "0.7"),
        ("settle_limit_s", "1.5"),
        ("patience_s", "20.0"),
    ];
    board.settings().into_iter().chain(quick.map(|(key, value)| (key, value.to_owned()))).collect()
}

/// The overrides that turn the file's board into the simulated one.
fn at(board: &Board) -> Vec<String> {
    let settings = settings(board).into_iter().map(|(key, value)| format!("devices.tx2.{key}={value}"));
    settings.flat_map(|setting| ["--set".to_owned(), setting]).collect()
}

/// The override that adds another board, alike in all that changes a result.
fn beside(board: &Board) -> [String; 2] {
    let alike = [("fix_clocks", "true".to_owned())];
    let settings: Vec<_> =
        settings(board).into_iter().chain(alike).map(|(key, value)| format!("{key} = {value}")).collect();
    ["--set".to_owned(), format!("devices.tx2b={{ {} }}", settings.join(", "))]
}

/// Settings for small networks that train quickly: the board is the subject of the tests.
const SMALL: [&str; 16] = [
    "--set",
    "fidelity.measure_ahead=0",
    "--set",
    "data={ name = \"digits\", limit = 300 }",
    "--set",
    "training.epochs=1",
    "--set",
    "training.augmentation={}",
    "--set",
    "space={ name = \"nasbench201\", channels = 4, cells = 1 }",
    "--set",
    "measuring.warm_up_ms=100",
    "--set",
    "search.batch=4",
    "--set",
    "strategy.start=4",
];

#[test]
fn a_search_against_two_boards_and_its_replay() {
    let (Some(one), Some(other)) = (board(Value::Null), board(json!({"serial": "2"}))) else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = || Program::new(folder.path());
    let boards = [at(&one), beside(&other).to_vec()].concat();
    let search = ["search", EXPERIMENT, "--evaluations", "8", "--out", "run"];
    let printed = program().args(search).args(SMALL).args(&boards).succeed();
    assert!(printed.contains("energy"), "{printed}");
    let journal = Journal::read(&folder.path().join("run/measurements.csv"));
    assert_eq!(journal.rows.len(), 8);
    let mut on = [0, 0];
    // A network without a path to its output is rejected before it reaches a board.
    for row in journal.rows.iter().filter(|row| !row.text("message").contains("no path leads")) {
        assert_eq!(row.text("status"), "ok", "{}", row.text("message"));
        for column in ["accuracy", "time_ms", "time_ms_std", "energy_mj", "idle_power_mw", "power_samples"] {
            assert!(row.number(column).is_some_and(|value| value > 0.0), "{column} of {}", row.text("architecture"));
        }
        let ports = [one.sshd.port(), other.sshd.port()];
        let board = ports.iter().position(|port| row.text("device").contains(&format!(":{port};"))).unwrap();
        on[board] += 1;
    }
    assert!(on.iter().all(|count| *count > 0), "the boards share the work: {on:?}");
    for board in [&one, &other] {
        assert!(board.leftovers_after(std::time::Duration::from_secs(10)).is_empty());
        assert!(board.stray_files().is_empty());
        assert_ne!(board.state()["clocks"], json!(true), "the clocks are put back");
    }
    let replay = ["replay", "run/measurements.csv", "--experiment", "run", "--evaluations", "8", "--out", "again"];
    program().args(replay).succeed();
    let again = Journal::read(&folder.path().join("again/measurements.csv"));
    let mut values = [&journal, &again].map(|journal| {
        journal.rows.iter().map(|row| row.text("architecture").to_owned() + row.text("energy_mj")).collect::<Vec<_>>()
    });
    values.iter_mut().for_each(|values| values.sort());
    assert_eq!(values[0], values[1]);
}

#[test]
fn measure_prints_the_measurement_and_doctor_the_boards_state() {
    let Some(board) = board(Value::Null) else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = at(&board);
    let cell = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|";
    let measure = ["measure", cell, "--experiment", EXPERIMENT, "--device", "tx2"];
    let printed = Program::new(folder.path()).args(measure).args(SMALL).args(&settings).succeed();
    for text in
        ["time (median ± σ)", "without transfer", "energy (mean ± σ)", "above idle", "VDD_SYS_GPU", "°C before", "MHz"]
    {
        assert!(printed.contains(text), "{text} is not in:\n{printed}");
    }
    let printed = Program::new(folder.path()).args(measure).args(["--json"]).args(SMALL).args(&settings).succeed();
    let found: Value = serde_json::from_str(&printed).unwrap();
    assert!(found["rails"]["VDD_IN"]["energy_mj"].as_f64().unwrap() > 0.0, "{found}");
    assert!(found["time_ms_without_transfer"].as_f64().unwrap() < found["time_ms"].as_f64().unwrap(), "{found}");

    let doctor = ["doctor", EXPERIMENT];
    let printed = Program::new(folder.path()).args(doctor).args(SMALL).args(&settings).succeed();
    for text in [
        "ok      device tx2",
        "work folder",
        "MB free",
        "power meter: tegrastats VDD_IN",
        "power mode: 0 MAXN",
        "python3",
    ] {
        assert!(printed.contains(text), "{text} is not in:\n{printed}");
    }
    // Without the right to read power.
    let without = [settings.clone(), vec!["--set".to_owned(), "devices.tx2.sudo=false".to_owned()]].concat();
    let without = [without, vec!["--set".to_owned(), "devices.tx2.fix_clocks=false".to_owned()]].concat();
    let ended = Program::new(folder.path()).args(doctor).args(SMALL).args(&without).run();
    assert!(ended.code != Some(0) && ended.out.contains("sudo = true"), "{ended}");
    // For an unknown host the error only explains how to make its key known.
    let stranger = ["--set", "devices.tx2.known_hosts=\"absent\"", "--set", "devices.tx2.patience_s=1.0"];
    let ended = Program::new(folder.path()).args(doctor).args(SMALL).args(&settings).args(stranger).run();
    assert!(ended.code != Some(0) && ended.out.contains("ssh-keyscan"), "{ended}");
}

#[test]
fn a_password_is_written_to_no_file() {
    let Some(board) = board(Value::Null) else { return };
    let folder = tempfile::tempdir().unwrap();
    let secret = "correct-horse-battery-staple";
    let with_key = at(&board);
    let pairs = with_key.chunks(2).filter(|pair| !pair[1].starts_with("devices.tx2.key="));
    let settings: Vec<String> = pairs.flatten().cloned().collect();
    let variable = ["--set", "devices.tx2.password_variable=\"TX2_SECRET\"", "--set", "devices.tx2.patience_s=1.0"];
    let search = ["search", EXPERIMENT, "--evaluations", "4", "--out", "run"];
    let program = Program::new(folder.path()).variable("TX2_SECRET", secret);
    let ended = program.args(search).args(SMALL).args(&settings).args(variable).run();
    assert!(ended.code != Some(0), "the server takes no password: {ended}");
    assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{ended}");
    for entry in walk(folder.path()) {
        let content = std::fs::read(&entry).unwrap();
        let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "it is in {}", entry.display());
    }
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_search_ends_with_its_lost_board_and_resumes_when_the_board_is_back() {
    let Some(mut board) = board(Value::Null) else { return };
    let folder = tempfile::tempdir().unwrap();
    let impatient = ["--set", "devices.tx2.patience_s=2.0"];
    let search = ["search", EXPERIMENT, "--evaluations", "12", "--out", "run"];
    let search = Program::new(folder.path()).args(search).args(SMALL).args(at(&board)).args(impatient);
    let searching = std::thread::spawn(|| search.run());
    let begun = std::time::Instant::now();
    while board.truths().is_empty() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "nothing is measured");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    board.sshd.kill();
    let ended = searching.join().unwrap();
    assert!(ended.code != Some(0) && ended.err.contains("--resume") && ended.err.contains("refused"), "{ended}");
    let journal = std::fs::read_to_string(folder.path().join("run/measurements.csv")).unwrap();
    assert!(journal.lines().count() < 8, "the budget is not spent on a board that is away:\n{journal}");
    board.sshd.restart();
    Program::new(folder.path()).args(["--resume", "run"]).succeed();
    let journal = Journal::read(&folder.path().join("run/measurements.csv"));
    assert_eq!(journal.rows.len(), 12);
    assert!(journal.rows.iter().filter(|row| row.text("status") == "ok").count() >= 6);
}
