//! OpenVINO's `benchmark_app`, from 2018 to 2026.
//!
//! It drives the Neural Compute Stick (`MYRIAD`), and the other devices of OpenVINO: `CPU`, `GPU`, `NPU`, `HETERO:…`.
//! `support` knows which version drives which stick, `command` the arguments that a version needs to measure
//! latency, `report` reads its output, and `problem` its failures.
//!
//! Its exit code is 0 where it measured, 1 where it failed, also after a measurement where only its report could not be
//! written, and 2 where it did not understand its arguments.

mod command;
mod device;
mod figure;
mod link;
mod options;
mod problem;
mod report;
mod support;
mod trial;
mod values;

pub use device::OpenVino;
pub use options::{OpenVinoOptions, Precision};

#[cfg(test)]
mod tests;
