//! The readings of a running meter, and its error budget.

use std::time::{Duration, Instant};

use super::error::MOST_READINGS;
use super::{MeterError, Point, power_meter};
use crate::statistics::median;

/// Rejected readings in a row that use up the error budget.
const MOST_REJECTED: usize = 20;
/// Shortest silence that is a fault, and the same as a multiple of the meter's spacing.
pub(super) const SHORTEST_SILENCE: Duration = Duration::from_secs(5);
const SILENT_SPACINGS: f64 = 20.0;
/// Number of readings that determine the meter's spacing.
const FEWEST_KNOWN: usize = 3;
/// Damaged lines that are always within the error budget.
const ALWAYS_ALLOWED: usize = 5;

/// The lines or polls that gave no reading.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Budget {
    polls: usize,
    damaged: usize,
    /// Readings without a value, as a meter prints them that has none at the moment.
    missing: usize,
    damaged_in_a_row: usize,
    /// The reason of the last rejection; empty without one.
    pub last_reason: String,
}

impl Budget {
    pub fn accept(&mut self) {
        self.polls += 1;
        self.damaged_in_a_row = 0;
    }

    /// Counts a reading without a value.
    pub fn miss(&mut self, reason: String) {
        self.accept();
        self.missing += 1;
        self.last_reason = reason;
    }

    /// Counts a damaged line; too many in a row are an error.
    pub fn reject(&mut self, meter: &str, reason: String) -> Result<(), MeterError> {
        self.polls += 1;
        self.damaged += 1;
        self.damaged_in_a_row += 1;
        self.last_reason = reason;
        if self.damaged_in_a_row < MOST_REJECTED {
            return Ok(());
        }
        Err(MeterError::Failed(format!(
            "{} of {} readings of {meter} are rejected, the last {MOST_REJECTED} in a row: {}",
            self.damaged, self.polls, self.last_reason
        )))
    }

    /// An error if more than a tenth of the lines of a text are damaged.
    pub fn check_share(&self, meter: &str) -> Result<(), MeterError> {
        if self.damaged > ALWAYS_ALLOWED && self.damaged * 10 > self.polls {
            return Err(garbage(meter, self.damaged, self.polls, &self.last_reason));
        }
        Ok(())
    }

    /// A note about the readings that were left out.
    pub fn note(&self) -> Option<String> {
        let left_out = self.damaged + self.missing;
        (left_out > 0).then(|| power_meter::skipped(left_out, self.polls, &self.last_reason))
    }

    /// The last rejection, as the end of a sentence.
    pub fn last_words(&self) -> String {
        match self.last_reason.as_str() {
            "" => String::new(),
            reason => format!("; the last reading was rejected: {reason}"),
        }
    }
}

/// The error about too many lines that are not readings.
pub(super) fn garbage(program: &str, rejected: usize, readings: usize, last: &str) -> MeterError {
    MeterError::Failed(format!("{rejected} of {readings} readings of {program} are rejected; the last: {last}"))
}

/// The readings so far.
#[derive(Default)]
pub(super) struct Collected {
    pub points: Vec<Point>,
    pub budget: Budget,
    /// The reason why reading has ended early.
    pub failure: Option<MeterError>,
    /// When the last reading came, or reading began.
    pub received: Option<Instant>,
}

impl Collected {
    /// The readings of the first poll, if there is one already.
    pub fn begin(points: Vec<Point>) -> Self {
        Self { points, received: Some(Instant::now()), ..Self::default() }
    }

    /// Number of readings, or the meter's failure.
    pub fn check(&self) -> Result<usize, MeterError> {
        self.failure.clone().map_or(Ok(self.points.len()), Err)
    }

    /// The readings from an instant on.
    pub fn since(&self, from_ns: u64) -> Vec<Point> {
        self.points[self.points.partition_point(|point| point.at_ns < from_ns)..].to_vec()
    }

    /// The time since the last reading, in s, if that is too long for a meter that may take `start_limit` for its first
    /// readings and then `silence`.
    pub fn silent_s(&self, silence: Duration, start_limit: Duration) -> Option<f64> {
        let recent = &self.points[self.points.len().saturating_sub(200)..];
        let steps = recent.windows(2).map(|two| two[1].at_ns.saturating_sub(two[0].at_ns) as f64);
        let spacing = Duration::from_nanos(median(steps.collect()).unwrap_or(0.0) as u64);
        let silence = if self.points.len() < FEWEST_KNOWN { silence.max(start_limit) } else { silence };
        let passed = self.received.map_or(Duration::ZERO, |received| received.elapsed());
        (passed > silence.max(spacing.mul_f64(SILENT_SPACINGS))).then_some(passed.as_secs_f64())
    }

    /// Readings and doubts about them. Fewer than two readings, or mostly negative ones, are an error.
    pub fn finish(mut self, meter: &str) -> Result<(Vec<Point>, Vec<String>), MeterError> {
        if self.check()? < 2 {
            return Err(MeterError::too_few(meter, self.points.len(), &self.budget.last_words()));
        }
        let mut notes = power_meter::check_signs(meter, &mut self.points)?;
        notes.extend(self.budget.note());
        Ok((self.points, notes))
    }

    /// Ends the meter with an error.
    pub fn fail(&mut self, error: MeterError) {
        self.failure.get_or_insert(error);
    }

    /// Adds the result of a poll.
    pub fn take(&mut self, meter: &str, result: Result<Vec<Point>, MeterError>) {
        match result {
            Ok(points) => {
                self.budget.accept();
                if !points.is_empty() {
                    self.received = Some(Instant::now());
                }
                self.points.extend(points);
                if self.points.len() > MOST_READINGS {
                    self.fail(MeterError::flood(meter));
                }
            }
            Err(MeterError::Read(reason)) => {
                if let Err(error) = self.budget.reject(meter, reason) {
                    self.fail(error);
                }
            }
            Err(failure) => self.fail(failure),
        }
    }
}
