//! Handing over single jobs.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use hardware::log::{Row, Status};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::inbox::{Left, Load, Shared, Waiting};
use super::queued::Queued;
use crate::cluster::broker::{Broker, JOBS, RESULTS};
use crate::cluster::counted::Counted;
use crate::cluster::message::{Answer, JobId, Kind, Order};
use crate::cluster::show;
use crate::evaluate::{Assignment, Capacity, Evaluating, Evaluator, Finished, Stage, Workload};
use crate::fingerprint::sha256;
use crate::history::{Job, Work};
use crate::problem::Problem;
use crate::stop::Stop;

/// Hands jobs to workers, and to this machine where it takes part.
pub(crate) struct Remote {
    pub(super) broker: Broker,
    pub(super) run: String,
    /// Fingerprint of the announced task.
    pub(super) task: String,
    /// Reports to workers that the search is running.
    pub(super) beat: JoinHandle<()>,
    pub(super) shared: Arc<Shared>,
    /// Distinguishes the orders of this process from those of an earlier one.
    pub(super) nonce: u32,
    pub(super) problem: Arc<Problem>,
    pub(super) tries: u32,
    pub(super) local: Option<Arc<dyn Evaluator>>,
    /// Jobs of this machine that are under way, by kind.
    pub(super) busy: [AtomicUsize; 2],
    /// Removals under way of what the server has of unwanted jobs.
    pub(super) forgetting: watch::Sender<usize>,
    pub(super) stop: Stop,
}

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

    /// Announces that the run has ended, and removes what is left of it on the server.
    pub async fn end(&self) {
        // It would announce the run again.
        self.beat.abort();
        let _ = self.broker.end_run(&self.run).await;
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
            for (worker, early) in state.early.remove(&id).into_iter().flatten() {
                let _ = answer.send((worker, Ok(early)));
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
        let mut queued = Queued::new(&self.broker, &self.run, self.nonce, &id, &order).ok()?;
        let mut losses = self.shared.losses.load(Ordering::Relaxed);
        // An order of an earlier process has the same name: its removal would remove this one.
        self.forgetting.subscribe().wait_for(|under_way| *under_way == 0).await.ok()?;
        if answers.is_empty() && !is_queued {
            queued.store().await?;
        }
        assignment.report(Stage::Waiting);
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        let mut asked_to_break = 0;
        loop {
            tokio::select! {
                Some((worker, answer)) = answers.recv() => {
                    let is_certain = answer.as_ref().is_ok_and(|answer| answer.is_certain);
                    let finished = match answer {
                        Ok(answer) => self.finished(&answer, assignment, &id).await?,
                        Err(error) => Err(error),
                    };
                    match finished {
                        Ok(finished) => return Some(Some(Answered { worker, finished, is_certain })),
                        Err(error) => queued.reject(&worker, &error).await?,
                    }
                }
                _ = ticks.tick() => {
                    if self.stop.asked() {
                        return None;
                    }
                    let lost = self.shared.losses.load(Ordering::Relaxed);
                    if lost != losses && !queued.is_held().await? {
                        queued.store().await?;
                    }
                    losses = lost;
                    if let Err(reason) = queued.check().await? {
                        return Some(Some(Answered::refused(job.number, text, reason)));
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
        let missing = || anyhow!("its model is not on the server, or is too large");
        let checked = fetched.ok_or_else(missing).and_then(|model| {
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
            show(format_args!("warning: the worker {worker} is dismissed: {reason}"));
            self.broker.send(format!("nas.{}.dismiss.{worker}", self.run), reason.into_bytes()).await;
        }
    }

    /// A place on this machine for a job of a kind, if it takes part and one is free.
    fn take_local(&self, work: Work) -> Option<Counted<'_>> {
        let Capacity { measurements, trainings, .. } = self.local.as_ref()?.capacity();
        let (places, busy) = match Kind::of(work) {
            Kind::Measure => (measurements, &self.busy[0]),
            Kind::Train => (trainings, &self.busy[1]),
        };
        Counted::below(busy, places)
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
        let forgetting = self.forgetting.clone();
        forgetting.send_modify(|under_way| *under_way += 1);
        tokio::spawn(async move {
            for id in ids {
                let _ = broker.remove(RESULTS, &format!("nas.{run}.result.{id}.*")).await;
                let _ = broker.remove(JOBS, &format!("nas.{run}.job.*.{id}")).await;
                broker.remove_object(&saved_name(&run, &id)).await;
            }
            forgetting.send_modify(|under_way| *under_way -= 1);
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

impl Answered {
    /// A job to which too many answers were refused.
    fn refused(number: u64, architecture: &str, reason: String) -> Self {
        let row = Row { message: Some(reason), ..Row::new(number, architecture, Status::Failed) };
        Self { worker: String::new(), finished: Finished { row, model: None }, is_certain: true }
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
        if state.load.reported.is_some_and(|reported| reported.elapsed() < INTERVAL) {
            return None;
        }
        let Load { waited, busy, .. } = std::mem::take(&mut state.load);
        state.load.reported = Some(Instant::now());
        let under_way = state.under_way();
        Some(Workload {
            workers: state.roster.count(),
            under_way,
            waiting: state.waiting.len() - under_way,
            wait_seconds: (waited.1 > 0).then(|| waited.0 / f64::from(waited.1)),
            busy_share: (busy.1 > 0).then(|| busy.0 as f64 / busy.1 as f64),
            states: state.roster.states(),
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
