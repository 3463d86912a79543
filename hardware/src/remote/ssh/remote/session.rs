//! The thread that a session lives on.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use ssh2::Channel;

use super::{LONGEST_LINE, RemoteOptions, Shared, lock};
use crate::remote::ssh::link::{Link, milliseconds};
use crate::remote::ssh::pump::{self, Backoff, Polled, Status, Stream};

/// How much of standard error is kept, in bytes.
const STDERR: usize = 4 * 1024;

/// How many bytes of lines may wait to be received before no more are read.
const MOST_WAITING: usize = 16 << 20;

/// How long a program that has closed its streams, or a connection at its end, may take for the rest.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the owner wants.
#[derive(Debug)]
pub(super) enum Order {
    /// Send this line.
    Line(String),
    /// End standard input.
    CloseInput,
}

/// Why nothing more will come.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// The program has ended.
    Ended { status: Status, stderr: String },
    /// A line without end.
    LineTooLong,
    /// The connection is gone, for this reason.
    Lost(String),
}

/// The session, and what the program has printed.
pub(super) struct Exchange {
    // Dropped first, as in a connection: the channel is not waited for.
    link: Link,
    channel: Channel,
    options: RemoteOptions,
    lines: Sender<String>,
    shared: Arc<Shared>,
    /// A line that has not ended yet.
    partial: Vec<u8>,
    stderr: VecDeque<u8>,
    /// When something last came.
    heard: Instant,
    /// When something was last sent.
    sent: Instant,
    input_closed: bool,
}

impl Exchange {
    pub fn new(
        link: Link,
        channel: Channel,
        options: RemoteOptions,
        lines: Sender<String>,
        shared: Arc<Shared>,
    ) -> Self {
        let now = Instant::now();
        Self {
            link,
            channel,
            options,
            lines,
            shared,
            partial: Vec::new(),
            stderr: VecDeque::new(),
            heard: now,
            sent: now,
            input_closed: false,
        }
    }

    /// Until the program ends, the connection breaks, or the owner is dropped.
    pub fn serve(mut self, orders: &Receiver<Order>) {
        let end = self.exchange(orders).unwrap_or_else(Some);
        match end {
            Some(end) => *lock(&self.shared.end) = Some(end),
            None => self.end_input(),
        }
    }

    /// None once the owner is dropped.
    fn exchange(&mut self, orders: &Receiver<Order>) -> Result<Option<End>, End> {
        let mut buffer = vec![0; 64 * 1024];
        let mut backoff = Backoff::new();
        self.link.session.set_blocking(false);
        loop {
            let polled = self.poll(&mut buffer)?;
            if polled == Polled::Closed
                && let Some(status) = pump::ended(&mut self.channel).map_err(|error| lost(&error))?
            {
                self.pass_on_rest();
                let stderr: Vec<u8> = self.stderr.iter().copied().collect();
                return Ok(Some(End::Ended { status, stderr: String::from_utf8_lossy(&stderr).into_owned() }));
            }
            if let Some(limit) = self.options.silence
                && self.heard.elapsed() > limit
            {
                return Err(End::Lost(format!("nothing has come for {} s", limit.as_secs_f64())));
            }
            if polled == Polled::Bytes {
                backoff.reset();
            }
            let pause = if polled == Polled::Bytes { Duration::ZERO } else { backoff.length() };
            match orders.recv_timeout(pause) {
                Ok(Order::Line(line)) => {
                    self.write(&format!("{line}\n"))?;
                    // The answer will come soon.
                    backoff.reset();
                }
                Ok(Order::CloseInput) => self.close_input()?,
                Err(RecvTimeoutError::Timeout) if self.sent.elapsed() >= self.options.heartbeat => self.write("\n")?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    fn poll(&mut self, buffer: &mut [u8]) -> Result<Polled, End> {
        if self.shared.waiting.load(Ordering::Relaxed) > MOST_WAITING {
            // The program has to wait, so that its silence means nothing.
            self.heard = Instant::now();
            return Ok(Polled::Nothing);
        }
        let (partial, stderr) = (&mut self.partial, &mut self.stderr);
        let polled = pump::read(&mut self.channel, buffer, |stream, bytes| match stream {
            Stream::Stdout => partial.extend_from_slice(bytes),
            Stream::Stderr => {
                stderr.extend(bytes);
                stderr.drain(..stderr.len().saturating_sub(STDERR));
            }
        });
        let polled = polled.map_err(|error| lost(&error))?;
        if polled == Polled::Bytes {
            self.heard = Instant::now();
            self.pass_on_lines()?;
        }
        Ok(polled)
    }

    fn pass_on_lines(&mut self) -> Result<(), End> {
        let mut start = 0;
        while let Some(length) = self.partial[start..].iter().position(|&byte| byte == b'\n') {
            let line = start..start + length;
            if length > LONGEST_LINE {
                return Err(End::LineTooLong);
            }
            start = line.end + 1;
            self.pass_on(&self.partial[line]);
        }
        self.partial.drain(..start);
        if self.partial.len() > LONGEST_LINE { Err(End::LineTooLong) } else { Ok(()) }
    }

    /// What came after the last line break.
    fn pass_on_rest(&mut self) {
        let rest = std::mem::take(&mut self.partial);
        if !rest.is_empty() {
            self.pass_on(&rest);
        }
    }

    fn pass_on(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        self.shared.waiting.fetch_add(line.len(), Ordering::Relaxed);
        // Fails only once the owner is dropped: then the orders end as well.
        let _ = self.lines.send(line);
    }

    /// Writes all of it. Blocking: libssh2 gets confused if something else is done with a session that has sent half a
    /// packet. It takes long only where the network is gone, or the program does not read.
    fn write(&mut self, text: &str) -> Result<(), End> {
        self.sent = Instant::now();
        if self.input_closed {
            return Ok(());
        }
        self.link.session.set_blocking(true);
        let result = self.channel.write_all(text.as_bytes());
        self.link.session.set_blocking(false);
        match result {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(End::Lost(format!("nothing can be sent for {} s", self.link.timeout.as_secs_f64())))
            }
            // A program that has ended takes nothing any more; its end is about to be read.
            Err(_) if self.channel.eof() => Ok(()),
            Err(error) => Err(lost(&error)),
        }
    }

    fn close_input(&mut self) -> Result<(), End> {
        if std::mem::replace(&mut self.input_closed, true) {
            return Ok(());
        }
        self.link.session.set_blocking(true);
        let result = self.channel.send_eof();
        self.link.session.set_blocking(false);
        result.map_err(|error| lost(&error.into()))
    }

    /// Ends standard input, and gives the server a moment to take notice.
    fn end_input(&mut self) {
        self.link.session.set_timeout(milliseconds(FAREWELL));
        if self.close_input().is_ok() {
            self.link.session.set_blocking(true);
            let _ = self.channel.close();
        }
    }
}

fn lost(error: &io::Error) -> End {
    End::Lost(error.to_string())
}
