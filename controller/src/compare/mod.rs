//! Runs beside each other: the loss by searching on one device for another ([`Pair`]), and the progress of any number of
//! runs ([`Several`]).
//!
//! The front that was found on one device is evaluated on the other and compared with the front that was searched for that
//! device, as in TEA-DNN (arXiv 1811.12065). Only time and energy depend on the device: they come from the other run's
//! journal, from the log that it replayed, or from measurements. The error is that of the run that trained the network.

mod json;
mod judge;
mod measure;
mod pair;
mod plot;
mod several;
mod several_table;
mod side;
mod table;

pub use json::json;
pub use judge::{Found, OnDevice};
pub use measure::measure;
pub use pair::Pair;
pub use plot::plot;
pub use several::{Several, several};
pub use several_table::{fronts_csv, progress_csv, several_table};
pub use side::Side;
pub use table::{csv, table};

use judge::Point;

pub const LETTERS: [&str; 2] = ["A", "B"];
