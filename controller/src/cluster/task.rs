//! What workers need of an experiment, and what they add of their own.

use anyhow::{Context as _, Result, bail};
use child::data::Source;
use child::train::TrainingConfig;

use super::message::{LONGEST, Order};
use crate::config::ClusterConfig;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(text: &str) -> Experiment {
        Experiment::parse(text, "a test", &[]).unwrap()
    }

    #[test]
    fn a_task_has_nothing_of_the_searching_machine() {
        let of_search = experiment(
            "[search]\nseed = 7\ntrainers = 3\n[data]\nname = 'folder'\ndir = '/home/me/photos'\nsize = 32\n\
             [training]\nbackend = 'flex'\nepochs = 9\n[devices.secret]\nkind = 'command'\ncommand = ['/home/me/time']\n\
             [cluster]\nurl = 'nats://lab:4222'\ntoken = '/home/me/token'\n",
        );
        let task = task_of(&of_search).unwrap();
        for private in ["/home/me", "secret", "command", "lab:4222", "flex", "trainers = 3"] {
            assert!(!task.contains(private), "{private} in {task}");
        }
        let read: Experiment = toml::from_str(&task).unwrap();
        assert_eq!((read.search.seed, read.training.epochs), (7, 9));
    }

    #[test]
    fn a_worker_uses_its_own_commands_folders_and_backend() {
        let of_search = experiment(
            "[search]\nseed = 7\n[data]\nname = 'cifar10'\ndir = '/theirs'\n[training]\nepochs = 9\n\
             [devices.theirs]\nkind = 'command'\ncommand = ['/theirs']\n",
        );
        // As a hostile search could write it.
        let task =
            format!("{}\n[devices.evil]\nkind = 'command'\ncommand = ['/bin/evil']\n", task_of(&of_search).unwrap());
        let own = experiment(
            "[search]\ntrainers = 4\ntrainer_threads = 2\n[data]\nname = 'cifar10'\ndir = '/ours'\n[training]\nbackend = 'flex'\n\
             [devices.ours]\nkind = 'command'\ncommand = ['/ours']\n",
        );
        let merged = experiment_of(&task, &own).unwrap();
        assert_eq!(merged.devices, own.devices);
        assert_eq!(merged.training.backend, own.training.backend);
        assert_eq!((merged.search.trainers, merged.search.trainer_threads, merged.search.seed), (4, 2, 7));
        assert_eq!(merged.training.epochs, 9);
        assert_eq!(merged.data.source, own.data.source);
    }

    #[test]
    fn a_clock_that_stands_still_or_runs_backwards_is_refused() {
        for speed in ["0.0", "-2.0", "nan"] {
            let text = format!("[replay]\nlog = 'table.csv'\nspeed = {speed}\n");
            let error = Experiment::parse(&text, "a test", &[]).unwrap_err().to_string();
            assert!(error.contains("replay.speed"), "{error}");
        }
    }

    #[test]
    fn what_a_worker_lacks_is_named_by_its_key() {
        let message = |task: &str, own: &str| {
            experiment_of(&task_of(&experiment(task)).unwrap(), &experiment(own)).unwrap_err().to_string()
        };
        assert!(message("[data]\nname = 'cifar10'\n", "").contains("data.dir"));
        assert!(message("[replay]\nlog = 'table.csv'\n", "").contains("replay.log"));
        assert!(message("", "[replay]\nlog = 'table.csv'\n").contains("a log that answers"));
    }
}
