//! The machine that something is measured on: this one, or another one over SSH.
//!
//! Programs there are started by a small agent, which stamps what they print with that machine's clock, and ends all of
//! them as soon as it is not spoken to any more: a connection that breaks, or a run that is killed, leaves nothing
//! behind.

mod agent;
mod channel;
mod clock;
mod error;
mod local;
mod place;
mod program;
mod session;
pub mod ssh;
mod upload;

pub(crate) use agent::{Agent, End, Job, JobEvent};
#[cfg(test)]
pub(crate) use channel::Channel;
pub(crate) use clock::{ClockMap, Offset, on_our_clock};
pub(crate) use error::RemoteError;
pub use place::Place;
pub(crate) use place::{patiently, problem_of_folder, take};
pub(crate) use program::{Printed, last_words, print};
pub(crate) use session::Session;
pub(crate) use upload::{FREE, provide};

use std::time::Duration;

/// Longest pause between two tries of a model; each is twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause before a try that follows `tries` others.
pub(crate) fn pause_after(tries: u32) -> Duration {
    LONGEST_PAUSE.min(Duration::from_secs(1) * 2_u32.saturating_pow(tries.saturating_sub(1)))
}
