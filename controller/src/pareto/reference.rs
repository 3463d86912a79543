//! The reference point of a search, and the hypervolume as a share of its box.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::hypervolume::hypervolume;
use crate::objective::{Bounds, Objective, Objectives};

/// Coordinates of a reference point that the user sets, by objective.
pub type Given = BTreeMap<Objective, f64>;

/// The origin of a coordinate of a reference point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The experiment, which for a replay has the log's worst value.
    Given,
    /// The bound on the objective.
    Bound,
    /// The largest value that is possible.
    Largest,
    /// The worst of the first complete evaluations.
    First,
}

/// The worst corner of the box for the hypervolume of a search; the best corner is 0 in every objective.
///
/// A coordinate is the given one, else the bound if there is one, else 1 for the error and 1.1 × the worst value among the
/// first complete evaluations otherwise (1 if that is 0). Once fixed, the point stays, so that the share falls only if a
/// repeated measurement of a member turns out worse.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferencePoint {
    known: Vec<Option<f64>>,
    origins: Vec<Origin>,
    worst: Vec<f64>,
    left: usize,
    fixed: Option<Vec<f64>>,
}

impl ReferencePoint {
    /// Complete evaluations before the point is fixed, if an objective has neither a bound nor a natural worst.
    pub const WARM_UP: usize = 10;

    /// Coordinate as a multiple of the worst value, so that a point at the edge still counts.
    pub(crate) const MARGIN: f64 = 1.1;

    /// The reference for objectives, bounds and given coordinates, fixed at once or after `warm_up` complete evaluations
    /// (at least one).
    pub fn new(objectives: &Objectives, bounds: &Bounds, given: &Given, warm_up: usize) -> Self {
        let coordinate = |objective| {
            if let Some(given) = given.get(&objective) {
                (Some(*given), Origin::Given)
            } else if let Some(bound) = bounds.get(objective) {
                (Some(bound), Origin::Bound)
            } else if objective == Objective::Error {
                (Some(1.0), Origin::Largest)
            } else {
                (None, Origin::First)
            }
        };
        let (known, origins): (Vec<_>, Vec<_>) = objectives.iter().map(coordinate).unzip();
        let fixed = known.iter().copied().collect();
        Self { worst: vec![0.0; known.len()], known, origins, left: warm_up.max(1), fixed }
    }

    /// Checks coordinates that a user gives.
    ///
    /// # Errors
    /// If one is not positive and finite, or is of something that is not an objective.
    pub fn check(given: &Given, objectives: Option<&Objectives>) -> Result<()> {
        for (objective, value) in given {
            ensure!(
                objective.accepts(*value) && *value > 0.0,
                "search.reference.{objective} = {value}: it must be positive and finite, and for `error` at most 1"
            );
            ensure!(
                objectives.is_none_or(|objectives| objectives.position(*objective).is_some()),
                "search.reference.{objective} = {value}: `{objective}` is not among the objectives"
            );
        }
        Ok(())
    }

    /// The point and the origin of its coordinates, as a text: `error 1 (the largest), time_ms 4 (its bound)`; `None`
    /// until it is fixed.
    pub fn in_words(&self, objectives: &Objectives) -> Option<String> {
        let coordinates = objectives.iter().zip(self.get()?).zip(&self.origins);
        let words = coordinates.map(|((objective, value), origin)| {
            let origin = match origin {
                Origin::Given => "search.reference",
                Origin::Bound => "its bound",
                Origin::Largest => "the largest",
                Origin::First => "1.1 × the worst of the first evaluations",
            };
            format!("{objective} {} ({origin})", rounded(*value))
        });
        Some(words.collect::<Vec<_>>().join(", "))
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

/// A value with four significant digits, without trailing zeros.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
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
        let mut reference = ReferencePoint::new(&objectives(), &bounds, &Given::new(), 2);
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
        let reference = ReferencePoint::new(&objectives(), &bounds, &Given::new(), 10);
        assert_eq!(reference.get(), Some(&[0.5, 5.0, 8.0][..]));
        assert_eq!(reference.share(&[[0.25, 2.5, 4.0]]), Some(0.125));
        assert_eq!(reference.share(&[[0.0, 0.0, 0.0]]), Some(1.0));
        assert_eq!(reference.share(&[[0.6, 0.0, 0.0]]), Some(0.0), "beyond a bound");
    }
    #[test]
    fn a_given_coordinate_comes_before_a_bound_and_every_origin_is_named() {
        let bounds = Bounds::new([(Objective::Time, 5.0)]).unwrap();
        let given = Given::from([(Objective::Energy, 33.333_33), (Objective::Time, 9.0)]);
        let reference = ReferencePoint::new(&objectives(), &bounds, &given, 10);
        assert_eq!(reference.get(), Some(&[1.0, 9.0, 33.333_33][..]));
        let words = reference.in_words(&objectives()).unwrap();
        assert_eq!(words, "error 1 (the largest), time_ms 9 (search.reference), energy_mj 33.33 (search.reference)");
    }

    #[test]
    fn given_coordinates_are_checked() {
        for (objective, value) in [(Objective::Error, 1.5), (Objective::Time, 0.0), (Objective::Macs, 3.0)] {
            let error = ReferencePoint::check(&Given::from([(objective, value)]), Some(&objectives())).unwrap_err();
            assert!(error.to_string().starts_with(&format!("search.reference.{objective} = {value}: ")), "{error}");
        }
    }
}
