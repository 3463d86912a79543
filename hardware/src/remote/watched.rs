//! A program on another machine while a meter of this one reads.

use super::agent::{Agent, Job, JobEvent};
use super::clock::{ClockMap, Offset};
use super::error::RemoteError;
use super::program::BackgroundSampler;
use crate::metered::Watch;
use crate::time::{Clock, Window};

/// Watches a meter while a program runs.
pub(crate) struct Watched<'a>(pub &'a Watch<'a>);

impl BackgroundSampler for Watched<'_> {
    fn take(&mut self, _job: Job, _event: &JobEvent) -> Result<(), RemoteError> {
        Ok(())
    }

    fn check(&self) -> Result<(), RemoteError> {
        Ok((self.0)()?)
    }
}

/// A window of the board's clock on the meter's, of which `before` was taken before it. To be called soon after it.
///
/// # Errors
/// If the board cannot be reached, or its clock was set meanwhile.
pub(crate) fn on_our_clock(
    agent: &mut Agent,
    clock: &Clock,
    before: Offset,
    window: Window,
) -> Result<Window, RemoteError> {
    let map = ClockMap::between(before, ClockMap::sample(agent, clock)?);
    let ours = |at_ns| {
        let unknown = || RemoteError::Failed { problem: "the machine's clock was set while it measured".to_owned() };
        map.ours_ns(at_ns).ok_or_else(unknown)
    };
    Ok(Window { from_ns: ours(window.from_ns)?, to_ns: ours(window.to_ns)? })
}
