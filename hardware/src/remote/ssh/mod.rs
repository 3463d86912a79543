//! Programs on another machine, over SSH.
//!
//! A [`Connection`] is one authenticated session; it becomes a [`Remote`], a program that exchanges lines with this one.
//! A server is trusted only if its key is in the file of known hosts, as with OpenSSH and `StrictHostKeyChecking yes`;
//! this program never writes to that file.
//!
//! Every call ends: connecting and each single answer within [`SshOptions::timeout`]. After an error for which
//! [`SshError::is_transient`] is true, a new connection may work.
//!
//! ```no_run
//! use hardware::remote::ssh::{Connection, RemoteOptions, SshOptions};
//!
//! let connection = Connection::open(&SshOptions::new("board.local", "nvidia"))?;
//! let program = connection.into_remote(&["uname", "-a"], &RemoteOptions::default())?;
//! println!("{:?}", program.receive(std::time::Duration::from_secs(1))?);
//! # Ok::<(), hardware::remote::ssh::SshError>(())
//! ```

mod algorithms;
mod authentication;
mod connection;
mod error;
mod host_keys;
mod options;
mod session;

pub use connection::Connection;
pub use error::SshError;
pub use options::{Authentication, Secret, SshOptions};
pub use session::{Remote, RemoteOptions};
