//! The error of this crate.

use std::path::PathBuf;

/// A mistake in settings, data or an architecture: the text names the key, the file or the layer, the mistake, and a
/// remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(crate) String);

impl Error {
    /// A mistake and its place, such as a data set's name or `the image PATH`.
    pub(crate) fn new(place: impl std::fmt::Display, reason: impl std::fmt::Display) -> Self {
        Self(format!("{place}: {reason}"))
    }

    /// A wrong value of the setting `key`.
    pub(crate) fn setting(key: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(format_args!("`{key}`"), reason)
    }

    /// The system's error with the attempted action, such as "read", and its path.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::new(format_args!("cannot {action} {}", path.display()), source)
    }
}
