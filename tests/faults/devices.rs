//! A device that goes while others stay.

use std::time::{Duration, Instant};

use end_to_end::{Board, BoardOptions, Journal, Program, SshdOptions};
use serde_json::json;

/// The experiment of a board as users have it.
const EXPERIMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/tx2.toml");

/// Children small and quickly trained.
const SMALL: [&str; 8] = [
    "data={ name = \"digits\", limit = 300 }",
    "training.epochs=1",
    "training.augmentation={}",
    "space={ name = \"nasbench201\", channels = 4, cells = 1, operations = [\"skip_connect\", \"nor_conv_1x1\"] }",
    "measuring.warm_up_ms=100",
    "search.batch=4",
    "strategy.name=random",
    "search.bounds={}",
];

fn board() -> Option<Board> {
    let physics = json!({"base_ms": 1.0, "build_s": 0.05, "heat_tau_s": 0.3, "heat_c_per_w": 0.2, "needs_sudo": true});
    Board::start(BoardOptions { physics, sshd: SshdOptions::default() })
}

/// A board's settings as a TOML table.
fn settings(board: &Board) -> String {
    let more = [("sudo", "true"), ("patience_s", "2.0")].map(|(key, value)| (key, value.to_owned()));
    let settings = board.quick_settings().into_iter().chain(more);
    let settings: Vec<_> = settings.map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", settings.join(", "))
}

#[test]
fn a_board_that_is_lost_is_named_and_the_other_one_goes_on() {
    let (Some(stays), Some(mut goes)) = (board(), board()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let devices = [format!("devices.tx2={}", settings(&stays)), format!("devices.tx2b={}", settings(&goes))];
    let settings = SMALL.map(str::to_owned).into_iter().chain(devices);
    let settings = settings.flat_map(|setting| ["--set".to_owned(), setting]);
    let search = ["search", EXPERIMENT, "--evaluations", "12", "--quiet", "--out", "run"];
    let search = Program::new(folder.path()).args(search).args(settings);
    let searching = std::thread::spawn(|| search.run());
    let begun = Instant::now();
    while goes.truths().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is measured");
        std::thread::sleep(Duration::from_millis(20));
    }
    goes.sshd.kill();
    let port = goes.sshd.port();
    let ended = searching.join().unwrap();
    assert_eq!(ended.code, Some(0), "{ended}");
    let warning = ended.err.lines().find(|line| line.contains("no longer used")).unwrap_or_else(|| panic!("{ended}"));
    assert!(warning.contains(&port.to_string()) && warning.contains("one other device goes on"), "{warning}");
    let journal = Journal::read(&folder.path().join("run/measurements.csv"));
    assert_eq!(journal.rows.len(), 12);
    assert!(journal.rows.iter().all(|row| row.text("status") == "ok"), "no evaluation is lost: {:?}", journal.rows);
}
