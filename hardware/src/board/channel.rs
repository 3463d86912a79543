//! How the agent is spoken to.

use std::time::Duration;

use super::error::BoardError;
use crate::ssh::Remote;

/// Lines to and from the agent.
pub(crate) trait Channel: Send {
    /// Sends a line.
    fn send(&mut self, line: &str) -> Result<(), BoardError>;
    /// The next line, or none within `wait`.
    fn receive(&mut self, wait: Duration) -> Result<Option<String>, BoardError>;
}

impl Channel for Remote {
    fn send(&mut self, line: &str) -> Result<(), BoardError> {
        Ok(Remote::send(self, line)?)
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<String>, BoardError> {
        Ok(Remote::receive(self, wait)?)
    }
}
