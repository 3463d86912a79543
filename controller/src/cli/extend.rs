//! `controller extend RUN`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use super::inherit::{name_of_only, with_targets};
use super::options::{local_path, read};
use super::prepare::absolute;
use super::run::{Place, default_place, run};
use crate::config::{ByTarget, Experiment, ExtendedConfig, TargetConfig, check_target_name};
use crate::history::History;
use crate::objective::{Bounds, Objective};
use crate::pareto::Given;
use crate::plan::evaluated;
use crate::run::Recorded;

/// Go on with a finished run for a board that came later.
///
/// The networks that the run trained are measured on the new target, without any training, those first that tell most. Then
/// the search goes on from there, for the new target alone, with as many trainings as are given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller extend runs/tx2 --experiment ncs.toml                     # measure what is trained
  controller extend runs/tx2 --experiment ncs.toml --trainings 20     # and search on
  controller extend runs/tx2 --experiment ncs.toml --measure 10       # enough for `controller predict`
  controller extend runs/tx2-replay --experiment pi4.toml --target pi4

FILE names the new devices ([devices.NAME]), or the columns of a log ([replay.columns]); everything else is taken from the \
run. The run itself stays as it is: the result is a run of its own, which `--resume` continues.")]
pub(super) struct Extend {
    /// Run folder of the finished search.
    #[arg(value_parser = local_path())]
    run: PathBuf,
    /// Experiment file with the new devices or the new log.
    #[arg(long = "experiment", value_name = "FILE", value_parser = local_path())]
    file: PathBuf,
    /// Networks to train in full after the measurements.
    #[arg(long, value_name = "N", default_value_t = 0)]
    trainings: u64,
    /// Measure only so many networks, of the whole space and trained or not: those that make predictions surest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST), conflicts_with = "trainings")]
    measure: Option<u64>,
    /// Name of the new target [default: that of its device, or `new`].
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Override a key of FILE, such as search.bounds.time_ms=4; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder of the new run [default: runs/NAME-DATE-TIME].
    #[arg(long, value_name = "DIR", value_parser = local_path())]
    out: Option<PathBuf>,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

/// Most networks of `--measure`: the time to choose one grows with the cube of their number.
const MOST: u64 = 200;

/// Keys of FILE that count.
const OF_FILE: [&str; 5] = ["devices.", "replay.", "targets.", "search.bounds", "search.reference"];

impl Extend {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(other) = self.set.iter().find(|set| !OF_FILE.iter().any(|key| set.starts_with(key))) {
            bail!("--set {other}: the run decides on it; those of the new target can be set: {}", OF_FILE.join(", "));
        }
        if let Some(name) = &self.target {
            check_target_name(name).context("--target")?;
        }
        let before = Recorded::read(&self.run)?;
        let history = History::of_rows(&before.problem, &before.rows)?;
        let trained = evaluated(before.problem.fidelity(), &history);
        ensure!(trained > 0, "{} has no trained network to measure", self.run.display());
        let own = read(Some(&self.file), &self.set)?;
        let mut experiment = self.joined(&before, &own)?;
        experiment.search.evaluations = Some(trained + self.trainings);
        (experiment.search.epochs, experiment.search.hours, experiment.search.remeasure) = (None, None, 0);
        experiment.extended = Some(ExtendedConfig {
            run: absolute(&self.run)?.display().to_string(),
            rows: with_targets(&before)?.len() as u64,
            evaluations: history.next_number(),
            measure: self.measure,
        });
        let place = self.out.map_or_else(|| default_place(Some(&self.file), "extended"), Place::New);
        run(experiment, place, self.quiet)
    }

    /// The experiment of the run with the targets of the file besides.
    fn joined(&self, before: &Recorded, own: &Experiment) -> anyhow::Result<Experiment> {
        let mut experiment = before.experiment.clone();
        ensure!(
            experiment.replay.is_some() == own.replay.is_some(),
            "{} and {} must both measure on devices, or both replay a log",
            self.run.display(),
            self.file.display()
        );
        let earlier = name_earlier_targets(&mut experiment)?;
        let added = match &own.replay {
            Some(replay) => {
                let named: Vec<String> = replay.columns.targets.keys().cloned().collect();
                if let Some(name) = self.target.as_ref().filter(|name| !named.is_empty() && !named.contains(name)) {
                    bail!("--target {name}: {} names the columns of {}", self.file.display(), named.join(", "));
                }
                let only = || self.target.clone().unwrap_or_else(|| "new".to_owned());
                let kept = experiment.replay.as_ref().map_or(1, |replay| replay.workers);
                let mut replay = replay.clone();
                replay.workers = kept;
                let names = if named.is_empty() { vec![only()] } else { named };
                if let [name] = names.as_slice() {
                    replay.columns = replay.columns.named(name);
                }
                experiment.replay = Some(replay);
                names
            }
            None => {
                let mut devices = own.devices.clone();
                if let (Some(name), false) = (&self.target, devices.is_empty()) {
                    devices.values_mut().for_each(|device| device.target = Some(name.clone()));
                }
                if let Some(both) = devices.keys().find(|name| experiment.devices.contains_key(*name)) {
                    bail!(
                        "{} and {} both have a device `{both}`: rename it in the file",
                        self.run.display(),
                        self.file.display()
                    );
                }
                let of_file = Experiment { devices: devices.clone(), ..own.clone() };
                let names: Vec<String> = of_file.devices_of_targets()?.keys().cloned().collect();
                experiment.devices.extend(devices);
                names
            }
        };
        for name in &added {
            ensure!(
                !earlier.contains(name),
                "the run has a target `{name}` already: choose another name with --target"
            );
            let config = own.targets.get(name).cloned().unwrap_or_default();
            experiment.targets.insert(name.clone(), config);
            experiment.search.bounds.of.insert(name.clone(), own.search.bounds.of(name));
            experiment.search.reference.of.insert(name.clone(), own.search.reference.of(name));
        }
        experiment.has_one_target = false;
        Ok(experiment)
    }
}

/// Values of a device's own objectives, and those that all devices share.
fn apart(values: impl Iterator<Item = (Objective, f64)>) -> (Given, Given) {
    values.partition(|(objective, _)| objective.depends_on_device())
}

/// Gives the targets of a run names and a weight of 0, so that they are no longer searched for; returns the names.
fn name_earlier_targets(experiment: &mut Experiment) -> anyhow::Result<Vec<String>> {
    if !experiment.has_targets() {
        let name = name_of_only(experiment)?;
        let objectives = experiment.search.objectives.clone();
        experiment.targets = [(name.clone(), TargetConfig { objectives, ..TargetConfig::default() })].into();
        for device in experiment.devices.values_mut() {
            device.target = Some(name.clone());
        }
        let (bounds, reference) = (experiment.search.bounds.of(&name), experiment.search.reference.of(&name));
        let bounds = Objective::ALL.into_iter().filter_map(|objective| Some((objective, bounds.get(objective)?)));
        let (own, all) = apart(bounds);
        experiment.search.bounds = ByTarget { all: Bounds::new(all)?, of: [(name.clone(), Bounds::new(own)?)].into() };
        let (own, all) = apart(reference.into_iter());
        experiment.search.reference = ByTarget { all, of: [(name, own)].into() };
    }
    experiment.targets.values_mut().for_each(|target| target.weight = 0.0);
    Ok(experiment.targets.keys().cloned().collect())
}
