//! The simulated board answers the system's own SSH client as a board would: other tests may rely on it.

use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::{Board, BoardOptions, Sshd, SshdOptions};
use serde_json::json;

/// Longest time that programs may take to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn power_and_times_are_those_of_its_settings() {
    // Half of an inference at double power, and all inferences alike.
    let physics = json!({
        "idle_mw": 2000, "load_mw": 4000, "noise_percent": 0, "jitter_percent": 0, "outlier_share": 0, "gap_ms": 0,
        "base_ms": 2, "ns_per_byte": 100_000, "build_s": 0.1, "heat_c_per_w": 0, "waveform_share": 0.5,
        "waveform_high": 2,
    });
    let Some(board) = Board::start(BoardOptions { physics, ..Default::default() }) else { return };
    assert!(!board.work_folder().exists());
    let folder = board.work_folder().display().to_string();
    succeed(&board, &format!("mkdir {folder} && printf 0123456789 > {folder}/m.onnx"));
    let files = format!("--onnx={folder}/m.onnx --saveEngine={folder}/m.engine");
    let out = succeed(&board, &format!("trtexec {files} --buildOnly"));
    assert!(
        out.contains("&&&& PASSED TensorRT.trtexec [TensorRT v8201] # /usr/src/tensorrt/bin/trtexec --onnx="),
        "{out}"
    );

    let sysfs = board.sysfs();
    let power = sysfs.join("bus/i2c/drivers/ina3221x/0-0041/iio:device1/in_power0_input");
    let read = || std::fs::read_to_string(&power).unwrap().trim().parse::<u32>().unwrap();
    assert_eq!(read(), 2000);
    let options = "--warmUp=100 --duration=0.6 --useSpinWait --noDataTransfers";
    let run =
        board.sshd.client(&format!("trtexec --loadEngine={folder}/m.engine {options} --exportTimes={folder}/times"));
    let run = { run }.stdout(Stdio::piped()).spawn().unwrap();
    let mut tegrastats = board.sshd.client("exec tegrastats --interval 100");
    let tegrastats = tegrastats.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = run.wait_with_output().unwrap();
    let out = text(&output);
    assert!(out.contains("Timing trace has 200 queries over 0.6 s"), "{out}");
    assert!(out.contains("[I] GPU Compute Time: min = 3 ms, max = 3 ms, mean = 3 ms, median = 3 ms, "), "{out}");

    let truths = board.truths();
    assert_eq!(truths.len(), 1);
    let truth = &truths[0];
    assert_eq!(truth.queries, 200);
    assert!((truth.latency_ms - 3.0).abs() < 1e-9, "{truth:?}");
    // 6 W for 3 ms; the load's share is 4 W.
    assert!((truth.energy_mj_total - 18.0).abs() < 1e-3, "{truth:?}");
    assert!((truth.energy_mj_above_idle - 12.0).abs() < 1e-3, "{truth:?}");
    let times = std::fs::read(board.work_folder().join("times")).unwrap();
    let times: serde_json::Value = serde_json::from_slice(&times).unwrap();
    assert!(times.as_array().unwrap().iter().all(|run| run["computeMs"] == 3));

    // If the client disconnects, its programs end, and their lines are not lost.
    board.sshd.cut();
    let lines = text(&tegrastats.wait_with_output().unwrap());
    assert!(lines.lines().count() >= 3, "{lines}");
    assert!(lines.lines().any(|line| line.contains(" GR3D_FREQ 9") && line.contains(" VDD_IN ")), "{lines}");
    assert_eq!(board.leftovers_after(PATIENCE), [""; 0]);
    assert_eq!(board.stray_files(), [""; 0].map(std::path::PathBuf::from));
    succeed(&board, "touch $HOME/here $TMPDIR/there");
    assert_eq!(board.stray_files().len(), 2);
}

#[test]
fn state_is_kept_and_faults_are_made_as_set() {
    let Some(board) = Board::start(BoardOptions::default()) else { return };
    assert_eq!(succeed(&board, "nvpmodel -q"), "NV Fan Mode:quiet\nNV Power Mode: MAXN\n0\n");
    succeed(&board, "sudo -n nvpmodel -m 1 && sudo -n jetson_clocks");
    assert!(succeed(&board, "nvpmodel -q").ends_with("NV Power Mode: MAXQ\n1\n"));
    assert_eq!(board.state(), json!({"mode": "1", "clocks": true}));
    assert_eq!(board.calls(), ["nvpmodel -m 1", "jetson_clocks"]);
    board.set("sudo", json!("password"));
    let refused = board.sshd.client("sudo -n true").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("sudo: a password is required"));

    board.set("trtexec_fault_times", json!(1));
    board.set("trtexec_fault", json!("fail_build"));
    board.set("build_s", json!(0.05));
    let build = "printf x > $HOME/m; trtexec --onnx=$HOME/m --buildOnly";
    let failed = board.sshd.client(build).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed).contains("\n&&&& FAILED TensorRT.trtexec [TensorRT v8201] # "));
    succeed(&board, build);
    board.set("trtexec_fault_times", json!(1));
    assert_eq!(board.sshd.client(build).output().unwrap().status.code(), Some(1));
}

#[test]
fn connections_break_and_hosts_change() {
    let Some(mut sshd) = Sshd::start(SshdOptions::default()) else { return };
    let mut client = sshd.client("echo begun; sleep 600");
    let client = client.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while sshd.connections() == 0 && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    sshd.kill();
    assert!(!client.wait_with_output().unwrap().status.success());
    assert_eq!(sshd.client("true").output().unwrap().status.code(), Some(255));
    sshd.restart();
    assert!(sshd.client("true").output().unwrap().status.success());
    let key = sshd.host_key().to_owned();
    sshd.new_host_key();
    assert_ne!(sshd.host_key(), key);
    let refused = sshd.client("true").output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("IDENTIFICATION HAS CHANGED"), "{refused:?}");
    let folder = sshd.folder().to_owned();
    drop(sshd);
    assert!(!folder.exists());
}

fn succeed(board: &Board, command: &str) -> String {
    let output = board.sshd.client(command).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}\n{}", board.sshd.log());
    text(&output)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
