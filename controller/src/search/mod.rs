//! The search: ask, evaluate, tell, until the budget is spent; then measure the front again, if requested.

mod clock;
mod remeasure;
mod retry;
mod round;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use child::graph::CanonicalKey;
use hardware::log::Row;
use rand::SeedableRng;
use rand::seq::IteratorRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::evaluate::Evaluator;
use crate::history::{Candidate, History, Import, Status, candidate_of};
use crate::observe::Observer;
use crate::problem::Problem;
use crate::run::{Checkpoint, Journal};
use crate::stop::Stop;
use crate::strategy::{Proposal, Strategy};
use clock::Clock;
use round::remove_dominated;

pub use clock::Spent;

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
    pub evaluator: Arc<dyn Evaluator>,
    pub storage: Storage,
    /// Measurements imported from other logs, for strategies that learn from them.
    pub imported: Vec<Import>,
    pub observers: Vec<Box<dyn Observer>>,
    /// Length of the search and of its rounds.
    pub plan: Plan,
    pub stop: Stop,
}

pub struct Storage {
    /// Rows of all evaluations.
    pub journal: Journal,
    pub checkpoints: PathBuf,
    /// Fingerprint of the experiment, for the checkpoint.
    pub fingerprint: String,
    /// Folder of the front's models.
    pub models: PathBuf,
}

/// Length of a search and of its rounds.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub budget: u64,
    /// Number of evaluations besides these that measure members of the front again. While some are left, the models of
    /// all children are kept: a dominated network may come back to the front.
    pub remeasure: u64,
    pub batch: usize,
    pub seed: u64,
    /// Whether failed evaluations are tried again, once each, before the search goes on.
    pub retry_failed: bool,
}

#[derive(Debug)]
pub struct Outcome {
    pub end: End,
    /// Duration since the begin or the resumption.
    pub spent: Spent,
}

/// The state between two rounds.
struct State {
    history: History,
    round: u64,
    clock: Clock,
    /// Evaluations since when failed ones are tried again, each once.
    retried_from: Option<u64>,
}

impl Search {
    /// Searches until the budget is spent, no network is left, or it is asked to stop; then measures the front again,
    /// unless it was asked to stop.
    ///
    /// A checkpoint holds the state after the last complete round; without one, the search begins from the start. Rows that the
    /// journal has are not evaluated again.
    ///
    /// # Errors
    /// If the journal cannot be written, or does not fit this search. All finished evaluations are kept.
    pub async fn run(&mut self, checkpoint: Option<Checkpoint>) -> anyhow::Result<Outcome> {
        let mut state = self.start(checkpoint)?;
        let mut end = loop {
            if self.stop.asked() {
                break End::Stopped;
            }
            self.enter_repeats(&mut state)?;
            if !self.retry(&mut state).await? {
                break End::Stopped;
            }
            if state.history.evaluations().len() as u64 >= self.plan.budget {
                break End::Finished;
            }
            let proposals = self.propose(&state)?;
            let fresh = self.fresh(&state, &proposals)?;
            if fresh.is_empty() {
                break End::Exhausted;
            }
            if !self.evaluate(&mut state, fresh, false).await? {
                break End::Stopped;
            }
            let mut diagnostics = self.strategy.tell(&self.problem, &state.history, &proposals)?;
            state.round += 1;
            self.save(&state)?;
            diagnostics.add("own_seconds", state.clock.lap().as_secs_f64());
            self.observers.iter_mut().for_each(|observer| observer.round(&state.history, &diagnostics));
        };
        if end != End::Stopped {
            if self.remeasure(&mut state).await? {
                remove_dominated(&self.storage.models, &state.history)?;
            } else {
                end = End::Stopped;
            }
        }
        self.observers.iter_mut().for_each(|observer| observer.end(&state.history));
        Ok(Outcome { end, spent: state.clock.spent() })
    }

    /// The state of a checkpoint, or the initial one.
    fn start(&mut self, checkpoint: Option<Checkpoint>) -> anyhow::Result<State> {
        let mut history = History::new(self.problem.objectives().clone(), self.problem.bounds().clone())
            .with_reference(self.problem.reference());
        history.import(&self.imported)?;
        history.admits_disconnected = self.storage.journal.rows().any(|row| self.is_disconnected(row));
        let mut state = State { history, round: 0, clock: Clock::start(), retried_from: self.retried_from() };
        if let Some(checkpoint) = checkpoint {
            self.strategy.restore(&checkpoint.strategy)?;
            state.round = checkpoint.round;
            for number in 0..checkpoint.told {
                let told = checkpoint.told;
                let row = self.storage.journal.take(number).with_context(|| {
                    format!("the checkpoint is of {told} evaluations, but evaluation {number} is not in the journal")
                })?;
                state.history.enter(&self.problem, &row)?;
            }
        }
        self.observers
            .iter_mut()
            .for_each(|observer| observer.start(self.plan.budget + self.plan.remeasure, &state.history));
        Ok(state)
    }

    /// Whether a row is of a network without a path from the image to the logits, which earlier versions evaluated.
    fn is_disconnected(&self, row: &Row) -> bool {
        let candidate = (row.status == Status::Failed).then(|| candidate_of(&self.problem, row).ok()).flatten();
        candidate.is_some_and(|found| self.problem.is_connected(&found.architecture).is_ok_and(|connected| !connected))
    }

    fn save(&self, state: &State) -> anyhow::Result<()> {
        let told = state.history.entered();
        let strategy = self.strategy.save()?;
        let experiment = self.storage.fingerprint.clone();
        let checkpoint = Checkpoint { experiment, round: state.round, told, strategy };
        checkpoint.save(&self.storage.checkpoints).context("the journal is complete: --resume continues from it")
    }

    /// The proposals that the evaluator can evaluate; if it can evaluate no new one, random networks that it can.
    fn propose(&mut self, state: &State) -> anyhow::Result<Vec<Proposal>> {
        let proposals = self.strategy.ask(&self.problem, &state.history, self.plan.batch)?;
        let Some(available) = self.evaluator.available() else { return Ok(proposals) };
        let space = self.problem.space();
        let mut covered = Vec::new();
        let mut fresh = false;
        for proposal in proposals {
            if self.evaluator.covers(&space.format(&proposal.architecture)?) {
                fresh |= state.history.known(&self.problem.key(&proposal.architecture)?).is_none();
                covered.push(proposal);
            }
        }
        if fresh {
            return Ok(covered);
        }
        // The log holds only a part of the space, and no new proposal: draw from its unknown networks. The draw depends
        // on the seed and the round alone, so that a resumed run draws the same.
        let mut unknown = Vec::new();
        for architecture in available {
            if state.history.known(&self.problem.key(architecture)?).is_none() {
                unknown.push(architecture);
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed);
        rng.set_stream(state.round + 1);
        let drawn = unknown.into_iter().sample(&mut rng, self.plan.batch).into_iter().cloned();
        covered.extend(drawn.map(Proposal::from));
        Ok(covered)
    }

    /// Enters the repeated measurements that come next in the journal of a resumed run. The strategy did not propose
    /// them: they are from the end of an earlier part of the search, after which the budget was raised.
    fn enter_repeats(&mut self, state: &mut State) -> anyhow::Result<()> {
        let none = HashSet::new();
        while self.repeats(state, state.history.entered(), &none) {
            let Some(row) = self.storage.journal.take(state.history.entered()) else { break };
            state.history.enter(&self.problem, &row)?;
            self.observers.iter_mut().for_each(|observer| observer.entered(&row, &state.history));
        }
        Ok(())
    }

    /// Whether the journal of a resumed run has a network under a number that was evaluated before. After a kill the row
    /// may be missing, while one of the networks that were tried again with it is there.
    fn repeats(&self, state: &State, number: u64, before: &HashSet<CanonicalKey>) -> bool {
        // A text that is not an architecture is an error once its row is taken.
        let candidate =
            self.storage.journal.recovered_from(number).and_then(|row| candidate_of(&self.problem, row).ok());
        candidate.is_some_and(|found| state.history.known(&found.key).is_some() || before.contains(&found.key))
    }

    /// The networks of a round to evaluate: unknown, each once, within the budget; and none after the place where the
    /// journal of a resumed run has a repeated measurement, since the budget was smaller then.
    fn fresh(&self, state: &State, proposals: &[Proposal]) -> anyhow::Result<Vec<Candidate>> {
        let mut seen = HashSet::new();
        let mut fresh = Vec::new();
        let left = self.plan.budget.saturating_sub(state.history.evaluations().len() as u64) as usize;
        for proposal in proposals {
            let key = self.problem.key(&proposal.architecture)?;
            if self.repeats(state, state.history.entered() + fresh.len() as u64, &seen) {
                break;
            }
            let can_be_evaluated =
                state.history.admits_disconnected || self.problem.is_connected(&proposal.architecture)?;
            if can_be_evaluated && fresh.len() < left && state.history.known(&key).is_none() && seen.insert(key) {
                fresh.push(Candidate { architecture: proposal.architecture.clone(), key });
            }
        }
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests;
