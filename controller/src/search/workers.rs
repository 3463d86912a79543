//! Who does the jobs of a search: devices and trainers, or a log with a clock of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet};

use crate::evaluate::{Activity, Assignment, Capacity, Evaluator, Finished, Replayed};
use crate::history::Job;

/// The jobs under way, and who does them.
pub enum Workers {
    /// Devices and trainers.
    Real(Real),
    /// A log, whose answers come when its clock says so.
    Simulated(Simulated),
}

/// Something that happened to a job.
pub(super) enum Event {
    /// It enters another stage.
    Activity(Activity),
    /// It has ended; without a result the search is being stopped.
    Ended(Box<Job>, Option<Finished>),
}

/// Devices and trainers.
pub struct Real {
    evaluator: Arc<dyn Evaluator>,
    running: JoinSet<(Job, Option<Finished>)>,
    jobs: Vec<Job>,
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

/// The end of a job on a log's clock.
struct Ending {
    at: Duration,
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
            Self::Simulated(simulated) => simulated.log.capacity(),
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

    /// The jobs that have begun, in their order, and when they end on a log's clock.
    pub(super) fn running(&self) -> impl Iterator<Item = (&Job, Option<Duration>)> + Clone {
        let (real, simulated): (&[Job], &[Ending]) = match self {
            Self::Real(real) => (&real.jobs, &[]),
            Self::Simulated(simulated) => (&[], &simulated.running),
        };
        real.iter().map(|job| (job, None)).chain(simulated.iter().map(|ending| (&ending.job, Some(ending.at))))
    }

    /// Begins a job; one that is saved as running ends on a log's clock when it would have.
    pub(super) fn begin(&mut self, job: Job, text: String, ends_at: Option<Duration>) {
        match self {
            Self::Real(real) => {
                let assignment = Assignment { job: job.clone(), text, activity: real.reporter.clone() };
                real.jobs.push(job.clone());
                let doing = Arc::clone(&real.evaluator).run(assignment);
                real.running.spawn(async move { (job, doing.await) });
            }
            Self::Simulated(simulated) => {
                let at = ends_at.unwrap_or_else(|| simulated.now.saturating_add(simulated.log.duration(&job, &text)));
                simulated.running.push(Ending { at, job });
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
                let first = simulated.running.iter().enumerate().min_by_key(|(_, ending)| ending.at);
                let Some((place, _)) = first else { return Ok(None) };
                let Ending { at, job } = simulated.running.remove(place);
                simulated.now = at;
                let row = simulated.log.row(&job, &text(&job)?);
                Ok(Some(Event::Ended(Box::new(job), Some(Finished { row, model: None }))))
            }
        }
    }
}

impl Real {
    async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        let ended: Option<Result<_, JoinError>> = tokio::select! {
            // The activities of a job come before its end.
            biased;
            Some(activity) = self.activities.recv() => return Ok(Some(Event::Activity(activity))),
            ended = self.running.join_next() => ended,
        };
        let Some(ended) = ended else { return Ok(None) };
        let (job, finished) = ended.context("an evaluation broke down")?;
        self.jobs.retain(|other| other.number != job.number);
        Ok(Some(Event::Ended(Box::new(job), finished)))
    }
}
