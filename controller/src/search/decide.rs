//! From the strategy's decisions to jobs that begin.

use super::{Search, State};
use crate::history::{Candidate, Job, Work};
use crate::plan::Budget;
use crate::strategy::{Decision, Diagnostics, Room};

impl Search {
    /// Begins jobs until no place is free, nothing more is decided on, or the budget allows no more.
    pub(super) fn fill(&mut self, state: &mut State) -> anyhow::Result<()> {
        loop {
            let budget = self.plan.budget;
            if !self.begin_queued(state, &budget, |_| true)? || self.is_spent(state) {
                return Ok(());
            }
            let room = self.room(state);
            if room.measurements == 0 && room.trainings == 0 {
                return Ok(());
            }
            let Decision { jobs, diagnostics } = self.strategy.ask(&self.problem, &state.history, &room)?;
            let before = state.queue.len();
            for wanted in jobs {
                let key = self.problem.key(&wanted.architecture)?;
                let mut pending = state.history.pending().iter().filter(|job| job.candidate.key == key);
                let number = pending.clone().next().map(|job| job.number);
                // One job of a network at a time, but for measurements on several targets.
                if pending.any(|job| !job.work.is_beside(wanted.work)) {
                    continue;
                }
                let known = state.history.known(&key).map(|known| known.number);
                let number = known.or(number).unwrap_or_else(|| state.history.next_number());
                let candidate = Candidate { architecture: wanted.architecture, key };
                self.enqueue(state, Job { number, candidate, work: wanted.work });
            }
            // The history has the new jobs now, whose numbers an observer may look up.
            if let Some(diagnostics) = diagnostics {
                self.report(state, diagnostics);
            }
            if state.queue.len() == before {
                return Ok(());
            }
            state.decisions += 1;
            self.save(state)?;
        }
    }

    /// Reports what the strategy has learnt, and the search's own time since the last report.
    pub(super) fn report(&mut self, state: &mut State, mut diagnostics: Diagnostics) {
        diagnostics.add("own_seconds", state.clock.lap().as_secs_f64());
        self.observers.iter_mut().for_each(|observer| observer.learnt(&state.history, &diagnostics));
    }

    /// Lets a job wait for a place.
    pub(super) fn enqueue(&self, state: &mut State, job: Job) {
        state.history.begin(job.clone());
        state.queue.push_back(job);
    }

    /// Begins those of the waiting jobs that there is a place for, in their order. Returns false if the budget allows the
    /// next one no more.
    pub(super) fn begin_queued(
        &mut self,
        state: &mut State,
        budget: &Budget,
        is_meant: impl Fn(&Job) -> bool,
    ) -> anyhow::Result<bool> {
        loop {
            let has_place = |job: &Job| {
                let is_free = self.workers.running().all(|(running, _)| running.number != job.number);
                is_free && self.free(job.work) > 0
            };
            let Some(place) = state.queue.iter().position(|job| is_meant(job) && has_place(job)) else {
                return Ok(true);
            };
            let work = state.queue[place].work;
            let elapsed = self.elapsed(state);
            let running = self.workers.running().map(|(job, _)| job.work);
            if !budget.allows(self.problem.fidelity(), &state.history, running, work, elapsed) {
                return Ok(false);
            }
            if let Some(job) = state.queue.remove(place) {
                let text = self.problem.space().format(&job.candidate.architecture)?;
                self.workers.begin(job, text, None);
            }
        }
    }

    /// Free places for jobs of a kind.
    pub(super) fn free(&self, work: Work) -> usize {
        let capacity = self.workers.capacity();
        let running = || self.workers.running().map(|(job, _)| job.work);
        let (places, taken) = match work {
            Work::Measure { target } => {
                (self.workers.measurements_on(target), running().filter(|other| *other == work).count())
            }
            Work::Train { .. } => (capacity.trainings, running().filter(|other| !other.is_measurement()).count()),
        };
        places.saturating_sub(taken).min(capacity.together.saturating_sub(running().count()))
    }

    /// The places that no waiting job takes.
    fn room(&self, state: &State) -> Room {
        let targets = self.problem.targets().searched();
        let mut measurements: usize = targets.map(|target| self.free(Work::Measure { target })).sum();
        let mut trainings = self.free(Work::Train { epochs: 0 });
        for job in &state.queue {
            match job.work {
                Work::Measure { .. } => measurements = 0,
                Work::Train { .. } => trainings = 0,
            }
        }
        Room { measurements, trainings, trainers: self.workers.capacity().trainings, batch: self.plan.batch }
    }
}
