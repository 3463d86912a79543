//! Running a search in a folder: the common part of `search` and `replay`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};

use super::INTERRUPTED;
use super::finish::{finish, write_report};
use super::inherit::inherit;
use super::prepare::{By, Prepared, prepare};
use crate::cluster::{DeviceInfo, Identity, Link, Remote, task_of};
use crate::config::{ByTarget, Experiment, ExtendedConfig};
use crate::evaluate::{Evaluator, check_alike};
use crate::objective::Bounds;
use crate::observe::{About, Observer, Progress, TensorBoard, Watch};
use crate::plan::{Inherited, Plan};
use crate::report::bounds_in_words;
use crate::run::{
    CHECKPOINT, CONFIG, Checkpoint, DIGESTS, IMPORTED, Imported, JOURNAL, Journal, MAY_DIFFER, MODELS, OBSERVATIONS,
    Reserved, RunFolder, SCRATCH, STATUS, TRAININGS, WAITING, check_open_files, differences, logged_rows,
};
use crate::search::{End, Outcome, Search, Storage, Workers};
use crate::stop::Stop;
use crate::strategy::Strategy;
use crate::terminal::{note, pasted};
use hardware::log::join;
use hardware::shown;

pub(super) enum Place {
    /// A folder that the user named.
    New(PathBuf),
    /// A folder of the program's choice, or the next free one: several searches may begin in the same second.
    Default(PathBuf),
    /// The folder of an earlier run.
    Resume {
        path: PathBuf,
        /// Whether its failed evaluations are tried again.
        retry_failed: bool,
    },
}

/// Runs a search to its end and shows its front; `quiet` prints nothing but errors.
pub(super) fn run(experiment: Experiment, place: Place, quiet: bool) -> anyhow::Result<ExitCode> {
    let stop = Stop::default();
    let is_default = matches!(place, Place::Default(_));
    let (path, opened, retry_failed) = match place {
        Place::New(path) | Place::Default(path) => (path, None, false),
        Place::Resume { path, retry_failed } => (path.clone(), Some(RunFolder::open(&path)?), retry_failed),
    };
    ensure!(
        !retry_failed || experiment.replay.is_none(),
        "--retry-failed: a log gives the same answer each time, so an evaluation that failed in a replay fails again"
    );
    if experiment.replay.is_none() {
        for devices in experiment.devices_of_targets()?.values() {
            if let Err(problem) = check_alike(devices) {
                reject_unless_begun(&problem.to_string(), opened.is_some())?;
            }
        }
    }
    let mut connected = None;
    if experiment.cluster.server().is_some() {
        let runtime = start_threads("the search")?;
        let link = runtime.block_on(connect(&experiment, &path, opened.is_some(), &stop, quiet))?;
        connected = Some((runtime, link));
    }
    let by = match &connected {
        Some((_, link)) if needs_workers(&experiment) => link.identity.device.as_ref().map_or(By::Here, By::Workers),
        _ => By::Here,
    };
    let reserved = is_default.then(|| Reserved::new(&path)).transpose()?;
    let path = reserved.as_ref().map_or(path, |reserved| reserved.path().to_owned());
    let prepared = prepare(experiment, &by, &path.join(SCRATCH), &stop, quiet)?;
    if let Some(problem) = &prepared.unlike {
        reject_unless_begun(problem, opened.is_some())?;
    }
    // Before the run begins in its folder, so that wrong settings leave nothing behind.
    let strategy = prepared.strategy()?;
    let folder = match opened {
        Some((folder, kept)) => resume(folder, &kept, &prepared.experiment)?,
        None => RunFolder::create(&path, &prepared.experiment)?,
    };
    if let Some(earlier) = &prepared.experiment.extended {
        inherit(&folder, earlier)?;
    }
    let (runtime, link) = match connected {
        Some((runtime, link)) => (runtime, Some(link)),
        None => (start_threads("the search")?, None),
    };
    if !quiet {
        prepared.notices.iter().for_each(note);
        if let Some(ExtendedConfig { run, measure, .. }) = &prepared.experiment.extended {
            let measured =
                measure.map_or_else(|| "its trained networks".to_owned(), |count| format!("{count} networks"));
            note(format_args!("going on from {run}: first {measured} are measured on each new target"));
        }
        note(format_args!("minimising {}", prepared.problem.minimised()));
        note(format_args!("run folder: {}   (watch: {})", folder.path().display(), folder.watch_command()));
        let rows = logged_rows(&folder.join(JOURNAL))?;
        let joined = join(rows, prepared.problem.fidelity().short_epochs);
        let done = joined.iter().filter(|joined| joined.row.status.is_end()).count() as u64;
        let planned = prepared.experiment.search.budget().evaluations;
        announce_time(&prepared, planned.map_or(0, |planned| planned.saturating_sub(done)));
    }
    runtime.spawn(listen(stop.clone()));
    let remote = match link {
        Some(link) => Some(runtime.block_on(announce(link, &prepared, &folder, &stop))?),
        None => None,
    };
    let (mut search, checkpoint) = assemble(prepared, remote.clone(), strategy, &folder, &stop, quiet)?;
    search.plan.retry_failed = retry_failed;
    let result = runtime.block_on(search.run(checkpoint));
    // Its observers write what they have, which the report reads.
    drop(search);
    if let (Some(remote), Ok(Outcome { end, .. })) = (&remote, &result)
        && *end != End::Stopped
    {
        runtime.block_on(remote.end());
    }
    // Trainings check for the stop after each epoch; the program does not wait for them.
    runtime.shutdown_background();
    let failed = || {
        let path = pasted(folder.path());
        if !folder.join(JOURNAL).is_file() {
            return format!("the search failed; its folder {path} is not there any more");
        }
        format!(
            "the search failed; finished evaluations are kept, and `controller --resume {path}` continues from them"
        )
    };
    let Outcome { end, spent } = result.with_context(failed)?;
    if let Some(reason) = stop.reason() {
        // The front of what was evaluated, as after an interrupt. The reason of the end is the error to show.
        let _ = write_report(&folder);
        return Err(anyhow!("{reason}").context(failed()));
    }
    if end != End::Stopped {
        // What cannot be removed only takes space.
        let _ = std::fs::remove_dir_all(folder.join(TRAININGS));
    }
    finish(end, spent, &folder, quiet)
}

/// Whether workers do everything.
fn needs_workers(experiment: &Experiment) -> bool {
    experiment.replay.is_none() && !experiment.cluster.local
}

/// The threads of something that runs for long, or connects to other machines.
pub(super) fn start_threads(of: &str) -> anyhow::Result<tokio::runtime::Runtime> {
    check_open_files().with_context(|| format!("cannot open all files that {of} needs"))?;
    tokio::runtime::Runtime::new().with_context(|| format!("cannot start the threads of {of}"))
}

/// Connects to the cluster of an experiment, and waits for a worker that measures, if one has to.
async fn connect(
    experiment: &Experiment,
    folder: &Path,
    is_begun: bool,
    stop: &Stop,
    quiet: bool,
) -> anyhow::Result<Link> {
    let identity = Identity::load(folder).filter(|_| is_begun).unwrap_or_else(Identity::fresh);
    let mut link = Link::open(&experiment.cluster, identity, stop, quiet).await?;
    if needs_workers(experiment) {
        link.find_device().await;
    }
    Ok(link)
}

/// Announces a run to the workers of its cluster.
async fn announce(link: Link, prepared: &Prepared, folder: &RunFolder, stop: &Stop) -> anyhow::Result<Arc<Remote>> {
    let mut link = link;
    link.identity.device.clone_from(&prepared.device);
    link.identity.save(folder.path())?;
    let (task, fixed) = (task_of(&prepared.experiment)?, prepared.fixed.clone());
    let fixed = fixed.context("there is nothing to announce")?;
    let announced = link.announce(task, fixed, Arc::clone(&prepared.problem), stop).await;
    let announced = announced.context("the search was stopped before the NATS server knew of it")?;
    Ok(match &prepared.live {
        Some(live) => announced.with_local(Arc::clone(live) as Arc<dyn Evaluator>),
        None => announced,
    })
}

/// Says how long the trainings of a search will take, before they do.
fn announce_time(prepared: &Prepared, children: u64) {
    if children == 0 {
        return;
    }
    match prepared.time_of_training(children) {
        Ok(time) => time.iter().for_each(note),
        Err(error) => note(format_args!("warning: the time of training cannot be estimated: {error:#}")),
    }
}

/// Rejects devices that are not alike, for a new run; one that was begun with them goes on.
fn reject_unless_begun(problem: &str, is_begun: bool) -> anyhow::Result<()> {
    ensure!(is_begun, "{problem}");
    note(format_args!("warning: {problem}"));
    Ok(())
}

/// Checks that a folder's run is this experiment's, but for what cannot change its results.
fn resume(folder: RunFolder, kept: &Experiment, experiment: &Experiment) -> anyhow::Result<RunFolder> {
    // An edit of the file by hand counts as one of the command line.
    let written = folder.written();
    let before = written.as_ref().unwrap_or(kept);
    let differing = differences(before, experiment)?;
    if !differing.is_empty() && !differences(before, kept)?.is_empty() {
        bail!(
            "{} was changed since the run began: change it back, or begin another run with --out. These would change its \
             results: {}",
            folder.join(CONFIG).display(),
            differing.join("; ")
        );
    }
    ensure!(
        differing.is_empty(),
        "{} is a run of another experiment; these differ: {}\n  leave the experiment out to go on with the one in the \
         folder, or choose another folder with --out. These may differ: {MAY_DIFFER}",
        folder.path().display(),
        differing.join("; ")
    );
    if before != experiment {
        sign(&folder, before, experiment)?;
        folder.write_config(experiment)?;
    }
    Ok(folder)
}

/// Makes the checkpoint of an experiment that of another one with the same results.
fn sign(folder: &RunFolder, before: &Experiment, experiment: &Experiment) -> anyhow::Result<()> {
    let (before, after) = (before.fingerprint()?, experiment.fingerprint()?);
    let place = folder.join(CHECKPOINT);
    // A damaged checkpoint is reported when it is used.
    let checkpoint = Checkpoint::load(&place).ok().flatten();
    match checkpoint.filter(|checkpoint| checkpoint.experiment == before && before != after) {
        Some(checkpoint) => Checkpoint { experiment: after, ..checkpoint }.save(&place),
        None => Ok(()),
    }
}

/// The search of a folder, and the checkpoint to resume from.
fn assemble(
    prepared: Prepared,
    remote: Option<Arc<Remote>>,
    strategy: Box<dyn Strategy>,
    folder: &RunFolder,
    stop: &Stop,
    quiet: bool,
) -> anyhow::Result<(Search, Option<Checkpoint>)> {
    let Prepared { experiment, problem, live, log, device, .. } = prepared;
    let of_workers = device.filter(|_| remote.is_some() && live.is_none());
    let own_devices: Vec<String> = live.iter().flat_map(|_| experiment.devices.keys().cloned()).collect();
    let workers = match (remote, live, log) {
        (Some(remote), ..) => Workers::real(remote),
        (None, Some(live), _) => Workers::real(live),
        (None, None, Some(log)) => Workers::simulated(log),
        (None, None, None) => bail!("neither devices nor a log answer"),
    };
    let (journal, checkpoint) = recover(folder, &experiment)?;
    let imported = Imported::imports(folder.path(), &problem)?;
    if !quiet && !imported.is_empty() && experiment.strategy.learns_from_imports() {
        let path = folder.join(IMPORTED);
        note(format_args!("{} rows of other logs inform the search: {}", imported.len(), path.display()));
    }
    let events = TensorBoard::new(&folder.events(), &about(&experiment, of_workers.as_ref())?);
    let watch = Watch::new(folder.join(STATUS), &folder.join(OBSERVATIONS), own_devices);
    let observers: Vec<Box<dyn Observer>> = vec![Box::new(events), Box::new(watch), Box::new(Progress::new(quiet))];
    let storage = Storage {
        journal,
        checkpoints: folder.join(CHECKPOINT),
        fingerprint: experiment.fingerprint()?,
        models: folder.join(MODELS),
    };
    let plan = Plan {
        budget: experiment.search.budget(),
        fidelity: problem.fidelity(),
        remeasure: experiment.search.remeasure,
        batch: experiment.search.batch,
        inherited: experiment.extended.as_ref().map(|earlier| Inherited {
            rows: earlier.rows,
            evaluations: earlier.evaluations,
            measure: earlier.measure,
        }),
        retry_failed: false,
    };
    let search = Search { problem, strategy, workers, storage, imported, observers, plan, stop: stop.clone() };
    Ok((search, checkpoint))
}

/// All bounds, each target's own with its name before.
fn bounds_of_all(bounds: &ByTarget<Bounds>) -> Option<String> {
    let own = bounds.of.iter().filter_map(|(name, own)| Some(format!("{name}: {}", bounds_in_words(own)?)));
    let all: Vec<String> = bounds_in_words(&bounds.all).into_iter().chain(own).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The settings that TensorBoard shows beside those of other runs.
fn about(experiment: &Experiment, of_workers: Option<&DeviceInfo>) -> anyhow::Result<About> {
    let Experiment { search, strategy, space, devices, training, replay, .. } = experiment;
    let measured_on = match (replay, of_workers) {
        (Some(replay), _) => replay.log.display().to_string(),
        (None, Some(device)) => device.description().label(),
        (None, None) => devices.keys().cloned().collect::<Vec<_>>().join(", "),
    };
    let mut settings = vec![
        ("strategy", strategy.name().to_owned()),
        ("seed", search.seed.to_string()),
        ("space", space.build()?.name().to_owned()),
        ("device", measured_on),
        ("bounds", bounds_of_all(&search.bounds).unwrap_or_else(|| "none".to_owned())),
    ];
    // A log answers for networks that were trained elsewhere.
    if replay.is_none() {
        settings.push(("epochs", training.epochs.to_string()));
    }
    let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(About { settings, experiment: experiment.to_toml()? })
}

/// The journal and the checkpoint of a folder. An unusable checkpoint is ignored.
fn recover(folder: &RunFolder, experiment: &Experiment) -> anyhow::Result<(Journal, Option<Checkpoint>)> {
    let (journal, torn) = Journal::open(&folder.join(JOURNAL), &folder.join(WAITING), &folder.join(DIGESTS))?;
    if let Some(torn) = torn {
        let text = shown::line_of(&torn.text);
        note(format_args!("the journal ended in half a line (line {}), which was cut off: {text}", torn.line));
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
    let (rows, recorded) = (journal.rows().len() as u64, checkpoint.rows);
    ensure!(
        rows > 0 || recorded == 0,
        "{} is missing or empty, but the run had recorded {recorded} rows: restore it, or begin another run with --out",
        folder.join(JOURNAL).display()
    );
    if rows < recorded {
        note(format_args!(
            "warning: the checkpoint is of {recorded} rows, of which the journal lacks some; going on from the journal alone"
        ));
        return Ok((journal, None));
    }
    Ok((journal, Some(checkpoint)))
}

/// The first Ctrl-C or termination signal asks the search to stop, the second ends the process.
pub(super) async fn listen(stop: Stop) {
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

/// A folder for a new run without --out: `runs/NAME-DATE-TIME`.
pub(super) fn default_place(experiment: Option<&Path>, fallback: &str) -> Place {
    let name = experiment.and_then(Path::file_stem).and_then(|stem| stem.to_str()).unwrap_or(fallback);
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    Place::Default(PathBuf::from("runs").join(format!("{name}-{now}")))
}
