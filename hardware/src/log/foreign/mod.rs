//! Tables of other people, and journals in the same way: any CSV file with a row for each measurement.
//!
//! A [`Table`] answers in place of training and devices. A journal needs no configuration; of another file the
//! [`Columns`] and units are named. A file has one separator (comma, semicolon or tab) and one decimal sign. The
//! accuracies of short trainings are in a column of their own, or in rows of their own.
//!
//! ```
//! use hardware::log::foreign::{Columns, Table};
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
//! let row = table.get("small").ok_or("not in the log")?;
//! assert_eq!(row.time_ms, Some(5.807));
//! // Not named, but found under the journal's name.
//! assert_eq!(row.energy_mj, Some(24.2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod header;
mod rows;
mod table;

pub use columns::{Column, Columns, EnergyUnit, FractionUnit, TargetColumns, TimeUnit};
pub use rows::{LogRow, LogRows, read_rows, targets_of};
pub use table::{Table, Trained};

#[cfg(test)]
mod tests;
