//! Run folders that version 0.1 wrote are read, continued and imported. `fixtures/runs-0.1/README.md` says how they were
//! made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use end_to_end::{Journal, Program, front};
use sha2::{Digest as _, Sha256};

const STRATEGIES: [&str; 4] = ["random", "evolution", "policy-gradient", "model-based"];

/// A copy of all fixtures, as if they had been made where it lies.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/runs-0.1"), place.0.path());
        for run in STRATEGIES.into_iter().chain(["imported", "live"]) {
            place.sign(&place.path(run));
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, args: &[&str]) -> Program {
        Program::new(self.0.path()).args(args)
    }

    fn journal(&self, run: &str) -> Vec<u8> {
        std::fs::read(self.path(run).join("measurements.csv")).unwrap()
    }

    /// Copies a folder. Texts name the folder that they were made in `@PLACE@`.
    fn copy(&self, from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if from.is_dir() {
                self.copy(&from, &to);
                continue;
            }
            let content = std::fs::read(from).unwrap();
            let content = match String::from_utf8(content) {
                Ok(text) => text.replace("@PLACE@", self.0.path().to_str().unwrap()).into_bytes(),
                Err(error) => error.into_bytes(),
            };
            std::fs::write(to, content).unwrap();
        }
    }

    /// Puts the fingerprint of the copied experiment into its checkpoint, as 0.1 computed it: the hash of the experiment
    /// without its numbers of evaluations.
    fn sign(&self, run: &Path) {
        let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
        let mut lines: Vec<&str> = config.lines().collect();
        for (key, zero) in [("evaluations = ", "evaluations = 0"), ("remeasure = ", "remeasure = 0")] {
            *lines.iter_mut().find(|line| line.starts_with(key)).unwrap() = zero;
        }
        let hash = Sha256::digest(lines.join("\n") + "\n");
        let fingerprint: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = run.join("checkpoint/strategy");
        let checkpoint = std::fs::read(&path).unwrap();
        let end = checkpoint.iter().position(|byte| *byte == b'\n').unwrap();
        let mut header: serde_json::Value = serde_json::from_slice(&checkpoint[..end]).unwrap();
        header["experiment"] = fingerprint.into();
        let signed = [header.to_string().as_bytes(), &checkpoint[end..]].concat();
        std::fs::write(path, signed).unwrap();
    }
}

#[test]
fn interrupted_runs_of_the_old_version_go_on_from_their_journals() {
    let place = Place::new();
    for run in STRATEGIES.into_iter().chain(["imported"]) {
        let expected = Journal::read(&place.path(&format!("{run}.whole.csv")));
        let begun = place.journal(run);
        let rows = Journal::read(&place.path(run).join("measurements.csv")).jobs.len();
        assert!(rows < expected.jobs.len(), "{run}");
        let ended = place.program(&["--resume", run, "--quiet"]).run();
        assert_eq!(ended.code, Some(0), "{run}: {ended}");
        // Its checkpoint is of a version whose rows held whole evaluations.
        assert!(ended.err.contains("another version") && ended.err.contains("journal alone"), "{run}: {ended}");
        assert!(place.journal(run).starts_with(&begun), "{run}");
        let journal = Journal::read(&place.path(run).join("measurements.csv"));
        assert_eq!(journal.ended().len(), expected.rows.len(), "{run}");
        let networks: BTreeSet<&str> = journal.rows.iter().map(|row| row.text("architecture")).collect();
        assert_eq!(networks.len(), journal.rows.len(), "{run}: no network has two evaluations");
    }
}

#[test]
fn fronts_of_old_runs_are_those_of_their_journals() {
    let place = Place::new();
    for run in ["random", "imported", "log"] {
        let printed = place.program(&["front", run, "--json"]).succeed();
        let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
        let journal = Journal::read_whole_lines(&place.path(run).join("measurements.csv"));
        let expected = front(&journal, &["error", "time_ms", "energy_mj"]).len();
        assert_eq!(json["front"].as_array().unwrap().len(), expected, "{run}");
    }
    let printed = place.program(&["compare", "random", "log"]).succeed();
    assert!(printed.contains("random") && printed.contains("log"), "{printed}");
}

#[test]
fn journals_of_old_runs_are_replayed_and_imported() {
    let place = Place::new();
    let args = ["replay", "log/measurements.csv", "--experiment", "experiment.toml", "--evaluations", "20", "--quiet"];
    // The journal has the journal's columns, not those of the table.
    let columns = ["--set", "replay.columns={}", "--out", "again"];
    place.program(&[&args[..], &columns].concat()).succeed();
    let known = Journal::read(&place.path("log/measurements.csv")).rows;
    let found = Journal::read(&place.path("again/measurements.csv")).rows;
    let found = found.into_iter().filter(|row| row.text("status") == "ok").collect::<Vec<_>>();
    assert_eq!(found.len(), 20);
    for row in found {
        let known = known.iter().find(|known| known.text("architecture") == row.text("architecture")).unwrap();
        for column in ["accuracy", "time_ms", "energy_mj", "device"] {
            assert_eq!(row.text(column), known.text(column));
        }
    }
    let before = std::fs::read_to_string(place.path("imported/imported.csv")).unwrap();
    let printed = place.program(&["import", "log", "--into", "imported"]).succeed();
    assert!(printed.contains("0 of 30 rows taken"), "the old version imported them: {printed}");
    assert_eq!(std::fs::read_to_string(place.path("imported/imported.csv")).unwrap(), before);
    let printed = place.program(&["import", "random", "--into", "imported"]).succeed();
    assert!(printed.contains("rows taken") && !printed.contains(": 0 of"), "{printed}");
    let after = std::fs::read_to_string(place.path("imported/imported.csv")).unwrap();
    assert_eq!(after.lines().next(), before.lines().next());
    assert!(after.lines().count() > before.lines().count());
}

#[test]
fn an_old_run_of_trained_children_continues() {
    let place = Place::new();
    let before = place.journal("live");
    place.program(&["front", "live"]).succeed();
    let ended = place.program(&["--resume", "live", "--quiet", "--evaluations", "6"]).run();
    assert_eq!(ended.code, Some(0), "{ended}");
    let after = place.journal("live");
    assert!(after.starts_with(&before));
    let journal = Journal::read(&place.path("live/measurements.csv"));
    assert_eq!(journal.ended().len(), 6);
    assert!(journal.ended().iter().all(|row| row.text("status") == "ok"), "{ended}");
}
