//! Who does the jobs of a search: devices and trainers, or a log with a clock of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use hardware::log::Row;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet};

use crate::evaluate::{Activity, Assignment, BROKEN_OFF, Capacity, Evaluator, Finished, Replayed, Workload};
use crate::history::{Job, Status};
use crate::run::Times;

/// The jobs under way, and who does them.
pub enum Workers {
    /// Devices and trainers.
    Real(Real),
    /// A log, whose answers come when its clock says so.
    Simulated(Simulated),
}

/// Something that happened to a job.
#[expect(clippy::large_enum_variant, reason = "only one exists at a time, and only briefly")]
pub(super) enum Event {
    /// It enters another stage.
    Activity(Activity),
    /// It has ended; without a result the search is being stopped.
    Ended(Box<Job>, Option<Finished>),
    /// More or fewer jobs can be under way than before.
    Capacity,
}

/// Devices and trainers.
pub struct Real {
    evaluator: Arc<dyn Evaluator>,
    running: JoinSet<(Job, Option<Finished>)>,
    /// The jobs under way, and what breaks them off.
    jobs: Vec<(Job, Arc<AtomicBool>)>,
    reporter: UnboundedSender<Activity>,
    activities: UnboundedReceiver<Activity>,
}

/// A log with a clock.
pub struct Simulated {
    log: Arc<Replayed>,
    now: Duration,
    /// In the order in which they began.
    running: Vec<Ending>,
}

/// A job on a log's clock.
struct Ending {
    times: Times,
    job: Job,
}

impl Workers {
    /// The devices and trainers of an evaluator.
    pub fn real(evaluator: Arc<dyn Evaluator>) -> Self {
        let (reporter, activities) = unbounded_channel();
        Self::Real(Real { evaluator, running: JoinSet::new(), jobs: Vec::new(), reporter, activities })
    }

    /// A log.
    pub(crate) fn simulated(log: Arc<Replayed>) -> Self {
        Self::Simulated(Simulated { log, now: Duration::ZERO, running: Vec::new() })
    }

    pub(super) fn capacity(&self) -> Capacity {
        match self {
            Self::Real(real) => real.evaluator.capacity(),
            Self::Simulated(simulated) => simulated.log.places(),
        }
    }

    /// How many measurements on a target can be under way.
    pub(super) fn measurements_on(&self, target: usize) -> usize {
        match self {
            Self::Real(real) => real.evaluator.measurements_on(target),
            Self::Simulated(simulated) => simulated.log.places().measurements,
        }
    }

    /// Whether a log answers: then a search is a function of its experiment alone.
    pub(super) fn are_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }

    /// The time on a log's clock.
    pub(super) fn now(&self) -> Option<Duration> {
        match self {
            Self::Real(_) => None,
            Self::Simulated(simulated) => Some(simulated.now),
        }
    }

    /// Sets a log's clock to a saved time.
    pub(super) fn set_now(&mut self, now: Duration) {
        if let Self::Simulated(simulated) = self {
            simulated.now = now;
        }
    }

    /// The jobs that have begun, in their order, and their times on a log's clock.
    pub(super) fn running(&self) -> impl Iterator<Item = (&Job, Option<Times>)> + Clone {
        let (real, simulated): (&[(Job, _)], &[Ending]) = match self {
            Self::Real(real) => (&real.jobs, &[]),
            Self::Simulated(simulated) => (&[], &simulated.running),
        };
        let real = real.iter().map(|(job, _)| (job, None));
        real.chain(simulated.iter().map(|ending| (&ending.job, Some(ending.times))))
    }

    /// Breaks off the training of an evaluation, unless it was broken off before. On a log's clock, one that ends at this
    /// very moment ends as a whole.
    pub(super) fn break_off(&mut self, number: u64) {
        match self {
            Self::Real(real) => {
                let meant = real.jobs.iter().filter(|(job, _)| job.number == number);
                meant.for_each(|(_, broken_off)| broken_off.store(true, Ordering::Relaxed));
            }
            Self::Simulated(simulated) => {
                let now = simulated.now;
                let is_meant = |ending: &&mut Ending| ending.job.number == number && ending.times.end > now;
                for Ending { times, job } in simulated.running.iter_mut().filter(is_meant) {
                    let share = (now - times.begin).as_secs_f64() / (times.end - times.begin).as_secs_f64();
                    times.broken_off = Some((share * job.work.epochs() as f64) as u64);
                    times.end = now;
                }
            }
        }
    }

    /// What the workers of a cluster do, if there is news.
    pub(super) fn workload(&self) -> Option<Workload> {
        match self {
            Self::Real(real) => real.evaluator.workload(),
            Self::Simulated(_) => None,
        }
    }

    /// The row of a job is on the disk.
    pub(super) fn recorded(&self, job: &Job) {
        if let Self::Real(real) = self {
            real.evaluator.recorded(job);
        }
    }

    /// The search goes on with these jobs.
    pub(super) fn resumed(&self, pending: &[Job]) {
        if let Self::Real(real) = self {
            real.evaluator.resumed(pending);
        }
    }

    /// Begins a job; one that is saved as running has its times on a log's clock.
    pub(super) fn begin(&mut self, job: Job, text: String, times: Option<Times>) {
        match self {
            Self::Real(real) => {
                let broken_off = Arc::new(AtomicBool::new(false));
                real.jobs.push((job.clone(), Arc::clone(&broken_off)));
                let assignment = Assignment { job: job.clone(), text, activity: real.reporter.clone(), broken_off };
                let doing = Arc::clone(&real.evaluator).run(assignment);
                real.running.spawn(async move { (job, doing.await) });
            }
            Self::Simulated(simulated) => {
                let begin = simulated.now;
                let end = || begin.saturating_add(simulated.log.duration(&job, &text));
                let times = times.unwrap_or_else(|| Times { begin, end: end(), broken_off: None });
                simulated.running.push(Ending { times, job });
            }
        }
    }

    /// The next event; `None` if no job is running.
    ///
    /// # Errors
    /// If the program has a fault in a job.
    pub(super) async fn next(
        &mut self,
        text: impl Fn(&Job) -> anyhow::Result<String>,
    ) -> anyhow::Result<Option<Event>> {
        match self {
            Self::Real(real) => real.next().await,
            Self::Simulated(simulated) => {
                // Of those that end at the same time the one that began first.
                let first = simulated.running.iter().enumerate().min_by_key(|(_, ending)| ending.times.end);
                let Some((place, _)) = first else { return Ok(None) };
                let Ending { times, job } = simulated.running.remove(place);
                simulated.now = times.end;
                let text = text(&job)?;
                let row = match times.broken_off {
                    None => simulated.log.row(&job, &text),
                    epochs => Row {
                        epochs,
                        message: Some(BROKEN_OFF.to_owned()),
                        ..Row::new(job.number, text, Status::Stopped)
                    },
                };
                Ok(Some(Event::Ended(Box::new(job), Some(Finished { row, model: None }))))
            }
        }
    }
}

impl Real {
    async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        let Capacity { measurements, trainings, .. } = self.evaluator.capacity();
        let may_come = measurements == 0 || trainings == 0;
        if self.running.is_empty() && !may_come {
            return Ok(None);
        }
        let ended: Result<_, JoinError> = tokio::select! {
            // The activities of a job come before its end.
            biased;
            Some(activity) = self.activities.recv() => return Ok(Some(Event::Activity(activity))),
            Some(ended) = self.running.join_next() => ended,
            () = self.evaluator.changed() => return Ok(Some(Event::Capacity)),
        };
        let (job, finished) = ended.context("an evaluation broke down")?;
        self.jobs.retain(|(other, _)| other.number != job.number);
        Ok(Some(Event::Ended(Box::new(job), finished)))
    }
}

#[cfg(test)]
mod tests {
    use child::graph::CanonicalKey;
    use child::space::{Architecture, SpaceConfig};

    use super::*;
    use crate::evaluate::ReplayConfig;
    use crate::history::{Candidate, Work};

    const TEXTS: [&str; 3] = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
        "|skip_connect~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
        "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
    ];

    /// Trainings of 200 epochs, which take 100, 400 and 400 s.
    fn workers() -> (tempfile::TempDir, Workers) {
        let folder = tempfile::tempdir().unwrap();
        let row = |(text, seconds): (&str, u64)| format!("{text},0.9,200,{seconds},1.5\n");
        let rows: String = TEXTS.into_iter().zip([100, 400, 400]).map(row).collect();
        let log = folder.path().join("log.csv");
        std::fs::write(&log, format!("architecture,accuracy,epochs,train_seconds,time_ms\n{rows}")).unwrap();
        let space: SpaceConfig = toml::from_str("name = 'nasbench201'").unwrap();
        let config: ReplayConfig = toml::from_str(&format!("log = {log:?}\nworkers = 3")).unwrap();
        let log = Replayed::open(&config, space.build().unwrap().as_ref()).unwrap();
        (folder, Workers::simulated(Arc::new(log)))
    }

    fn begin(workers: &mut Workers, number: u64) {
        let candidate = Candidate { architecture: Architecture::new([0; 6]), key: CanonicalKey::from([0; 16]) };
        let job = Job { number, candidate, work: Work::Train { epochs: 200 } };
        workers.begin(job, TEXTS[number as usize].to_owned(), None);
    }

    /// The row of the next job that ends, and the time.
    async fn next(workers: &mut Workers) -> (Row, u64) {
        let ended = workers.next(|job| Ok(TEXTS[job.number as usize].to_owned())).await.unwrap();
        let Some(Event::Ended(_, Some(finished))) = ended else { panic!("a job ends") };
        (finished.row, workers.now().unwrap().as_secs())
    }

    #[tokio::test]
    async fn a_training_that_is_broken_off_has_the_epochs_until_then() {
        let (_folder, mut workers) = workers();
        (0..3).for_each(|number| begin(&mut workers, number));
        assert_eq!(next(&mut workers).await.1, 100);
        workers.break_off(1);
        workers.break_off(1);
        let saved: Vec<Times> = workers.running().filter_map(|(_, times)| times).collect();
        assert_eq!((saved[0].broken_off, saved[0].end.as_secs(), saved[1].broken_off), (Some(50), 100, None));
        let (row, now) = next(&mut workers).await;
        assert_eq!((row.evaluation, row.status, row.epochs, now), (1, Status::Stopped, Some(50), 100));
        workers.break_off(2);
        let (row, now) = next(&mut workers).await;
        assert_eq!((row.evaluation, row.status, row.epochs, now), (2, Status::Stopped, Some(50), 100));
    }

    #[tokio::test]
    async fn a_training_that_ends_at_this_moment_is_whole() {
        let (_folder, mut workers) = workers();
        (1..3).for_each(|number| begin(&mut workers, number));
        assert_eq!(next(&mut workers).await.1, 400);
        workers.break_off(2);
        let (row, now) = next(&mut workers).await;
        assert_eq!((row.status, row.accuracy, now), (Status::Ok, Some(0.9), 400));
    }
}
