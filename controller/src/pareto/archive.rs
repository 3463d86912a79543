//! The non-dominated evaluations seen so far.

use super::dominance::{dominates, weakly_dominates};

/// A member of the archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Number of the evaluation.
    pub id: u64,
    /// Its value for each objective, all finite.
    pub values: Vec<f64>,
}

/// What became of a vector given to [`Archive::insert`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Insertion {
    /// It is on the front now; these are not any more.
    Inserted {
        /// The members it dominates, in the order of their ids.
        removed: Vec<u64>,
    },
    /// A member dominates it.
    Dominated {
        /// The first such member.
        by: u64,
    },
    /// A member has exactly the same values.
    Duplicate {
        /// That member.
        of: u64,
    },
}

/// A vector that cannot be compared: a value is missing, infinite or not a number. It is never taken for 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotComparable {
    /// A value is missing.
    #[error("evaluation {id} has no value for objective number {index}, so it cannot be on a Pareto front")]
    Missing {
        /// Number of the evaluation.
        id: u64,
        /// Place of the objective, from 0.
        index: usize,
    },
    /// A value is infinite or not a number.
    #[error("evaluation {id} has a value for objective number {index} that is not finite")]
    NotFinite {
        /// Number of the evaluation.
        id: u64,
        /// Place of the objective, from 0.
        index: usize,
    },
    /// There is another number of values than of objectives.
    #[error("evaluation {id} has {found} values for {expected} objectives")]
    Length {
        /// Number of the evaluation.
        id: u64,
        /// Number of objectives.
        expected: usize,
        /// Number of values.
        found: usize,
    },
}

/// The Pareto front of everything inserted, kept up to date.
///
/// Ties: vectors equal in some objectives are compared in the others. Of vectors equal in all, the first one stays
/// and later ones are [`Insertion::Duplicate`]s, so that the front is a set of different trade-offs.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    objectives: usize,
    members: Vec<Member>,
}

impl Archive {
    /// An empty archive for vectors of that many values.
    pub fn new(objectives: usize) -> Self {
        Self { objectives, members: Vec::new() }
    }

    /// The members in the order of their insertion.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The members' values in the order of their insertion.
    pub fn points(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.members.iter().map(|member| member.values.as_slice())
    }

    /// Whether an evaluation is on the front.
    pub fn contains(&self, id: u64) -> bool {
        self.members.iter().any(|member| member.id == id)
    }

    /// Offers a vector to the archive; members that it dominates leave.
    ///
    /// # Errors
    /// If a value is missing or not finite, or there is another number of them than of objectives. The archive is
    /// unchanged then.
    pub fn insert(&mut self, values: &[Option<f64>], id: u64) -> Result<Insertion, NotComparable> {
        if values.len() != self.objectives {
            return Err(NotComparable::Length { id, expected: self.objectives, found: values.len() });
        }
        let mut point = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            match value {
                Some(value) if value.is_finite() => point.push(*value),
                Some(_) => return Err(NotComparable::NotFinite { id, index }),
                None => return Err(NotComparable::Missing { id, index }),
            }
        }
        if let Some(member) = self.members.iter().find(|member| weakly_dominates(&member.values, &point)) {
            let equal = member.values == point;
            return Ok(if equal {
                Insertion::Duplicate { of: member.id }
            } else {
                Insertion::Dominated { by: member.id }
            });
        }
        let mut removed: Vec<u64> =
            self.members.extract_if(.., |member| dominates(&point, &member.values)).map(|member| member.id).collect();
        removed.sort_unstable();
        self.members.push(Member { id, values: point });
        Ok(Insertion::Inserted { removed })
    }
}

#[cfg(test)]
mod tests {
    use super::super::non_dominated;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn missing_values_are_errors_and_change_nothing() {
        let mut archive = Archive::new(2);
        assert_eq!(archive.insert(&[Some(1.0), None], 7), Err(NotComparable::Missing { id: 7, index: 1 }));
        assert_eq!(archive.insert(&[Some(f64::NAN), None], 7), Err(NotComparable::NotFinite { id: 7, index: 0 }));
        let infinite = [Some(0.0), Some(f64::NEG_INFINITY)];
        assert_eq!(archive.insert(&infinite, 7), Err(NotComparable::NotFinite { id: 7, index: 1 }));
        assert_eq!(archive.insert(&[None], 7), Err(NotComparable::Length { id: 7, expected: 2, found: 1 }));
        assert!(archive.members().is_empty());
    }

    #[test]
    fn members_leave_when_dominated_and_duplicates_do_not_enter() {
        let mut archive = Archive::new(2);
        let mut insert = |a, b, id| archive.insert(&[Some(a), Some(b)], id).unwrap();
        assert_eq!(insert(2.0, 2.0, 0), Insertion::Inserted { removed: vec![] });
        assert_eq!(insert(2.0, 2.0, 1), Insertion::Duplicate { of: 0 });
        assert_eq!(insert(2.0, 3.0, 2), Insertion::Dominated { by: 0 });
        assert_eq!(insert(3.0, 1.0, 3), Insertion::Inserted { removed: vec![] });
        assert_eq!(insert(1.0, 1.0, 4), Insertion::Inserted { removed: vec![0, 3] });
        assert!(archive.contains(4) && !archive.contains(0));
    }

    proptest! {
        #[test]
        fn holds_exactly_the_non_dominated(points in prop::collection::vec(prop::collection::vec(0u8..5, 3), 0..25)) {
            let points: Vec<Vec<f64>> = points.iter().map(|p| p.iter().map(|&x| f64::from(x)).collect()).collect();
            let mut archive = Archive::new(3);
            for (id, point) in points.iter().enumerate() {
                let values: Vec<_> = point.iter().copied().map(Some).collect();
                archive.insert(&values, id as u64).unwrap();
            }
            let expected: Vec<_> = non_dominated(&points).into_iter().map(|index| index as u64).collect();
            prop_assert_eq!(archive.members().iter().map(|member| member.id).collect::<Vec<_>>(), expected);
        }
    }
}
