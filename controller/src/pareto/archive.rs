//! The non-dominated evaluations so far.

use super::dominance::{dominates, weakly_dominates};

/// A member of the archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Number of the evaluation.
    pub id: u64,
    /// Its value for each objective, all finite.
    pub values: Vec<f64>,
}

/// The Pareto front of all inserted vectors, kept up to date.
///
/// Vectors with equal values in some objectives are compared in the others. Of vectors equal in all objectives only the
/// first is kept, so that the front is a set of different trade-offs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Archive {
    /// In the order of their insertion.
    pub members: Vec<Member>,
}

impl Archive {
    /// The members' values in the order of their insertion.
    pub fn points(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.members.iter().map(|member| member.values.as_slice())
    }

    /// Whether an evaluation is on the front.
    pub fn contains(&self, id: u64) -> bool {
        self.members.iter().any(|member| member.id == id)
    }

    /// Inserts a vector of finite values unless a member dominates or equals it, and removes the members that it
    /// dominates. Returns whether it was inserted.
    pub fn insert(&mut self, values: &[f64], id: u64) -> bool {
        if self.members.iter().any(|member| weakly_dominates(&member.values, values)) {
            return false;
        }
        self.members.retain(|member| !dominates(values, &member.values));
        self.members.push(Member { id, values: values.to_vec() });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::non_dominated;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_leave_when_dominated_and_duplicates_do_not_enter() {
        let mut archive = Archive::default();
        let mut ids_after = |a, b, id| {
            let is_inserted = archive.insert(&[a, b], id);
            assert_eq!(is_inserted, archive.contains(id));
            archive.members.iter().map(|member| member.id).collect::<Vec<_>>()
        };
        assert_eq!(ids_after(2.0, 2.0, 0), [0]);
        assert_eq!(ids_after(2.0, 2.0, 1), [0], "a duplicate");
        assert_eq!(ids_after(2.0, 3.0, 2), [0], "dominated");
        assert_eq!(ids_after(3.0, 1.0, 3), [0, 3]);
        assert_eq!(ids_after(1.0, 1.0, 4), [4]);
    }

    proptest! {
        #[test]
        fn holds_exactly_the_non_dominated(points in prop::collection::vec(prop::collection::vec(0u8..5, 3), 0..25)) {
            let points: Vec<Vec<f64>> = points.iter().map(|p| p.iter().map(|&x| f64::from(x)).collect()).collect();
            let mut archive = Archive::default();
            for (id, point) in points.iter().enumerate() {
                archive.insert(point, id as u64);
            }
            let expected: Vec<_> = non_dominated(&points).into_iter().map(|index| index as u64).collect();
            prop_assert_eq!(archive.members.iter().map(|member| member.id).collect::<Vec<_>>(), expected);
        }
    }
}
