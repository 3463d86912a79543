//! A disk that is full while a search writes: the journal stays readable, and the run goes on when there is room.

use std::path::{Path, PathBuf};

use end_to_end::{Disk, Journal, Program, Table, experiment};

const EVALUATIONS: &str = "300";

/// A folder with a table, its experiment, and a run of it that met no trouble.
fn place(strategy: &str) -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    Table::write(folder.path());
    std::fs::write(folder.path().join("experiment.toml"), experiment()).unwrap();
    begin(Program::new(folder.path()), strategy, Path::new("whole")).succeed();
    let journal = std::fs::read(folder.path().join("whole/measurements.csv")).unwrap();
    (folder, journal)
}

fn begin(program: Program, strategy: &str, run: &Path) -> Program {
    let args = ["replay", "table.csv", "--experiment", "experiment.toml", "--strategy", strategy];
    program.args(args).args(["--evaluations", EVALUATIONS, "--quiet", "--out"]).args([run])
}

/// Checks the run after the disk was full, and that it continues once there is room again.
fn check_what_is_left(folder: &Path, run: &Path, message: &str, expected: &[u8], make_room: impl FnOnce()) {
    assert!(message.contains("resume"), "the message says what to do: {message}");
    let journal = run.join("measurements.csv");
    let left = Journal::read_whole_lines(&journal).ended().len();
    assert!((1..300).contains(&left), "{left} rows: the disk was not full in the middle of it");
    let front = Program::new(folder).args(["front", "--json"]).args([run]).succeed();
    assert!(front.contains(&format!("\"evaluations\": {left}")), "{front}");
    make_room();
    Program::new(folder).args(["--resume"]).args([run]).args(["--quiet"]).succeed();
    assert!(std::fs::read(&journal).unwrap() == expected);
}

#[test]
fn a_limit_on_the_size_of_files() {
    let (folder, expected) = place("random");
    let run = PathBuf::from("run");
    // In units of 1,024 bytes; with the signal ignored, writing beyond it is an error like that of a full disk.
    let limited = ["bash", "-c", "ulimit -f 12; trap '' XFSZ; exec \"$0\" \"$@\""];
    let message = begin(Program::below(folder.path(), &limited), "random", &run).fail();
    check_what_is_left(folder.path(), &folder.path().join(run), &message, &expected, || ());
}

#[test]
fn a_small_file_system() {
    for (strategy, kilobytes) in [("random", 96), ("policy-gradient", 1024)] {
        let (folder, expected) = place(strategy);
        let Some(disk) = Disk::mount(&folder.path().join("disk"), kilobytes) else { return };
        let run = disk.path.join("run");
        // Something else takes the room until little is left.
        if strategy == "policy-gradient" {
            std::fs::write(disk.path.join("ballast"), vec![0; 100 * 1024]).unwrap();
        }
        let message = begin(Program::new(folder.path()), strategy, &run).fail();
        check_what_is_left(folder.path(), &run, &message, &expected, || disk.grow());
    }
}
