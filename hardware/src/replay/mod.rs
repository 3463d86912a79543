//! A log of earlier measurements in the place of a device.
//!
//! A [`Table`] is what was measured: one's own journal, which needs no configuration, or a
//! foreign CSV file whose [`Columns`] and units are named. It gives accuracies, and through
//! [`Replay`] times and energies.
//!
//! ```
//! use hardware::replay::{Columns, Table};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("log.csv");
//! std::fs::write(&path, "network,accuracy %,latency_us,energy_mj\nsmall,81.9,5807,24.2\n")?;
//! let columns: Columns = toml::from_str(
//!     r#"
//!     architecture = "network"
//!     accuracy = { column = "accuracy %", unit = "percent" }
//!     time = { column = "latency_us", unit = "us" }
//!     "#,
//! )?;
//! let table = Table::load(&path, &columns, &|text| Ok(text.to_owned()))?;
//! let record = table.get("small").ok_or("not in the log")?;
//! assert_eq!(record.time_ms, Some(5.807));
//! // Not named, but found under the journal's own name.
//! assert_eq!(record.energy_mj, Some(24.2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod error;
mod header;
mod rows;
mod table;

use std::sync::Arc;

pub use columns::{Column, Columns, EnergyUnit, FractionUnit, TimeUnit};
pub use error::ReplayError;
pub use rows::{LogRow, read_rows};
pub use table::{Record, Table};

use crate::device::{Description, Device, DeviceError, Plan};
use crate::measurement::{Conditions, Energy, Latency, Measurement};
use crate::model::Model;

/// Kind of this device in experiment files and logs.
const KIND: &str = "replay";

/// A device that looks measurements up in a [`Table`] by the model's architecture. The model's
/// file is not looked at.
#[derive(Debug, Clone)]
pub struct Replay {
    table: Arc<Table>,
}

impl Replay {
    /// A device over the rows of `table`.
    pub fn new(table: Arc<Table>) -> Self {
        Self { table }
    }

    /// What is replayed.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }
}

impl Device for Replay {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        let path = self.table.path();
        let name = path.file_name().unwrap_or(path.as_os_str());
        let mut description = Description::new(KIND, name.to_string_lossy()).with("rows", self.table.len());
        if let Some(device) = self.table.device() {
            description = description.with("measured on", device);
        }
        Ok(description)
    }

    fn measure(&mut self, model: &Model, _plan: &Plan) -> Result<Measurement, DeviceError> {
        let log = || self.table.path().to_owned();
        let architecture = || model.architecture.clone();
        let record = self.table.get(&model.architecture);
        let record = record.ok_or_else(|| DeviceError::NotInLog { log: log(), architecture: architecture() })?;
        let mean_ms = record.time_ms.ok_or_else(|| DeviceError::NotMeasured {
            log: log(),
            line: record.line,
            architecture: architecture(),
        })?;
        let energy = record.energy_mj.map(|per_inference_mj| Energy {
            per_inference_mj,
            above_idle_mj: None,
            counts_above_idle: false,
            std_mj: record.energy_mj_std,
            idle_power_mw: None,
            mean_power_mw: None,
            power_samples: None,
            power_interval: None,
            rails: Vec::new(),
            source: format!("{}:{}", self.table.path().display(), record.line),
        });
        let measurement = Measurement {
            latency: Latency::from_mean(mean_ms, record.time_ms_std),
            latency_without_transfer: None,
            throughput_per_s: None,
            energy,
            conditions: Conditions::default(),
            warnings: Vec::new(),
        };
        Ok(measurement.validated()?)
    }

    fn shares_machine(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
