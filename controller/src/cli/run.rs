//! Running a search in a folder: what `search` and `replay` share.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::INTERRUPTED;
use super::prepare::prepare;
use crate::config::Experiment;
use crate::observe::{Observer, Progress, TensorBoard};
use crate::report;
use crate::run::{Checkpoint, Journal, RunError, RunFolder, differences};
use crate::search::{End, Search, Stop};

/// Where a search begins or goes on.
pub(super) enum Place {
    /// A new folder.
    New(PathBuf),
    /// The folder of a run that did not end.
    Resume(PathBuf),
}

/// Runs a search to its end and shows its front.
///
/// # Errors
/// If the experiment or the folder cannot be used, or the journal cannot be written.
pub(super) fn run(
    experiment: Option<Experiment>,
    place: Place,
    evaluations: Option<u64>,
    quiet: bool,
) -> anyhow::Result<ExitCode> {
    let stop = Stop::default();
    let (path, resume) = match place {
        Place::New(path) => (path, false),
        Place::Resume(path) => (path, true),
    };
    let opened = if resume { Some(RunFolder::open(&path)?) } else { None };
    let mut chosen = match (&opened, experiment) {
        (Some((_, kept)), None) => kept.clone(),
        (_, Some(experiment)) => experiment,
        (None, None) => Experiment::quickstart(&[])?,
    };
    if let Some(evaluations) = evaluations {
        chosen.search.evaluations = evaluations;
    }
    let scratch = tempfile::Builder::new().prefix("models-").tempdir().context("cannot make a temporary folder")?;
    let prepared = prepare(chosen, scratch.path().to_owned(), &stop)?;
    let folder = match opened {
        None => RunFolder::create(&path, &prepared.experiment)?,
        Some((folder, kept)) => {
            let differing = differences(&kept, &prepared.experiment)?;
            if !differing.is_empty() {
                return Err(RunError::OtherExperiment { path, differences: differing.join(", ") }.into());
            }
            folder
        }
    };
    if !quiet {
        for notice in &prepared.notices {
            eprintln!("{notice}");
        }
        eprintln!("run folder: {0}   (watch: tensorboard --logdir {0})", path.display());
    }
    let (journal, torn) = Journal::open(&folder.journal(), &folder.checkpoints().join("waiting.csv"))?;
    if let Some(torn) = torn {
        eprintln!("the journal ended in half a line (line {}), which was cut off: {}", torn.line, torn.text);
    }
    let checkpoint = Checkpoint::load(&folder.checkpoints()).unwrap_or_else(|error| {
        eprintln!("warning: {error}; going on from the journal alone");
        None
    });
    let config = &prepared.experiment.search;
    let device = prepared.experiment.training.backend.device()?;
    let strategy = prepared.experiment.strategy.build(config.seed, &prepared.problem, &device)?;
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
        observers,
        budget: config.evaluations,
        batch: config.batch,
        seed: config.seed,
        stop: stop.clone(),
        problem: prepared.problem,
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the threads of the search")?;
    let end = runtime.block_on(async {
        tokio::spawn(listen(stop));
        search.run(checkpoint).await.map(|(end, _)| end)
    });
    // Children that are being trained look at the stop flag after each epoch; nobody waits for them.
    runtime.shutdown_background();
    finish(end?, &folder, quiet)
}

/// The first Ctrl-C asks the search to stop, the second ends the process; so does being terminated.
async fn listen(stop: Stop) {
    if interrupted().await.is_err() {
        return;
    }
    stop.ask();
    eprintln!("\nstopping: waiting for what is being measured or trained (Ctrl-C again to end at once)");
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

fn finish(end: End, folder: &RunFolder, quiet: bool) -> anyhow::Result<ExitCode> {
    let summary = report::write(folder)?;
    let path = folder.path().display();
    if !quiet {
        println!("\n{}", report::table(&summary));
        println!("{} evaluations, {} on the front", summary.rows.len(), summary.members.len());
        println!("report:  {}", folder.report().display());
        println!("watch:   tensorboard --logdir {path}");
        println!("again:   controller front {path} --json");
    }
    match end {
        End::Finished => {}
        End::Exhausted => eprintln!("ended early: nothing is left that could be evaluated"),
        End::Stopped => {
            eprintln!("stopped; go on with: controller --resume {path}");
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A folder for a new run: `runs/NAME-DATE-TIME`.
pub(super) fn new_folder(experiment: Option<&Path>, fallback: &str) -> PathBuf {
    let name = experiment.and_then(Path::file_stem).and_then(|stem| stem.to_str()).unwrap_or(fallback);
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    PathBuf::from("runs").join(format!("{name}-{now}"))
}
