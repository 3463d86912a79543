//! From an experiment to the parts of a search.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use child::data::Source;
use child::space::Architecture;
use hardware::Statistic;
use indicatif::HumanDuration;

use super::load_images::load_images;
use crate::cluster::{DeviceInfo, Fixed};
use crate::config::{DeviceConfig, Experiment, InputConfig, SearchConfig};
use crate::evaluate::{DevicePool, Live, LiveSettings, ReplayConfig, Replayed, shipped};
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
    std::path::absolute(path).context("cannot find the working directory")
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
    if let Some(replay) = experiment.replay.as_mut().filter(|replay| !shipped::is_shipped(&replay.log)) {
        replay.log = absolute(&replay.log)?;
    }
    let path = replay.log.display();
    let is_measured =
        |objective: &Objective| (0..log.tables.len()).any(|table| log.measured(table).contains(objective));
    if let Some(objectives) = &experiment.search.objectives {
        let is_unknown = |one: &Objective| !is_measured(one) && !experiment.had(*one);
        let missing = objectives.iter().find(|one| Objective::MEASURED.contains(one) && is_unknown(one));
        if let Some(missing) = missing {
            bail!(
                "{path} has no values for the objective `{missing}`: remove it from search.objectives, or name its \
                 column in [replay.columns]"
            );
        }
    } else {
        let found: Vec<Objective> = Objective::MEASURED.into_iter().filter(is_measured).collect();
        let objectives = Objectives::new(found)
            .with_context(|| format!("{path}: name the columns of accuracy, time and energy in [replay.columns]"))?;
        experiment.search.objectives = Some(objectives);
    }
    if log.targets.len() > 1 || experiment.has_targets() {
        let measured = log.targets.iter().enumerate().map(|(index, name)| (name.clone(), log.measured(index)));
        experiment.resolve_targets(&measured.collect())?;
    }
    experiment.input.get_or_insert_default();
    set_reference(&mut experiment, &log);
    let mut notices = Vec::new();
    if shipped::is_shipped(&replay.log) {
        notices.push(shipped::ABOUT.to_owned());
    }
    for (index, table) in log.tables.iter().enumerate() {
        let of = log.targets.get(index).map_or_else(String::new, |name| format!(" of {name}"));
        notices.push(format!("columns{of}: {}", table.columns()));
    }
    let table = log.table();
    if log.available().is_some() {
        notices.push(format!("{path} has {} of the space's {} architectures", table.rows().len(), space.size()));
    }
    if table.skipped() > 0 {
        notices.push(format!("{} architectures of {path} have no evaluation that succeeded", table.skipped()));
    }
    let full_epochs = table.full_epochs().unwrap_or(1);
    let short_epochs = table.short_epochs().unwrap_or(0);
    let fidelity = resolve_fidelity(&mut experiment, Some(short_epochs), full_epochs);
    check_epochs(&experiment, fidelity, &log)?;
    notices.extend(about_batch(&experiment, fidelity));
    let mut problem = problem(&experiment)?.with_fidelity(fidelity);
    if let Some(available) = log.available() {
        problem = problem.with_available(available.iter().cloned());
    }
    let log = log.for_targets(problem.targets())?;
    let mut fixed = None;
    if experiment.cluster.server().is_some() {
        fixed = Some(Fixed { fingerprint: log.fingerprint()?, deployment: None });
    }
    let (problem, log) = (Arc::new(problem), Some(Arc::new(log)));
    Ok(Prepared { problem, live: None, log, fixed, device: None, experiment, notices, unlike: None })
}

/// Checks that a log can answer what the epochs of a search ask for.
fn check_epochs(experiment: &Experiment, fidelity: Fidelity, log: &Replayed) -> anyhow::Result<()> {
    let (path, known) = (log.table().path().display(), log.epochs());
    if let Some(epochs) = experiment.search.epochs.filter(|_| known.is_empty()) {
        bail!(
            "search.epochs = {epochs}: {path} does not say after how many epochs its accuracies are, so none can be \
             counted; set search.evaluations instead, or name the column in [replay.columns]"
        );
    }
    let short = fidelity.short_epochs;
    ensure!(
        short == 0 || known.contains(&short),
        "fidelity.short_epochs = {short}: {path} has accuracies after {} epochs alone; leave the key out, or set it to 0",
        known.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

/// Completes the reference point of the hypervolume by the worst values of the log, so that it does not depend on the
/// first evaluations of the run.
fn set_reference(experiment: &mut Experiment, log: &Replayed) {
    let (search, targets) = (&mut experiment.search, &experiment.targets);
    let bounded = search.bounds.clone();
    for (index, table) in log.tables.iter().enumerate() {
        let name = log.targets.get(index);
        let own = name.and_then(|name| targets.get(name)?.objectives.clone());
        let objectives = own.or_else(|| search.objectives.clone());
        let bounds = bounded.of(name.map_or("", String::as_str));
        for objective in objectives.iter().flat_map(Objectives::iter).filter(|one| one.depends_on_device()) {
            let worst = table.rows().iter().filter_map(|row| objective.measured(row)).max_by(f64::total_cmp);
            let is_given = search.reference.all.contains_key(&objective) || bounds.get(objective).is_some();
            if let Some(worst) = worst.filter(|worst| *worst > 0.0 && !is_given) {
                let given = match name {
                    Some(name) => search.reference.of.entry(name.clone()).or_default(),
                    None => &mut search.reference.all,
                };
                given.entry(objective).or_insert(ReferencePoint::MARGIN * worst);
            }
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
        device.make_absolute().context("cannot find the working directory")?;
    }
    experiment.training.augmentation.check(data.shape)?;
    let mut of_targets = experiment.devices_of_targets()?;
    // Boards of an earlier run need not be there any more.
    of_targets.retain(|name, _| experiment.is_searched(name));
    let names: Vec<String> = of_targets.keys().cloned().collect();
    ensure!(
        names.len() == 1 || experiment.cluster.server().is_none(),
        "the devices are of several targets ({}), and workers on other machines serve searches for one: leave the cluster \
         out, or search for each in a run of its own",
        names.join(", ")
    );
    let pools = match by {
        By::Here => {
            let devices: Vec<_> = of_targets.into_values().collect();
            DevicePool::open_all(&devices, experiment.measuring.clone())?
        }
        By::Workers(_) => Vec::new(),
    };
    let device = match by {
        By::Workers(device) => Some((*device).clone()),
        By::Here => pools.first().and_then(DeviceInfo::of),
    };
    let device = device.context("no device measures")?;
    let of_device = |(name, device): (&String, &DeviceConfig)| {
        device.notices().into_iter().map(|notice| format!("device `{name}`: {notice}")).collect::<Vec<_>>()
    };
    let about_data = std::iter::once(data.in_words()).chain(data.notes.iter().cloned());
    let mut notices: Vec<String> = about_data.collect();
    if !pools.is_empty() {
        notices.extend(experiment.devices.iter().flat_map(of_device));
        notices.extend(experiment.reservations());
    }
    if experiment.measuring.statistic.is_none() {
        experiment.measuring.statistic = Some(device.statistic);
        if device.statistic == Statistic::Mean {
            notices.push("time_ms is the mean of the runs: a device does not give their median".to_owned());
        }
    }
    if names.len() > 1 || experiment.has_targets() {
        let measured = |pool: &DevicePool| {
            let energy = pool.measures_energy.then_some(Objective::Energy);
            [Objective::Error, Objective::Time].into_iter().chain(energy).collect::<Vec<_>>()
        };
        experiment.resolve_targets(&names.iter().cloned().zip(pools.iter().map(measured)).collect())?;
    } else {
        resolve_objectives(&mut experiment, &device, &mut notices)?;
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
    if pools.is_empty() {
        return Ok(Prepared { problem, live: None, log: None, fixed, device, experiment, notices, unlike: None });
    }
    let unlike = pools.iter().find_map(DevicePool::unlike).map(str::to_owned);
    let settings = LiveSettings {
        problem: Arc::clone(&problem),
        deployment: data.deployment.clone(),
        data: Some(data),
        training: experiment.training.clone(),
        processors,
        pools: by_target(&problem, &names, pools),
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

/// The pools of devices in the order of the search's targets.
fn by_target(problem: &Problem, names: &[String], pools: Vec<DevicePool>) -> Vec<Option<Arc<DevicePool>>> {
    let mut named: BTreeMap<&String, Arc<DevicePool>> = names.iter().zip(pools.into_iter().map(Arc::new)).collect();
    match problem.targets().are_several() {
        true => problem.targets().iter().map(|target| named.remove(&target.name)).collect(),
        false => named.into_values().map(Some).collect(),
    }
}

/// Completes the objectives of a search with one target.
fn resolve_objectives(
    experiment: &mut Experiment,
    device: &DeviceInfo,
    notices: &mut Vec<String>,
) -> anyhow::Result<()> {
    match &experiment.search.objectives {
        Some(objectives) => ensure!(
            device.measures_energy || objectives.position(Objective::Energy).is_none(),
            "energy is not measured by every device{}: remove `energy_mj` from search.objectives, or name a meter",
            why_no_energy(experiment)
        ),
        None => {
            let mut objectives = vec![Objective::Error, Objective::Time];
            if device.measures_energy {
                objectives.push(Objective::Energy);
            } else {
                notices.push(format!("energy is not measured{}", why_no_energy(experiment)));
            }
            experiment.search.objectives = Some(Objectives::new(objectives)?);
        }
    }
    Ok(())
}

/// A notice where `search.batch` is set and has no effect.
fn about_batch(experiment: &Experiment, fidelity: Fidelity) -> Option<String> {
    let batch = experiment.search.batch;
    let reason = match experiment.strategy {
        StrategyConfig::Random(_) | StrategyConfig::Evolution(_) | StrategyConfig::Bayesian(_) => {
            "proposes a network whenever there is room for one"
        }
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
        |(name, device): (&String, &DeviceConfig)| Some(format!(" (device `{name}`: {})", device.why_no_energy()?));
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
