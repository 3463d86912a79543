//! `controller compare RUN RUN…`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use hardware::log::{Row, Status};
use hardware::shown;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::json;

use super::options::{local_path, parse_bound, read};
use crate::compare::{self, Found, LETTERS, OnDevice, Pair, Several, Side, measure};
use crate::config::Experiment;
use crate::objective::{Bounds, Objective, Objectives};
use crate::run::{CONFIG, logged_rows, write_atomically};
use crate::terminal::{note, say};

/// Show runs beside each other: their progress, and how much is lost by searching on one device for another.
///
/// Runs on the same device are put under one reference: hypervolume by evaluations, its mean and 95 % interval over seeds,
/// and the settings that differ. Two runs on different devices are compared by the loss: the values of one device's front on the other device come from the other run's journal, from the log that it replayed,
/// or, with --measure, from its devices. There it is compared with the front that was searched for that device.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller compare runs/tx2 runs/ncs
  controller compare runs/tx2 runs/ncs --measure --out tx2-ncs --bound time_ms=4 --bound time_ms=8,energy_mj=20
  controller compare tx2.csv ncs.csv --experiment experiments/nasbench201.toml --json
  controller compare runs/seed-1 runs/seed-2 runs/seed-3 --out seeds

The fronts are compared within the bounds of the search for a device, by the objectives that both runs have. The \
reference of both hypervolumes on a device is its bound or, without one, 1.1 × the worst value of both fronts there. The \
error of a network is that of the run that trained it: it does not depend on the device. A share also contains the luck \
of both searches: compare two seeds for one device to see how much that is.")]
pub(super) struct Compare {
    /// Run folders, also during their searches; of two, each may be a log of measurements (CSV).
    #[arg(num_args = 2.., required = true, value_parser = local_path())]
    runs: Vec<PathBuf>,
    /// Also show the most accurate network of each front within a bound; may be repeated. Commas join bounds that hold at
    /// once: time_ms=4,energy_mj=20.
    #[arg(long, value_name = "OBJECTIVE=VALUE", value_parser = parse_bounds)]
    bound: Vec<Bounds>,
    /// Measure unknown networks on the devices of the other run. The measurements are kept in --out and used again.
    #[arg(long, requires = "out")]
    measure: bool,
    /// Folder for comparison.csv, comparison.svg and the measurements of two runs; for progress.csv and fronts.csv of any
    /// number.
    #[arg(long, value_name = "DIR", value_parser = local_path())]
    out: Option<PathBuf>,
    /// For a log: experiment file or run folder with its space, columns and bounds [default: the other run's space, or
    /// else NAS-Bench-201 as published].
    #[arg(long, value_name = "FILE", value_parser = local_path())]
    experiment: Option<PathBuf>,
    /// For a log: override a key of that experiment; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// For other programs.
    #[arg(long)]
    json: bool,
    /// The target, of runs that have several.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

impl Compare {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let target = self.target.as_deref();
        let (pair, several) = if let [a, b] = &self.runs[..] {
            let pair = self.pair(a, b)?;
            let are_runs = self.runs.iter().all(|run| run.is_dir());
            let several = if are_runs { compare::several(&self.runs, target).ok() } else { None };
            (Some(pair), several.filter(Several::is_of_one_device))
        } else {
            ensure!(
                !self.measure && self.bound.is_empty() && self.experiment.is_none() && self.set.is_empty(),
                "--measure, --bound, --experiment and --set are for two runs, but there are {}",
                self.runs.len()
            );
            for run in &self.runs {
                ensure!(
                    run.is_dir(),
                    "{} is not a run folder: a log can be compared with one other run only",
                    run.display()
                );
            }
            (None, Some(compare::several(&self.runs, target)?))
        };
        // Before it prints: the reader of a pipe may close it at any line.
        if let Some(folder) = &self.out {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            if let Some((pair, on)) = &pair {
                write_atomically(&folder.join("comparison.csv"), &compare::csv(&pair.objectives, on)?)?;
                write_atomically(&folder.join("comparison.svg"), compare::plot(&pair.objectives, on)?.as_bytes())?;
            }
            if let Some(several) = &several {
                write_atomically(&folder.join("progress.csv"), &compare::progress_csv(several)?)?;
                write_atomically(&folder.join("fronts.csv"), &compare::fronts_csv(several)?)?;
            }
        }
        self.show(pair.as_ref(), several.as_ref())?;
        Ok(ExitCode::SUCCESS)
    }

    /// Prints a comparison of two runs, and of any number.
    fn show(&self, pair: Option<&(Pair, [OnDevice; 2])>, several: Option<&Several>) -> anyhow::Result<()> {
        if self.json {
            let mut json = pair.map_or_else(|| json!({}), |(pair, on)| compare::json(pair, on));
            if let Some(several) = several {
                json["runs_together"] = serde_json::to_value(several)?;
            }
            say(format_args!("{json:#}"))?;
            return Ok(());
        }
        if let Some((pair, on)) = pair {
            say(format_args!("{}\n", compare::table(pair, on).trim_end()))?;
        }
        if let Some(several) = several {
            say(compare::several_table(several).trim_end())?;
        }
        Ok(())
    }

    /// Compares two runs, each on the devices of the other.
    fn pair(&self, run_a: &Path, run_b: &Path) -> anyhow::Result<(Pair, [OnDevice; 2])> {
        ensure!(
            !(run_a.is_dir() && run_b.is_dir()) || (self.experiment.is_none() && self.set.is_empty()),
            "--experiment and --set are for logs, but both runs are folders, which have their experiments"
        );
        let (a, notice_a) = self.side(run_a, run_b)?;
        let (b, notice_b) = self.side(run_b, run_a)?;
        let (mut pair, notices) = Pair::new(a, b)?;
        [notice_a, notice_b].into_iter().flatten().chain(notices).for_each(note);
        self.bound.iter().try_for_each(|bounds| check(bounds, &pair.objectives))?;
        ensure!(
            !(pair.front(0)?.is_empty() && pair.front(1)?.is_empty()),
            "neither {} nor {} has a complete evaluation that keeps its bounds, so there is nothing to compare",
            run_a.display(),
            run_b.display()
        );
        if let Some(folder) = &self.out {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            (0..LETTERS.len()).try_for_each(|here| self.complete(&mut pair, here, folder))?;
        }
        let on = pair.compare(&self.bound)?;
        let mut sides = pair.sides.iter().zip(&on);
        if !self.measure && sides.any(|(side, on)| side.has_device() && !on.unknown.is_empty()) {
            note("unknown networks can be measured on the runs' devices: --measure --out DIR");
        }
        Ok((pair, on))
    }

    /// One run, with a notice for the user if there is one.
    fn side(&self, path: &Path, other: &Path) -> anyhow::Result<(Side, Option<String>)> {
        if path.is_dir() {
            return Side::of_run(path, self.target.as_deref());
        }
        ensure!(path.exists(), "neither a run folder nor a log: {}", path.display());
        let log = format!("replay.log={}", toml::Value::String(path.display().to_string()));
        // A log is measured already: re-measurements do not apply.
        let mut overrides = vec![log, "search.remeasure=0".to_owned()];
        overrides.extend(self.set.iter().cloned());
        let experiment = match &self.experiment {
            Some(file) => read(Some(file), &overrides)?,
            None if other.is_dir() => {
                let Experiment { space, input, .. } = Experiment::read(&other.join(CONFIG), &[])?;
                let same = Experiment { space, input, ..Experiment::default() };
                Experiment::parse(&same.to_toml()?, "the defaults for a log", &overrides)?
            }
            None => Experiment::parse("", "the defaults for a log", &overrides)?,
        };
        Ok((Side::of_log(path, experiment)?, None))
    }

    /// Adds earlier measurements on a run's devices, and with --measure the missing ones.
    fn complete(&self, pair: &mut Pair, here: usize, folder: &Path) -> anyhow::Result<()> {
        if !pair.sides[here].has_device() {
            return Ok(());
        }
        let log = pair.sides[here].measured_log(folder)?;
        pair.add_measured(here, logged_rows(&log)?)?;
        let networks = pair.other_front(here)?.1;
        if !self.measure || networks.is_empty() {
            return Ok(());
        }
        let rows = measure_all(pair, here, &networks, &log)?;
        let failed: Vec<&Row> = rows.iter().filter(|row| row.status != Status::Ok).collect();
        if let Some(row) = failed.first() {
            let reason = shown::clean(row.message.as_deref().unwrap_or("no reason given"));
            let (failed, all, letter) = (failed.len(), rows.len(), LETTERS[here]);
            note(format_args!("{failed} of {all} could not be measured on {letter}: {reason}"));
        }
        let known = pair.sides[here].devices();
        let strange = rows.iter().filter_map(|row| row.device.as_deref()).find(|device| !known.contains(device));
        if let Some(device) = strange.filter(|_| !known.is_empty()) {
            let known: Vec<String> = known.into_iter().map(shown::clean).collect();
            let (letter, known, device) = (LETTERS[here], known.join(" and "), shown::clean(device));
            note(format_args!(
                "warning: {letter} was measured on {known}, but is now {device}, which may explain a part of the difference"
            ));
        }
        pair.add_measured(here, rows)
    }
}

/// Measures with a bar or, without a terminal, with a line every few seconds.
fn measure_all(pair: &Pair, here: usize, networks: &[Found], log: &Path) -> anyhow::Result<Vec<Row>> {
    const INTERVAL: Duration = Duration::from_secs(10);
    let (letter, all) = (LETTERS[here], networks.len() as u64);
    note(format_args!("measuring {all} networks on {letter}'s devices; kept in {}", log.display()));
    let bar = ProgressBar::new(all);
    let template = format!("{{bar:24}} {{pos}}/{{len}} measured on {letter}, ETA {{eta}}");
    bar.set_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(250));
    let (began, mut done, mut last) = (Instant::now(), 0, Instant::now());
    let measured = measure(pair, here, networks, log, |_| {
        done += 1;
        bar.inc(1);
        if bar.is_hidden() && last.elapsed() >= INTERVAL {
            last = Instant::now();
            let left = began.elapsed().mul_f64((all - done) as f64 / done as f64);
            note(format_args!("{done}/{all} measured on {letter}, ETA {}", HumanDuration(left)));
        }
    });
    bar.finish_and_clear();
    measured.with_context(|| format!("cannot measure on {letter}'s devices"))
}

fn check(bounds: &Bounds, objectives: &Objectives) -> anyhow::Result<()> {
    ensure!(
        objectives.position(Objective::Error).is_some(),
        "--bound asks for the most accurate network, but the two runs do not share the objective `error`"
    );
    bounds.check(objectives).with_context(|| format!("--bound: the runs share {}", objectives.names()))
}

/// Reads bounds that hold at once, such as `time_ms=4,energy_mj=20`.
fn parse_bounds(text: &str) -> anyhow::Result<Bounds> {
    Bounds::new(text.split(',').map(parse_bound).collect::<anyhow::Result<Vec<_>>>()?)
}
