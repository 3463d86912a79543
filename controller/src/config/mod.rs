//! Experiment files: everything that a run depends on.
//!
//! `experiments/quickstart.toml` documents every key.

mod check;
mod load;
mod place;
mod sections;

pub use load::ConfigError;
pub use sections::{ExportConfig, InputConfig, MeasuringConfig, ReplayConfig, SearchConfig};

use std::collections::BTreeMap;
use std::path::Path;

use child::data::DataConfig;
use child::space::SpaceConfig;
use child::train::TrainingConfig;
use hardware::options::DeviceOptions;
use serde::{Deserialize, Serialize};

use crate::fingerprint::sha256;
use crate::reward::RewardConfig;
use crate::strategy::{Identity, StrategyConfig};

/// An experiment: what is searched, how, and on what it is measured. Every key has a default but those of `[replay]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// How many evaluations, for which objectives.
    pub search: SearchConfig,
    /// Who proposes architectures.
    pub strategy: StrategyConfig,
    /// What a policy is rewarded for.
    pub reward: RewardConfig,
    /// What is searched.
    pub space: SpaceConfig,
    /// What every network takes and gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<InputConfig>,
    /// What children are trained on.
    pub data: DataConfig,
    /// How children are trained.
    pub training: TrainingConfig,
    /// How long and how precisely devices measure.
    pub measuring: MeasuringConfig,
    /// What children are measured on, by name.
    pub devices: BTreeMap<String, DeviceOptions>,
    /// How ONNX files are written.
    pub export: ExportConfig,
    /// A log that answers in place of training and devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayConfig>,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            search: SearchConfig::default(),
            strategy: StrategyConfig::default(),
            reward: RewardConfig::default(),
            space: SpaceConfig::default(),
            input: None,
            data: DataConfig::default(),
            training: TrainingConfig::default(),
            measuring: MeasuringConfig::default(),
            devices: BTreeMap::from([("host".to_owned(), DeviceOptions::default())]),
            export: ExportConfig::default(),
            replay: None,
        }
    }
}

/// The experiment that runs when none is named.
pub const QUICKSTART: &str = include_str!("../../../experiments/quickstart.toml");

impl Experiment {
    /// When two architectures are one: a log tells all of its texts apart.
    pub fn identity(&self) -> Identity {
        if self.replay.is_some() { Identity::Architecture } else { Identity::Network }
    }

    /// Reads an experiment file and lays overrides (`key=value`) over it.
    ///
    /// # Errors
    /// With file, line and column, and the nearest right name for an unknown key.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string(), overrides)
    }

    /// The quickstart with overrides.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn quickstart(overrides: &[String]) -> Result<Self, ConfigError> {
        Self::parse(QUICKSTART, "experiments/quickstart.toml", overrides)
    }

    /// Reads the text of an experiment; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, name: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let read = load::parse::<Self>(text, name, overrides)?;
        match read.check() {
            Ok(()) => Ok(read),
            // What an override did has no place in the file.
            Err(error) => match load::parse::<Self>(text, name, &[])?.check() {
                Err(own) if own.to_string() == error.to_string() => Err(error.placed(text, name)),
                _ => Err(error),
            },
        }
    }

    /// The experiment as a file that reads back to it.
    ///
    /// # Errors
    /// If a value cannot be written as TOML; none of ours is such.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// The same for equal experiments, however many evaluations and re-measurements they have.
    ///
    /// # Errors
    /// As [`to_toml`](Self::to_toml).
    pub fn fingerprint(&self) -> Result<String, toml::ser::Error> {
        let mut same = self.clone();
        same.search.evaluations = 0;
        same.search.remeasure = 0;
        Ok(sha256(same.to_toml()?))
    }
}

#[cfg(test)]
mod tests;
