//! An interrupted search continues to the same result, also where a part of its folder is damaged or missing.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use end_to_end::{Journal, Program, Table, experiment, live_experiment};

const STRATEGIES: [&str; 5] = ["random", "evolution", "policy-gradient", "bayesian", "model-based"];

/// A folder with something to search in.
struct Place {
    folder: tempfile::TempDir,
    begin: Vec<String>,
}

impl Place {
    /// A replayed table: over in a fraction of a second.
    fn replayed(strategy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Table::write(folder.path());
        std::fs::write(folder.path().join("experiment.toml"), experiment()).unwrap();
        let args = ["replay", "table.csv", "--experiment", "experiment.toml", "--strategy", strategy];
        let more = ["--evaluations", "90", "--seed", "3", "--quiet", "--out"];
        Self { folder, begin: args.into_iter().chain(more).map(str::to_owned).collect() }
    }

    /// Children that are really trained and timed. Random search alone proposes the same for any measured values.
    fn live() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("live.toml"), live_experiment(2, 5, 50)).unwrap();
        Self { folder, begin: ["search", "live.toml", "--quiet", "--out"].map(str::to_owned).to_vec() }
    }

    fn path(&self, run: &str) -> PathBuf {
        self.folder.path().join(run)
    }

    fn journal(&self, run: &str) -> PathBuf {
        self.path(run).join("measurements.csv")
    }

    fn program(&self) -> Program {
        Program::new(self.folder.path())
    }

    /// The program beginning a run, or going on with it where there is something to go on with.
    fn go_on(&self, run: &str) -> Program {
        match self.path(run).join("config.toml").is_file() {
            true => self.program().args(["--resume", run, "--quiet"]),
            false => self.program().args(&self.begin).args([run]),
        }
    }
}

/// The journal of an uninterrupted run.
fn uninterrupted(place: &Place) -> Vec<u8> {
    place.go_on("whole").succeed();
    std::fs::read(place.journal("whole")).unwrap()
}

/// A run that was killed somewhere in its middle, and the journal that it should come to.
fn half_done(place: &Place, run: &str) -> Vec<u8> {
    let expected = uninterrupted(place);
    let rows = |path: &Path| if path.exists() { Journal::read_whole_lines(path).rows.len() } else { 0 };
    for _ in 0..20 {
        let mut child = place.go_on(run).start();
        while rows(&place.journal(run)) < 20 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        // It may have ended by itself.
        let _ = child.kill();
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(9), "{status}");
        if (20..90).contains(&rows(&place.journal(run))) {
            return expected;
        }
        std::fs::remove_dir_all(place.path(run)).unwrap();
    }
    panic!("the kill comes too late each time");
}

fn goes_on_to(place: &Place, run: &str, expected: &[u8]) -> String {
    let ended = place.go_on(run).run();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(std::fs::read(place.journal(run)).unwrap() == expected, "{ended}");
    ended.err
}

#[test]
fn a_torn_last_line_is_cut_off() {
    let place = Place::replayed("evolution");
    let expected = half_done(&place, "run");
    let mut journal = std::fs::read(place.journal("run")).unwrap();
    journal.truncate(journal.iter().rposition(|byte| *byte == b'\n').unwrap() + 1);
    let next = &expected[journal.len()..];
    journal.extend_from_slice(&next[..40]);
    std::fs::write(place.journal("run"), &journal).unwrap();
    let printed = goes_on_to(&place, "run", &expected);
    assert!(printed.contains("half a line"), "{printed}");
}

#[test]
fn without_a_checkpoint_the_journal_is_enough() {
    for strategy in STRATEGIES {
        let place = Place::replayed(strategy);
        let expected = half_done(&place, "run");
        std::fs::remove_dir_all(place.path("run/checkpoint")).unwrap();
        goes_on_to(&place, "run", &expected);
    }
}

#[test]
fn a_damaged_checkpoint_is_reported_and_not_used() {
    let place = Place::replayed("policy-gradient");
    let expected = half_done(&place, "run");
    let entries = std::fs::read_dir(place.path("run/checkpoint")).unwrap().map(|entry| entry.unwrap().path());
    // Rows that wait are measurements, not a state that can be computed again.
    let waiting = place.path("run/checkpoint/waiting.csv");
    let files: Vec<_> = entries.filter(|path| path.is_file() && *path != waiting).collect();
    assert!(!files.is_empty());
    for file in files {
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let printed = goes_on_to(&place, "run", &expected);
    assert!(printed.contains("checkpoint") && printed.contains("damaged"), "{printed}");
}

#[test]
fn a_checkpoint_that_is_ahead_of_the_journal_is_not_used() {
    // As after a power cut: the checkpoint was on the disk, the end of the journal was not.
    let place = Place::replayed("evolution");
    let expected = uninterrupted(&place);
    let mut journal = expected.clone();
    journal.truncate(journal.len() / 2);
    std::fs::write(place.journal("whole"), journal).unwrap();
    goes_on_to(&place, "whole", &expected);
}

#[test]
fn a_run_whose_journal_is_missing_is_not_searched_again() {
    let place = Place::replayed("random");
    uninterrupted(&place);
    std::fs::remove_file(place.journal("whole")).unwrap();
    for _ in 0..2 {
        let error = place.go_on("whole").fail();
        assert!(error.contains("measurements.csv is missing or empty, but the run had recorded 180 rows"), "{error}");
    }
}

#[test]
fn a_finished_run_goes_on_with_more_evaluations() {
    let place = Place::replayed("policy-gradient");
    let expected = uninterrupted(&place);
    let args = ["replay", "table.csv", "--experiment", "experiment.toml", "--strategy", "policy-gradient"];
    let more = ["--evaluations", "40", "--seed", "3", "--quiet", "--out", "short"];
    place.program().args(args).args(more).succeed();
    assert_eq!(Journal::read(&place.journal("short")).rows.len(), 40);
    place.program().args(["--resume", "short", "--evaluations", "90", "--quiet"]).succeed();
    assert!(std::fs::read(place.journal("short")).unwrap() == expected);
    // And a finished one that is resumed as it is stays as it is.
    place.program().args(["--resume", "short", "--evaluations", "90", "--quiet"]).succeed();
    assert!(std::fs::read(place.journal("short")).unwrap() == expected);
}

#[test]
fn a_run_of_another_experiment_is_rejected_and_kept() {
    let place = Place::replayed("evolution");
    let expected = uninterrupted(&place);
    let other = experiment().replace("cells = 1", "cells = 2");
    std::fs::write(place.path("other.toml"), other).unwrap();
    let error = place.program().args(["search", "other.toml", "--resume", "whole"]).fail();
    assert!(error.contains("another experiment") && error.contains("space.cells (1 there, 2 here)"), "{error}");
    let error = place.program().args(["--resume", "whole", "--seed", "4"]).fail();
    assert!(error.contains("search.seed (3 there, 4 here)"), "{error}");
    assert!(std::fs::read(place.journal("whole")).unwrap() == expected);
}

#[test]
fn a_journal_of_another_run_is_rejected_and_kept() {
    let place = Place::replayed("evolution");
    uninterrupted(&place);
    let args = ["replay", "table.csv", "--experiment", "experiment.toml", "--strategy", "evolution"];
    let more = ["--evaluations", "30", "--seed", "4", "--quiet", "--out", "other"];
    place.program().args(args).args(more).succeed();
    std::fs::copy(place.journal("whole"), place.journal("other")).unwrap();
    std::fs::remove_dir_all(place.path("other/checkpoint")).unwrap();
    let error = place.go_on("other").fail();
    assert!(error.contains("measurements.csv") && error.contains("evaluation 0"), "{error}");
    assert_eq!(std::fs::read(place.journal("whole")).unwrap(), std::fs::read(place.journal("other")).unwrap());
}

#[test]
fn two_programs_do_not_share_a_run() {
    let place = Place::live();
    let mut first = place.go_on("run").start();
    wait_until(|| place.journal("run").exists());
    let error = place.program().args(["--resume", "run"]).fail();
    assert!(error.contains("another process is searching"), "{error}");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn an_interrupt_ends_cleanly_and_the_run_goes_on() {
    let place = Place::live();
    let mut child = place.go_on("run").start();
    wait_until(|| place.journal("run").exists() && !Journal::read_whole_lines(&place.journal("run")).rows.is_empty());
    interrupt(&child);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{status}");
    let before = Journal::read(&place.journal("run")).jobs;
    assert!((1..12).contains(&before.len()), "{} rows", before.len());
    for file in ["pareto.csv", "report.html"] {
        assert!(place.path("run").join(file).is_file(), "{file} is written however the search ends");
    }
    place.go_on("run").succeed();
    let after = Journal::read(&place.journal("run"));
    assert_eq!(&after.jobs[..before.len()], &before[..]);
    assert_eq!(after.rows.iter().filter(|row| !row.text("accuracy").is_empty()).count(), 6);
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn wait_until(happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_goes_on_from_another_working_directory() {
    let place = Place::replayed("evolution");
    let expected = half_done(&place, "run");
    let elsewhere = tempfile::tempdir().unwrap();
    Program::new(elsewhere.path()).args(["--resume"]).args([place.path("run")]).args(["--quiet"]).succeed();
    assert!(std::fs::read(place.journal("run")).unwrap() == expected);
}
