//! Programs and files on another machine, over SSH.
//!
//! A [`Connection`] is one authenticated session: it [runs](Connection::run) programs, moves files, and can be given
//! up for a [`Remote`], a program that is spoken to line by line. A server is trusted only if its key stands in the
//! file of known hosts, as with OpenSSH and `StrictHostKeyChecking yes`; nothing is ever added to that file.
//!
//! Every call ends: connecting and each single answer within [`SshOptions::timeout`], programs within their
//! [`Limits`]. After an error that [`SshError::is_transient`] calls worth another try, open a new connection.
//!
//! ```no_run
//! use hardware::remote::ssh::{Connection, Limits, SshOptions};
//!
//! let mut connection = Connection::open(&SshOptions::new("board.local", "nvidia"))?;
//! connection.make_folders("~/models")?;
//! connection.upload(b"a model", "~/models/model.onnx", false, &mut |_sent| ())?;
//! let output = connection.run(&["uname", "-a"], &Limits::default())?;
//! println!("{}", output.stdout_text());
//! # Ok::<(), hardware::remote::ssh::SshError>(())
//! ```

mod algorithms;
mod authentication;
mod command;
mod error;
mod files;
mod host_keys;
mod link;
mod options;
mod pump;
mod remote;
mod upload;

pub use command::{Limits, Output, Status};
pub use error::SshError;
pub use options::{Address, Authentication, Secret, SshOptions};
pub use remote::{Remote, RemoteOptions};
pub use upload::UploadStats;

use ssh2::Sftp;

use link::Link;

/// One authenticated session with a server. Ends when it is dropped; what it started there without waiting goes on.
pub struct Connection {
    // Dropped first: once the socket is shut down, ending the others does not wait for the network.
    link: Link,
    /// Opened when first needed.
    sftp: Option<Sftp>,
    /// The user's home on the other machine, once asked for.
    home: Option<String>,
}

impl Connection {
    /// Connects, checks the server's key, and logs in.
    ///
    /// # Errors
    ///
    /// Every stage has its own: see [`SshError`].
    pub fn open(options: &SshOptions) -> Result<Self, SshError> {
        let link = Link::open(options)?;
        authentication::log_in(&link, options)?;
        Ok(Self { link, sftp: None, home: None })
    }

    /// The server.
    pub fn address(&self) -> &Address {
        &self.link.address
    }

    /// Starts a program that is spoken to line by line, and gives the session to it. Every word is quoted for the
    /// shell of the other machine.
    ///
    /// # Errors
    ///
    /// If a word holds a NUL character, or the server does not start anything.
    pub fn into_remote(self, words: &[&str], options: &RemoteOptions) -> Result<Remote, SshError> {
        let Self { link, sftp, home: _ } = self;
        drop(sftp);
        Remote::start(link, words, options)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("address", &self.link.address).finish_non_exhaustive()
    }
}
