//! The machine that something is measured on: this one, or another one over SSH.
//!
//! Programs there are started by a small agent, which stamps what they print with that machine's clock, and ends all of
//! them as soon as it is not spoken to any more: a connection that breaks, or a run that is killed, leaves nothing
//! behind.

mod agent;
mod channel;
mod clock;
mod connection;
mod error;
mod local;
mod machine;
mod patience;
mod place;
mod program;
mod session;
pub mod ssh;
mod upload;

pub(crate) use agent::{Agent, End, Job, JobEvent};
#[cfg(test)]
pub(crate) use channel::Channel;
pub(crate) use clock::{ClockMap, Offset, on_our_clock};
pub(crate) use connection::KeptConnection;
pub(crate) use error::RemoteError;
pub use machine::MachineOptions;
pub(crate) use patience::{measure_patiently, patiently, pause_after, wait_while};
pub use place::Place;
pub(crate) use place::take;
pub(crate) use program::{Printed, last_words, print};
pub(crate) use session::Session;
pub(crate) use upload::{FREE, provide};
