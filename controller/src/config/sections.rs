//! Sections of an experiment file that belong to the search itself.

use std::collections::BTreeMap;

use child::graph::Shape;
use serde::{Deserialize, Serialize};

use crate::objective::{Bounds, Objectives};
use crate::pareto::Given;

/// `[search]`: how long, for what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// Networks to evaluate. One that is met again costs nothing and is not counted.
    pub evaluations: u64,
    /// Evaluations after these that measure members of the front again.
    pub remeasure: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// Proposals a round.
    pub batch: usize,
    /// Objectives, all minimised [default: error and time, and energy where every device has a power meter].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,
    /// Upper bounds on measured objectives.
    pub bounds: Bounds,
    /// Coordinates of the reference point of the hypervolume, by objective [default: its bound, 1 for the error, or 1.1 ×
    /// the worst value of the log that is replayed, else of the first ten evaluations]. It changes no proposal.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reference: Given,
    /// Children trained side by side.
    pub trainers: usize,
    /// Threads that each of them computes with, on CPU backends.
    pub trainer_threads: usize,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            evaluations: 60,
            remeasure: 0,
            seed: 0,
            batch: 5,
            objectives: None,
            bounds: Bounds::default(),
            reference: Given::new(),
            trainers: 1,
            trainer_threads: 1,
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
