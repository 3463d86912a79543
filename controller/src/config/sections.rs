//! Sections of an experiment file that belong to the search itself.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use child::graph::Shape;
use hardware::Plan;
use hardware::log::foreign::Columns;
use serde::{Deserialize, Serialize};

use crate::objective::{Bounds, Objectives};

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

/// `[measuring]`: how long and how precisely devices measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeasuringConfig {
    /// Milliseconds of inference before the first one that counts.
    pub warm_up_ms: u64,
    /// Milliseconds after which a measurement ends, as precise as it is.
    pub time_limit_ms: u64,
    /// Fewest inferences that count.
    pub min_runs: u32,
    /// Half-width of the 95 % confidence interval at which a measurement ends, relative to the mean.
    pub confidence_interval: f64,
}

impl Default for MeasuringConfig {
    fn default() -> Self {
        let plan = Plan::default();
        Self {
            warm_up_ms: plan.warm_up.as_millis() as u64,
            time_limit_ms: plan.time_limit.as_millis() as u64,
            min_runs: plan.min_runs,
            confidence_interval: plan.confidence_interval,
        }
    }
}

impl MeasuringConfig {
    /// As a device takes it.
    pub fn plan(&self) -> Plan {
        Plan {
            warm_up: Duration::from_millis(self.warm_up_ms),
            time_limit: Duration::from_millis(self.time_limit_ms),
            min_runs: self.min_runs,
            confidence_interval: self.confidence_interval,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let interval = self.confidence_interval;
        ensure!(
            interval > 0.0 && interval < 1.0,
            "measuring.confidence_interval = {interval} must be above 0 and below 1"
        );
        /// A day: no measurement takes as long, and instants do not reach without end.
        const LONGEST_MS: u64 = 86_400_000;
        for (key, number, range) in [
            ("warm_up_ms", self.warm_up_ms, 0..=LONGEST_MS),
            ("time_limit_ms", self.time_limit_ms, 1..=LONGEST_MS),
            ("min_runs", self.min_runs.into(), 1..=u64::from(u32::MAX)),
        ] {
            let (least, most) = (range.start(), range.end());
            ensure!(range.contains(&number), "measuring.{key} = {number} must be {least} to {most}");
        }
        Ok(())
    }
}

/// `[replay]`: a log that answers in place of training and devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    /// The log: a journal of ours, or any CSV whose columns are named.
    pub log: PathBuf,
    /// The log's columns; left out, they are recognised by their names.
    #[serde(default)]
    pub columns: Columns,
}
