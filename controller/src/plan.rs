//! How long a search goes on, and how far it has come.

use std::time::Duration;

use crate::history::{Evaluation, History, Status, Work};
use crate::problem::Fidelity;

/// The budget of a search: it ends when the first of its parts is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Full trainings. A network that failed before it, or broke a bound, counts as one as well; where networks are
    /// measured ahead, as a part of one.
    pub evaluations: Option<u64>,
    /// Epochs of all trainings.
    pub epochs: Option<u64>,
    /// Time since the begin, interruptions left out; on a log, that of its clock.
    pub time: Option<Duration>,
}

impl Budget {
    /// Whether a job may begin, beside those that are running.
    pub(crate) fn allows(
        &self,
        fidelity: Fidelity,
        history: &History,
        running: impl Iterator<Item = Work> + Clone,
        work: Work,
        elapsed: Duration,
    ) -> bool {
        // A measurement may end an evaluation, and counts for one where each is followed by a training.
        let counts = |work: &Work| match work {
            Work::Measure { .. } => fidelity.measure_ahead == 0,
            Work::Train { epochs } => *epochs >= fidelity.full_epochs,
        };
        let evaluations = || evaluated(fidelity, history) + running.clone().filter(counts).count() as u64;
        let epochs = || history.epochs() + running.clone().map(Work::epochs).sum::<u64>() + work.epochs();
        self.evaluations.is_none_or(|most| evaluations() < most)
            && self.epochs.is_none_or(|most| epochs() <= most)
            && self.time.is_none_or(|most| elapsed < most)
    }

    /// Networks in a row that fail or break a bound, after which a search ends before its budget is spent: epochs and hours limit
    /// trainings, which there may be none of.
    const FRUITLESS: usize = 1000;

    /// Whether it is spent when nothing is running.
    pub(crate) fn is_spent(&self, fidelity: Fidelity, history: &History, elapsed: Duration) -> bool {
        let next = Work::Train { epochs: 1 };
        let is_fruitless = |status: Status| matches!(status, Status::Failed | Status::Bounded);
        let last = history.evaluations().iter().rev().take(Self::FRUITLESS).take_while(|one| is_fruitless(one.status));
        !self.allows(fidelity, history, std::iter::empty(), next, elapsed) || last.count() >= Self::FRUITLESS
    }
}

/// The part of a journal that is of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inherited {
    /// Its rows.
    pub rows: u64,
    /// Its evaluations have lower numbers.
    pub evaluations: u64,
    /// Networks of the whole space to measure on each new target; `None` for those that it trained.
    pub measure: Option<u64>,
}

impl Inherited {
    /// How far the measurements on the new targets have come; `None` after them.
    fn position(&self, history: &History) -> Option<Position> {
        let (mut done, mut all) = (0, 0);
        for target in history.targets().searched() {
            let measured = |one: &&Evaluation| one.is_tried_on(target);
            let evaluations = history.evaluations().iter();
            if let Some(most) = self.measure {
                done += most.min(evaluations.filter(measured).count() as u64);
                all += most;
            } else {
                let inherited = evaluations.filter(|one| one.number < self.evaluations && one.status == Status::Ok);
                all += inherited.clone().count() as u64;
                done += inherited.filter(measured).count() as u64;
            }
        }
        (done < all).then_some(Position { done, all: Some(all), unit: "measurements" })
    }
}

/// Length of a search and of its rounds.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// When the search ends.
    pub budget: Budget,
    /// Epochs of its trainings.
    pub fidelity: Fidelity,
    /// Number of measurements after the search that measure members of the front again. While some are left, the models
    /// of all children are kept: a dominated network may come back to the front.
    pub remeasure: u64,
    /// Networks of a round, for strategies that decide in rounds.
    pub batch: usize,
    /// What the journal has of the run that this one extends.
    pub inherited: Option<Inherited>,
    /// Whether failed evaluations are tried again, once each, before the search goes on.
    pub retry_failed: bool,
}

/// How far a search has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Units that are done.
    pub done: u64,
    /// All units; `None` where only the time is limited.
    pub all: Option<u64>,
    /// The unit: `evaluations`, `epochs` or `measurements`.
    pub unit: &'static str,
}

impl Plan {
    /// How far a search with this history has come: in evaluations where their number is limited, else in epochs. Before a
    /// search goes on for a target that came later, in measurements there.
    pub fn position(&self, history: &History) -> Position {
        if let Some(position) = self.inherited.and_then(|inherited| inherited.position(history)) {
            return position;
        }
        let evaluated = evaluated(self.fidelity, history);
        match (self.budget.evaluations, self.budget.epochs) {
            (None, Some(epochs)) => Position { done: history.epochs(), all: Some(epochs), unit: "epochs" },
            (evaluations, _) => {
                let all = evaluations.map(|evaluations| evaluations + self.remeasure);
                Position { done: evaluated + history.repeats(), all, unit: "evaluations" }
            }
        }
    }
}

/// Evaluations that count for a budget.
pub(crate) fn evaluated(fidelity: Fidelity, history: &History) -> u64 {
    let sum = |statuses: &[Status]| statuses.iter().map(|status| history.count(*status)).sum::<u64>();
    let trained = sum(&[Status::Ok, Status::Diverged, Status::Stopped]);
    let untrained = sum(&[Status::Failed, Status::Bounded]);
    trained + untrained / (1 + fidelity.measure_ahead as u64)
}
