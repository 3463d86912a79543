//! The exchange of lines with an agent.

use std::time::Duration;

use super::error::RemoteError;
use crate::remote::ssh::Remote;

/// Lines to and from the agent.
pub(crate) trait Channel: Send {
    /// Sends a line.
    fn send(&mut self, line: &str) -> Result<(), RemoteError>;
    /// The next line, or none within `wait`.
    fn receive(&mut self, wait: Duration) -> Result<Option<String>, RemoteError>;
}

impl Channel for Remote {
    fn send(&mut self, line: &str) -> Result<(), RemoteError> {
        Ok(Remote::send(self, line)?)
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<String>, RemoteError> {
        Ok(Remote::receive(self, wait)?)
    }
}
