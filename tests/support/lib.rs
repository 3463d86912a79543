//! What the end-to-end tests share: running the program, reading what it leaves, and a table to search in.

mod journal;
mod program;
mod python;
mod shared;
pub mod skip;
mod table;

pub use journal::{Journal, Row, dominated_area, front};
pub use program::{Ended, Program};
pub use python::python;
pub use shared::shared_data;
pub use table::{Entry, Table, experiment};
