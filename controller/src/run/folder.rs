//! The run folder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use hardware::log::LogError;

use super::write_atomically;
use crate::config::{ConfigError, Experiment};

/// A folder that one process at a time searches in.
///
/// | entry | what it is |
/// |---|---|
/// | `config.toml` | the experiment, everything resolved |
/// | `measurements.csv` | the journal: a row an evaluation |
/// | `checkpoint/` | policy, optimiser, generators |
/// | `tensorboard/` | events |
/// | `pareto.csv` | the front's rows of the journal |
/// | `models/` | the front's networks as ONNX |
/// | `report.html` | front and progress as plots |
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held for as long as this lives; the system lets go of it however the process ends.
    _lock: File,
}

/// A run folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A new run would write over another.
    #[error("{0} holds a run already: go on with it by `--resume {0}`, or choose another folder with --out")]
    Taken(PathBuf),
    /// A new run would be mixed with what is there.
    #[error("{path} holds something else already ({found}): choose a new or empty folder with --out")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// One of the things in it.
        found: String,
    },
    /// Its experiment is not the one that it began with.
    #[error("{0} was changed since the run began: change it back, or begin another run with --out")]
    ChangedConfig(PathBuf),
    /// There is no run to go on with.
    #[error("{0} is not a run folder: it has no config.toml")]
    NotARun(PathBuf),
    /// Another process searches there.
    #[error("another process is searching in {0}; wait for it, or stop it")]
    Locked(PathBuf),
    /// The experiment differs from the one that the folder holds.
    #[error(
        "{path} is a run of another experiment; these differ: {differences}\n  leave the experiment out to go on with the one in the folder, or choose another folder with --out"
    )]
    OtherExperiment {
        /// The folder.
        path: PathBuf,
        /// Keys whose values differ.
        differences: String,
    },
    /// The experiment in the folder cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] LogError),
    /// The journal was not written by this run.
    #[error(
        "{path}: evaluation {evaluation} is of {found}, but this run proposes {expected}: the journal is of another run, or was edited"
    )]
    OtherJournal {
        /// The journal.
        path: PathBuf,
        /// Number of the evaluation.
        evaluation: u64,
        /// Architecture in the journal.
        found: String,
        /// Architecture that the run proposes.
        expected: String,
    },
    /// Evaluations are missing from the journal, or stand twice.
    #[error("{path}: expected evaluation {expected}, found {found}: the journal was edited")]
    Order {
        /// The journal.
        path: PathBuf,
        /// The next number.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
}

/// What a run that was killed while it began may have left behind.
const BEGUN: [&str; 4] = ["lock", "checkpoint", "models", "config.toml.tmp"];

impl RunFolder {
    /// A new run folder that holds the experiment.
    ///
    /// # Errors
    /// If a run is there already, or the folder cannot be made.
    pub fn create(path: &Path, experiment: &Experiment) -> Result<Self, RunError> {
        let io = |action| move |source| RunError::Io { action, path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(io("create the folder"))?;
        if path.join("config.toml").exists() {
            return Err(RunError::Taken(path.to_owned()));
        }
        for entry in std::fs::read_dir(path).map_err(io("read"))? {
            let name = entry.map_err(io("read"))?.file_name().to_string_lossy().into_owned();
            if !BEGUN.contains(&name.as_str()) {
                return Err(RunError::NotEmpty { path: path.to_owned(), found: name });
            }
        }
        let folder = Self::lock(path)?;
        folder.make_inner()?;
        // Last: a folder with this file is a run that can be resumed.
        folder.write_config(experiment)?;
        Ok(folder)
    }

    /// Writes the experiment in place of the one that is there.
    ///
    /// # Errors
    /// If it cannot be written; the one before is kept then.
    pub fn write_config(&self, experiment: &Experiment) -> Result<(), RunError> {
        let text = experiment.to_toml().map_err(|error| ConfigError::Contradiction(error.to_string()))?;
        let path = self.config();
        write_atomically(&path, text.as_bytes()).map_err(|source| RunError::Io { action: "write", path, source })
    }

    /// A folder to go on in, and its experiment.
    ///
    /// # Errors
    /// If it is not a run folder, another process uses it, or its experiment cannot be read.
    pub fn open(path: &Path) -> Result<(Self, Experiment), RunError> {
        if !path.join("config.toml").is_file() {
            return Err(RunError::NotARun(path.to_owned()));
        }
        let folder = Self::lock(path)?;
        let experiment = Experiment::read(&folder.config(), &[])?;
        // The journal alone is enough to go on; whatever else was deleted is made again.
        folder.make_inner()?;
        Ok((folder, experiment))
    }

    fn make_inner(&self) -> Result<(), RunError> {
        for inner in [self.checkpoints(), self.models()] {
            std::fs::create_dir_all(&inner).map_err(|source| RunError::Io {
                action: "create the folder",
                path: inner,
                source,
            })?;
        }
        Ok(())
    }

    fn lock(path: &Path) -> Result<Self, RunError> {
        let name = path.join("lock");
        let io = |source| RunError::Io { action: "lock", path: name.clone(), source };
        let lock = File::create(&name).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(RunError::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The experiment, everything resolved.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join("measurements.csv")
    }

    /// Folder of the checkpoint.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Folder of the TensorBoard events.
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// The front's rows.
    pub fn pareto(&self) -> PathBuf {
        self.path.join("pareto.csv")
    }

    /// Folder of the front's networks.
    pub fn models(&self) -> PathBuf {
        self.path.join("models")
    }

    /// The front's and the search's plots.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }
}

/// Keys of two experiments whose values differ, as `a.b (1 there, 2 here)`; the numbers of evaluations and of
/// re-measurements may.
pub(crate) fn differences(there: &Experiment, here: &Experiment) -> Result<Vec<String>, RunError> {
    let table = |experiment: &Experiment| -> Result<toml::Table, RunError> {
        toml::Table::try_from(experiment).map_err(|error| ConfigError::Contradiction(error.to_string()).into())
    };
    let mut found = Vec::new();
    compare("", &toml::Value::Table(table(there)?), &toml::Value::Table(table(here)?), &mut found);
    let may_differ = ["search.evaluations ", "search.remeasure "];
    found.retain(|difference| !may_differ.iter().any(|key| difference.starts_with(key)));
    Ok(found)
}

fn compare(key: &str, there: &toml::Value, here: &toml::Value, found: &mut Vec<String>) {
    match (there, here) {
        (toml::Value::Table(there), toml::Value::Table(here)) => {
            let absent = toml::Value::String("absent".to_owned());
            let keys: std::collections::BTreeSet<_> = there.keys().chain(here.keys()).collect();
            for inner in keys {
                let path = if key.is_empty() { inner.clone() } else { format!("{key}.{inner}") };
                compare(&path, there.get(inner).unwrap_or(&absent), here.get(inner).unwrap_or(&absent), found);
            }
        }
        _ if there == here => {}
        _ => found.push(format!("{key} ({there} there, {here} here)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_opened_by_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        let experiment = Experiment::default();
        let folder = RunFolder::create(&path, &experiment).unwrap();
        assert!(matches!(RunFolder::open(&path), Err(RunError::Locked(_))));
        drop(folder);
        assert!(matches!(RunFolder::create(&path, &experiment), Err(RunError::Taken(_))));
        assert_eq!(RunFolder::open(&path).unwrap().1, experiment);
        assert!(matches!(RunFolder::open(place.path()), Err(RunError::NotARun(_))));
        assert!(matches!(RunFolder::create(place.path(), &experiment), Err(RunError::NotEmpty { .. })));
        std::fs::remove_file(path.join("config.toml")).unwrap();
        assert!(RunFolder::create(&path, &experiment).is_ok(), "one that was killed while it began");
    }

    #[test]
    fn differences_are_named_by_key() {
        let (mut there, mut here) = (Experiment::default(), Experiment::default());
        (here.search.evaluations, here.search.remeasure) = (999, 9);
        assert_eq!(differences(&there, &here).unwrap(), Vec::<String>::new());
        there.search.seed = 1;
        there.training.momentum = 0.5;
        let found = differences(&there, &here).unwrap();
        assert_eq!(found, ["search.seed (1 there, 0 here)", "training.momentum (0.5 there, 0.9 here)"]);
    }
}
