//! The run folder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use hardware::log::LogError;

use super::imported::IMPORTED;
use super::write_atomically;
use crate::config::{ConfigError, Experiment};

/// A folder that one process at a time searches in.
///
/// | entry | what it is |
/// |---|---|
/// | `config.toml` | the experiment, everything resolved |
/// | `measurements.csv` | the journal: a row an evaluation |
/// | `imported.csv` | what was imported from other logs, if anything |
/// | `checkpoint/` | policy, optimiser, generators; the experiment as it was written; in `scratch/`, models that are being measured |
/// | `tensorboard/` | events |
/// | `pareto.csv` | the front's rows of the journal |
/// | `models/` | the front's networks as ONNX |
/// | `report.html` | front and progress as plots |
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held for as long as this lives; the system lets go of it however the process ends.
    lock: File,
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
    /// A row of the journal is not the one that was written.
    #[error(
        "{path}: evaluation {evaluation} (line {line}) is not as it was written: the journal was edited. Put the row back as it \
         was; what was learnt from it cannot be changed, but another run can take the log over by `controller import`",
        line = evaluation + 2
    )]
    Edited {
        /// The journal.
        path: PathBuf,
        /// Number of the evaluation.
        evaluation: u64,
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

/// Files that a search may have to open at a time: the journal, events, a checkpoint, models, what the runtime needs,
/// and some for each device.
const SPARE_FILES: usize = 40;

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
        for path in [self.written_config(), self.config()] {
            let failed = |source| RunError::Io { action: "write", path: path.clone(), source };
            write_atomically(&path, text.as_bytes()).map_err(failed)?;
        }
        Ok(())
    }

    /// Whether the experiment is as the program wrote it. One that is, and all the same not the checkpoint's, was
    /// written by another version, which has other keys.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn config_is_as_written(&self) -> Result<bool, RunError> {
        let read = |path: PathBuf| match std::fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            // Deleted, or of a version that keeps none.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RunError::Io { action: "read", path, source }),
        };
        let written = read(self.written_config())?;
        Ok(written.is_some() && written == read(self.config())?)
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
        let experiment = kept_experiment(path, &[])?;
        // The journal alone is enough to go on; whatever else was deleted is made again.
        folder.make_inner()?;
        Ok((folder, experiment))
    }

    /// Makes sure that as many files can be opened as a search may need at a time. In the middle of one, libraries panic
    /// where they cannot open theirs, and a network would be blamed for a model that cannot be read.
    ///
    /// # Errors
    /// If they cannot.
    pub fn check_open_files(&self) -> Result<(), RunError> {
        let opened: Result<Vec<File>, _> = (0..SPARE_FILES).map(|_| self.lock.try_clone()).collect();
        let failed =
            |source| RunError::Io { action: "open all files that a search needs in", path: self.path.clone(), source };
        opened.map(drop).map_err(failed)
    }

    fn make_inner(&self) -> Result<(), RunError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Io { action, path, source }
        };
        for inner in [self.checkpoints(), self.models()] {
            std::fs::create_dir_all(&inner).map_err(failed("create the folder", &inner))?;
        }
        for folder in [self.path.clone(), self.checkpoints(), self.models()] {
            remove_half_written(&folder).map_err(failed("tidy up", &folder))?;
        }
        // Under the lock: whoever was measuring these was killed.
        let scratch = Self::scratch(&self.path);
        match std::fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("empty", &scratch)(error)),
            _ => std::fs::create_dir(&scratch).map_err(failed("create the folder", &scratch)),
        }
    }

    fn lock(path: &Path) -> Result<Self, RunError> {
        let name = path.join("lock");
        let io = |source| RunError::Io { action: "lock", path: name.clone(), source };
        let lock = File::create(&name).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
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

    /// The experiment as it was when the program wrote it last, to tell whether somebody changed it since.
    fn written_config(&self) -> PathBuf {
        self.checkpoints().join("config.toml")
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join("measurements.csv")
    }

    /// What was imported from other logs.
    pub fn imported(&self) -> PathBuf {
        self.path.join(IMPORTED)
    }

    /// Folder of the checkpoint.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Folder of the models that are being measured in a run of this path, also before there is one. It is emptied
    /// when a search begins or goes on there, and goes when it ends.
    pub fn scratch(path: &Path) -> PathBuf {
        path.join("checkpoint").join("scratch")
    }

    /// Rows that wait for their turn in the journal.
    pub fn waiting(&self) -> PathBuf {
        self.checkpoints().join("waiting.csv")
    }

    /// Digests of the journal's rows.
    pub fn digests(&self) -> PathBuf {
        self.checkpoints().join("rows")
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

/// Removes what was being written when a search was killed, and never got its name.
fn remove_half_written(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What cannot be removed now is when the run goes on.
        let _ = std::fs::remove_dir_all(Self::scratch(&self.path));
    }
}

/// The experiment of a run folder, with overrides laid over it.
///
/// # Errors
/// If it cannot be read. A key that is unknown may be that of another version, which nobody has to find out alone.
pub(crate) fn kept_experiment(folder: &Path, overrides: &[String]) -> Result<Experiment, ConfigError> {
    let path = folder.join("config.toml");
    Experiment::read(&path, overrides).map_err(|error| match error {
        ConfigError::Invalid { path: file, place, message, suggestion }
            if file == path.display().to_string()
                && ["unknown ", "missing "].iter().any(|start| message.starts_with(start)) =>
        {
            let hint = "the run may have been begun by another version of the program: go on with that one, or begin \
                        another run with --out";
            ConfigError::Invalid { path: file, place, message, suggestion: format!("{suggestion}\n  {hint}") }
        }
        error => error,
    })
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
#[path = "folder_tests.rs"]
mod tests;
