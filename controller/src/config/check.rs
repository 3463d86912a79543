//! What no single key of an experiment can tell.

use child::onnx;
use hardware::options::DeviceOptions;

use super::{ConfigError, Experiment};
use crate::policy::{PolicyError, UpdateConfig};
use crate::strategy::{StrategyConfig, StrategyError};

/// Most proposals a round, trainers, and threads of one: more is a slip of the pen, and would exhaust any machine.
const MOST: usize = 10_000;
/// Most channels and pixels a side of an image, and most classes, for the same reason.
const LARGEST_SIDE: usize = 4096;
const MOST_CLASSES: usize = 65_536;

impl Experiment {
    /// Checks what no single key can tell.
    ///
    /// # Errors
    /// The first contradiction; its message begins with a key where one is to blame.
    pub fn check(&self) -> Result<(), ConfigError> {
        let contradiction = |message: String| Err(ConfigError::Contradiction(message));
        let search = &self.search;
        if search.evaluations == 0 {
            return contradiction("search.evaluations = 0: a search needs at least one evaluation".to_owned());
        }
        if search.remeasure > 0 && self.replay.is_some() {
            let reason = "a log gives the same values each time, so nothing can be measured again in a replay";
            let remeasure = search.remeasure;
            return contradiction(format!("search.remeasure = {remeasure}: {reason}; leave it out, or set it to 0"));
        }
        let counts =
            [("batch", search.batch), ("trainers", search.trainers), ("trainer_threads", search.trainer_threads)];
        if let Some((key, count)) = counts.into_iter().find(|(_, count)| !(1..=MOST).contains(count)) {
            return contradiction(format!("search.{key} = {count}: it must be at least 1, and at most {MOST}"));
        }
        if let Some(input) = &self.input {
            if !input.shape.iter().all(|side| (1..=LARGEST_SIDE).contains(side)) {
                let message = "must be channels, height and width, each from 1 to";
                return contradiction(format!("input.shape = {:?} {message} {LARGEST_SIDE}", input.shape));
            }
            if !(1..=MOST_CLASSES).contains(&input.classes) {
                return contradiction(format!("input.classes = {} must be 1 to {MOST_CLASSES}", input.classes));
            }
        }
        if self.devices.is_empty() && self.replay.is_none() {
            return contradiction("no device to measure on: add a [devices.NAME] section, or [replay]".to_owned());
        }
        let as_text = |error: &dyn std::fmt::Display| ConfigError::Contradiction(error.to_string());
        self.training.check().map_err(|error| as_text(&error))?;
        self.reward.check().map_err(|error| as_text(&error))?;
        check_strategy(&self.strategy)?;
        self.space.build().map_err(|error| as_text(&error))?;
        self.measuring.check()?;
        onnx::Options::from(self.export).check().map_err(|error| as_text(&error))?;
        self.devices.iter().try_for_each(|(name, device)| check_device(name, device))
    }
}

/// What a strategy would refuse only when it begins.
fn check_strategy(strategy: &StrategyConfig) -> Result<(), ConfigError> {
    let (own, update) = match strategy {
        StrategyConfig::ModelBased(config) => (config.check(), Some(&config.update)),
        StrategyConfig::PolicyGradient(config) => (Ok(()), Some(&config.update)),
        StrategyConfig::Evolution(config) => (config.check(), None),
        StrategyConfig::Random(_) => (Ok(()), None),
    };
    own.map_err(|error| match error {
        StrategyError::Setting { name, found, range } => {
            ConfigError::Contradiction(format!("strategy.{name} = {found}: it must be {range}"))
        }
        other => ConfigError::Contradiction(format!("strategy: {other}")),
    })?;
    update.map_or(Ok(()), UpdateConfig::check).map_err(|error| match error {
        PolicyError::Range { name, found } => {
            ConfigError::Contradiction(format!("strategy.update.{name} = {found} is out of its range"))
        }
        other => ConfigError::Contradiction(format!("strategy.update: {other}")),
    })
}

/// Checks a device's settings, without looking up secrets.
fn check_device(name: &str, device: &DeviceOptions) -> Result<(), ConfigError> {
    let Some(problem) = device.problem() else { return Ok(()) };
    let begins_with_key = problem.split(' ').nth(1) == Some("=");
    let between = if begins_with_key { "." } else { ": " };
    Err(ConfigError::Contradiction(format!("devices.{name}{between}{problem}")))
}
