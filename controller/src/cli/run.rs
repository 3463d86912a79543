//! Running a search in a folder: the common part of `search` and `replay`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, ensure};

use super::INTERRUPTED;
use super::finish::finish;
use super::prepare::{Prepared, prepare};
use crate::config::Experiment;
use crate::observe::{About, Observer, Progress, TensorBoard};
use crate::report::bounds_in_words;
use crate::run::{
    CHECKPOINT, CONFIG, Checkpoint, DIGESTS, IMPORTED, Imported, JOURNAL, Journal, MODELS, RunFolder, SCRATCH, WAITING,
    differences, logged_rows,
};
use crate::search::{Outcome, Plan, Search, Storage};
use crate::stop::Stop;
use crate::strategy::Strategy;
use crate::terminal::{note, pasted};

pub(super) enum Place {
    New(PathBuf),
    /// The folder of an earlier run.
    Resume(PathBuf),
}

/// Runs a search to its end and shows its front; `quiet` prints nothing but errors.
pub(super) fn run(experiment: Experiment, place: Place, quiet: bool) -> anyhow::Result<ExitCode> {
    let stop = Stop::default();
    let (path, opened) = match place {
        Place::New(path) => (path, None),
        Place::Resume(path) => (path.clone(), Some(RunFolder::open(&path)?)),
    };
    let prepared = prepare(experiment, &path.join(SCRATCH), &stop)?;
    // Before the folder is created, so that wrong settings leave nothing behind.
    let strategy = prepared.strategy()?;
    let folder = match opened {
        Some((folder, kept)) => resume(folder, &kept, &prepared.experiment)?,
        None => RunFolder::create(&path, &prepared.experiment)?,
    };
    folder.check_open_files()?;
    if !quiet {
        prepared.notices.iter().for_each(note);
        note(format_args!("minimising {}", prepared.problem.objectives().names()));
        note(format_args!("run folder: {}   (watch: {})", folder.path().display(), folder.watch_command()));
    }
    if !quiet {
        let done = logged_rows(&folder.join(JOURNAL))?.len() as u64;
        announce_time(&prepared, prepared.experiment.search.evaluations.saturating_sub(done));
    }
    let (search, checkpoint) = assemble(prepared, strategy, &folder, &stop, quiet)?;
    let result = drive(search, checkpoint, &stop);
    let failed = || {
        let path = pasted(folder.path());
        format!(
            "the search failed; finished evaluations are kept, and `controller --resume {path}` continues from them"
        )
    };
    let Outcome { end, spent } = result.with_context(failed)?;
    if let Some(reason) = stop.reason() {
        return Err(anyhow!("{reason}").context(failed()));
    }
    finish(end, spent, &folder, quiet)
}

/// Says how long the trainings of a search will take, before they do.
fn announce_time(prepared: &Prepared, children: u64) {
    match prepared.time_of_training(children) {
        Ok(time) if children > 0 => time.iter().for_each(note),
        Ok(_) => {}
        Err(error) => note(format_args!("warning: the time of training cannot be estimated: {error:#}")),
    }
}

/// Checks that a folder's run is this experiment's; the numbers of evaluations and re-measurements may differ.
fn resume(folder: RunFolder, kept: &Experiment, experiment: &Experiment) -> anyhow::Result<RunFolder> {
    let differing = differences(kept, experiment)?;
    ensure!(
        differing.is_empty(),
        "{} is a run of another experiment; these differ: {}\n  leave the experiment out to go on with the one in the \
         folder, or choose another folder with --out",
        folder.path().display(),
        differing.join(", ")
    );
    if kept.search != experiment.search {
        folder.write_config(experiment)?;
    }
    Ok(folder)
}

/// The search of a folder, and the checkpoint to resume from.
fn assemble(
    prepared: Prepared,
    strategy: Box<dyn Strategy>,
    folder: &RunFolder,
    stop: &Stop,
    quiet: bool,
) -> anyhow::Result<(Search, Option<Checkpoint>)> {
    let Prepared { experiment, problem, evaluator, .. } = prepared;
    let (journal, checkpoint) = recover(folder, &experiment)?;
    let imported = Imported::imports(folder.path(), &problem)?;
    if !quiet && !imported.is_empty() && experiment.strategy.learns_from_imports() {
        let path = folder.join(IMPORTED);
        note(format_args!("{} rows of other logs inform the search: {}", imported.len(), path.display()));
    }
    let mut observers: Vec<Box<dyn Observer>> =
        vec![Box::new(TensorBoard::new(&folder.events(), &about(&experiment)?))];
    if !quiet {
        observers.push(Box::new(Progress::new()));
    }
    let storage = Storage {
        journal,
        checkpoints: folder.join(CHECKPOINT),
        fingerprint: experiment.fingerprint()?,
        models: folder.join(MODELS),
    };
    let plan = Plan {
        budget: experiment.search.evaluations,
        remeasure: experiment.search.remeasure,
        batch: experiment.search.batch,
        seed: experiment.search.seed,
    };
    let search = Search { problem, strategy, evaluator, storage, imported, observers, plan, stop: stop.clone() };
    Ok((search, checkpoint))
}

/// The settings that TensorBoard shows beside those of other runs.
fn about(experiment: &Experiment) -> anyhow::Result<About> {
    let Experiment { search, strategy, space, devices, training, replay, .. } = experiment;
    let measured_on = match replay {
        Some(replay) => replay.log.display().to_string(),
        None => devices.keys().cloned().collect::<Vec<_>>().join(", "),
    };
    let settings = [
        ("strategy", strategy.name().to_owned()),
        ("seed", search.seed.to_string()),
        ("space", space.build()?.name().to_owned()),
        ("device", measured_on),
        ("bounds", bounds_in_words(&search.bounds).unwrap_or_else(|| "none".to_owned())),
        ("epochs", training.epochs.to_string()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
    Ok(About { settings, experiment: experiment.to_toml()? })
}

/// The journal and the checkpoint of a folder. An unusable checkpoint is ignored.
fn recover(folder: &RunFolder, experiment: &Experiment) -> anyhow::Result<(Journal, Option<Checkpoint>)> {
    let (journal, torn) = Journal::open(&folder.join(JOURNAL), &folder.join(WAITING), &folder.join(DIGESTS))?;
    if let Some(torn) = torn {
        note(format_args!("the journal ended in half a line (line {}), which was cut off: {}", torn.line, torn.text));
    }
    let checkpoint = Checkpoint::load(&folder.join(CHECKPOINT)).unwrap_or_else(|error| {
        note(format_args!("warning: {error:#}; going on from the journal alone"));
        None
    });
    let Some(checkpoint) = checkpoint else { return Ok((journal, None)) };
    if checkpoint.experiment != experiment.fingerprint()? {
        ensure!(
            folder.config_is_as_written()?,
            "{} was changed since the run began: change it back, or begin another run with --out",
            folder.join(CONFIG).display()
        );
        note("warning: the run was begun by another version of the program; going on from the journal alone");
        return Ok((journal, None));
    }
    if !journal.holds(checkpoint.told) {
        note(format_args!(
            "warning: the checkpoint is of {} evaluations, of which the journal lacks some; going on from the journal alone",
            checkpoint.told
        ));
        return Ok((journal, None));
    }
    Ok((journal, Some(checkpoint)))
}

/// Runs a search until it ends or is interrupted.
fn drive(mut search: Search, checkpoint: Option<Checkpoint>, stop: &Stop) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the threads of the search")?;
    let outcome = runtime.block_on(async {
        tokio::spawn(listen(stop.clone()));
        search.run(checkpoint).await
    });
    // Trainings check for the stop after each epoch; the program does not wait for them.
    runtime.shutdown_background();
    outcome
}

/// The first Ctrl-C or termination signal asks the search to stop, the second ends the process.
async fn listen(stop: Stop) {
    if interrupted().await.is_err() {
        return;
    }
    stop.ask();
    note("\nstopping: waiting for running measurements and trainings (Ctrl-C again to end at once)");
    if interrupted().await.is_ok() {
        std::process::exit(i32::from(INTERRUPTED));
    }
}

#[cfg(unix)]
async fn interrupted() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn interrupted() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// A folder for a new run: `runs/NAME-DATE-TIME`.
pub(super) fn new_folder(experiment: Option<&Path>, fallback: &str) -> PathBuf {
    let name = experiment.and_then(Path::file_stem).and_then(|stem| stem.to_str()).unwrap_or(fallback);
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    PathBuf::from("runs").join(format!("{name}-{now}"))
}
