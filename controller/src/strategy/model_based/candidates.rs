//! Candidates for the next networks.

use std::collections::{BTreeSet, HashSet};

use child::space::{Architecture, SearchSpace};
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::history::{Evaluation, History};
use crate::pareto::{non_dominated, weakly_dominates};
use crate::problem::Problem;

/// Different architectures that the history does not know, and that can be evaluated.
#[derive(Debug)]
pub(in crate::strategy) struct Candidates<'a> {
    available: Option<&'a BTreeSet<Architecture>>,
    known: HashSet<&'a Architecture>,
    /// In the order in which they were added.
    pub found: Vec<Architecture>,
    taken: HashSet<Architecture>,
}

impl<'a> Candidates<'a> {
    /// An empty list.
    pub fn new(problem: &'a Problem, history: &'a History) -> Self {
        let evaluated = history.evaluations().iter().map(|evaluation| &evaluation.architecture);
        let pending = history.pending().iter().map(|job| &job.candidate.architecture);
        let (available, known) = (problem.available(), evaluated.chain(pending).collect());
        Self { available, known, found: Vec::new(), taken: HashSet::new() }
    }

    /// Adds an architecture if it is new.
    pub fn push(&mut self, architecture: Architecture) {
        let is_available = self.available.is_none_or(|available| available.contains(&architecture));
        if is_available && !self.known.contains(&architecture) && self.taken.insert(architecture.clone()) {
            self.found.push(architecture);
        }
    }

    /// Adds up to `count` random architectures.
    pub fn push_random(&mut self, space: &dyn SearchSpace, count: usize, rng: &mut ChaCha8Rng) {
        match self.available {
            Some(available) => {
                available
                    .iter()
                    .sample(rng, count)
                    .into_iter()
                    .for_each(|architecture| self.push(architecture.clone()));
            }
            None => (0..count).for_each(|_| self.push(space.random(rng))),
        }
    }

    /// Adds the neighbours of some [`members`], which differ in one choice: all of them, or `most` at random.
    pub fn push_neighbours(
        &mut self,
        space: &dyn SearchSpace,
        members: &[&Evaluation],
        most: usize,
        rng: &mut ChaCha8Rng,
    ) {
        let all = members.iter().flat_map(|member| neighbours(space, &member.architecture));
        // In the order of the front, so that the same draws give the same order.
        let mut drawn: Vec<(usize, Architecture)> = all.enumerate().sample(rng, most);
        drawn.sort_by_key(|(place, _)| *place);
        drawn.into_iter().for_each(|(_, architecture)| self.push(architecture));
    }

    /// Adds up to `count` random architectures that differ from one of some [`members`] in up to two choices.
    pub fn push_second_neighbours(
        &mut self,
        space: &dyn SearchSpace,
        members: &[&Evaluation],
        count: usize,
        rng: &mut ChaCha8Rng,
    ) {
        for _ in 0..count {
            let Some(member) = members.choose(rng) else { break };
            let neighbour = space.mutate(&member.architecture, rng);
            self.push(space.mutate(&neighbour, rng));
        }
    }
}

/// The front, with the imports that would be on it. Members that break a bound are left out if another member keeps all
/// bounds.
pub(super) fn members<'a>(problem: &Problem, history: &'a History) -> Vec<&'a Evaluation> {
    let is_feasible = |member: &&Evaluation| problem.targets().is_feasible(&member.values);
    let members: Vec<&Evaluation> = history.front().chain(on_the_front(history)).collect();
    let any = members.iter().any(is_feasible);
    members.into_iter().filter(|member| !any || is_feasible(member)).collect()
}

/// The imports that neither the front of some target nor other imports dominate.
fn on_the_front(history: &History) -> impl Iterator<Item = &Evaluation> {
    (0..history.targets().len()).flat_map(move |target| {
        let complete = history
            .imported()
            .filter_map(move |evaluation| Some((evaluation, history.targets().complete(target, &evaluation.values)?)));
        let (evaluations, points): (Vec<_>, Vec<_>) = complete.unzip();
        let front = non_dominated(&points).into_iter();
        let archive = history.archive(target);
        let stays = move |index: &usize| !archive.points().any(|member| weakly_dominates(member, &points[*index]));
        front.filter(stays).map(move |index| evaluations[index])
    })
}

/// All architectures that differ in one decision.
fn neighbours<'a>(
    space: &'a dyn SearchSpace,
    architecture: &'a Architecture,
) -> impl Iterator<Item = Architecture> + 'a {
    space.decisions().iter().enumerate().flat_map(move |(index, decision)| {
        let others = (0..decision.choices.len()).filter(move |choice| *choice != architecture.choices()[index]);
        others.map(move |choice| {
            let mut choices = architecture.choices().to_vec();
            choices[index] = choice;
            Architecture::new(choices)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::toy;
    use super::*;
    use crate::strategy::Proposal;
    use rand::SeedableRng;

    #[test]
    fn candidates_are_new_different_and_near_the_front() {
        let problem = toy::problem(&[2, 3, 2]);
        let mut history = toy::history(&problem);
        let architecture = Architecture::new([0, 0, 0]);
        toy::evaluate(&problem, &mut history, &[Proposal { architecture, preference: None }]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut candidates = Candidates::new(&problem, &history);
        let (space, members) = (problem.space(), members(&problem, &history));
        candidates.push_neighbours(space, &members, 100, &mut rng);
        assert_eq!(candidates.found.len(), 4);
        (0..500).for_each(|_| candidates.push(space.random(&mut rng)));
        assert_eq!(candidates.found.len(), 11, "all of the space but the known one");
        let mut second = Candidates::new(&problem, &history);
        second.push_second_neighbours(space, &members, 500, &mut rng);
        let changed = |found: &Architecture| found.choices().iter().filter(|choice| **choice > 0).count();
        assert!(second.found.iter().any(|found| changed(found) == 2), "{:?}", second.found);
        assert!(second.found.iter().all(|found| (1..=2).contains(&changed(found))), "{:?}", second.found);
        let mut few = Candidates::new(&problem, &history);
        few.push_neighbours(space, &members, 2, &mut rng);
        assert_eq!(few.found.len(), 2);
    }
}
