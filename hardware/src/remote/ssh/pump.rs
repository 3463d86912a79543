//! Reading what a program prints, without waiting for it.

use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use ssh2::{Channel, ErrorCode};

use super::error::code;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    /// By itself, with this status.
    Exit(i32),
    /// By the signal of this name: `KILL`.
    Signal(String),
}

/// What a poll of a channel brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polled {
    /// Something was printed.
    Bytes,
    /// Nothing new.
    Nothing,
    /// Both streams are closed. The program may still run.
    Closed,
}

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Gives what has arrived to `take`, at most a buffer of each stream. The session must not be blocking.
pub(super) fn read(
    channel: &mut Channel,
    buffer: &mut [u8],
    mut take: impl FnMut(Stream, &[u8]),
) -> io::Result<Polled> {
    let (mut bytes, mut ends) = (false, 0);
    for stream in [Stream::Stdout, Stream::Stderr] {
        let result = match stream {
            Stream::Stdout => channel.read(buffer),
            Stream::Stderr => channel.stderr().read(buffer),
        };
        match result {
            Ok(0) => ends += 1,
            Ok(count) => {
                bytes = true;
                take(stream, &buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    match (bytes, ends) {
        (true, _) => Ok(Polled::Bytes),
        (false, 2) if channel.eof() => Ok(Polled::Closed),
        // libssh2 also reads nothing from a socket that is gone.
        (false, 2) => Err(io::ErrorKind::ConnectionAborted.into()),
        (false, _) => Ok(Polled::Nothing),
    }
}

/// How the program ended, once it has. The session must not be blocking, and the streams have to be closed.
pub(super) fn ended(channel: &mut Channel) -> io::Result<Option<Status>> {
    match channel.wait_close() {
        Ok(()) => {}
        Err(error) if error.code() == ErrorCode::Session(code::EAGAIN) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let signal = channel.exit_signal()?.exit_signal;
    Ok(Some(match signal {
        Some(name) => Status::Signal(name),
        None => Status::Exit(channel.exit_status()?),
    }))
}

/// Sleeps that get longer while nothing happens, so that an answer is seen soon and silence costs little.
#[derive(Debug)]
pub(super) struct Backoff {
    since: Instant,
}

impl Backoff {
    pub fn new() -> Self {
        Self { since: Instant::now() }
    }

    /// Something happened.
    pub fn reset(&mut self) {
        self.since = Instant::now();
    }

    /// How long to sleep now.
    pub fn length(&self) -> Duration {
        (self.since.elapsed() / 8).clamp(Duration::from_micros(200), Duration::from_millis(5))
    }
}
