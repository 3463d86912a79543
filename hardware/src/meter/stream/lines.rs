//! What a program prints, line by line.

use std::time::{Duration, Instant};

use crate::meter::Point;
use crate::meter::fields::{Fields, Layout};
use crate::meter::power_meter::{self, MOST_READINGS, MeterError, MeterNote};
use crate::meter::stamps::{self, Arrival};

/// Lines before the first reading that may be anything.
const MOST_BEFORE: usize = 50;
/// Lines refused one after the other that end a meter.
const MOST_REFUSED: usize = 20;
/// Bytes of its errors that are kept.
const MOST_SAID: usize = 2000;
/// Shortest silence that is a fault, and how many times the meter's spacing it is.
pub(super) const SHORTEST_SILENCE: Duration = Duration::from_secs(5);
const SILENT_SPACINGS: f64 = 20.0;
/// Readings that show how slow a meter is.
const FEWEST_KNOWN: usize = 3;

/// What a program has printed.
#[derive(Default)]
pub(in crate::meter) struct Lines {
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
    said: Vec<u8>,
    /// Whether nothing more will come.
    pub closed: bool,
    /// Why reading has ended early.
    pub failure: Option<MeterError>,
}

/// When something was heard of it.
pub(in crate::meter) struct Heard {
    pub readings: usize,
    pub ago: Duration,
    /// Median time between its last readings.
    pub spacing: Duration,
}

/// What it comes to in the end.
pub(in crate::meter) struct Finished {
    pub points: Vec<Point>,
    pub notes: Vec<MeterNote>,
    /// What the last printed digit is worth, in mW.
    pub resolution_mw: Option<f64>,
}

impl Heard {
    /// For how long nothing was heard, in s, if that is too long for a program that may take `start_limit` for its first
    /// readings and then `silence`.
    pub fn silent_s(&self, silence: Duration, start_limit: Duration) -> Option<f64> {
        // How slow a meter is shows with a few readings.
        let silence = if self.readings < FEWEST_KNOWN { silence.max(start_limit) } else { silence };
        (self.ago > silence.max(self.spacing.mul_f64(SILENT_SPACINGS))).then_some(self.ago.as_secs_f64())
    }
}

impl Lines {
    /// Nothing so far.
    pub fn begin() -> Self {
        Self { heard: Some(Instant::now()), ..Self::default() }
    }

    /// When something was heard of it.
    pub fn heard(&self) -> Heard {
        let recent = &self.arrivals[self.arrivals.len().saturating_sub(200)..];
        let steps = recent.windows(2).map(|two| two[1].at_ns.saturating_sub(two[0].at_ns) as f64);
        let spacing_ns = power_meter::median(steps.collect()).unwrap_or(0.0);
        Heard {
            readings: self.arrivals.len(),
            ago: self.heard.map_or(Duration::ZERO, |heard| heard.elapsed()),
            spacing: Duration::from_nanos(spacing_ns as u64),
        }
    }

    /// Takes up what it has printed as an error.
    pub fn say(&mut self, words: &[u8]) {
        self.said.extend_from_slice(words);
        let surplus = self.said.len().saturating_sub(MOST_SAID);
        self.said.drain(..surplus);
    }

    /// What it has printed as an error, to be put behind a sentence.
    pub fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.said);
        let last: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = last[last.len().saturating_sub(3)..].iter().map(|line| power_meter::clip(line)).collect::<Vec<_>>();
        let refused = if self.arrivals.is_empty() && !self.shown.is_empty() {
            format!("; its last line was {:?}: {}", self.shown, self.reason)
        } else {
            String::new()
        };
        if last.is_empty() { refused } else { format!("{refused}; it had printed: {}", last.join(" / ")) }
    }

    /// The readings on the clock of their arrivals.
    ///
    /// # Errors
    /// If reading has failed, too many lines are no reading, or those that are cannot be placed in time or believed.
    pub fn finish(self, program: &str) -> Result<Finished, MeterError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let (refused, of) = (self.refused, self.refused + self.arrivals.len());
        if refused > 5 && refused * 10 > of {
            return Err(self.garbage(program));
        }
        let (mut points, mut notes) = stamps::place(program, &self.arrivals)?;
        notes.extend(power_meter::check_signs(program, &mut points)?);
        if refused > 0 {
            let reason = format!("{} (in {:?})", self.reason, self.shown);
            notes.push(MeterNote::Skipped { skipped: refused, readings: of, reason });
        }
        let resolution_mw = self.arrivals.iter().map(|arrival| arrival.row.step_mw).min_by(f64::total_cmp);
        Ok(Finished { points, notes, resolution_mw })
    }

    /// That too much is no reading.
    fn garbage(&self, program: &str) -> MeterError {
        MeterError::Garbage {
            meter: program.to_owned(),
            refused: self.refused + self.before,
            lines: self.refused + self.before + self.arrivals.len(),
            shown: self.shown.clone(),
            reason: self.reason.clone(),
        }
    }

    /// Takes up a line; `false` for one that is refused.
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
                Err(missing) => return self.refuse(line, missing, program),
            }
        }
        let Some(layout) = &mut self.layout else { return true };
        match layout.read(line) {
            Ok(row) => {
                self.refused_in_a_row = 0;
                self.heard = Some(Instant::now());
                self.arrivals.push(Arrival { at_ns, row });
                if self.arrivals.len() > MOST_READINGS {
                    self.failure = Some(MeterError::Flood { meter: program.to_owned() });
                }
                true
            }
            Err(reason) => self.refuse(line, reason, program),
        }
    }

    fn refuse(&mut self, line: &str, reason: String, program: &str) -> bool {
        (self.shown, self.reason) = (power_meter::clip(line), reason);
        if self.arrivals.is_empty() {
            self.before += 1;
        } else {
            self.refused += 1;
            self.refused_in_a_row += 1;
        }
        if self.before > MOST_BEFORE || self.refused_in_a_row >= MOST_REFUSED {
            self.failure = Some(self.garbage(program));
        }
        false
    }
}
