//! Trying failed evaluations again.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Search, State};
use crate::history::{Candidate, Evaluation, Job, Status, Work};
use crate::plan::Budget;
use crate::problem::Fidelity;
use crate::run::write_atomically;

impl Search {
    /// Evaluates networks again that have only failed so far, if that is requested, before the search goes on. Each gets a
    /// new number. Returns false if the search was stopped before.
    ///
    /// The strategy has no part in it. After a kill in the middle the rest of them follows, whether it is requested again or
    /// not: a file says since when they are tried again.
    pub(super) async fn retry(&mut self, state: &mut State) -> anyhow::Result<bool> {
        if self.plan.retry_failed && state.retried_from.is_none() {
            let from = state.history.next_number();
            write_atomically(&self.retrying(), from.to_string().as_bytes())?;
            state.retried_from = Some(from);
        }
        let Some(from) = state.retried_from else { return Ok(true) };
        for candidate in self.failed(state, from)? {
            let number = state.history.next_number();
            for target in self.problem.targets().searched() {
                self.enqueue(state, Job { number, candidate: candidate.clone(), work: Work::Measure { target } });
            }
        }
        loop {
            if !self.stop.asked() {
                self.train_measured(state, from);
                // They cost nothing of the budget, which counts a failed evaluation already.
                self.begin_queued(state, &Budget::default(), |job| job.number >= from)?;
            }
            match self.next(state).await? {
                Some(_) => {}
                None if self.stop.asked() => return Ok(false),
                None => break,
            }
        }
        state.retried_from = None;
        remove(&self.retrying())?;
        self.save(state)?;
        Ok(true)
    }

    /// Lets the networks that were measured again be trained. Where the strategy decides which of the measured ones are worth
    /// it, only those whose training had failed.
    fn train_measured(&self, state: &mut State, from: u64) {
        let Fidelity { full_epochs: epochs, short_epochs, measure_ahead, .. } = self.problem.fidelity();
        let are_all_trained = short_epochs == 0 && measure_ahead == 0;
        let measured = state.history.evaluations().iter().filter(|evaluation| {
            let (earlier, retried): (Vec<&Evaluation>, Vec<_>) =
                state.history.measurements(&evaluation.key).iter().partition(|one| one.number < from);
            let was_measured = |one: &&Evaluation| self.problem.targets().is_measured(&one.values);
            let is_due = are_all_trained || earlier.iter().any(was_measured);
            evaluation.status == Status::Measured && !retried.is_empty() && is_due
        });
        let waiting = measured.filter(|evaluation| state.history.pending_job(&evaluation.key).is_none());
        let jobs: Vec<Job> = waiting
            .map(|evaluation| {
                let candidate = Candidate { architecture: evaluation.architecture.clone(), key: evaluation.key };
                Job { number: evaluation.number, candidate, work: Work::Train { epochs } }
            })
            .collect();
        jobs.into_iter().for_each(|job| self.enqueue(state, job));
    }

    /// The file with the number of evaluations since which failed ones are tried again.
    fn retrying(&self) -> PathBuf {
        self.storage.checkpoints.join("retrying")
    }

    /// That number, where a kill ended it in the middle. A damaged file says nothing.
    pub(super) fn retried_from(&self) -> Option<u64> {
        std::fs::read_to_string(self.retrying()).ok()?.trim().parse().ok()
    }

    /// The networks that have only failed, last before evaluation `from`, those that were not tried for longest first:
    /// an order that a kill does not change for the rest of them.
    fn failed(&self, state: &State, from: u64) -> anyhow::Result<Vec<Candidate>> {
        let mut failed = Vec::new();
        for evaluation in state.history.evaluations() {
            let last =
                state.history.measurements(&evaluation.key).iter().map(|one| one.number).max().unwrap_or_default();
            let is_failed = evaluation.status == Status::Failed && last < from;
            if is_failed && self.problem.is_connected(&evaluation.architecture)? {
                let (architecture, key) = (evaluation.architecture.clone(), evaluation.key);
                failed.push((last, Candidate { architecture, key }));
            }
        }
        failed.sort_by_key(|(last, _)| *last);
        Ok(failed.into_iter().map(|(_, candidate)| candidate).collect())
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
}
