//! What is minimised: objectives, their validated list, and upper bounds on them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One thing to minimise. Its name in files is [`Objective::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Objective {
    /// Classification error on the validation images, a fraction in 0..=1.
    Error,
    /// Time of one inference on the device.
    Time,
    /// Energy of one inference on the device.
    Energy,
    /// Number of weights.
    Parameters,
    /// Multiply-accumulates of one inference.
    Macs,
    /// Most bytes of activations alive at once.
    ActivationBytes,
}

impl Objective {
    /// Every objective there is.
    pub const ALL: [Self; 6] =
        [Self::Error, Self::Time, Self::Energy, Self::Parameters, Self::Macs, Self::ActivationBytes];

    /// Name in experiment files, journals and tables; it carries the unit where the type has none.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Time => "time_ms",
            Self::Energy => "energy_mj",
            Self::Parameters => "parameters",
            Self::Macs => "macs",
            Self::ActivationBytes => "activation_bytes",
        }
    }

    /// Unit of its values, empty for a plain number.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Time => "ms",
            Self::Energy => "mJ",
            Self::ActivationBytes => "B",
            Self::Error | Self::Parameters | Self::Macs => "",
        }
    }

    /// Whether ratios rather than differences matter: all but the error, which is bounded already.
    pub fn is_log_scaled(self) -> bool {
        self != Self::Error
    }

    /// Whether a value can be one of this objective: finite, not negative, and for the error at most 1.
    pub fn accepts(self, value: f64) -> bool {
        value.is_finite() && value >= 0.0 && (self != Self::Error || value <= 1.0)
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<Objective> for String {
    fn from(objective: Objective) -> Self {
        objective.name().to_owned()
    }
}

impl TryFrom<String> for Objective {
    type Error = UnknownObjective;

    fn try_from(name: String) -> Result<Self, UnknownObjective> {
        name.parse()
    }
}

impl FromStr for Objective {
    type Err = UnknownObjective;

    fn from_str(name: &str) -> Result<Self, UnknownObjective> {
        Self::ALL.into_iter().find(|objective| objective.name() == name).ok_or_else(|| {
            let similarity = |objective: &Self| strsim::jaro_winkler(objective.name(), name);
            let nearest = Self::ALL.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
            UnknownObjective { found: name.to_owned(), nearest: nearest.unwrap_or(Self::Error) }
        })
    }
}

/// A name that is no objective's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown objective `{found}`: did you mean `{nearest}`? (there are {})", Objective::ALL.map(Objective::name).join(", "))]
pub struct UnknownObjective {
    /// The name as it was written.
    pub found: String,
    /// The objective with the most similar name.
    pub nearest: Objective,
}

/// The objectives of a search, in the order in which every vector of values lists them: two to five, all different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Objective>", into = "Vec<Objective>")]
pub struct Objectives(Vec<Objective>);

impl Objectives {
    /// Fewest objectives of a search.
    pub const MIN: usize = 2;
    /// Most objectives of a search: exact hypervolumes get dear beyond.
    pub const MAX: usize = 5;

    /// A list of objectives.
    ///
    /// # Errors
    /// If there are fewer than two or more than five, or one stands twice.
    pub fn new(objectives: impl Into<Vec<Objective>>) -> Result<Self, ObjectivesError> {
        let objectives = objectives.into();
        if !(Self::MIN..=Self::MAX).contains(&objectives.len()) {
            return Err(ObjectivesError::Count { found: objectives.len() });
        }
        match (1..objectives.len()).find(|&index| objectives[..index].contains(&objectives[index])) {
            Some(index) => Err(ObjectivesError::Duplicate { objective: objectives[index] }),
            None => Ok(Self(objectives)),
        }
    }

    /// The objectives in order.
    pub fn as_slice(&self) -> &[Objective] {
        &self.0
    }

    /// The objectives in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Objective> + '_ {
        self.0.iter().copied()
    }

    /// Number of objectives.
    #[allow(clippy::len_without_is_empty, reason = "there are always at least two")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Place of an objective in the list, if it is there.
    pub fn position(&self, objective: Objective) -> Option<usize> {
        self.0.iter().position(|other| *other == objective)
    }
}

impl TryFrom<Vec<Objective>> for Objectives {
    type Error = ObjectivesError;

    fn try_from(objectives: Vec<Objective>) -> Result<Self, ObjectivesError> {
        Self::new(objectives)
    }
}

impl From<Objectives> for Vec<Objective> {
    fn from(objectives: Objectives) -> Self {
        objectives.0
    }
}

/// A list that cannot be the objectives of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectivesError {
    /// Too few or too many.
    #[error("a search has {} to {} objectives, not {found}", Objectives::MIN, Objectives::MAX)]
    Count {
        /// How many were given.
        found: usize,
    },
    /// One is named twice.
    #[error("the objective `{objective}` is named twice")]
    Duplicate {
        /// Which one.
        objective: Objective,
    },
}

/// Upper bounds on objectives. An objective without one is free.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Objective, f64>", into = "BTreeMap<Objective, f64>")]
pub struct Bounds(BTreeMap<Objective, f64>);

impl Bounds {
    /// Bounds by objective.
    ///
    /// # Errors
    /// If a bound is not a positive number, or one on the error is above 1.
    pub fn new(bounds: impl IntoIterator<Item = (Objective, f64)>) -> Result<Self, BoundsError> {
        let bounds: BTreeMap<_, _> = bounds.into_iter().collect();
        match bounds.iter().find(|(objective, bound)| !objective.accepts(**bound) || **bound == 0.0) {
            Some((&objective, &found)) => Err(BoundsError::Value { objective, found }),
            None => Ok(Self(bounds)),
        }
    }

    /// The bound on an objective, if there is one.
    pub fn get(&self, objective: Objective) -> Option<f64> {
        self.0.get(&objective).copied()
    }

    /// These bounds with others in their place where both bound the same objective.
    #[must_use]
    pub fn overridden_by(&self, others: &Self) -> Self {
        let mut bounds = self.0.clone();
        bounds.extend(&others.0);
        Self(bounds)
    }

    /// Whether nothing is bounded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that every bound is on one of the objectives: nothing else is measured.
    ///
    /// # Errors
    /// The first bound that is on something else.
    pub fn check(&self, objectives: &Objectives) -> Result<(), BoundsError> {
        match self.0.keys().find(|objective| objectives.position(**objective).is_none()) {
            Some(&objective) => Err(BoundsError::NotAnObjective { objective }),
            None => Ok(()),
        }
    }

    /// For each objective, by how much of its bound a value breaks it: 0 where it keeps it, has none, or is missing.
    pub fn violations<'a>(
        &'a self,
        objectives: &'a Objectives,
        values: &'a [Option<f64>],
    ) -> impl Iterator<Item = f64> + 'a {
        objectives.iter().zip(values).map(|(objective, value)| match (self.get(objective), value) {
            (Some(bound), Some(value)) => (value / bound - 1.0).max(0.0),
            _ => 0.0,
        })
    }

    /// Whether no measured value breaks its bound.
    pub fn are_kept(&self, objectives: &Objectives, values: &[Option<f64>]) -> bool {
        self.violations(objectives, values).all(|violation| violation == 0.0)
    }
}

impl TryFrom<BTreeMap<Objective, f64>> for Bounds {
    type Error = BoundsError;

    fn try_from(bounds: BTreeMap<Objective, f64>) -> Result<Self, BoundsError> {
        Self::new(bounds)
    }
}

impl From<Bounds> for BTreeMap<Objective, f64> {
    fn from(bounds: Bounds) -> Self {
        bounds.0
    }
}

/// A bound that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BoundsError {
    /// Not a positive number, or an error above 1.
    #[error(
        "the bound on `{objective}` is {found}: it must be positive and finite, and for `error` a fraction up to 1"
    )]
    Value {
        /// What is bounded.
        objective: Objective,
        /// The bound given.
        found: f64,
    },
    /// Nothing measures it.
    #[error("there is a bound on `{objective}`, which is not among the objectives: add it there or drop the bound")]
    NotAnObjective {
        /// What is bounded.
        objective: Objective,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_the_nearest_is_offered() {
        for objective in Objective::ALL {
            assert_eq!(objective.name().parse::<Objective>(), Ok(objective));
        }
        let error = "time".parse::<Objective>().unwrap_err();
        assert_eq!(error.nearest, Objective::Time);
        assert!(error.to_string().contains("did you mean `time_ms`"), "{error}");
        assert_eq!("energy_j".parse::<Objective>().unwrap_err().nearest, Objective::Energy);
    }

    #[test]
    fn lists_are_checked() {
        use Objective::{Energy, Error, Time};
        assert_eq!(Objectives::new([Error]), Err(ObjectivesError::Count { found: 1 }));
        assert_eq!(Objectives::new(Objective::ALL), Err(ObjectivesError::Count { found: 6 }));
        assert_eq!(Objectives::new([Error, Time, Error]), Err(ObjectivesError::Duplicate { objective: Error }));
        assert_eq!(Objectives::new([Error, Time, Energy]).unwrap().position(Energy), Some(2));
    }

    #[derive(Debug, Deserialize)]
    struct File {
        objectives: Objectives,
        bounds: Bounds,
    }

    #[test]
    fn files_are_read_and_refused() {
        let file: File = toml::from_str("objectives = ['error', 'time_ms']\nbounds = { error = 0.2 }").unwrap();
        assert_eq!(file.bounds.get(Objective::Error), Some(0.2));
        file.bounds.check(&file.objectives).unwrap();
        let cases = [
            ("objectives = ['error', 'speed']\nbounds = {}", "unknown objective `speed`"),
            ("objectives = ['error', 'error']\nbounds = {}", "`error` is named twice"),
            ("objectives = ['error', 'time_ms']\nbounds = { error = 20 }", "the bound on `error` is 20"),
            ("objectives = ['error', 'time_ms']\nbounds = { time_ms = -1.0 }", "the bound on `time_ms` is -1"),
            ("objectives = ['error', 'time_ms']\nbounds = { time_ms = nan }", "the bound on `time_ms` is NaN"),
        ];
        for (text, expected) in cases {
            let error = toml::from_str::<File>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn bounds_on_what_is_not_measured_are_refused() {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let bounds = Bounds::new([(Objective::Energy, 3.0)]).unwrap();
        assert_eq!(bounds.check(&objectives), Err(BoundsError::NotAnObjective { objective: Objective::Energy }));
    }

    #[test]
    fn violations_are_relative_and_missing_values_break_nothing() {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let bounds = Bounds::new([(Objective::Time, 4.0)]).unwrap();
        let violations = |values: &[Option<f64>]| bounds.violations(&objectives, values).collect::<Vec<_>>();
        assert_eq!(violations(&[Some(0.9), Some(5.0)]), [0.0, 0.25]);
        assert_eq!(violations(&[Some(0.9), Some(4.0)]), [0.0, 0.0]);
        assert_eq!(violations(&[Some(0.9), None]), [0.0, 0.0]);
    }
}
