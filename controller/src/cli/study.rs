//! `controller study RUN`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::options::local_path;
use crate::history::History;
use crate::run::{Recorded, write_atomically};
use crate::study;
use crate::terminal::say;

/// Compare the fronts of a run's targets: the networks that they have in common, and what the front of one is worth on another.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller study runs/two-boards
  controller study runs/two-boards --out paper     # study.csv and study.svg
  controller study runs/two-boards --json

`hypervolume kept` is the hypervolume of one target's front, with the values measured on the other target, as a share of that \
of the front that was searched for the other target. Networks that were not measured there are left out; their number is shown.")]
pub(super) struct Study {
    /// Run folder of a search with several targets, also during the search.
    #[arg(value_parser = local_path())]
    run: PathBuf,
    /// Write the table as study.csv and the plots as study.svg into this folder.
    #[arg(long, value_name = "DIR", value_parser = local_path())]
    out: Option<PathBuf>,
    /// For other programs.
    #[arg(long)]
    json: bool,
}

impl Study {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let run = Recorded::read(&self.run)?;
        ensure!(
            run.problem.targets().are_several(),
            "{} has one target, and a study compares several: name devices of different targets in an experiment",
            self.run.display()
        );
        let found = study::Study::of(&run)?;
        // Before it prints: the reader of a pipe may close it at any line.
        if let Some(folder) = &self.out {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            write_atomically(&folder.join("study.csv"), &study::csv(&found)?)?;
            if let Some(plot) = study::plot(&History::of_rows(&run.problem, &run.rows)?)? {
                write_atomically(&folder.join("study.svg"), plot.as_bytes())?;
            }
        }
        if self.json {
            say(format_args!("{:#}", serde_json::to_value(&found)?))?;
        } else {
            say(study::table(&found).trim_end())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
