//! A program on the other machine that is spoken to line by line.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::command::quoted;
use super::error::SshError;
use super::link::Link;
use super::options::Address;

mod session;

use session::{End, Order, Spoken};

/// How long a line may be, in bytes.
const LONGEST_LINE: usize = 1 << 20;

/// How long dropping waits for the thread to say goodbye.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a program is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteOptions {
    /// How often an empty line is sent, so that the program notices when nobody is there any more.
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

/// A program that runs on the other machine and is spoken to line by line. Its session lives on a thread of its own, so
/// that heartbeats go on and nobody is blocked. When this is dropped, the program's standard input ends, and with it
/// the connection.
#[derive(Debug)]
pub struct Remote {
    address: Address,
    program: String,
    /// None once dropping.
    orders: Option<Sender<Order>>,
    lines: Mutex<Receiver<String>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    socket: Option<TcpStream>,
}

/// What both sides know.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes of lines that wait to be received.
    waiting: AtomicUsize,
    /// Why the thread has ended; set before it lets go of the lines.
    end: Mutex<Option<End>>,
}

impl Remote {
    pub(super) fn start(link: Link, words: &[&str], options: &RemoteOptions) -> Result<Self, SshError> {
        let channel = link.start(&format!("exec {}", quoted(words)?))?;
        let address = link.address.clone();
        let program = words.first().copied().unwrap_or_default().to_owned();
        let failed = |error: std::io::Error| SshError::Failed {
            address: link.address.clone(),
            doing: "starting a thread for the connection",
            reason: error.to_string(),
        };
        let socket = link.socket.try_clone().map_err(failed)?;
        let (orders, received_orders) = mpsc::channel();
        let (sent_lines, lines) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let spoken = Spoken::new(link, channel, options.clone(), sent_lines, Arc::clone(&shared));
        let thread =
            thread::Builder::new().name(format!("ssh {address}")).spawn(move || spoken.serve(&received_orders));
        let thread = thread.map_err(|error| SshError::Failed {
            address: address.clone(),
            doing: "starting a thread for the connection",
            reason: error.to_string(),
        })?;
        Ok(Self {
            address,
            program,
            orders: Some(orders),
            lines: Mutex::new(lines),
            shared,
            thread: Some(thread),
            socket: Some(socket),
        })
    }

    /// Sends a line to the program's standard input; the line break is added. Does not wait until it has gone.
    ///
    /// # Errors
    ///
    /// If the program has ended, or the connection is lost.
    pub fn send(&self, line: &str) -> Result<(), SshError> {
        self.order(Order::Line(line.to_owned()))
    }

    /// Ends the program's standard input after what was sent. What it still prints, and its end, can be received.
    ///
    /// # Errors
    ///
    /// If the program has ended, or the connection is lost.
    pub fn close_input(&self) -> Result<(), SshError> {
        self.order(Order::CloseInput)
    }

    /// The next line that the program has printed, without its line break; `None` if there is none within `wait`. What
    /// is not UTF-8 is replaced.
    ///
    /// # Errors
    ///
    /// After the last line: [`SshError::Ended`] if the program has ended, [`SshError::Lost`] if the connection is lost,
    /// and the same again in any further call.
    pub fn receive(&self, wait: Duration) -> Result<Option<String>, SshError> {
        match lock(&self.lines).recv_timeout(wait) {
            Ok(line) => {
                self.shared.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.end()),
        }
    }

    fn order(&self, order: Order) -> Result<(), SshError> {
        match self.orders.as_ref().map(|orders| orders.send(order)) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(self.end()),
        }
    }

    fn end(&self) -> SshError {
        let address = self.address.clone();
        let program = self.program.clone();
        match lock(&self.shared.end).clone() {
            Some(End::Ended { status, stderr }) => SshError::Ended { address, program, status, stderr },
            Some(End::LineTooLong) => SshError::LineTooLong { address, program, limit: LONGEST_LINE },
            Some(End::Lost(reason)) => SshError::Lost { address, reason },
            // Only if the thread has panicked.
            None => SshError::Lost { address, reason: "its thread has ended".to_owned() },
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        drop(self.orders.take());
        let Some(thread) = self.thread.take() else { return };
        let start = Instant::now();
        while !thread.is_finished() {
            if start.elapsed() > PATIENCE {
                // Then it need not be waited for: whatever it waits for fails now.
                if let Some(socket) = &self.socket {
                    let _ = socket.shutdown(Shutdown::Both);
                }
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        let _ = thread.join();
    }
}

/// What it guards stays valid also if somebody panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
