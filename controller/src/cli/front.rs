//! `controller front RUN`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::export::{check_writable, write_output};
use super::options::{local_path, parse_bound};
use crate::history::History;
use crate::objective::Objective;
use crate::report::{LEAST_COLUMNS, SCHEMA, Summary, front_plot, hypervolume_in_words, in_words, sketch, table};
use crate::run::{MODELS, Recorded};
use crate::study::{Combination, shared, shared_table};
use crate::terminal::{columns, pasted, say};

/// Show the Pareto front of a run, also during the search.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller front runs/short
  controller front runs/short --json
  controller front runs/short --svg front.svg
  controller front runs/two-boards --target tx2
  controller front runs/two-boards --targets all
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
    /// The target, of a run that has several; without it, the fronts of all are shown.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Show the fronts of the networks for all targets together: by the worst case, and by the mean over targets.
    #[arg(long, value_name = "all", conflicts_with_all = ["target", "svg", "reference"])]
    targets: Option<AllTargets>,
    /// For other programs.
    #[arg(long)]
    json: bool,
    /// Write the plot of the first two objectives to this file.
    #[arg(long, value_name = "FILE", value_parser = local_path())]
    svg: Option<PathBuf>,
}

/// The only value of `--targets`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum AllTargets {
    /// All of them together.
    All,
}

impl Front {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.svg {
            check_writable(path)?;
        }
        let run = Recorded::read(&self.run)?;
        if self.targets.is_some() {
            return self.for_all(&run);
        }
        let runs = match &self.target {
            Some(name) => vec![(Some(name.clone()), run.of_one_target(Some(name))?)],
            None => run.by_target()?,
        };
        let mut summaries = Vec::new();
        for (target, run) in runs {
            summaries.push((target, self.summary(run)?));
        }
        // Before anything is printed: the reader of a pipe may close it at any line.
        if let Some(path) = &self.svg {
            let [(_, summary)] = summaries.as_slice() else {
                bail!("the run has several targets: choose the one to plot with --target")
            };
            let [up, across] = [0, 1].map(|index| summary.objectives.as_slice()[index]);
            let plot = front_plot(summary, across, up)?;
            ensure!(plot.is_some(), "{} has too few evaluations for a plot", self.run.display());
            write_output(path, plot.unwrap_or_default().as_bytes())?;
        }
        match summaries.as_slice() {
            [(_, summary)] if self.json => say(format_args!("{:#}", summary.to_json()))?,
            several if self.json => {
                let named = several.iter().filter_map(|(target, summary)| Some((target.clone()?, summary.to_json())));
                let targets: serde_json::Map<String, Value> = named.collect();
                say(format_args!("{:#}", json!({ "schema": SCHEMA, "targets": targets })))?;
            }
            several => {
                for (index, (target, summary)) in several.iter().enumerate() {
                    if let Some(target) = target {
                        say(format_args!("{}{target}:", if index > 0 { "\n" } else { "" }))?;
                    }
                    self.show(summary)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The fronts of the networks for all targets together.
    fn for_all(&self, run: &Recorded) -> anyhow::Result<ExitCode> {
        let problem = &run.problem;
        ensure!(problem.targets().are_several(), "{} has only one target", self.run.display());
        let history = History::of_rows(problem, &run.rows)?;
        let both = [("worst", Combination::Worst), ("mean", Combination::Mean)];
        let fronts = both.map(|(name, combination)| (name, combination, shared(&history, combination)));
        if self.json {
            let columns: Vec<&str> = problem.targets().columns().iter().map(|column| column.name.as_str()).collect();
            let [worst, mean] = fronts.map(|(_, _, front)| front);
            let objectives = problem.targets().objectives();
            let all =
                json!({ "schema": SCHEMA, "columns": columns, "objectives": objectives, "worst": worst, "mean": mean });
            say(format_args!("{all:#}"))?;
            return Ok(ExitCode::SUCCESS);
        }
        for (name, combination, front) in &fronts {
            say(format_args!("front by the {name} of all targets, as shares of their references:"))?;
            say(format_args!("{}\n", shared_table(problem, &history, *combination, front)?.trim_end()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Front and progress of a target.
    fn summary(&self, run: Recorded) -> anyhow::Result<Summary> {
        let Recorded { experiment, mut problem, rows } = run;
        if !self.reference.is_empty() {
            let mut reference = problem.reference().clone();
            reference.extend(self.reference.iter().copied());
            problem = problem.with_reference(reference)?;
        }
        let notes = experiment.reservations();
        Ok(Summary { notes, ..Summary::of(&problem, rows)?.with_models(&self.run) })
    }

    fn show(&self, summary: &Summary) -> anyhow::Result<()> {
        let columns = columns();
        if let Some(sketch) = columns.filter(|columns| *columns >= LEAST_COLUMNS).and_then(|_| sketch(summary)) {
            say(sketch)?;
        }
        say(table(summary).trim_end())?;
        say(in_words(summary))?;
        if summary.members.iter().any(|member| member.model.is_some()) {
            say(format_args!("models: {}", self.run.join(MODELS).display()))?;
        }
        hypervolume_in_words(summary).map_or(Ok(()), say)?;
        summary.notes.iter().try_for_each(|note| say(format_args!("note: {note}")))?;
        let is_doubtful = summary.members.iter().any(|member| !member.within_noise_of.is_empty());
        // Rows of a replay cannot be measured again.
        if is_doubtful && summary.rows.iter().any(|row| row.measure_seconds.is_some()) {
            let run = pasted(&self.run);
            say(format_args!("measure its members again: controller --resume {run} --remeasure 10"))?;
        }
        Ok(())
    }
}
