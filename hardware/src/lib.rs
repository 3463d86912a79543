//! Time and energy of one model on one device.
//!
//! A [`Model`] is an ONNX file with its inputs. A [`Device`] measures it as a [`Plan`] says
//! and gives a [`Measurement`]: latency in milliseconds, energy per inference in millijoules, and
//! warnings where the numbers deserve doubt. A quantity that was not measured is absent, never zero.
//!
//! | device | what it is |
//! |---|---|
//! | [`host::Host`] | this machine, in-process |
//! | [`jetson::Jetson`] | an NVIDIA Jetson board over SSH, with its power |
//! | [`openvino::OpenVino`] | a device of OpenVINO, such as a Neural Compute Stick, here or over SSH |
//! | [`command::CommandDevice`] | any program that prints JSON, here or over SSH |
//!
//! [`log`] is the journal that measurements are written to; [`log::foreign`] reads it, or other people's tables, in
//! place of a device.
//!
//! ```no_run
//! use hardware::{Device, Model, Plan, host::{Host, HostOptions}};
//!
//! let model = Model::load("one convolution", "model.onnx")?;
//! let mut device = Host::new(HostOptions::default())?;
//! let measurement = device.measure(&model, &Plan::default())?;
//! println!("{:.3} ms", measurement.latency.mean_ms);
//! for warning in &measurement.warnings {
//!     println!("warning: {warning}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cells;
pub mod command;
pub mod device;
mod doubts;
pub mod energy;
pub mod host;
mod input;
pub mod jetson;
mod lock;
pub mod log;
pub mod measurement;
pub mod meter;
pub mod model;
#[cfg(test)]
mod mutation;
mod onnx;
pub mod openvino;
pub mod options;
pub mod path;
mod probe;
mod program;
pub mod remote;
mod seconds;
pub mod shown;
mod statistic;
mod statistics;
pub mod time;
mod uncertain;
pub mod waiting;
pub mod warning;

pub use device::{Description, Device, DeviceError, Plan};
pub use input::{Input, InputShape};
pub use measurement::{Conditions, Energy, InvalidMeasurement, Latency, Measurement, RailEnergy, Recorded};
pub use model::{Model, ModelError};
pub use program::ProgramOptions;
pub use statistic::Statistic;
pub use uncertain::Uncertain;
pub use warning::Warning;
