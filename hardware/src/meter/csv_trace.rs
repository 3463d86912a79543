//! A power trace from another program, as a file of lines with columns.
//!
//! Absolute time stamps bring its clock to ours, if both machines' clocks are right (or are the same); or the edges of
//! a load that we produced on purpose ([`super::align`]), which work with any clock of the recorder.
//!
//! The file has one separator and one decimal sign (`cells`); a row with more or fewer cells than the header
//! is torn, and rejected.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use thiserror::Error;

use super::align::{self, Alignment, Pattern};
use super::error::MOST_READINGS;
use super::fields::{Fields, Layout, MAX_LINE};
use super::power_meter;
use super::{MeterError, Point, Series, Trace};
use crate::cells;
use crate::shown::start_of;
use crate::warning::MeterNote;

/// Name of the rail of such a trace.
pub const RAIL: &str = "csv";

/// Most lines before the header.
const MOST_BEFORE_HEADER: u64 = 50;

/// A recorded trace on its own clock.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvTrace {
    /// Time in ns since an arbitrary instant, and power in mW; times ascend.
    readings: Vec<(i128, f64)>,
    notes: Vec<MeterNote>,
    resolution_mw: Option<f64>,
}

/// Reads a trace line by line, while the file grows.
#[derive(Clone)]
pub(super) struct Parser {
    path: String,
    fields: Fields,
    layout: Option<Layout>,
    /// Number of lines so far.
    line: u64,
    repeated: usize,
    trace: CsvTrace,
}

/// The reason why a recorded trace cannot be used.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum CsvTraceError {
    /// The file is not a trace.
    #[error(transparent)]
    Meter(#[from] MeterError),
    /// No reading falls in the time since our clock began.
    #[error(
        "all readings lie {side} the measurement, the nearest by {away_s:.1} s: the time stamps are not those of this \
         measurement, or not seconds since 1970"
    )]
    Elsewhere {
        /// `before` or `after`.
        side: &'static str,
        /// Time between the readings and the measurement, in s.
        away_s: f64,
    },
}

impl CsvTrace {
    /// Reads a file. It needs a column of time.
    ///
    /// # Errors
    /// If it cannot be read, lacks a column, contains a line that is not a reading, its time goes back, or most of its
    /// power is negative.
    pub fn load(path: &Path, fields: &Fields) -> Result<Self, MeterError> {
        let shown = path.display().to_string();
        let failed = |error: std::io::Error| MeterError::unread(&shown, error);
        Self::read(BufReader::new(File::open(path).map_err(failed)?), &shown, fields)
    }

    fn read(mut file: impl BufRead, path: &str, fields: &Fields) -> Result<Self, MeterError> {
        let mut parser = Parser::new(path, fields)?;
        while let Some((bytes, _)) = parser.next_line(&mut file)? {
            parser.take(&bytes)?;
        }
        parser.finish()
    }

    /// Adds a reading; `false` for one of the same instant as the last.
    fn push(&mut self, row: super::fields::Row, line: u64, path: &str) -> Result<bool, MeterError> {
        let at_ns = row.own_ns.unwrap_or_default() as i128;
        if let Some((last, _)) = self.readings.last() {
            if at_ns == *last {
                return Ok(false);
            }
            if at_ns < *last {
                let problem = format!("its time goes back by {:.6} s", (*last - at_ns) as f64 / 1e9);
                return Err(MeterError::Failed(format!("line {line} of {path}: {problem}")));
            }
        }
        if self.readings.len() >= MOST_READINGS {
            return Err(MeterError::flood(path));
        }
        self.readings.push((at_ns, row.power_mw));
        self.resolution_mw = Some(self.resolution_mw.map_or(row.step_mw, |step| step.min(row.step_mw)));
        Ok(true)
    }

    fn finish(mut self, path: &str, repeated: usize) -> Result<Self, MeterError> {
        let readings = self.readings.len();
        if readings < 2 {
            return Err(MeterError::too_few(path, readings));
        }
        // Signs are checked without the time, whose type differs.
        let numbered = self.readings.iter().enumerate();
        let mut points =
            numbered.map(|(index, (_, power_mw))| Point { at_ns: index as u64, power_mw: *power_mw }).collect();
        self.notes = power_meter::check_signs(path, &mut points)?;
        self.readings = points.iter().filter_map(|point| self.readings.get(point.at_ns as usize).copied()).collect();
        if repeated > 0 {
            let reason = "it has the same time as the one before it".to_owned();
            self.notes.push(MeterNote::Skipped { skipped: repeated, readings: readings + repeated, reason });
        }
        Ok(self)
    }

    /// The trace on our clock, which showed `clock_ns` at `start`, by its stamps: times since 1970 or dates.
    ///
    /// # Errors
    /// If no reading falls in the time since our clock began, or all lie after `until_ns`.
    pub fn by_stamps(&self, start: jiff::Timestamp, clock_ns: u64, until_ns: u64) -> Result<Trace, CsvTraceError> {
        let shift = i128::from(clock_ns) - start.as_nanosecond();
        let elsewhere = |side, away_ns: i128| CsvTraceError::Elsewhere { side, away_s: away_ns as f64 / 1e9 };
        if let Some((last, _)) = self.readings.last().filter(|(last, _)| last + shift < 0) {
            return Err(elsewhere("before", -(last + shift)));
        }
        let until = i128::from(until_ns);
        if let Some((first, _)) = self.readings.first().filter(|(first, _)| first + shift > until) {
            return Err(elsewhere("after", first + shift - until));
        }
        let ours = |(at_ns, power_mw): &(i128, f64)| {
            Some(Point { at_ns: u64::try_from(at_ns + shift).ok()?, power_mw: *power_mw })
        };
        Ok(Trace::of_rail(RAIL, self.readings.iter().filter_map(ours)))
    }

    /// The trace on our clock, placed by the edges of a load that we produced, and the alignment of the clocks.
    ///
    /// # Errors
    /// If the pattern is not found.
    pub fn by_edges(&self, pattern: &Pattern, clock_error: f64) -> Result<(Trace, Alignment), CsvTraceError> {
        let first = self.readings.first().map_or(0, |(at_ns, _)| *at_ns);
        let own = |(at_ns, power_mw): &(i128, f64)| {
            Some(Point { at_ns: u64::try_from(at_ns - first).ok()?, power_mw: *power_mw })
        };
        let series: Series = self.readings.iter().filter_map(own).collect();
        let mut alignment = align::find(&series, pattern, clock_error)?;
        let trace = Trace::of_rail(RAIL, alignment.apply(&series).points().iter().copied());
        // The error gives the file's own time.
        alignment.offset_s += first as f64 / 1e9;
        Ok((trace, alignment))
    }

    /// Doubts about the trace.
    pub fn notes(&self) -> &[MeterNote] {
        &self.notes
    }

    /// The value of the last printed digit, in mW.
    pub fn resolution_mw(&self) -> Option<f64> {
        self.resolution_mw
    }
}

impl Parser {
    /// A parser that has read nothing yet.
    ///
    /// # Errors
    /// If the columns contradict each other, or no column is the time.
    pub fn new(path: &str, fields: &Fields) -> Result<Self, MeterError> {
        fields.check()?;
        if fields.time.is_none() {
            let problem = "a recorded trace needs a column `time`: its readings have no place without one";
            return Err(MeterError::Settings(problem.to_owned()));
        }
        let trace = CsvTrace { readings: Vec::new(), notes: Vec::new(), resolution_mw: None };
        Ok(Self { path: path.to_owned(), fields: fields.clone(), layout: None, line: 0, repeated: 0, trace })
    }

    /// The next line, and whether a line break ends it; `None` at the end of the file.
    ///
    /// # Errors
    /// If it cannot be read, or is longer than [`MAX_LINE`].
    pub fn next_line(&self, file: &mut impl BufRead) -> Result<Option<(Vec<u8>, bool)>, MeterError> {
        let mut bytes = Vec::new();
        let read = file.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes);
        let length = read.map_err(|error| MeterError::unread(&self.path, error))?;
        if length > MAX_LINE {
            let problem = format!("it has more than {MAX_LINE} bytes");
            return Err(MeterError::Failed(format!("line {} of {}: {problem}", self.line + 1, self.path)));
        }
        let is_whole = bytes.ends_with(b"\n");
        Ok((length > 0).then_some((bytes, is_whole)))
    }

    /// Skips a line, unless it is the header.
    ///
    /// # Errors
    /// If too many lines came without a header.
    pub fn skip(&mut self, bytes: &[u8]) -> Result<(), MeterError> {
        // Damage before the start does not matter.
        let line = self.begin(bytes, self.layout.is_none())?;
        if self.layout.is_none() && !line.is_empty() {
            self.find_header(&line)?;
        }
        Ok(())
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If it is not a reading, or its time goes back.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), MeterError> {
        let line = self.begin(bytes, true)?;
        if line.is_empty() {
            return Ok(());
        }
        let Some(layout) = &mut self.layout else {
            // Without names, the first line may nevertheless be a header.
            if self.find_header(&line)?
                && let Some(Ok(row)) = self.layout.as_mut().map(|layout| layout.read(&line))
            {
                self.repeated += usize::from(!self.trace.push(row, self.line, &self.path)?);
            }
            return Ok(());
        };
        if line.starts_with('#') {
            return Ok(());
        }
        let row = layout.read(&line);
        let row = row.map_err(|problem| self.rejected(format!("{problem} in {:?}", start_of(&line, 80))))?;
        self.repeated += usize::from(!self.trace.push(row, self.line, &self.path)?);
        Ok(())
    }

    /// Number of readings.
    pub fn readings(&self) -> usize {
        self.trace.readings.len()
    }

    /// Time of the last reading, in ns since an arbitrary instant.
    pub fn last_ns(&self) -> Option<i128> {
        self.trace.readings.last().map(|(at_ns, _)| *at_ns)
    }

    /// The trace of all lines.
    ///
    /// # Errors
    /// If they are not a trace.
    pub fn finish(self) -> Result<CsvTrace, MeterError> {
        if self.layout.is_none() {
            return Err(self.rejected("its header has not all of the named columns".to_owned()));
        }
        self.trace.finish(&self.path, self.repeated)
    }

    /// A line without its line break; empty for a blank one.
    fn begin(&mut self, bytes: &[u8], is_checked: bool) -> Result<String, MeterError> {
        self.line += 1;
        let line = String::from_utf8_lossy(bytes);
        let line = line.trim_end_matches(['\r', '\n']);
        let disguise = cells::disguise(line.as_bytes()).or_else(|| cells::disguise(bytes));
        if let Some(disguise) = disguise.filter(|_| is_checked) {
            return Err(self.rejected(disguise.to_owned()));
        }
        Ok(if line.trim().is_empty() { String::new() } else { line.to_owned() })
    }

    /// Whether a possible header may also be a reading.
    fn find_header(&mut self, line: &str) -> Result<bool, MeterError> {
        match self.fields.layout(line) {
            Ok(found) => self.layout = Some(found),
            Err(_) if self.line < MOST_BEFORE_HEADER => return Ok(false),
            Err(missing) => return Err(self.rejected(format!("{missing} in it or the lines before it"))),
        }
        Ok(!self.fields.has_names())
    }

    fn rejected(&self, problem: String) -> MeterError {
        MeterError::Failed(format!("line {} of {}: {problem}", self.line, self.path))
    }
}

#[cfg(test)]
mod tests;
