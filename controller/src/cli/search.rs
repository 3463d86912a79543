//! `controller search`, the default verb.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, CommandFactory as _};

use super::options::{Overrides, SearchOptions, local_path, read};
use super::run::{Place, default_place, run};
use crate::config::Experiment;
use crate::run::kept_experiment;

pub(super) const EXAMPLES: &str = "Examples:
  controller                                          search on small real images, timed on this machine
  controller replay tx2                               search on real measurements that ship inside the program
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
    #[arg(value_parser = local_path())]
    experiment: Option<PathBuf>,
    /// The same in the form of the other verbs.
    #[arg(long = "experiment", value_name = "FILE", value_parser = local_path(), conflicts_with = "experiment", hide = true)]
    named: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    options: SearchOptions,
    /// Folder of a new run [default: runs/NAME-DATE-TIME].
    #[arg(long, value_name = "DIR", value_parser = local_path(), conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Resume the run in this folder.
    #[arg(long, value_name = "RUN", value_parser = local_path())]
    resume: Option<PathBuf>,
    /// First evaluate the networks again that failed.
    #[arg(long, requires = "resume")]
    retry_failed: bool,
    /// Download the data set into its folder first, if it can be downloaded (CIFAR-10).
    #[arg(long)]
    download: bool,
}

impl Search {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let overrides = self.options.with(&self.overrides);
        let file = self.experiment.or(self.named);
        // A resumed run has an experiment; a given one must be equal.
        let experiment = match (&self.resume, &file) {
            (Some(run), None) => kept_experiment(run, &overrides)?,
            (Some(run), Some(file)) if file.is_file() => {
                Experiment::read(file, &overrides)?.going_on_with(&kept_experiment(run, &[])?)
            }
            (_, file) => {
                if let Some(problem) = file.as_deref().and_then(mistyped_verb) {
                    bail!(problem);
                }
                read(file.as_deref(), &overrides)?
            }
        };
        if self.download {
            super::train::download(&experiment.data, self.options.quiet)?;
        }
        let place = match self.resume {
            Some(path) => Place::Resume { path, retry_failed: self.retry_failed },
            None => self.out.map_or_else(|| default_place(file.as_deref(), "quickstart"), Place::New),
        };
        run(experiment, place, self.options.quiet)
    }
}

/// The error for a first word on the command line that is neither a verb nor an experiment file.
pub(super) fn mistyped_verb(word: &Path) -> Option<String> {
    const ALIKE: f64 = 0.7;
    let word = word.to_str().filter(|text| !text.starts_with('-') && !text.contains(['/', '.']) && !word.exists())?;
    let command = super::Cli::command();
    let verbs = command.get_subcommands().map(clap::Command::get_name).chain(["help"]);
    let similar = verbs.map(|verb| (strsim::normalized_damerau_levenshtein(verb, word), verb));
    let (similarity, verb) = similar.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    let remedy = match similarity {
        1.0 => return None,
        ALIKE.. => format!("did you mean `controller {verb}`?"),
        _ => "`controller --help` lists the verbs".to_owned(),
    };
    Some(format!("`{word}` is neither a verb nor an experiment file: {remedy}"))
}
