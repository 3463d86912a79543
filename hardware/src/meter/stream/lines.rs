//! The lines that a program prints.

use crate::meter::collected::{Collected, garbage};
use crate::meter::fields::{Fields, LineReader, Rejected, Row};
use crate::meter::stamps::{self, Arrival};
use crate::meter::{MeterError, Point, Trace};
use crate::shown::start_of;

/// Most arbitrary lines before the first reading.
const MOST_BEFORE: usize = 50;
/// Most bytes of its error output that are kept.
const MOST_ERRORS: usize = 2000;

/// The lines that a program has printed.
#[derive(Default)]
pub(in crate::meter) struct Lines {
    /// The readings at the time of their arrival.
    pub collected: Collected,
    rows: Vec<Row>,
    /// Lines so far, and those before the first reading.
    count: usize,
    before: usize,
    reader: LineReader,
    errors: Vec<u8>,
    /// Whether the output has ended.
    pub closed: bool,
}

impl Lines {
    /// No lines so far, which have these columns.
    pub fn new(fields: &Fields) -> Self {
        let collected = Collected::begin(Vec::new());
        Self { collected, reader: LineReader::new(fields.clone()), ..Self::default() }
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
        let rejected = if self.rows.is_empty() { self.collected.budget.last_words() } else { String::new() };
        if last.is_empty() { rejected } else { format!("{rejected}; it had printed: {}", last.join(" / ")) }
    }

    /// The readings on the clock of their arrivals, as one rail.
    pub fn finish(self, rail: &str, program: &str) -> Result<Trace, MeterError> {
        self.collected.check()?;
        self.collected.budget.check_share(program)?;
        let resolution_mw = self.rows.iter().map(|row| row.step_mw).min_by(f64::total_cmp);
        let arrivals =
            self.collected.points.iter().zip(self.rows).map(|(point, row)| Arrival { at_ns: point.at_ns, row });
        let (points, mut notes) = stamps::place(program, &arrivals.collect::<Vec<_>>())?;
        let (points, more) = Collected { points, ..self.collected }.finish(program)?;
        notes.extend(more.into_iter().chain(self.reader.note()));
        Ok(Trace { notes, resolution_mw, ..Trace::of_rail(rail, points) })
    }

    /// Adds a line; `false` for one that is rejected.
    pub fn take(&mut self, line: &str, at_ns: u64, program: &str) -> bool {
        self.count += 1;
        if line.trim().is_empty() {
            return true;
        }
        let rejected = match self.reader.read(line) {
            Ok(None) => return true,
            Ok(Some(row)) => {
                self.collected.take(program, Ok(vec![Point { at_ns, power_mw: row.power_mw }]));
                self.rows.push(row);
                return true;
            }
            Err(rejected) => rejected,
        };
        let reason = format!("{rejected} (in {:?})", start_of(line, 80));
        let budget = &mut self.collected.budget;
        match rejected {
            Rejected::Contradiction(_) => {
                let problem = format!("line {} of {program} contradicts those before it: {reason}", self.count);
                self.collected.fail(MeterError::Failed(problem));
            }
            _ if self.rows.is_empty() => {
                budget.last_reason.clone_from(&reason);
                self.before += 1;
                if self.before > MOST_BEFORE {
                    self.collected.fail(garbage(program, self.before, self.before, &reason));
                }
            }
            Rejected::Missing(_) => budget.miss(reason),
            Rejected::Damaged(_) => self.collected.take(program, Err(MeterError::Read(reason))),
        }
        false
    }
}
