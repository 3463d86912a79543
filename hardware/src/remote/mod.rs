//! The machine that a device belongs to: this one, or another one over SSH.
//!
//! A small agent starts programs there, stamps their output with that machine's clock, and ends all of them as soon as
//! the connection to it is lost: a connection that breaks, or a run that is killed, leaves nothing running.

mod agent;
mod clock;
mod error;
mod exchange;
mod local;
mod machine;
mod patience;
mod place;
mod program;
mod session;
pub mod ssh;
mod sudo;
mod upload;

pub(crate) use agent::{Agent, End, Job, JobEvent};
pub(crate) use clock::{ClockMap, Offset, on_our_clock};
pub(crate) use error::RemoteError;
#[cfg(test)]
pub(crate) use exchange::Channel;
pub use machine::MachineOptions;
pub(crate) use patience::{measure_patiently, patiently, wait_while};
pub use place::Place;
pub(crate) use place::take;
pub(crate) use program::{Printed, print};
pub(crate) use session::Session;
pub(crate) use sudo::sudo_refuses;
pub(crate) use upload::{FREE, MODELS, discard, provide};
