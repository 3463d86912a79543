//! `controller extend RUN`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use hardware::log::{Row, Writer};

use super::options::{local_path, read};
use super::run::{Place, new_folder, run};
use crate::config::{ByTarget, Experiment, ExtendedConfig, TargetConfig};
use crate::history::History;
use crate::objective::Bounds;
use crate::pareto::Given;
use crate::plan::evaluated;
use crate::run::{JOURNAL, MODELS, Recorded, RunFolder};
use crate::terminal::note;

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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
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

impl Extend {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let before = Recorded::read(&self.run)?;
        let history = History::of_rows(&before.problem, &before.rows)?;
        let trained = evaluated(before.problem.fidelity(), &history);
        ensure!(trained > 0, "{} has no trained network to measure", self.run.display());
        let own = read(Some(&self.file), &self.set)?;
        let mut experiment = self.joined(&before, &own)?;
        experiment.search.evaluations = Some(trained + self.trainings);
        (experiment.search.epochs, experiment.search.hours, experiment.search.remeasure) = (None, None, 0);
        let rows = with_targets(&before)?;
        experiment.extended = Some(ExtendedConfig {
            run: std::path::absolute(&self.run).context("there is no working directory")?.display().to_string(),
            rows: rows.len() as u64,
            evaluations: history.next_number(),
            measure: self.measure,
        });
        let path = self.out.clone().unwrap_or_else(|| new_folder(Some(&self.file), "extended"));
        let inherit = move |folder: &RunFolder| inherit(folder, &self.run, &rows);
        run(experiment, Place::Extended { path, inherit: Box::new(inherit) }, self.quiet)
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
        experiment.search.bounds = ByTarget { all: Bounds::default(), of: [(name.clone(), bounds)].into() };
        experiment.search.reference = ByTarget { all: Given::new(), of: [(name, reference)].into() };
    }
    experiment.targets.values_mut().for_each(|target| target.weight = 0.0);
    Ok(experiment.targets.keys().cloned().collect())
}

/// The name of the only target of a run: that of its device, or `log`.
fn name_of_only(experiment: &Experiment) -> anyhow::Result<String> {
    if experiment.replay.is_some() {
        return Ok("log".to_owned());
    }
    let mut devices = experiment.devices.iter();
    let (name, device) = devices.next().context("the run has no device")?;
    Ok(device.target.clone().unwrap_or_else(|| name.clone()))
}

/// The rows of a run with the target of each measurement. A row of an earlier version that measured and trained at once
/// becomes one for each.
fn with_targets(before: &Recorded) -> anyhow::Result<Vec<Row>> {
    if before.problem.targets().are_several() {
        return Ok(before.rows.clone());
    }
    let name = name_of_only(&before.experiment)?;
    let mut rows = Vec::new();
    for row in &before.rows {
        let is_measured = row.time_ms.is_some() || row.energy_mj.is_some();
        if !is_measured {
            rows.push(row.clone());
            continue;
        }
        let (measured, trained) = row.clone().apart();
        rows.push(Row { target: Some(name.clone()), ..measured });
        rows.extend(trained);
    }
    Ok(rows)
}

/// Writes the rows of the earlier run into a new folder, and copies its models.
fn inherit(folder: &RunFolder, run: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut journal = Writer::create(&folder.join(JOURNAL))?;
    rows.iter().try_for_each(|row| journal.write(row))?;
    for entry in std::fs::read_dir(run.join(MODELS)).into_iter().flatten().flatten() {
        let copied = std::fs::copy(entry.path(), folder.join(MODELS).join(entry.file_name()));
        // The models of an earlier run are of use, but not needed.
        if let Err(error) = copied {
            note(format_args!("warning: {} cannot be copied: {error}", entry.path().display()));
        }
    }
    Ok(())
}
