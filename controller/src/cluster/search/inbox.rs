//! What arrives from workers, and who waits for it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::cluster::broker::{Broker, RESULTS, Tail};
use crate::cluster::message::{self, Answer, JobId, read};
use crate::cluster::roster::Roster;
use crate::cluster::show;
use crate::evaluate::Activity;
use crate::history::Work;

/// What arrives, and who waits for it.
pub(super) struct Shared {
    pub state: Mutex<State>,
    /// Counts the changes of capacity.
    pub changes: AtomicU64,
    /// The count when the capacity was looked at last.
    pub seen: AtomicU64,
    pub changed: Notify,
    /// How many times the server had lost the run.
    pub losses: AtomicUsize,
    pub lost: Notify,
    pub quiet: bool,
}

pub(super) struct State {
    pub roster: Roster,
    pub waiting: HashMap<JobId, Waiting>,
    /// Answers that arrived before anything waited for them.
    pub early: HashMap<JobId, Vec<(String, Answer)>>,
    /// Jobs that were on the server when the search began or went on.
    pub queued: HashSet<JobId>,
    /// What the server has of jobs whose rows are not on the disk yet.
    pub left: HashMap<(u64, Work), Left>,
    /// By worker, networks that failed on it and on no other.
    pub blamed: HashMap<String, Vec<String>>,
    pub load: Load,
}

/// The workers' load since the last report.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub reported: Option<Instant>,
    /// Seconds that jobs waited, and their number.
    pub waited: (f64, u32),
    /// Sums over the seconds of places that were busy, and of all places.
    pub busy: (usize, usize),
}

/// What the server has of a job.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub ids: Vec<JobId>,
    pub objects: Vec<String>,
}

pub(super) struct Waiting {
    pub number: u64,
    pub ordered: Instant,
    pub activity: mpsc::UnboundedSender<Activity>,
    /// When it began, by this machine's clock.
    pub began: Option<Timestamp>,
    /// Answers by worker, also those that cannot be read.
    pub answer: mpsc::UnboundedSender<(String, Result<Answer>)>,
}

impl State {
    /// Jobs that a worker has taken.
    pub fn under_way(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.began.is_some()).count()
    }
}

impl Shared {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn say(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            show(line);
        }
    }
}

/// Receives what workers report of themselves.
pub(super) async fn listen(broker: Broker, shared: Arc<Shared>) {
    let Ok(mut reports) = broker.subscribe("nas.*.report".to_owned()).await else { return };
    broker.send("nas.who".to_owned(), Vec::new()).await;
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        let before = shared.state().roster.capacity();
        tokio::select! {
            report = reports.next() => {
                let Some(report) = report else { return };
                let worker = report.subject.split('.').nth(1).unwrap_or_default().to_owned();
                let Ok(presence) = message::read_presence(&report.payload) else { continue };
                if !message::is_token(&worker) {
                    continue;
                }
                let line = shared.state().roster.receive(&worker, presence);
                line.iter().for_each(|line| shared.say(line));
            }
            _ = ticks.tick() => {
                let lines = {
                    let mut state = shared.state();
                    let (places, under_way) = (state.roster.capacity().together, state.under_way());
                    state.load.busy.0 += under_way.min(places);
                    state.load.busy.1 += places;
                    state.roster.forget_silent()
                };
                lines.iter().for_each(|line| shared.say(line));
            }
        }
        if shared.state().roster.capacity() != before {
            shared.changes.fetch_add(1, Ordering::Relaxed);
            shared.changed.notify_waiters();
        }
    }
}

/// Receives the answers to this run's jobs.
pub(super) async fn receive(broker: Broker, run: String, shared: Arc<Shared>, caught_up: oneshot::Sender<()>) {
    let mut caught_up = Some(caught_up);
    let mut tail = broker.tail(RESULTS, format!("nas.{run}.result.>"));
    loop {
        let event = tokio::select! {
            event = tail.recv() => event,
            // The server counts its messages anew.
            () = shared.lost.notified() => {
                tail = broker.tail(RESULTS, format!("nas.{run}.result.>"));
                continue;
            }
        };
        let Some(event) = event else { return };
        let (subject, payload) = match event {
            Tail::Message { subject, payload } => (subject, payload),
            Tail::CaughtUp => {
                caught_up.take().map(|sender| sender.send(()));
                continue;
            }
        };
        let mut parts = subject.rsplit('.');
        let (worker, id) = (parts.next().unwrap_or_default(), parts.next().and_then(JobId::read));
        let Some(id) = id.filter(|_| message::is_token(worker)) else { continue };
        let answer = read::<Answer>(&payload);
        let unread = {
            let mut state = shared.state();
            match (state.waiting.get(&id), answer) {
                (Some(waiting), answer) => {
                    let _ = waiting.answer.send((worker.to_owned(), answer));
                    None
                }
                (None, Ok(answer)) => {
                    state.early.entry(id).or_default().push((worker.to_owned(), answer));
                    None
                }
                (None, Err(error)) => Some(error),
            }
        };
        if let Some(error) = unread {
            show(format_args!("warning: an answer of the worker {worker} is refused: {error:#}"));
            let _ = broker.remove(RESULTS, &subject).await;
        }
    }
}

/// Passes the progress of jobs on.
pub(super) async fn follow_progress(broker: Broker, run: String, shared: Arc<Shared>) {
    let Ok(mut stages) = broker.subscribe(format!("nas.{run}.progress.*")).await else { return };
    while let Some(report) = stages.next().await {
        let Some(id) = report.subject.rsplit('.').next().and_then(JobId::read) else { continue };
        let stage = message::read_stage(&report.payload);
        let mut state = shared.state();
        let State { waiting, load, .. } = &mut *state;
        let Some(waiting) = waiting.get_mut(&id) else { continue };
        if waiting.began.is_none() {
            waiting.began = Some(Timestamp::now());
            load.waited = (load.waited.0 + waiting.ordered.elapsed().as_secs_f64(), load.waited.1 + 1);
        }
        // Without a stage a worker has only taken the job.
        if let Ok(stage) = stage {
            let _ = waiting.activity.send(Activity { number: waiting.number, stage });
        }
    }
}
