//! `controller front RUN`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;

use super::export::check_writable;
use super::options::{local_path, parse_bound};
use crate::objective::Objective;
use crate::report::{LEAST_COLUMNS, Summary, front_plot, hypervolume_in_words, in_words, sketch, table};
use crate::run::{MODELS, Recorded, write_atomically};
use crate::terminal::{columns, pasted, say};

/// Show the Pareto front of a run, also during the search.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller front runs/short
  controller front runs/short --json
  controller front runs/short --svg front.svg
  controller front runs/short --reference time_ms=30 --reference energy_mj=50

The front is that of the mean values. ± is the standard deviation of a value: that of single runs after one measurement, \
that of the mean after several (search --resume RUN --remeasure N). `within noise of` lists the evaluations over which \
a member does not lead by twice the standard deviation of the difference in any objective: either may be the better one. \
Values without ± are exact, or their deviation is unknown.")]
pub(super) struct Front {
    /// Run folder.
    #[arg(value_parser = local_path())]
    run: PathBuf,
    /// Coordinate of the reference point of the hypervolume, such as time_ms=30, so that runs can be compared; may be
    /// repeated.
    #[arg(long, value_name = "OBJECTIVE=VALUE", value_parser = parse_bound)]
    reference: Vec<(Objective, f64)>,
    /// For other programs.
    #[arg(long)]
    json: bool,
    /// Write the plot of the first two objectives to this file.
    #[arg(long, value_name = "FILE", value_parser = local_path())]
    svg: Option<PathBuf>,
}

impl Front {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.svg {
            check_writable(path)?;
        }
        let Recorded { experiment, mut problem, rows } = Recorded::read(&self.run)?;
        if !self.reference.is_empty() {
            let mut reference = problem.reference().clone();
            reference.extend(self.reference.iter().copied());
            problem = problem.with_reference(reference)?;
        }
        let notes = experiment.reservations();
        let summary = Summary { notes, ..Summary::of(&problem, rows)?.with_models(&self.run) };
        if self.json {
            say(format_args!("{:#}", summary.to_json()))?;
        } else {
            let columns = columns();
            if let Some(sketch) = columns.filter(|columns| *columns >= LEAST_COLUMNS).and_then(|_| sketch(&summary)) {
                say(sketch)?;
            }
            say(table(&summary).trim_end())?;
            say(in_words(&summary))?;
            if summary.members.iter().any(|member| member.model.is_some()) {
                say(format_args!("models: {}", self.run.join(MODELS).display()))?;
            }
            hypervolume_in_words(&summary).map_or(Ok(()), say)?;
            summary.notes.iter().try_for_each(|note| say(format_args!("note: {note}")))?;
            let is_doubtful = summary.members.iter().any(|member| !member.within_noise_of.is_empty());
            // Rows of a replay cannot be measured again.
            if is_doubtful && summary.rows.iter().any(|row| row.measure_seconds.is_some()) {
                let run = pasted(&self.run);
                say(format_args!("measure its members again: controller --resume {run} --remeasure 10"))?;
            }
        }
        if let Some(path) = &self.svg {
            let [up, across] = [0, 1].map(|index| summary.objectives.as_slice()[index]);
            let plot = front_plot(&summary, across, up)?;
            ensure!(plot.is_some(), "{} has too few evaluations for a plot", self.run.display());
            write_atomically(path, plot.unwrap_or_default().as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
