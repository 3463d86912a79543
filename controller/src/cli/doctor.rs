//! `controller doctor`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use hardware::options::DeviceOptions;

use super::options::{Overrides, read};
use super::prepare::prepare;
use crate::config::Experiment;
use crate::evaluate::{Replayed, TrainingSet, check_alike};
use crate::stop::Stop;
use crate::terminal::say;

/// Check the devices, the backend and the data of an experiment, with remedies for problems.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  controller doctor experiments/cifar10.toml")]
pub(super) struct Doctor {
    /// Experiment file; without one, the quickstart.
    experiment: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

impl Doctor {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let experiment = read(self.experiment.as_deref(), &self.overrides.all())?;
        // Printed one by one: a device that does not answer takes a while.
        let mut healthy = report("search space", space(&experiment))?;
        if experiment.replay.is_some() {
            healthy &= report("log", log(&experiment))?;
        } else {
            healthy &= report(&format!("backend {}", experiment.training.backend), backend(&experiment))?;
            healthy &= report("data", data(&experiment))?;
            for (name, config) in &experiment.devices {
                healthy &= report(&format!("device {name}"), device(config))?;
            }
        }
        // Problems of the parts would be reported twice.
        healthy = healthy && report("search", search(&experiment))?;
        Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Prints the result of a check, and returns whether it is good.
fn report(name: &str, result: anyhow::Result<String>) -> anyhow::Result<bool> {
    match &result {
        Ok(found) => say(format_args!("ok      {name}: {found}"))?,
        Err(error) => say(format_args!("FAILED  {name}: {}", super::describe(error)))?,
    }
    Ok(result.is_ok())
}

fn space(experiment: &Experiment) -> anyhow::Result<String> {
    let space = experiment.space.build()?;
    Ok(format!("{}, {} decisions, {} architectures", space.name(), space.decisions().len(), space.size()))
}

/// All parts together, as at the begin of a search.
fn search(experiment: &Experiment) -> anyhow::Result<String> {
    if experiment.replay.is_none() {
        check_alike(&experiment.devices)?;
    }
    // Nothing is measured, so the folder stays empty.
    let prepared = prepare(experiment.clone(), &std::env::temp_dir(), &Stop::default())?;
    if let Some(problem) = &prepared.unlike {
        bail!("{problem}");
    }
    Ok(format!("{} minimises {}", prepared.strategy()?.name(), prepared.problem.objectives().names()))
}

fn log(experiment: &Experiment) -> anyhow::Result<String> {
    let space = experiment.space.build()?;
    let Some(replay) = &experiment.replay else { return Ok("none".to_owned()) };
    let log = Replayed::open(replay, space.as_ref())?;
    Ok(format!("{}, {} architectures", log.table.path().display(), log.table.rows().len()))
}

fn backend(experiment: &Experiment) -> anyhow::Result<String> {
    experiment.training.backend.device()?;
    Ok("compiled in".to_owned())
}

fn data(experiment: &Experiment) -> anyhow::Result<String> {
    let data = TrainingSet::load(&experiment.data, experiment.search.seed)?;
    experiment.training.augmentation.check(data.shape)?;
    let (train, validation) = (data.splits.train.len(), data.splits.validation.len());
    Ok(format!("{train} training and {validation} validation images of {}, {} classes", data.shape, data.classes))
}

fn device(config: &DeviceOptions) -> anyhow::Result<String> {
    // The user waits for the answer.
    let mut config = config.clone();
    config.limit_patience(Duration::from_secs(3));
    let mut device = config.open()?;
    let label = device.describe()?.label();
    let energy = match (device.measures_energy(), config.why_no_energy()) {
        (true, _) => "measures energy".to_owned(),
        (false, None) => "has no power meter: time only".to_owned(),
        (false, Some(why)) => format!("time only, since {why}"),
    };
    let health = device.health()?;
    let lines = health.iter().map(|(name, found)| format!("\n        {name}: {found}"));
    let notices = config.notices().into_iter().map(|notice| format!("\n        {notice}"));
    Ok(format!("{label}; {energy}{}", lines.chain(notices).collect::<String>()))
}
