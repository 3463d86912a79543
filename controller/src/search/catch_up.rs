//! Measuring networks on a target that came later, before the search goes on: those that the earlier run trained, or some of the
//! whole space.

use child::space::Architecture;

use super::design::{Design, begun};
use super::rows::Next;
use super::{Search, State};
use crate::history::{Candidate, Evaluation, History, Job, Status, Work};
use crate::plan::Inherited;

impl Search {
    /// Measures what the plan says on the targets that came later, those networks first that tell most about the target. It
    /// costs no training, and nothing of the budget. Returns false if the search was stopped before.
    pub(super) async fn catch_up(&mut self, state: &mut State) -> anyhow::Result<bool> {
        let Some(inherited) = self.plan.inherited else { return Ok(true) };
        let mut design = Design::new(&self.problem)?;
        loop {
            if !self.stop.asked() {
                self.measure_missing(state, inherited, &mut design)?;
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
    fn measure_missing(&mut self, state: &mut State, from: Inherited, design: &mut Design) -> anyhow::Result<()> {
        let targets: Vec<usize> = self.problem.targets().searched().collect();
        for target in targets {
            while self.free(Work::Measure { target }) > 0 {
                let Some(architecture) = self.most_telling(&state.history, target, from, design)? else { break };
                let text = self.problem.space().format(&architecture)?;
                let key = self.problem.key(&architecture)?;
                let known = state.history.known(&key).map(|known| known.number);
                let number = known.unwrap_or_else(|| state.history.next_number());
                let job = Job { number, candidate: Candidate { architecture, key }, work: Work::Measure { target } };
                state.history.begin(job.clone());
                self.workers.begin(job, text, None);
            }
        }
        Ok(())
    }

    /// The network to measure next on a target.
    fn most_telling(
        &mut self,
        history: &History,
        target: usize,
        from: Inherited,
        design: &mut Design,
    ) -> anyhow::Result<Option<Architecture>> {
        let pending = history.pending().iter().filter(|job| job.work == Work::Measure { target });
        let begun = begun(history, target).count() as u64 + pending.count() as u64;
        let trained = missing(history, target, from.evaluations);
        let mut networks: Vec<&Architecture> = trained.iter().map(|one| &one.architecture).collect();
        let unknown;
        match from.measure {
            Some(most) if begun >= most => return Ok(None),
            Some(_) => {
                networks.retain(|one| self.problem.available().is_none_or(|available| available.contains(*one)));
                unknown = design.unknown(&self.problem, history)?;
                networks.extend(&unknown);
            }
            None if begun >= Design::LEAST && !trained.is_empty() => {
                let place = self.strategy.most_telling(&self.problem, history, target, &trained)?;
                return Ok(trained.get(place).map(|one| one.architecture.clone()));
            }
            None => {}
        }
        Ok(design.best(&self.problem, history, target, &networks)?.cloned())
    }
}

/// Trained networks with a number below this that were not measured on a target, and have no job.
fn missing(history: &History, target: usize, below: u64) -> Vec<&Evaluation> {
    let is_missing = |one: &&Evaluation| {
        let is_unmeasured = !one.is_tried_on(target);
        one.status == Status::Ok && one.number < below && is_unmeasured && history.pending_job(&one.key).is_none()
    };
    history.evaluations().iter().filter(is_missing).collect()
}
