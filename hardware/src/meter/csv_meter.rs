//! A file that another program writes while we measure: the log of a lab supply's or a USB meter's own software.
//!
//! The meter reads only lines that come after the start, so that the file may contain hours. `csv_trace.rs`
//! brings them to our clock. With stamps, the recorder's clock must be right: the same machine's, or one set by the
//! same time server. The meter notices wrong stamps only if their error is more than `flush_limit_s`. With edges, the
//! recorder's clock need not be right.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::align::{LARGEST_CLOCK_ERROR, Pattern};
use super::csv_trace::{Parser, RAIL};
use super::fields::Fields;
use super::{MeterError, Point, PowerMeter, Trace, health, power_meter};
use crate::time::Clock;

/// Time between two polls of the file while waiting for it.
const PAUSE: Duration = Duration::from_millis(20);
/// The same if a search for the pattern follows each poll.
const LONG_PAUSE: Duration = Duration::from_millis(200);
/// Longest time that a stamp may be ahead of now, in ns: some recorders round to whole seconds.
const MOST_AHEAD_NS: i128 = 1_000_000_000;
/// Largest change of a clock that is set during a measurement, in ns; time servers slew by less.
const LARGEST_STEP_NS: i128 = 100_000_000;
/// Relative error of a clock above which a note reports it, although it is corrected.
const NOTED_CLOCK_ERROR: f64 = 1e-3;
const EDGES: &str = "`align = \"edges\"` works with any clock of the recorder";

/// The file, and how it is read.
///
/// ```toml
/// file = "/home/me/supply.csv"
/// align = "edges"
/// [columns]
/// time = { column = "t", unit = "s" }
/// power = { column = "P", unit = "w" }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvOptions {
    /// The file, which must be there when measuring begins.
    pub file: PathBuf,
    /// The columns of the file; `time` is required.
    pub columns: Fields,
    /// How its clock is brought to ours; `stamps` by default.
    #[serde(default)]
    pub align: Align,
    /// Unit of the pattern of load, in s; 2 by default. It should last for two and a half readings or more; the whole
    /// pattern lasts for 13 of it. Only for `edges`.
    #[serde(default = "CsvOptions::default_unit_s")]
    pub unit_s: f64,
    /// Largest relative error of the recorder's clock; 0.0001 by default, at most 0.01. Only for `edges`.
    #[serde(default = "CsvOptions::default_clock_error")]
    pub clock_error: f64,
    /// How long the recorder may hold lines back, in s; 10 by default. At the end the meter waits that long for the
    /// file.
    #[serde(default = "CsvOptions::default_flush_limit_s")]
    pub flush_limit_s: f64,
}

/// How a recorder's clock is brought to ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// By its time stamps, which are dates or times since 1970.
    #[default]
    Stamps,
    /// By the edges of a load that we make for it.
    Edges,
}

/// A meter that reads such a file.
pub(super) struct CsvMeter {
    options: CsvOptions,
    clock: Clock,
    running: Option<RefCell<Tail>>,
    pattern: Option<Pattern>,
}

/// The lines written since the start.
struct Tail {
    options: CsvOptions,
    clock: Clock,
    parser: Parser,
    /// Beginning of the first unread line, in bytes.
    offset: u64,
    /// The same instant on the system's clock and on ours.
    begun: (Timestamp, u64),
    /// Times of the last new line, of the last new reading and of the last poll.
    grown: Instant,
    given: Instant,
    polled: Instant,
}

impl CsvOptions {
    pub(super) fn default_unit_s() -> f64 {
        2.0
    }

    pub(super) fn default_clock_error() -> f64 {
        1e-4
    }

    pub(super) fn default_flush_limit_s() -> f64 {
        10.0
    }

    fn flush_limit(&self) -> Duration {
        Duration::from_secs_f64(self.flush_limit_s)
    }

    fn shown(&self) -> String {
        self.file.display().to_string()
    }

    /// An error if the columns are invalid, none is the time, or a number is out of its bounds.
    pub fn check(&self) -> Result<(), MeterError> {
        Parser::new(&self.shown(), &self.columns)?;
        let within = |name: &str, value: f64, least: f64, most: f64| {
            let problem = || format!("`{name}` of a meter is from {least} to {most}, not {value}");
            let is_within = (least..=most).contains(&value);
            if is_within { Ok(()) } else { Err(MeterError::Settings(problem())) }
        };
        within("unit_s", self.unit_s, 0.01, 60.0)?;
        within("clock_error", self.clock_error, 0.0, LARGEST_CLOCK_ERROR)?;
        within("flush_limit_s", self.flush_limit_s, 0.1, 600.0)
    }
}

impl CsvMeter {
    /// A meter, not started yet.
    pub fn new(options: CsvOptions, clock: Clock) -> Result<Self, MeterError> {
        options.check()?;
        Ok(Self { options, clock, running: None, pattern: None })
    }

    fn by_stamps(&self, mut tail: Tail) -> Result<Trace, MeterError> {
        let (stop_ns, asked) = (self.clock.now_ns(), Instant::now());
        loop {
            tail.read()?;
            let behind_ns = tail.parser.last_ns().map(|last| i128::from(stop_ns) - tail.ours_ns(last));
            match behind_ns {
                Some(behind_ns) if behind_ns <= 0 => break,
                _ if asked.elapsed() < self.options.flush_limit() => std::thread::sleep(PAUSE),
                Some(behind_ns) if tail.grown > asked => {
                    return Err(tail.stamps(&format!(
                        "the last is {:.1} s before the end of the measurement, though the file grows: the recorder's \
                         clock is slow, or it holds its lines back for longer than `flush_limit_s`. {EDGES}",
                        behind_ns as f64 / 1e9
                    )));
                }
                _ => {
                    tail.parser.check_header()?;
                    return Err(tail.silent());
                }
            }
        }
        let (begun, begun_ns) = tail.begun;
        let step =
            Timestamp::now().as_nanosecond() - begun.as_nanosecond() - i128::from(self.clock.now_ns() - begun_ns);
        if step.abs() > LARGEST_STEP_NS {
            let problem = format!("this machine's clock was set by {:.1} s while it measured", step as f64 / 1e9);
            return Err(tail.stamps(&problem));
        }
        let trace = tail.parser.clone().finish()?;
        trace.by_stamps(begun, begun_ns, stop_ns).map_err(|error| tail.stamps(&error.to_string()))
    }

    fn by_edges(&self, mut tail: Tail, pattern: &Pattern) -> Result<Trace, MeterError> {
        let (stop_ns, asked) = (self.clock.now_ns(), Instant::now());
        tail.read()?;
        let mut last = None;
        loop {
            // Half of a pattern may fit at a wrong place. Recorders write when a reading has filled their buffer: lines
            // that come now go beyond the pattern.
            if tail.read()? {
                let now_ns = self.clock.now_ns();
                match tail.parser.clone().finish()?.by_edges(pattern, self.options.clock_error) {
                    Ok((mut trace, alignment)) => {
                        trace.stamp_uncertainty_s = alignment.uncertainty_s(stop_ns);
                        let late_s = 3.0 * trace.stamp_uncertainty_s + alignment.spacing_s;
                        let end_ns = trace.readings().last().map_or(0, |reading| reading.at_ns);
                        let ahead_s = end_ns.saturating_sub(now_ns) as f64 / 1e9;
                        if ahead_s <= late_s {
                            if alignment.clock_error.abs() > NOTED_CLOCK_ERROR {
                                trace.notes.push(power_meter::clock_drift(-alignment.clock_error * 1e6));
                            }
                            return Ok(trace);
                        }
                        last = Some(tail.stamps(&format!(
                            "the pattern of load seems to lie {ahead_s:.1} s later than it can: some of it is missing"
                        )));
                    }
                    Err(error) => last = Some(error),
                }
            }
            if asked.elapsed() >= self.options.flush_limit() {
                return Err(last.unwrap_or_else(|| tail.silent()));
            }
            std::thread::sleep(LONG_PAUSE.min(self.options.flush_limit() / 4));
        }
    }
}

impl PowerMeter for CsvMeter {
    fn name(&self) -> &'static str {
        RAIL
    }

    fn describe(&self) -> String {
        let by = match self.options.align {
            Align::Stamps => "its time stamps",
            Align::Edges => "the edges of a load",
        };
        format!("what another program writes to {}, placed by {by}", self.options.shown())
    }

    fn start(&mut self) -> Result<(), MeterError> {
        (self.running, self.pattern) = (None, None);
        self.running = Some(RefCell::new(Tail::begin(&self.options, self.clock)?));
        Ok(())
    }

    /// Reads the lines that were added to the file since the last poll, no more.
    fn check(&self) -> Result<usize, MeterError> {
        let tail = self.running.as_ref().ok_or_else(|| MeterError::not_running(RAIL))?;
        let mut tail = tail.borrow_mut();
        tail.read()?;
        if tail.given.elapsed() > self.options.flush_limit() {
            return Err(tail.silent());
        }
        Ok(tail.parser.trace.readings.len())
    }

    /// Waits until the file's time stamps pass the present, for `flush_limit_s` at most.
    fn stop(&mut self) -> Result<Trace, MeterError> {
        let tail = self.running.take().ok_or_else(|| MeterError::not_running(RAIL))?;
        let tail = tail.into_inner();
        match (self.options.align, self.pattern.take()) {
            (Align::Stamps, _) => self.by_stamps(tail),
            (Align::Edges, Some(pattern)) => self.by_edges(tail, &pattern),
            (Align::Edges, None) => {
                let problem = "a trace can be placed by the edges of a load only where such a load is made".to_owned();
                Err(MeterError::Settings(problem))
            }
        }
    }

    /// The new lines need no place on our clock here.
    fn sample(&mut self, least: Duration, longest: Duration) -> Result<Vec<Point>, MeterError> {
        self.start()?;
        health::wait(least, longest, || self.check())?;
        let tail = self.running.take().ok_or_else(|| MeterError::not_running(RAIL))?.into_inner();
        tail.parser.check_header()?;
        let readings = &tail.parser.trace.readings;
        let first_ns = readings.first().map_or(0, |(at_ns, _)| *at_ns);
        let point = |(at_ns, power_mw): &(i128, f64)| {
            Some(Point { at_ns: u64::try_from(at_ns - first_ns).ok()?, power_mw: *power_mw })
        };
        match readings.iter().filter_map(point).collect::<Vec<_>>() {
            points if points.is_empty() => Err(tail.silent()),
            points => Ok(points),
        }
    }

    fn pattern_unit(&self) -> Option<Duration> {
        (self.options.align == Align::Edges).then(|| Duration::from_secs_f64(self.options.unit_s))
    }

    fn set_pattern(&mut self, pattern: Pattern) {
        self.pattern = Some(pattern);
    }
}

impl Tail {
    /// Skips the existing lines, except for the header.
    fn begin(options: &CsvOptions, clock: Clock) -> Result<Self, MeterError> {
        let begun = (Timestamp::now(), clock.now_ns());
        let parser = Parser::new(&options.shown(), &options.columns)?;
        let now = Instant::now();
        let options = options.clone();
        let mut tail = Self { options, clock, parser, offset: 0, begun, grown: now, given: now, polled: now };
        tail.lines(true)?;
        tail.parser.check_header()?;
        (tail.grown, tail.given) = (Instant::now(), Instant::now());
        Ok(tail)
    }

    /// Reads new lines; returns whether there are any.
    fn read(&mut self) -> Result<bool, MeterError> {
        let readings = self.parser.trace.readings.len();
        let has_grown = self.lines(false)?;
        let since = std::mem::replace(&mut self.polled, Instant::now()).elapsed();
        if !has_grown {
            return Ok(false);
        }
        self.grown = self.polled;
        if self.parser.trace.readings.len() > readings {
            self.given = self.polled;
        }
        if let Some(last) = self.parser.last_ns().filter(|_| self.options.align == Align::Stamps) {
            let behind_ns = i128::from(self.clock.now_ns()) - self.ours_ns(last);
            // New lines may have come right after the last poll.
            let most_ns = (self.options.flush_limit() + since).as_nanos() as i128;
            if behind_ns > most_ns || behind_ns < -MOST_AHEAD_NS {
                let side = if behind_ns > 0 { "behind" } else { "ahead of" };
                let read = Timestamp::from_nanosecond(last).map(|at| format!(", read as {at:.3},")).unwrap_or_default();
                let problem = format!(
                    "the newest{read} is {:.1} s {side} this machine's clock. Set both clocks by one time server and give \
                     times since 1970, or dates (local time, where they have no offset); {EDGES}",
                    behind_ns.unsigned_abs() as f64 / 1e9
                );
                return Err(self.stamps(&problem));
            }
        }
        Ok(true)
    }

    fn lines(&mut self, skip: bool) -> Result<bool, MeterError> {
        let failed = |error: std::io::Error| MeterError::unread(&self.options.shown(), error);
        let mut file = File::open(&self.options.file).map_err(|error| match error.kind() {
            ErrorKind::NotFound => MeterError::absent(
                &self.options.shown(),
                "start its recorder, which must write while the program measures, or correct `file`",
            ),
            _ => failed(error),
        })?;
        let length = file.metadata().map_err(failed)?.len();
        if length < self.offset {
            let problem = "it has become shorter: it was begun anew".to_owned();
            return Err(MeterError::unread(&self.options.shown(), problem));
        }
        if length == self.offset {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        let mut file = BufReader::with_capacity(1 << 16, file);
        let before = self.offset;
        // Text without a line break may be half a line, whose cut numbers look like whole ones.
        while let Some((bytes, is_whole)) = self.parser.next_line(&mut file)? {
            if !is_whole {
                self.parser.check_rest(&bytes)?;
                break;
            }
            self.offset += bytes.len() as u64;
            if skip { self.parser.skip(&bytes) } else { self.parser.take(&bytes) }?;
        }
        Ok(self.offset > before)
    }

    /// A stamp on our clock, in ns, if it is right.
    fn ours_ns(&self, stamp_ns: i128) -> i128 {
        stamp_ns - self.begun.0.as_nanosecond() + i128::from(self.begun.1)
    }

    fn stamps(&self, problem: &str) -> MeterError {
        let shown = self.options.shown();
        MeterError::Failed(format!("the time stamps of {shown} cannot be used: {problem}"))
    }

    /// The error of a file without new readings: it does not grow, or its lines have none.
    fn silent(&self) -> MeterError {
        let (shown, silent_s) = (self.options.shown(), self.given.elapsed().as_secs_f64());
        let reason = self.parser.last_rejection();
        MeterError::Failed(if self.grown > self.given && !reason.is_empty() {
            format!("{shown} has had no reading for {silent_s:.1} s, although it grows; the last because {reason}")
        } else {
            format!(
                "{shown} has not grown for {silent_s:.1} s: its recorder does not run, holds its lines back for longer than \
                 `flush_limit_s`, or writes to another file. A trace that was recorded before is of another measurement"
            )
        })
    }
}

#[cfg(test)]
mod tests;
