//! The searching side: jobs are handed to workers, and their answers awaited.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use futures_util::StreamExt as _;
use hardware::log::{Row, Status};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot};

use super::ClusterConfig;
use super::broker::{Broker, JOBS, RESULTS, Tail};
use super::message::{self, Announcement, Answer, DeviceInfo, JobId, Kind, Order, PROTOCOL, read, written};
use super::roster::Roster;
use super::task::fingerprint;
use crate::evaluate::{Activity, Assignment, Capacity, Evaluating, Evaluator, Finished, Stage, Workload};
use crate::fingerprint::sha256;
use crate::history::{Job, Work};
use crate::problem::Problem;
use crate::run::write_atomically;
use crate::stop::Stop;
use crate::terminal::note;

/// What a run keeps in its folder to find its jobs and answers on the server again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// 16 hexadecimal digits.
    pub run: String,
    /// The device that its networks are measured on.
    pub device: Option<DeviceInfo>,
}

impl Identity {
    /// The file within a run folder.
    pub const FILE: &'static str = "checkpoint/cluster.json";

    /// A run that has begun nothing.
    pub fn fresh() -> Self {
        Self { run: format!("{:016x}", rand::random::<u64>()), device: None }
    }

    /// That of a run folder, if it has one. A damaged one counts as none: its jobs are done again.
    pub fn load(folder: &Path) -> Option<Self> {
        let content = std::fs::read(folder.join(Self::FILE)).ok()?;
        let identity: Self = serde_json::from_slice(&content).ok()?;
        message::is_token(&identity.run).then_some(identity)
    }

    pub fn save(&self, folder: &Path) -> Result<()> {
        write_atomically(&folder.join(Self::FILE), &serde_json::to_vec(self)?)
    }
}

/// A connection of a search, before its run is announced.
pub(crate) struct Link {
    broker: Broker,
    config: ClusterConfig,
    pub identity: Identity,
    shared: Arc<Shared>,
}

/// What arrives, and who waits for it.
struct Shared {
    state: Mutex<State>,
    /// Counts the changes of capacity.
    changes: AtomicU64,
    /// The count when the capacity was looked at last.
    seen: AtomicU64,
    changed: Notify,
    quiet: bool,
}

struct State {
    roster: Roster,
    waiting: HashMap<JobId, Waiting>,
    /// Answers that arrived before anything waited for them.
    early: HashMap<JobId, Vec<(String, Answer)>>,
    /// Jobs that were on the server when the search began or went on.
    queued: HashSet<JobId>,
    /// What the server has of jobs whose rows are not on the disk yet.
    left: HashMap<(u64, Work), Left>,
    /// By worker, networks that failed on it and on no other.
    blamed: HashMap<String, Vec<String>>,
    load: Load,
}

/// What is known of the workers' load since it was last told.
#[derive(Debug, Default)]
struct Load {
    told: Option<Instant>,
    /// Seconds that jobs waited, and their number.
    waited: (f64, u32),
    /// Sums over the seconds of places that were busy, and of all places.
    busy: (usize, usize),
}

/// What the server has of a job.
#[derive(Debug, Default)]
struct Left {
    ids: Vec<JobId>,
    objects: Vec<String>,
}

struct Waiting {
    number: u64,
    ordered: Instant,
    activity: mpsc::UnboundedSender<Activity>,
    /// When it began, by this machine's clock.
    began: Option<Timestamp>,
    answer: mpsc::UnboundedSender<(String, Answer)>,
}

impl State {
    /// Jobs that a worker has taken.
    fn under_way(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.began.is_some()).count()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            note(line);
        }
    }
}

impl Link {
    /// Connects, makes what is missing on the server, and listens to the workers.
    ///
    /// # Errors
    /// If the server cannot be used.
    pub async fn open(config: &ClusterConfig, identity: Identity, stop: &Stop, quiet: bool) -> Result<Self> {
        let broker = Broker::connect(config, &format!("search {}", identity.run), stop).await?;
        broker.make_streams().await?;
        let silence = Duration::from_secs_f64(config.silence_s).max(LEAST_SILENCE);
        let state = State {
            roster: Roster::new(identity.run.clone(), silence),
            waiting: HashMap::new(),
            early: HashMap::new(),
            queued: HashSet::new(),
            left: HashMap::new(),
            blamed: HashMap::new(),
            load: Load::default(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changes: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            changed: Notify::new(),
            quiet,
        });
        tokio::spawn(listen(broker.clone(), Arc::clone(&shared)));
        Ok(Self { broker, config: config.clone(), identity, shared })
    }

    /// Waits for the first worker that measures, and takes its device for that of the run. `None` if the search was
    /// stopped before.
    pub async fn find_device(&mut self, stop: &Stop) -> Option<()> {
        let mut announced = false;
        while self.identity.device.is_none() {
            if stop.asked() {
                return None;
            }
            let found = self.shared.state().roster.workers().find_map(|worker| worker.device.clone());
            if found.is_none() {
                if !std::mem::replace(&mut announced, true) {
                    self.broker.send("nas.who".to_owned(), Vec::new()).await;
                    let url = self.broker.url();
                    note(format_args!(
                        "waiting for a worker that measures: `controller worker --cluster {url}` starts one"
                    ));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            self.identity.device = found;
        }
        Some(())
    }

    /// Announces the run; what is on the server of an earlier part of it is found.
    pub async fn announce(self, task: String, data: Fixed, problem: Arc<Problem>, stop: &Stop) -> Option<Arc<Remote>> {
        let Self { broker, config, identity: Identity { run, device }, shared } = self;
        let silence = Duration::from_secs_f64(config.silence_s);
        for kind in Kind::ALL {
            broker.make_consumer(&run, kind, silence).await?;
        }
        // First the jobs, then the answers: what is finished in between is among the answers.
        let queued = broker.subjects(JOBS, &format!("nas.{run}.job.>")).await?;
        let queued = queued.iter().filter_map(|subject| JobId::read(subject.rsplit('.').next()?));
        shared.state().queued = queued.collect();
        let (caught_up, is_caught_up) = oneshot::channel();
        tokio::spawn(receive(broker.clone(), run.clone(), Arc::clone(&shared), caught_up));
        tokio::spawn(follow_progress(broker.clone(), run.clone(), Arc::clone(&shared)));
        let announcement = Announcement {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data: data.fingerprint,
            deployment: data.deployment,
            device,
            ended: false,
            task,
        };
        is_caught_up.await.ok()?;
        let remote = Remote {
            task: fingerprint(&announcement.task),
            announcement,
            broker,
            run,
            shared,
            nonce: rand::random(),
            problem,
            tries: config.tries,
            local: None,
            busy: [AtomicUsize::new(0), AtomicUsize::new(0)],
            stop: stop.clone(),
        };
        remote.publish(false).await?;
        tokio::spawn(keep_alive(remote.broker.clone(), remote.run.clone()));
        Some(Arc::new(remote))
    }
}

/// What the networks of a run are trained on.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    /// Fingerprint of the images, or of the log that answers.
    pub fingerprint: String,
    /// How images become a network's input; `None` where a log answers.
    pub deployment: Option<child::data::Deployment>,
}

/// Hands jobs to workers, and to this machine where it takes part.
pub(crate) struct Remote {
    broker: Broker,
    run: String,
    /// Fingerprint of the announced task.
    task: String,
    announcement: Announcement,
    shared: Arc<Shared>,
    /// Tells the orders of this process from those of an earlier one.
    nonce: u32,
    problem: Arc<Problem>,
    tries: u32,
    local: Option<Arc<dyn Evaluator>>,
    /// Jobs of this machine that are under way, by kind.
    busy: [AtomicUsize; 2],
    stop: Stop,
}

/// Workers report every few seconds: they count as gone after this time at the earliest.
const LEAST_SILENCE: Duration = Duration::from_secs(12);

/// Workers whose jobs others manage are dismissed after so many.
const MOST_BLAMED: usize = 3;

impl Remote {
    /// The same, where this machine takes part.
    #[must_use]
    pub fn with_local(self: Arc<Self>, local: Arc<dyn Evaluator>) -> Arc<Self> {
        match Arc::try_unwrap(self) {
            Ok(this) => Arc::new(Self { local: Some(local), ..this }),
            Err(this) => this,
        }
    }

    async fn publish(&self, ended: bool) -> Option<()> {
        let task = if ended { String::new() } else { self.announcement.task.clone() };
        let announcement = Announcement { ended, task, ..self.announcement.clone() };
        self.broker.replace(&format!("nas.{}.run", self.run), written(&announcement).ok()?).await
    }

    /// Tells workers that the run has ended, and removes what is left of it on the server.
    pub async fn end(&self) {
        let _ = self.publish(true).await;
        for stream in [JOBS, RESULTS] {
            let kind = if stream == JOBS { "job" } else { "result" };
            let _ = self.broker.remove(stream, &format!("nas.{}.{kind}.>", self.run)).await;
        }
        self.broker.remove_consumers(&self.run).await;
        self.broker.remove_objects(&format!("{}-", self.run)).await;
        let _ = self.broker.client.flush().await;
    }

    async fn evaluate(self: Arc<Self>, assignment: Assignment) -> Option<Finished> {
        if let Some(_place) = self.take_local(assignment.job.work) {
            let local = self.local.clone()?;
            return local.run(assignment).await;
        }
        let mut avoid = Vec::new();
        let mut failed: Option<Finished> = None;
        loop {
            let Some(Answered { worker, finished, is_certain }) = self.ask(&assignment, &avoid).await? else {
                return failed;
            };
            let has_failed = finished.row.status == Status::Failed;
            if let (Some(_), false, [first, ..]) = (&failed, has_failed, avoid.as_slice()) {
                self.blame(first, &failed).await;
            }
            let kind = Kind::of(assignment.job.work);
            avoid.push(worker);
            let has_other = self.shared.state().roster.has_other(kind, &avoid);
            // The fault may be the worker's: another one has a try.
            if !has_failed || is_certain || failed.is_some() || !has_other {
                return Some(finished);
            }
            failed = Some(finished);
        }
    }

    /// Hands a job over and awaits its answer; `None` if the search is being stopped. Without an answer, the workers that
    /// are not to avoid it have left.
    async fn ask(&self, assignment: &Assignment, avoid: &[String]) -> Option<Option<Answered>> {
        let Assignment { job, text, .. } = assignment;
        let id = JobId::new(job, text, avoid.len());
        let (answer, mut answers) = mpsc::unbounded_channel();
        let is_queued = {
            let mut state = self.shared.state();
            for early in state.early.remove(&id).into_iter().flatten() {
                let _ = answer.send(early);
            }
            let (number, activity) = (job.number, assignment.activity.clone());
            state
                .waiting
                .insert(id.clone(), Waiting { number, ordered: Instant::now(), activity, began: None, answer });
            let left = state.left.entry((job.number, job.work)).or_default();
            left.ids.push(id.clone());
            if job.work.epochs() > 1 {
                left.objects.push(saved_name(&self.run, &id));
            }
            state.queued.remove(&id)
        };
        let _leaves = Leaves { shared: &self.shared, id: &id };
        let kind = Kind::of(job.work);
        let order = Order {
            task: self.task.clone(),
            number: job.number,
            architecture: text.clone(),
            work: job.work,
            tries: self.tries,
            avoid: avoid.to_vec(),
        };
        if answers.is_empty() && !is_queued {
            let subject = format!("nas.{}.job.{}.{id}", self.run, kind.as_str());
            let payload = written(&order).ok()?;
            self.broker.store(&subject, &format!("{}.{id}.{}", self.run, self.nonce), payload).await?;
        }
        assignment.report(Stage::Waiting);
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        let mut asked_to_break = 0;
        loop {
            tokio::select! {
                Some((worker, answer)) = answers.recv() => {
                    match self.finished(&answer, assignment, &id).await? {
                        Ok(finished) => {
                            return Some(Some(Answered { worker, finished, is_certain: answer.is_certain }));
                        }
                        Err(error) => {
                            note(format_args!("warning: an answer of the worker {worker} is refused: {error:#}"));
                            self.broker.remove(RESULTS, &format!("nas.{}.result.{id}.{worker}", self.run)).await?;
                        }
                    }
                }
                _ = ticks.tick() => {
                    if self.stop.asked() {
                        return None;
                    }
                    if !avoid.is_empty() && !self.shared.state().roster.has_other(kind, avoid) {
                        self.forget(vec![id.clone()]);
                        return Some(None);
                    }
                    if assignment.broken_off.load(Ordering::Relaxed) {
                        // It may get lost: sent again from time to time.
                        if asked_to_break % 10 == 0 {
                            self.broker.send(format!("nas.{}.break.{id}", self.run), Vec::new()).await;
                        }
                        asked_to_break += 1;
                    }
                }
            }
        }
    }

    /// The end of a job by its answer; `None` if the search is being stopped.
    async fn finished(&self, answer: &Answer, assignment: &Assignment, id: &JobId) -> Option<Result<Finished>> {
        let row = match answer.row(&assignment.job, &assignment.text) {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let began = self.shared.state().waiting.get(id).and_then(|waiting| waiting.began);
        // The clocks of workers may be off. Of a log, nothing depends on when it answered.
        let started_at = row.started_at.as_ref().map(|_| began.unwrap_or_else(Timestamp::now).to_string());
        let row = Row { started_at, ..row };
        let Some(hash) = &answer.model else { return Some(Ok(Finished { row, model: None })) };
        let name = model_name(&self.run, hash);
        let fetched = self.broker.persist("fetch a model", || self.broker.object(&name)).await?;
        self.shared.state().left.entry((assignment.job.number, assignment.job.work)).or_default().objects.push(name);
        let checked = fetched.ok_or_else(|| anyhow!("its model is not on the server")).and_then(|model| {
            ensure!(sha256(&model) == *hash, "its model is not the one that it names");
            Ok(Finished { row, model: Some(model) })
        });
        Some(checked)
    }

    /// A worker failed where another one did not.
    async fn blame(&self, worker: &str, failed: &Option<Finished>) {
        let reason = failed.as_ref().and_then(|failed| failed.row.message.clone()).unwrap_or_default();
        let count = {
            let mut state = self.shared.state();
            let blamed = state.blamed.entry(worker.to_owned()).or_default();
            blamed.push(reason.clone());
            blamed.len()
        };
        self.shared.say(format_args!("another worker did what failed on {worker}: {reason}"));
        if count == MOST_BLAMED {
            let reason = format!("{MOST_BLAMED} jobs failed on it that other workers did, the last with: {reason}");
            note(format_args!("warning: the worker {worker} is dismissed: {reason}"));
            self.broker.send(format!("nas.{}.dismiss.{worker}", self.run), reason.into_bytes()).await;
        }
    }

    /// A place on this machine for a job of a kind, if it takes part and one is free.
    fn take_local(&self, work: Work) -> Option<Place<'_>> {
        let Capacity { measurements, trainings, .. } = self.local.as_ref()?.capacity();
        let (places, busy) = match Kind::of(work) {
            Kind::Measure => (measurements, &self.busy[0]),
            Kind::Train => (trainings, &self.busy[1]),
        };
        let taken = busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < places).then_some(now + 1));
        taken.ok().map(|_| Place(busy))
    }

    /// All names that a job may have on the server.
    fn ids(&self, job: &Job) -> Vec<JobId> {
        // It was formatted before.
        let text = self.problem.space().format(&job.candidate.architecture).unwrap_or_default();
        (0..=1).map(|failures| JobId::new(job, &text, failures)).collect()
    }

    /// Removes what the server has of jobs that this search does not want, while it goes on.
    fn forget(&self, ids: Vec<JobId>) {
        let (broker, run) = (self.broker.clone(), self.run.clone());
        tokio::spawn(async move {
            for id in ids {
                let _ = broker.remove(RESULTS, &format!("nas.{run}.result.{id}.*")).await;
                let _ = broker.remove(JOBS, &format!("nas.{run}.job.*.{id}")).await;
                broker.remove_object(&saved_name(&run, &id)).await;
            }
        });
    }
}

/// The end of a job on a worker.
struct Answered {
    worker: String,
    finished: Finished,
    /// Whether no other worker is to try it.
    is_certain: bool,
}

/// A job of this machine, until it ends.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends the waiting for an answer.
struct Leaves<'a> {
    shared: &'a Shared,
    id: &'a JobId,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.shared.state().waiting.remove(self.id);
    }
}

impl Evaluator for Remote {
    fn run(self: Arc<Self>, assignment: Assignment) -> Evaluating {
        Box::pin(self.evaluate(assignment))
    }

    fn capacity(&self) -> Capacity {
        self.shared.seen.store(self.shared.changes.load(Ordering::Relaxed), Ordering::Relaxed);
        let workers = self.shared.state().roster.capacity();
        let none = Capacity { measurements: 0, trainings: 0, together: 0 };
        let here = self.local.as_ref().map_or(none, |local| local.capacity());
        Capacity {
            measurements: workers.measurements + here.measurements,
            trainings: workers.trainings + here.trainings,
            together: workers.together + here.together,
        }
    }

    fn recorded(&self, job: &Job) {
        if let Some(local) = &self.local {
            local.recorded(job);
        }
        let left = self.shared.state().left.remove(&(job.number, job.work));
        if let Some(Left { ids, objects }) = left {
            let (broker, run) = (self.broker.clone(), self.run.clone());
            tokio::spawn(async move {
                for id in ids {
                    let _ = broker.remove(RESULTS, &format!("nas.{run}.result.{id}.*")).await;
                }
                for name in objects {
                    broker.remove_object(&name).await;
                }
            });
        }
    }

    fn resumed(&self, pending: &[Job]) {
        if let Some(local) = &self.local {
            local.resumed(pending);
        }
        let kept: HashSet<JobId> = pending.iter().flat_map(|job| self.ids(job)).collect();
        let mut state = self.shared.state();
        let left = state.queued.iter().chain(state.early.keys()).filter(|id| !kept.contains(id)).cloned().collect();
        state.queued.retain(|id| kept.contains(id));
        state.early.retain(|id, _| kept.contains(id));
        drop(state);
        self.forget(left);
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let Shared { changes, seen, changed, .. } = &*self.shared;
            while !self.stop.asked() && changes.load(Ordering::Relaxed) == seen.load(Ordering::Relaxed) {
                tokio::select! {
                    () = changed.notified() => {}
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
        })
    }

    fn workload(&self) -> Option<Workload> {
        /// Time between two reports.
        const INTERVAL: Duration = Duration::from_secs(2);
        let mut state = self.shared.state();
        if state.load.told.is_some_and(|told| told.elapsed() < INTERVAL) {
            return None;
        }
        let Load { waited, busy, .. } = std::mem::take(&mut state.load);
        state.load.told = Some(Instant::now());
        let under_way = state.under_way();
        Some(Workload {
            workers: state.roster.count(),
            under_way,
            waiting: state.waiting.len() - under_way,
            wait_seconds: (waited.1 > 0).then(|| waited.0 / f64::from(waited.1)),
            busy_share: (busy.1 > 0).then(|| busy.0 as f64 / busy.1 as f64),
        })
    }
}

/// Name of a model among the objects.
pub(crate) fn model_name(run: &str, hash: &str) -> String {
    format!("{run}-model-{hash}")
}

/// Name of a saved training among the objects.
pub(crate) fn saved_name(run: &str, id: &JobId) -> String {
    format!("{run}-saved-{id}")
}

/// Hears what workers report of themselves.
async fn listen(broker: Broker, shared: Arc<Shared>) {
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
                let line = shared.state().roster.hear(&worker, presence);
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

/// Tells workers every few seconds that the search is running.
async fn keep_alive(broker: Broker, run: String) {
    loop {
        broker.send(format!("nas.{run}.alive"), Vec::new()).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

/// Receives the answers to this run's jobs.
async fn receive(broker: Broker, run: String, shared: Arc<Shared>, caught_up: oneshot::Sender<()>) {
    let mut caught_up = Some(caught_up);
    let mut tail = broker.tail(RESULTS, format!("nas.{run}.result.>"));
    while let Some(event) = tail.recv().await {
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
        match read::<Answer>(&payload) {
            Ok(answer) => {
                let mut state = shared.state();
                match state.waiting.get(&id) {
                    Some(waiting) => drop(waiting.answer.send((worker.to_owned(), answer))),
                    None => state.early.entry(id).or_default().push((worker.to_owned(), answer)),
                }
            }
            Err(error) => {
                note(format_args!("warning: an answer of the worker {worker} is refused: {error:#}"));
                let _ = broker.remove(RESULTS, &subject).await;
            }
        }
    }
}

/// Passes the progress of jobs on.
async fn follow_progress(broker: Broker, run: String, shared: Arc<Shared>) {
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
