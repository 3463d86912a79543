//! Jobs of a worker, one by one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, anyhow};
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::PullConsumer;
use futures_util::StreamExt as _;
use hardware::log::{Row, Status};
use tokio::sync::mpsc::unbounded_channel;

use super::Worker;
use super::runs::Ready;
use super::unbegun::{Unbegun, unbegun_name};
use crate::cluster::counted::Counted;
use crate::cluster::message::{Answer, JobId, Kind, LARGEST_OBJECT, Order, read, written};
use crate::cluster::search::{model_name, saved_name};
use crate::cluster::task::is_plausible;
use crate::evaluate::{Assignment, Finished, Stage};
use crate::fingerprint::sha256;
use crate::history::{Candidate, Job, Work};

/// Time until the server is asked again after an error.
const PAUSE: Duration = Duration::from_millis(500);

/// Workers that may die, for each try, while a job only waits on them: it is not passed on for ever.
const MOST_INNOCENT: u64 = 10;

/// A job that was fetched.
struct Fetched<'a> {
    message: async_nats::jetstream::Message,
    id: JobId,
    order: Order,
    ready: &'a Ready,
    /// Time without a sign after which the server gives it to another worker.
    silence: Duration,
    /// How many times it was handed out, this time included.
    delivered: u64,
}

impl Worker {
    /// Takes the jobs of a run, one at a time, for as long as the run lasts.
    pub(super) async fn pull(self: Arc<Self>, ready: Arc<Ready>, kind: Kind) {
        let is_over = || ready.over.load(Ordering::Relaxed) || self.settings.stop.asked();
        let mut consumer: Option<(PullConsumer, Duration)> = None;
        while !is_over() {
            let several = self.runs().ready() > 1;
            // Of several runs each has its own view of the devices: one at a time measures.
            let all = self.settings.measures.max(1) as u32;
            let places = if kind == Kind::Measure && several { all } else { 1 };
            let Ok(_place) = self.places[Self::place(kind)].acquire_many(places).await else { return };
            if is_over() {
                return;
            }
            let (from, silence) = match &consumer {
                Some(known) => known.clone(),
                None => match self.broker.consumer(&ready.run, kind).await {
                    Ok(found) => consumer.insert(found).clone(),
                    Err(_) => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
            };
            let wait = Duration::from_millis(if several { 500 } else { 5000 });
            let _pulling = Counted::new(&self.pulling);
            match self.fetch(&from, wait).await {
                Ok(Some(message)) => {
                    let _busy = Counted::new(&self.busy[Self::place(kind)]);
                    self.handle(&ready, message, silence).await;
                }
                Ok(None) => {}
                Err(_) => {
                    consumer = None;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn handle(&self, ready: &Ready, message: async_nats::jetstream::Message, silence: Duration) {
        let delivered = delivered(&message);
        let id = message.subject.rsplit('.').next().and_then(JobId::read);
        let order = read::<Order>(&message.payload).ok().filter(is_plausible);
        let (Some(id), Some(order)) = (id, order) else {
            self.say(format_args!("run {}: an order cannot be read, and is dropped: {}", ready.run, message.subject));
            let _ = message.ack_with(AckKind::Term).await;
            return;
        };
        if order.task != ready.task || order.avoid.contains(&self.id) {
            let _ = message.ack_with(AckKind::Nak(Some(Duration::from_secs(1)))).await;
            return;
        }
        let fetched = Fetched { message, id, order, ready, silence, delivered };
        if let Err(error) = self.execute(&fetched).await {
            self.say(format_args!("evaluation {}: {error:#}", fetched.order.number));
            let _ = fetched.message.ack_with(AckKind::Nak(Some(PAUSE))).await;
        }
    }

    /// Does a job and hands its answer over, or gives it back.
    async fn execute(&self, fetched: &Fetched<'_>) -> Result<()> {
        let Fetched { message, order, ready, .. } = fetched;
        let problem = &ready.outfit.problem;
        let candidate = problem
            .space()
            .parse(&order.architecture)
            .map_err(anyhow::Error::from)
            .and_then(|architecture| Ok(Candidate { key: problem.key(&architecture)?, architecture }));
        let began = Instant::now();
        let end = match candidate {
            Err(error) => Some(End::certain(order, format!("{error:#}"))),
            Ok(candidate) => {
                let job = Job { number: order.number, candidate, work: order.work };
                self.attempt(fetched, job).await?
            }
        };
        match end {
            Some(end) => self.answer(fetched, end.within_limits(order), began).await,
            None => message.ack_with(AckKind::Nak(None)).await.map_err(|error| anyhow!(error)),
        }
    }

    /// Does a job, unless too many workers died of it. `None` if the worker is being stopped.
    async fn attempt(&self, fetched: &Fetched<'_>, job: Job) -> Result<Option<End>> {
        let Fetched { order, ready, .. } = fetched;
        let name = unbegun_name(&ready.run, &fetched.id);
        let unbegun = Unbegun::open(&self.broker, name, fetched.delivered, !order.avoid.is_empty()).await?;
        if self.settings.stop.asked() {
            unbegun.end(false).await;
            return Ok(None);
        }
        let earlier = unbegun.taken() - 1;
        let saved = self.fetch_saved(fetched, &job, earlier).await;
        let innocent = unbegun.earlier().min(MOST_INNOCENT * u64::from(order.tries));
        let died = earlier.saturating_sub(saved.unwrap_or(0) + innocent);
        if died >= u64::from(order.tries) {
            unbegun.end(true).await;
            let reason = format!("{died} workers died of it, or were silent for too long, one after the other");
            return Ok(Some(End::certain(order, reason)));
        }
        let finished = self.attend(fetched, job.clone(), unbegun).await?;
        if finished.is_some() {
            ready.outfit.evaluator.recorded(&job);
        }
        Ok(finished.map(|finished| End { finished, is_certain: false }))
    }

    async fn answer(&self, fetched: &Fetched<'_>, end: End, began: Instant) -> Result<()> {
        let Fetched { message, id, order, ready, .. } = fetched;
        let End { finished: Finished { row, model }, is_certain } = end;
        let given_up = || anyhow!("the worker was stopped before its answer was handed over");
        let hash = model.as_ref().map(sha256);
        if let (Some(model), Some(hash)) = (&model, &hash) {
            let name = model_name(&ready.run, hash);
            self.with_signs(fetched, self.broker.persist("hand over a model", || self.broker.put_object(&name, model)))
                .await
                .ok_or_else(given_up)?;
        }
        let mut answer = Answer::new(&row, hash)?;
        answer.is_certain = is_certain;
        let payload = written(&answer)?;
        let subject = format!("nas.{}.result.{id}.{}", ready.run, self.id);
        // An order that was stored again has another number, so that its answer does not pass for a refused one, repeated.
        let order_number = message.info().map_or(0, |info| info.stream_sequence);
        let once = format!("{subject}.{order_number}.{}", fetched.delivered);
        let stored = self.broker.store(&subject, &once, payload);
        self.with_signs(fetched, stored).await.ok_or_else(given_up)?;
        // Without it the job is done again by another worker, and its answer dropped.
        let _ = message.double_ack().await;
        self.done.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(row.status == Status::Failed), Ordering::Relaxed);
        let took = began.elapsed().as_secs_f64();
        let ended = match row.status {
            Status::Ok | Status::Measured => what(order.work),
            status => format!("{status} when it was to be {}", what(order.work)),
        };
        let message = row.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        self.say(format_args!("evaluation {}: {ended}, {took:.1} s{message}", order.number));
        Ok(())
    }

    /// Does something that may take long, and acknowledges progress meanwhile.
    async fn with_signs<T>(&self, fetched: &Fetched<'_>, doing: impl Future<Output = T>) -> T {
        let mut signs = tokio::time::interval(fetched.silence / 4);
        tokio::pin!(doing);
        loop {
            tokio::select! {
                done = &mut doing => return done,
                _ = signs.tick() => drop(fetched.message.ack_with(AckKind::Progress).await),
            }
        }
    }

    /// Has a job done. Meanwhile it acknowledges progress to the server, reports stages to the search, and saves a training
    /// to the server. `None` if the worker is being stopped.
    async fn attend(&self, fetched: &Fetched<'_>, job: Job, mut unbegun: Unbegun) -> Result<Option<Finished>> {
        let Fetched { message, id, order, ready, silence, .. } = fetched;
        let taken = unbegun.taken();
        let evaluator = Arc::clone(&ready.outfit.evaluator);
        let saved = evaluator.saved_training(&job).filter(|_| job.work.epochs() > 0);
        let (activity, mut stages) = unbounded_channel();
        let broken_off = Arc::new(AtomicBool::new(false));
        let name = format!("{}.{id}", ready.run);
        self.runs().breaks.insert(name.clone(), Arc::clone(&broken_off));
        let text = order.architecture.clone();
        let mut doing =
            tokio::spawn(evaluator.run(Assignment { job, text, activity, broken_off: Arc::clone(&broken_off) }));
        let mut signs = tokio::time::interval((*silence / 4).min(Duration::from_secs(5)));
        let mut saving = Saving { path: saved, at: None, task: None };
        let mut reported = None;
        // It is taken.
        self.broker.send(format!("nas.{}.progress.{id}", ready.run), Vec::new()).await;
        let finished = loop {
            tokio::select! {
                finished = &mut doing => break finished,
                Some(activity) = stages.recv() => {
                    if matches!(activity.stage, Stage::Measuring { .. } | Stage::Training { .. }) {
                        unbegun.begin();
                    }
                    // The next one of these comes soon enough.
                    let is_frequent = matches!(activity.stage, Stage::Training { .. } | Stage::Away(_));
                    let is_early = reported.is_some_and(|last: Instant| last.elapsed() < Duration::from_millis(200));
                    let stage = activity.stage.of_worker(&self.id);
                    if !(is_frequent && is_early) && let Ok(payload) = serde_json::to_vec(&stage) {
                        reported = Some(Instant::now());
                        self.broker.send(format!("nas.{}.progress.{id}", ready.run), payload).await;
                    }
                }
                () = unbegun.waits() => unbegun.wait(),
                _ = signs.tick() => {
                    let _ = message.ack_with(AckKind::Progress).await;
                    if ready.over.load(Ordering::Relaxed) {
                        broken_off.store(true, Ordering::Relaxed);
                    }
                    saving.begin(self, &saved_name(&ready.run, id), taken);
                }
            }
        };
        self.runs().breaks.remove(&name);
        let finished = finished.map_err(|error| anyhow!("the program has a fault: {error}"))?;
        unbegun.end(finished.is_some()).await;
        if finished.is_none() {
            saving.begin(self, &saved_name(&ready.run, id), taken);
            if let Some(task) = saving.task.take() {
                let _ = tokio::time::timeout(Duration::from_secs(20), task).await;
            }
        }
        Ok(finished)
    }

    /// One job, if there is one within a time. When the worker is stopped, what is on its way is waited for, so that it can
    /// be given back.
    async fn fetch(&self, consumer: &PullConsumer, wait: Duration) -> Result<Option<async_nats::jetstream::Message>> {
        const ON_ITS_WAY: Duration = Duration::from_millis(200);
        let mut batch = consumer.batch().max_messages(1).expires(wait).messages().await?;
        let stopped = async {
            while !self.settings.stop.asked() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tokio::time::sleep(ON_ITS_WAY).await;
        };
        tokio::select! {
            message = tokio::time::timeout(wait + Duration::from_secs(5), batch.next()) => match message {
                Ok(Some(message)) => message.map(Some).map_err(|error| anyhow!(error)),
                Ok(None) => Ok(None),
                Err(_) => Err(anyhow!("the server does not answer")),
            },
            () = stopped => Ok(None),
        }
    }

    /// Fetches what another worker has saved of a training. Returns how many workers had taken the job then, of the `earlier`
    /// ones.
    async fn fetch_saved(&self, fetched: &Fetched<'_>, job: &Job, earlier: u64) -> Option<u64> {
        if earlier == 0 || job.work.is_measurement() {
            return None;
        }
        let path = fetched.ready.outfit.evaluator.saved_training(job)?;
        let name = saved_name(&fetched.ready.run, &fetched.id);
        // Without it the training begins anew.
        let content = self.broker.object(&name).await.ok()??;
        let (count, content) = content.split_first_chunk::<8>()?;
        std::fs::write(path, content).ok()?;
        Some(u64::from_le_bytes(*count).min(earlier))
    }
}

/// The end of a job.
struct End {
    finished: Finished,
    /// Whether it is final, so that no other worker tries the job.
    is_certain: bool,
}

impl End {
    /// A failure that is the network's.
    fn certain(order: &Order, reason: String) -> Self {
        let row = Row { message: Some(reason), ..Row::new(order.number, &order.architecture, Status::Failed) };
        Self { finished: Finished { row, model: None }, is_certain: true }
    }

    /// The same, or a failure where the model is larger than the server accepts: waiting does not help there.
    fn within_limits(self, order: &Order) -> Self {
        let bytes = self.finished.model.as_ref().map_or(0, Vec::len);
        if bytes <= LARGEST_OBJECT {
            return self;
        }
        let reason = format!(
            "its model has {bytes} bytes, and workers hand over at most {LARGEST_OBJECT}: search without a cluster, or in a \
             space of smaller networks"
        );
        Self::certain(order, reason)
    }
}

/// Brings what a training has saved to the server, whenever it is new and the last time has ended.
struct Saving {
    path: Option<PathBuf>,
    /// When the file was written that was brought there last.
    at: Option<SystemTime>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Saving {
    fn begin(&mut self, worker: &Worker, name: &str, taken: u64) {
        let Some(path) = &self.path else { return };
        let Ok(written) = std::fs::metadata(path).and_then(|file| file.modified()) else { return };
        if self.at == Some(written) || self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        // Written to another name and renamed: it is whole.
        let Ok(content) = std::fs::read(path) else { return };
        self.at = Some(written);
        let (broker, name) = (worker.broker.clone(), name.to_owned());
        let content = [&taken.to_le_bytes()[..], &content].concat();
        self.task = Some(tokio::spawn(async move {
            // Without it a worker that goes on begins at an earlier epoch.
            let _ = broker.put_object(&name, &content).await;
        }));
    }
}

/// How many times a message was handed out.
fn delivered(message: &async_nats::jetstream::Message) -> u64 {
    message.info().map_or(1, |info| info.delivered.max(1) as u64)
}

fn what(work: Work) -> String {
    match work {
        Work::Measure { .. } => "measured".to_owned(),
        Work::Train { epochs } => format!("trained for {epochs} epochs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_too_large_for_the_server_fails_with_its_size() {
        let order = Order {
            task: String::new(),
            number: 7,
            architecture: "x".to_owned(),
            work: Work::Train { epochs: 2 },
            tries: 5,
            avoid: Vec::new(),
        };
        let end = |bytes: usize| {
            let row = Row::new(7, "x", Status::Ok);
            End { finished: Finished { row, model: Some(vec![0; bytes]) }, is_certain: false }.within_limits(&order)
        };
        let handed_over = end(LARGEST_OBJECT);
        assert!(handed_over.finished.model.is_some() && !handed_over.is_certain);
        let End { finished: Finished { row, model }, is_certain } = end(LARGEST_OBJECT + 1);
        assert!(model.is_none() && is_certain && row.status == Status::Failed);
        assert!(row.message.is_some_and(|message| message.contains("its model has 268435457 bytes")));
    }
}
