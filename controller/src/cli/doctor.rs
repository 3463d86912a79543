//! `controller doctor`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use hardware::options::DeviceOptions;
use indicatif::HumanDuration;

use super::load_images::load_images;
use super::options::{Overrides, SearchOptions, local_path, read};
use super::prepare::{By, Prepared, prepare};
use super::workers::find_workers;
use crate::cluster::{Presence, at_a_time};
use crate::config::Experiment;
use crate::evaluate::{Live, Replayed};
use crate::run::temporary_folder;
use crate::stop::Stop;
use crate::terminal::say;

/// Check the devices, the backend and the data of an experiment, with remedies for problems.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller doctor experiments/cifar10.toml
  controller doctor experiments/tx2.toml --space mobile --evaluations 200

It takes the options of `search`, measures one network on a device and times some steps of training: where the answer is \
good, the search with these options can begin.")]
pub(super) struct Doctor {
    /// Experiment file; without one, the quickstart.
    #[arg(value_parser = local_path())]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    options: SearchOptions,
}

impl Doctor {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let experiment = read(self.experiment.as_deref(), &self.options.with(&self.overrides))?;
        // Printed one by one: a device that does not answer takes a while.
        let mut healthy = self.report("search space", space(&experiment))?;
        if experiment.replay.is_some() {
            healthy &= self.report("log", log(&experiment))?;
        } else {
            healthy &= self.report(&format!("backend {}", experiment.training.backend), backend(&experiment))?;
            healthy &= self.report("data", data(&experiment, self.options.quiet))?;
            for (name, config) in &experiment.devices {
                healthy &= self.report(&format!("device {name}"), device(config))?;
            }
        }
        if experiment.cluster.server().is_some() {
            healthy &= self.report("cluster", cluster(&experiment))?;
        }
        // Problems of the parts would be reported twice.
        healthy = healthy && self.search(&experiment)?;
        Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Reports on all parts together, as at the begin of a search, and on the time that it will take.
    fn search(&self, experiment: &Experiment) -> anyhow::Result<bool> {
        if experiment.replay.is_none()
            && let Err(error) = experiment.devices_of_targets()
        {
            return self.report("search", Err(error));
        }
        let scratch = temporary_folder()?;
        let prepared =
            match prepare(experiment.clone(), &By::Here, scratch.path(), &Stop::default(), self.options.quiet) {
                Ok(Prepared { unlike: Some(problem), .. }) => return self.report("search", Err(anyhow!(problem))),
                Ok(prepared) => prepared,
                Err(error) => return self.report("search", Err(error)),
            };
        let named = prepared
            .strategy()
            .map(|strategy| format!("{} minimises {}", strategy.name(), prepared.problem.minimised()));
        let healthy = self.report("search", named)?;
        match &prepared.live {
            Some(live) if healthy => self.report("time", time(&prepared, live, scratch.path())),
            _ => Ok(healthy),
        }
    }

    /// Prints the result of a check, and returns whether it is good.
    fn report(&self, name: &str, result: anyhow::Result<String>) -> anyhow::Result<bool> {
        match &result {
            Ok(_) if self.options.quiet => {}
            Ok(found) => say(format_args!("ok      {name}: {found}"))?,
            Err(error) => say(format_args!("FAILED  {name}: {}", super::describe(error)))?,
        }
        Ok(result.is_ok())
    }
}

fn space(experiment: &Experiment) -> anyhow::Result<String> {
    let space = experiment.space.build()?;
    Ok(format!("{}, {} decisions, {} architectures", space.name(), space.decisions().len(), space.size()))
}

/// How long a search takes: a network is measured, and steps of its training are timed.
fn time(prepared: &Prepared, live: &Live, scratch: &Path) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start a thread for the measurement")?;
    let evaluations =
        prepared.experiment.search.budget().evaluations.unwrap_or(crate::config::SearchConfig::EVALUATIONS);
    let measuring = runtime.block_on(live.measuring_time(scratch))?;
    let training = prepared.time_of_training(evaluations)?.unwrap_or_default();
    let devices = prepared.experiment.devices.len();
    let networks = evaluations as f64 * prepared.problem.fidelity().measure_ahead.max(1) as f64;
    let all = HumanDuration(measuring.mul_f64(networks / devices as f64));
    let beside = if devices > 1 { format!(" on {devices} devices") } else { String::new() };
    Ok(format!(
        "{training}; measuring takes {:.1} s a network, up to {all} for {networks}{beside}",
        measuring.as_secs_f64()
    ))
}

fn cluster(experiment: &Experiment) -> anyhow::Result<String> {
    let seen = find_workers(&experiment.cluster)?.workers;
    let own = env!("CARGO_PKG_VERSION");
    let workers = seen.values().filter(|one| one.answers);
    let (same, other): (Vec<_>, Vec<_>) = workers.partition(|one| one.presence.version == own);
    let sum = |of: fn(&Presence) -> usize| same.iter().map(|one| of(&one.presence)).sum::<usize>();
    let (measures, trains) = (sum(|one| one.measures), sum(|one| one.trains));
    let url = experiment.cluster.url.as_deref().unwrap_or_default();
    ensure!(
        other.is_empty(),
        "{} of its workers have a version other than {own}: update {}",
        other.len(),
        other.iter().map(|one| one.presence.machine.as_str()).collect::<Vec<_>>().join(", ")
    );
    Ok(format!("{url} answers; {} workers, which do {}", same.len(), at_a_time(measures, trains)))
}

fn log(experiment: &Experiment) -> anyhow::Result<String> {
    let space = experiment.space.build()?;
    let Some(replay) = &experiment.replay else { return Ok("none".to_owned()) };
    let log = Replayed::open(replay, space.as_ref())?;
    Ok(format!("{}, {} architectures", log.table().path().display(), log.table().rows().len()))
}

fn backend(experiment: &Experiment) -> anyhow::Result<String> {
    let processors = experiment.training.processors()?;
    let devices: Vec<String> = processors.iter().map(ToString::to_string).collect();
    Ok(format!("compiled in; trains on {}", devices.join(", ")))
}

fn data(experiment: &Experiment, quiet: bool) -> anyhow::Result<String> {
    let data = load_images(experiment, quiet)?;
    experiment.training.augmentation.check(data.shape)?;
    let notes = data.notes.iter().map(|note| format!("\n        {note}"));
    Ok(format!("{}; {}, {} classes{}", data.in_words(), data.shape, data.classes, notes.collect::<String>()))
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
