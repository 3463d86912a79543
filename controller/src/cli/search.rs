//! `controller search`, the default verb.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::options::{Overrides, SearchOptions, read};
use super::run::{Place, new_folder, run};
use crate::run::kept_experiment;

pub(super) const EXAMPLES: &str = "Examples:
  controller                                          search on small real images, timed on this machine
  controller experiments/cifar10.toml --seed 1        search on CIFAR-10
  controller --set search.evaluations=20 --out runs/short
  controller --resume runs/short                      go on after a kill or Ctrl-C
  controller --resume runs/short --remeasure 10       measure the front again: is it noise?
  controller --resume runs/short --retry-failed       try failed evaluations again
  controller replay table.csv --space nasbench201     search on a log of measurements
  controller front runs/short --json                  the front for other programs";

/// Search: train and measure children, and learn which to try next (the default).
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Search {
    /// Experiment file; without one, the quickstart.
    experiment: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    options: SearchOptions,
    /// Folder of a new run [default: runs/NAME-DATE-TIME].
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Resume the run in this folder.
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// First evaluate the networks again that failed.
    #[arg(long, requires = "resume")]
    retry_failed: bool,
    /// Folder of the data set, in place of the experiment's.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Download the data set into its folder first, if it can be downloaded (CIFAR-10).
    #[arg(long)]
    download: bool,
}

impl Search {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut overrides = self.options.all();
        overrides.extend(self.overrides.all());
        if let Some(dir) = &self.data_dir {
            overrides.push(format!("data.dir={}", toml::Value::String(dir.display().to_string())));
        }
        // A resumed run has an experiment; a given one must be equal.
        let experiment = match (&self.resume, &self.experiment) {
            (Some(run), None) => kept_experiment(run, &overrides)?,
            (_, file) => read(file.as_deref(), &overrides)?,
        };
        if self.download {
            super::train::download(&experiment.data, self.options.quiet)?;
        }
        let place = match self.resume {
            Some(path) => Place::Resume { path, retry_failed: self.retry_failed },
            None => Place::New(self.out.unwrap_or_else(|| new_folder(self.experiment.as_deref(), "quickstart"))),
        };
        run(experiment, place, self.options.quiet)
    }
}
