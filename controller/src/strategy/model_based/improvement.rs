//! The expected improvement of all targets' fronts.

use super::acquisition::Acquisition;
use crate::history::History;
use crate::surrogate::Surrogate;
use crate::target::Targets;

/// The expected hypervolume improvements of the targets, and their weighted sum: a network is worth what it adds to all fronts.
///
/// Other weights, such as by what a front still lacks, took more trainings on tables of three boards.
#[derive(Debug, Clone)]
pub(in crate::strategy) struct Improvement<'a> {
    targets: &'a Targets,
    fronts: Vec<Acquisition>,
}

impl<'a> Improvement<'a> {
    /// For the fronts of a history, on the scales of its surrogate.
    pub fn of_history(history: &'a History, surrogate: &Surrogate) -> Self {
        let targets = history.targets();
        let of = |target| Acquisition::of_target(history, target, surrogate);
        Self { targets, fronts: (0..targets.len()).map(of).collect() }
    }

    /// Adds a network to the fronts of the targets that count, as if it was measured with these means, which are on their
    /// warps.
    pub fn believe(&mut self, means: &[f64], counts: &[bool]) {
        let fronts = self.fronts.iter_mut().enumerate().zip(counts).filter(|(_, counts)| **counts);
        fronts.for_each(|((target, front), _)| front.believe(&self.targets.of(target, means)));
    }

    /// Places of the targets that are searched for.
    pub fn targets(&self) -> Vec<usize> {
        self.targets.searched().collect()
    }

    /// The expected improvement of a target's front, times its weight; 0 if the target does not count.
    pub fn on(&self, target: usize, means: &[f64], deviations: &[f64], counts: &[bool]) -> f64 {
        if !counts[target] {
            return 0.0;
        }
        let [means, deviations] = [means, deviations].map(|all| self.targets.of(target, all));
        self.targets.get(target).weight * self.fronts[target].of(&means, &deviations)
    }

    /// The sum over the targets that count.
    pub fn of(&self, means: &[f64], deviations: &[f64], counts: &[bool]) -> f64 {
        self.targets.searched().map(|target| self.on(target, means, deviations, counts)).sum()
    }
}
