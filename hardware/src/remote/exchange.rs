//! The exchange of lines with a program.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::error::RemoteError;
use crate::lock::lock;

/// Longest line, in bytes.
pub(super) const LONGEST_LINE: usize = 1 << 20;
/// Lines that may wait to be received; then the program has to wait.
const MOST_WAITING: usize = 1024;
/// The agent's answer to a heartbeat, which is not passed on.
pub(super) const ALIVE: &str = "{}";

/// Lines to and from the agent.
pub(crate) trait Channel: Send {
    /// Sends a line.
    fn send(&mut self, line: &str) -> Result<(), RemoteError>;
    /// The next line, or none within `wait`.
    fn receive(&mut self, wait: Duration) -> Result<Option<String>, RemoteError>;
}

/// A program that runs beside this one and exchanges lines with it, on a thread of its own: heartbeats continue, and no
/// call blocks. When this is dropped, the program's standard input ends.
#[derive(Debug)]
pub struct Exchange<E> {
    /// Lines to the program and from it; none once dropping.
    lines: Option<(Sender<String>, Receiver<String>)>,
    /// Why nothing more will come, once the lines from the program end.
    end: Arc<Mutex<E>>,
    thread: Option<JoinHandle<()>>,
    /// How long dropping waits for the thread to end.
    farewell: Duration,
}

impl<E: Clone + Send + 'static> Exchange<E> {
    /// Starts the thread: `serve` returns once the lines to the program end, or with an error once the program has
    /// ended. The error is `lost` where it panics.
    pub(super) fn start(
        name: String,
        lost: E,
        farewell: Duration,
        serve: impl FnOnce(&Receiver<String>, &SyncSender<String>) -> Result<(), E> + Send + 'static,
    ) -> io::Result<Self> {
        let (to, received) = mpsc::channel();
        let (printed, from) = mpsc::sync_channel(MOST_WAITING);
        let end = Arc::new(Mutex::new(lost));
        let shared = Arc::clone(&end);
        let thread = thread::Builder::new().name(name).spawn(move || {
            if let Err(error) = serve(&received, &printed) {
                *lock(&shared) = error;
            }
        })?;
        Ok(Self { lines: Some((to, from)), end, thread: Some(thread), farewell })
    }

    /// Sends a line to the program's standard input; the line break is added. Does not wait until it has gone.
    ///
    /// # Errors
    ///
    /// If the program has ended, or the connection is lost.
    pub fn send(&self, line: &str) -> Result<(), E> {
        let sent = self.lines.as_ref().is_some_and(|(to, _)| to.send(line.to_owned()).is_ok());
        if sent { Ok(()) } else { Err(lock(&self.end).clone()) }
    }

    /// The next line that the program has printed, without its line break; `None` if there is none within `wait`. Bytes
    /// that are not UTF-8 are replaced.
    ///
    /// # Errors
    ///
    /// After the last line, and the same again in any further call.
    pub fn receive(&self, wait: Duration) -> Result<Option<String>, E> {
        match self.lines.as_ref().map(|(_, from)| from.recv_timeout(wait)) {
            Some(Ok(line)) => Ok(Some(line)),
            Some(Err(RecvTimeoutError::Timeout)) => Ok(None),
            Some(Err(RecvTimeoutError::Disconnected)) | None => Err(lock(&self.end).clone()),
        }
    }
}

impl<E: Clone + Send + 'static> Channel for Exchange<E>
where
    RemoteError: From<E>,
{
    fn send(&mut self, line: &str) -> Result<(), RemoteError> {
        Ok(Exchange::send(self, line)?)
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<String>, RemoteError> {
        Ok(Exchange::receive(self, wait)?)
    }
}

impl<E> Drop for Exchange<E> {
    fn drop(&mut self) {
        drop(self.lines.take());
        let start = Instant::now();
        // A thread that takes longer ends by itself, since all that it waits for has a limit.
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && start.elapsed() < self.farewell {
            thread::sleep(Duration::from_millis(2));
        }
    }
}
