//! A server, and a folder with something to search in.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use end_to_end::{Journal, Nats, Program, Row, Running, Table, experiment, live_experiment};
use serde_json::Value;

use super::client::{Client, wait_until};

pub struct Scene {
    pub nats: Nats,
    pub folder: tempfile::TempDir,
    /// Processes so far, for the names of their output.
    count: Cell<u32>,
    /// Arguments that tell a process how to reach the server.
    pub reach: Vec<String>,
}

/// Columns without times of day and durations.
const TIMELESS: [&str; 14] = [
    "evaluation",
    "architecture",
    "status",
    "accuracy",
    "time_ms",
    "time_ms_std",
    "time_runs",
    "energy_mj",
    "energy_mj_std",
    "power_samples",
    "idle_power_mw",
    "device",
    "epochs",
    "message",
];

impl Scene {
    /// A log that answers, and small networks to train; `None` without a server, after a line that the test is skipped.
    pub fn new() -> Option<Self> {
        Some(Self::on(Nats::start()?))
    }

    pub fn on(nats: Nats) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Table::write(folder.path());
        fs::write(folder.path().join("log.toml"), experiment()).unwrap();
        fs::write(folder.path().join("live.toml"), live_experiment(2, 5, 50)).unwrap();
        let reach = vec!["--cluster".to_owned(), nats.url()];
        Self { nats, folder, count: Cell::new(0), reach }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn client(&self) -> Client {
        Client::new(&self.nats.url())
    }

    /// The program without the server.
    pub fn alone(&self) -> Program {
        // Each thinks that it has the machine for itself.
        Program::new(self.folder.path())
            .variable("TOKIO_WORKER_THREADS", "2")
            .variable("XDG_CACHE_HOME", &self.path("cache").display().to_string())
    }

    /// The program on the server.
    pub fn program(&self, verb: &str, arguments: &[&str]) -> Program {
        self.alone().args([verb]).args(&self.reach).args(arguments)
    }

    pub fn begin(&self, program: Program, name: &str) -> Running {
        self.count.set(self.count.get() + 1);
        program.begin(self.folder.path(), &format!("{name}-{}", self.count.get()))
    }

    /// A worker, which may not be ready yet.
    pub fn worker(&self, arguments: &[&str]) -> Running {
        self.begin(self.program("worker", arguments), "worker")
    }

    /// A worker that answers from the log, on a clock that runs so many times as fast.
    pub fn log_worker(&self, speed: f64) -> Running {
        let speed = format!("replay.speed={speed}");
        self.worker(&["--experiment", "log.toml", "--set", &speed])
    }

    /// A search on the log, in a folder of this name.
    pub fn log_search(&self, run: &str, more: &[&str]) -> Running {
        self.begin(self.program("search", &[&["log.toml", "--out", run, "--strategy", "random"], more].concat()), run)
    }

    /// A search that really trains and measures.
    pub fn live_search(&self, run: &str, more: &[&str]) -> Running {
        self.begin(self.program("search", &[&["live.toml", "--out", run], more].concat()), run)
    }

    pub fn journal(&self, run: &str) -> Journal {
        Journal::read(&self.path(run).join("measurements.csv"))
    }

    /// Rows that are on the disk.
    pub fn rows_on_disk(&self, run: &str) -> Vec<Row> {
        let path = self.path(run).join("measurements.csv");
        if path.exists() { Journal::read_whole_lines(&path).jobs } else { Vec::new() }
    }

    pub fn wait_for_rows(&self, run: &str, rows: usize) {
        wait_until(&format!("{run} has {rows} rows"), || self.rows_on_disk(run).len() >= rows);
    }

    /// What `controller workers` says.
    pub fn workers(&self) -> Vec<Value> {
        serde_json::from_str(&self.program("workers", &["--json"]).succeed()).unwrap()
    }

    /// Asserts that a search on the log has found what one without a cluster finds by the same seed, and nothing twice:
    /// random search depends on no result. Where several jobs are under way, some networks more are measured in the end.
    pub fn assert_found(&self, run: &str, evaluations: usize, seed: u32) {
        let journal = self.journal(run);
        assert_no_doubles(&journal, run);
        assert_eq!(journal.ended().len(), evaluations, "{run}");
        let alone = format!("alone-{seed}");
        if !self.path(&alone).exists() {
            let (more, seed) = ((evaluations + 50).to_string(), seed.to_string());
            let arguments = ["search", "log.toml", "--quiet", "--strategy", "random", "--evaluations", &more];
            self.alone().args(arguments).args(["--seed", &seed, "--out", &alone]).succeed();
        }
        let expected = facts(&self.journal(&alone));
        for row in facts(&journal) {
            assert!(expected.contains(&row), "{run}: {row:?}");
        }
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// An experiment like `live.toml`, on a device that is a shell program.
    pub fn tool(&self, name: &str, program: &str) {
        self.write(&format!("{name}.sh"), program);
        let device = format!("[devices.tool]\nkind = 'command'\ncommand = ['sh', '{name}.sh']\ntries = 1\n");
        let text = fs::read_to_string(self.path("live.toml")).unwrap() + &device;
        self.write(&format!("{name}.toml"), &text);
    }
}

/// The rows of a journal without their times of day and durations, in any order: which of two jobs ends first is chance.
fn facts(journal: &Journal) -> HashSet<Vec<String>> {
    let cells = |row: &Row| TIMELESS.iter().map(|name| row.text(name).to_owned()).collect();
    journal.jobs.iter().map(cells).collect()
}

/// Asserts that no job has two rows, and that evaluations are numbered without a gap.
pub fn assert_no_doubles(journal: &Journal, label: &str) {
    let name = |row: &Row| (row.evaluation(), row.text("accuracy").is_empty() && row.text("status") != "failed");
    let mut jobs: Vec<_> = journal.jobs.iter().map(name).collect();
    jobs.sort_unstable();
    let count = jobs.len();
    jobs.dedup();
    assert_eq!(jobs.len(), count, "{label}: a job has two rows");
    let numbers: Vec<u64> = journal.rows.iter().map(Row::evaluation).collect();
    let mut sorted = numbers;
    sorted.sort_unstable();
    assert!(sorted.iter().enumerate().all(|(index, number)| index as u64 == *number), "{label}: {sorted:?}");
}

/// Whether a file is there and has something in it.
pub fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() > 0)
}
