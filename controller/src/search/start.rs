//! The state that a search begins with, or goes on from.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hardware::log::Row;

use super::clock::Clock;
use super::{Search, State};
use crate::history::{Candidate, History, Job, Status, candidate_of};
use crate::run::Checkpoint;

impl Search {
    /// The state of a checkpoint with the rows since then, or the initial one.
    ///
    /// Devices and trainers go on from all rows that the journal has, with any checkpoint: they cannot do anything twice in
    /// the same way. On a log the search is a function of its experiment: it goes through its jobs again since the
    /// checkpoint, or from the begin, and takes their rows from the journal.
    pub(super) fn start(&mut self, checkpoint: Option<Checkpoint>) -> anyhow::Result<State> {
        let mut history = History::of(Arc::clone(self.problem.targets()));
        history.import(&self.imported)?;
        history.admits_disconnected = self.storage.journal.rows().any(|row| self.is_disconnected(row));
        let mut state = State {
            history,
            queue: VecDeque::new(),
            decisions: 0,
            clock: Clock::start(),
            earlier: Duration::ZERO,
            retried_from: self.retried_from(),
        };
        // Journals of earlier versions have no row for a measurement alone.
        let has_jobs = self.storage.journal.rows().any(|row| row.status == Status::Measured);
        let inherited = self.plan.inherited.map_or(0, |inherited| inherited.rows);
        let rows = match &checkpoint {
            _ if !self.workers.are_simulated() || !has_jobs => u64::MAX,
            Some(checkpoint) => checkpoint.rows.max(inherited),
            None => inherited,
        };
        let seen = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.rows.min(rows));
        self.enter_recovered(&mut state, seen)?;
        let mut pending = Vec::new();
        if let Some(checkpoint) = checkpoint {
            self.strategy.restore(&checkpoint.strategy)?;
            state.decisions = checkpoint.decisions;
            state.earlier = checkpoint.elapsed;
            self.workers.set_now(checkpoint.elapsed);
            for saved in checkpoint.pending {
                let architecture = self.problem.space().parse(&saved.architecture).context("the checkpoint")?;
                let candidate = Candidate { key: self.problem.key(&architecture)?, architecture };
                let job = Job { number: saved.number, candidate, work: saved.work };
                state.history.begin(job.clone());
                pending.push((job, saved.begun, saved.times));
            }
        }
        self.enter_recovered(&mut state, rows)?;
        // The rows since the checkpoint have ended some of its jobs.
        pending.retain(|(job, ..)| state.history.pending().contains(job));
        self.observers.iter_mut().for_each(|observer| observer.start(&self.plan, &state.history));
        self.workers.resumed(state.history.pending());
        for (job, begun, times) in pending {
            if begun {
                let text = self.problem.space().format(&job.candidate.architecture)?;
                self.workers.begin(job, text, times);
            } else {
                state.queue.push_back(job);
            }
        }
        Ok(state)
    }

    /// Enters the rows of the journal until so many are entered.
    fn enter_recovered(&mut self, state: &mut State, rows: u64) -> anyhow::Result<()> {
        while state.history.entered() < rows {
            let Some(row) = self.storage.journal.take() else { break };
            state.history.enter(&self.problem, &row)?;
        }
        Ok(())
    }

    /// Whether a row is of a network without a path from the image to the logits, which earlier versions evaluated.
    fn is_disconnected(&self, row: &Row) -> bool {
        let candidate = (row.status == Status::Failed).then(|| candidate_of(&self.problem, row).ok()).flatten();
        candidate.is_some_and(|found| self.problem.is_connected(&found.architecture).is_ok_and(|connected| !connected))
    }
}
