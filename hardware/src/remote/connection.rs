//! A connection that lasts from one model to the next.

use std::time::Duration;

use super::error::RemoteError;
use super::patience::patiently;

/// A connection to a device's machine, opened when it is needed, and kept until an error makes it useless.
pub(crate) struct KeptConnection<L> {
    link: Option<L>,
    /// Whether it was ever open.
    was_open: bool,
}

impl<L> KeptConnection<L> {
    pub fn closed() -> Self {
        Self { link: None, was_open: false }
    }

    /// Does something with the connection; `open` opens it, for up to `patience` while the machine is away.
    ///
    /// # Errors
    /// If it cannot be opened, or as `act`.
    pub fn with<T>(
        &mut self,
        patience: Duration,
        open: impl FnMut() -> Result<L, RemoteError>,
        act: impl FnOnce(&mut L) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => patiently(patience, self.was_open, open)?,
        };
        self.was_open = true;
        let result = act(&mut link);
        if result.as_ref().err().is_none_or(RemoteError::spares_connection) {
            self.link = Some(link);
        }
        result
    }
}
