//! A worker: it takes the jobs of the searches that suit it.
//!
//! It runs nothing that it is sent: an order is the text of an architecture and a number of epochs, and all commands,
//! addresses and paths are those of its own file.

mod job;
mod runs;
mod unbegun;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures_util::StreamExt as _;
use tokio::sync::{Notify, Semaphore};

use super::broker::{Broker, RUNS, Tail};
use super::message::{Announcement, DeviceInfo, Kind, Presence, is_token, read, written};
use super::roster::at_a_time;
use super::show;
use crate::config::Experiment;
use crate::evaluate::Evaluator;
use crate::problem::Problem;
use crate::stop::Stop;
use crate::terminal::machine;
use runs::Runs;

/// What a worker is and has.
pub(crate) struct WorkerSettings {
    /// Its own file: devices, backend, folders.
    pub own: Experiment,
    /// Its device; `None` if it does not measure, or a log answers.
    pub device: Option<DeviceInfo>,
    /// Measurements at a time.
    pub measures: usize,
    /// Trainings at a time.
    pub trains: usize,
    /// A folder of its own, for models and saved trainings.
    pub folder: PathBuf,
    pub stop: Stop,
    pub quiet: bool,
    /// Makes what does the jobs of a run; the command line knows how devices and images are opened.
    pub outfit: Box<Prepare>,
}

/// Opens what a run needs, by its announcement, the experiment as this worker does it, and a folder.
pub(crate) type Prepare = dyn Fn(&Announcement, Experiment, &Path) -> Result<Outfit> + Send + Sync;

/// The devices and trainers of a run.
pub(crate) struct Outfit {
    pub evaluator: Arc<dyn Evaluator>,
    pub problem: Arc<Problem>,
    /// Fingerprint of the images, or of the log that answers; `None` without images.
    pub data: Option<String>,
}

/// A worker at work.
struct Worker {
    /// Its name on the server.
    id: String,
    machine: String,
    broker: Broker,
    settings: WorkerSettings,
    /// Free places for measurements and for trainings.
    places: [Semaphore; 2],
    busy: [AtomicUsize; 2],
    /// Places that ask the server for a job, or do one.
    pulling: AtomicUsize,
    done: AtomicU64,
    failed: AtomicU64,
    runs: Mutex<Runs>,
    began: Instant,
    /// Something has changed that others are to know.
    report: Notify,
}

/// Time between two reports.
const INTERVAL: Duration = Duration::from_secs(5);

/// Takes jobs until it is stopped, or cannot go on.
///
/// # Errors
/// With the reason why it cannot go on: a device that is lost, or a search that has dismissed it.
pub(crate) async fn work(broker: Broker, settings: WorkerSettings) -> Result<()> {
    let machine = machine();
    let id = format!("{}-{:06x}", token_of(&machine), rand::random::<u32>() >> 8);
    let WorkerSettings { measures, trains, .. } = settings;
    let worker = Arc::new(Worker {
        id,
        machine,
        broker,
        places: [Semaphore::new(measures), Semaphore::new(trains)],
        settings,
        busy: Default::default(),
        pulling: AtomicUsize::new(0),
        done: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        runs: Mutex::default(),
        began: Instant::now(),
        report: Notify::new(),
    });
    let (id, url) = (&worker.id, worker.broker.url());
    worker.say(format_args!("worker {id} at {url}: {}", at_a_time(measures, trains)));
    worker.say("waiting for searches (Ctrl-C ends it and gives its jobs back)");
    let ended = worker.serve().await;
    worker.leave(ended.as_ref().err()).await;
    ended
}

impl Worker {
    fn say(&self, line: impl std::fmt::Display) {
        if !self.settings.quiet {
            show(line);
        }
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(kind: Kind) -> usize {
        match kind {
            Kind::Measure => 0,
            Kind::Train => 1,
        }
    }

    /// Receives announcements of runs, and takes part in them, until it is stopped.
    async fn serve(self: &Arc<Self>) -> Result<()> {
        let mut announced = self.broker.tail(RUNS, "nas.*.run".to_owned());
        let mut alive = self.broker.subscribe("nas.*.alive".to_owned()).await?;
        let mut who = self.broker.subscribe("nas.who".to_owned()).await?;
        let mut breaks = self.broker.subscribe("nas.*.break.*".to_owned()).await?;
        let mut dismissed = self.broker.subscribe(format!("nas.*.dismiss.{}", self.id)).await?;
        let mut reports = tokio::time::interval(INTERVAL);
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        // Whether what is announced now is announced by a search that is running.
        let mut is_new = false;
        loop {
            let stop = &self.settings.stop;
            tokio::select! {
                Some(event) = announced.recv() => match event {
                    Tail::Message { subject, payload } => self.announced(&subject, &payload, is_new),
                    Tail::CaughtUp => is_new = true,
                },
                Some(message) = alive.next() => if let Some(run) = run_of(&message.subject) {
                    self.receive_alive(run);
                },
                Some(_) = who.next() => self.report.notify_one(),
                Some(message) = breaks.next() => self.break_off(&message.subject),
                Some(message) = dismissed.next() => {
                    let reason = String::from_utf8_lossy(&message.payload).chars().take(1000).collect::<String>();
                    let reason = hardware::shown::clean(&reason);
                    stop.ask_because(format!("a search has dismissed this worker: {reason}"));
                }
                () = self.report.notified() => self.send_report(None).await,
                _ = reports.tick() => self.send_report(None).await,
                _ = ticks.tick() => {}
            }
            if stop.asked() {
                break;
            }
        }
        self.give_back().await;
        match self.settings.stop.reason() {
            Some(reason) => Err(anyhow!("{reason}")),
            None => Ok(()),
        }
    }

    fn announced(self: &Arc<Self>, subject: &str, payload: &[u8], is_new: bool) {
        let Some(run) = run_of(subject) else { return };
        match read::<Announcement>(payload) {
            Ok(announcement) => self.receive_announcement(run, announcement, is_new),
            // A search that is running announces itself again.
            Err(_) if self.runs().is_ready(run) => {}
            Err(error) => self.refuse(run, format!("its announcement cannot be read: {error:#}")),
        }
    }

    /// Waits until the jobs under way have been given back.
    async fn give_back(&self) {
        /// Trainings end after an epoch, measurements at the end of one.
        const LONGEST: Duration = Duration::from_secs(600);
        let until = Instant::now() + LONGEST;
        let mut shown = false;
        while self.pulling.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            let is_busy = self.busy.iter().any(|busy| busy.load(Ordering::Relaxed) > 0);
            if is_busy && !std::mem::replace(&mut shown, true) {
                self.say("stopping: giving the jobs under way back (Ctrl-C again to end at once)");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Reports the state of this worker.
    async fn send_report(&self, leaving: Option<String>) {
        let [measuring, training] = [0, 1].map(|index| self.busy[index].load(Ordering::Relaxed));
        let presence = Presence {
            machine: self.machine.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backend: self.settings.own.training.backend.to_string(),
            device: self.settings.device.clone().filter(|_| self.settings.measures > 0),
            measures: self.settings.measures,
            trains: self.settings.trains,
            measuring,
            training,
            for_s: self.began.elapsed().as_secs_f64(),
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            runs: self.runs().standings(),
            leaving,
        };
        if let Ok(payload) = written(&presence) {
            self.broker.send(format!("nas.{}.report", self.id), payload).await;
        }
    }

    async fn leave(&self, error: Option<&anyhow::Error>) {
        self.send_report(Some(error.map(|error| format!("{error:#}")).unwrap_or_default())).await;
        let _ = tokio::time::timeout(Duration::from_secs(2), self.broker.client.flush()).await;
    }
}

/// The run in a subject `nas.RUN.…`.
fn run_of(subject: &str) -> Option<&str> {
    subject.split('.').nth(1).filter(|run| is_token(run))
}

/// A machine's name as a part of a subject.
fn token_of(machine: &str) -> String {
    let plain = machine.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    plain.take(40).collect()
}
