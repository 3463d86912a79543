//! OpenVINO's `benchmark_app`, from 2018 to 2026: what it is told, and what it prints.
//!
//! It drives the Neural Compute Stick (`MYRIAD`), and whatever else OpenVINO runs on: `CPU`, `GPU`, `NPU`,
//! `HETERO:…`. [`support`] tells which version drives which stick, [`command`] which arguments a version needs to
//! measure latency, [`report`] reads its output, and [`problem`] what went wrong.
//!
//! Its exit code is 0 where it measured, 1 where it failed, also after a measurement where only its report could not be
//! written, and 2 where it did not understand its arguments.

pub mod command;
mod device;
mod figure;
mod link;
mod options;
pub mod problem;
pub mod report;
pub mod support;
mod trial;
mod values;
mod version;

pub use command::{Goal, Precision, Run, arguments};
pub use device::OpenVino;
pub use figure::{Figure, FigureError, Origin, Statistic};
pub use options::OpenVinoOptions;
pub use problem::Problem;
pub use report::{BenchmarkError, Latency, Mode, Report, parse};
pub use support::{Unsupported, check, check_wheel};

#[cfg(test)]
mod tests;
