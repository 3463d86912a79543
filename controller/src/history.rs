//! Everything evaluated so far.

mod evaluation;
mod imports;
mod selection;

use std::collections::HashMap;
use std::slice;

use child::graph::CanonicalKey;
pub use evaluation::{Candidate, Evaluation};
pub use hardware::log::Status;
pub use imports::Import;
use imports::Imports;

use crate::objective::{Bounds, Objectives};
use crate::pareto::{Archive, Insertion, NotComparable, ReferencePoint};

/// The evaluations of a search in their order, with the Pareto front and its hypervolume kept up to date.
///
/// A network may be evaluated several times; everything here follows the mean of its measurements. The front is that of
/// all complete evaluations. One beyond a bound can be on it, but adds nothing to the hypervolume, whose
/// [`ReferencePoint`] is that bound.
#[derive(Debug, Clone)]
pub struct History {
    objectives: Objectives,
    bounds: Bounds,
    /// One a network: its evaluations merged.
    evaluations: Vec<Evaluation>,
    /// By place among those, what was merged where it was several.
    merged: HashMap<usize, Vec<Evaluation>>,
    by_key: HashMap<CanonicalKey, usize>,
    /// Of everything entered, which network it is of.
    by_number: HashMap<u64, usize>,
    archive: Archive,
    reference: ReferencePoint,
    share: Option<f64>,
    imports: Imports,
}

impl History {
    /// An empty history of a search for these objectives.
    pub fn new(objectives: Objectives, bounds: Bounds) -> Self {
        let archive = Archive::new(objectives.len());
        let reference = ReferencePoint::new(&objectives, &bounds, ReferencePoint::WARM_UP);
        let share = reference.share::<Vec<f64>>(&[]);
        Self {
            objectives,
            bounds,
            evaluations: Vec::new(),
            merged: HashMap::new(),
            by_key: HashMap::new(),
            by_number: HashMap::new(),
            archive,
            reference,
            share,
            imports: Imports::default(),
        }
    }

    /// Networks of which imports are learnt from at most.
    pub const MOST_IMPORTED: usize = Imports::MOST;

    /// Takes what other logs tell, in place of what was taken so before. It is found in
    /// [`instructive`](Self::instructive) and nowhere else: none of it was evaluated here.
    ///
    /// # Errors
    /// As [`push`](Self::push), numbers aside. The history is unchanged then.
    pub fn import(&mut self, imports: &[Import]) -> Result<(), HistoryError> {
        imports.iter().try_for_each(|import| self.check_values(&import.evaluation))?;
        self.imports = Imports::new(imports);
        Ok(())
    }

    /// What other logs tell of networks that were not evaluated here, as far as it is known at this moment: one
    /// evaluation a network, of which any value may be missing.
    pub fn imported(&self) -> impl Iterator<Item = &Evaluation> {
        let imported = self.imports.known(self.entered()).iter();
        imported.filter(|evaluation| !self.by_key.contains_key(&evaluation.key))
    }

    /// Everything that there is to learn from: what is [known](Self::evaluations) of each network, then what is
    /// [imported](Self::imported) of others.
    pub fn instructive(&self) -> Vec<&Evaluation> {
        self.evaluations.iter().chain(self.imported()).collect()
    }

    /// Up to `most` of what is [instructive](Self::instructive), in its order: the half that is best, within the bounds
    /// first; a quarter that was evaluated last; and some of all the rest. Nothing is left out that needs not be.
    pub fn most_instructive(&self, most: usize) -> Vec<&Evaluation> {
        let keeps_bounds = |evaluation: &Evaluation| self.bounds.are_kept(&self.objectives, &evaluation.values);
        selection::most_useful(&self.instructive(), 0..self.evaluations.len(), most, keeps_bounds)
    }

    /// Enters an evaluation and tells what it did to the front: nothing if its network is not complete.
    ///
    /// One more of a network that is known is merged with those before: each value becomes the mean of what successful
    /// evaluations found, and the front is made anew where that changes it (`None` then, too). One that failed changes
    /// nothing that is known.
    ///
    /// # Errors
    /// If a value cannot be one of its objective, there is another number of them than of objectives, or its number is
    /// taken. The history is unchanged then.
    pub fn push(&mut self, evaluation: Evaluation) -> Result<Option<Insertion>, HistoryError> {
        self.check(&evaluation)?;
        let (number, key) = (evaluation.number, evaluation.key);
        let index = *self.by_key.entry(key).or_insert(self.evaluations.len());
        self.by_number.insert(number, index);
        let before = if index == self.evaluations.len() {
            self.evaluations.push(evaluation);
            None
        } else {
            let first = || vec![self.evaluations[index].clone()];
            let several = self.merged.entry(index).or_insert_with(first);
            several.push(evaluation);
            let merged = Evaluation::merged(several);
            merged.and_then(|merged| std::mem::replace(&mut self.evaluations[index], merged).complete())
        };
        let now = self.evaluations[index].complete();
        let insertion = match (before, now) {
            (None, Some(values)) => {
                let evaluation = &self.evaluations[index];
                let insertion = self.archive.insert(&evaluation.values, evaluation.number)?;
                self.reference.observe(&values);
                Some(insertion)
            }
            (before, now) => {
                if before != now {
                    self.archive = self.rebuilt()?;
                    self.share = None;
                }
                None
            }
        };
        if self.share.is_none() || matches!(insertion, Some(Insertion::Inserted { .. })) {
            self.share = self.reference.share(&self.archive.points().collect::<Vec<_>>());
        }
        Ok(insertion)
    }

    fn check(&self, evaluation: &Evaluation) -> Result<(), HistoryError> {
        let number = evaluation.number;
        self.check_values(evaluation)?;
        if self.by_number.contains_key(&number) { Err(HistoryError::Number { number }) } else { Ok(()) }
    }

    fn check_values(&self, evaluation: &Evaluation) -> Result<(), HistoryError> {
        let number = evaluation.number;
        let expected = self.objectives.len();
        for found in [evaluation.values.len(), evaluation.deviations.len()] {
            if found != expected {
                return Err(HistoryError::Length { number, expected, found });
            }
        }
        for ((objective, value), deviation) in
            self.objectives.iter().zip(&evaluation.values).zip(&evaluation.deviations)
        {
            if let Some(found) = value.filter(|value| !objective.accepts(*value)) {
                return Err(HistoryError::Value { number, objective: objective.name(), found });
            }
            if let Some(found) = deviation.filter(|deviation| !(deviation.is_finite() && *deviation >= 0.0)) {
                return Err(HistoryError::Deviation { number, objective: objective.name(), found });
            }
        }
        Ok(())
    }

    /// The archive of the evaluations as they are now, as if each had been so from the beginning.
    fn rebuilt(&self) -> Result<Archive, NotComparable> {
        let mut complete: Vec<_> =
            self.evaluations.iter().filter(|evaluation| evaluation.complete().is_some()).collect();
        // Of equals the first to be complete stays, which one that was tried again need not be.
        complete.sort_by_key(|evaluation| evaluation.number);
        let mut archive = Archive::new(self.objectives.len());
        for evaluation in complete {
            archive.insert(&evaluation.values, evaluation.number)?;
        }
        Ok(archive)
    }

    /// What is known of each network, in the order in which they were first evaluated.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// Number of evaluations entered, repeats included: the rows of the journal.
    pub fn entered(&self) -> u64 {
        self.by_number.len() as u64
    }

    /// Of the evaluations entered, those of a network that was known already.
    pub fn repeats(&self) -> u64 {
        self.entered() - self.evaluations.len() as u64
    }

    /// Every evaluation of a network, as it was entered; empty if there is none.
    pub fn measurements(&self, key: &CanonicalKey) -> &[Evaluation] {
        let Some(index) = self.by_key.get(key) else { return &[] };
        self.merged.get(index).map_or_else(|| slice::from_ref(&self.evaluations[*index]), Vec::as_slice)
    }

    /// What is known of a network.
    pub fn known(&self, key: &CanonicalKey) -> Option<&Evaluation> {
        self.by_key.get(key).map(|index| &self.evaluations[*index])
    }

    /// What is known of the network that the evaluation with a number was of.
    pub fn get(&self, number: u64) -> Option<&Evaluation> {
        self.by_number.get(&number).map(|index| &self.evaluations[*index])
    }

    /// The evaluations that no other dominates.
    pub fn front(&self) -> impl Iterator<Item = &Evaluation> {
        self.archive.members().iter().filter_map(|member| self.get(member.id))
    }

    /// The non-dominated vectors.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Hypervolume of the front as a share of the box from 0 to the [`ReferencePoint`]. It never falls by a network
    /// that is new, but may by one that is measured again and turns out worse. None until the reference is fixed.
    pub fn hypervolume_share(&self) -> Option<f64> {
        self.share
    }

    /// The worst corner of the box in which the front is judged.
    pub fn reference(&self) -> &ReferencePoint {
        &self.reference
    }

    /// What is minimised.
    pub fn objectives(&self) -> &Objectives {
        &self.objectives
    }

    /// The bounds on it.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }
}

/// An evaluation that cannot be appended.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HistoryError {
    /// Another number of values than of objectives.
    #[error("evaluation {number} has {found} values for {expected} objectives")]
    Length {
        /// Number of the evaluation.
        number: u64,
        /// Number of objectives.
        expected: usize,
        /// Number of values.
        found: usize,
    },
    /// A value that its objective cannot have.
    #[error("evaluation {number} has {objective} = {found}, which is not possible")]
    Value {
        /// Number of the evaluation.
        number: u64,
        /// Name of the objective.
        objective: &'static str,
        /// The value.
        found: f64,
    },
    /// A deviation that is negative or not finite.
    #[error("evaluation {number} has a standard deviation of {objective} of {found}, which is not possible")]
    Deviation {
        /// Number of the evaluation.
        number: u64,
        /// Name of the objective.
        objective: &'static str,
        /// The deviation.
        found: f64,
    },
    /// Two evaluations with one number.
    #[error("there are two evaluations with number {number}")]
    Number {
        /// The number.
        number: u64,
    },
    /// A vector that the archive refuses.
    #[error(transparent)]
    NotComparable(#[from] NotComparable),
}

#[cfg(test)]
mod tests;
