//! Trying failed evaluations again.

use super::{Search, State};
use crate::history::{Candidate, Status};

impl Search {
    /// Evaluates networks again that have only failed so far, if that is requested, between two rounds. Each gets a new
    /// row under the next number, which replaces the failed one. Returns false if the search was stopped before.
    ///
    /// The strategy has no part in it, so a search that goes on from the journal alone finds these rows as it finds
    /// re-measurements: they are of networks that are known. After a kill in the middle the rows that were ahead of
    /// their turn say that such evaluations are missing; they are made whether it is requested or not.
    pub(super) async fn retry(&mut self, state: &mut State) -> anyhow::Result<bool> {
        loop {
            if self.stop.asked() {
                return Ok(false);
            }
            let interrupted = self.interrupted_retries(state);
            let is_due = self.plan.retry_failed && self.storage.journal.rows().next().is_none();
            let networks: Vec<Candidate> = match interrupted {
                Some(count) => self.failed(state, u64::MAX)?.take(count).collect(),
                None if is_due => {
                    let from = *state.retried_from.get_or_insert(state.history.entered());
                    self.failed(state, from)?.take(self.plan.batch).collect()
                }
                None => return Ok(true),
            };
            if networks.is_empty() {
                return Ok(true);
            }
            if !self.evaluate(state, networks, false).await? {
                return Ok(false);
            }
            self.save(state)?;
        }
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
