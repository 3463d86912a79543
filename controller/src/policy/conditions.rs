//! What a policy is conditioned on.

use anyhow::{Result, ensure};

use crate::preference::Preference;
use crate::target::Targets;

/// How a preference, and the target that it is for, become inputs of a policy: the weight of each objective, then, where there
/// are several targets, a 1 for the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// By target, the input of each of its objectives.
    places: Vec<Vec<usize>>,
    /// Objectives of all targets.
    objectives: usize,
}

impl Conditions {
    /// Those of a search.
    pub(crate) fn of(targets: &Targets) -> Self {
        let all = targets.objectives();
        let place = |objective| all.iter().position(|other| *other == objective);
        let places = targets.iter().map(|target| target.objectives.iter().filter_map(place).collect()).collect();
        Self { places, objectives: all.len() }
    }

    /// Number of inputs.
    pub(super) fn inputs(&self) -> usize {
        self.objectives + if self.places.len() > 1 { self.places.len() } else { 0 }
    }

    /// Adds the inputs of a preference to others.
    pub(super) fn extend(&self, inputs: &mut Vec<f32>, preference: &Preference) {
        let begin = inputs.len();
        inputs.resize(begin + self.inputs(), 0.0);
        for (place, weight) in self.places[preference.target()].iter().zip(preference.weights()) {
            inputs[begin + place] = *weight as f32;
        }
        if self.places.len() > 1 {
            inputs[begin + self.objectives + preference.target()] = 1.0;
        }
    }

    pub(super) fn check(&self, preference: &Preference) -> Result<()> {
        let (target, found) = (preference.target(), preference.weights().len());
        ensure!(target < self.places.len(), "the preference is for target {target}, which the policy does not know");
        let expected = self.places[target].len();
        ensure!(expected == found, "the preference has {found} weights, but the policy knows {expected} objectives");
        Ok(())
    }
}

/// A single target with a number of objectives.
impl From<usize> for Conditions {
    fn from(objectives: usize) -> Self {
        Self { places: vec![(0..objectives).collect()], objectives }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Bounds, Objective, Objectives};
    use crate::target::Target;

    #[test]
    fn a_preference_for_a_target_names_it() {
        use Objective::{Energy, Error, Time};
        let target = |name: &str, objectives: &[Objective]| {
            let objectives = Objectives::new(objectives).unwrap();
            Target { name: name.to_owned(), ..Target::unnamed(objectives, Bounds::default()) }
        };
        let targets = Targets::new(vec![target("a", &[Error, Time, Energy]), target("b", &[Error, Energy])]).unwrap();
        let conditions = Conditions::of(&targets);
        let mut inputs = Vec::new();
        let weights = Preference::new([0.25, 0.75]).unwrap();
        conditions.extend(&mut inputs, &weights.clone().on(1));
        assert_eq!(inputs, [0.25, 0.0, 0.75, 0.0, 1.0]);
        assert!(conditions.check(&weights.clone().on(1)).is_ok());
        assert!(conditions.check(&weights.clone().on(2)).is_err() && conditions.check(&weights).is_err());
        assert_eq!(Conditions::from(3).inputs(), 3);
    }
}
