//! The error of the data room.

use std::path::PathBuf;

/// Missing or wrong data, or a wrong setting: the text names the file or the key, the mistake, and a remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DataError(pub(super) String);

impl DataError {
    /// A mistake and its place, such as a data set's name or `the image PATH`.
    pub(super) fn new(place: impl std::fmt::Display, reason: impl std::fmt::Display) -> Self {
        Self(format!("{place}: {reason}"))
    }

    /// A wrong value of the setting `key`.
    pub(super) fn setting(key: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(format_args!("`{key}`"), reason)
    }

    /// The system's error with the attempted action, such as "read", and its path.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::new(format_args!("cannot {action} {}", path.display()), source)
    }
}
