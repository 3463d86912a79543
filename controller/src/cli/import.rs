//! `controller import LOG… --into RUN`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use hardware::log::foreign::{Columns, LogRow, read_rows};
use hardware::log::{LogError, Row};
use hardware::{Statistic, shown};
use jiff::Timestamp;

use super::options::{Overrides, local_path, read};
use super::prepare::{By, absolute, prepare};
use crate::config::{Experiment, table};
use crate::evaluate::shipped;
use crate::fingerprint::sha256;
use crate::history::History;
use crate::problem::Problem;
use crate::run::{
    CONFIG, Comparable, Imported, JOURNAL, Origin, Recorded, RunFolder, SCRATCH, Tally, WAITING, differences,
    logged_rows, not_a_run,
};
use crate::stop::Stop;
use crate::terminal::{note, pasted, say};

/// Warm-start a search from other logs: their rows inform its surrogate, and never its front.
///
/// Of each row, time and energy are taken where they are of the run's device by its label, and the accuracy where the
/// log states no other number of epochs than the run's. Rows that the run knows already are left out, so a log may be
/// imported again when it has grown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller import runs/seed1 runs/seed2/measurements.csv --into runs/seed3
  controller import runs/nano --into runs/tx2 --experiment experiments/tx2.toml
  controller import table.csv --into runs/short --same-device --column 'accuracy={ column = \"top1\", unit = \"percent\" }'

Then `controller --resume RUN` goes on. An imported network counts as evaluated only once the run has evaluated it \
itself. The rows are kept in RUN/imported.csv with log, line and time; of the strategies, model-based learns from them.")]
pub(super) struct Import {
    /// Logs: journals, run folders, or any CSV whose columns are named.
    #[arg(required = true, value_name = "LOG", value_parser = local_path())]
    logs: Vec<PathBuf>,
    /// Run folder to import into: one where no search is going on, or with --experiment a new one.
    #[arg(long, value_name = "RUN", value_parser = local_path())]
    into: PathBuf,
    /// Begin the run: with this experiment file, or that of another run's folder.
    #[arg(long, value_name = "FILE", value_parser = local_path())]
    experiment: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    /// Name of a column of the logs, as in [replay.columns]; may be repeated. Without any, the journal's names,
    /// or those of the run's own [replay.columns].
    #[arg(long = "column", value_name = "WHAT=NAME")]
    columns: Vec<String>,
    /// Declare that rows without a device are of the run's device.
    #[arg(long)]
    same_device: bool,
}

struct Log {
    path: PathBuf,
    sha256: String,
    rows: Vec<LogRow>,
}

struct Target {
    experiment: Experiment,
    problem: std::sync::Arc<Problem>,
    /// None until a new run has its folder.
    folder: Option<RunFolder>,
    /// Its evaluations.
    rows: Vec<Row>,
    /// Rows of its journal.
    jobs: usize,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let target = self.target()?;
        ensure!(
            !target.problem.targets().are_several(),
            "{} has several targets ({}), and rows of other logs do not say of which they are",
            self.into.display(),
            target.problem.targets().names()
        );
        let Target { experiment, problem, folder, rows, jobs } = &target;
        let columns = self.columns(experiment)?;
        let logs = self.logs.iter().map(|log| read_log(log, &columns, problem)).collect::<anyhow::Result<Vec<_>>>()?;
        let (devices, epochs) = devices_and_epochs(&target, &logs)?;
        let mut here = Comparable::new(problem.objectives(), devices, epochs, self.same_device);
        rows.iter().for_each(|row| here.know_evaluated(row));
        let mut imported = Imported::read(&self.into)?;
        imported.iter().for_each(|row| here.know_imported(row));
        let after = match folder {
            Some(folder) => *jobs as u64 + logged_rows(&folder.join(WAITING))?.len() as u64,
            None => 0,
        };
        let imported_at = Timestamp::now().to_string();
        let before = imported.len();
        let mut lines = Vec::new();
        for Log { path, sha256, mut rows } in logs {
            let left_out = with_statistic(&path, &mut rows, experiment);
            let (source, imported_at) = (absolute(&path)?.display().to_string(), imported_at.clone());
            let (taken, tally) = here.take(rows, &Origin { after, imported_at, source, line: 0, sha256 });
            imported.extend(taken);
            lines.extend(report(&path, &tally, &here));
            if let Some((there, count)) = left_out.filter(|(_, count)| *count > 0) {
                let here = experiment.measuring.statistic();
                lines.push(format!(
                    "  time of {} is the {there} of its runs, here the {here}: left out",
                    rows_of(count)
                ));
            }
            if let Some(otherwise) = trained_otherwise(&path, experiment)?.filter(|_| tally.taken > 0) {
                lines
                    .push(format!("  its children were trained otherwise, which a surrogate cannot know: {otherwise}"));
            }
        }
        // Last, so that a rejected log leaves no folder behind.
        let folder = match target.folder {
            Some(folder) => folder,
            None => RunFolder::create(&self.into, &target.experiment)?,
        };
        if imported.len() > before {
            Imported::write(folder.path(), &imported)?;
        }
        // After the rows are written: the reader of a pipe may close it at any line.
        lines.iter().try_for_each(say)?;
        report_run(&folder, &target.experiment, &target.problem, &target.rows, imported.len())?;
        Ok(ExitCode::SUCCESS)
    }

    fn target(&self) -> anyhow::Result<Target> {
        let path = self.into.display();
        let exists = self.into.join(CONFIG).is_file();
        let Some(file) = &self.experiment else {
            ensure!(
                self.overrides.all().is_empty(),
                "--set and --seed are for a run that begins here, with --experiment: {path} has its experiment already"
            );
            if !exists {
                let error = not_a_run(&self.into);
                bail!("{error}; to begin a run there, name its experiment too: --experiment FILE");
            }
            let (folder, _) = RunFolder::open(&self.into)?;
            let recorded = Recorded::read(&self.into)?;
            let (rows, jobs) = (recorded.evaluations(), recorded.rows.len());
            let Recorded { experiment, problem, .. } = recorded;
            return Ok(Target { experiment, problem: problem.into(), folder: Some(folder), rows, jobs });
        };
        ensure!(!exists, "{path} holds a run already: leave --experiment out to import into it, or name a new folder");
        let experiment = read(Some(file), &self.overrides.all())?;
        let prepared = prepare(experiment, &By::Here, &self.into.join(SCRATCH), &Stop::default(), false)?;
        prepared.notices.iter().for_each(note);
        // As a search does: contradictory settings leave no folder behind.
        prepared.strategy()?;
        Ok(Target {
            experiment: prepared.experiment,
            problem: prepared.problem,
            folder: None,
            rows: Vec::new(),
            jobs: 0,
        })
    }

    /// The columns of logs other than journals.
    fn columns(&self, experiment: &Experiment) -> anyhow::Result<Columns> {
        if self.columns.is_empty() {
            return Ok(experiment.replay.as_ref().map(|replay| replay.columns.clone()).unwrap_or_default());
        }
        let one = |entry: &String| -> anyhow::Result<toml::Table> {
            // A bare name needs no quotes, as in --set.
            let (what, name) =
                entry.split_once('=').with_context(|| format!("--column {entry}: expected WHAT=NAME"))?;
            let quoted = || format!("{what}={}", toml::Value::String(name.trim().to_owned())).parse();
            entry.parse().or_else(|_| quoted()).with_context(|| format!("--column {entry}"))
        };
        let mut all = toml::Table::new();
        for entry in &self.columns {
            all.extend(one(entry)?);
        }
        table::read(&all).map_err(|error| anyhow!("--column: {}", error.message()))
    }
}

/// Reads a log, or the journal of a run folder.
fn read_log(path: &Path, columns: &Columns, problem: &Problem) -> anyhow::Result<Log> {
    let path = if path.is_dir() { path.join(JOURNAL) } else { path.to_owned() };
    let content = std::fs::read(&path).with_context(|| {
        format!("cannot read the log {}: name a run folder, a journal or another CSV file", path.display())
    })?;
    let sha256 = sha256(&content);
    let is_journal = content.split(|byte| *byte == b'\n').next().is_some_and(hardware::log::is_journal);
    let whole = match content.iter().rposition(|byte| *byte == b'\n') {
        Some(end) if is_journal => &content[..=end],
        _ => &content[..],
    };
    if whole.len() < content.len() {
        note(format_args!("{}: its last line is not whole, and left out: a search may be writing it", path.display()));
    }
    let space = problem.space();
    let normalise = |text: &str| {
        let architecture = space.parse(text).map_err(|error| error.to_string())?;
        // Also where its layers fit the run's images.
        problem.key(&architecture).map_err(|error| error.to_string())?;
        space.format(&architecture).map_err(|error| error.to_string())
    };
    let columns = if is_journal { &Columns::default() } else { columns };
    let rows = read_rows(&path, whole, columns, &normalise).map_err(|error| {
        let hint = match error {
            LogError::Columns(_) => "name the log's columns with --column".to_owned(),
            LogError::Other(_) => format!("the run's space is `{}`", space.name()),
        };
        anyhow::Error::new(error).context(format!("nothing was imported; {hint}"))
    })?;
    if !is_journal {
        note(format_args!("{}: columns: {}", path.display(), rows.columns));
    }
    Ok(Log { path, sha256, rows: rows.joined().rows })
}

/// The settings of training in which the run of a journal differs from this one, without epochs, which every row states.
/// None where no difference is known.
fn trained_otherwise(log: &Path, experiment: &Experiment) -> anyhow::Result<Option<String>> {
    let config = log.with_file_name(CONFIG);
    // A file of another kind says nothing about training.
    let Ok(there) = Experiment::read(&config, &[]) else { return Ok(None) };
    if there.replay.is_some() || experiment.replay.is_some() {
        return Ok(None);
    }
    let mut found = differences(&there, experiment)?;
    let matters = ["data.", "training."];
    let does_not = ["data.dir ", "training.epochs ", "training.backend ", "training.devices "];
    found.retain(|one| {
        matters.iter().any(|key| one.starts_with(key)) && !does_not.iter().any(|key| one.starts_with(key))
    });
    Ok((!found.is_empty()).then(|| found.join(", ")))
}

/// Leaves the times of another run out where its `time_ms` is another statistic than this run's. Returns the other one and
/// the number of these rows.
fn with_statistic(log: &Path, rows: &mut [LogRow], experiment: &Experiment) -> Option<(Statistic, usize)> {
    // A file of another kind does not say it.
    let there = Experiment::read(&log.with_file_name(CONFIG), &[]).ok()?.of_begun_run();
    let is_alike = there.measuring.statistic() == experiment.measuring.statistic();
    if is_alike || there.replay.is_some() || experiment.replay.is_some() {
        return None;
    }
    let timed = rows.iter_mut().filter(|row| row.row.time_ms.is_some());
    let left_out = timed.map(|LogRow { row, .. }| (row.time_ms, row.time_ms_std) = (None, None)).count();
    Some((there.measuring.statistic(), left_out))
}

/// Labels of the run's devices and the epochs of its full trainings, as far as they are known. In a replay, both
/// are the replayed log's.
fn devices_and_epochs(target: &Target, logs: &[Log]) -> anyhow::Result<(BTreeSet<String>, BTreeSet<u64>)> {
    let Target { experiment, rows, .. } = target;
    let measured: BTreeSet<String> = rows.iter().filter_map(|row| row.device.clone()).collect();
    if let Some(replay) = &experiment.replay {
        let content = shipped::read(&replay.log)
            .with_context(|| format!("cannot read the log that the run replays, {}", replay.log.display()))?;
        let any = |text: &str| Ok(text.to_owned());
        let replayed = read_rows(&replay.log, &content, &replay.columns, &any)?;
        let epochs = replayed.full_epochs.into_iter().collect();
        let labels = || replayed.rows.iter().filter_map(|row| row.row.device.clone()).collect();
        return Ok((if measured.is_empty() { labels() } else { measured }, epochs));
    }
    let epochs = BTreeSet::from([experiment.training.epochs as u64]);
    let is_labelled =
        |LogRow { row, .. }: &LogRow| row.device.is_some() && (row.time_ms.is_some() || row.energy_mj.is_some());
    let is_asked = logs.iter().flat_map(|log| &log.rows).any(is_labelled);
    if !measured.is_empty() || !is_asked {
        return Ok((measured, epochs));
    }
    let label = |(name, config): (&String, &crate::config::DeviceConfig)| {
        let context = || {
            format!("no evaluation of the run says yet what it measures on, and its device `{name}` cannot be asked")
        };
        let label = config.open().and_then(|mut device| device.describe());
        Ok(label.with_context(context)?.label())
    };
    Ok((experiment.devices.iter().map(label).collect::<anyhow::Result<_>>()?, epochs))
}

/// How many rows of a log were taken, and the reasons for the others, line by line.
fn report(path: &Path, tally: &Tally, here: &Comparable) -> Vec<String> {
    let Tally { rows, taken, unsuccessful, known, useless, other_devices, unlabelled, other_epochs } = tally;
    let mut lines = vec![format!("{}: {taken} of {rows} rows taken", path.display())];
    let devices = here.devices.iter().map(|device| shown::clean(device)).collect::<Vec<_>>().join(", ");
    for (device, count) in other_devices {
        lines.push(format!(
            "  time and energy of {} were measured on another device ({}, here {devices}): left out",
            rows_of(*count),
            shown::clean(device)
        ));
    }
    if *unlabelled > 0 {
        let reason = if devices.is_empty() {
            "of a device that cannot be compared, for the run's has no label"
        } else {
            "of a device that the log does not name"
        };
        lines.push(format!(
            "  time and energy of {} are {reason}: left out; if it is the run's, import again with --same-device",
            rows_of(*unlabelled)
        ));
    }
    let epochs = here.epochs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let full = match epochs.as_str() {
        "" => "fewer than the most of the log".to_owned(),
        epochs => format!("not {epochs} as here"),
    };
    for (found, count) in other_epochs {
        lines.push(format!("  the accuracy of {} is after {found} epochs, {full}: left out", rows_of(*count)));
    }
    for (count, why) in [
        (*unsuccessful, "of an evaluation that failed"),
        (*known, "known here already"),
        (*useless, "without anything that can be used here"),
    ] {
        if count > 0 {
            let are = if count == 1 { "is" } else { "are" };
            lines.push(format!("  {} {are} {why}: not taken", rows_of(count)));
        }
    }
    lines
}

fn rows_of(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

/// Prints what the run has now, and how to continue.
fn report_run(
    folder: &RunFolder,
    experiment: &Experiment,
    problem: &Problem,
    rows: &[Row],
    imported: usize,
) -> anyhow::Result<()> {
    let path = pasted(folder.path());
    let imports = Imported::imports(folder.path(), problem)?;
    let networks: std::collections::HashSet<_> = imports.iter().map(|import| import.evaluation.key).collect();
    say(format_args!("{path} has {imported} imported rows of {} networks now", networks.len()))?;
    if !experiment.strategy.learns_from_imports() {
        let name = experiment.strategy.name();
        say(format_args!("its strategy `{name}` does not learn from them; `model-based` does"))?;
    } else if networks.len() > History::MOST_IMPORTED {
        say(format_args!(
            "its surrogate is fitted to {} of them: half the best by dominance, half spread over all others",
            History::MOST_IMPORTED
        ))?;
    }
    let ended = rows.iter().filter(|row| row.status.is_end()).count() as u64;
    let budget = experiment.search.budget().evaluations;
    let spent = budget.filter(|evaluations| ended >= evaluations + experiment.search.remeasure);
    let more = spent.map_or_else(String::new, |evaluations| format!(" --evaluations {}", 2 * evaluations));
    say(format_args!("go on with: controller --resume {path}{more}"))?;
    Ok(())
}
