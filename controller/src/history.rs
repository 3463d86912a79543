//! Everything evaluated so far.

use std::collections::HashMap;

use child::graph::CanonicalKey;
use child::space::Architecture;
pub use hardware::log::Status;

use crate::objective::{Bounds, Objectives};
use crate::pareto::{Archive, Insertion, NotComparable, ReferencePoint};

/// A network that may be evaluated: how it is written, and what identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// One way to write the network.
    pub architecture: Architecture,
    /// The same for every way to write it.
    pub key: CanonicalKey,
}

/// What was found out about one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Its number in the journal.
    pub number: u64,
    /// How the network was written.
    pub architecture: Architecture,
    /// What identifies the network.
    pub key: CanonicalKey,
    /// For each of the search's [`Objectives`], what was measured, if it was.
    pub values: Vec<Option<f64>>,
    /// How it ended.
    pub status: Status,
}

impl Evaluation {
    /// The values, where none is missing.
    pub fn complete(&self) -> Option<Vec<f64>> {
        self.values.iter().copied().collect()
    }

    /// Whether everything was measured and every bound is kept.
    pub fn is_feasible(&self, objectives: &Objectives, bounds: &Bounds) -> bool {
        self.values.iter().all(Option::is_some) && bounds.are_kept(objectives, &self.values)
    }
}

/// The evaluations of a search in their order, with the Pareto front and its hypervolume kept up to date.
///
/// The front is that of all complete evaluations. One beyond a bound can be on it, but adds nothing to the
/// hypervolume, whose [`ReferencePoint`] is that bound.
#[derive(Debug, Clone)]
pub struct History {
    objectives: Objectives,
    bounds: Bounds,
    evaluations: Vec<Evaluation>,
    by_key: HashMap<CanonicalKey, usize>,
    by_number: HashMap<u64, usize>,
    archive: Archive,
    reference: ReferencePoint,
    share: Option<f64>,
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
            by_key: HashMap::new(),
            by_number: HashMap::new(),
            archive,
            reference,
            share,
        }
    }

    /// Appends an evaluation and tells what it did to the front: nothing if it is not complete.
    ///
    /// An evaluation that is not complete may be followed by another of the same network, which
    /// [`known`](Self::known) gives from then on.
    ///
    /// # Errors
    /// If a value cannot be one of its objective, there is another number of them than of objectives, its number is
    /// taken, or the network has a complete evaluation already. The history is unchanged then.
    pub fn push(&mut self, evaluation: Evaluation) -> Result<Option<Insertion>, HistoryError> {
        let number = evaluation.number;
        if evaluation.values.len() != self.objectives.len() {
            let (expected, found) = (self.objectives.len(), evaluation.values.len());
            return Err(HistoryError::Length { number, expected, found });
        }
        for (objective, value) in self.objectives.iter().zip(&evaluation.values) {
            if let Some(found) = value.filter(|value| !objective.accepts(*value)) {
                return Err(HistoryError::Value { number, objective: objective.name(), found });
            }
        }
        if self.by_number.contains_key(&number) {
            return Err(HistoryError::Number { number });
        }
        if let Some(earlier) = self.known(&evaluation.key).filter(|earlier| earlier.complete().is_some()) {
            return Err(HistoryError::Repeated { number, earlier: earlier.number });
        }
        let insertion = match evaluation.complete() {
            None => None,
            Some(values) => {
                let insertion = self.archive.insert(&evaluation.values, number)?;
                self.reference.observe(&values);
                Some(insertion)
            }
        };
        if self.share.is_none() || matches!(insertion, Some(Insertion::Inserted { .. })) {
            self.share = self.reference.share(&self.archive.points().collect::<Vec<_>>());
        }
        self.by_key.insert(evaluation.key, self.evaluations.len());
        self.by_number.insert(number, self.evaluations.len());
        self.evaluations.push(evaluation);
        Ok(insertion)
    }

    /// The evaluations in their order.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// What is known of a network: its last evaluation.
    pub fn known(&self, key: &CanonicalKey) -> Option<&Evaluation> {
        self.by_key.get(key).map(|index| &self.evaluations[*index])
    }

    /// The evaluation with a number.
    pub fn get(&self, number: u64) -> Option<&Evaluation> {
        self.by_number.get(&number).map(|index| &self.evaluations[*index])
    }

    /// The evaluations that no other dominates, in their order.
    pub fn front(&self) -> impl Iterator<Item = &Evaluation> {
        self.archive.members().iter().filter_map(|member| self.get(member.id))
    }

    /// The non-dominated vectors.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Hypervolume of the front as a share of the box from 0 to the [`ReferencePoint`]: it never falls. None until
    /// the reference is fixed.
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
    /// Two evaluations with one number.
    #[error("there are two evaluations with number {number}")]
    Number {
        /// The number.
        number: u64,
    },
    /// The network has been evaluated completely before.
    #[error("evaluation {number} repeats the network of evaluation {earlier}")]
    Repeated {
        /// Number of the evaluation.
        number: u64,
        /// Number of the earlier one.
        earlier: u64,
    },
    /// A vector that the archive refuses.
    #[error(transparent)]
    NotComparable(#[from] NotComparable),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Objective;
    use crate::strategy::toy;

    fn evaluation(number: u64, network: usize, values: [Option<f64>; 2]) -> Evaluation {
        toy::evaluation(number, network, values.to_vec())
    }

    fn history(bounds: &[(Objective, f64)]) -> History {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        History::new(objectives, Bounds::new(bounds.iter().copied()).unwrap())
    }

    #[test]
    fn keeps_front_and_share() {
        let mut history = history(&[(Objective::Time, 10.0)]);
        assert_eq!(history.hypervolume_share(), Some(0.0));
        history.push(evaluation(0, 0, [Some(0.5), Some(5.0)])).unwrap();
        assert_eq!(history.hypervolume_share(), Some(0.25));
        history.push(evaluation(1, 1, [Some(0.1), Some(20.0)])).unwrap();
        assert_eq!(history.hypervolume_share(), Some(0.25), "beyond the bound");
        assert!(!history.get(1).unwrap().is_feasible(history.objectives(), history.bounds()));
        assert_eq!(history.push(evaluation(2, 2, [None, Some(1.0)])), Ok(None));
        history.push(evaluation(3, 3, [Some(0.4), Some(5.0)])).unwrap();
        assert_eq!(history.hypervolume_share(), Some(0.3));
        assert_eq!(history.front().map(|evaluation| evaluation.number).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn refuses_what_cannot_be_and_repeats() {
        let mut history = history(&[]);
        history.push(evaluation(0, 0, [Some(0.5), None])).unwrap();
        history.push(evaluation(1, 0, [Some(0.5), Some(5.0)])).unwrap();
        assert_eq!(history.known(&toy::key(0)).unwrap().number, 1, "a failed one can be tried again");
        let repeated = HistoryError::Repeated { number: 2, earlier: 1 };
        assert_eq!(history.push(evaluation(2, 0, [Some(0.5), Some(5.0)])), Err(repeated));
        assert_eq!(history.push(evaluation(1, 1, [None, None])), Err(HistoryError::Number { number: 1 }));
        assert!(matches!(history.push(evaluation(2, 1, [Some(1.5), None])), Err(HistoryError::Value { .. })));
        assert!(matches!(history.push(toy::evaluation(2, 1, vec![None])), Err(HistoryError::Length { .. })));
        assert_eq!(history.evaluations().len(), 2);
    }

    #[test]
    fn share_appears_with_the_reference_and_never_falls() {
        let mut history = history(&[]);
        let mut last = 0.0;
        for number in 0..40u64 {
            let time_ms = 3.0 + ((number * 37) % 11) as f64;
            let error = ((number * 53) % 17) as f64 / 17.0;
            history.push(evaluation(number, number as usize, [Some(error), Some(time_ms)])).unwrap();
            match history.hypervolume_share() {
                None => assert!(number + 1 < ReferencePoint::WARM_UP as u64),
                Some(share) => {
                    assert!(number + 1 >= ReferencePoint::WARM_UP as u64 && share >= last && share <= 1.0);
                    last = share;
                }
            }
        }
        assert!(last > 0.0);
    }
}
