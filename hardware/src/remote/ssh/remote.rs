//! A program on the other machine that exchanges lines with this one.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::error::SshError;
use super::link::Link;
use super::options::Address;
use super::pump::Status;
use super::quoted;

mod session;

use session::{End, Exchange, Order};

/// How long a line may be, in bytes.
const LONGEST_LINE: usize = 1 << 20;

/// How long dropping waits for the thread to say goodbye.
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

/// A program that runs on the other machine and exchanges lines with this one. Its session lives on a thread of its own,
/// so that heartbeats continue and no call blocks. When this is dropped, the program's standard input ends, and with it
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
        let failed = |error: std::io::Error| SshError::failed(&address, "starting a thread for the connection", error);
        let socket = link.socket.try_clone().map_err(failed)?;
        let (orders, received_orders) = mpsc::channel();
        let (sent_lines, lines) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let exchange = Exchange::new(link, channel, options.clone(), sent_lines, Arc::clone(&shared));
        let thread =
            thread::Builder::new().name(format!("ssh {address}")).spawn(move || exchange.serve(&received_orders));
        let thread = thread.map_err(failed)?;
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
    /// After the last line: [`SshError::Ended`] if the program has ended, [`SshError::Away`] if the connection is lost,
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
        let (address, program) = (&self.address, &self.program);
        match lock(&self.shared.end).clone() {
            Some(End::Ended { status, stderr }) => {
                let (how, status) = match status {
                    Status::Exit(code) => (format!("exit status {code}"), Some(code)),
                    Status::Signal(name) => (format!("signal {name}"), None),
                };
                let between = if stderr.trim().is_empty() { "" } else { ": " };
                let text = format!("{program} on {address} has ended with {how}{between}{}", stderr.trim());
                SshError::Ended { text, status }
            }
            Some(End::LineTooLong) => {
                SshError::Settings(format!("{program} on {address} prints a line of more than {LONGEST_LINE} bytes"))
            }
            Some(End::Lost(reason)) => SshError::lost(address, reason),
            // Only if the thread has panicked.
            None => SshError::lost(address, "its thread has ended"),
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

/// The guarded value stays valid also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
