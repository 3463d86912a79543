//! The run folder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use hardware::options::{is_free, is_moved};
use hardware::path::folder_of;

use super::{failed, write_atomically};
use crate::config::{ConfigError, Experiment, table};
use crate::terminal::pasted;

pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const JOURNAL: &str = "measurements.csv";
pub(crate) const IMPORTED: &str = "imported.csv";
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The experiment as the program wrote it last, to find out whether it was edited since.
const WRITTEN_CONFIG: &str = "checkpoint/config.toml";
/// Models that are being measured. Emptied when a search begins or goes on, and removed when it ends.
pub(crate) const SCRATCH: &str = "checkpoint/scratch";
/// Trainings that are not finished, to continue from. Removed when the search has ended.
pub(crate) const TRAININGS: &str = "checkpoint/trainings";
/// Rows that waited for their turn in the journal in earlier versions.
pub(crate) const WAITING: &str = "checkpoint/waiting.csv";
pub(crate) const DIGESTS: &str = "checkpoint/rows";
/// Where runs of earlier versions have their events.
const EARLIER_EVENTS: &str = "tensorboard";
pub(crate) const PARETO: &str = "pareto.csv";
pub(crate) const MODELS: &str = "models";
pub(crate) const REPORT: &str = "report.html";
/// Jobs under way and progress, for the page.
pub(crate) const STATUS: &str = "status.json";
/// Losses, predictions and policy, for the page.
pub(crate) const OBSERVATIONS: &str = "observations.jsonl";

/// A folder that one process at a time searches in.
///
/// | entry | content |
/// |---|---|
/// | `config.toml` | the experiment, everything resolved |
/// | `measurements.csv` | the journal: a row an evaluation |
/// | `imported.csv` | rows of other logs, if any were imported |
/// | `checkpoint/` | policy, optimiser, generators; the experiment as it was written; in `scratch/`, models that are being measured; in `trainings/`, trainings under way |
/// | `events.out.tfevents.*` | for TensorBoard, which calls a run by the folder of its events |
/// | `pareto.csv` | the front's rows of the journal |
/// | `models/` | the front's networks as ONNX |
/// | `report.html` | the page of the run as one file |
/// | `status.json`, `observations.jsonl` | for the page: jobs under way; losses, predictions and policy |
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held for as long as this lives; the system releases it however the process ends.
    _lock: File,
}

/// An empty folder for a new run, which no other process takes. It is removed unless a run begins in it.
#[derive(Debug)]
pub(crate) struct Reserved {
    path: PathBuf,
    /// The folder around it, if that was made for it.
    around: Option<PathBuf>,
}

impl Reserved {
    /// Makes the folder, or where it is there already the next free one: `NAME-2`, `NAME-3` and so on.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        let around = folder_of(path);
        let is_new = !around.exists();
        std::fs::create_dir_all(around).map_err(failed("create the folder", around))?;
        let around = is_new.then(|| around.to_owned());
        let mut next = path.to_owned();
        for number in 2_u32.. {
            match std::fs::create_dir(&next) {
                Ok(()) => break,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("create the folder", &next)(error)),
            }
            let mut name = path.as_os_str().to_owned();
            name.push(format!("-{number}"));
            next = name.into();
        }
        Ok(Self { path: next, around })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // Only empty folders can be removed so: a run that began stays.
        for folder in std::iter::once(&self.path).chain(&self.around) {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Entries that a run may have left behind that was killed while it began.
const BEGUN: [&str; 4] = ["lock", "checkpoint", "models", "config.toml.tmp"];

impl RunFolder {
    /// A new run folder that holds the experiment.
    pub fn create(path: &Path, experiment: &Experiment) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).map_err(failed("create the folder", path))?;
        let shown = path.display();
        ensure!(
            !path.join(CONFIG).exists(),
            "{shown} holds a run already: go on with it by `--resume {}`, or choose another folder with --out",
            pasted(path)
        );
        for entry in std::fs::read_dir(path).map_err(failed("read", path))? {
            let name = entry.map_err(failed("read", path))?.file_name().to_string_lossy().into_owned();
            ensure!(
                BEGUN.contains(&name.as_str()),
                "{shown} holds something else already ({name}): choose a new or empty folder with --out"
            );
        }
        let folder = Self::lock(path)?;
        folder.make_inner()?;
        // Last: a folder with this file is a run that can be resumed.
        folder.write_config(experiment)?;
        Ok(folder)
    }

    /// Writes the experiment in place of the one that is there.
    pub fn write_config(&self, experiment: &Experiment) -> anyhow::Result<()> {
        let text = experiment.to_toml()?;
        [WRITTEN_CONFIG, CONFIG].into_iter().try_for_each(|name| write_atomically(&self.join(name), text.as_bytes()))
    }

    /// The experiment as the program wrote it last, if that is there and can be read.
    pub fn written(&self) -> Option<Experiment> {
        Experiment::read(&self.join(WRITTEN_CONFIG), &[]).ok().map(Experiment::of_begun_run)
    }

    /// Whether the experiment is as the program wrote it. If it is, and still differs from the checkpoint's, another
    /// version with other keys wrote it.
    pub fn config_is_as_written(&self) -> anyhow::Result<bool> {
        let read = |path: PathBuf| match std::fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            // Deleted, or of a version that keeps none.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        };
        let written = read(self.join(WRITTEN_CONFIG))?;
        Ok(written.is_some() && written == read(self.join(CONFIG))?)
    }

    /// A folder to go on in, and its experiment.
    pub fn open(path: &Path) -> anyhow::Result<(Self, Experiment)> {
        ensure!(path.join(CONFIG).is_file(), not_a_run(path));
        let folder = Self::lock(path)?;
        let experiment = kept_experiment(path, &[])?;
        // The journal alone is enough to continue; other deleted entries are made again.
        folder.make_inner()?;
        Ok((folder, experiment))
    }

    /// The folder of its events.
    pub fn events(&self) -> PathBuf {
        let earlier = self.join(EARLIER_EVENTS);
        if earlier.exists() { earlier } else { self.path.clone() }
    }

    /// The command that shows this run and its neighbours in TensorBoard, each by the name of its folder.
    pub fn watch_command(&self) -> String {
        format!("tensorboard --logdir {}", pasted(folder_of(&self.path)))
    }

    fn make_inner(&self) -> anyhow::Result<()> {
        for folder in [self.path.clone(), self.join(CHECKPOINT), self.join(MODELS)] {
            std::fs::create_dir_all(&folder).map_err(failed("create the folder", &folder))?;
            remove_half_written(&folder).map_err(failed("tidy up", &folder))?;
        }
        // Under the lock: the process that was measuring these was killed.
        let scratch = self.join(SCRATCH);
        match std::fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("empty", &scratch)(error)),
            _ => std::fs::create_dir(&scratch).map_err(failed("create the folder", &scratch)),
        }
    }

    fn lock(path: &Path) -> anyhow::Result<Self> {
        let name = path.join("lock");
        let lock = File::create(&name).map_err(failed("lock", &name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another process is searching in {}; wait for it, or stop it", path.display())
            }
            Err(TryLockError::Error(error)) => Err(failed("lock", &name)(error)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its entries.
    pub fn join(&self, entry: &str) -> PathBuf {
        self.path.join(entry)
    }
}

/// The message about a folder that is not a run's.
pub(crate) fn not_a_run(path: &Path) -> String {
    format!("{} is not a run folder: it has no config.toml", path.display())
}

/// Removes files that were being written when a search was killed, and never got their names.
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
        // A folder that cannot be removed now is removed when the run continues.
        let _ = std::fs::remove_dir_all(self.join(SCRATCH));
    }
}

/// The experiment of a run folder, with overrides laid over it.
///
/// # Errors
/// If it is not a run folder, or its experiment cannot be read. An unknown key may be one of another version, so the
/// message names that too.
pub(crate) fn kept_experiment(folder: &Path, overrides: &[String]) -> anyhow::Result<Experiment> {
    let path = folder.join(CONFIG);
    ensure!(path.is_file(), not_a_run(folder));
    let read = Experiment::read(&path, overrides).map_err(|error| match error {
        ConfigError::Invalid { path: file, place, message, suggestion }
            if file == path.display().to_string()
                && ["unknown ", "missing "].iter().any(|start| message.starts_with(start)) =>
        {
            let hint = "the run may have been begun by another version of the program: go on with that one, or begin \
                        another run with --out";
            ConfigError::Invalid { path: file, place, message, suggestion: format!("{suggestion}\n  {hint}") }
        }
        error => error,
    });
    Ok(read?.of_begun_run())
}

/// Keys of two experiments whose values differ and would change the results of a run, as `a.b (1 there, 2 here): why`.
/// The others, such as numbers of evaluations, patience, logins and places of files, may differ: see [`FREE`].
pub(crate) fn differences(there: &Experiment, here: &Experiment) -> anyhow::Result<Vec<String>> {
    let table = |experiment: &Experiment| table::of(experiment).context("an experiment has no TOML");
    let mut found = Vec::new();
    compare("", &toml::Value::Table(table(there)?), &toml::Value::Table(table(here)?), &mut found);
    Ok(found)
}

/// Keys that may differ, besides those of devices: [`hardware::options::is_free`].
const FREE: [&str; 10] = [
    "search.evaluations",
    "search.epochs",
    "search.hours",
    "search.remeasure",
    "search.reference",
    "search.trainers",
    "training.checkpoint_every",
    "data.dir",
    "replay.log",
    "replay.speed",
];

/// The keys that may differ, for a message.
pub(crate) const MAY_DIFFER: &str = "search.evaluations, search.epochs, search.hours, search.remeasure, search.reference, search.trainers, \
                                     training.devices (GPUs for GPUs), training.checkpoint_every, data.dir, replay.log, replay.speed, all of [cluster]; \
                                     of a device patience_s, tries, grace_s, its address and login, and the places of \
                                     its files and programs; of its meter command, file and sudo";

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
        _ if there == here || may_differ(key, there, here) => {}
        _ => found.push(format!("{key} ({there} there, {here} here): {}", consequence(key))),
    }
}

fn may_differ(key: &str, there: &toml::Value, here: &toml::Value) -> bool {
    let Some((_, of_device)) = key.strip_prefix("devices.").and_then(|key| key.split_once('.')) else {
        let is_free = FREE.contains(&key) || key.starts_with("search.reference.") || key.starts_with("cluster");
        return is_free || is_other_gpu(key, there, here);
    };
    let words = |value: &toml::Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let is_moved = words(there).zip(words(here)).is_some_and(|(there, here)| is_moved(of_device, &there, &here));
    is_free(of_device) || is_moved
}

/// Whether trainings only move to other GPUs. A GPU and the CPU round differently.
fn is_other_gpu(key: &str, there: &toml::Value, here: &toml::Value) -> bool {
    let are_gpus = |value: &toml::Value| {
        let is_gpu = |device: &toml::Value| device.as_str().is_some_and(|device| device != "cpu");
        value.as_array().is_some_and(|devices| devices.iter().all(is_gpu))
    };
    key == "training.devices" && are_gpus(there) && are_gpus(here)
}

/// What another value of a key would change.
fn consequence(key: &str) -> &'static str {
    match key.split('.').next().unwrap_or_default() {
        _ if key == "search.trainer_threads" => "trainings would round otherwise",
        "search" | "strategy" | "reward" => "other networks would be proposed",
        "space" | "input" => "the networks would be others",
        "data" | "training" => "accuracies could not be compared with those before",
        "measuring" | "devices" | "export" => "times and energies could not be compared with those before",
        _ => "values could not be compared with those before",
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
