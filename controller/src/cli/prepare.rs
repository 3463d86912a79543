//! From an experiment to the parts of a search.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use child::data::Source;
use child::space::Architecture;
use hardware::Statistic;
use hardware::options::DeviceOptions;
use indicatif::HumanDuration;

use super::load_images::load_images;
use crate::cluster::{DeviceInfo, Fixed};
use crate::config::{Experiment, InputConfig, SearchConfig};
use crate::evaluate::{DevicePool, Live, LiveSettings, ReplayConfig, Replayed};
use crate::objective::{Objective, Objectives};
use crate::pareto::ReferencePoint;
use crate::problem::{Fidelity, Problem};
use crate::stop::Stop;
use crate::strategy::{Strategy, StrategyConfig};

/// A resolved experiment with the parts of its search.
pub(super) struct Prepared {
    /// The experiment with objectives and input.
    pub experiment: Experiment,
    pub problem: Arc<Problem>,
    /// What measures and trains, unless a log answers.
    pub live: Option<Arc<Live>>,
    /// The log that answers.
    pub log: Option<Arc<Replayed>>,
    /// What workers need to know of the images, or of the log; `None` without a cluster.
    pub fixed: Option<Fixed>,
    /// What networks are measured on; `None` where a log answers.
    pub device: Option<DeviceInfo>,
    /// Notices about the resolution for the user.
    pub notices: Vec<String>,
    /// Two devices that are not alike, by what they say of themselves.
    pub unlike: Option<String>,
}

impl Prepared {
    /// How long `children` trainings take, one after the other and on all trainers, in words; `None` for a log.
    ///
    /// # Errors
    /// If the time cannot be estimated.
    pub fn time_of_training(&self, children: u64) -> anyhow::Result<Option<String>> {
        let Some(live) = &self.live else { return Ok(None) };
        let child = live.training_time()?;
        let SearchConfig { trainers, .. } = self.experiment.search;
        let fidelity = self.problem.fidelity();
        let all = child.mul_f64(fidelity.cost() * children as f64 / trainers as f64);
        let (child, all) = (about(child), about(all));
        let beside = if trainers > 1 { format!(", {trainers} at a time") } else { String::new() };
        let short = if fidelity.short_epochs > 0 { " and their short trainings" } else { "" };
        Ok(Some(format!("training takes {child} a child, {all} for {children}{short}{beside} on this machine")))
    }

    pub fn strategy(&self) -> anyhow::Result<Box<dyn Strategy>> {
        let device = self.experiment.training.backend.device()?;
        self.experiment.strategy.build(self.experiment.search.seed, &self.problem, &device)
    }
}

/// An estimated duration in words.
fn about(duration: Duration) -> String {
    match duration.as_secs() {
        0 => "less than a second".to_owned(),
        _ => format!("about {}", HumanDuration(duration)),
    }
}

/// An absolute path, for a run may be resumed in another working directory, and devices may have others.
pub(super) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).context("there is no working directory")
}

/// What measures and trains.
pub(super) enum By<'a> {
    /// The devices of the experiment, and this machine.
    Here,
    /// Workers that measure on such a device.
    Workers(&'a DeviceInfo),
}

/// Resolves an experiment. During measurements, models lie in the folder `scratch`, which need not exist yet. The progress
/// of what takes a while is shown unless `quiet`.
pub(super) fn prepare(
    experiment: Experiment,
    by: &By<'_>,
    scratch: &Path,
    stop: &Stop,
    quiet: bool,
) -> anyhow::Result<Prepared> {
    match experiment.replay.clone() {
        Some(replay) => replayed(experiment, &replay),
        None => live(experiment, by, absolute(scratch)?, stop, quiet),
    }
}

fn replayed(mut experiment: Experiment, replay: &ReplayConfig) -> anyhow::Result<Prepared> {
    let space = experiment.space.build()?;
    let log = Replayed::open(replay, space.as_ref())?;
    if let Some(replay) = &mut experiment.replay {
        replay.log = absolute(&replay.log)?;
    }
    let found = log.measured();
    let path = replay.log.display();
    if let Some(objectives) = &experiment.search.objectives {
        for objective in Objective::MEASURED {
            ensure!(
                found.contains(&objective) || objectives.position(objective).is_none(),
                "{path} has no values for the objective `{objective}`: remove it from search.objectives, or name its \
                 column in [replay.columns]"
            );
        }
    } else {
        let objectives = Objectives::new(found)
            .with_context(|| format!("{path}: name the columns of accuracy, time and energy in [replay.columns]"))?;
        experiment.search.objectives = Some(objectives);
    }
    experiment.input.get_or_insert_default();
    set_reference(&mut experiment.search, &log);
    let mut notices = vec![format!("columns: {}", log.table.columns())];
    if log.available().is_some() {
        notices.push(format!("{path} has {} of the space's {} architectures", log.table.rows().len(), space.size()));
    }
    if log.table.skipped() > 0 {
        notices.push(format!("{} rows of {path} are of evaluations that did not succeed", log.table.skipped()));
    }
    let full_epochs = log.table.full_epochs().unwrap_or(1);
    let short_epochs = log.table.short_epochs().unwrap_or(0);
    let fidelity = resolve_fidelity(&mut experiment, Some(short_epochs), full_epochs);
    notices.extend(about_batch(&experiment, fidelity));
    let mut problem = problem(&experiment)?.with_fidelity(fidelity);
    if let Some(available) = log.available() {
        problem = problem.with_available(available.iter().cloned());
    }
    let mut fixed = None;
    if experiment.cluster.server().is_some() {
        fixed = Some(Fixed { fingerprint: log.fingerprint()?, deployment: None });
    }
    let (problem, log) = (Arc::new(problem), Some(Arc::new(log)));
    Ok(Prepared { problem, live: None, log, fixed, device: None, experiment, notices, unlike: None })
}

/// Completes the reference point of the hypervolume by the worst values of the log, so that it does not depend on the
/// first evaluations of the run.
fn set_reference(search: &mut SearchConfig, log: &Replayed) {
    let objectives = search.objectives.iter().flat_map(Objectives::iter);
    for objective in objectives.filter(|objective| [Objective::Time, Objective::Energy].contains(objective)) {
        let worst = log.table.rows().iter().filter_map(|row| objective.measured(row)).max_by(f64::total_cmp);
        if let Some(worst) = worst.filter(|worst| *worst > 0.0 && search.bounds.get(objective).is_none()) {
            search.reference.entry(objective).or_insert(ReferencePoint::MARGIN * worst);
        }
    }
}

fn live(
    mut experiment: Experiment,
    by: &By<'_>,
    scratch: PathBuf,
    stop: &Stop,
    quiet: bool,
) -> anyhow::Result<Prepared> {
    // Workers have their own.
    let processors = if let By::Here = by { experiment.training.processors()? } else { Vec::new() };
    let data = load_images(&experiment, quiet)?;
    let of_data = InputConfig::new(data.shape, data.classes);
    if let Some(input) = experiment.input {
        let stated = (input.shape, input.classes);
        let found = (of_data.shape, of_data.classes);
        ensure!(stated == found, "[input] says {stated:?}, but the data has {found:?}: remove the section");
    }
    experiment.input = Some(of_data);
    if let Source::Cifar10 { dir } | Source::Folder { dir, .. } = &mut experiment.data.source {
        *dir = absolute(dir)?;
    }
    for device in experiment.devices.values_mut() {
        device.make_absolute().context("there is no working directory")?;
    }
    experiment.training.augmentation.check(data.shape)?;
    let devices = match by {
        By::Here => Some(DevicePool::open(&experiment.devices, experiment.measuring.clone())?),
        By::Workers(_) => None,
    };
    let device = match (&devices, by) {
        (_, By::Workers(device)) => Some((*device).clone()),
        (Some(devices), By::Here) => DeviceInfo::of(devices),
        (None, By::Here) => None,
    };
    let device = device.context("no device measures")?;
    let of_device = |(name, device): (&String, &DeviceOptions)| {
        device.notices().into_iter().map(|notice| format!("device `{name}`: {notice}")).collect::<Vec<_>>()
    };
    let about_data = std::iter::once(data.in_words()).chain(data.notes.iter().cloned());
    let mut notices: Vec<String> = about_data.collect();
    if devices.is_some() {
        notices.extend(experiment.devices.iter().flat_map(of_device));
        notices.extend(experiment.reservations());
    }
    if experiment.measuring.statistic.is_none() {
        experiment.measuring.statistic = Some(device.statistic);
        if device.statistic == Statistic::Mean {
            notices.push("time_ms is the mean of the runs: a device does not give their median".to_owned());
        }
    }
    match &experiment.search.objectives {
        Some(objectives) => ensure!(
            device.measures_energy || objectives.position(Objective::Energy).is_none(),
            "energy is not measured by every device{}: remove `energy_mj` from search.objectives, or name a meter",
            why_no_energy(&experiment)
        ),
        None => {
            let mut objectives = vec![Objective::Error, Objective::Time];
            if device.measures_energy {
                objectives.push(Objective::Energy);
            } else {
                notices.push(format!("energy is not measured{}", why_no_energy(&experiment)));
            }
            experiment.search.objectives = Some(Objectives::new(objectives)?);
        }
    }
    let full_epochs = experiment.training.epochs as u64;
    let fidelity = resolve_fidelity(&mut experiment, None, full_epochs);
    notices.extend(about_batch(&experiment, fidelity));
    let problem = Arc::new(problem(&experiment)?.with_fidelity(fidelity));
    let fixed = experiment
        .cluster
        .server()
        .map(|_| Fixed { fingerprint: data.fingerprint(), deployment: Some(data.deployment.clone()) });
    let device = Some(device);
    let Some(devices) = devices else {
        return Ok(Prepared { problem, live: None, log: None, fixed, device, experiment, notices, unlike: None });
    };
    let unlike = devices.unlike().map(str::to_owned);
    let settings = LiveSettings {
        problem: Arc::clone(&problem),
        deployment: data.deployment.clone(),
        data: Some(data),
        training: experiment.training.clone(),
        processors,
        devices: Arc::new(devices),
        export: experiment.export,
        seed: experiment.search.seed,
        trainers: experiment.search.trainers,
        trainer_threads: experiment.search.trainer_threads,
        trainings: scratch.with_file_name("trainings"),
        scratch,
        stop: stop.clone(),
    };
    let live = Arc::new(Live::new(settings, Arc::default()));
    Ok(Prepared { problem, live: Some(live), log: None, fixed, device, experiment, notices, unlike })
}

/// A notice where `search.batch` is set and has no effect.
fn about_batch(experiment: &Experiment, fidelity: Fidelity) -> Option<String> {
    let batch = experiment.search.batch;
    let reason = match experiment.strategy {
        StrategyConfig::Random(_) | StrategyConfig::Evolution(_) => "proposes a network whenever there is room for one",
        StrategyConfig::ModelBased(_) if fidelity.short_epochs > 0 => {
            "promotes one network at a time after short trainings"
        }
        _ => return None,
    };
    let name = experiment.strategy.name();
    let is_set = batch != SearchConfig::default().batch;
    is_set.then(|| format!("search.batch = {batch} has no effect: `{name}` {reason}"))
}

/// Completes the section `[fidelity]`; `short_epochs` are those of a log.
fn resolve_fidelity(experiment: &mut Experiment, short_epochs: Option<u64>, full_epochs: u64) -> Fidelity {
    let uses_fidelity = matches!(experiment.strategy, StrategyConfig::ModelBased(_));
    let fidelity = experiment.fidelity.resolve(short_epochs, full_epochs, uses_fidelity);
    experiment.fidelity.short_epochs = Some(fidelity.short_epochs);
    experiment.fidelity.measure_ahead = Some(fidelity.measure_ahead);
    fidelity
}

/// Why the first device without energy does not measure it, as the end of a sentence.
fn why_no_energy(experiment: &Experiment) -> String {
    let of =
        |(name, device): (&String, &DeviceOptions)| Some(format!(" (device `{name}`: {})", device.why_no_energy()?));
    experiment.devices.iter().find_map(of).unwrap_or_default()
}

/// The problem of a resolved experiment, whose networks can take its images.
fn problem(experiment: &Experiment) -> anyhow::Result<Problem> {
    let problem = experiment.problem()?;
    let first = Architecture::new(vec![0; problem.space().decisions().len()]);
    problem
        .graph(&first)
        .with_context(|| format!("images of {} do not suit the space `{}`", problem.input(), problem.space().name()))?;
    Ok(problem)
}
