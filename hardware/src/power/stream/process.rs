//! The program behind a stream of readings.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::power::fields::{Fields, Layout, MAX_LINE};
use crate::power::meter::{self, Clock, MOST_READINGS, MeterError};
use crate::power::stamps::Arrival;

/// Lines before the first reading that may be anything.
const MOST_BEFORE: usize = 50;
/// Lines refused one after the other that end a meter.
const MOST_REFUSED: usize = 20;
/// Bytes of its errors that are kept.
const MOST_SAID: usize = 2000;

/// A running program.
pub(super) struct Process {
    program: String,
    child: Mutex<Option<Child>>,
    lines: Arc<Mutex<Lines>>,
}

/// What it has printed.
#[derive(Default)]
pub(super) struct Lines {
    pub arrivals: Vec<Arrival>,
    /// Lines that are no reading, from the first reading on.
    pub refused: usize,
    /// The last of them, and what is wrong with it.
    pub shown: String,
    pub reason: String,
    before: usize,
    refused_in_a_row: usize,
    layout: Option<Layout>,
    heard: Option<Instant>,
    closed: bool,
    said: Vec<u8>,
    failure: Option<MeterError>,
}

/// When something was heard of it.
pub(super) struct Heard {
    pub readings: usize,
    pub ago: Duration,
    /// Median time between its last readings.
    pub spacing: Duration,
}

impl Process {
    pub fn start(command: &[String], fields: &Fields, clock: Clock) -> Result<Self, MeterError> {
        let program = command.first().cloned().unwrap_or_default();
        let failed = |problem: String| MeterError::Start { program: program.clone(), problem };
        let mut started = Command::new(&program);
        started.args(command.iter().skip(1)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Python holds lines back when nobody watches.
        started.env("PYTHONUNBUFFERED", "1");
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut started, 0);
        let mut child = started.spawn().map_err(|error| failed(error.to_string()))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let lines = Arc::new(Mutex::new(Lines { heard: Some(Instant::now()), ..Lines::default() }));
        let process = Self { program: program.clone(), child: Mutex::new(Some(child)), lines };
        let (Some(out), Some(err)) = (out, err) else { return Err(failed("it has no output".to_owned())) };
        let (shared, fields, name) = (Arc::clone(&process.lines), fields.clone(), program.clone());
        let thread = |name: &str| std::thread::Builder::new().name(format!("meter {name}"));
        let read_out = move || read_lines(BufReader::new(out), &shared, &fields, &name, clock);
        thread("output").spawn(read_out).map_err(|error| failed(error.to_string()))?;
        let shared = Arc::clone(&process.lines);
        thread("errors").spawn(move || read_said(err, &shared)).map_err(|error| failed(error.to_string()))?;
        Ok(process)
    }

    pub fn heard(&self) -> Heard {
        let lines = lock(&self.lines);
        let recent = &lines.arrivals[lines.arrivals.len().saturating_sub(200)..];
        let steps = recent.windows(2).map(|two| two[1].at_ns.saturating_sub(two[0].at_ns) as f64);
        let spacing_ns = meter::median(steps.collect()).unwrap_or(0.0);
        Heard {
            readings: lines.arrivals.len(),
            ago: lines.heard.map_or(Duration::ZERO, |heard| heard.elapsed()),
            spacing: Duration::from_nanos(spacing_ns as u64),
        }
    }

    /// # Errors
    /// If it has ended, or printed too much that is no reading.
    pub fn fault(&self) -> Result<(), MeterError> {
        let (failure, closed) = {
            let lines = lock(&self.lines);
            (lines.failure.clone(), lines.closed)
        };
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !closed {
            return Ok(());
        }
        // One that has closed its output is about to end, or of no use.
        std::thread::sleep(Duration::from_millis(100));
        let how = self.kill().map_or_else(|| "closed its output".to_owned(), how_it_ended);
        let error = MeterError::Ended { program: self.program.clone(), how, said: self.said() };
        lock(&self.lines).failure = Some(error.clone());
        Err(error)
    }

    /// What it has printed as an error, to be put behind a sentence.
    pub fn said(&self) -> String {
        let lines = lock(&self.lines);
        let text = String::from_utf8_lossy(&lines.said);
        let last: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = last[last.len().saturating_sub(3)..].iter().map(|line| meter::clip(line)).collect::<Vec<_>>();
        let refused = if lines.arrivals.is_empty() && !lines.shown.is_empty() {
            format!("; its last line was {:?}: {}", lines.shown, lines.reason)
        } else {
            String::new()
        };
        if last.is_empty() { refused } else { format!("{refused}; it had printed: {}", last.join(" / ")) }
    }

    /// Ends it and gives what it has printed.
    pub fn end(self) -> Lines {
        let lines = std::mem::take(&mut *lock(&self.lines));
        drop(self);
        lines
    }

    /// Asks its group to end, kills what is left of it, and tells how the program itself ended. It is waited for only
    /// after that: until then its number is no other's.
    fn kill(&self) -> Option<ExitStatus> {
        const POLITE: Duration = Duration::from_millis(500);
        let mut child = lock(&self.child).take()?;
        let begun = Instant::now();
        signal(child.id(), "TERM");
        while !lock(&self.lines).closed && begun.elapsed() < POLITE {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(child.id(), "KILL");
        let _ = child.kill();
        child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Lines {
    /// That too much is no reading.
    pub fn garbage(&self, meter: &str) -> MeterError {
        MeterError::Garbage {
            meter: meter.to_owned(),
            refused: self.refused + self.before,
            lines: self.refused + self.before + self.arrivals.len(),
            shown: self.shown.clone(),
            reason: self.reason.clone(),
        }
    }

    fn take(&mut self, line: &str, at_ns: u64, fields: &Fields, meter: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.layout.is_none() {
            match fields.layout(line) {
                Ok(layout) => {
                    self.layout = Some(layout);
                    if fields.has_names() {
                        return;
                    }
                }
                Err(missing) => return self.refuse(line, missing, meter),
            }
        }
        let Some(layout) = &self.layout else { return };
        match layout.read(line) {
            Ok(row) => {
                self.refused_in_a_row = 0;
                self.heard = Some(Instant::now());
                self.arrivals.push(Arrival { at_ns, row });
                if self.arrivals.len() > MOST_READINGS {
                    self.failure = Some(MeterError::Flood { meter: meter.to_owned() });
                }
            }
            Err(reason) => self.refuse(line, reason, meter),
        }
    }

    fn refuse(&mut self, line: &str, reason: String, meter: &str) {
        (self.shown, self.reason) = (meter::clip(line), reason);
        if self.arrivals.is_empty() {
            self.before += 1;
        } else {
            self.refused += 1;
            self.refused_in_a_row += 1;
        }
        if self.before > MOST_BEFORE || self.refused_in_a_row >= MOST_REFUSED {
            self.failure = Some(self.garbage(meter));
        }
    }
}

fn read_lines(mut from: impl BufRead, lines: &Mutex<Lines>, fields: &Fields, meter: &str, clock: Clock) {
    let mut bytes = Vec::new();
    let mut is_rest = false;
    loop {
        bytes.clear();
        let read = from.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes);
        let at_ns = clock.now_ns();
        let is_whole = bytes.ends_with(b"\n");
        let mut lines = lock(lines);
        // What follows no line break may be half a line, whose numbers cannot be told from whole ones.
        let ended = !matches!(read, Ok(1..)) || !is_whole && bytes.len() <= MAX_LINE;
        if ended || lines.failure.is_some() {
            lines.closed = true;
            return;
        }
        if !is_rest {
            let text = String::from_utf8_lossy(&bytes);
            lines.take(text.trim_end_matches(['\r', '\n']), at_ns, fields, meter);
        }
        is_rest = !is_whole;
    }
}

fn read_said(mut from: impl Read, lines: &Mutex<Lines>) {
    let mut block = [0; 1024];
    while let Ok(length @ 1..) = from.read(&mut block) {
        let mut lines = lock(lines);
        lines.said.extend_from_slice(&block[..length]);
        let surplus = lines.said.len().saturating_sub(MOST_SAID);
        lines.said.drain(..surplus);
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        // Those are ours.
        return if matches!(signal, 9 | 15) {
            "closed its output".to_owned()
        } else {
            format!("was ended by signal {signal}")
        };
    }
    status.code().map_or_else(|| "ended".to_owned(), |code| format!("ended with exit code {code}"))
}

/// Sends a signal to a process group. The standard library cannot; every POSIX shell can.
fn signal(group: u32, name: &str) {
    if cfg!(unix) {
        let mut kill = Command::new("/bin/sh");
        kill.args(["-c", "kill -s \"$0\" -- \"-$1\"", name, &group.to_string()]);
        let _ = kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_that_is_printed_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), lines in "([0-9.,;a-]{0,9}\n){0,40}") {
            let fields: Fields = toml::from_str("power = { column = 1, unit = \"w\" }").unwrap();
            for bytes in [bytes, lines.into_bytes()] {
                let state = Mutex::new(Lines::default());
                read_lines(bytes.as_slice(), &state, &fields, "m", Clock::start());
                prop_assert!(lock(&state).closed);
            }
        }
    }
}
