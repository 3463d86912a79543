//! Programs and files on another machine, over SSH.
//!
//! A [`Connection`] is one authenticated session: it uploads files, and becomes a [`Remote`], a program that exchanges
//! lines with this one. A server is trusted only if its key is in the file of known hosts, as with OpenSSH and
//! `StrictHostKeyChecking yes`; this program never writes to that file.
//!
//! Every call ends: connecting and each single answer within [`SshOptions::timeout`]. After an error for which
//! [`SshError::is_transient`] is true, a new connection may work.
//!
//! ```no_run
//! use hardware::remote::ssh::{Connection, RemoteOptions, SshOptions};
//!
//! let mut connection = Connection::open(&SshOptions::new("board.local", "nvidia"))?;
//! connection.make_folders("~/models")?;
//! connection.upload(b"a model", "~/models/model.onnx", false)?;
//! let program = connection.into_remote(&["uname", "-a"], &RemoteOptions::default())?;
//! println!("{:?}", program.receive(std::time::Duration::from_secs(1))?);
//! # Ok::<(), hardware::remote::ssh::SshError>(())
//! ```

mod algorithms;
mod authentication;
mod error;
mod files;
mod host_keys;
mod link;
mod options;
mod pump;
mod remote;
mod upload;

pub use error::SshError;
pub use options::{Authentication, Secret, SshOptions};
pub use remote::{Remote, RemoteOptions};

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
    /// With the stage that failed, and what to do.
    pub fn open(options: &SshOptions) -> Result<Self, SshError> {
        let link = Link::open(options)?;
        authentication::log_in(&link, options)?;
        Ok(Self { link, sftp: None, home: None })
    }

    /// Starts a program that exchanges lines with this one, and gives the session to it. Every word is quoted for the
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

/// The words as one line for a POSIX shell.
fn quoted(words: &[&str]) -> Result<String, SshError> {
    let quoted = shlex::try_join(words.iter().copied()).ok().filter(|_| !words.is_empty());
    quoted.ok_or_else(|| {
        let program = words.first().copied().unwrap_or_default();
        SshError::Settings(format!(
            "the command {program:?} cannot be run: a word of it holds a NUL character, or it has no words"
        ))
    })
}
