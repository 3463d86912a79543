//! `controller front RUN`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::report::{Summary, front_plot, in_words, table};
use crate::run::write_atomically;
use crate::terminal::say;

/// Show the Pareto front of a run, also of one that is going on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller front runs/short
  controller front runs/short --json
  controller front runs/short --svg front.svg

The front is that of the mean values. ± is the standard deviation of a value: that of single runs where it was \
measured once, and that of the mean where it was measured several times (search --resume RUN --remeasure N). \
`within noise of` names the evaluations than which a member is better in nothing by twice the standard deviation of \
the difference: either of the two may be the better one. Values without ± are taken as they are.")]
pub(super) struct Front {
    /// Run folder.
    run: PathBuf,
    /// For other programs.
    #[arg(long)]
    json: bool,
    /// Write the plot of the first two objectives to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Front {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let summary = Summary::read(&self.run)?;
        if self.json {
            say(summary.to_json()?)?;
        } else {
            say(table(&summary).trim_end())?;
            say(in_words(&summary))?;
            let is_doubtful = summary.members.iter().any(|member| !member.within_noise_of.is_empty());
            // Only what was measured here can be measured again.
            if is_doubtful && summary.rows.iter().any(|row| row.measure_seconds.is_some()) {
                say(format_args!(
                    "measure its members again: controller --resume {} --remeasure 10",
                    self.run.display()
                ))?;
            }
        }
        if let Some(path) = &self.svg {
            let [up, across] = [0, 1].map(|index| summary.objectives.as_slice()[index]);
            let plot = front_plot(&summary, across, up)?;
            ensure!(plot.is_some(), "{} has too few evaluations for a plot", self.run.display());
            let text = plot.unwrap_or_default();
            write_atomically(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
