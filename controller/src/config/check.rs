//! Checks across the keys of an experiment.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use hardware::Plan;
use hardware::options::DeviceOptions;

use super::{Experiment, InputConfig, check_target_name};
use crate::pareto::ReferencePoint;
use crate::policy::UpdateConfig;
use crate::strategy::StrategyConfig;

/// Most proposals a round, trainers, and threads of one: more is a typing mistake, and would exhaust any machine.
const MOST: usize = 10_000;
/// Most evaluations and epochs of a search: more would take longer than a duration can say.
const MOST_EVALUATIONS: u64 = 1_000_000_000;
/// Most channels and pixels a side of an image, and most classes, for the same reason.
const LARGEST_SIDE: usize = 4096;
const MOST_CLASSES: usize = 65_536;
/// A day: no measurement takes as long, and instants do not reach without end.
const LONGEST_MS: u128 = 86_400_000;

impl Experiment {
    /// Checks ranges, and keys that contradict one another.
    ///
    /// # Errors
    /// The first contradiction; its message begins with a key where one is to blame.
    pub fn check(&self) -> Result<()> {
        let search = &self.search;
        ensure!(search.evaluations != Some(0), "search.evaluations = 0: a search needs at least one evaluation");
        ensure!(search.epochs != Some(0), "search.epochs = 0: a search needs at least one epoch");
        for (key, count) in [("evaluations", search.evaluations), ("epochs", search.epochs)] {
            if let Some(count) = count.filter(|count| *count > MOST_EVALUATIONS) {
                bail!(
                    "search.{key} = {count}: it must be at most {MOST_EVALUATIONS}; leave it out and set search.hours \
                     to search until a time"
                );
            }
        }
        if let Some(hours) = search.hours {
            ensure!(hours > 0.0 && hours.is_finite(), "search.hours = {hours}: it must be above 0");
        }
        ensure!(
            search.remeasure == 0 || self.replay.is_none(),
            "search.remeasure = {}: a log gives the same values each time, so nothing can be measured again in a replay; \
             leave it out, or set it to 0",
            search.remeasure
        );
        if let Some(chance) = self.fidelity.least_chance {
            ensure!(
                (0.0..1.0).contains(&chance),
                "fidelity.least_chance = {chance}: it must be at least 0 and below 1"
            );
        }
        let counts =
            [("batch", search.batch), ("trainers", search.trainers), ("trainer_threads", search.trainer_threads)];
        for (key, count) in counts {
            ensure!((1..=MOST).contains(&count), "search.{key} = {count}: it must be at least 1, and at most {MOST}");
        }
        if let Some(InputConfig { shape, classes }) = &self.input {
            ensure!(
                shape.iter().all(|side| (1..=LARGEST_SIDE).contains(side)),
                "input.shape = {shape:?} must be channels, height and width, each from 1 to {LARGEST_SIDE}"
            );
            ensure!((1..=MOST_CLASSES).contains(classes), "input.classes = {classes} must be 1 to {MOST_CLASSES}");
        }
        ensure!(
            !self.devices.is_empty() || self.replay.is_some(),
            "no device to measure on: add a [devices.NAME] section, or [replay]"
        );
        self.cluster.check()?;
        if let Some(speed) = self.replay.as_ref().and_then(|replay| replay.speed) {
            ensure!(speed > 0.0 && speed.is_finite(), "replay.speed = {speed}: it must be above 0");
        }
        ReferencePoint::check(&search.reference.all, search.objectives.as_ref())?;
        search.reference.of.values().try_for_each(|own| ReferencePoint::check(own, search.objectives.as_ref()))?;
        for (device, target) in self.devices.iter().filter_map(|(name, device)| Some((name, device.target.as_ref()?))) {
            check_target_name(target).with_context(|| format!("devices.{device}.target"))?;
        }
        for (name, target) in &self.targets {
            let weight = target.weight;
            ensure!(weight.is_finite() && weight >= 0.0, "targets.{name}.weight = {weight}: it must not be negative");
        }
        self.training.check()?;
        self.reward.check()?;
        check_strategy(&self.strategy)?;
        self.space.build()?;
        check_measuring(&self.measuring)?;
        self.export.check()?;
        self.devices.iter().try_for_each(|(name, device)| check_device(name, device))
    }
}

/// Checks that a strategy itself would only make when it begins.
fn check_strategy(strategy: &StrategyConfig) -> Result<()> {
    let (own, update) = match strategy {
        StrategyConfig::ModelBased(config) => (config.check(), Some(&config.update)),
        StrategyConfig::Bayesian(config) => (config.check(), None),
        StrategyConfig::PolicyGradient(config) => (Ok(()), Some(&config.update)),
        StrategyConfig::Evolution(config) => (config.check(), None),
        StrategyConfig::Random(_) => (Ok(()), None),
    };
    // Their messages begin with the setting.
    own.map_err(|error| anyhow!("strategy.{error}"))?;
    update.map_or(Ok(()), UpdateConfig::check).map_err(|error| anyhow!("strategy.update.{error}"))
}

fn check_measuring(plan: &Plan) -> Result<()> {
    let interval = plan.confidence_interval;
    ensure!(interval > 0.0 && interval < 1.0, "measuring.confidence_interval = {interval} must be above 0 and below 1");
    for (key, number, range) in [
        ("warm_up_ms", plan.warm_up.as_millis(), 0..=LONGEST_MS),
        ("time_limit_ms", plan.time_limit.as_millis(), 1..=LONGEST_MS),
        ("min_runs", plan.min_runs.into(), 1..=u32::MAX.into()),
    ] {
        let (least, most) = (range.start(), range.end());
        ensure!(range.contains(&number), "measuring.{key} = {number} must be {least} to {most}");
    }
    Ok(())
}

/// Checks a device's settings, without looking up secrets.
fn check_device(name: &str, device: &DeviceOptions) -> Result<()> {
    let Some(problem) = device.problem() else { return Ok(()) };
    let begins_with_key = problem.split(' ').nth(1) == Some("=");
    let between = if begins_with_key { "." } else { ": " };
    bail!("devices.{name}{between}{problem}")
}
