//! What workers need of an experiment, and what they add of their own.

use anyhow::{Context as _, Result, bail};
use child::data::Source;
use child::train::TrainingConfig;

use super::ClusterConfig;
use super::message::{LONGEST, Order};
use crate::config::{Experiment, SearchConfig};
use crate::fingerprint::sha256;

/// An experiment without what belongs to the searching machine: devices, commands, addresses, paths, and how the search
/// goes on.
pub(crate) fn task_of(experiment: &Experiment) -> Result<String> {
    let Experiment { search, training, .. } = experiment;
    let defaults = Experiment::default();
    let TrainingConfig { backend, checkpoint_every, .. } = TrainingConfig::default();
    let mut task = Experiment {
        search: SearchConfig {
            seed: search.seed,
            objectives: search.objectives.clone(),
            bounds: search.bounds.clone(),
            ..SearchConfig::default()
        },
        strategy: defaults.strategy,
        training: TrainingConfig { backend, devices: Vec::new(), checkpoint_every, ..training.clone() },
        devices: std::collections::BTreeMap::new(),
        cluster: ClusterConfig::default(),
        ..experiment.clone()
    };
    if let Source::Cifar10 { dir } | Source::Folder { dir, .. } = &mut task.data.source {
        dir.clear();
    }
    if let Some(replay) = &mut task.replay {
        replay.log.clear();
        (replay.workers, replay.speed) = (1, None);
    }
    Ok(task.to_toml()?)
}

/// A task as an experiment of a worker: devices, commands, addresses, folders, backend and trainers are its own, and no
/// others.
///
/// # Errors
/// If the worker lacks what the task needs, with the key that its file needs.
pub(crate) fn experiment_of(task: &str, own: &Experiment) -> Result<Experiment> {
    let read: Experiment = toml::from_str(task).context("the search's task cannot be read")?;
    let mut merged = Experiment {
        search: SearchConfig {
            trainers: own.search.trainers,
            trainer_threads: own.search.trainer_threads,
            ..read.search
        },
        training: TrainingConfig {
            backend: own.training.backend,
            devices: own.training.devices.clone(),
            checkpoint_every: own.training.checkpoint_every,
            ..read.training
        },
        devices: own.devices.clone(),
        cluster: own.cluster.clone(),
        ..read
    };
    let folder = match &own.data.source {
        Source::Cifar10 { dir } | Source::Folder { dir, .. } => Some(dir),
        Source::Digits => None,
    };
    match (&mut merged.data.source, folder, &own.data.source) {
        (Source::Digits, ..) => {}
        (Source::Cifar10 { dir }, Some(own), Source::Cifar10 { .. })
        | (Source::Folder { dir, .. }, Some(own), Source::Folder { .. }) => dir.clone_from(own),
        (Source::Cifar10 { .. }, ..) if merged.replay.is_none() => {
            bail!(
                "the search trains on CIFAR-10: name its folder in the worker's file (data.name = \"cifar10\", data.dir)"
            )
        }
        (Source::Folder { .. }, ..) if merged.replay.is_none() => {
            bail!(
                "the search trains on a folder of images: name it in the worker's file (data.name = \"folder\", data.dir)"
            )
        }
        _ => {}
    }
    match (&mut merged.replay, &own.replay) {
        (Some(replay), Some(own)) => {
            replay.log.clone_from(&own.log);
            (replay.workers, replay.speed) = (own.workers, own.speed);
        }
        (Some(_), None) => bail!("a log answers in this search: name it in the worker's file (replay.log)"),
        (None, Some(_)) => bail!("the worker's file has a log that answers, but this search trains and measures"),
        (None, None) => {}
    }
    merged.check()?;
    Ok(merged)
}

/// The fingerprint that orders name their task by.
pub(crate) fn fingerprint(task: &str) -> String {
    sha256(task)
}

/// Whether an order is within bounds, besides its length.
pub(crate) fn is_plausible(order: &Order) -> bool {
    order.architecture.len() <= LONGEST / 4 && order.avoid.len() <= 16 && order.work.epochs() <= 1_000_000
}
