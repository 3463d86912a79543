//! What can go wrong, and how an error of libssh2 reads.

use std::fmt;
use std::time::Duration;

use libssh2_sys as code;
use ssh2::ErrorCode;
use thiserror::Error;

use super::options::Address;

/// Why something on another machine did not work; the text says at which stage, and what to do about it.
#[derive(Debug, Clone, Error)]
pub enum SshError {
    /// The network or the server is away, or the connection broke: a new one a little later may work.
    #[error("{0}")]
    Away(String),
    /// The server does not accept the login, its name is not resolved, or it failed in a way of its own. A server or a
    /// network that starts may do so for a while.
    #[error("{0}")]
    Rejected(String),
    /// A program has ended, with this exit status if it was not ended by a signal.
    #[error("{text}")]
    Ended {
        /// Which program, how it ended, and the end of its standard error.
        text: String,
        /// Its exit status; 127 where the program does not exist.
        status: Option<i32>,
    },
    /// The user has to change something: a key, a known host, a name.
    #[error("{0}")]
    Settings(String),
}

impl SshError {
    /// Whether a new connection a little later may work. What a user has to change never passes by itself.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Away(_))
    }

    pub(super) fn lost(address: &Address, reason: impl fmt::Display) -> Self {
        Self::Away(format!("the connection to {address} is lost: {reason}"))
    }

    pub(super) fn timed_out(address: &Address, doing: &str, after: Duration) -> Self {
        let after_s = after.as_secs_f64();
        Self::Away(format!(
            "{address} has not answered within {after_s} s ({doing}): is it switched on, and is this its SSH port?"
        ))
    }

    pub(super) fn failed(address: &Address, doing: &str, reason: impl fmt::Display) -> Self {
        Self::Rejected(format!("{doing} at {address} failed: {reason}"))
    }
}

/// An error of libssh2 as one of ours. `doing` completes "… failed".
pub(super) fn translate(address: &Address, doing: &str, after: Duration, error: &ssh2::Error) -> SshError {
    match error.code() {
        ErrorCode::Session(code::LIBSSH2_ERROR_TIMEOUT | code::LIBSSH2_ERROR_SOCKET_TIMEOUT) => {
            SshError::timed_out(address, doing, after)
        }
        ErrorCode::Session(
            code::LIBSSH2_ERROR_SOCKET_SEND
            | code::LIBSSH2_ERROR_SOCKET_DISCONNECT
            | code::LIBSSH2_ERROR_SOCKET_RECV
            | code::LIBSSH2_ERROR_BAD_SOCKET
            | code::LIBSSH2_ERROR_CHANNEL_CLOSED
            | code::LIBSSH2_ERROR_KEX_FAILURE
            | code::LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE
            | code::LIBSSH2_ERROR_METHOD_NONE,
        ) => SshError::lost(address, format!("{doing} failed: {}", Plain(error))),
        _ => SshError::failed(address, doing, Plain(error)),
    }
}

/// The library's words without its number, which helps a user only where there are no words.
pub(super) struct Plain<'a>(pub &'a ssh2::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.message().trim_end_matches('.') {
            "" | "unknown error" => write!(f, "{}", self.0.code()),
            message => f.write_str(message),
        }
    }
}
