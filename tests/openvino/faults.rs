//! What goes wrong between the program, benchmark_app and a meter. The real tool does not fail on demand: a stand-in
//! does, which measures nothing.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::{Journal, Row, Sshd, SshdOptions};

use super::{CELL, EXPERIMENT, Place, SYNTHETIC_METER, number, together};

/// A stand-in for benchmark_app, for faults alone: prints what the real one prints, with a fault that a file beside it
/// names.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import os, subprocess, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "fault")) as file:
    fault = file.read().strip()
say = lambda line: print(line, flush=True)
say("[Step 2/11] Loading OpenVINO Runtime")
say("[ INFO ] OpenVINO:")
say("[ INFO ] Build ................................. 2026.4.1-22982-e213a147257-releases/2026/4")
if fault == "is unplugged":
    say("[ ERROR ] Can not init Myriad device: NC_ERROR")
    sys.exit(1)
words = dict(zip(sys.argv, sys.argv[1:]))
if not os.path.exists(words["-m"]):
    say('[ ERROR ] Could not open the file: "%s"' % words["-m"])
    sys.exit(1)
seconds = float(words["-t"])
say("[ INFO ] Model batch size: 1")
say("[Step 10/11] Measuring performance (Start inference synchronously, limits: %d ms duration)" % (seconds * 1e3))
say("[ INFO ] First inference took 1.00 ms")
if fault == "hangs":
    child = subprocess.Popen(["sleep", "300"])
    with open(os.path.join(folder, "processes"), "a") as file:
        file.write("%d %d\n" % (os.getpid(), child.pid))
    time.sleep(300)
working = os.path.join(folder, "working")
open(working, "w").close()
time.sleep(seconds)
os.remove(working)
say("[Step 11/11] Dumping statistics report")
say("[ INFO ] Count:            %d iterations" % (seconds * 1e3))
say("[ INFO ] Duration:         %.2f ms" % (seconds * 1e3))
say("[ INFO ] Latency:")
say("[ INFO ]    Median:        " + ("3 parsecs" if fault == "speaks otherwise" else "1.00 ms"))
say("[ INFO ]    Average:       1.00 ms")
say("[ INFO ] Throughput:   1000.00 FPS")
"#;

/// A meter that works for a second and a half, and then does something else.
fn meter(fault: &str) -> String {
    format!(
        r#"
import sys, time
print("seconds,volts,amperes", flush=True)
for count in range(150):
    print("%.2f,5.000,%.4f" % (count / 100, 0.2 + 0.001 * (count % 3)), flush=True)
    time.sleep(0.01)
{fault}
"#
    )
}

/// A place with the stand-in as a device of its own, so that tests do not wait for one another.
fn stand_in(device: &str, fault: &str) -> Place {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new(device, Path::new("benchmark_app")).set("devices.ncs.tries", "1");
    let tool = place.file("benchmark_app", STAND_IN);
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.file("fault", fault);
    place
}

/// Processes that the stand-in has told of, once it has told of some.
fn processes(place: &Place) -> Vec<String> {
    let file = place.path().join("processes");
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if text.ends_with('\n') {
            return text.split_whitespace().map(str::to_owned).collect();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the stand-in was not started");
        thread::sleep(Duration::from_millis(20));
    }
}

fn assert_gone(processes: &[String]) {
    let is_alive = |process: &String| {
        let state = std::fs::read_to_string(format!("/proc/{process}/stat"));
        state.is_ok_and(|state| !state.contains(") Z "))
    };
    let begun = Instant::now();
    while processes.iter().any(is_alive) {
        assert!(begun.elapsed() < Duration::from_secs(15), "{processes:?} live on");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_tool_that_hangs_is_ended_with_all_that_it_started() {
    let _together = together();
    let place = stand_in("GPU.11", "hangs").set("devices.ncs.grace_s", "2");
    let message = place.measure(CELL, &[]).fail();
    assert!(message.contains("raise grace_s"), "{message}");
    assert_gone(&processes(&place));
    // Also where the program itself is killed.
    std::fs::remove_file(place.path().join("processes")).unwrap();
    let place = place.set("devices.ncs.grace_s", "100");
    let mut program = place.measure(CELL, &[]).start();
    let started = processes(&place);
    program.kill().unwrap();
    program.wait().unwrap();
    assert_gone(&started);
}

#[test]
fn a_device_serves_one_at_a_time_and_an_error_names_its_user() {
    let _together = together();
    let place = stand_in("GPU.12", "hangs").set("devices.ncs.grace_s", "100");
    let mut first = place.measure(CELL, &[]).start();
    let started = processes(&place);
    let place = place.set("devices.ncs.patience_s", "0");
    let same = place.measure(CELL, &[]).fail();
    assert!(same.contains(&format!("process {} of ", first.id())), "{same}");
    // Another user's files are not looked into.
    let other = stand_in("GPU.12", "none").set("devices.ncs.patience_s", "0").measure(CELL, &[]).fail();
    assert!(other.contains("another work folder"), "{other}");
    first.kill().unwrap();
    first.wait().unwrap();
    assert_gone(&started);
    // It is free again.
    place.file("fault", "none");
    place.set("devices.ncs.patience_s", "20").measure(CELL, &[]).succeed();
}

#[test]
fn a_stick_that_is_unplugged_and_plugged_in_again_is_waited_for() {
    let _together = together();
    let place = stand_in("GPU.19", "is unplugged").set("devices.ncs.patience_s", "60");
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(4));
            place.file("fault", "none");
        });
        let found: serde_json::Value = serde_json::from_str(&place.measure(CELL, &["--json"]).succeed()).unwrap();
        assert!((number(&found, "time_ms") - 1.0).abs() < 1e-3, "{found}");
    });
    assert!(begun.elapsed() > Duration::from_secs(4), "{:?}", begun.elapsed());
    // While it is measured, too: the evaluation is not lost.
    let place = place.set("search.evaluations", "3").set("search.batch", "1");
    let place = place.set("search.objectives", "[\"error\", \"time_ms\"]");
    thread::scope(|scope| {
        scope.spawn(|| {
            let journal = place.path().join("run/measurements.csv");
            let begun = Instant::now();
            while !std::fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() > 1) {
                assert!(begun.elapsed() < Duration::from_secs(60), "nothing was measured");
                thread::sleep(Duration::from_millis(50));
            }
            place.file("fault", "is unplugged");
            thread::sleep(Duration::from_secs(4));
            place.file("fault", "none");
        });
        place.program(&["search", EXPERIMENT, "--out", "run", "--quiet"]).succeed();
    });
    let journal = Journal::read(&place.path().join("run/measurements.csv"));
    assert!(journal.ended().iter().all(|row| row.text("status") == "ok"), "{:?}", journal.rows);
    let told = |row: &Row| row.text("message").matches("Neural Compute Stick cannot be opened").count() == 1;
    assert!(journal.jobs.iter().any(told), "{:?}", journal.jobs);
}

#[test]
fn tools_models_and_outputs_that_are_not_what_they_should_be() {
    let _together = together();
    let message = stand_in("GPU.13", "speaks otherwise").measure(CELL, &[]).fail();
    assert!(message.contains("3 parsecs"), "{message}");
    let place = stand_in("GPU.13", "none");
    let broken = place.file("broken.onnx", "no model at all");
    let message = place.measure(&broken.display().to_string(), &[]).fail();
    assert!(message.contains("broken.onnx"), "{message}");
    let message = place.set("devices.ncs.tool", "/no/such/folder").measure(CELL, &[]).fail();
    assert!(message.contains("/no/such/folder") && message.contains("scripts/openvino.sh"), "{message}");
}

#[test]
fn meters_that_fail_half_way() {
    let _together = together();
    let cases = [
        ("GPU.14", "sys.exit('the meter was unplugged')", "the meter was unplugged"),
        ("GPU.15", "time.sleep(300)", "no reading for 5"),
        ("GPU.16", "while True: print('what, volts', flush=True); time.sleep(0.01)", "\"what, volts\""),
    ];
    thread::scope(|scope| {
        for (device, fault, wanted) in cases {
            scope.spawn(move || {
                let message = stand_in(device, "none").with_meter(&meter(fault)).measure(CELL, &[]).fail();
                assert!(message.contains("power cannot be read") && message.contains(wanted), "{message}");
            });
        }
    });
}

#[test]
fn energy_above_idle_counts_where_that_is_asked_for() {
    let _together = together();
    // A watt while the stand-in works, and half of it at rest.
    let trace = SYNTHETIC_METER
        .replace("import math,", "import math, os,")
        .replace("0.2 +", "(0.2 if os.path.exists('working') else 0.1) +");
    assert!(trace.contains("working"));
    let place = stand_in("GPU.17", "none").with_meter(&trace);
    let energy = "{ window_s = 2, window_limit_s = 2, idle_s = 0.5, subtract_idle = true }";
    let place = place.set("devices.ncs.energy", energy);
    let found: serde_json::Value = serde_json::from_str(&place.measure(CELL, &["--json"]).succeed()).unwrap();
    assert_eq!(found["energy_counts_above_idle"], true, "{found}");
    let (all, above) = (number(&found, "energy_mj"), number(&found, "energy_mj_above_idle"));
    assert!((all - 1.0).abs() < 0.03 && (above - 0.5).abs() < 0.03, "{found}");
    let printed = place.measure(CELL, &[]).succeed();
    let line = printed.lines().find(|line| line.contains("above idle:")).unwrap();
    assert!(line.contains("(counted)"), "{printed}");
    // Where load and rest are alike, nothing is left to charge.
    let place = place.with_meter(&SYNTHETIC_METER.replace("0.004 * math.sin(count)", "0"));
    let message = place.set("devices.ncs.energy.subtract_idle", "true").measure(CELL, &[]).fail();
    assert!(message.contains("subtract_idle"), "{message}");
}

#[test]
fn another_machine_is_measured_over_ssh_with_the_meter_there() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else { return };
    let _together = together();
    let place = stand_in("GPU.18", "none").with_meter(SYNTHETIC_METER).set("devices.ncs.meter.at", "device");
    let folder = sshd.folder().join("work").display().to_string();
    let tool = place.path().join("benchmark_app").display().to_string();
    // Without a host no user logs in.
    let place = place.set("devices.ncs.tool", &tool).set("devices.ncs.work_folder", &folder);
    let message = place.measure(CELL, &["--set", &format!("devices.ncs.user={}", sshd.user())]).fail();
    assert!(message.contains("`user`") && message.contains("`host`"), "{message}");
    let [key, known_hosts] = [sshd.key(), sshd.known_hosts()].map(|path| path.display().to_string());
    let place = place.set("devices.ncs.host", "127.0.0.1").set("devices.ncs.port", &sshd.port().to_string());
    let place = place.set("devices.ncs.user", sshd.user()).set("devices.ncs.key", &key);
    let place = place.set("devices.ncs.known_hosts", &known_hosts);
    let found: serde_json::Value = serde_json::from_str(&place.measure(CELL, &["--json"]).succeed()).unwrap();
    assert!((number(&found, "time_ms") - 1.0).abs() < 1e-3, "{found}");
    assert!((number(&found, "energy_mj") - 1.0).abs() < 0.03, "a watt for a millisecond: {found}");
    assert!(found["device"].as_str().unwrap().contains("127.0.0.1"), "{found}");
    // The device and its meter share one session.
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
    assert!(std::path::Path::new(&folder).is_dir() && !place.path().join("cache/controller").exists());
}
