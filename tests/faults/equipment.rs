//! Meters, tools and devices that break in the middle of a search cost none of its evaluations.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use end_to_end::{Ended, Journal, Program, Row};
use tempfile::TempDir;

/// A meter that reads two watts, and crashes, or reads nothing, while a file beside it is there.
const METER: &str = "\
import os, sys, time
while True:
    if os.path.exists(__file__ + '.broken'):
        sys.exit('the adapter was unplugged')
    print('0.0' if os.path.exists(__file__ + '.zero') else '2.0', flush=True)
    time.sleep(0.005)
";

/// A device that measures any model, and no more while a file beside it is there: `always`, or only the `networks` and not
/// the smallest model that it is tried with.
const TOOL: &str = "\
case $1 in *probe*) kind=always;; *) kind='networks always';; esac
for one in $kind; do
    test -e \"$0.$one\" && { echo 'ImportError: no module named engine' >&2; exit 3; }
done
echo '{\"time_ms\": 2.5, \"time_runs\": 30}'
";

struct Place(TempDir);

impl Place {
    /// A search of eight networks on a device with these keys.
    fn new(device: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("meter.py"), METER).unwrap();
        fs::write(folder.path().join("tool.sh"), TOOL).unwrap();
        let text = format!(
            "[search]\nevaluations = 8\nbatch = 2\n[strategy]\nname = 'random'\n\
             [space]\nname = 'nasbench201'\nchannels = 4\ncells = 1\noperations = ['skip_connect', 'nor_conv_1x1']\n\
             [data]\nname = 'digits'\nlimit = 300\n[fidelity]\nmeasure_ahead = 0\n[training]\nepochs = 1\naugmentation = {{}}\n\
             [measuring]\nwarm_up_ms = 10\ntime_limit_ms = 50\n[devices.board]\n{device}"
        );
        fs::write(folder.path().join("experiment.toml"), text).unwrap();
        Self(folder)
    }

    fn metered(patience_s: u32) -> Self {
        Self::new(&format!(
            "kind = 'host'\npatience_s = {patience_s}\n\
             meter = {{ kind = 'stream', command = ['python3', 'meter.py'], columns = {{ power = {{ column = 1, unit = 'w' }} }} }}\n\
             energy = {{ window_s = 0.4, window_limit_s = 1, idle_s = 0.2 }}\n"
        ))
    }

    fn tool(patience_s: u32) -> Self {
        Self::new(&format!("kind = 'command'\ncommand = ['sh', 'tool.sh']\ntries = 1\npatience_s = {patience_s}\n"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, arguments: &[&str]) -> Program {
        let cache = self.path("cache").display().to_string();
        Program::new(self.0.path()).args(arguments).variable("XDG_CACHE_HOME", &cache)
    }

    fn rows(&self) -> Vec<Row> {
        Journal::read_whole_lines(&self.path("run/measurements.csv")).rows
    }

    /// The statuses of the evaluations that have ended.
    fn statuses(&self) -> Vec<String> {
        self.rows().iter().map(|row| row.text("status").to_owned()).filter(|status| status != "measured").collect()
    }

    /// A search; once a network is evaluated `break_it` is called.
    fn search(&self, break_it: impl FnOnce() + Send) -> Ended {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let begun = Instant::now();
                while !fs::read_to_string(self.path("run/measurements.csv")).is_ok_and(|text| text.lines().count() > 1)
                {
                    assert!(begun.elapsed() < Duration::from_secs(120), "nothing is evaluated");
                    std::thread::sleep(Duration::from_millis(10));
                }
                break_it();
            });
            self.program(&["search", "experiment.toml", "--out", "run", "--quiet"]).run()
        })
    }

    fn resume(&self, more: &[&str]) -> Ended {
        self.program(&[&["--resume", "run", "--quiet"], more].concat()).run()
    }
}

fn touch(path: PathBuf) {
    fs::write(path, "").unwrap();
}

/// What a search prints that ends because of its equipment: the fault, and the command to go on.
fn assert_ends_in_order(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended}");
    for part in ["controller --resume run", "finished evaluations are kept"].iter().chain(parts) {
        assert!(ended.err.contains(part), "{part:?} is not in: {ended}");
    }
}

#[test]
fn a_meter_that_breaks_is_waited_for_visibly() {
    let place = Place::metered(100);
    let ended = place.search(|| {
        touch(place.path("meter.py.broken"));
        std::thread::sleep(Duration::from_secs(4));
        fs::remove_file(place.path("meter.py.broken")).unwrap();
    });
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(ended.err.contains("waiting for the meter of `board`: "), "{ended}");
    assert!(ended.err.contains("the adapter was unplugged") && ended.err.contains(" s of 100)"), "{ended}");
    assert_eq!(place.statuses(), ["ok"; 8]);
}

#[test]
fn a_meter_that_stays_broken_ends_the_search_in_order_and_costs_no_evaluation() {
    let place = Place::metered(2);
    let ended = place.search(|| touch(place.path("meter.py.broken")));
    assert_ends_in_order(&ended, &["the power meter", "the adapter was unplugged"]);
    let before = place.statuses();
    assert!(before.len() < 8 && before.iter().all(|status| status == "ok"), "{before:?}");
    assert!(place.path("run/pareto.csv").is_file(), "the front so far");
    // With another command for the meter, and more patience.
    fs::copy(place.path("meter.py"), place.path("spare.py")).unwrap();
    let spare = "devices.board.meter.command=[\"python3\", \"spare.py\"]";
    let ended = place.resume(&["--set", spare, "--set", "devices.board.patience_s=60"]);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(!ended.err.contains("warning"), "the checkpoint is used: {ended}");
    assert_eq!(place.statuses(), ["ok"; 8]);
    let ended = place.resume(&["--set", "measuring.min_runs=7"]);
    assert!(ended.err.contains("measuring.min_runs") && ended.err.contains("patience_s"), "{ended}");
    assert_eq!(ended.code, Some(1), "{ended}");
}

#[test]
fn a_mistake_that_waiting_cannot_mend_ends_the_search_at_once_and_costs_no_evaluation() {
    let place = Place::metered(3000);
    let ended = place.search(|| touch(place.path("meter.py.zero")));
    assert_ends_in_order(&ended, &["cannot be used as set", "reads 0 mW", "its sensor is not connected"]);
    assert!(!ended.err.contains("waiting for"), "{ended}");
    assert!(place.statuses().iter().all(|status| status == "ok"), "{:?}", place.rows());
    fs::remove_file(place.path("meter.py.zero")).unwrap();
    assert_eq!(place.resume(&[]).code, Some(0));
    assert_eq!(place.statuses(), ["ok"; 8]);
}

#[test]
fn a_run_whose_folder_is_deleted_does_not_promise_its_evaluations() {
    let place = Place::tool(2);
    // A file that is written meanwhile is in the way.
    let delete = || {
        assert!((0..100).any(|_| fs::remove_dir_all(place.path("run")).is_ok()), "the folder can be deleted");
    };
    let ended = place.search(delete);
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.err.contains("its folder run is not there any more"), "{ended}");
    assert!(!ended.err.contains("are kept") && !ended.err.contains("--resume"), "{ended}");
}

#[test]
fn a_tool_that_vanishes_costs_no_evaluation() {
    let place = Place::tool(6);
    let ended = place.search(|| touch(place.path("tool.sh.always")));
    assert_ends_in_order(&ended, &["does not work", "no module named engine"]);
    assert!(place.statuses().iter().all(|status| status == "ok"), "{:?}", place.rows());
    fs::remove_file(place.path("tool.sh.always")).unwrap();
    assert_eq!(place.resume(&[]).code, Some(0));
    assert_eq!(place.statuses(), ["ok"; 8]);
}

#[test]
fn a_fault_of_every_network_ends_the_search_and_its_networks_are_tried_again() {
    let place = Place::tool(2);
    let ended = place.search(|| touch(place.path("tool.sh.networks")));
    assert_ends_in_order(&ended, &["the last 3 networks failed for the same reason", "--retry-failed"]);
    let failed = |place: &Place| place.statuses().iter().filter(|status| *status == "failed").count();
    // A row that is ahead of its turn waits in a file of its own.
    assert!((1..=3).contains(&failed(&place)), "{:?}", place.rows());
    fs::remove_file(place.path("tool.sh.networks")).unwrap();
    let ended = place.resume(&["--retry-failed"]);
    assert_eq!(ended.code, Some(0), "{ended}");
    let rows = place.rows();
    assert_eq!((rows.len(), failed(&place)), (11, 3), "{rows:?}");
    // Each failed network has a later row that succeeded, which counts.
    for row in rows.iter().filter(|row| row.text("status") == "failed") {
        let same = |other: &&Row| other.text("architecture") == row.text("architecture");
        assert!(rows.iter().rfind(same).is_some_and(|last| last.text("status") == "ok"), "{rows:?}");
    }
    let front = place.program(&["front", "run", "--json"]).succeed();
    let front: serde_json::Value = serde_json::from_str(&front).unwrap();
    assert_eq!(front["remeasurements"], 0, "{front}");
    let replayed =
        ["replay", "run/measurements.csv", "--experiment", "run", "--out", "again", "--quiet", "--evaluations", "8"];
    place.program(&replayed).succeed();
    let again = Journal::read(&place.path("again/measurements.csv")).rows;
    assert!(again.len() == 8 && again.iter().all(|row| row.text("status") == "ok"), "{again:?}");
    place.program(&["compare", "run", "again"]).succeed();
    let ended = place.program(&["--resume", "again", "--retry-failed"]).run();
    assert!(ended.code == Some(1) && ended.err.contains("a log gives the same answer"), "{ended}");
}

#[test]
fn devices_of_one_target_that_are_not_alike_are_rejected_before_the_search() {
    let place = Place::tool(2);
    for (other, shown) in [
        ("devices.other={ target = \"one\", kind = \"host\" }", "kind: \"command\" and \"host\""),
        ("devices.other={ target = \"one\", kind = \"command\", command = [\"sh\", \"other.sh\"] }", "command: "),
    ] {
        let one = ["--set", "devices.board.target=one", "--set", other];
        let search = [&["search", "experiment.toml", "--out", "run"][..], &one].concat();
        let message = place.program(&search).fail();
        assert!(message.contains("`board` and `other` are not alike") && message.contains(shown), "{message}");
        assert!(!place.path("run").exists(), "nothing is begun");
    }
    // Two devices of one machine take turns.
    let same = "devices.other={ kind = \"command\", command = [\"sh\", \"tool.sh\"], tries = 1, patience_s = 2.0 }";
    place.program(&["search", "experiment.toml", "--out", "run", "--quiet", "--set", same]).succeed();
    assert_eq!(place.statuses(), ["ok"; 8]);
}
