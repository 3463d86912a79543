//! The search: ask, evaluate, tell, until the evaluations are spent; then measure the front again, if that is wanted.

mod clock;
mod remeasure;
mod round;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use child::graph::CanonicalKey;
use rand::SeedableRng;
use rand::seq::IteratorRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::evaluate::{Evaluator, candidate_of, evaluation_of};
use crate::history::{Candidate, History, Import};
use crate::observe::Observer;
use crate::run::{Checkpoint, Journal};
use crate::strategy::{Problem, Proposal, Strategy};
use clock::Clock;
use round::remove_dominated;

pub use clock::Spent;

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every evaluation was spent.
    Finished,
    /// Nothing is left that could be evaluated.
    Exhausted,
    /// It was asked to stop; a resumed run goes on from here.
    Stopped,
}

/// Asks a search to stop; clones ask the same one.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    reason: Arc<OnceLock<String>>,
}

impl Stop {
    /// Asks.
    pub fn ask(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Asks, since the search cannot go on. Of several reasons the first is kept.
    pub fn ask_because(&self, reason: String) {
        let _ = self.reason.set(reason);
        self.ask();
    }

    /// Why the search cannot go on, if that is why it was asked.
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Whether it was asked.
    pub fn asked(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// A search over a problem: who proposes, who evaluates, what is kept, and who watches.
pub struct Search {
    /// What is searched for.
    pub problem: Arc<Problem>,
    /// Who proposes.
    pub strategy: Box<dyn Strategy>,
    /// Who evaluates.
    pub evaluator: Arc<dyn Evaluator>,
    /// Where rows are kept.
    pub journal: Journal,
    /// Folder of the checkpoint.
    pub checkpoints: PathBuf,
    /// Folder of the front's models.
    pub models: PathBuf,
    /// What other logs tell, for strategies that learn from it.
    pub imported: Vec<Import>,
    /// Who watches.
    pub observers: Vec<Box<dyn Observer>>,
    /// Networks evaluated in all.
    pub budget: u64,
    /// Evaluations besides these that measure members of the front again. As long as there are some to come, the models
    /// of all children are kept: what was dominated may come back.
    pub remeasure: u64,
    /// Proposals a round.
    pub batch: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Fingerprint of the experiment, for the checkpoint.
    pub fingerprint: String,
    /// Who may ask it to stop.
    pub stop: Stop,
}

/// What a search came to.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Everything evaluated.
    pub history: History,
    /// How long it took, since it began or went on.
    pub spent: Spent,
}

/// Where a search stands between two rounds.
struct State {
    history: History,
    round: u64,
    clock: Clock,
}

impl Search {
    /// Searches until the budget is spent, nothing is left, or it is asked to stop. Unless it was, the front is
    /// measured again after that.
    ///
    /// A checkpoint says where the search stood after its last whole round; from there, and without one from the
    /// beginning, the strategy is asked again, and the journal answers for what it knows.
    ///
    /// # Errors
    /// If the journal cannot be written, or does not fit this search. What was evaluated is kept.
    pub async fn run(&mut self, checkpoint: Option<Checkpoint>) -> anyhow::Result<Outcome> {
        let mut state = self.start(checkpoint)?;
        let mut end = loop {
            if self.stop.asked() {
                break End::Stopped;
            }
            self.enter_repeats(&mut state)?;
            if state.history.evaluations().len() as u64 >= self.budget {
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
            diagnostics.scalars.push(("own_seconds", state.clock.lap().as_secs_f64()));
            for observer in &mut self.observers {
                observer.round(state.round, &state.history, &diagnostics);
            }
        };
        if end != End::Stopped {
            if self.remeasure(&mut state).await? {
                remove_dominated(&self.models, &state.history)?;
            } else {
                end = End::Stopped;
            }
        }
        for observer in &mut self.observers {
            observer.end(&state.history);
        }
        Ok(Outcome { end, spent: state.clock.spent(), history: state.history })
    }

    /// The state that a checkpoint describes, or the beginning.
    fn start(&mut self, checkpoint: Option<Checkpoint>) -> anyhow::Result<State> {
        let mut history = History::new(self.problem.objectives().clone(), self.problem.bounds().clone());
        history.import(&self.imported)?;
        let mut state = State { history, round: 0, clock: Clock::start() };
        if let Some(checkpoint) = checkpoint {
            self.strategy.restore(&checkpoint.strategy)?;
            state.round = checkpoint.round;
            for number in 0..checkpoint.told {
                let row = self.journal.take(number).with_context(|| {
                    format!(
                        "the checkpoint is of {} evaluations, but evaluation {number} is not in the journal",
                        checkpoint.told
                    )
                })?;
                let candidate = candidate_of(&self.problem, &row)?;
                state.history.push(evaluation_of(&self.problem, candidate, &row)?)?;
            }
        }
        for observer in &mut self.observers {
            observer.start(self.budget + self.remeasure, &state.history);
        }
        Ok(state)
    }

    fn save(&self, state: &State) -> anyhow::Result<()> {
        let told = state.history.entered();
        let strategy = self.strategy.save()?;
        let checkpoint = Checkpoint { experiment: self.fingerprint.clone(), round: state.round, told, strategy };
        checkpoint.save(&self.checkpoints).context("the journal is whole: --resume goes on from it")
    }

    /// What the strategy proposes and the evaluator can evaluate; where none of it can be, something that can.
    fn propose(&mut self, state: &State) -> anyhow::Result<Vec<Proposal>> {
        let proposals = self.strategy.ask(&self.problem, &state.history, self.batch)?;
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
        // The log holds only a part of the space, and none of what was proposed: take what it does hold. The draw
        // depends on the seed and the round alone, so that a resumed run draws the same.
        let mut unknown = Vec::new();
        for architecture in available {
            if state.history.known(&self.problem.key(architecture)?).is_none() {
                unknown.push(architecture);
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(state.round + 1);
        let drawn = unknown.into_iter().sample(&mut rng, self.batch);
        covered.extend(drawn.into_iter().map(|a| Proposal { architecture: a.clone(), preference: None }));
        Ok(covered)
    }

    /// Enters the repeated measurements that stand next in the journal of a run that goes on. The strategy had no part
    /// in them, so they are not asked for but taken as they come: they end a part of the search, after which a run may
    /// have been given more evaluations.
    fn enter_repeats(&mut self, state: &mut State) -> anyhow::Result<()> {
        let none = HashSet::new();
        while self.repeats(state, state.history.entered(), &none) {
            let Some(row) = self.journal.take(state.history.entered()) else { break };
            let candidate = candidate_of(&self.problem, &row)?;
            state.history.push(evaluation_of(&self.problem, candidate, &row)?)?;
            for observer in &mut self.observers {
                observer.entered(&row, &state.history);
            }
        }
        Ok(())
    }

    /// Whether the journal of a run that goes on has, under a number, a network that was evaluated before.
    fn repeats(&self, state: &State, number: u64, before: &HashSet<CanonicalKey>) -> bool {
        // A text that is no architecture is refused where it is taken.
        let candidate = self.journal.recovered(number).and_then(|row| candidate_of(&self.problem, row).ok());
        candidate.is_some_and(|found| state.history.known(&found.key).is_some() || before.contains(&found.key))
    }

    /// The networks of a round that have to be evaluated: each once, none that is known, none beyond the budget; and
    /// none where the journal of a run that goes on has a repeated measurement, since the budget was less then.
    fn fresh(&self, state: &State, proposals: &[Proposal]) -> anyhow::Result<Vec<Candidate>> {
        let mut seen = HashSet::new();
        let mut fresh = Vec::new();
        let left = self.budget.saturating_sub(state.history.evaluations().len() as u64) as usize;
        for proposal in proposals {
            let key = self.problem.key(&proposal.architecture)?;
            if self.repeats(state, state.history.entered() + fresh.len() as u64, &seen) {
                break;
            }
            if fresh.len() < left && state.history.known(&key).is_none() && seen.insert(key) {
                fresh.push(Candidate { architecture: proposal.architecture.clone(), key });
            }
        }
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests;
