use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::energy;
use crate::meter::At;
use crate::meter::power_meter::fault_of;
use crate::meter::stream::StreamOptions;
use crate::remote::{Channel, Place};
use crate::time::Window;

const PERIOD: Duration = Duration::from_millis(4);

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Atomically, as the kernel does.
    let next = root.join("next");
    std::fs::write(&next, format!("{text}\n")).unwrap();
    std::fs::copy(&next, path).unwrap();
}

/// Sensors of this machine as the agent sees them; `None` without Python 3.
fn sensors(root: &Path, wanted: &[&str]) -> Option<Result<RemoteMeter, MeterError>> {
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let session = Session::new(Place::Here, root.join("work").display().to_string());
    match Source::sensors(&session, &root.display().to_string(), &wanted, PERIOD) {
        Err(MeterError::Lost(problem)) if problem.contains("python3 cannot be started") => None,
        found => Some(found.map(|source| RemoteMeter::new(session, source, Clock::start()))),
    }
}

fn program(root: &Path, script: &str, columns: &str) -> Option<RemoteMeter> {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let columns = toml::from_str(columns).unwrap();
    let options = StreamOptions { command, columns, start_limit_s: 20.0, at: At::Device };
    let session = Session::new(Place::Here, root.display().to_string());
    let meter = RemoteMeter::new(session, Source::Program(options), Clock::start());
    let has_python = std::process::Command::new("python3").arg("--version").output().is_ok();
    has_python.then_some(meter)
}

const WATTS: &str = "power = { column = 1, unit = \"w\" }";

fn wait_for(meter: &RemoteMeter, readings: usize) {
    while meter.check().unwrap() < readings {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn sensors_are_read_through_the_agent_and_stamped_on_our_clock() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "class/hwmon/hwmon0/name", "ina226");
    put(root.path(), "class/hwmon/hwmon0/power1_input", "2000000");
    put(root.path(), "class/hwmon/hwmon1/in1_label", "5V");
    put(root.path(), "class/hwmon/hwmon1/in1_input", "5000");
    put(root.path(), "class/hwmon/hwmon1/curr1_input", "100");
    let Some(found) = sensors(root.path(), &["5V", "ina226 power1"]) else { return };
    let mut meter = found.unwrap();
    assert!(meter.describe().contains("5V + ina226 power1 of here"), "{}", meter.describe());
    // Twice, over one connection.
    for idle_w in [2.0, 3.0] {
        put(root.path(), "class/hwmon/hwmon0/power1_input", &format!("{}", idle_w * 1e6));
        let before = meter.clock.now_ns();
        meter.start().unwrap();
        std::thread::sleep(Duration::from_millis(150));
        let from_ns = meter.clock.now_ns();
        put(root.path(), "class/hwmon/hwmon0/power1_input", "7000000");
        std::thread::sleep(Duration::from_millis(400));
        put(root.path(), "class/hwmon/hwmon0/power1_input", &format!("{}", idle_w * 1e6));
        let window = Window { from_ns, to_ns: meter.clock.now_ns() };
        std::thread::sleep(Duration::from_millis(150));
        let trace = meter.stop().unwrap();
        let series = trace.rail(sysfs::NAME);
        let mean = |window: Window| energy::mean_power(&series, &[window]).unwrap().mean_mw;
        assert!((mean(window.without_edges(20_000_000)) - 7500.0).abs() < 1.0, "{}", mean(window));
        let idle = Window { from_ns: before, to_ns: from_ns };
        assert!((mean(Window { from_ns: from_ns - 90_000_000, ..idle }) - idle_w * 1e3 - 500.0).abs() < 1.0);
        let last = series.last().unwrap().at_ns;
        assert!(last > window.to_ns + 100_000_000 && last <= meter.clock.now_ns(), "{last}");
        assert!((1e-7..0.2).contains(&trace.stamp_uncertainty_s), "{}", trace.stamp_uncertainty_s);
        assert_eq!(trace.resolution_mw.map(f64::round), Some(7000.0 - idle_w * 1e3));
    }
    // A connection that broke meanwhile is replaced.
    meter.session.agent().unwrap().ask(json!({"do": "no such order"})).unwrap_err();
    std::process::Command::new("pkill")
        .args(["-9", "-f", &format!("agent-.*{}/work", root.path().display())])
        .status()
        .unwrap();
    meter.start().unwrap();
    wait_for(&meter, 2);
    assert!(meter.stop().is_ok());
}

#[test]
fn sensors_that_do_not_exist_are_errors() {
    let root = tempfile::tempdir().unwrap();
    let Some(found) = sensors(root.path(), &[]) else { return };
    let error = found.err().unwrap().to_string();
    assert!(error.contains("(here)") && error.contains("driver is not loaded"), "{error}");
    put(root.path(), "class/hwmon/hwmon0/power1_input", "2000000");
    let error = sensors(root.path(), &["VDD"]).unwrap().err().unwrap().to_string();
    assert!(error.contains("no power sensor is called \"VDD\""), "{error}");
    let mut meter = sensors(root.path(), &[]).unwrap().unwrap();
    std::fs::remove_dir_all(root.path().join("class")).unwrap();
    let error = meter.start().unwrap_err().to_string();
    assert!(error.contains("power1_input could not be read"), "{error}");
}

#[test]
fn a_sensor_that_reads_nonsense_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "class/hwmon/hwmon0/power1_input", "2000000");
    let Some(found) = sensors(root.path(), &[]) else { return };
    let mut meter = found.unwrap();
    meter.start().unwrap();
    put(root.path(), "class/hwmon/hwmon0/power1_input", "many");
    while meter.check().is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = meter.stop().unwrap_err().to_string();
    assert!(error.contains("\"many\" is not a whole number"), "{error}");
}

#[test]
fn a_program_there_is_read_line_by_line() {
    let root = tempfile::tempdir().unwrap();
    let script = "echo connecting >&2; echo 'U;I'; i=0; while :; do i=$((i+1)); \
                  if [ $i = 7 ]; then echo 'checksum error' >&2; fi; echo '5,00;200'; sleep 0.01; done";
    let columns = "volts = { column = \"U\", unit = \"v\" }\namperes = { column = \"I\", unit = \"ma\" }";
    let Some(mut meter) = program(root.path(), script, columns) else { return };
    let before = meter.clock.now_ns();
    meter.start().unwrap();
    // Lines that arrive together share a time stamp, and only one of them counts.
    wait_for(&meter, 80);
    let trace = meter.stop().unwrap();
    let series = trace.rail("stream");
    assert!(series.len() >= 40);
    assert!(series.iter().all(|point| (point.power_mw - 1000.0).abs() < 1e-9));
    assert!(series[0].at_ns >= before && series[39].at_ns <= meter.clock.now_ns());
    assert!(
        matches!(&trace.notes[..], [note] if note.starts_with("1 of ") && note.contains("checksum error")),
        "{:?}",
        trace.notes
    );
    assert!((trace.resolution_mw.unwrap() - 7.0).abs() < 1e-9);
    assert!(meter.describe().contains("prints on here"));
}

#[test]
fn a_program_there_that_ends_or_stalls_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let script = "for i in 1 2 3 4 5; do echo 2.5; sleep 0.1; done; echo 'device lost' >&2; exit 3";
    let Some(mut meter) = program(root.path(), script, WATTS) else { return };
    let error = fault_of(&mut meter).to_string();
    assert!(error.contains("ended with exit code 3") && error.contains("device lost"), "{error}");
    let mut stalls =
        program(root.path(), "for i in 1 2 3 4 5; do echo 2.5; sleep 0.01; done; sleep 100", WATTS).unwrap();
    stalls.shortest_silence = Duration::from_millis(900);
    let error = fault_of(&mut stalls);
    assert!(error.to_string().contains("has given no reading for"), "{error}");
    assert!(stalls.running.is_none());
    let mut early = program(root.path(), "echo 'no such port' >&2; exit 1", WATTS).unwrap();
    let error = early.start().unwrap_err().to_string();
    assert!(error.contains("exit code 1") && error.contains("no such port"), "{error}");
    let mut missing = program(root.path(), "", WATTS).unwrap();
    missing.source = Source::Program(StreamOptions {
        command: vec!["/nowhere/meter".to_owned()],
        columns: toml::from_str(WATTS).unwrap(),
        start_limit_s: 5.0,
        at: At::Device,
    });
    let error = missing.start().unwrap_err();
    assert!(error.to_string().contains("could not be started"), "{error}");
}

/// A fake agent: it answers each order, and gives the same values for each poll until it fails.
#[derive(Default)]
struct Fake {
    lines: VecDeque<String>,
    /// The poll, and the number of values that it still gives.
    poll: Option<(u64, usize)>,
    /// The message after that; if empty, the connection breaks.
    ending: String,
    is_dead: bool,
    says_hello: bool,
    begun: Option<Instant>,
    given: Option<Instant>,
}

impl Channel for Fake {
    fn send(&mut self, line: &str) -> Result<(), RemoteError> {
        if self.is_dead {
            return Err(RemoteError::Lost { how: "it ended".to_owned() });
        }
        let order: serde_json::Value = serde_json::from_str(line).unwrap();
        let (id, what) = (order["id"].as_u64().unwrap(), order["do"].as_str().unwrap());
        if what == "poll" {
            self.poll = Some((id, 30));
        }
        // Its clock began an hour before ours.
        let at_ns = 3_600_000_000_000 + self.begun.get_or_insert_with(Instant::now).elapsed().as_nanos() as u64;
        self.lines.push_back(json!({"id": id, "t": at_ns, "done": true}).to_string());
        if what == "die" {
            self.is_dead = true;
        }
        Ok(())
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<String>, RemoteError> {
        if !self.says_hello {
            self.says_hello = true;
            return Ok(Some("{\"hello\": 1, \"folder\": \"/w\", \"machine\": \"m\"}".to_owned()));
        }
        if let Some(line) = self.lines.pop_front() {
            return Ok(Some(line));
        }
        let Some((id, left)) = &mut self.poll else { return Ok(None) };
        if wait.is_zero() && self.given.is_some_and(|given| given.elapsed() < Duration::from_millis(5)) {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
        self.given = Some(Instant::now());
        let at_ns = 3_600_000_000_000 + self.begun.unwrap().elapsed().as_nanos() as u64;
        if *left == 0 && self.ending.is_empty() {
            return Err(RemoteError::Lost { how: "the network is down".to_owned() });
        }
        if *left == 0 {
            return Ok(Some(json!({"id": *id, "t": at_ns, "exit": 1, "problem": self.ending}).to_string()));
        }
        *left -= 1;
        Ok(Some(json!({"id": *id, "t": at_ns, "values": ["2000000"]}).to_string()))
    }
}

#[test]
fn a_connection_that_breaks_and_a_sensor_that_vanishes_are_errors() {
    for (ending, expected) in [("", "the network is down"), ("['/sys/x']: No such device", "No such device")] {
        let sensors = sysfs::sensors_of(&[("/sys/class/hwmon/hwmon0/power1_input".to_owned(), "2000000".to_owned())]);
        let source = Source::Sensors { sensors, period: PERIOD };
        let fake = Fake { ending: ending.to_owned(), ..Fake::default() };
        let session = Session::over(Place::Here, Agent::greet(Box::new(fake)).unwrap());
        let error = fault_of(&mut RemoteMeter::new(session, source, Clock::start())).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
