//! `controller worker`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use child::data::Deployment;
use clap::Args;
use tokio::sync::RwLock;

use super::load_images::load_images;
use super::options::{ClusterOptions, quoted};
use super::run::{listen, start_threads};
use crate::cluster::{Announcement, Broker, DeviceInfo, Outfit, WorkerSettings, work};
use crate::config::Experiment;
use crate::evaluate::{DevicePool, Evaluator, Live, LiveSettings, Replayed, check_alike};
use crate::run::temporary_folder;
use crate::stop::Stop;

/// Train and measure for the searches of a cluster.
///
/// It takes the jobs of all searches on the server that suit it. Without a file it trains on the default backend, and
/// measures on `host`. Devices, commands, addresses, folders, backend and trainers
/// are those of its own file; space, data set, training and measuring are those of a search.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller worker --cluster nats://lab:4222            train, and measure on this machine
  controller worker --cluster nats://lab:4222 --train --set search.trainers=4
  controller worker --cluster nats://lab:4222 --experiment board.toml --measure")]
pub(super) struct Worker {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Folder of the data set.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Only train, unless --measure is given too.
    #[arg(long)]
    train: bool,
    /// Only measure, unless --train is given too.
    #[arg(long)]
    measure: bool,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

impl Worker {
    pub(super) fn run(self) -> Result<ExitCode> {
        let data_dir = self.data_dir.iter().map(|dir| format!("data.dir={}", quoted(dir)));
        let mut own = self.cluster.read(data_dir)?;
        make_absolute(&mut own)?;
        let does = Does { measures: self.measure || !self.train, trains: self.train || !self.measure };
        let stop = Stop::default();
        // Before devices are opened.
        let runtime = start_threads("the worker")?;
        let folder = temporary_folder()?;
        let settings = settings(own, does, folder.path(), &stop, self.quiet)?;
        let ended = runtime.block_on(async {
            tokio::spawn(listen(stop.clone()));
            let broker = Broker::connect(&settings.own.cluster, "worker", &stop).await?;
            work(broker, settings).await
        });
        // Trainings check for the stop after each epoch; the program does not wait for them.
        runtime.shutdown_background();
        ended.map(|()| ExitCode::SUCCESS)
    }
}

fn make_absolute(own: &mut Experiment) -> Result<()> {
    for device in own.devices.values_mut() {
        device.make_absolute().context("cannot find the working directory")?;
    }
    Ok(())
}

/// The kinds of job that a worker takes.
#[derive(Debug, Clone, Copy)]
struct Does {
    measures: bool,
    trains: bool,
}

fn settings(own: Experiment, does: Does, folder: &Path, stop: &Stop, quiet: bool) -> Result<WorkerSettings> {
    let Does { measures, trains } = does;
    let (mut device, mut places) = (None, (usize::from(measures), usize::from(trains)));
    match &own.replay {
        Some(replay) => places = (places.0 * replay.workers, places.1 * replay.workers),
        None => {
            places.1 *= own.search.trainers;
            if trains {
                own.training.processors()?;
            }
            if measures {
                check_alike(&own.devices.iter().map(|(name, device)| (name, &device.options)).collect::<Vec<_>>())?;
                let pool = open(&own)?;
                if let Some(difference) = pool.unlike() {
                    anyhow::bail!("{difference}");
                }
                places.0 = pool.len();
                device = DeviceInfo::of(&pool);
            }
        }
    }
    let outfitter = Outfitter { trains, quiet, machine: Arc::default(), stop: stop.clone() };
    Ok(WorkerSettings {
        own,
        device,
        measures: places.0,
        trains: places.1,
        folder: folder.to_owned(),
        stop: stop.clone(),
        quiet,
        outfit: Box::new(move |announcement, experiment, folder| outfitter.outfit(announcement, experiment, folder)),
    })
}

fn open(experiment: &Experiment) -> Result<DevicePool> {
    let devices = experiment.devices.iter().map(|(name, device)| (name, &device.options));
    DevicePool::open(devices, experiment.measuring.clone())
}

/// Opens what each run needs.
struct Outfitter {
    trains: bool,
    quiet: bool,
    /// Runs share the machine: nothing trains while something is measured on it.
    machine: Arc<RwLock<()>>,
    stop: Stop,
}

impl Outfitter {
    /// The devices and trainers of a run.
    fn outfit(&self, announcement: &Announcement, experiment: Experiment, folder: &Path) -> Result<Outfit> {
        let problem = Arc::new(experiment.problem()?);
        if let Some(replay) = &experiment.replay {
            let log = Replayed::open(replay, problem.space())?;
            let data = Some(log.fingerprint()?);
            return Ok(Outfit { evaluator: Arc::new(log) as Arc<dyn Evaluator>, problem, data });
        }
        let data = self.trains.then(|| load_images(&experiment, self.quiet)).transpose()?;
        let fingerprint = data.as_ref().map(crate::evaluate::TrainingSet::fingerprint);
        let deployment: Deployment =
            announcement.deployment.clone().context("the search does not say how images become inputs")?;
        let processors = if self.trains { experiment.training.processors()? } else { Vec::new() };
        let scratch = folder.join("scratch");
        std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create the folder {}", scratch.display()))?;
        let live = Live::new(
            LiveSettings {
                problem: Arc::clone(&problem),
                deployment,
                data,
                training: experiment.training.clone(),
                processors,
                pools: vec![Some(Arc::new(open(&experiment)?))],
                export: experiment.export,
                seed: experiment.search.seed,
                trainers: experiment.search.trainers,
                trainer_threads: experiment.search.trainer_threads,
                trainings: scratch.with_file_name("trainings"),
                scratch,
                stop: self.stop.clone(),
            },
            Arc::clone(&self.machine),
        );
        Ok(Outfit { evaluator: Arc::new(live), problem, data: fingerprint })
    }
}
