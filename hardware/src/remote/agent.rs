//! The program on a device's machine that starts others there and reports their output.
//!
//! It is `agent.py` beside this file: it needs nothing but Python 3, stamps every line with the machine's own clock, and
//! ends all that it started when the connection to it is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::channel::Channel;
use super::error::RemoteError;
use crate::shown::ends_of;

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
    last_id: u64,
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

/// A message of the agent.
enum Message {
    Nothing,
    Job(Job, JobEvent),
    Reply { id: Option<u64>, result: Result<Value, String> },
    Chunk { id: u64, text: String },
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
            if event.hello == Some(Self::VERSION) {
                let hello = serde_json::from_str(&line).map_err(|error| RemoteError::protocol(&line, &error))?;
                let pending = BTreeMap::new();
                let shared = Shared { channel, last_id: 0, answered_ns: 0, pending, pending_bytes: 0 };
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
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order and waits for its answer.
    ///
    /// # Errors
    /// If the order cannot be obeyed, or no answer comes.
    pub fn ask(&mut self, order: Value) -> Result<Answer, RemoteError> {
        self.ask_within(order, Self::ANSWER)
    }

    /// The same for an order that takes longer.
    pub fn ask_within(&mut self, order: Value, wait: Duration) -> Result<Answer, RemoteError> {
        self.shared().ask(order, wait).map(|(_, answer)| answer)
    }

    /// Starts a job by an order.
    fn begin(&mut self, order: Value) -> Result<Job, RemoteError> {
        self.shared().ask(order, Self::ANSWER).map(|(id, _)| Job(id))
    }

    /// Starts a program, which is ended after `limit`. Its two streams come as one; with `terminal` it writes
    /// to one, and holds no line back.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self, argv: &[String], limit: Duration, terminal: bool) -> Result<Job, RemoteError> {
        let order = json!({"do": "start", "argv": argv, "limit_s": limit.as_secs_f64(), "terminal": terminal});
        self.begin(order)
    }

    /// Reads files again and again.
    ///
    /// # Errors
    /// If one cannot be opened.
    pub fn poll(&mut self, paths: &[String], period: Duration) -> Result<Job, RemoteError> {
        self.begin(json!({"do": "poll", "paths": paths, "period_s": period.as_secs_f64()}))
    }

    /// Ends a job; its end still comes as an event.
    ///
    /// # Errors
    /// If the agent cannot be reached.
    pub fn stop(&mut self, job: Job) -> Result<(), RemoteError> {
        self.ask(json!({"do": "stop", "job": job.0})).map(|_| ())
    }

    /// The next event of a job. `None` if none has come within `wait`, and as soon as an event of another job has.
    ///
    /// # Errors
    /// If the agent cannot be reached any more.
    pub fn next(&mut self, job: Job, wait: Duration) -> Result<Option<JobEvent>, RemoteError> {
        let mut shared = self.shared();
        if let Some(event) = shared.pop(job) {
            return Ok(Some(event));
        }
        shared.receive(wait)?;
        Ok(shared.pop(job))
    }

    /// All that a job has done and that has arrived by now.
    ///
    /// # Errors
    /// If the agent cannot be reached any more.
    pub fn arrived(&mut self, job: Job) -> Result<VecDeque<JobEvent>, RemoteError> {
        let mut shared = self.shared();
        while shared.receive(Duration::ZERO)?.is_some() {}
        let events = shared.pending.remove(&job.0).unwrap_or_default();
        shared.pending_bytes -= events.iter().map(JobEvent::length).sum::<usize>();
        Ok(events)
    }

    /// Waits until something arrives, at most for `wait`.
    ///
    /// # Errors
    /// If the agent cannot be reached any more.
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

    /// Runs a short program to its end, and gives its output.
    ///
    /// # Errors
    /// If it cannot be started or does not end in time.
    pub fn run(&mut self, argv: &[String], limit: Duration) -> Result<(End, String), RemoteError> {
        /// Longest output, in bytes.
        const MOST: usize = 1 << 20;
        let job = self.start(argv, limit, false)?;
        let deadline = Instant::now() + limit + Self::ANSWER;
        let mut output = String::new();
        loop {
            if Instant::now() >= deadline {
                return Err(RemoteError::Silent { what: argv.join(" "), waited: limit });
            }
            match self.next(job, Duration::from_millis(500))? {
                Some(JobEvent::Line { text, .. }) => {
                    let room = MOST.saturating_sub(output.len());
                    output.extend(text.chars().chain(['\n']).take(room));
                }
                Some(JobEvent::Ended { end }) => return Ok((end, output)),
                Some(JobEvent::Values { .. }) | None => {}
            }
        }
    }

    /// Makes sure that so many bytes are free; files of a folder, within the work folder, that were not used for longest
    /// go first. Gives how many are free.
    ///
    /// # Errors
    /// If they are not.
    pub fn make_room(&mut self, wanted: u64, older: &str) -> Result<u64, RemoteError> {
        let free = self.ask(json!({"do": "make room", "wanted": wanted, "folder": older}))?.bytes;
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
        Err(RemoteError::Failed { problem })
    }

    /// Writes a file of the work folder by way of `PATH.part`. One that an earlier upload left unfinished is continued,
    /// unless `fresh`; whether it has the same content shows when its hash is compared.
    ///
    /// # Errors
    /// If it cannot be written, or the agent cannot be reached.
    pub fn upload(&mut self, content: &[u8], path: &str, fresh: bool) -> Result<(), RemoteError> {
        /// Bytes of one order: a slow line sends them well within the time for an answer.
        const PIECE: usize = 256 << 10;
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
        let id = self.last_id;
        order["id"] = json!(id);
        self.channel.send(&order.to_string())?;
        let deadline = Instant::now() + wait;
        let mut content = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RemoteError::Silent { what: "the agent on the board".to_owned(), waited: wait });
            }
            match self.receive(left.min(Duration::from_millis(500)))? {
                Some(Message::Reply { id: of, result }) if of == Some(id) => {
                    let value = result.map_err(|problem| RemoteError::Agent { problem })?;
                    let mut answer: Answer =
                        serde_json::from_value(value).map_err(|error| RemoteError::protocol("an answer", &error))?;
                    answer.content = content;
                    return Ok((id, answer));
                }
                Some(Message::Chunk { id: of, text }) if of == id => {
                    if content.len() + text.len() > Agent::LARGEST_FILE {
                        return Err(RemoteError::Flood);
                    }
                    content.push_str(&text);
                }
                _ => {}
            }
        }
    }

    fn pop(&mut self, job: Job) -> Option<JobEvent> {
        let event = self.pending.get_mut(&job.0)?.pop_front()?;
        self.pending_bytes -= event.length();
        Some(event)
    }

    /// Reads one line, if one comes within `wait`. The event of a job is kept for its owner.
    fn receive(&mut self, wait: Duration) -> Result<Option<Message>, RemoteError> {
        let Some(line) = self.channel.receive(wait)? else { return Ok(None) };
        match self.parse(&line)? {
            Message::Job(Job(id), event) => {
                self.pending_bytes += event.length();
                if self.pending_bytes > Agent::MOST_PENDING {
                    return Err(RemoteError::Flood);
                }
                self.pending.entry(id).or_default().push_back(event);
                Ok(Some(Message::Nothing))
            }
            other => Ok(Some(other)),
        }
    }

    fn parse(&mut self, line: &str) -> Result<Message, RemoteError> {
        let event: Event = serde_json::from_str(line).map_err(|error| RemoteError::protocol(line, &error))?;
        let Some(id) = event.id else {
            let result = event.problem.map_or(Ok(Value::Null), |problem| Err(ends_of(&problem)));
            return Ok(if result.is_err() { Message::Reply { id: None, result } } else { Message::Nothing });
        };
        let job = |event| Ok(Message::Job(Job(id), event));
        if event.done {
            self.answered_ns = event.t;
            let value = serde_json::from_str(line).map_err(|error| RemoteError::protocol(line, &error))?;
            return Ok(Message::Reply { id: Some(id), result: Ok(value) });
        }
        if let Some(text) = event.chunk {
            return Ok(Message::Chunk { id, text });
        }
        if let Some(mut text) = event.line {
            text.truncate(text.floor_char_boundary(Agent::LONGEST_LINE));
            // An escape sequence would reach the user's terminal.
            let text = text.replace(|c: char| c.is_control() && c != '\t', " ");
            return job(JobEvent::Line { at_ns: event.t, text });
        }
        if let Some(values) = event.values {
            return job(JobEvent::Values { at_ns: event.t, values });
        }
        let event = Event { problem: event.problem.map(|problem| ends_of(&problem)), ..event };
        let end = match event {
            Event { exit: Some(_), problem: Some(problem), .. } => End::Problem(problem),
            Event { problem: Some(problem), .. } => {
                return Ok(Message::Reply { id: Some(id), result: Err(problem) });
            }
            Event { timeout: true, .. } => End::TimedOut,
            Event { signal: Some(signal), .. } => End::Signal(signal),
            Event { exit: Some(code), .. } => End::Exit(code),
            _ => return Err(RemoteError::protocol(line, &"it has no content")),
        };
        job(JobEvent::Ended { end })
    }
}

#[cfg(test)]
mod tests;
