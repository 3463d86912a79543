//! Strategies that know whole networks only: each is measured, then trained in full.

use anyhow::{Context as _, Result};

use super::unseen::Unseen;
use super::{Decision, Diagnostics, Proposal, Room, Strategy, WantedJob};
use crate::history::History;
use crate::policy::Policy;
use crate::problem::Problem;
use crate::seal::{open, seal};

/// Proposes whole networks, and learns from their evaluations.
pub(super) trait Proposer: Send {
    /// Name in experiment files.
    fn name(&self) -> &'static str;

    /// Proposes up to `count` different networks that can be evaluated and are not taken; fewer only if it finds no more.
    /// Networks that are known may be among them besides: they cost nothing, and it can learn from them.
    fn propose(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Proposal>>;

    /// Whether it proposes in rounds, and learns from one when all of its networks are evaluated.
    fn has_rounds(&self) -> bool {
        false
    }

    /// Learns from a round. Proposals that were not evaluated, because the search ended, are skipped.
    fn learn(&mut self, problem: &Problem, _history: &History, round: &[Proposal]) -> Result<Diagnostics> {
        Ok(Diagnostics::of_round(problem, round))
    }

    /// The present policy, if it has one.
    fn policy(&self) -> Option<&Policy> {
        None
    }

    /// The state that determines the next proposals, generator included.
    fn save(&self) -> Result<Vec<u8>>;

    /// Restores a saved state; an unusable one changes nothing.
    fn restore(&mut self, state: &[u8]) -> Result<()>;
}

/// Measures each proposed network, then trains it in full unless it breaks a bound. As many networks are under way as
/// there are trainers, so that the next one is measured while others are trained.
pub(super) struct MeasureFirst<P> {
    proposer: P,
    /// Rounds whose networks are not all evaluated, the first one first.
    rounds: Vec<Vec<Proposal>>,
}

impl<P: Proposer> MeasureFirst<P> {
    pub fn new(proposer: P) -> Self {
        Self { proposer, rounds: Vec::new() }
    }
}

impl<P: Proposer> Strategy for MeasureFirst<P> {
    fn name(&self) -> &'static str {
        self.proposer.name()
    }

    fn ask(&mut self, problem: &Problem, history: &History, room: &Room) -> Result<Decision> {
        let diagnostics = self.learn(problem, history)?;
        let epochs = problem.fidelity().full_epochs;
        let measured = history.evaluations().iter().filter(|evaluation| !evaluation.status.is_end());
        let waiting: Vec<_> = measured.filter(|evaluation| history.pending_job(&evaluation.key).is_none()).collect();
        let trained = waiting.len().min(room.trainings);
        let mut jobs: Vec<_> = waiting[..trained].iter().map(|one| WantedJob::training(one, epochs)).collect();
        let measuring = history.networks_to_measure();
        // Networks that will be trained besides those that are.
        let ahead = waiting.len() - trained + measuring;
        let missing = room.trainers.saturating_sub(ahead);
        if room.measurements > 0 && missing > 0 {
            let count = if self.proposer.has_rounds() { room.batch } else { missing };
            let round = self.proposer.propose(problem, history, count)?;
            let mut unseen = Unseen::new(problem, history);
            for proposal in &round {
                // An episode may be of a network that is known, or cannot be evaluated.
                if unseen.take(&proposal.architecture)? {
                    jobs.extend(WantedJob::measurements(problem, &proposal.architecture));
                }
            }
            if !round.is_empty() {
                self.rounds.push(round);
            }
        }
        Ok(Decision { jobs, diagnostics })
    }

    /// From the first rounds, as far as their evaluations have ended.
    fn learn(&mut self, problem: &Problem, history: &History) -> Result<Option<Diagnostics>> {
        let mut diagnostics = None;
        while let Some(round) = self.rounds.first() {
            for proposal in round {
                let key = problem.key(&proposal.architecture)?;
                let is_open = history.known(&key).is_some_and(|known| !known.status.is_end());
                if is_open || history.pending_job(&key).is_some() {
                    return Ok(diagnostics);
                }
            }
            let round = self.rounds.remove(0);
            diagnostics = Some(self.proposer.learn(problem, history, &round)?);
        }
        Ok(diagnostics)
    }

    fn policy(&self) -> Option<&Policy> {
        self.proposer.policy()
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok(seal(self.name(), &[&self.proposer.save()?, &serde_json::to_vec(&self.rounds)?]))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let [proposer, rounds] = open(self.name(), state)?;
        let rounds = serde_json::from_slice(rounds).context("the saved rounds do not fit")?;
        self.proposer.restore(proposer)?;
        self.rounds = rounds;
        Ok(())
    }
}
