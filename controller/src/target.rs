//! The targets of a search: boards, or kinds of boards, each of which has a front of its own.
//!
//! The error of a network is the same on all targets, and so are its costs; time and energy are measured on each. A network's
//! values therefore lie in [`Column`]s: the common objectives once, time and energy once for each target. With one target the
//! columns are its objectives.

use std::slice;

use anyhow::{Result, ensure};

use crate::objective::{Bounds, Objective, Objectives};
use crate::pareto::{Given, ReferencePoint};

/// A board, or several that are alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name in the experiment; empty where a search has only one and nothing names it.
    pub name: String,
    /// The minimised objectives, in order.
    pub objectives: Objectives,
    /// Upper bounds on them.
    pub bounds: Bounds,
    /// Coordinates of the hypervolume's reference point that are given.
    pub reference: Given,
    /// Weight of its front beside those of other targets; with 0 it is not searched for, and its measurements only teach about
    /// the others.
    pub weight: f64,
}

/// One of the values of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The objective.
    pub objective: Objective,
    /// Place of the target that it is measured on; `None` where it is the same on all, or there is only one target.
    pub target: Option<usize>,
    /// `error`, `tx2.time_ms`; with one target that of the objective.
    pub name: String,
}

/// All targets of a search, at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    targets: Vec<Target>,
    columns: Vec<Column>,
    /// By target, the column of each of its objectives.
    places: Vec<Vec<usize>>,
}

impl Target {
    /// A target without a name.
    pub fn unnamed(objectives: Objectives, bounds: Bounds) -> Self {
        Self { name: String::new(), objectives, bounds, reference: Given::new(), weight: 1.0 }
    }

    /// Whether networks are searched for it.
    pub fn is_searched(&self) -> bool {
        self.weight > 0.0
    }

    fn check(&self) -> Result<()> {
        self.bounds.check(&self.objectives)?;
        ReferencePoint::check(&self.reference, Some(&self.objectives))?;
        let Self { name, weight, .. } = self;
        ensure!(weight.is_finite() && *weight >= 0.0, "targets.{name}.weight = {weight}: it must not be negative");
        Ok(())
    }
}

impl Targets {
    /// The targets in their order.
    ///
    /// # Errors
    /// If there is none, two have one name, a bound or a coordinate of a reference is on something that is not an
    /// objective, or a weight is negative.
    pub fn new(targets: Vec<Target>) -> Result<Self> {
        ensure!(
            targets.iter().any(|target| target.is_searched()),
            "a search has at least one target of a weight above 0"
        );
        for (index, target) in targets.iter().enumerate() {
            target.check()?;
            let name = &target.name;
            ensure!(targets[..index].iter().all(|other| other.name != *name), "two targets are called `{name}`");
        }
        let are_several = targets.len() > 1;
        let (mut columns, mut places) = (Vec::<Column>::new(), Vec::new());
        for (index, target) in targets.iter().enumerate() {
            let mut of_target = Vec::new();
            for objective in target.objectives.iter() {
                let on = (are_several && objective.depends_on_device()).then_some(index);
                let known = columns.iter().position(|column| (column.objective, column.target) == (objective, on));
                of_target.push(known.unwrap_or(columns.len()));
                if known.is_none() {
                    let name = on.map_or(objective.to_string(), |_| format!("{}.{objective}", target.name));
                    columns.push(Column { objective, target: on, name });
                }
            }
            places.push(of_target);
        }
        Ok(Self { targets, columns, places })
    }

    /// A single target without a name. Its bounds are checked where a problem is made of it.
    pub fn one(objectives: Objectives, bounds: Bounds) -> Self {
        Self::single(Target::unnamed(objectives, bounds))
    }

    /// A single target.
    pub fn single(target: Target) -> Self {
        let columns: Vec<Column> = target
            .objectives
            .iter()
            .map(|objective| Column { objective, target: None, name: objective.to_string() })
            .collect();
        Self { places: vec![(0..columns.len()).collect()], columns, targets: vec![target] }
    }

    /// All of them, in order.
    pub fn iter(&self) -> slice::Iter<'_, Target> {
        self.targets.iter()
    }

    /// Their number.
    #[allow(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        self.targets.len() > 1
    }

    /// Places of those that are searched for.
    pub fn searched(&self) -> impl DoubleEndedIterator<Item = usize> + Clone + '_ {
        (0..self.targets.len()).filter(|target| self.targets[*target].is_searched())
    }

    /// The one at a place.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn get(&self, target: usize) -> &Target {
        &self.targets[target]
    }

    /// Place of a target by its name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.targets.iter().position(|target| target.name == name)
    }

    /// What the values of a network are, in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns of a target's objectives, in their order.
    pub fn places(&self, target: usize) -> &[usize] {
        &self.places[target]
    }

    /// The column of an objective that is the same on all targets.
    pub fn common(&self, objective: Objective) -> Option<usize> {
        self.columns.iter().position(|column| column.objective == objective && column.target.is_none())
    }

    /// The objectives of all targets, each once.
    pub fn objectives(&self) -> Vec<Objective> {
        let mut found: Vec<Objective> = Vec::new();
        for column in &self.columns {
            if !found.contains(&column.objective) {
                found.push(column.objective);
            }
        }
        found
    }

    /// Those of a network's values that a target minimises.
    pub fn of<T: Clone>(&self, target: usize, values: &[T]) -> Vec<T> {
        self.places[target].iter().filter_map(|place| values.get(*place).cloned()).collect()
    }

    /// The values that a target minimises; `None` if one is missing.
    pub fn complete(&self, target: usize, values: &[Option<f64>]) -> Option<Vec<f64>> {
        self.places[target].iter().map(|place| values[*place]).collect()
    }

    /// Whether no known value of a network breaks a bound of the target.
    pub fn keeps_bounds(&self, target: usize, values: &[Option<f64>]) -> bool {
        let Target { objectives, bounds, .. } = &self.targets[target];
        bounds.are_kept(objectives, &self.of(target, values))
    }

    /// Whether a network keeps all bounds of some target that is searched for, as far as it is known.
    pub fn keeps_some_bounds(&self, values: &[Option<f64>]) -> bool {
        self.searched().any(|target| self.keeps_bounds(target, values))
    }

    /// By what share a network exceeds the bounds of the target that it is nearest to, as the sum over the objectives; `None`
    /// where it exceeds none that is known.
    pub(crate) fn excess(&self, values: &[Option<f64>]) -> Option<f64> {
        let on = |target: usize| -> f64 {
            let Target { objectives, bounds, .. } = &self.targets[target];
            bounds.violations(objectives, &self.of(target, values)).sum()
        };
        self.searched().map(on).filter(|excess| *excess > 0.0).reduce(f64::min)
    }

    /// Whether some target that is searched for has all values of a network, and they keep its bounds.
    pub fn is_feasible(&self, values: &[Option<f64>]) -> bool {
        self.searched().any(|target| self.complete(target, values).is_some() && self.keeps_bounds(target, values))
    }

    /// Whether some target that is searched for has all values of a network.
    pub fn is_complete(&self, values: &[Option<f64>]) -> bool {
        self.searched().any(|target| self.complete(target, values).is_some())
    }

    /// Whether some target that is searched for has all values of a network but the error, which its training gives.
    pub(crate) fn is_measured(&self, values: &[Option<f64>]) -> bool {
        let is_known =
            |column: &usize| self.columns[*column].objective == Objective::Error || values[*column].is_some();
        self.searched().any(|target| self.places[target].iter().all(is_known))
    }

    /// The names in order, separated by commas.
    pub(crate) fn names(&self) -> String {
        self.targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl<'a> IntoIterator for &'a Targets {
    type Item = &'a Target;
    type IntoIter = slice::Iter<'a, Target>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, objectives: &[Objective]) -> Target {
        let objectives = Objectives::new(objectives).unwrap();
        Target { name: name.to_owned(), ..Target::unnamed(objectives, Bounds::default()) }
    }

    #[test]
    fn common_objectives_have_one_column_and_measured_ones_one_for_each_target() {
        use Objective::{Energy, Error, Macs, Time};
        let both = vec![target("tx2", &[Error, Time, Energy, Macs]), target("ncs", &[Error, Time, Macs])];
        let targets = Targets::new(both.clone()).unwrap();
        let names: Vec<&str> = targets.columns().iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["error", "tx2.time_ms", "tx2.energy_mj", "macs", "ncs.time_ms"]);
        assert_eq!((targets.places(0), targets.places(1)), (&[0, 1, 2, 3][..], &[0, 4, 3][..]));
        assert_eq!(targets.of(1, &[1, 2, 3, 4, 5]), [1, 5, 4]);
        assert_eq!((targets.common(Error), targets.common(Time)), (Some(0), None));
        let values = [Some(0.1), Some(2.0), None, Some(4.0), Some(5.0)];
        assert_eq!((targets.complete(0, &values), targets.complete(1, &values)), (None, Some(vec![0.1, 5.0, 4.0])));
        let alone = Targets::new(both[..1].to_vec()).unwrap();
        assert!(alone.columns().iter().all(|column| column.target.is_none()));
        assert_eq!(alone.columns()[1].name, "time_ms");
    }

    #[test]
    fn bounds_are_those_of_each_target() {
        let mut tx2 = target("tx2", &[Objective::Error, Objective::Time]);
        tx2.bounds = Bounds::new([(Objective::Time, 4.0)]).unwrap();
        let targets = Targets::new(vec![tx2, target("ncs", &[Objective::Error, Objective::Time])]).unwrap();
        let kept = |values: [Option<f64>; 3]| [0, 1].map(|index| targets.keeps_bounds(index, &values));
        assert_eq!(kept([None, Some(5.0), None]), [false, true]);
        assert!(targets.keeps_some_bounds(&[None, Some(5.0), Some(9.0)]));
        assert!(!targets.is_feasible(&[Some(0.1), Some(5.0), None]));
        assert!(targets.is_feasible(&[Some(0.1), None, Some(5.0)]));
    }

    #[test]
    fn contradictions_are_rejected() {
        let one = || target("a", &[Objective::Error, Objective::Time]);
        let message = |targets: Vec<Target>| Targets::new(targets).unwrap_err().to_string();
        assert!(message(vec![one(), one()]).contains("two targets are called `a`"));
        assert!(message(Vec::new()).contains("at least one"));
        assert!(message(vec![Target { weight: 0.0, ..one() }]).contains("at least one"));
        assert!(
            message(vec![Target { weight: -1.0, ..one() }, target("b", &[Objective::Error, Objective::Time])])
                .contains("-1")
        );
        let bounds = Bounds::new([(Objective::Energy, 1.0)]).unwrap();
        assert!(message(vec![Target { bounds, ..one() }]).contains("energy_mj"));
    }
}
