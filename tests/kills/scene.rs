//! A folder with something to search in, and what becomes of searches that are killed there.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use end_to_end::{Board, Journal, Program, Row, Table, experiment, live_experiment, two_boards};
use serde_json::Value;

use super::moment::Moment;

/// A search, as it is begun.
pub struct Scene {
    folder: tempfile::TempDir,
    begin: Vec<String>,
    /// Evaluations in the end, repeated measurements included.
    pub evaluations: u64,
}

/// What an undisturbed run comes to.
pub struct Whole {
    pub journal: Vec<u8>,
    pub pareto: Vec<u8>,
    pub bytes: u64,
    pub time: Duration,
}

/// Where a kill hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hit {
    /// Before there was a run to go on with.
    Beginning,
    /// Before the first row.
    NoRow,
    /// Between the first row and the last.
    Middle,
    /// After the last row: the report was not written yet.
    AllRows,
    /// Too late: the process had ended.
    Over,
}

/// Networks that the live search evaluates, before it measures some of them again.
pub const LIVE_EVALUATIONS: u64 = 5;

/// Children small and quickly trained: what is killed is mostly the measuring.
const ON_A_BOARD: [&str; 9] = [
    "fidelity.measure_ahead=0",
    "data={ name = \"digits\", limit = 300 }",
    "training.epochs=1",
    "training.augmentation={}",
    "space={ name = \"nasbench201\", channels = 4, cells = 1 }",
    "measuring.warm_up_ms=100",
    "search.batch=3",
    "strategy.start=3",
    "search.bounds={}",
];

/// The experiment of a board as users have it.
const BOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/tx2.toml");

impl Scene {
    /// On a log: over in a fraction of a second.
    pub fn replayed(strategy: &str, settings: &[&str]) -> Self {
        Self::searched(&experiment(), strategy, settings)
    }

    /// The same for two boards.
    pub fn replayed_on_two_boards(strategy: &str, settings: &[&str]) -> Self {
        Self::searched(&two_boards(), strategy, settings)
    }

    fn searched(experiment: &str, strategy: &str, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Table::write(folder.path());
        std::fs::write(folder.path().join("experiment.toml"), experiment).unwrap();
        let args = ["replay", "table.csv", "--experiment", "experiment.toml", "--strategy", strategy];
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let more = ["--evaluations", "90", "--seed", "3", "--quiet", "--out"];
        Self {
            folder,
            begin: args.into_iter().chain(settings).chain(more).map(str::to_owned).collect(),
            evaluations: 90,
        }
    }

    /// With children that are really trained and timed. Random search alone proposes the same for any measured values.
    pub fn live() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("live.toml"), live_experiment(2, 5, 50)).unwrap();
        // More than one trained at once: so jobs end in any order.
        let settings = ["--remeasure", "2", "--set", "search.trainers=2"];
        let evaluations = LIVE_EVALUATIONS.to_string();
        let search = ["search", "live.toml", "--quiet", "--evaluations", &evaluations];
        let begin = search.into_iter().chain(settings).chain(["--out"]).map(str::to_owned).collect();
        Self { folder, begin, evaluations: LIVE_EVALUATIONS + 2 }
    }

    /// With a board that measures.
    pub fn on(board: &Board) -> Self {
        let settings = board.quick_settings().into_iter().chain([("patience_s", "20.0".to_owned())]);
        let settings = settings.map(|(key, value)| format!("devices.tx2.{key}={value}"));
        let settings = ON_A_BOARD.map(str::to_owned).into_iter().chain(settings);
        let settings = settings.flat_map(|setting| ["--set".to_owned(), setting]);
        let begin = ["search", BOARD, "--evaluations", "3", "--quiet"].map(str::to_owned).into_iter();
        let begin = begin.chain(settings).chain(["--out".to_owned()]).collect();
        Self { folder: tempfile::tempdir().unwrap(), begin, evaluations: 3 }
    }

    pub fn path(&self, run: &str) -> PathBuf {
        self.folder.path().join(run)
    }

    pub fn journal(&self, run: &str) -> PathBuf {
        self.path(run).join("measurements.csv")
    }

    pub fn scratch(&self, run: &str) -> PathBuf {
        self.path(run).join("checkpoint/scratch")
    }

    /// An uninterrupted run.
    pub fn whole(&self) -> Whole {
        let begun = Instant::now();
        self.go_on("whole").succeed();
        let time = begun.elapsed();
        let journal = std::fs::read(self.journal("whole")).unwrap();
        let pareto = std::fs::read(self.path("whole").join("pareto.csv")).unwrap();
        Whole { bytes: journal.len() as u64, journal, pareto, time }
    }

    /// What such a run may come to, if it takes so long.
    pub fn guess(&self, time: Duration) -> Whole {
        Whole { journal: Vec::new(), pareto: Vec::new(), bytes: 300 * self.evaluations, time }
    }

    /// The program beginning a run, or going on with it where there is something to go on with.
    pub fn go_on(&self, run: &str) -> Program {
        let program = Program::new(self.folder.path());
        match self.path(run).join("config.toml").is_file() {
            true => program.args(["--resume", run, "--quiet"]),
            false => program.args(&self.begin).args([run]),
        }
    }

    /// The same, killed at a moment; false if it had ended by itself.
    pub fn kill(&self, run: &str, moment: Moment) -> bool {
        let mut child = self.go_on(run).start();
        let in_time = moment.wait(&mut child, &self.path(run));
        // It may have ended by itself meanwhile.
        let _ = child.kill();
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(9), "{run}, {moment:?}: {status}");
        in_time && !status.success()
    }

    /// That the folder can be read as it was left, without being gone on with. Gives the rows of its journal.
    pub fn check_opens(&self, run: &str) -> usize {
        if !self.path(run).join("config.toml").is_file() {
            return 0;
        }
        let rows = match self.journal(run).exists() {
            true => Journal::read_whole_lines(&self.journal(run)),
            false => Journal::default(),
        };
        let front = Program::new(self.folder.path()).args(["front", run, "--json"]).succeed();
        let front: Value = serde_json::from_str(&front).unwrap();
        match front["targets"].as_object() {
            Some(targets) => assert_eq!(targets.len(), 2, "{run}: {front}"),
            None => assert_eq!(front["evaluations"].as_u64(), Some(rows.ended().len() as u64), "{run}: {front}"),
        }
        rows.jobs.len()
    }

    pub fn hit(&self, run: &str, rows: usize, whole: &Whole) -> Hit {
        match rows {
            _ if !self.path(run).join("config.toml").is_file() => Hit::Beginning,
            0 => Hit::NoRow,
            _ if self.whole_lines(run).len() < whole.journal.len().max(1) => Hit::Middle,
            _ => Hit::AllRows,
        }
    }

    /// Whether a file lies about that was to get another name.
    pub fn is_half_written(&self, run: &str) -> bool {
        let folders = [self.path(run), self.path(run).join("checkpoint"), self.path(run).join("models")];
        let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|extension| extension == "tmp"))
    }

    /// The whole lines of the journal; nothing where there is none.
    pub fn whole_lines(&self, run: &str) -> Vec<u8> {
        let mut bytes = std::fs::read(self.journal(run)).unwrap_or_default();
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        bytes
    }

    /// Rows that are on the disk.
    pub fn rows_on_disk(&self, run: &str) -> Vec<Row> {
        let path = self.journal(run);
        if path.exists() { Journal::read_whole_lines(&path).jobs } else { Vec::new() }
    }
}
