//! Trying failed evaluations again.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Search, State};
use crate::history::{Candidate, Status};
use crate::run::write_atomically;

impl Search {
    /// Evaluates networks again that have only failed so far, if that is requested, between two rounds. Each gets a new
    /// row under the next number, which replaces the failed one. Returns false if the search was stopped before.
    ///
    /// The strategy has no part in it, so a search that goes on from the journal alone finds these rows as it finds
    /// re-measurements: they are of networks that are known. After a kill in the middle the rest of them follows, whether
    /// it is requested again or not: a file says since when they are tried again, and without it the rows that were ahead
    /// of their turn say which are missing.
    pub(super) async fn retry(&mut self, state: &mut State) -> anyhow::Result<bool> {
        loop {
            if self.stop.asked() {
                return Ok(false);
            }
            let interrupted = self.interrupted_retries(state);
            let is_due = interrupted.is_some() || self.storage.journal.rows().next().is_none();
            if is_due && self.plan.retry_failed && state.retried_from.is_none() {
                let from = state.history.entered();
                write_atomically(&self.retrying(), from.to_string().as_bytes())?;
                state.retried_from = Some(from);
            }
            let from = state.retried_from.or(interrupted.map(|_| u64::MAX));
            let Some(from) = from.filter(|_| is_due) else { return Ok(true) };
            let count = interrupted.unwrap_or(self.plan.batch);
            let networks: Vec<Candidate> = self.failed(state, from)?.take(count).collect();
            if networks.is_empty() {
                if state.retried_from.take().is_some() {
                    remove(&self.retrying())?;
                }
                self.plan.retry_failed = false;
                return Ok(true);
            }
            if !self.evaluate(state, networks, false).await? {
                return Ok(false);
            }
            self.save(state)?;
        }
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
    fn failed(&self, state: &State, from: u64) -> anyhow::Result<impl Iterator<Item = Candidate>> {
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
        Ok(failed.into_iter().map(|(_, candidate)| candidate))
    }

    /// Up to which of the next evaluations the journal has some that were tried again before a kill, and lacks the first.
    fn interrupted_retries(&self, state: &State) -> Option<usize> {
        let next = state.history.entered();
        if self.storage.journal.recovered(next).is_some() {
            return None;
        }
        let none = std::collections::HashSet::new();
        let ahead = self.storage.journal.rows().map(|row| row.evaluation);
        let last = ahead.filter(|number| self.repeats(state, *number, &none)).max()?;
        Some((last - next + 1) as usize)
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
}
