//! How a server is reached.

use std::fmt;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::path::expand_home;

/// The server, the user, and how the user logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshOptions {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// How the user logs in.
    pub authentication: Authentication,
    /// File with the keys of known servers, in OpenSSH's format. A missing file has no keys.
    pub known_hosts: PathBuf,
    /// How long connecting may take, and any single answer of the server.
    pub timeout: Duration,
}

impl SshOptions {
    /// Port of SSH servers.
    pub(crate) const PORT: u16 = 22;
    /// The file in which `ssh` itself keeps host keys.
    pub(crate) const KNOWN_HOSTS: &str = "~/.ssh/known_hosts";
    /// How long connecting, or one answer, may take.
    pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

    /// Port 22, the keys of the running agent, `~/.ssh/known_hosts`, and a time-out of 20 s.
    pub fn new(host: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: Self::PORT,
            user: user.into(),
            authentication: Authentication::Agent { socket: None },
            known_hosts: expand_home(Path::new(Self::KNOWN_HOSTS)),
            timeout: Self::TIMEOUT,
        }
    }

    /// The server.
    pub fn address(&self) -> Address {
        // With brackets, as IPv6 addresses are often written, no resolver takes it.
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host);
        Address { host: host.to_owned(), port: self.port }
    }
}

/// How a user logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// By the keys that an agent holds, one after the other.
    Agent {
        /// The agent's socket; the one that `SSH_AUTH_SOCK` names where absent.
        socket: Option<PathBuf>,
    },
    /// By a private key in a file, of OpenSSH's or PEM format.
    Key {
        /// The file.
        file: PathBuf,
        /// Its passphrase, if it is encrypted.
        passphrase: Option<Secret>,
    },
    /// By a password.
    Password(Secret),
}

/// Text that is never shown, and is overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be presented to the server.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // Without this the compiler may leave the writing out.
        black_box(&bytes);
    }
}

/// Host and port of a server; shown as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut options = SshOptions::new("board", "nvidia");
        for authentication in [
            Authentication::Password(Secret::new("hunter2")),
            Authentication::Key { file: "key".into(), passphrase: Some(Secret::new("hunter2")) },
        ] {
            options.authentication = authentication;
            let shown = format!("{options:?} {options:#?}");
            assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn brackets_around_an_address_are_taken_off_and_shown() {
        let mut options = SshOptions::new("[::1]", "nvidia");
        options.port = 2222;
        assert_eq!(options.address().host, "::1");
        assert_eq!(options.address().to_string(), "[::1]:2222");
        options.host = "board.local".to_owned();
        assert_eq!(options.address().to_string(), "board.local:2222");
    }
}
