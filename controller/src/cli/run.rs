//! Running a search in a folder: what `search` and `replay` share.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use super::INTERRUPTED;
use super::finish::finish;
use super::prepare::prepare;
use crate::config::Experiment;
use crate::observe::{Observer, Progress, TensorBoard};
use crate::run::{Checkpoint, Imported, Journal, RunFolder, differences};
use crate::search::{Outcome, Search, Stop};
use crate::terminal::note;

/// Where a search begins or goes on.
pub(super) enum Place {
    /// A new folder.
    New(PathBuf),
    /// The folder of a run that did not end.
    Resume(PathBuf),
}

/// A search that somebody asked for.
pub(super) struct Request {
    /// What is searched; none to go on with what a folder holds, or for the quickstart.
    pub experiment: Option<Experiment>,
    /// Where.
    pub place: Place,
    /// Evaluations in all, in place of the experiment's.
    pub evaluations: Option<u64>,
    /// Whether to print nothing but errors.
    pub quiet: bool,
}

/// Runs a search to its end and shows its front.
///
/// # Errors
/// If the experiment or the folder cannot be used, or the journal cannot be written.
pub(super) fn run(request: Request) -> anyhow::Result<ExitCode> {
    let Request { experiment, place, evaluations, quiet } = request;
    let stop = Stop::default();
    let reason = stop.clone();
    let opened = match &place {
        Place::New(_) => None,
        Place::Resume(path) => Some(RunFolder::open(path)?),
    };
    let mut chosen = match (experiment, &opened) {
        (Some(experiment), _) => experiment,
        (None, Some((_, kept))) => kept.clone(),
        (None, None) => Experiment::quickstart(&[])?,
    };
    if let Some(evaluations) = evaluations {
        chosen.search.evaluations = evaluations;
        chosen.check()?;
    }
    let (Place::New(path) | Place::Resume(path)) = &place;
    // Devices may work in folders of their own.
    let scratch = std::path::absolute(RunFolder::scratch(path)).context("there is no working directory")?;
    let prepared = prepare(chosen, scratch, &stop)?;
    let experiment = &prepared.experiment;
    let device = experiment.training.backend.device()?;
    // Before there is a folder: settings that make no sense leave nothing behind.
    let strategy = experiment.strategy.build(experiment.search.seed, &prepared.problem, &device)?;
    let folder = match (opened, place) {
        (Some((folder, kept)), _) => go_on(folder, &kept, experiment)?,
        (None, Place::New(path) | Place::Resume(path)) => RunFolder::create(&path, experiment)?,
    };
    folder.check_open_files()?;
    if !quiet {
        prepared.notices.iter().for_each(note);
        let names: Vec<_> = prepared.problem.objectives().iter().map(|objective| objective.name()).collect();
        note(format_args!("minimising {}", names.join(", ")));
        note(format_args!("run folder: {0}   (watch: tensorboard --logdir {0})", folder.path().display()));
    }
    let (journal, checkpoint) = recover(&folder, experiment)?;
    let imported = Imported::imports(folder.path(), &prepared.problem)?;
    if !quiet && !imported.is_empty() && experiment.strategy.learns_from_imports() {
        let path = folder.imported();
        note(format_args!("{} rows of other logs inform the search: {}", imported.len(), path.display()));
    }
    let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(TensorBoard::new(&folder.tensorboard()))];
    if !quiet {
        observers.push(Box::new(Progress::new()));
    }
    let mut search = Search {
        strategy,
        evaluator: prepared.evaluator,
        journal,
        checkpoints: folder.checkpoints(),
        models: folder.models(),
        imported,
        observers,
        budget: experiment.search.evaluations,
        remeasure: experiment.search.remeasure,
        batch: experiment.search.batch,
        seed: experiment.search.seed,
        fingerprint: experiment.fingerprint()?,
        stop: stop.clone(),
        problem: prepared.problem,
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the threads of the search")?;
    let outcome = runtime.block_on(async {
        tokio::spawn(listen(stop));
        search.run(checkpoint).await
    });
    // Children that are being trained look at the stop flag after each epoch; nobody waits for them.
    runtime.shutdown_background();
    let broke_off = || {
        let path = folder.path().display();
        format!("the search broke off; what was evaluated is kept, and `controller --resume {path}` goes on from it")
    };
    let Outcome { end, spent, .. } = outcome.with_context(broke_off)?;
    if let Some(reason) = reason.reason() {
        return Err(anyhow::anyhow!("{reason}").context(broke_off()));
    }
    finish(end, spent, &folder, quiet)
}

/// Checks that a folder's run is this experiment's. It may have been given more evaluations or re-measurements.
fn go_on(folder: RunFolder, kept: &Experiment, experiment: &Experiment) -> anyhow::Result<RunFolder> {
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

/// The journal and the checkpoint of a folder. A checkpoint that cannot be used is done without.
fn recover(folder: &RunFolder, experiment: &Experiment) -> anyhow::Result<(Journal, Option<Checkpoint>)> {
    let (journal, torn) = Journal::open(&folder.journal(), &folder.waiting(), &folder.digests())?;
    if let Some(torn) = torn {
        note(format_args!("the journal ended in half a line (line {}), which was cut off: {}", torn.line, torn.text));
    }
    let checkpoint = Checkpoint::load(&folder.checkpoints()).unwrap_or_else(|error| {
        note(format_args!("warning: {error:#}; going on from the journal alone"));
        None
    });
    let Some(checkpoint) = checkpoint else { return Ok((journal, None)) };
    if checkpoint.experiment != experiment.fingerprint()? {
        ensure!(
            folder.config_is_as_written()?,
            "{} was changed since the run began: change it back, or begin another run with --out",
            folder.config().display()
        );
        note("warning: the run was begun by another version of the program; going on from the journal alone");
        return Ok((journal, None));
    }
    if !journal.holds(checkpoint.told) {
        let told = checkpoint.told;
        note(format_args!(
            "warning: the checkpoint is of {told} evaluations, of which the journal lacks some; going on from the journal alone"
        ));
        return Ok((journal, None));
    }
    Ok((journal, Some(checkpoint)))
}

/// The first Ctrl-C asks the search to stop, the second ends the process; so does being terminated.
async fn listen(stop: Stop) {
    if interrupted().await.is_err() {
        return;
    }
    stop.ask();
    note("\nstopping: waiting for what is being measured or trained (Ctrl-C again to end at once)");
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
