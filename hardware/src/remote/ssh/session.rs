//! A program on the other machine that exchanges lines with this one.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use libssh2_sys::LIBSSH2_ERROR_EAGAIN;
use ssh2::{Channel, ErrorCode};

use super::connection::{Connection, milliseconds};
use super::error::SshError;
use crate::remote::exchange::{ALIVE, Exchange, LONGEST_LINE};

/// How much of standard error is kept, in bytes.
const STDERR: usize = 4 * 1024;
/// How long the other machine may take to notice the end of a program's input.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long dropping waits for the thread to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How lines are exchanged with a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteOptions {
    /// How often an empty line is sent, so that the program notices when this one has ended.
    pub heartbeat: Duration,
    /// How long the program may print nothing at all before the connection counts as lost. Only a program that answers
    /// the empty lines may be given a limit.
    pub silence: Option<Duration>,
}

impl Default for RemoteOptions {
    /// A line every second, and lost after 10 s of silence.
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(1), silence: Some(Duration::from_secs(10)) }
    }
}

/// A program that runs on the other machine and exchanges lines with this one. When this is dropped, the connection ends
/// too. The error at the end is [`SshError::Ended`] if the program has ended, [`SshError::Away`] if the connection is
/// lost.
pub type Remote = Exchange<SshError>;

/// The thread that the connection lives on, and what the program has printed.
struct Session {
    // Dropped first, as the channel is not waited for.
    connection: Connection,
    channel: Channel,
    program: String,
    options: RemoteOptions,
    lines: SyncSender<String>,
    /// Bytes that are not passed on yet.
    partial: Vec<u8>,
    stderr: VecDeque<u8>,
    /// When something was last received.
    received: Instant,
    /// When something was last sent.
    sent: Instant,
}

/// What a poll of the program brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Polled {
    /// Something was printed.
    Bytes,
    /// Nothing new.
    Nothing,
    /// Both streams are closed. The program may still run.
    Closed,
}

impl Connection {
    /// Starts a program that exchanges lines with this one, and gives the session to it. Every word is quoted for the
    /// shell of the other machine.
    ///
    /// # Errors
    ///
    /// If a word holds a NUL character, or the server does not start anything.
    pub fn into_remote(self, words: &[&str], options: &RemoteOptions) -> Result<Remote, SshError> {
        let (program, options) = (words.first().copied().unwrap_or_default().to_owned(), options.clone());
        let quoted = shlex::try_join(words.iter().copied()).ok().filter(|_| !words.is_empty());
        let quoted = quoted.ok_or_else(|| {
            SshError::Settings(format!(
                "the command {program:?} cannot be run: a word of it holds a NUL character, or it has no words"
            ))
        })?;
        let mut channel = self.session.channel_session().map_err(|error| self.error("opening a channel", &error))?;
        channel.exec(&format!("exec {quoted}")).map_err(|error| self.error("starting a program", &error))?;
        let address = self.address.clone();
        let lost = SshError::lost(&address, "its thread has ended");
        let thread = Exchange::start(format!("ssh {address}"), lost, PATIENCE, move |orders, lines| {
            let now = Instant::now();
            let (partial, stderr, lines) = (Vec::new(), VecDeque::new(), lines.clone());
            let session = Session {
                connection: self,
                channel,
                program,
                options,
                lines,
                partial,
                stderr,
                received: now,
                sent: now,
            };
            session.serve(orders)
        });
        thread.map_err(|error| SshError::failed(&address, "starting a thread for the connection", error))
    }
}

impl Session {
    /// Until the owner is dropped.
    ///
    /// # Errors
    /// If the program ends, or the connection breaks.
    fn serve(mut self, orders: &Receiver<String>) -> Result<(), SshError> {
        let mut buffer = vec![0; 64 * 1024];
        self.connection.session.set_blocking(false);
        loop {
            let polled = self.poll(&mut buffer)?;
            if polled == Polled::Closed {
                self.check_end()?;
            }
            if let Some(limit) = self.options.silence
                && self.received.elapsed() > limit
            {
                return Err(self.lost(format!("nothing has come for {} s", limit.as_secs_f64())));
            }
            // Longer while nothing happens, so that an answer is seen soon and silence costs little.
            let pause = match polled {
                Polled::Bytes => Duration::ZERO,
                _ => (self.received.max(self.sent).elapsed() / 8)
                    .clamp(Duration::from_micros(200), Duration::from_millis(5)),
            };
            match orders.recv_timeout(pause) {
                Ok(line) => self.write(&line)?,
                Err(RecvTimeoutError::Timeout) if self.sent.elapsed() >= self.options.heartbeat => self.write("")?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.end_input();
                    return Ok(());
                }
            }
        }
    }

    /// Reads what has arrived, at most a buffer of each stream.
    fn poll(&mut self, buffer: &mut [u8]) -> Result<Polled, SshError> {
        if !self.pass_on_lines()? {
            // The program has to wait, so that its silence means nothing.
            self.received = Instant::now();
            return Ok(Polled::Nothing);
        }
        let (mut bytes, mut ends) = (0, 0);
        for is_stderr in [false, true] {
            let read = if is_stderr { self.channel.stderr().read(buffer) } else { self.channel.read(buffer) };
            let count = match read {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(self.lost(error)),
            };
            bytes += count;
            ends += usize::from(count == 0);
            if is_stderr {
                self.stderr.extend(&buffer[..count]);
                self.stderr.drain(..self.stderr.len().saturating_sub(STDERR));
            } else {
                self.partial.extend_from_slice(&buffer[..count]);
            }
        }
        match (bytes, ends) {
            (1.., _) => {
                self.received = Instant::now();
                Ok(Polled::Bytes)
            }
            (0, 2) if self.channel.eof() => Ok(Polled::Closed),
            // libssh2 also reads nothing from a closed socket.
            (0, 2) => Err(self.lost(io::Error::from(io::ErrorKind::ConnectionAborted))),
            (0, _) => Ok(Polled::Nothing),
        }
    }

    /// Passes on whole lines; whether there was room for all of them.
    fn pass_on_lines(&mut self) -> Result<bool, SshError> {
        let mut start = 0;
        let has_room = loop {
            let length = self.partial[start..].iter().position(|&byte| byte == b'\n');
            if length.unwrap_or(self.partial.len() - start) > LONGEST_LINE {
                let (program, address) = (&self.program, &self.connection.address);
                let problem = format!("{program} on {address} prints a line of more than {LONGEST_LINE} bytes");
                return Err(SshError::Settings(problem));
            }
            let Some(length) = length else { break true };
            let line = String::from_utf8_lossy(&self.partial[start..start + length]);
            if line != ALIVE
                && let Err(TrySendError::Full(_)) = self.lines.try_send(line.into_owned())
            {
                break false;
            }
            start += length + 1;
        };
        self.partial.drain(..start);
        Ok(has_room)
    }

    /// An error if the program has ended, whose streams are closed. The text after the last line break is a line too.
    fn check_end(&mut self) -> Result<(), SshError> {
        match self.channel.wait_close() {
            Ok(()) => {}
            Err(error) if error.code() == ErrorCode::Session(LIBSSH2_ERROR_EAGAIN) => return Ok(()),
            Err(error) => return Err(self.lost(error)),
        }
        let signal = self.channel.exit_signal().map_err(|error| self.lost(error))?.exit_signal;
        let (how, status) = match signal {
            Some(name) => (format!("signal {name}"), None),
            None => {
                let status = self.channel.exit_status().map_err(|error| self.lost(error))?;
                (format!("exit status {status}"), Some(status))
            }
        };
        if !self.partial.is_empty() {
            // Fails only once the owner is dropped.
            let _ = self.lines.send(String::from_utf8_lossy(&self.partial).into_owned());
        }
        let stderr = String::from_utf8_lossy(self.stderr.make_contiguous()).trim().to_owned();
        let between = if stderr.is_empty() { "" } else { ": " };
        let (program, address) = (&self.program, &self.connection.address);
        let text = format!("{program} on {address} has ended with {how}{between}{stderr}");
        Err(SshError::Ended { text, status })
    }

    /// Writes all of it. Blocking: libssh2 gets confused if something else is done with a session that has sent half a
    /// packet. It takes long only where the network is lost, or the program does not read.
    fn write(&mut self, line: &str) -> Result<(), SshError> {
        self.sent = Instant::now();
        self.connection.session.set_blocking(true);
        let result = self.channel.write_all(format!("{line}\n").as_bytes());
        self.connection.session.set_blocking(false);
        match result {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let limit_s = self.connection.timeout.as_secs_f64();
                Err(self.lost(format!("nothing can be sent for {limit_s} s")))
            }
            // A program that has ended takes nothing any more; its end is about to be read.
            Err(error) if !self.channel.eof() => Err(self.lost(error)),
            _ => Ok(()),
        }
    }

    /// Ends standard input, and gives the server a moment to take notice.
    fn end_input(&mut self) {
        self.connection.session.set_timeout(milliseconds(FAREWELL));
        self.connection.session.set_blocking(true);
        if self.channel.send_eof().is_ok() {
            let _ = self.channel.close();
        }
    }

    fn lost(&self, reason: impl fmt::Display) -> SshError {
        SshError::lost(&self.connection.address, reason)
    }
}
