//! Workers on other machines, by NATS JetStream: who has several machines lets all of them train and measure for one search.
//!
//! The journal is the truth, the queue is not: the searching process alone writes the run folder. It announces its task,
//! and queues jobs; workers that have the data set and alike devices take them, acknowledge progress, and answer with a row.
//! An answer stays on the server until its row is on the disk. A job whose worker dies is given to another one.

mod broker;
mod counted;
mod held;
mod login;
mod message;
mod roster;
mod search;
mod task;
mod worker;

pub(crate) use broker::{Broker, Tail, WORKERS};
pub(crate) use held::Held;
pub(crate) use message::{Announcement, DeviceInfo, Presence, Standing, is_token, read_presence};
pub(crate) use roster::at_a_time;
pub(crate) use search::{Fixed, Identity, Link, Remote};
pub(crate) use task::task_of;
pub(crate) use worker::{Outfit, WorkerSettings, work};

/// Shows a line, parts of which may come from other machines.
fn show(line: impl std::fmt::Display) {
    crate::terminal::note(hardware::shown::clean(&line.to_string()));
}
