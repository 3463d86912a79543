//! The lines that a program prints.

use std::time::{Duration, Instant};

use crate::meter::error::MOST_READINGS;
use crate::meter::fields::{Fields, Layout};
use crate::meter::power_meter;
use crate::meter::stamps::{self, Arrival};
use crate::meter::{MeterError, Point};
use crate::shown::start_of;
use crate::statistics::median;
use crate::warning::MeterNote;

/// Most arbitrary lines before the first reading.
const MOST_BEFORE: usize = 50;
/// Number of successive rejected lines that ends a meter.
const MOST_REJECTED: usize = 20;
/// Most bytes of its error output that are kept.
const MOST_ERRORS: usize = 2000;
/// Shortest silence that is a fault, and the same as a multiple of the meter's spacing.
pub(super) const SHORTEST_SILENCE: Duration = Duration::from_secs(5);
const SILENT_SPACINGS: f64 = 20.0;
/// Number of readings that determine the meter's spacing.
const FEWEST_KNOWN: usize = 3;

/// The lines that a program has printed.
#[derive(Default)]
pub(in crate::meter) struct Lines {
    pub arrivals: Vec<Arrival>,
    /// Lines that are not readings, from the first reading on.
    pub rejected: usize,
    /// The last of them, and its mistake.
    pub shown: String,
    pub reason: String,
    before: usize,
    rejected_in_a_row: usize,
    layout: Option<Layout>,
    received: Option<Instant>,
    errors: Vec<u8>,
    /// Whether the output has ended.
    pub closed: bool,
    /// The reason why reading has ended early.
    pub failure: Option<MeterError>,
}

/// Progress of a program.
pub(in crate::meter) struct Progress {
    pub readings: usize,
    pub ago: Duration,
    /// Median time between its last readings.
    pub spacing: Duration,
}

/// All its readings, at the end.
pub(in crate::meter) struct Finished {
    pub points: Vec<Point>,
    pub notes: Vec<MeterNote>,
    /// The value of the last printed digit, in mW.
    pub resolution_mw: Option<f64>,
}

impl Progress {
    /// The time that it has been silent, in s, if that is too long for a program that may take `start_limit` for its
    /// first readings and then `silence`.
    pub fn silent_s(&self, silence: Duration, start_limit: Duration) -> Option<f64> {
        // A few readings determine the meter's spacing.
        let silence = if self.readings < FEWEST_KNOWN { silence.max(start_limit) } else { silence };
        (self.ago > silence.max(self.spacing.mul_f64(SILENT_SPACINGS))).then_some(self.ago.as_secs_f64())
    }
}

impl Lines {
    /// No lines so far.
    pub fn begin() -> Self {
        Self { received: Some(Instant::now()), ..Self::default() }
    }

    /// Progress of a program.
    pub fn progress(&self) -> Progress {
        let recent = &self.arrivals[self.arrivals.len().saturating_sub(200)..];
        let steps = recent.windows(2).map(|two| two[1].at_ns.saturating_sub(two[0].at_ns) as f64);
        let spacing_ns = median(steps.collect()).unwrap_or(0.0);
        Progress {
            readings: self.arrivals.len(),
            ago: self.received.map_or(Duration::ZERO, |received| received.elapsed()),
            spacing: Duration::from_nanos(spacing_ns as u64),
        }
    }

    /// Adds error output.
    pub fn add_error(&mut self, words: &[u8]) {
        self.errors.extend_from_slice(words);
        let surplus = self.errors.len().saturating_sub(MOST_ERRORS);
        self.errors.drain(..surplus);
    }

    /// Its error output, as the end of a sentence.
    pub fn errors(&self) -> String {
        let text = String::from_utf8_lossy(&self.errors);
        let last: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = last[last.len().saturating_sub(3)..].iter().map(|line| start_of(line, 80)).collect::<Vec<_>>();
        let rejected = if self.arrivals.is_empty() && !self.shown.is_empty() {
            format!("; its last line was {:?}: {}", self.shown, self.reason)
        } else {
            String::new()
        };
        if last.is_empty() { rejected } else { format!("{rejected}; it had printed: {}", last.join(" / ")) }
    }

    /// The readings from an instant on, at the time of their arrival.
    pub fn recent(&self, from_ns: u64) -> Vec<Point> {
        let start = self.arrivals.partition_point(|arrival| arrival.at_ns < from_ns);
        self.arrivals[start..]
            .iter()
            .map(|arrival| Point { at_ns: arrival.at_ns, power_mw: arrival.row.power_mw })
            .collect()
    }

    /// The readings on the clock of their arrivals.
    ///
    /// # Errors
    /// If reading has failed, too many lines are not readings, or the readings cannot be placed in time or are not
    /// credible.
    pub fn finish(self, program: &str) -> Result<Finished, MeterError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let (rejected, of) = (self.rejected, self.rejected + self.arrivals.len());
        if rejected > 5 && rejected * 10 > of {
            return Err(self.garbage(program));
        }
        let (mut points, mut notes) = stamps::place(program, &self.arrivals)?;
        notes.extend(power_meter::check_signs(program, &mut points)?);
        if rejected > 0 {
            let reason = format!("{} (in {:?})", self.reason, self.shown);
            notes.push(MeterNote::Skipped { skipped: rejected, readings: of, reason });
        }
        let resolution_mw = self.arrivals.iter().map(|arrival| arrival.row.step_mw).min_by(f64::total_cmp);
        Ok(Finished { points, notes, resolution_mw })
    }

    /// The error about too many lines that are not readings.
    fn garbage(&self, program: &str) -> MeterError {
        let rejected = self.rejected + self.before;
        MeterError::Failed(format!(
            "{rejected} of {} readings of {program} are rejected; the last is {:?}: {}",
            rejected + self.arrivals.len(),
            self.shown,
            self.reason
        ))
    }

    /// Adds a line; `false` for one that is rejected.
    pub fn take(&mut self, line: &str, at_ns: u64, fields: &Fields, program: &str) -> bool {
        if line.trim().is_empty() {
            return true;
        }
        if self.layout.is_none() {
            match fields.layout(line) {
                Ok(layout) => {
                    self.layout = Some(layout);
                    if fields.has_names() {
                        return true;
                    }
                }
                Err(missing) => return self.reject(line, missing, program),
            }
        }
        let Some(layout) = &mut self.layout else { return true };
        match layout.read(line) {
            Ok(row) => {
                self.rejected_in_a_row = 0;
                self.received = Some(Instant::now());
                self.arrivals.push(Arrival { at_ns, row });
                if self.arrivals.len() > MOST_READINGS {
                    self.failure = Some(MeterError::flood(program));
                }
                true
            }
            Err(reason) => self.reject(line, reason, program),
        }
    }

    fn reject(&mut self, line: &str, reason: String, program: &str) -> bool {
        (self.shown, self.reason) = (start_of(line, 80), reason);
        if self.arrivals.is_empty() {
            self.before += 1;
        } else {
            self.rejected += 1;
            self.rejected_in_a_row += 1;
        }
        if self.before > MOST_BEFORE || self.rejected_in_a_row >= MOST_REJECTED {
            self.failure = Some(self.garbage(program));
        }
        false
    }
}
