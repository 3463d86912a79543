//! Devices that are programs: onnxruntime as it is, and programs that fail in every way.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use end_to_end::{Journal, Program, test_python};
use serde_json::Value;
use tempfile::TempDir;

const CELL: &str = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|";

/// A folder with an experiment whose only device is a program.
struct Place {
    folder: TempDir,
}

impl Place {
    /// A program in the language of the interpreter, and further keys of the device.
    fn new(interpreter: &str, program: &str, keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("program"), program).unwrap();
        let place = Self { folder };
        place.experiment(&format!("command = [{interpreter:?}, \"program\"]\n{keys}"));
        place
    }

    fn experiment(&self, keys: &str) {
        let text = format!(
            "[space]\nname = 'nasbench201'\nchannels = 4\ncells = 1\n[data]\nname = 'digits'\nlimit = 300\n\
             [fidelity]\nmeasure_ahead = 0\n[training]\nepochs = 1\naugmentation = {{}}\n[measuring]\ntime_limit_ms = 300\n\
             [devices.mine]\nkind = 'command'\ntries = 1\n{keys}"
        );
        fs::write(self.folder.path().join("experiment.toml"), text).unwrap();
    }

    fn program(&self, arguments: &[&str]) -> Program {
        let cache = self.folder.path().join("cache").display().to_string();
        Program::new(self.folder.path()).args(arguments).variable("XDG_CACHE_HOME", &cache)
    }

    fn measure(&self, more: &[&str]) -> Program {
        self.program(&[&["measure", CELL, "--experiment", "experiment.toml"], more].concat())
    }

    fn measured(&self) -> Value {
        serde_json::from_str(&self.measure(&["--json"]).succeed()).unwrap()
    }
}

/// A shell program that prints `answer` for every model.
fn shell(answer: &str, keys: &str) -> Place {
    Place::new("sh", answer, keys)
}

fn number(found: &Value, key: &str) -> f64 {
    found[key].as_f64().unwrap_or_else(|| panic!("no {key}: {found}"))
}

#[test]
fn onnxruntime_is_measured_by_the_example_with_a_meter_beside_it() {
    let Some(python) = test_python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/measure_onnxruntime.py");
    let meter = "import time\nwhile True:\n    print('2.0', flush=True)\n    time.sleep(0.01)\n";
    let place = Place::new("sh", meter, "");
    let command = format!("command = [{:?}, {script:?}]\n", python.display().to_string());
    place.experiment(&command);
    let found = place.measured();
    assert!((1e-3..100.0).contains(&number(&found, "time_ms")) && number(&found, "time_runs") >= 20.0, "{found}");
    assert!(number(&found, "time_ms_min") <= number(&found, "time_ms_p50") && found["energy_mj"].is_null(), "{found}");
    assert!(found["device"].as_str().unwrap().starts_with("command onnxruntime 1."), "{found}");

    place.experiment(&format!(
        "{command}meter = {{ kind = 'stream', command = ['python3', '-u', 'program'], columns = {{ power = {{ column = 1, unit = 'w' }} }} }}\n\
         energy = {{ window_s = 1, window_limit_s = 3, idle_s = 0.3 }}\n"
    ));
    let found = place.measured();
    assert!((number(&found, "power_mw") - 2000.0).abs() < 1e-6 && number(&found, "power_samples") >= 30.0, "{found}");
    // Energy is mean power times mean time. Python's loop is in the energy, and not in the time.
    let ratio = number(&found, "energy_mj") / (2.0 * number(&found, "time_ms_mean"));
    assert!((0.95..1.5).contains(&ratio), "{ratio}: {found}");
}

#[test]
fn a_search_measures_by_the_energy_that_the_program_prints() {
    let place =
        shell("echo '{\"time_ms\": 2.5, \"energy_mj\": 7, \"device\": \"scales\", \"warnings\": [\"a draught\"]}'", "");
    let arguments = ["search", "experiment.toml", "--out", "run", "--quiet", "--set", "search.evaluations=2"];
    place.program(&arguments).succeed();
    let journal = Journal::read(&place.folder.path().join("run/measurements.csv"));
    assert_eq!(journal.ended().len(), 2);
    for row in journal.ended() {
        assert_eq!((row.text("status"), row.text("device")), ("ok", "command scales"), "{row:?}");
        assert_eq!((row.number("time_ms"), row.number("energy_mj")), (Some(2.5), Some(7.0)), "{row:?}");
    }
    let config: toml::Table = fs::read_to_string(place.folder.path().join("run/config.toml")).unwrap().parse().unwrap();
    let program = config["devices"]["mine"]["command"][1].as_str().unwrap();
    assert!(Path::new(program).is_absolute(), "a run goes on in any working directory: {program}");
    assert!(place.measure(&[]).succeed().contains("a draught"));
}

#[test]
fn the_program_gets_the_plan_and_the_model() {
    let program = "test -s \"$1\" || exit 9\n\
                   echo \"{\\\"time_ms\\\": $CONTROLLER_TIME_LIMIT_MS, \\\"time_runs\\\": $CONTROLLER_MIN_RUNS}\"";
    let found = shell(program, "").measured();
    assert_eq!((number(&found, "time_ms"), number(&found, "time_runs")), (300.0, 20.0));
}

#[test]
fn programs_that_print_garbage_or_die_are_rejected_with_what_they_printed() {
    for (program, parts) in [
        ("echo 1.5 ms", ["must print one JSON object", "1.5 ms"]),
        ("true", ["must print one JSON object", "nothing"]),
        ("echo '{\"time\": 1}'", ["unknown field `time`", "time_ms"]),
        ("echo '{\"time_ms\": -1}'", ["-1", "mean latency"]),
        ("head -c 3000 /dev/urandom", ["program", "printed"]),
        ("echo out of memory >&2; exit 3", ["status 3", "out of memory"]),
        ("kill -SEGV $$", ["signal 11", "program"]),
        ("echo '{\"error\": \"no convolutions\"}'", ["refuses", "no convolutions"]),
    ] {
        // The first run, on the smallest network, has to succeed for a device to be there at all.
        let program = format!("case $1 in *probe*) echo '{{\"time_ms\": 1}}';; *) {program};; esac");
        let message = shell(&program, "").measure(&[]).fail();
        assert!(parts.iter().all(|part| message.contains(part)), "{program}: {message}");
    }
    let message = Place::new("no-such-interpreter", "", "").measure(&[]).fail();
    assert!(message.contains("the program no-such-interpreter is not found"), "{message}");
    let begun = Instant::now();
    let message = shell("exit 4", "patience_s = 60").measure(&[]).fail();
    assert!(message.contains("status 4") && begun.elapsed() < Duration::from_secs(30), "{message}");
}

#[test]
fn a_program_that_hangs_is_ended_with_its_children() {
    let program = "sleep 3000 & echo $! > \"$0.child\"; wait";
    let place = shell(program, "grace_s = 1.5");
    let begun = Instant::now();
    let message = place.measure(&[]).fail();
    assert!(message.contains("raise grace_s"), "{message}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let child = fs::read_to_string(place.folder.path().join("program.child")).unwrap();
    let state = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    assert!(!state.is_ok_and(|state| !state.contains(") Z ")), "the program's child is left behind");
}

#[test]
fn a_gigabyte_on_either_stream_is_not_kept() {
    let place = shell("head -c 1000000000 /dev/zero; echo more", "");
    let message = place.measure(&[]).fail();
    assert!(message.contains("printed more than 64 MiB"), "{message}");
    let place = shell("yes message | head -c 1000000000 >&2; echo '{\"time_ms\": 1.25}'", "");
    assert_eq!(number(&place.measured(), "time_ms"), 1.25);
}
