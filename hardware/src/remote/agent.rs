//! The program on a device's machine that starts others there and reports their output.
//!
//! It is `agent.py` beside this file: it needs nothing but Python 3, stamps every line with the machine's own clock, and
//! ends all that it started when the connection to it is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::RemoteError;
use super::exchange::Channel;
use crate::lock::lock;
use crate::shown::{clean, ends_of};

/// The program itself.
pub(super) const PROGRAM: &str = include_str!("agent.py");

/// The agent on another machine. Clones are handles of one agent and share its connection: a device and its meter use it
/// in turn. The connection closes with the last of them.
#[derive(Clone)]
pub(crate) struct Agent {
    hello: Arc<Hello>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    channel: Box<dyn Channel>,
    /// The last order, its answer or problem once that has come, and the content of a file that comes before.
    last_id: u64,
    answer: Option<Result<Answer, String>>,
    content: String,
    /// When the last order was answered, on the board's clock.
    answered_ns: u64,
    /// Events of each job that its owner has not read yet.
    pending: BTreeMap<u64, VecDeque<JobEvent>>,
    /// Their length, in bytes.
    pending_bytes: usize,
}

/// The agent's first message, about its machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Hello {
    /// Absolute path of the work folder.
    pub folder: String,
    /// Version of Python.
    pub python: String,
    /// Changes with every start of the board.
    pub boot: Option<String>,
    /// The board's name in its device tree.
    pub model: Option<String>,
    /// First line of `/etc/nv_tegra_release`.
    pub release: Option<String>,
    /// The board's serial number.
    pub serial: Option<String>,
    /// Its name in the network.
    pub machine: String,
}

/// A program or a poll that runs on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job(u64);

/// An event of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum JobEvent {
    /// A program printed a line.
    Line { at_ns: u64, text: String },
    /// A poll read its files.
    Values { at_ns: u64, values: Vec<String> },
    /// It ended.
    Ended { end: End },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this exit code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It ran past its time limit and was ended.
    TimedOut,
    /// A poll could not go on.
    Problem(String),
}

/// Answers to orders; each has the fields that its order is answered with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    pub locked: bool,
    pub by: String,
    pub kept: Vec<String>,
    pub exists: bool,
    pub sha256: Option<String>,
    pub files: Vec<(String, Option<String>)>,
    pub path: Option<String>,
    pub bytes: u64,
    pub size: u64,
    pub real_ns: u64,
    #[serde(skip)]
    pub content: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    id: Option<u64>,
    t: u64,
    line: Option<String>,
    values: Option<Vec<String>>,
    chunk: Option<String>,
    done: bool,
    problem: Option<String>,
    exit: Option<i32>,
    signal: Option<i32>,
    timeout: bool,
    hello: Option<u64>,
}

impl JobEvent {
    /// About what it takes to keep it, in bytes.
    fn length(&self) -> usize {
        let text = match self {
            Self::Line { text, .. } => text.len(),
            Self::Values { values, .. } => values.iter().map(String::len).sum(),
            Self::Ended { .. } => 0,
        };
        text + size_of::<(Job, Self)>()
    }
}

impl Agent {
    /// Longest wait for an answer that needs no work.
    const ANSWER: Duration = Duration::from_secs(30);
    /// Version of the protocol.
    const VERSION: u64 = 1;
    /// Largest file that is read through it, in bytes.
    pub const LARGEST_FILE: usize = 256 << 20;
    /// Most bytes of events that wait for their owners; more is a flood.
    const MOST_PENDING: usize = 64 << 20;
    /// Longest line of a program that is kept, in bytes, as the agent itself has it.
    const LONGEST_LINE: usize = 16_384;

    /// Waits for the agent's first line.
    ///
    /// # Errors
    /// If it does not come, or is not ours.
    pub fn greet(mut channel: Box<dyn Channel>) -> Result<Self, RemoteError> {
        let deadline = Instant::now() + Self::ANSWER;
        while Instant::now() < deadline {
            let Some(line) = channel.receive(Duration::from_millis(500))? else { continue };
            let event = match serde_json::from_str::<Event>(&line) {
                Ok(event) => event,
                Err(error) if line.contains("\"hello\"") => return Err(RemoteError::protocol(&line, &error)),
                // A login script may print something first.
                Err(_) => continue,
            };
            if let Some(problem) = event.problem {
                return Err(RemoteError::Settings { problem: ends_of(&problem) });
            }
            if event.hello == Some(Self::VERSION) {
                let hello = serde_json::from_str(&line).map_err(|error| RemoteError::protocol(&line, &error))?;
                let (content, pending) = (String::new(), BTreeMap::new());
                let shared =
                    Shared { channel, last_id: 0, answer: None, content, answered_ns: 0, pending, pending_bytes: 0 };
                return Ok(Self { hello: Arc::new(hello), shared: Arc::new(Mutex::new(shared)) });
            }
        }
        Err(RemoteError::Silent { what: "the agent on the board".to_owned(), waited: Self::ANSWER })
    }

    /// Its first message.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// When it answered last, in nanoseconds of the board's clock.
    pub fn answered_ns(&self) -> u64 {
        self.shared().answered_ns
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    /// Gives an order and waits for its answer.
    pub fn ask(&mut self, order: Value) -> Result<Answer, RemoteError> {
        self.ask_within(order, Self::ANSWER)
    }

    /// The same for an order that may take longer.
    pub fn ask_within(&mut self, order: Value, wait: Duration) -> Result<Answer, RemoteError> {
        self.shared().ask(order, wait.max(Self::ANSWER)).map(|(_, answer)| answer)
    }

    /// Starts a job by an order.
    fn begin(&mut self, order: Value) -> Result<Job, RemoteError> {
        self.shared().ask(order, Self::ANSWER).map(|(id, _)| Job(id))
    }

    /// Starts a program, which is ended after `limit`. Its two streams come as one; with `terminal` it writes
    /// to one, and holds no line back.
    pub fn start(&mut self, argv: &[String], limit: Duration, terminal: bool) -> Result<Job, RemoteError> {
        let order = json!({"do": "start", "argv": argv, "limit_s": limit.as_secs_f64(), "terminal": terminal});
        self.begin(order)
    }

    /// Reads files again and again.
    pub fn poll(&mut self, paths: &[String], period: Duration) -> Result<Job, RemoteError> {
        self.begin(json!({"do": "poll", "paths": paths, "period_s": period.as_secs_f64()}))
    }

    /// Ends a job; its end still comes as an event.
    pub fn stop(&mut self, job: Job) -> Result<(), RemoteError> {
        self.ask(json!({"do": "stop", "job": job.0})).map(|_| ())
    }

    /// The next event of a job. `None` if none has come within `wait`, and as soon as an event of another job has.
    pub fn next(&mut self, job: Job, wait: Duration) -> Result<Option<JobEvent>, RemoteError> {
        let mut shared = self.shared();
        if let Some(event) = shared.pop(job) {
            return Ok(Some(event));
        }
        shared.receive(wait)?;
        Ok(shared.pop(job))
    }

    /// All that a job has done and that has arrived by now.
    pub fn arrived(&mut self, job: Job) -> Result<VecDeque<JobEvent>, RemoteError> {
        let mut shared = self.shared();
        while shared.receive(Duration::ZERO)? {}
        let events = shared.pending.remove(&job.0).unwrap_or_default();
        shared.pending_bytes -= events.iter().map(JobEvent::length).sum::<usize>();
        Ok(events)
    }

    /// Waits until something arrives, at most for `wait`.
    pub fn wait(&mut self, wait: Duration) -> Result<(), RemoteError> {
        self.shared().receive(wait).map(|_| ())
    }

    /// Waits for the end of a job; its other events are dropped.
    ///
    /// # Errors
    /// If it does not end within `limit`, or the agent cannot be reached any more.
    pub fn wait_for_end(&mut self, job: Job, limit: Duration) -> Result<(), RemoteError> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(JobEvent::Ended { .. }) = self.next(job, Duration::from_millis(50))? {
                return Ok(());
            }
        }
        Err(RemoteError::Failed { problem: format!("a program could not be ended within {} s", limit.as_secs()) })
    }

    /// Facts about its machine for a device's state.
    pub fn health(&mut self) -> Result<Vec<(String, String)>, RemoteError> {
        let free = self.make_room(0, &[])?;
        let Hello { folder, python, .. } = &*self.hello;
        let folder = format!("{folder}, {} MB free", free >> 20);
        Ok(vec![("work folder".to_owned(), folder), ("python3".to_owned(), python.clone())])
    }

    /// Makes sure that so many bytes are free; of the files in some folders, within the work folder, those that were not
    /// used for longest go first. Gives how many are free.
    ///
    /// # Errors
    /// If they are not.
    pub fn make_room(&mut self, wanted: u64, older: &[&str]) -> Result<u64, RemoteError> {
        let free = self.ask(json!({"do": "make room", "wanted": wanted, "folders": older}))?.bytes;
        if free >= wanted {
            return Ok(free);
        }
        let folder = &self.hello.folder;
        let problem = format!(
            "the board's disk is full: {} MB are free where {folder} lies, {} MB are needed. Remove what is no longer \
             needed",
            free >> 20,
            wanted >> 20
        );
        Err(RemoteError::Agent { problem })
    }

    /// Writes a file of the work folder by way of `PATH.part`. One that an earlier upload left unfinished is continued,
    /// unless `fresh`; whether it has the same content shows when its hash is compared.
    pub fn upload(&mut self, content: &[u8], path: &str, fresh: bool) -> Result<(), RemoteError> {
        /// Bytes of one order. Nothing comes from the agent while one travels, and a connection that is silent for 20 s
        /// counts as lost: 3 kB/s suffice.
        const PIECE: usize = 32 << 10;
        let part = format!("{path}.part");
        let there = if fresh { 0 } else { self.ask(json!({"do": "exists", "path": part}))?.size };
        let mut done = usize::try_from(there).ok().filter(|there| *there <= content.len()).unwrap_or(0);
        loop {
            let piece = &content[done..content.len().min(done + PIECE)];
            let data = BASE64.encode(piece);
            self.ask_within(json!({"do": "write", "path": part, "offset": done, "data": data}), Self::ANSWER * 4)?;
            done += piece.len();
            if done >= content.len() {
                break;
            }
        }
        self.ask(json!({"do": "rename", "from": part, "to": path})).map(|_| ())
    }

    /// Drops the events of jobs that have no owner any more.
    pub fn forget(&mut self) {
        let mut shared = self.shared();
        shared.pending.clear();
        shared.pending_bytes = 0;
    }
}

impl Shared {
    /// Gives an order and waits for its answer; the order's number is that of the job that it starts.
    fn ask(&mut self, mut order: Value, wait: Duration) -> Result<(u64, Answer), RemoteError> {
        self.last_id += 1;
        self.answer = None;
        self.content.clear();
        order["id"] = json!(self.last_id);
        self.channel.send(&order.to_string())?;
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RemoteError::Silent { what: "the agent on the board".to_owned(), waited: wait });
            }
            self.receive(left.min(Duration::from_millis(500)))?;
            if let Some(answer) = self.answer.take() {
                let answer = answer.map_err(|problem| RemoteError::Agent { problem })?;
                return Ok((self.last_id, Answer { content: std::mem::take(&mut self.content), ..answer }));
            }
        }
    }

    fn pop(&mut self, job: Job) -> Option<JobEvent> {
        let event = self.pending.get_mut(&job.0)?.pop_front()?;
        self.pending_bytes -= event.length();
        Some(event)
    }

    /// Reads one line, if one comes within `wait`; whether one did. The event of a job is kept for its owner.
    fn receive(&mut self, wait: Duration) -> Result<bool, RemoteError> {
        let Some(line) = self.channel.receive(wait)? else { return Ok(false) };
        let unknown = |problem: &dyn std::fmt::Display| RemoteError::protocol(&line, problem);
        let event: Event = serde_json::from_str(&line).map_err(|error| unknown(&error))?;
        let Some(id) = event.id else { return Ok(true) };
        let problem = event.problem.map(|problem| ends_of(&problem));
        let job_event = if event.done {
            self.answered_ns = event.t;
            let answer = serde_json::from_str(&line).map_err(|error| unknown(&error))?;
            self.answer = Some(Ok(answer)).filter(|_| id == self.last_id);
            return Ok(true);
        } else if let Some(text) = event.chunk {
            if self.content.len() + text.len() > Agent::LARGEST_FILE {
                return Err(RemoteError::Flood);
            }
            self.content.push_str(if id == self.last_id { &text } else { "" });
            return Ok(true);
        } else if let Some(text) = event.line {
            // An escape sequence would reach the user's terminal, and hide from a parser how the line begins.
            let text = clean(&text[..text.floor_char_boundary(Agent::LONGEST_LINE)]);
            JobEvent::Line { at_ns: event.t, text }
        } else if let Some(values) = event.values {
            JobEvent::Values { at_ns: event.t, values }
        } else {
            let end = match (problem, event.exit, event.signal) {
                (Some(problem), Some(_), _) => End::Problem(problem),
                (Some(problem), None, _) => {
                    self.answer = Some(Err(problem)).filter(|_| id == self.last_id);
                    return Ok(true);
                }
                _ if event.timeout => End::TimedOut,
                (None, _, Some(signal)) => End::Signal(signal),
                (None, Some(code), None) => End::Exit(code),
                (None, None, None) => return Err(unknown(&"it has no content")),
            };
            JobEvent::Ended { end }
        };
        self.pending_bytes += job_event.length();
        if self.pending_bytes > Agent::MOST_PENDING {
            return Err(RemoteError::Flood);
        }
        self.pending.entry(id).or_default().push_back(job_event);
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
