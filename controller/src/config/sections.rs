//! Sections of an experiment file that belong to the search itself.

use std::time::Duration;

use child::graph::Shape;
use serde::{Deserialize, Serialize};

use super::ByTarget;
use crate::objective::{Bounds, Objectives};
use crate::pareto::Given;
use crate::plan::Budget;
use crate::problem::Fidelity;

/// `[search]`: how long, for what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// Networks to train in full. One that is met again costs nothing and is not counted. The default holds where neither
    /// `epochs` nor `hours` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<u64>,
    /// Epochs of all trainings, after which none begins. A promoted network's full training counts whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Hours, interruptions left out, after which no job begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<f64>,
    /// Evaluations after these that measure members of the front again.
    pub remeasure: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// Networks of a round, for strategies that decide in rounds.
    pub batch: usize,
    /// Objectives, all minimised [default: error and time, and energy where every device has a power meter].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,
    /// Upper bounds on objectives, for all targets and for single ones.
    pub bounds: ByTarget<Bounds>,
    /// Coordinates of the reference point of the hypervolume, by objective [default: its bound, 1 for the error, or 1.1 ×
    /// the worst value of the log that is replayed, else of the first ten evaluations]. It changes no proposal.
    #[serde(skip_serializing_if = "ByTarget::<Given>::is_empty")]
    pub reference: ByTarget<Given>,
    /// Children trained side by side.
    pub trainers: usize,
    /// Threads that each of them computes with, on CPU backends.
    pub trainer_threads: usize,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            evaluations: None,
            epochs: None,
            hours: None,
            remeasure: 0,
            seed: 0,
            batch: 5,
            objectives: None,
            bounds: ByTarget::default(),
            reference: ByTarget::default(),
            trainers: 1,
            trainer_threads: 1,
        }
    }
}

impl SearchConfig {
    /// Full trainings of a search without another budget.
    pub const EVALUATIONS: u64 = 60;

    /// When the search ends.
    pub fn budget(&self) -> Budget {
        let is_open = self.epochs.is_none() && self.hours.is_none();
        Budget {
            evaluations: self.evaluations.or(is_open.then_some(Self::EVALUATIONS)),
            epochs: self.epochs,
            time: self.hours.map(|hours| Duration::try_from_secs_f64(3600.0 * hours).unwrap_or(Duration::MAX)),
        }
    }
}

/// `[fidelity]`: how far networks are evaluated before their full training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FidelityConfig {
    /// Epochs of a short training, with a schedule of its own; the most promising of the networks that had one are trained
    /// in full. 0 switches it off [default: 6 % of `training.epochs`, at least 1; in a replay those of the log].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_epochs: Option<u64>,
    /// Networks to measure before a round of trainings, out of which the best are trained, and as many again for each further
    /// target; 0 measures those alone that are trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure_ahead: Option<usize>,
    /// A full training under way is broken off when its chance to enter the front, given its measured time and energy,
    /// falls below this [default: 0, never].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_chance: Option<f64>,
}

impl FidelityConfig {
    /// Share of the epochs that a short training has by default.
    const SHORT: f64 = 0.06;
    /// Networks measured ahead by default.
    const MEASURE_AHEAD: usize = 20;

    /// Whether nothing is set, as in files of earlier versions.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Everything resolved, for full trainings of so many epochs. `logged` are the epochs of a log's short trainings. Only
    /// some strategies make use of it by default.
    pub(crate) fn resolve(&self, logged: Option<u64>, full_epochs: u64, is_used: bool) -> Fidelity {
        let default = logged.unwrap_or_else(|| ((Self::SHORT * full_epochs as f64).round() as u64).max(1));
        let short_epochs = self.short_epochs.unwrap_or(if is_used { default } else { 0 });
        let measure_ahead = if is_used { Self::MEASURE_AHEAD } else { 0 };
        Fidelity {
            short_epochs: if short_epochs < full_epochs { short_epochs } else { 0 },
            full_epochs,
            measure_ahead: self.measure_ahead.unwrap_or(measure_ahead),
            least_chance: self.least_chance.unwrap_or(0.0),
        }
    }
}

/// `[input]`: what every network takes and gives. Where children are trained, the data set says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

impl Default for InputConfig {
    /// CIFAR-10's, as in the published benchmarks.
    fn default() -> Self {
        Self { shape: [3, 32, 32], classes: 10 }
    }
}

impl InputConfig {
    /// For images of a shape.
    pub fn new(shape: Shape, classes: usize) -> Self {
        Self { shape: [shape.channels, shape.height, shape.width], classes }
    }

    /// Shape of an image.
    pub fn shape(&self) -> Shape {
        let [channels, height, width] = self.shape;
        Shape::new(channels, height, width)
    }
}
