//! Faults of the machine: their messages, and that a search continues once they are mended.

#[path = "faults/devices.rs"]
mod devices;
#[path = "faults/equipment.rs"]
mod equipment;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use end_to_end::{Disk, Journal, Program, Table, experiment, live_experiment};
use serde_json::Value;

/// A folder with something to search in.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Table::write(folder.path());
        std::fs::write(folder.path().join("experiment.toml"), experiment()).unwrap();
        std::fs::write(folder.path().join("live.toml"), live_experiment(2, 5, 50)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn journal(&self, run: &str) -> PathBuf {
        self.path(run).join("measurements.csv")
    }

    fn program(&self) -> Program {
        Program::new(self.folder.path())
    }

    /// The program below a shell that sets a limit.
    fn limited(&self, limit: &str) -> Program {
        let script = format!("{limit}; exec \"$0\" \"$@\"");
        Program::below(self.folder.path(), &["bash", "-c", &script])
    }

    fn replay(program: Program, run: &str, evaluations: &str) -> Program {
        let args = ["replay", "table.csv", "--experiment", "experiment.toml", "--strategy", "evolution", "--seed", "3"];
        program.args(args).args(["--evaluations", evaluations, "--quiet", "--out", run])
    }

    fn search(program: Program, run: &str) -> Program {
        program.args(["search", "live.toml", "--quiet", "--out", run])
    }

    /// A journal of 60 evaluations, and a run that has half of them.
    fn half_done(&self, run: &str) -> Vec<u8> {
        Self::replay(self.program(), "whole", "60").succeed();
        Self::replay(self.program(), run, "30").succeed();
        std::fs::read(self.journal("whole")).unwrap()
    }

    /// Messages of the program that continues to 60 evaluations.
    fn goes_on_to(&self, run: &str, expected: &[u8]) -> String {
        let ended = self.program().args(["--resume", run, "--evaluations", "60", "--quiet"]).run();
        assert_eq!(ended.code, Some(0), "{ended}");
        assert!(std::fs::read(self.journal(run)).unwrap() == expected, "{ended}");
        ended.err
    }
}

/// Asserts that a message holds all of these.
fn check_message(message: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_folder_that_cannot_be_written() {
    let place = Place::new();
    let Some(disk) = Disk::mount(&place.path("disk"), 4096) else { return };
    let expected = place.half_done("disk/run");
    disk.forbid_writing();
    let message = place.program().args(["--resume", "disk/run", "--evaluations", "60", "--quiet"]).fail();
    check_message(&message, &["disk/run", "Read-only file system"]);
    let message = Place::replay(place.program(), "disk/other", "30").fail();
    check_message(&message, &["disk/other", "Read-only file system"]);
    // The journal can be read all the same.
    let front: Value = serde_json::from_str(&place.program().args(["front", "disk/run", "--json"]).succeed()).unwrap();
    assert_eq!(front["evaluations"], 30);
    disk.allow_writing();
    place.goes_on_to("disk/run", &expected);
}

#[test]
fn a_folder_below_a_file() {
    let place = Place::new();
    let message = Place::replay(place.program(), "table.csv/run", "30").fail();
    check_message(&message, &["cannot create the folder table.csv/run", "Not a directory"]);
    let message = place.program().args(["--resume", "table.csv/run"]).fail();
    check_message(&message, &["table.csv/run is not a run folder"]);
}

#[test]
fn too_few_files_may_be_open() {
    let place = Place::new();
    let expected = place.half_done("run");
    let (mut failed, mut succeeded) = (0, 0);
    // From what does not even start up to what is enough.
    for limit in [6, 8, 10, 12, 20, 30, 45, 64] {
        let run = format!("run-{limit}");
        let ended = Place::replay(place.limited(&format!("ulimit -n {limit}")), &run, "30").run();
        match ended.code {
            Some(0) => succeeded += 1,
            _ => {
                failed += 1;
                check_message(&ended.err, &["error: ", "Too many open files", "ulimit -n"]);
                // Where there is a run already it goes on, otherwise it begins.
                if !place.path(&run).join("config.toml").exists() {
                    Place::replay(place.program(), &run, "30").succeed();
                }
            }
        }
        place.goes_on_to(&run, &expected);
    }
    assert!(failed > 0 && succeeded > 0, "{failed} failed, {succeeded} succeeded");
}

#[test]
fn a_checkpoint_of_another_version_is_not_called_damaged() {
    let place = Place::new();
    let expected = place.half_done("run");
    let path = place.path("run/checkpoint/strategy");
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let mut header: Value = serde_json::from_slice(&bytes[..end]).unwrap();
    header["version"] = 7.into();
    header["layout"] = "of tomorrow".into();
    std::fs::write(&path, format!("{header}\nanything else")).unwrap();
    let printed = place.goes_on_to("run", &expected);
    check_message(&printed, &["by another version of the program (format 7", "going on from the journal alone"]);
    assert!(!printed.contains("damaged"), "{printed}");
}

#[test]
fn settings_of_another_version() {
    let place = Place::new();
    let expected = place.half_done("run");
    let config = place.path("run/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    // A newer one has a key that is not known here.
    std::fs::write(&config, text.replace("[search]\n", "[search]\nforesight = 3\n")).unwrap();
    for verb in [&["--resume", "run"][..], &["--resume", "run", "--evaluations", "60"], &["front", "run"]] {
        let message = place.program().args(verb).fail();
        check_message(&message, &["run/config.toml:2:1", "foresight", "another version of the program"]);
    }
    // An older version lacks a key, so that its fingerprint differs; the file was not edited.
    let older = text.replace("remeasure = 0\n", "");
    assert_ne!(older, text);
    for path in [&config, &place.path("run/checkpoint/config.toml")] {
        std::fs::write(path, &older).unwrap();
    }
    let strategy = place.path("run/checkpoint/strategy");
    let bytes = std::fs::read(&strategy).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let mut header: Value = serde_json::from_slice(&bytes[..end]).unwrap();
    header["experiment"] = "that of an older version".into();
    let changed = [header.to_string().as_bytes(), &bytes[end..]].concat();
    std::fs::write(&strategy, &changed).unwrap();
    std::fs::write(&config, older.replace("seed = 3\n", "seed = 4\n")).unwrap();
    let message = place.program().args(["--resume", "run"]).fail();
    check_message(&message, &["config.toml was changed since the run began"]);
    std::fs::write(&config, &older).unwrap();
    let printed = place.goes_on_to("run", &expected);
    check_message(&printed, &["begun by another version", "going on from the journal alone"]);
}

#[test]
fn tensorboard_events_that_cannot_be_written() {
    let place = Place::new();
    let expected = place.half_done("run");
    // Where runs of earlier versions have their events.
    std::fs::write(place.path("run/tensorboard"), "in the way").unwrap();
    let printed = place.goes_on_to("run", &expected);
    check_message(&printed, &["warning: TensorBoard events cannot be written", "the search goes on without them"]);
}

#[test]
fn tensorboard_events_that_are_deleted_while_the_search_runs() {
    let place = Place::new();
    let mut child = Place::search(place.program(), "run").start();
    wait_until(|| place.journal("run").exists() && !Journal::read_whole_lines(&place.journal("run")).rows.is_empty());
    let entries = std::fs::read_dir(place.path("run")).unwrap().map(|entry| entry.unwrap().path());
    let is_events = |path: &PathBuf| path.to_string_lossy().contains("/events.");
    entries.filter(is_events).for_each(|path| std::fs::remove_file(path).unwrap());
    assert!(child.wait().unwrap().success());
    assert_eq!(Journal::read(&place.journal("run")).rows.len(), 6);
}

fn wait_until(happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_folder_for_temporary_files_that_is_not_there() {
    let place = Place::new();
    let program = || place.program().variable("TMPDIR", "/nowhere/at/all");
    // A search needs none.
    Place::search(program(), "run").succeed();
    let cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_1x1~2|";
    let message = program().args(["measure", cell, "--experiment", "live.toml"]).fail();
    check_message(&message, &["/nowhere/at/all", "TMPDIR"]);
}

#[test]
fn a_full_disk_is_no_fault_of_the_networks() {
    let place = Place::new();
    let Some(disk) = Disk::mount(&place.path("disk"), 4096) else { return };
    Place::search(place.program(), "whole").succeed();
    Place::search(place.program(), "disk/run").args(["--evaluations", "3"]).succeed();
    // Something else takes all that is left.
    let ballast = place.path("disk/ballast");
    let mut size = 4 << 20;
    while std::fs::write(&ballast, vec![0; size]).is_err() {
        size -= 4096;
    }
    let message = place.program().args(["--resume", "disk/run", "--evaluations", "6", "--quiet"]).fail();
    check_message(&message, &["No space left on device"]);
    let rows = Journal::read_whole_lines(&place.journal("disk/run")).rows;
    assert!(rows.iter().all(|row| row.text("status") == "ok") && rows.len() < 6, "{rows:?}");
    disk.grow();
    place.program().args(["--resume", "disk/run", "--evaluations", "6", "--quiet"]).succeed();
    let found = |run: &str| -> Vec<String> {
        let rows = Journal::read(&place.journal(run)).rows;
        rows.iter().map(|row| format!("{} {}", row.text("architecture"), row.text("accuracy"))).collect()
    };
    assert_eq!(found("disk/run"), found("whole"));
}

#[test]
fn children_too_large_for_the_memory_fail_and_the_search_does_not() {
    let place = Place::new();
    // Many layers and images, few weights: measured they are small.
    let large = ["space.channels=32", "space.cells=12", "space.operations=[\"nor_conv_3x3\", \"nor_conv_1x1\"]"];
    let large = large.into_iter().chain(["training.batch_size=1000", "data.limit=1400"]);
    let large: Vec<&str> = large.flat_map(|setting| ["--set", setting]).collect();
    // glibc reserves 64 MiB of addresses for each thread, used or not, and the limit counts them.
    let memory = "export MALLOC_ARENA_MAX=1; ulimit -v 1500000";
    let search = Place::search(place.limited(memory), "large").args(&large).args(["--evaluations", "3"]);
    let message = search.fail();
    check_message(&message, &["none of the 3 evaluations succeeded", "B are free", "reduce training.batch_size"]);
    let journal = Journal::read(&place.journal("large"));
    assert_eq!(journal.rows.len(), 3);
    for row in &journal.rows {
        assert_eq!((row.text("status"), row.text("accuracy")), ("failed", ""), "{row:?}");
        assert!(row.number("time_ms").is_some(), "it was measured before: {row:?}");
        check_message(row.text("message"), &["it needs about", "to train with a batch of", "the space's channels"]);
    }
    // Many weights: they are too many to be measured.
    let wide = ["space.channels=512", "space.operations=[\"nor_conv_3x3\", \"nor_conv_1x1\"]"];
    let wide: Vec<&str> = wide.into_iter().flat_map(|setting| ["--set", setting]).collect();
    Place::search(place.limited(memory), "wide").args(&wide).args(["--evaluations", "2"]).fail();
    for row in &Journal::read(&place.journal("wide")).rows {
        assert_eq!((row.text("status"), row.number("time_ms")), ("failed", None), "{row:?}");
        check_message(
            row.text("message"),
            &["it needs about", "to be written as a model and measured", "the images' size"],
        );
    }
    // The same machine trains what fits.
    Place::search(place.limited(memory), "small").args(["--evaluations", "3"]).succeed();
    let cell = journal.rows[0].text("architecture");
    let train = ["train", cell, "--experiment", "live.toml"];
    let message = place.limited(memory).args(train).args(&large).fail();
    check_message(&message, &["it needs about", "reduce training.batch_size"]);
    let message = place.limited(memory).args(["measure", cell, "--experiment", "live.toml"]).args(&wide).fail();
    check_message(&message, &["it needs about", "to be written as a model and measured"]);
}

#[test]
fn nothing_is_left_beside_the_run() {
    let place = Place::new();
    let temporary = place.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let program = || place.program().variable("TMPDIR", &temporary.display().to_string());
    let mut child = Place::search(program(), "run").start();
    let scratch = place.path("run/checkpoint/scratch");
    wait_until(|| scratch.read_dir().is_ok_and(|mut entries| entries.next().is_some()));
    child.kill().unwrap();
    child.wait().unwrap();
    let is_empty = |folder: &Path| folder.read_dir().unwrap().next().is_none();
    assert!(is_empty(&temporary));
    program().args(["--resume", "run", "--quiet"]).succeed();
    assert!(is_empty(&temporary) && !scratch.exists());
    assert_eq!(Journal::read(&place.journal("run")).rows.len(), 6);
}
