//! Progress in the terminal.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use hardware::log::Row;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::Observer;
use crate::evaluate::{Activity, Stage};
use crate::history::History;
use crate::terminal::note;

/// A bar with ETA, front and running evaluations; without a terminal, a line every few seconds.
pub struct Progress {
    bar: ProgressBar,
    running: BTreeMap<u64, Stage>,
    front: String,
    /// Without a terminal.
    lines: Option<Lines>,
}

/// Lines in place of a bar.
struct Lines {
    began: Instant,
    /// Evaluations before that.
    evaluations: u64,
    /// Time of the latest line.
    last: Option<Instant>,
}

impl Progress {
    /// Progress on standard error.
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        let lines = bar.is_hidden().then(|| Lines { began: Instant::now(), evaluations: 0, last: None });
        let template = "{bar:24} {pos}/{len} evaluations, ETA {left}, {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("left", write_left));
        Self { bar, running: BTreeMap::new(), front: String::new(), lines }
    }

    fn show(&self) {
        let mut parts = vec![self.front.clone()];
        for (number, stage) in &self.running {
            match stage {
                Stage::Measuring => parts.push(format!("measuring #{number}")),
                Stage::Training { epoch, epochs } => parts.push(format!("training #{number}: {epoch}/{epochs}")),
                Stage::Waiting => {}
            }
        }
        self.bar.set_message(parts.join(", "));
    }

    /// Time between two lines.
    const INTERVAL: Duration = Duration::from_secs(10);

    /// Prints a line if there is no bar, and the latest line is old enough.
    fn print_line(&mut self) {
        let (done, budget) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let Some(lines) = self.lines.as_mut() else { return };
        if lines.last.is_some_and(|last| last.elapsed() < Self::INTERVAL) {
            return;
        }
        lines.last = Some(Instant::now());
        let new = done.saturating_sub(lines.evaluations).max(1);
        let left = lines.began.elapsed().div_f64(new as f64).mul_f64(budget.saturating_sub(done) as f64);
        note(format_args!("{done}/{budget} evaluations, ETA {}, {}", HumanDuration(left), self.front));
    }
}

impl Observer for Progress {
    fn start(&mut self, budget: u64, history: &History) {
        let done = history.entered();
        self.bar.set_length(budget);
        self.bar.set_position(done);
        self.bar.reset_eta();
        self.bar.enable_steady_tick(Duration::from_millis(250));
        if let Some(start) = &mut self.lines {
            *start = Lines { began: Instant::now(), evaluations: done, last: None };
        }
        self.front = describe(history);
        self.show();
    }

    fn activity(&mut self, activity: Activity) {
        self.running.insert(activity.number, activity.stage);
        self.show();
    }

    fn evaluated(&mut self, row: &Row) {
        self.running.remove(&row.evaluation);
        self.bar.inc(1);
        self.show();
        self.print_line();
    }

    fn entered(&mut self, row: &Row, history: &History) {
        // Rows recovered from the journal were not announced as evaluated.
        self.bar.set_position(self.bar.position().max(row.evaluation + 1));
        self.front = describe(history);
        self.show();
    }

    fn end(&mut self, _history: &History) {
        self.bar.finish_and_clear();
    }
}

/// The remaining time; unknown before the first evaluation.
fn write_left(state: &ProgressState, writer: &mut dyn Write) {
    let eta = state.eta();
    // A failed write to the terminal has no remedy.
    let _ = if eta.is_zero() && state.pos() < state.len().unwrap_or(0) {
        writer.write_str("unknown")
    } else {
        write!(writer, "{:#}", HumanDuration(eta))
    };
}

/// Front and hypervolume in a few words.
fn describe(history: &History) -> String {
    let front = history.front().count();
    match history.hypervolume_share() {
        Some(share) => format!("front {front}, hypervolume {share:.4}"),
        None => format!("front {front}"),
    }
}
