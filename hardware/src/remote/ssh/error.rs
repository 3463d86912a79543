//! What can go wrong, at which stage, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ssh2::ErrorCode;
use thiserror::Error;

use super::command::Status;
use super::options::Address;

/// Why something on another machine did not work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SshError {
    /// The name has no address.
    #[error("the name of {address} cannot be resolved: {source}. Is it written correctly, and is the network up?")]
    Resolve {
        /// The server.
        address: Address,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing accepts connections there.
    #[error("cannot connect to {address}: {source}{}", connect_hint(source))]
    Connect {
        /// The server.
        address: Address,
        /// What the operating system said.
        source: io::Error,
    },
    /// No answer came in time.
    #[error(
        "{address} has not answered within {} s ({doing}): is it switched on, and is this its SSH port?",
        after.as_secs_f64()
    )]
    TimedOut {
        /// The server.
        address: Address,
        /// What was waited for.
        doing: &'static str,
        /// How long.
        after: Duration,
    },
    /// The connection broke.
    #[error("the connection to {address} is lost: {reason}")]
    Lost {
        /// The server.
        address: Address,
        /// How that was noticed.
        reason: String,
    },
    /// The two sides have nothing in common of what they need to encrypt.
    #[error(
        "{address} accepts none of the algorithms of this program: it has {list} {theirs}; this program has {ours}. \
         Add one of these to {list} in its /etc/ssh/sshd_config"
    )]
    NoCommonAlgorithm {
        /// The server.
        address: Address,
        /// What it is about, as the server's settings call it: `KexAlgorithms`.
        list: &'static str,
        /// What the server offers.
        theirs: String,
        /// What this program offers.
        ours: String,
    },
    /// The file of known hosts cannot be read.
    #[error("cannot read the known hosts in {file}: {source}", file = file.display())]
    KnownHosts {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Nothing is known of the server.
    #[error(
        "the key of {address} is not known: {file} has none for it. The server shows {key_type} {fingerprint}. \
         Compare that with `ssh-keygen -lf /etc/ssh/ssh_host_{short}_key.pub` on the board; if it is the same: \
         ssh-keyscan -t {short} -p {port} {host} >> {file}",
        file = file.display(), short = short_type(key_type), port = address.port, host = address.host
    )]
    UnknownHost {
        /// The server.
        address: Address,
        /// Its key, as `ssh-keygen -l` writes it: `SHA256:` and 43 characters.
        fingerprint: String,
        /// Type of the key: `ssh-ed25519`.
        key_type: String,
        /// The file of known hosts.
        file: PathBuf,
    },
    /// The server is known by another key.
    #[error(
        "the key of {address} has changed: it shows {key_type} {fingerprint}, but {file}:{line} has another. \
         Somebody may be listening, or the board was flashed anew. If you know that it was: \
         ssh-keygen -R '{name}' -f {file}; then compare the fingerprint with \
         `ssh-keygen -lf /etc/ssh/ssh_host_{short}_key.pub` on the board; if it is the same: \
         ssh-keyscan -t {short} -p {port} {host} >> {file}",
        file = file.display(), short = short_type(key_type), port = address.port, host = address.host,
        name = address.known_name()
    )]
    ChangedHostKey {
        /// The server.
        address: Address,
        /// The key it shows, as `ssh-keygen -l` writes it.
        fingerprint: String,
        /// Type of that key.
        key_type: String,
        /// The file of known hosts.
        file: PathBuf,
        /// First line there that knows the server, from 1.
        line: usize,
    },
    /// The server's key is marked as revoked.
    #[error(
        "the key of {address} is revoked: {file}:{line} says so of {fingerprint}. Somebody who has stolen it may be \
         listening: give the board a new key",
        file = file.display()
    )]
    RevokedHostKey {
        /// The server.
        address: Address,
        /// The key it shows, as `ssh-keygen -l` writes it.
        fingerprint: String,
        /// The file of known hosts.
        file: PathBuf,
        /// The line there, from 1.
        line: usize,
    },
    /// The private key cannot be used.
    #[error("the key file {file} cannot be used: {problem}", file = file.display())]
    KeyFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The private key needs a passphrase, or another one.
    #[error(
        "the key file {file} is encrypted, and {}. Give its passphrase, or use an agent: ssh-add {file}",
        if *given { "the passphrase given is not its" } else { "no passphrase is given" }, file = file.display()
    )]
    KeyEncrypted {
        /// The file.
        file: PathBuf,
        /// Whether there was a passphrase.
        given: bool,
    },
    /// The server does not accept the login.
    #[error("{address} does not let {user} in with {with}. The server takes: {methods}. {hint}")]
    Refused {
        /// The server.
        address: Address,
        /// Who wanted in.
        user: String,
        /// What was presented: the key file, the agent's keys, a password.
        with: String,
        /// Ways of logging in that the server offers.
        methods: String,
        /// What to do.
        hint: &'static str,
    },
    /// There is no agent to ask.
    #[error(
        "no SSH agent can be asked for keys: {problem}. Start one (eval $(ssh-agent); ssh-add), or name a key file"
    )]
    NoAgent {
        /// Why not.
        problem: String,
    },
    /// The words of a command cannot be sent.
    #[error("the command {program:?} cannot be run: a word of it holds a NUL character, or it has no words")]
    InvalidWords {
        /// The first word.
        program: String,
    },
    /// A program took too long.
    #[error("{program} on {address} has not ended within {} s", limit.as_secs_f64())]
    TimeLimit {
        /// The server.
        address: Address,
        /// The program.
        program: String,
        /// How long it was given.
        limit: Duration,
    },
    /// A program printed too much.
    #[error("{program} on {address} prints more than {limit} bytes")]
    OutputLimit {
        /// The server.
        address: Address,
        /// The program.
        program: String,
        /// How much it was given, in bytes.
        limit: usize,
    },
    /// A file on the other machine cannot be used.
    #[error("cannot {doing} {path} on {address}: {problem}")]
    File {
        /// The server.
        address: Address,
        /// What was to be done with it.
        doing: &'static str,
        /// The file there.
        path: String,
        /// What the server said.
        problem: String,
    },
    /// A file on the other machine is larger than wanted.
    #[error("{path} on {address} has more than {most} bytes")]
    TooLarge {
        /// The server.
        address: Address,
        /// The file there.
        path: String,
        /// How much was wanted at most, in bytes.
        most: u64,
    },
    /// A program that is spoken to has ended.
    #[error("{program} on {address} has ended with {status}{}", quoted(stderr))]
    Ended {
        /// The server.
        address: Address,
        /// The program.
        program: String,
        /// How it ended.
        status: Status,
        /// The end of what it printed to standard error, at most 4 KiB.
        stderr: String,
    },
    /// A program that is spoken to prints a line without end.
    #[error("{program} on {address} prints a line of more than {limit} bytes")]
    LineTooLong {
        /// The server.
        address: Address,
        /// The program.
        program: String,
        /// How long a line may be, in bytes.
        limit: usize,
    },
    /// The server, or the library that speaks to it, failed otherwise.
    #[error("{doing} at {address} failed: {reason}")]
    Failed {
        /// The server.
        address: Address,
        /// What was tried.
        doing: &'static str,
        /// What happened.
        reason: String,
    },
}

impl SshError {
    /// Whether a new connection a little later may work: the network or the server is away. What a user has to put
    /// right is not.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ),
            Self::TimedOut { .. } | Self::Lost { .. } => true,
            _ => false,
        }
    }
}

/// Where the other side, and nobody's settings, is the cause.
fn connect_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            ". The machine is there, but nothing listens: is sshd running, and is this its port?"
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ". Is it switched on and in the same network?"
        }
        _ => "",
    }
}

/// As in the names of host key files, and as `ssh-keyscan -t` takes it.
fn short_type(key_type: &str) -> &str {
    match key_type {
        "ssh-ed25519" => "ed25519",
        "ssh-rsa" => "rsa",
        "ssh-dss" => "dsa",
        other if other.starts_with("ecdsa-") => "ecdsa",
        other => other,
    }
}

fn quoted(stderr: &str) -> String {
    let stderr = stderr.trim();
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

/// Codes of libssh2, from its `libssh2.h`.
pub(super) mod code {
    pub const KEX_FAILURE: i32 = -5;
    pub const SOCKET_SEND: i32 = -7;
    pub const KEY_EXCHANGE_FAILURE: i32 = -8;
    pub const TIMEOUT: i32 = -9;
    pub const SOCKET_DISCONNECT: i32 = -13;
    pub const FILE: i32 = -16;
    pub const METHOD_NONE: i32 = -17;
    pub const AUTHENTICATION_FAILED: i32 = -18;
    pub const PUBLICKEY_UNVERIFIED: i32 = -19;
    pub const CHANNEL_CLOSED: i32 = -26;
    pub const SOCKET_TIMEOUT: i32 = -30;
    pub const EAGAIN: i32 = -37;
    pub const SOCKET_RECV: i32 = -43;
    pub const BAD_SOCKET: i32 = -45;
    pub const KEYFILE_AUTH_FAILED: i32 = -48;
}

/// What libssh2 says, in the terms of this module. `doing` completes "… failed".
pub(super) fn translate(address: &Address, doing: &'static str, after: Duration, error: &ssh2::Error) -> SshError {
    let address = address.clone();
    let reason = Plain(error).to_string();
    match error.code() {
        ErrorCode::Session(code::TIMEOUT | code::SOCKET_TIMEOUT) => SshError::TimedOut { address, doing, after },
        ErrorCode::Session(
            code::SOCKET_SEND
            | code::SOCKET_DISCONNECT
            | code::SOCKET_RECV
            | code::BAD_SOCKET
            | code::CHANNEL_CLOSED
            | code::KEX_FAILURE
            | code::KEY_EXCHANGE_FAILURE
            | code::METHOD_NONE,
        ) => SshError::Lost { address, reason: format!("{doing} failed: {reason}") },
        _ => SshError::Failed { address, doing, reason },
    }
}

/// The library's words without its number, which says nothing to a user unless there are no words.
pub(super) struct Plain<'a>(pub &'a ssh2::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.message().trim_end_matches('.') {
            "" | "unknown error" => write!(f, "{}", self.0.code()),
            message => f.write_str(message),
        }
    }
}
