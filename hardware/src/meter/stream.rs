//! A program that prints a reading per line: the reader of a USB meter, a lab supply, an analogue-to-digital converter.
//!
//! The program is started without a shell, in its own process group, and ended with that group. [`Fields`] describes
//! the columns of a line; a header, a few odd lines and a few damaged ones are left out and counted. `stamps.rs`
//! computes the times of the readings.

pub(super) mod lines;
mod process;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::process::Process;
use super::collected::SHORTEST_SILENCE;
use super::fields::Fields;
use super::{At, MeterError, Point, PowerMeter, Trace};
use crate::time::Clock;

pub(super) const NAME: &str = "stream";

/// The program, and the columns that it prints.
///
/// ```toml
/// command = ["python3", "um25c.py", "--csv"]
/// start_limit_s = 60.0
/// [columns]
/// volts = { column = "voltage", unit = "v" }
/// amperes = { column = "current", unit = "ma" }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamOptions {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The columns of its lines.
    pub columns: Fields,
    /// How long the first reading may take, in s; 30 by default. Connecting by Bluetooth takes several.
    #[serde(default = "StreamOptions::default_start_limit_s")]
    pub start_limit_s: f64,
    /// The machine that it runs on; `here` by default.
    #[serde(default)]
    pub at: At,
}

/// A meter that runs such a program.
pub(super) struct StreamMeter {
    options: StreamOptions,
    clock: Clock,
    shortest_silence: Duration,
    running: Option<Process>,
}

impl StreamOptions {
    pub(super) fn default_start_limit_s() -> f64 {
        30.0
    }

    /// An error if the program is missing, or its columns or its limit are invalid.
    pub fn check(&self) -> Result<(), MeterError> {
        let settings = |problem: &str| Err(MeterError::Settings(problem.to_owned()));
        if self.command.first().is_none_or(|program| program.is_empty()) {
            return settings("a stream meter needs a `command`: a program and its arguments, as a list");
        }
        if !(self.start_limit_s > 0.0 && self.start_limit_s <= 3600.0) {
            return settings("`start_limit_s` of a meter is above 0 and at most 3600");
        }
        self.columns.check()
    }

    pub(super) fn program(&self) -> &str {
        self.command.first().map(String::as_str).unwrap_or_default()
    }

    pub(super) fn start_limit(&self) -> Duration {
        Duration::from_secs_f64(self.start_limit_s)
    }
}

impl StreamMeter {
    /// A meter, not started yet.
    pub fn new(options: StreamOptions, clock: Clock) -> Result<Self, MeterError> {
        options.check()?;
        Ok(Self { options, clock, shortest_silence: SHORTEST_SILENCE, running: None })
    }

    /// Number of readings, unless the program has a fault.
    fn readings(&self, silence: Duration) -> Result<usize, MeterError> {
        let process = self.running.as_ref().ok_or_else(|| MeterError::not_running(self.options.program()))?;
        process.fault()?;
        let lines = process.lines();
        match lines.collected.silent_s(silence, self.options.start_limit()) {
            Some(seconds) => Err(MeterError::silent(self.options.program(), seconds, &lines.errors())),
            None => lines.collected.check(),
        }
    }
}

impl PowerMeter for StreamMeter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        format!("what {:?} prints", self.options.command.join(" "))
    }

    /// Begins to read, and returns after the first reading.
    fn start(&mut self) -> Result<(), MeterError> {
        self.running = None;
        self.running = Some(Process::start(&self.options.command, &self.options.columns, self.clock)?);
        while self.readings(self.options.start_limit()).inspect_err(|_| self.running = None)? == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn check(&self) -> Result<usize, MeterError> {
        self.readings(self.shortest_silence)
    }

    fn stop(&mut self) -> Result<Trace, MeterError> {
        let fault = self.readings(self.shortest_silence);
        let process = self.running.take().ok_or_else(|| MeterError::not_running(NAME))?;
        fault?;
        let lines = std::mem::take(&mut *process.lines());
        drop(process);
        lines.finish(NAME, self.options.program())
    }

    fn recent(&self, from_ns: u64) -> Vec<Point> {
        self.running.as_ref().map_or_else(Vec::new, |process| process.lines().collected.since(from_ns))
    }
}
