//! A power trace from another program, as a file of lines with columns.
//!
//! Absolute time stamps bring its clock to ours, if both machines' clocks are right (or are the same); or the edges of
//! a load that we produced on purpose ([`super::align`]), which work with any clock of the recorder.
//!
//! The file has one separator and one decimal sign (`cells`); a number that contradicts them ends the trace. Lines that are
//! damaged or have no value are left out and counted, with the error budget of a program's lines.

use std::io::{BufRead, Read};

use super::align::{self, Alignment, Pattern};
use super::collected::{Budget, Collected};
use super::error::MOST_READINGS;
use super::fields::{Fields, LineReader, MAX_LINE, Rejected};
use super::{MeterError, Point, Trace, power_meter};
use crate::cells;
use crate::shown::start_of;

/// Name of the rail of such a trace.
pub(super) const RAIL: &str = "csv";

/// Most lines before the header.
const MOST_BEFORE_HEADER: u64 = 50;

/// A recorded trace on its own clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct CsvTrace {
    /// Time in ns since an arbitrary instant, and power in mW; times ascend.
    pub readings: Vec<(i128, f64)>,
    notes: Vec<String>,
    /// The value of the last printed digit, in mW.
    resolution_mw: Option<f64>,
}

/// Reads a trace line by line, while the file grows.
#[derive(Clone)]
pub(super) struct Parser {
    path: String,
    reader: LineReader,
    /// Number of lines so far.
    line: u64,
    repeated: usize,
    budget: Budget,
    /// The reason why the last line before the header was not it.
    no_header: Option<String>,
    pub trace: CsvTrace,
}

impl CsvTrace {
    /// The trace on our clock, which showed `clock_ns` at `start`, by its stamps: times since 1970 or dates.
    pub fn by_stamps(&self, start: jiff::Timestamp, clock_ns: u64, until_ns: u64) -> Result<Trace, MeterError> {
        let shift = i128::from(clock_ns) - start.as_nanosecond();
        let elsewhere = |side, away_ns: i128| {
            MeterError::Failed(format!(
                "all readings lie {side} the measurement, the nearest by {:.1} s: the time stamps are not those of this \
                 measurement, or not seconds since 1970",
                away_ns as f64 / 1e9
            ))
        };
        if let Some((last, _)) = self.readings.last().filter(|(last, _)| last + shift < 0) {
            return Err(elsewhere("before", -(last + shift)));
        }
        let until = i128::from(until_ns);
        if let Some((first, _)) = self.readings.first().filter(|(first, _)| first + shift > until) {
            return Err(elsewhere("after", first + shift - until));
        }
        Ok(self.placed(self.points(-shift)))
    }

    /// The trace on our clock, placed by the edges of a load that we produced, and the alignment of the clocks.
    pub fn by_edges(&self, pattern: &Pattern, clock_error: f64) -> Result<(Trace, Alignment), MeterError> {
        let first = self.readings.first().map_or(0, |(at_ns, _)| *at_ns);
        let series: Vec<Point> = self.points(first).collect();
        let mut alignment = align::find(&series, pattern, clock_error)?;
        let trace = self.placed(alignment.apply(&series));
        // The error gives the file's own time.
        alignment.offset_s += first as f64 / 1e9;
        Ok((trace, alignment))
    }

    /// The readings from an instant of its clock on, which becomes 0.
    fn points(&self, from_ns: i128) -> impl Iterator<Item = Point> {
        let point = move |(at_ns, power_mw): &(i128, f64)| {
            Some(Point { at_ns: u64::try_from(at_ns - from_ns).ok()?, power_mw: *power_mw })
        };
        self.readings.iter().filter_map(point)
    }

    fn placed(&self, points: impl IntoIterator<Item = Point>) -> Trace {
        Trace { notes: self.notes.clone(), resolution_mw: self.resolution_mw, ..Trace::of_rail(RAIL, points) }
    }
}

impl Parser {
    /// A parser that has read nothing yet; an error if the columns contradict each other, or no column is the time.
    pub fn new(path: &str, fields: &Fields) -> Result<Self, MeterError> {
        fields.check()?;
        if fields.time.is_none() {
            let problem = "a recorded trace needs a column `time`: its readings have no place without one";
            return Err(MeterError::Settings(problem.to_owned()));
        }
        let (reader, trace) = (LineReader::new(fields.clone()), CsvTrace::default());
        Ok(Self {
            path: path.to_owned(),
            reader,
            line: 0,
            repeated: 0,
            budget: Budget::default(),
            no_header: None,
            trace,
        })
    }

    /// The next line, and whether a line break ends it; `None` at the end of the file.
    pub fn next_line(&self, file: &mut impl BufRead) -> Result<Option<(Vec<u8>, bool)>, MeterError> {
        let mut bytes = Vec::new();
        let read = file.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes);
        let length = read.map_err(|error| MeterError::unread(&self.path, error))?;
        if length > MAX_LINE {
            let problem =
                cells::disguise(&bytes).map_or_else(|| format!("it has more than {MAX_LINE} bytes"), str::to_owned);
            return Err(MeterError::Failed(format!("line {} of {}: {problem}", self.line + 1, self.path)));
        }
        let is_whole = bytes.ends_with(b"\n");
        Ok((length > 0).then_some((bytes, is_whole)))
    }

    /// Skips a line, unless it is the header.
    pub fn skip(&mut self, bytes: &[u8]) -> Result<(), MeterError> {
        if self.reader.knows_layout() {
            // Damage before the start does not matter.
            self.line += 1;
            return Ok(());
        }
        let line = self.begin(bytes)?;
        if line.is_empty() { Ok(()) } else { self.read_header(&line) }
    }

    /// Adds a line.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), MeterError> {
        let line = self.begin(bytes)?;
        if line.is_empty() || self.reader.knows_layout() && line.starts_with('#') {
            return Ok(());
        }
        let is_first = !self.reader.knows_layout();
        let rejected = match self.reader.read(&line) {
            Ok(Some(row)) => return self.push(row.own_ns.unwrap_or_default() as i128, row.power_mw, row.step_mw),
            Ok(None) => return Ok(()),
            Err(rejected) => rejected,
        };
        if is_first {
            return self.is_no_header(&line, rejected);
        }
        let reason = format!("line {}: {rejected} in {:?}", self.line, start_of(&line, 80));
        match rejected {
            Rejected::Missing(_) => self.budget.miss(reason),
            Rejected::Damaged(_) => self.budget.reject(&self.path, reason)?,
            Rejected::Contradiction(reason) => {
                return Err(self.rejected(format!("{reason} in {:?}", start_of(&line, 80))));
            }
        }
        Ok(())
    }

    /// Reads a line that may be the header.
    fn read_header(&mut self, line: &str) -> Result<(), MeterError> {
        self.reader.read(line).map(drop).or_else(|rejected| self.is_no_header(line, rejected))
    }

    /// Keeps the reason why a line before the header is not it. Without names, the first line may be one all the same.
    fn is_no_header(&mut self, line: &str, rejected: Rejected) -> Result<(), MeterError> {
        match rejected {
            Rejected::Contradiction(reason) => Err(self.rejected(reason)),
            rejected if self.reader.knows_layout() || self.line < MOST_BEFORE_HEADER => {
                // A line of numbers alone is not a header.
                if self.no_header.is_none() || line.contains(char::is_alphabetic) {
                    self.no_header = Some(format!("{rejected} in {:?}", start_of(line, 80)));
                }
                Ok(())
            }
            rejected => Err(self.rejected(format!("{rejected} in it or the lines before it"))),
        }
    }

    /// An error if the lines so far contain no header.
    pub fn check_header(&self) -> Result<(), MeterError> {
        let Some(reason) = self.no_header.as_ref().filter(|_| !self.reader.knows_layout()) else { return Ok(()) };
        Err(self.rejected(format!("its header has not all of the named columns: {reason}")))
    }

    /// An error if text without a line break shows another kind of file.
    pub fn check_rest(&self, bytes: &[u8]) -> Result<(), MeterError> {
        match cells::disguise(bytes) {
            Some(disguise) => Err(MeterError::Failed(format!("line {} of {}: {disguise}", self.line + 1, self.path))),
            None => Ok(()),
        }
    }

    fn push(&mut self, at_ns: i128, power_mw: f64, step_mw: f64) -> Result<(), MeterError> {
        let trace = &mut self.trace;
        match trace.readings.last() {
            Some((last, _)) if at_ns == *last => {
                self.repeated += 1;
                self.budget.accept();
                return Ok(());
            }
            Some((last, _)) if at_ns < *last => {
                let back_s = (*last - at_ns) as f64 / 1e9;
                return self
                    .budget
                    .reject(&self.path, format!("line {}: its time goes back by {back_s:.6} s", self.line));
            }
            _ if trace.readings.len() >= MOST_READINGS => return Err(MeterError::flood(&self.path)),
            _ => {}
        }
        self.budget.accept();
        trace.readings.push((at_ns, power_mw));
        trace.resolution_mw = Some(trace.resolution_mw.map_or(step_mw, |step| step.min(step_mw)));
        Ok(())
    }

    /// Time of the last reading, in ns since an arbitrary instant.
    pub fn last_ns(&self) -> Option<i128> {
        self.trace.readings.last().map(|(at_ns, _)| *at_ns)
    }

    /// The reason why the last line that was left out is not a reading; empty without one.
    pub fn last_rejection(&self) -> &str {
        &self.budget.last_reason
    }

    /// The trace of all lines.
    pub fn finish(self) -> Result<CsvTrace, MeterError> {
        self.check_header()?;
        if !self.reader.knows_layout() {
            return Err(self.rejected("it has no header with the named columns".to_owned()));
        }
        let Self { path, repeated, budget, reader, mut trace, .. } = self;
        budget.check_share(&path)?;
        // Signs are checked without the time, whose type differs.
        let numbered = (0..).zip(&trace.readings);
        let points = numbered.map(|(at_ns, (_, power_mw))| Point { at_ns, power_mw: *power_mw }).collect();
        let readings = trace.readings.len() + repeated;
        let (points, mut notes) = Collected { points, budget, ..Collected::default() }.finish(&path)?;
        notes.extend(reader.note());
        if repeated > 0 {
            notes.push(power_meter::skipped(repeated, readings, "it has the same time as the one before it"));
        }
        trace.notes = notes;
        trace.readings = points.iter().filter_map(|point| trace.readings.get(point.at_ns as usize).copied()).collect();
        Ok(trace)
    }

    /// A line without its line break; empty for a blank one.
    fn begin(&mut self, bytes: &[u8]) -> Result<String, MeterError> {
        self.line += 1;
        if let Some(disguise) = cells::disguise(bytes).or_else(|| cells::disguise(bytes.trim_ascii_end())) {
            return Err(self.rejected(disguise.to_owned()));
        }
        let line = String::from_utf8_lossy(bytes);
        Ok(line.trim_end_matches(['\r', '\n']).trim_end().to_owned())
    }

    fn rejected(&self, problem: String) -> MeterError {
        MeterError::Failed(format!("line {} of {}: {problem}", self.line, self.path))
    }
}

#[cfg(test)]
mod tests;
