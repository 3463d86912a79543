//! The search: ask the strategy for jobs, have them done, enter the results, until the budget is spent; then measure the
//! front again, if requested.

mod catch_up;
mod clock;
mod decide;
mod design;
mod remeasure;
mod retry;
mod rows;
mod start;
mod workers;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::history::{History, Import, Job};
use crate::observe::Observer;
use crate::plan::Plan;
use crate::problem::Problem;
use crate::run::{Checkpoint, Journal, SavedJob, Times};
use crate::stop::Stop;
use crate::strategy::Strategy;
use clock::Clock;
use rows::remove_dominated;

pub use clock::Spent;
pub use workers::Workers;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Finished,
    /// No network is left that could be evaluated.
    Exhausted,
    /// The search was asked to stop; a resumed run continues from here.
    Stopped,
}

/// A search for the Pareto front of a problem.
pub struct Search {
    pub problem: Arc<Problem>,
    pub strategy: Box<dyn Strategy>,
    pub workers: Workers,
    pub storage: Storage,
    /// Measurements imported from other logs, for strategies that learn from them.
    pub imported: Vec<Import>,
    pub observers: Vec<Box<dyn Observer>>,
    /// Length of the search and of its rounds.
    pub plan: Plan,
    pub stop: Stop,
}

pub struct Storage {
    /// Rows of all jobs.
    pub journal: Journal,
    pub checkpoints: PathBuf,
    /// Fingerprint of the experiment, for the checkpoint.
    pub fingerprint: String,
    /// Folder of the front's models.
    pub models: PathBuf,
}

#[derive(Debug)]
pub struct Outcome {
    pub end: End,
    /// Duration since the begin or the resumption.
    pub spent: Spent,
}

/// The state of a search besides what its parts hold.
struct State {
    history: History,
    /// Jobs that were decided on and have not begun. The history counts them as pending.
    queue: VecDeque<Job>,
    /// Decisions of the strategy so far that brought jobs.
    decisions: u64,
    clock: Clock,
    /// Time of the search before it was resumed.
    earlier: Duration,
    /// Number of evaluations since when failed ones are tried again, each once.
    retried_from: Option<u64>,
}

impl Search {
    /// Searches until the budget is spent, no network is left, or it is asked to stop; then measures the front again,
    /// unless it was asked to stop.
    ///
    /// A checkpoint holds the state after the last decision. Jobs that the journal has rows of are not done again.
    ///
    /// # Errors
    /// If the journal cannot be written, or does not fit this search. All finished jobs are kept.
    pub async fn run(&mut self, checkpoint: Option<Checkpoint>) -> anyhow::Result<Outcome> {
        let mut state = self.start(checkpoint)?;
        let goes_on = self.catch_up(&mut state).await? && self.retry(&mut state).await?;
        let mut end = if goes_on { self.search(&mut state).await? } else { End::Stopped };
        if end != End::Stopped {
            if let Some(diagnostics) = self.strategy.learn(&self.problem, &state.history)? {
                self.report(&mut state, diagnostics);
                self.save(&state)?;
            }
            if self.remeasure(&mut state).await? {
                remove_dominated(&self.storage.models, &state.history)?;
            } else {
                end = End::Stopped;
            }
        }
        self.observers.iter_mut().for_each(|observer| observer.end(&state.history));
        Ok(Outcome { end, spent: state.clock.spent() })
    }

    /// The search itself.
    async fn search(&mut self, state: &mut State) -> anyhow::Result<End> {
        loop {
            if let Some(workload) = self.workers.workload() {
                self.observers.iter_mut().for_each(|observer| observer.workload(&workload, &state.history));
            }
            if !self.stop.asked() {
                self.fill(state)?;
            } else if self.workers.are_simulated() {
                // Its jobs take no time and are done again from the checkpoint.
                return Ok(End::Stopped);
            }
            let has_ended = state.queue.is_empty() && self.is_spent(state) && self.workers.running().next().is_none();
            if !has_ended && self.next(state).await?.is_some() {
                continue;
            }
            // Nothing is running.
            return Ok(match state.queue.is_empty() && !self.is_spent(state) {
                _ if self.stop.asked() => End::Stopped,
                true => End::Exhausted,
                false => End::Finished,
            });
        }
    }

    /// Time of the search, interruptions left out.
    fn elapsed(&self, state: &State) -> Duration {
        self.workers.now().unwrap_or_else(|| state.earlier + state.clock.spent().whole)
    }

    fn is_spent(&self, state: &State) -> bool {
        self.plan.budget.is_spent(self.problem.fidelity(), &state.history, self.elapsed(state))
    }

    fn save(&self, state: &State) -> anyhow::Result<()> {
        let saved = |job: &Job, begun: bool, times: Option<Times>| {
            let architecture = self.problem.space().format(&job.candidate.architecture)?;
            anyhow::Ok(SavedJob { number: job.number, architecture, work: job.work, begun, times })
        };
        let mut pending = Vec::new();
        for (job, times) in self.workers.running() {
            pending.push(saved(job, true, times)?);
        }
        for job in &state.queue {
            pending.push(saved(job, false, None)?);
        }
        let checkpoint = Checkpoint {
            experiment: self.storage.fingerprint.clone(),
            decisions: state.decisions,
            rows: state.history.entered(),
            elapsed: self.elapsed(state),
            pending,
            strategy: self.strategy.save()?,
        };
        checkpoint.save(&self.storage.checkpoints).map_err(|error| match self.storage.checkpoints.parent() {
            Some(folder) if folder.is_dir() => error.context("the journal is complete: --resume continues from it"),
            // The folder was deleted, and the journal with it.
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests;
