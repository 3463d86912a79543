//! The reference point of a search, and the hypervolume as a share of its box.

use super::hypervolume::hypervolume;
use crate::objective::{Bounds, Objective, Objectives};

/// The worst corner of the box for the hypervolume of a search; the best corner is 0 in every objective.
///
/// A coordinate is the bound if there is one, else 1 for the error and 1.1 × the worst value among the first complete
/// evaluations otherwise (1 if that is 0). Once fixed, the point stays, so that the share falls only if a repeated
/// measurement of a member turns out worse.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferencePoint {
    known: Vec<Option<f64>>,
    worst: Vec<f64>,
    left: usize,
    fixed: Option<Vec<f64>>,
}

impl ReferencePoint {
    /// Complete evaluations before the point is fixed, if an objective has neither a bound nor a natural worst.
    pub const WARM_UP: usize = 10;
    /// Coordinate as a multiple of the worst value, so that a point at the edge still counts.
    const MARGIN: f64 = 1.1;

    /// The reference for objectives and bounds, fixed at once or after `warm_up` complete evaluations (at least one).
    pub fn new(objectives: &Objectives, bounds: &Bounds, warm_up: usize) -> Self {
        let natural = |objective| (objective == Objective::Error).then_some(1.0);
        let known: Vec<_> = objectives.iter().map(|objective| bounds.get(objective).or(natural(objective))).collect();
        let fixed = known.iter().copied().collect();
        Self { worst: vec![0.0; known.len()], known, left: warm_up.max(1), fixed }
    }

    /// Includes a complete evaluation; no effect once the point is fixed.
    pub fn observe(&mut self, values: &[f64]) {
        if self.fixed.is_some() {
            return;
        }
        self.worst.iter_mut().zip(values).for_each(|(worst, value)| *worst = worst.max(*value));
        self.left -= 1;
        if self.left == 0 {
            let coordinates = self.known.iter().zip(&self.worst).map(|(known, &worst)| {
                let beyond = if worst > 0.0 { Self::MARGIN * worst } else { 1.0 };
                known.unwrap_or(beyond)
            });
            self.fixed = Some(coordinates.collect());
        }
    }

    /// The point, once it is fixed.
    pub fn get(&self) -> Option<&[f64]> {
        self.fixed.as_deref()
    }

    /// Hypervolume of the points as a share of the box from 0 to the reference, in 0..=1; `None` until the point is fixed.
    pub fn share<P: AsRef<[f64]>>(&self, points: &[P]) -> Option<f64> {
        let reference = self.get()?;
        let scale = |point: &P| point.as_ref().iter().zip(reference).map(|(value, limit)| value / limit).collect();
        let scaled: Vec<Vec<f64>> = points.iter().map(scale).collect();
        // Rounding must not lift the share above 1, and an empty sum must not be −0.
        Some(hypervolume(&scaled, &vec![1.0; reference.len()]).min(1.0) + 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objectives() -> Objectives {
        Objectives::new([Objective::Error, Objective::Time, Objective::Energy]).unwrap()
    }

    #[test]
    fn the_point_waits_for_unbounded_objectives_and_then_stays() {
        let bounds = Bounds::new([(Objective::Time, 5.0)]).unwrap();
        let mut reference = ReferencePoint::new(&objectives(), &bounds, 2);
        reference.observe(&[0.4, 20.0, 10.0]);
        assert_eq!((reference.get(), reference.share(&[[0.0; 3]])), (None, None));
        reference.observe(&[0.5, 4.0, 30.0]);
        assert_eq!(reference.get(), Some(&[1.0, 5.0, 33.0][..]));
        reference.observe(&[0.5, 4.0, 90.0]);
        assert_eq!(reference.get(), Some(&[1.0, 5.0, 33.0][..]));
    }

    #[test]
    fn the_point_is_fixed_at_once_if_all_objectives_are_bounded() {
        let bounds = Bounds::new([(Objective::Time, 5.0), (Objective::Energy, 8.0), (Objective::Error, 0.5)]).unwrap();
        let reference = ReferencePoint::new(&objectives(), &bounds, 10);
        assert_eq!(reference.get(), Some(&[0.5, 5.0, 8.0][..]));
        assert_eq!(reference.share(&[[0.25, 2.5, 4.0]]), Some(0.125));
        assert_eq!(reference.share(&[[0.0, 0.0, 0.0]]), Some(1.0));
        assert_eq!(reference.share(&[[0.6, 0.0, 0.0]]), Some(0.0), "beyond a bound");
    }
}
