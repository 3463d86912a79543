//! Support of the end-to-end tests: the program, its journals, a table to search in, and a board to measure on.

mod board;
mod browser;
mod certificates;
mod disk;
mod journal;
pub mod nats;
mod netns;
mod openvino;
mod program;
mod python;
mod running;
mod shared;
pub mod skip;
mod sshd;
mod table;
mod watcher;

pub use board::{Board, BoardOptions, Truth};
pub use browser::Browser;
pub use certificates::{Certificates, certificates};
pub use disk::Disk;
pub use journal::{Journal, Row, dominated_area, front};
pub use nats::Nats;
pub use netns::Netns;
pub use openvino::openvino;
pub use program::{Ended, Program};
pub use python::{python, test_python};
pub use running::Running;
pub use shared::shared_data;
pub use sshd::{Sshd, SshdOptions};
pub use table::{Entry, SHORT_TRAININGS, Table, experiment, live_experiment, two_boards};
