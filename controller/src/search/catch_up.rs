//! Measuring what an earlier run trained, on a target that came later.

use super::rows::Next;
use super::{Search, State};
use crate::history::{Candidate, Evaluation, History, Job, Status, Work};

impl Search {
    /// Measures the trained networks of the run that this one extends on the targets where they were not, those first that
    /// tell most about the target. It costs no training, and nothing of the budget. Returns false if the search was stopped
    /// before.
    pub(super) async fn catch_up(&mut self, state: &mut State) -> anyhow::Result<bool> {
        if self.plan.inherited.is_none() {
            return Ok(true);
        }
        loop {
            if !self.stop.asked() {
                self.measure_missing(state)?;
            } else if self.workers.are_simulated() {
                return Ok(false);
            }
            match self.next(state).await? {
                Some(Next::Entered) => self.save(state)?,
                Some(_) => {}
                None => return Ok(!self.stop.asked()),
            }
        }
    }

    /// Begins measurements while devices are free.
    fn measure_missing(&mut self, state: &mut State) -> anyhow::Result<()> {
        let Some(inherited) = self.plan.inherited else { return Ok(()) };
        for target in self.problem.targets().searched() {
            while self.free(Work::Measure { target }) > 0 {
                let missing = missing(&state.history, target, inherited.evaluations);
                if missing.is_empty() {
                    break;
                }
                let place = self.strategy.most_telling(&self.problem, &state.history, target, &missing)?;
                let chosen = missing.get(place).copied().unwrap_or(missing[0]);
                let candidate = Candidate { architecture: chosen.architecture.clone(), key: chosen.key };
                let job = Job { number: chosen.number, candidate, work: Work::Measure { target } };
                let text = self.problem.space().format(&job.candidate.architecture)?;
                state.history.begin(job.clone());
                self.workers.begin(job, text, None);
            }
        }
        Ok(())
    }
}

/// Trained networks with a number below this that were not measured on a target, and are not being measured.
fn missing(history: &History, target: usize, below: u64) -> Vec<&Evaluation> {
    let is_missing = |one: &&Evaluation| {
        let is_unmeasured = one.measured.get(target).is_some_and(Option::is_none);
        one.status == Status::Ok && one.number < below && is_unmeasured && history.pending_job(&one.key).is_none()
    };
    history.evaluations().iter().filter(is_missing).collect()
}
