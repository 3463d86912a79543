//! `controller replay LOG`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::options::{Overrides, SearchOptions, local_path, quoted, read};
use super::run::{Place, default_place, run};
use crate::config::Experiment;

/// Search with a CSV log answering in place of training and devices.
///
/// The log is a journal of this program, or any CSV with columns named in the experiment's [replay.columns]. Several rows
/// of one architecture are repeated measurements: their mean counts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller replay tx2                               real measurements of a Jetson TX2, which ship inside the program
  controller replay tx2 --bound error=0.10 --strategy evolution
  controller replay runs/short/measurements.csv --experiment runs/short
  controller replay table.csv --space nasbench201 --evaluations 100 --bound error=0.20
  controller replay table.csv --set 'replay.columns.accuracy={ column = \"top1\", unit = \"percent\" }'")]
pub(super) struct Replay {
    /// The log; `tx2`, unless there is such a file, is the one that ships inside the program.
    #[arg(value_parser = local_path())]
    log: PathBuf,
    /// Experiment file, or the folder of a run; without one, the defaults: NAS-Bench-201 as published.
    #[arg(long, value_name = "FILE", value_parser = local_path())]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    options: SearchOptions,
    /// Folder of a new run [default: runs/NAME-DATE-TIME].
    #[arg(long, value_name = "DIR", value_parser = local_path())]
    out: Option<PathBuf>,
}

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut overrides = vec![format!("replay.log={}", quoted(&self.log))];
        overrides.extend(self.options.with(&self.overrides));
        let experiment = match &self.experiment {
            Some(file) => read(Some(file), &overrides)?,
            None => Experiment::parse("", "the defaults of replay", &overrides)?,
        };
        let place = self.out.map_or_else(|| default_place(self.experiment.as_deref(), "replay"), Place::New);
        run(experiment, place, self.options.quiet)
    }
}
