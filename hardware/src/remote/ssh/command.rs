//! Programs that run to their end.

use std::borrow::Cow;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use ssh2::{Channel, ErrorCode};

use super::error::{SshError, code};
use super::pump::{self, Backoff, Heard, Stream};
use super::{Connection, Link};

/// How long the death of a program is waited for that was given up.
const DYING: Duration = Duration::from_secs(3);

/// What a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long it may run.
    pub time: Duration,
    /// How many bytes it may print, both streams together.
    pub output_bytes: usize,
}

impl Default for Limits {
    /// 30 s and 1 MiB.
    fn default() -> Self {
        Self { time: Duration::from_secs(30), output_bytes: 1 << 20 }
    }
}

/// What a program has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: Status,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this code; 127 where there is no such program.
    Exit(i32),
    /// By the signal of this name: `KILL`.
    Signal(String),
}

impl Output {
    /// Whether it ended with code 0.
    pub fn success(&self) -> bool {
        self.status == Status::Exit(0)
    }

    /// What it printed, as text; what is not UTF-8 is replaced.
    pub fn stdout_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// What it complained about, as text; what is not UTF-8 is replaced.
    pub fn stderr_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit status {code}"),
            Self::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

impl Connection {
    /// Runs a program to its end, in the user's home, without any input. Every word is quoted for the shell of the
    /// other machine: the program gets them as they are.
    ///
    /// A program that runs too long is killed there, with its children, about a second after the limit: by the
    /// `timeout` of the other machine, so that it is killed even if the connection breaks. Where there is no
    /// `timeout`, it only loses its streams. One that prints too much loses them at once. Its death is waited for, but
    /// not for longer than 3 s.
    ///
    /// # Errors
    ///
    /// If a word holds a NUL character, a limit is exceeded, or the connection breaks. A program that fails is none.
    pub fn run(&mut self, words: &[&str], limits: &Limits) -> Result<Output, SshError> {
        let command = limited(words, limits.time)?;
        let deadline = Instant::now() + limits.time;
        let program = words.first().copied().unwrap_or_default();
        let mut channel = self.link.start(&command)?;
        channel.send_eof().map_err(|error| self.link.error("starting a program", &error))?;
        self.link.session.set_blocking(false);
        let result = collect(&self.link, &mut channel, program, limits, deadline);
        // Where the program ran to its end this is done already; where the connection is lost it fails at once. Where
        // the program was given up, the server confirms it when the program has been killed.
        let given_up = Instant::now();
        while given_up.elapsed() < DYING
            && matches!(channel.close(), Err(error) if error.code() == ErrorCode::Session(code::EAGAIN))
        {
            thread::sleep(Duration::from_millis(5));
        }
        // Not blocking yet, it would be waited for in vain once more.
        drop(channel);
        self.link.session.set_blocking(true);
        result
    }
}

fn collect(
    link: &Link,
    channel: &mut Channel,
    program: &str,
    limits: &Limits,
    deadline: Instant,
) -> Result<Output, SshError> {
    let lost = |error: std::io::Error| SshError::Lost {
        address: link.address.clone(),
        reason: format!("while {program} ran: {error}"),
    };
    let mut buffer = vec![0; 64 * 1024];
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut naps = Backoff::new();
    loop {
        let heard = pump::read(channel, &mut buffer, |stream, bytes| match stream {
            Stream::Stdout => stdout.extend_from_slice(bytes),
            Stream::Stderr => stderr.extend_from_slice(bytes),
        });
        let heard = heard.map_err(lost)?;
        if stdout.len() + stderr.len() > limits.output_bytes {
            let (address, program) = (link.address.clone(), program.to_owned());
            return Err(SshError::OutputLimit { address, program, limit: limits.output_bytes });
        }
        if heard == Heard::Closed
            && let Some(status) = pump::ended(channel).map_err(lost)?
        {
            return Ok(Output { status, stdout, stderr });
        }
        if Instant::now() >= deadline {
            let (address, program) = (link.address.clone(), program.to_owned());
            return Err(SshError::TimeLimit { address, program, limit: limits.time });
        }
        if heard == Heard::Bytes {
            naps.reset();
        } else {
            thread::sleep(naps.length());
        }
    }
}

/// The words as one line for a POSIX shell.
pub(super) fn quoted(words: &[&str]) -> Result<String, SshError> {
    let refused = || SshError::InvalidWords { program: words.first().copied().unwrap_or_default().to_owned() };
    if words.is_empty() {
        return Err(refused());
    }
    shlex::try_join(words.iter().copied()).map_err(|_| refused())
}

/// A line that runs the words, and kills what runs when its time is up and the caller has given up.
fn limited(words: &[&str], time: Duration) -> Result<String, SshError> {
    // In whole seconds, since not every `timeout` takes fractions; some do not take `-s KILL` either.
    let seconds = time.as_secs() + 1 + u64::from(time.subsec_nanos() > 0);
    let script =
        format!("timeout -s KILL {seconds} true 2>/dev/null && exec timeout -s KILL {seconds} \"$@\"; exec \"$@\"");
    Ok(format!("exec sh -c {} sh {}", quoted(&[&script])?, quoted(words)?))
}
