//! What is lost by searching on one device for another.
//!
//! The front that was found on one device is evaluated on the other, and judged there beside the front that was
//! searched for that device, as in TEA-DNN (arXiv 1811.12065). Only what depends on the device, time and energy, is
//! found out anew: in the other run's journal, in the log that it replayed, or by measuring. The error is that of the run
//! that trained the network.

mod judge;
mod measure;
mod pair;
mod side;

pub use judge::{Member, OnDevice, Origin, Pick, Point, judge};
pub use measure::{Measuring, measure, measured_before};
pub use pair::{CompareError, Comparison, Found, Pair};
pub use side::Side;

/// The two runs by the letters that stand for them.
pub const LETTERS: [&str; 2] = ["A", "B"];
