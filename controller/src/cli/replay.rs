//! `controller replay LOG`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::options::{ExperimentOptions, read};
use super::run::{Place, new_folder, run};
use crate::config::{Experiment, ReplayConfig};
use crate::objective::Objective;

/// Search with a CSV log answering in place of training and devices.
///
/// The log is a journal of ours, or any CSV whose columns are named in the experiment's [replay.columns].
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller replay runs/short/measurements.csv --experiment runs/short/config.toml
  controller replay table.csv --space nasbench201 --evaluations 100 --bound error=0.20
  controller replay table.csv --set 'replay.columns.accuracy={ column = \"top1\", unit = \"percent\" }'")]
pub(super) struct Replay {
    /// The log.
    log: PathBuf,
    #[command(flatten)]
    experiment: ExperimentOptions,
    /// Search space of the log: nasbench201, nasnet or mobile.
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// Who proposes: policy-gradient, random or evolution.
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// Networks to look up.
    #[arg(long, value_name = "N")]
    evaluations: Option<u64>,
    /// Upper bound on an objective, such as error=0.20; may be repeated.
    #[arg(long, value_name = "OBJECTIVE=VALUE")]
    bound: Vec<String>,
    /// What is minimised [default: what the log has of error, time_ms, energy_mj].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    objectives: Vec<Objective>,
    /// Folder of a new run [default: runs/NAME-DATE-TIME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut overrides = vec![format!("replay.log={}", toml::Value::String(self.log.display().to_string()))];
        overrides.extend(self.space.iter().map(|name| format!("space={{ name = \"{name}\" }}")));
        overrides.extend(self.strategy.iter().map(|name| format!("strategy={{ name = \"{name}\" }}")));
        overrides.extend(self.bound.iter().map(|bound| format!("search.bounds.{bound}")));
        if !self.objectives.is_empty() {
            let names: Vec<_> = self.objectives.iter().map(|objective| format!("\"{objective}\"")).collect();
            overrides.push(format!("search.objectives=[{}]", names.join(", ")));
        }
        overrides.extend(self.experiment.overrides.all());
        let experiment = match &self.experiment.file {
            Some(file) => read(Some(file), &overrides)?,
            None => Experiment::parse(REPLAY, "the defaults of replay", &overrides)?,
        };
        debug_assert!(matches!(experiment.replay, Some(ReplayConfig { .. })));
        let place = Place::New(self.out.unwrap_or_else(|| new_folder(self.experiment.file.as_deref(), "replay")));
        run(Some(experiment), place, self.evaluations, self.quiet)
    }
}

/// What is replayed where no experiment is named: the defaults of everything.
const REPLAY: &str = "";
