//! `controller compare RUN_A RUN_B`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use hardware::log::{Row, Status};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::options::read;
use crate::compare::{
    Comparison, Found, LETTERS, Measuring, OnDevice, Origin, Pair, Pick, Point, Side, measure, measured_before,
};
use crate::config::Experiment;
use crate::objective::{Bounds, Objective, Objectives};
use crate::report::{comparison_csv, comparison_plot, comparison_table};
use crate::run::write_atomically;
use crate::terminal::{note, say};

/// Show how much is lost by searching on one run's device for the other's.
///
/// The front that was found on one device is looked up on the other: in the other run's journal, in the log that it
/// replayed, or, with --measure, on its devices. There it is compared with the front that was searched for that device.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller compare runs/tx2 runs/ncs
  controller compare runs/tx2 runs/ncs --measure --out tx2-ncs --bound time_ms=4 --bound time_ms=8,energy_mj=20
  controller compare tx2.csv ncs.csv --experiment experiments/nasbench201.toml --json

A device is judged within the bounds of the search for it, and by the objectives that both runs have. The reference of \
both hypervolumes on a device is its bound or, without one, 1.1 × the worst value of both fronts there. The error of a \
network is that of the run that trained it: it does not depend on the device. A share also holds the luck of both \
searches: two seeds for one device, compared, tell how much that is.")]
pub(super) struct Compare {
    /// Run folder, also one that is being searched in, or a log of measurements (CSV).
    run_a: PathBuf,
    /// The other one.
    run_b: PathBuf,
    /// Also show the most accurate network of each front within this; may be repeated. Commas join bounds that hold at
    /// once: time_ms=4,energy_mj=20.
    #[arg(long, value_name = "OBJECTIVE=VALUE", value_parser = parse_bounds)]
    bound: Vec<Bounds>,
    /// Measure what the other run does not know on its devices. What is measured is kept in --out, and found there the
    /// next time.
    #[arg(long, requires = "out")]
    measure: bool,
    /// Folder for comparison.csv and comparison.svg, and for what is measured.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Of a log: experiment file, or the folder of a run, that says its space, columns and bounds [default: the other
    /// run's space, or else NAS-Bench-201 as published].
    #[arg(long, value_name = "FILE")]
    experiment: Option<PathBuf>,
    /// Of a log: override a key of that experiment; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// For other programs.
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(
            !(self.run_a.is_dir() && self.run_b.is_dir()) || (self.experiment.is_none() && self.set.is_empty()),
            "--experiment and --set are for logs, but both runs are folders, which say themselves what they are of"
        );
        let sides = [self.side(&self.run_a, &self.run_b)?, self.side(&self.run_b, &self.run_a)?];
        let [(a, of_a), (b, of_b)] = sides;
        let (mut pair, of_both) = Pair::new(a, b)?;
        [of_a, of_b].into_iter().flatten().chain(of_both).for_each(note);
        self.bound.iter().try_for_each(|bounds| check(bounds, &pair.objectives))?;
        ensure!(
            !(pair.front(0)?.is_empty() && pair.front(1)?.is_empty()),
            "neither {} nor {} has a complete evaluation that keeps its bounds, so there is nothing to compare",
            self.run_a.display(),
            self.run_b.display()
        );
        if let Some(folder) = &self.out {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            (0..LETTERS.len()).try_for_each(|here| self.complete(&mut pair, here, folder))?;
        }
        let comparison = pair.compare(&self.bound)?;
        if self.json {
            say(json(&comparison)?)?;
        } else {
            say(comparison_table(&comparison).trim_end())?;
        }
        if let Some(folder) = &self.out {
            let write = |name: &str, content: &[u8]| {
                let path = folder.join(name);
                write_atomically(&path, content).with_context(|| format!("cannot write {}", path.display()))
            };
            write("comparison.csv", &comparison_csv(&comparison)?)?;
            write("comparison.svg", comparison_plot(&comparison)?.as_bytes())?;
        }
        if comparison
            .unknown
            .iter()
            .enumerate()
            .any(|(here, unknown)| !self.measure && !unknown.is_empty() && pair.sides[here].has_device())
        {
            note("what is not known can be measured on the runs' devices: --measure --out DIR");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// One run, and what the user should know of it.
    fn side(&self, path: &Path, other: &Path) -> anyhow::Result<(Side, Option<String>)> {
        if path.is_dir() {
            return Side::of_run(path);
        }
        ensure!(path.exists(), "there is no run folder and no log {}", path.display());
        let log = format!("replay.log={}", toml::Value::String(path.display().to_string()));
        // A log is measured already: what a run would do after that is of no concern.
        let mut overrides = vec![log, "search.remeasure=0".to_owned()];
        overrides.extend(self.set.iter().cloned());
        let experiment = match &self.experiment {
            Some(file) => read(Some(file), &overrides)?,
            None if other.is_dir() => {
                let Experiment { space, input, .. } = Experiment::read(&other.join("config.toml"), &[])?;
                let same = Experiment { space, input, ..Experiment::default() };
                Experiment::parse(&same.to_toml()?, "the defaults for a log", &overrides)?
            }
            None => Experiment::parse("", "the defaults for a log", &overrides)?,
        };
        Ok((Side::of_log(path, experiment)?, None))
    }

    /// Adds what was measured on a run's devices before, and measures the rest if that is asked for.
    fn complete(&self, pair: &mut Pair, here: usize, folder: &Path) -> anyhow::Result<()> {
        if !pair.sides[here].has_device() {
            return Ok(());
        }
        let log = pair.sides[here].measured_log(folder)?;
        pair.learn(here, measured_before(&log)?)?;
        let networks = pair.foreign(here)?.1;
        if !self.measure || networks.is_empty() {
            return Ok(());
        }
        let rows = measure_all(pair, here, &networks, &log)?;
        let failed: Vec<&Row> = rows.iter().filter(|row| row.status != Status::Ok).collect();
        if let Some(row) = failed.first() {
            let reason = row.message.as_deref().unwrap_or("no reason given");
            note(format_args!(
                "{} of {} could not be measured on {}: {reason}",
                failed.len(),
                rows.len(),
                LETTERS[here]
            ));
        }
        let known = pair.sides[here].devices();
        let strange = rows.iter().filter_map(|row| row.device.as_deref()).find(|device| !known.contains(device));
        if let Some(device) = strange.filter(|_| !known.is_empty()) {
            let (letter, known) = (LETTERS[here], known.into_iter().collect::<Vec<_>>().join(" and "));
            note(format_args!(
                "warning: {letter} was measured on {known}, but is now {device}: part of what differs may be that"
            ));
        }
        pair.learn(here, rows)
    }
}

/// Measures with a bar, or with a line now and then where there is no terminal.
fn measure_all(pair: &Pair, here: usize, networks: &[Found], log: &Path) -> anyhow::Result<Vec<Row>> {
    const INTERVAL: Duration = Duration::from_secs(10);
    let (letter, all) = (LETTERS[here], networks.len() as u64);
    note(format_args!("measuring {all} networks on {letter}'s devices; kept in {}", log.display()));
    let is_terminal = std::io::stderr().is_terminal();
    let bar = if is_terminal { ProgressBar::new(all) } else { ProgressBar::hidden() };
    let template = format!("{{bar:24}} {{pos}}/{{len}} measured on {letter}, ETA {{eta}}");
    bar.set_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    if is_terminal {
        bar.enable_steady_tick(Duration::from_millis(250));
    }
    let (began, mut done, mut last) = (Instant::now(), 0, Instant::now());
    let measuring = Measuring { side: &pair.sides[here], problem: pair.problem(here), networks, log };
    let measured = measure(&measuring, |_| {
        done += 1;
        bar.inc(1);
        if !is_terminal && last.elapsed() >= INTERVAL {
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
    let names: Vec<_> = objectives.iter().map(Objective::name).collect();
    bounds.check(objectives).with_context(|| format!("--bound: the runs share {}", names.join(", ")))
}

fn parse_bounds(text: &str) -> Result<Bounds, String> {
    let one = |part: &str| -> Result<(Objective, f64), String> {
        let (name, value) = part.split_once('=').ok_or("expected OBJECTIVE=VALUE, such as time_ms=4")?;
        let objective = name.trim().parse::<Objective>().map_err(|error| error.to_string())?;
        let value = value.trim().parse().map_err(|_| format!("`{}` is not a number", value.trim()))?;
        Ok((objective, value))
    };
    let bounds = text.split(',').map(one).collect::<Result<Vec<_>, _>>()?;
    Bounds::new(bounds).map_err(|error| error.to_string())
}

fn json(comparison: &Comparison) -> anyhow::Result<String> {
    let pair = comparison.pair;
    let objectives = &pair.objectives;
    let side = |side: &Side| JsonRun {
        path: side.path.display().to_string(),
        evaluations: side.rows.len(),
        budget: side.budget,
        devices: side.devices().into_iter().map(str::to_owned).collect(),
    };
    let [a, b] = &pair.sides;
    let [on_a, on_b] = [0, 1].map(|here| json_device(objectives, &comparison.on[here], &comparison.unknown[here]));
    let answer = Json {
        objectives: objectives.as_slice(),
        runs: BTreeMap::from([("a", side(a)), ("b", side(b))]),
        on: BTreeMap::from([("a", on_a), ("b", on_b)]),
    };
    Ok(serde_json::to_string_pretty(&answer)?)
}

fn json_device<'a>(objectives: &Objectives, on: &'a OnDevice, unknown: &'a [Found]) -> JsonDevice<'a> {
    let network = |point: &'a Point| JsonNetwork {
        evaluation: point.member.evaluation,
        architecture: &point.member.architecture,
        source: point.member.origin,
        objectives: objectives.iter().zip(point.member.values.iter().copied()).collect(),
        within_bounds: point.feasible,
        on_joint_front: point.on_joint_front,
    };
    let front = |points: &'a [Point], hypervolume| JsonFront {
        hypervolume,
        within_bounds: points.iter().filter(|point| point.feasible).count(),
        on_joint_front: points.iter().filter(|point| point.on_joint_front).count(),
        members: points.iter().map(network).collect(),
    };
    let best = |pick: &'a Pick| JsonPick {
        bounds: &pick.bounds,
        own: pick.own.and_then(|index| on.own.get(index)).map(network),
        foreign: pick.foreign.and_then(|index| on.foreign.get(index)).map(network),
        error_difference: pick.error_difference,
        as_accurate: pick.as_accurate.iter().copied().collect(),
    };
    JsonDevice {
        bounds: &on.bounds,
        reference: on.reference.as_ref().map(|reference| objectives.iter().zip(reference.iter().copied()).collect()),
        own: front(&on.own, on.hypervolumes[0]),
        foreign: front(&on.foreign, on.hypervolumes[1]),
        unknown: unknown.iter().map(|foreign| foreign.text.as_str()).collect(),
        hypervolume_share: on.share,
        best: on.picks.iter().map(best).collect(),
    }
}

#[derive(Serialize)]
struct Json<'a> {
    objectives: &'a [Objective],
    runs: BTreeMap<&'static str, JsonRun>,
    on: BTreeMap<&'static str, JsonDevice<'a>>,
}

#[derive(Serialize)]
struct JsonRun {
    path: String,
    evaluations: usize,
    budget: Option<u64>,
    devices: Vec<String>,
}

#[derive(Serialize)]
struct JsonDevice<'a> {
    bounds: &'a Bounds,
    reference: Option<BTreeMap<Objective, f64>>,
    own: JsonFront<'a>,
    foreign: JsonFront<'a>,
    /// Members of the foreign front whose values here are not known.
    unknown: Vec<&'a str>,
    hypervolume_share: Option<f64>,
    best: Vec<JsonPick<'a>>,
}

#[derive(Serialize)]
struct JsonFront<'a> {
    hypervolume: Option<f64>,
    within_bounds: usize,
    on_joint_front: usize,
    members: Vec<JsonNetwork<'a>>,
}

#[derive(Serialize)]
struct JsonNetwork<'a> {
    evaluation: u64,
    architecture: &'a str,
    source: Origin,
    objectives: BTreeMap<Objective, f64>,
    within_bounds: bool,
    on_joint_front: bool,
}

#[derive(Serialize)]
struct JsonPick<'a> {
    bounds: &'a Bounds,
    own: Option<JsonNetwork<'a>>,
    foreign: Option<JsonNetwork<'a>>,
    error_difference: Option<f64>,
    as_accurate: BTreeMap<Objective, Option<f64>>,
}
