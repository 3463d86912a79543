//! Objectives of a search, their validated list, and upper bounds on them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Result, anyhow, bail, ensure};
use child::graph::Cost;
use hardware::log::Row;
use serde::{Deserialize, Serialize};

/// A quantity to minimise. Its name in files is [`Objective::name`].
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
    /// All objectives.
    pub const ALL: [Self; 6] =
        [Self::Error, Self::Time, Self::Energy, Self::Parameters, Self::Macs, Self::ActivationBytes];

    /// The objectives that are measured; the others follow from the network.
    pub(crate) const MEASURED: [Self; 3] = [Self::Error, Self::Time, Self::Energy];

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

    /// Whether its value differs from device to device.
    pub(crate) fn depends_on_device(self) -> bool {
        matches!(self, Self::Time | Self::Energy)
    }

    /// Its value in a row of a log, if it is measured.
    pub(crate) fn measured(self, row: &Row) -> Option<f64> {
        match self {
            Self::Error => row.accuracy.map(|accuracy| 1.0 - accuracy),
            Self::Time => row.time_ms,
            Self::Energy => row.energy_mj,
            Self::Parameters | Self::Macs | Self::ActivationBytes => None,
        }
    }

    /// Its value for a network of these costs, if it follows from the network.
    pub(crate) fn computed(self, cost: &Cost) -> Option<f64> {
        match self {
            Self::Parameters => Some(cost.parameters as f64),
            Self::Macs => Some(cost.macs as f64),
            Self::ActivationBytes => Some(cost.peak_activation_bytes as f64),
            Self::Error | Self::Time | Self::Energy => None,
        }
    }

    /// Whether this objective can have a value: finite, not negative, and for the error at most 1.
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
    type Error = anyhow::Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl FromStr for Objective {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|objective| objective.name() == name).ok_or_else(|| {
            anyhow!("unknown objective `{name}`{} (there are {})", advice(name), Self::ALL.map(Self::name).join(", "))
        })
    }
}

/// The right name for a wrong one: that of the same quantity, or the nearest if it is near.
fn advice(wrong: &str) -> String {
    const ALIKE: f64 = 0.8;
    let lower = wrong.to_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| lower.starts_with(start));
    if begins(&["acc", "top1", "top-1", "top_1", "precision"]) {
        return ": every objective is minimised, so name `error`, which is 1 − accuracy".to_owned();
    }
    let same = [
        (Objective::Time, &["latency", "lat", "delay", "speed", "fps", "throughput", "inference", "runtime"][..]),
        (Objective::Energy, &["power", "joule", "watt"]),
        (Objective::ActivationBytes, &["memory", "mem", "ram", "peak"]),
        (Objective::Parameters, &["size", "params", "weights", "model_size"]),
        (Objective::Macs, &["flop", "mult", "ops", "operations"]),
    ];
    if let Some((objective, _)) = same.iter().find(|(_, starts)| begins(starts)) {
        return format!(": did you mean `{objective}`?");
    }
    let similarity = |known: &&str| strsim::jaro_winkler(known, &lower);
    let names = Objective::ALL.map(Objective::name);
    let nearest = names.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    nearest.filter(|name| similarity(name) > ALIKE).map_or_else(String::new, |name| format!(": did you mean `{name}`?"))
}

/// The objectives of a search, in the order in which every vector of values lists them: two to five, all different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Objective>")]
pub struct Objectives(Vec<Objective>);

impl Objectives {
    /// Fewest objectives of a search.
    const LEAST: usize = 2;
    /// Most objectives of a search: with more, exact hypervolumes take too long.
    const MOST: usize = 5;

    /// A list of objectives.
    ///
    /// # Errors
    /// If there are fewer than two or more than five, or one is named twice.
    pub fn new(objectives: impl Into<Vec<Objective>>) -> Result<Self> {
        let objectives = objectives.into();
        let (least, most, found) = (Self::LEAST, Self::MOST, objectives.len());
        ensure!((least..=most).contains(&found), "a search has {least} to {most} objectives, not {found}");
        for (index, objective) in objectives.iter().enumerate() {
            ensure!(!objectives[..index].contains(objective), "the objective `{objective}` is named twice");
        }
        Ok(Self(objectives))
    }

    /// The objectives in order.
    pub fn as_slice(&self) -> &[Objective] {
        &self.0
    }

    /// The objectives in order, copied.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Objective> + '_ {
        self.0.iter().copied()
    }

    /// The names in order, separated by commas.
    pub(crate) fn names(&self) -> String {
        self.iter().map(Objective::name).collect::<Vec<_>>().join(", ")
    }

    /// Number of objectives.
    #[allow(clippy::len_without_is_empty, reason = "there are always at least two")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Place of an objective in the list, if it contains it.
    pub fn position(&self, objective: Objective) -> Option<usize> {
        self.0.iter().position(|other| *other == objective)
    }
}

impl TryFrom<Vec<Objective>> for Objectives {
    type Error = anyhow::Error;

    fn try_from(objectives: Vec<Objective>) -> Result<Self> {
        Self::new(objectives)
    }
}

/// Upper bounds on objectives; not every objective has one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Objective, f64>")]
pub struct Bounds(BTreeMap<Objective, f64>);

impl Bounds {
    /// Bounds by objective.
    ///
    /// # Errors
    /// If a bound is not a positive number, or one on the error is above 1.
    pub fn new(bounds: impl IntoIterator<Item = (Objective, f64)>) -> Result<Self> {
        let bounds: BTreeMap<_, _> = bounds.into_iter().collect();
        for (objective, found) in &bounds {
            ensure!(
                objective.accepts(*found) && *found != 0.0,
                "the bound on `{objective}` is {found}: it must be positive and finite, and for `error` a fraction up \
                 to 1"
            );
        }
        Ok(Self(bounds))
    }

    /// The bound on an objective, if there is one.
    pub fn get(&self, objective: Objective) -> Option<f64> {
        self.0.get(&objective).copied()
    }

    /// The bounds by objective.
    pub(crate) fn as_map(&self) -> &BTreeMap<Objective, f64> {
        &self.0
    }

    /// These bounds and others; where both bound the same objective, the other bound counts.
    #[must_use]
    pub fn overridden_by(&self, others: &Self) -> Self {
        let mut bounds = self.0.clone();
        bounds.extend(&others.0);
        Self(bounds)
    }

    /// Whether every objective is without a bound.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that every bound is on one of the objectives: nothing else is measured.
    ///
    /// # Errors
    /// The first bound that is on something else.
    pub fn check(&self, objectives: &Objectives) -> Result<()> {
        match self.0.keys().find(|objective| objectives.position(**objective).is_none()) {
            Some(other) => {
                bail!(
                    "there is a bound on `{other}`, which is not among the objectives: add it there or drop the bound"
                )
            }
            None => Ok(()),
        }
    }

    /// By what share of its bound a value exceeds it; 0 for a value within its bound, or without one.
    pub fn violation(&self, objective: Objective, value: f64) -> f64 {
        /// An accuracy of 0.85 is an error of 0.15 but for the last bit.
        const ROUNDING: f64 = 1e-12;
        let excess = self.get(objective).map_or(0.0, |bound| value / bound - 1.0);
        if excess > ROUNDING { excess } else { 0.0 }
    }

    /// For each objective its [violation](Self::violation); 0 for a missing value.
    pub fn violations<'a>(
        &'a self,
        objectives: &'a Objectives,
        values: &'a [Option<f64>],
    ) -> impl Iterator<Item = f64> + 'a {
        objectives
            .iter()
            .zip(values)
            .map(|(objective, value)| value.map_or(0.0, |value| self.violation(objective, value)))
    }

    /// Whether no measured value breaks its bound.
    pub fn are_kept(&self, objectives: &Objectives, values: &[Option<f64>]) -> bool {
        self.violations(objectives, values).all(|violation| violation == 0.0)
    }
}

impl TryFrom<BTreeMap<Objective, f64>> for Bounds {
    type Error = anyhow::Error;

    fn try_from(bounds: BTreeMap<Objective, f64>) -> Result<Self> {
        Self::new(bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_errors_offer_the_nearest() {
        for objective in Objective::ALL {
            assert_eq!(objective.name().parse::<Objective>().unwrap(), objective);
        }
        for (wrong, nearest) in [
            ("time", "time_ms"),
            ("energy_j", "energy_mj"),
            ("latency", "time_ms"),
            ("latency_ms", "time_ms"),
            ("memory", "activation_bytes"),
            ("power_mw", "energy_mj"),
            ("flops", "macs"),
        ] {
            let error = wrong.parse::<Objective>().unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean `{nearest}`")), "{error}");
        }
        let error = "accuracy".parse::<Objective>().unwrap_err().to_string();
        assert!(error.contains("name `error`, which is 1 − accuracy") && !error.contains("did you mean"), "{error}");
        let error = "cost".parse::<Objective>().unwrap_err().to_string();
        assert!(!error.contains("did you mean") && error.contains("there are error, time_ms"), "{error}");
    }

    #[test]
    fn lists_have_two_to_five_different_objectives() {
        use Objective::{Energy, Error, Time};
        let problem = |objectives: &[Objective]| Objectives::new(objectives).unwrap_err().to_string();
        assert_eq!(problem(&[Error]), "a search has 2 to 5 objectives, not 1");
        assert_eq!(problem(&Objective::ALL), "a search has 2 to 5 objectives, not 6");
        assert_eq!(problem(&[Error, Time, Error]), "the objective `error` is named twice");
        assert_eq!(Objectives::new([Error, Time, Energy]).unwrap().position(Energy), Some(2));
    }

    #[derive(Debug, Deserialize)]
    struct File {
        objectives: Objectives,
        bounds: Bounds,
    }

    #[test]
    fn values_in_files_are_checked() {
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
    fn bounds_on_other_objectives_are_rejected() {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let bounds = Bounds::new([(Objective::Energy, 3.0)]).unwrap();
        let problem = bounds.check(&objectives).unwrap_err().to_string();
        assert!(problem.starts_with("there is a bound on `energy_mj`"), "{problem}");
    }

    #[test]
    fn violations_are_relative_and_zero_for_missing_values() {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let bounds = Bounds::new([(Objective::Time, 4.0)]).unwrap();
        let violations = |values: &[Option<f64>]| bounds.violations(&objectives, values).collect::<Vec<_>>();
        assert_eq!(violations(&[Some(0.9), Some(5.0)]), [0.0, 0.25]);
        assert_eq!(violations(&[Some(0.9), Some(4.0)]), [0.0, 0.0]);
        assert_eq!(violations(&[Some(0.9), None]), [0.0, 0.0]);
    }

    #[test]
    fn a_value_equal_to_its_bound_keeps_it_also_after_rounding() {
        let bounds = Bounds::new([(Objective::Error, 0.15), (Objective::Time, 4.0)]).unwrap();
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let error = 1.0 - 0.85;
        assert!(error > 0.15 && bounds.are_kept(&objectives, &[Some(error), Some(4.0)]));
        assert!(!bounds.are_kept(&objectives, &[Some(0.1501), None]));
        assert_eq!(bounds.violation(Objective::Time, 5.0), 0.25);
        assert_eq!(bounds.violation(Objective::Energy, 5.0), 0.0);
    }
}
