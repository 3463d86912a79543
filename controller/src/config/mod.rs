//! Experiment files: everything that a run depends on.
//!
//! `experiments/quickstart.toml` documents every key.

mod by_target;
mod check;
mod cluster;
mod load;
mod missing;
mod overrides;
mod place;
mod sections;
pub(crate) mod table;
mod targets;

pub use by_target::ByTarget;
pub use cluster::ClusterConfig;
pub use load::ConfigError;
pub use sections::{FidelityConfig, InputConfig, SearchConfig};
pub use targets::{DeviceConfig, ExtendedConfig, TargetConfig, check_target_name};

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use child::data::{DataConfig, Source};
use child::onnx;
use child::space::SpaceConfig;
use child::train::TrainingConfig;
use hardware::path::expand_home;
use hardware::{Plan, Statistic};
use serde::{Deserialize, Serialize};

use crate::evaluate::{ReplayConfig, shipped};
use crate::fingerprint::sha256;
use crate::objective::{Bounds, Objectives};
use crate::problem::{Fidelity, Identity, Problem};
use crate::scalarisation::RewardConfig;
use crate::strategy::StrategyConfig;

/// An experiment: what is searched, how, and on what it is measured. Every key has a default but those of `[replay]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// How many evaluations, for which objectives.
    pub search: SearchConfig,
    /// How far networks are evaluated before their full training.
    #[serde(skip_serializing_if = "FidelityConfig::is_default")]
    pub fidelity: FidelityConfig,
    /// How architectures are proposed.
    pub strategy: StrategyConfig,
    /// What a policy is rewarded for.
    pub reward: RewardConfig,
    /// The search space.
    pub space: SpaceConfig,
    /// What every network takes and gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<InputConfig>,
    /// What children are trained on.
    pub data: DataConfig,
    /// How children are trained.
    pub training: TrainingConfig,
    /// How long and how precisely devices measure.
    pub measuring: Plan,
    /// Whether it is of a run that was begun with one target, whose devices may have been unlike in earlier versions.
    #[serde(skip)]
    pub has_one_target: bool,
    /// What children are measured on, by name.
    pub devices: BTreeMap<String, DeviceConfig>,
    /// The targets of a search that has several, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, TargetConfig>,
    /// How ONNX files are written.
    pub export: onnx::Options,
    /// The run that this one goes on from, for another target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended: Option<ExtendedConfig>,
    /// A log that answers in place of training and devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayConfig>,
    /// Workers on other machines.
    #[serde(skip_serializing_if = "ClusterConfig::is_default")]
    pub cluster: ClusterConfig,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            search: SearchConfig::default(),
            fidelity: FidelityConfig::default(),
            strategy: StrategyConfig::default(),
            reward: RewardConfig::default(),
            space: SpaceConfig::default(),
            input: None,
            data: DataConfig::default(),
            training: TrainingConfig::default(),
            measuring: Plan::default(),
            has_one_target: false,
            devices: BTreeMap::from([("host".to_owned(), DeviceConfig::default())]),
            targets: BTreeMap::new(),
            export: onnx::Options::default(),
            extended: None,
            replay: None,
            cluster: ClusterConfig::default(),
        }
    }
}

/// The experiment that runs when none is named.
pub const QUICKSTART: &str = include_str!("../../../experiments/quickstart.toml");

impl Experiment {
    /// Reads an experiment file and lays overrides (`key=value`) over it.
    ///
    /// # Errors
    /// With file, line and column, and the nearest right name for an unknown key.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let failed = |error| ConfigError::Other(format!("cannot read the experiment file {name}: {error}"));
        Self::parse(&std::fs::read_to_string(path).map_err(failed)?, &name, overrides)
    }

    /// The quickstart with overrides.
    pub fn quickstart(overrides: &[String]) -> Result<Self, ConfigError> {
        Self::parse(QUICKSTART, "experiments/quickstart.toml", overrides)
    }

    /// Reads the text of an experiment; `name` stands for it in errors.
    pub fn parse(text: &str, name: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let mut read = load::parse::<Self>(text, name, overrides)?;
        read.expand_home();
        let Err(error) = read.check() else { return Ok(read) };
        let message = error.to_string();
        // A contradiction by an override has no place in the file.
        let without = load::parse::<Self>(text, name, &[])?.check();
        let is_of_file = without.is_err_and(|error| error.to_string() == message);
        Err(load::contradiction(message, if is_of_file { text } else { "" }, name))
    }

    /// Replaces `~` at the begin of the paths of data and log, and names the log that ships inside the program; devices do so
    /// themselves.
    fn expand_home(&mut self) {
        let data = match &mut self.data.source {
            Source::Cifar10 { dir } | Source::Folder { dir, .. } => Some(dir),
            Source::Digits => None,
        };
        let log = self.replay.as_mut().map(|replay| &mut replay.log);
        data.into_iter().chain(log).for_each(|path| *path = expand_home(path));
        self.replay.iter_mut().for_each(shipped::resolve);
        self.cluster.expand_home();
    }

    /// The experiment of a run that was begun: keys that it leaves out have the meaning that they had then.
    #[must_use]
    pub fn of_begun_run(mut self) -> Self {
        self.measuring.statistic.get_or_insert(Statistic::Mean);
        self.fidelity.short_epochs.get_or_insert(0);
        self.fidelity.measure_ahead.get_or_insert(0);
        self.has_one_target = self.targets.len() < 2;
        self
    }

    /// Reservations about the times and energies of its devices, as sentences.
    pub(crate) fn reservations(&self) -> Vec<String> {
        let devices = self.devices.iter().filter(|_| self.replay.is_none());
        devices.filter_map(|(name, device)| Some(format!("device `{name}`: {}", device.reservation()?))).collect()
    }

    /// An experiment that is to go on with a run: keys that it leaves out are those of the run.
    #[must_use]
    pub fn going_on_with(mut self, kept: &Self) -> Self {
        self.measuring.statistic = self.measuring.statistic.or(kept.measuring.statistic);
        self.fidelity.short_epochs = self.fidelity.short_epochs.or(kept.fidelity.short_epochs);
        self.fidelity.measure_ahead = self.fidelity.measure_ahead.or(kept.fidelity.measure_ahead);
        self.has_one_target = kept.has_one_target;
        self
    }

    /// The same experiment with other objectives: those of its bounds and of its reference that are not among them are left
    /// out.
    pub(crate) fn with_objectives(&self, objectives: &Objectives) -> Result<Self> {
        let mut experiment = self.clone();
        let bounds = &self.search.bounds.all;
        let kept = objectives.iter().filter_map(|objective| Some((objective, bounds.get(objective)?)));
        experiment.search.bounds = ByTarget::of_all(Bounds::new(kept)?);
        experiment.search.reference.all.retain(|objective, _| objectives.position(*objective).is_some());
        experiment.search.objectives = Some(objectives.clone());
        experiment.input.get_or_insert_default();
        Ok(experiment)
    }

    /// The search problem of an experiment with resolved objectives and input.
    ///
    /// # Errors
    /// If these are missing, or the space, the bounds or the reward cannot be used.
    pub(crate) fn problem(&self) -> Result<Problem> {
        let targets = self.search_targets()?;
        let input = self.input.context("the section [input] is missing")?;
        let (space, reward) = (self.space.build()?.into(), self.reward.clone());
        let objectives = targets.get(0).objectives.clone();
        let problem = Problem::new(space, input.shape(), input.classes, objectives, Bounds::default(), reward)?
            .with_targets(targets)
            .with_fidelity(Fidelity {
                short_epochs: self.fidelity.short_epochs.unwrap_or(0),
                full_epochs: self.training.epochs as u64,
                measure_ahead: self.fidelity.measure_ahead.unwrap_or(0),
                least_chance: self.fidelity.least_chance.unwrap_or(0.0),
            });
        // A log tells all of its texts apart.
        Ok(if self.replay.is_some() { problem.with_identity(Identity::Architecture) } else { problem })
    }

    /// The experiment as a file that reads back to it.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// The settings by the names that `--set` takes, with their values as texts.
    ///
    /// # Errors
    /// As [`to_toml`](Self::to_toml).
    pub(crate) fn flat(&self) -> Result<Vec<[String; 2]>> {
        let mut settings = Vec::new();
        flatten("", &toml::Value::Table(table::of(self)?), &mut settings);
        Ok(settings)
    }

    /// The same for equal experiments, however many evaluations and re-measurements they have, and regardless of their
    /// hypervolume refers to.
    pub fn fingerprint(&self) -> Result<String, toml::ser::Error> {
        let mut same = self.clone();
        (same.search.evaluations, same.search.epochs, same.search.hours) = (None, None, None);
        same.search.remeasure = 0;
        same.search.reference.clear();
        same.cluster = ClusterConfig::default();
        if let Some(replay) = &mut same.replay {
            replay.speed = None;
        }
        Ok(sha256(same.to_toml()?))
    }
}

fn flatten(name: &str, value: &toml::Value, settings: &mut Vec<[String; 2]>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, settings);
            }
        }
        toml::Value::String(text) => settings.push([name.to_owned(), text.clone()]),
        other => settings.push([name.to_owned(), other.to_string()]),
    }
}

#[cfg(test)]
mod tests;
