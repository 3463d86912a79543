//! Options that several verbs share.

use std::path::PathBuf;

use clap::Args;

use crate::config::{ConfigError, Experiment};

/// Which experiment, and what is changed of it.
#[derive(Debug, Clone, Args)]
pub(super) struct ExperimentOptions {
    /// Experiment file; without one, the quickstart.
    #[arg(long = "experiment", value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
}

/// What is changed of an experiment.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Overrides {
    /// Override a key of the experiment, such as search.evaluations=200; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seed of everything random.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl Overrides {
    /// As `--set` takes them.
    pub fn all(&self) -> Vec<String> {
        let seed = self.seed.map(|seed| format!("search.seed={seed}"));
        self.set.iter().cloned().chain(seed).collect()
    }
}

impl ExperimentOptions {
    /// Reads the experiment.
    ///
    /// # Errors
    /// With file, line and column.
    pub fn read(&self) -> Result<Experiment, ConfigError> {
        read(self.file.as_deref(), &self.overrides.all())
    }
}

/// Reads an experiment file, or the quickstart, with overrides.
///
/// # Errors
/// With file, line and column.
pub(super) fn read(file: Option<&std::path::Path>, overrides: &[String]) -> Result<Experiment, ConfigError> {
    match file {
        Some(file) => Experiment::read(file, overrides),
        None => Experiment::quickstart(overrides),
    }
}
