//! TensorBoard events.
//!
//! | tag | step | what it is |
//! |---|---|---|
//! | `front/hypervolume` | evaluation | share of the box from 0 to the reference point |
//! | `front/size` | evaluation | members of the front |
//! | `best/OBJECTIVE` | evaluation | least value so far |
//! | `child/accuracy`, `child/time_ms`, `child/energy_mj` | evaluation | what was found out about that child |
//! | `strategy/…` | evaluations so far | what the strategy tells of a round: loss, entropy, gradient norm, reward |
//! | `choices/DECISION` | evaluations so far | how often each choice was proposed in the round |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use hardware::log::Row;
use tensorboard_rs::summary_writer::SummaryWriter;

use super::Observer;
use crate::history::History;
use crate::strategy::Diagnostics;

/// Writes what happens as TensorBoard events.
pub struct TensorBoard {
    /// None once writing has failed: a search does not end because it cannot be watched.
    writer: Option<SummaryWriter>,
}

impl TensorBoard {
    /// Events in a folder; a resumed search adds a file to those that are there.
    pub fn new(folder: &Path) -> Self {
        let mut board = Self { writer: None };
        // The crate panics on whatever goes wrong with its file.
        board.writer = guarded(|| SummaryWriter::new(folder));
        board
    }

    fn write(&mut self, write: impl FnOnce(&mut SummaryWriter)) {
        if let Some(mut writer) = self.writer.take() {
            self.writer = guarded(|| {
                write(&mut writer);
                writer
            });
        }
    }
}

/// What `work` gives, or a warning and nothing if it panics.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    if result.is_none() {
        eprintln!("warning: TensorBoard events cannot be written any more; the search goes on without them");
    }
    result
}

impl Observer for TensorBoard {
    fn entered(&mut self, row: &Row, history: &History) {
        let step = row.evaluation as usize;
        let child = [("accuracy", row.accuracy), ("time_ms", row.time_ms), ("energy_mj", row.energy_mj)];
        self.write(|writer| {
            for (name, value) in child {
                if let Some(value) = value {
                    writer.add_scalar(&format!("child/{name}"), value as f32, step);
                }
            }
            if let Some(share) = history.hypervolume_share() {
                writer.add_scalar("front/hypervolume", share as f32, step);
            }
            writer.add_scalar("front/size", history.front().count() as f32, step);
            for (index, objective) in history.objectives().iter().enumerate() {
                let best = history.evaluations().iter().filter_map(|evaluation| evaluation.values[index]);
                if let Some(best) = best.min_by(f64::total_cmp) {
                    writer.add_scalar(&format!("best/{objective}"), best as f32, step);
                }
            }
        });
    }

    fn round(&mut self, _round: u64, history: &History, diagnostics: &Diagnostics) {
        let step = history.evaluations().len();
        self.write(|writer| {
            for (name, value) in &diagnostics.scalars {
                writer.add_scalar(&format!("strategy/{name}"), *value as f32, step);
            }
            for (decision, counts) in &diagnostics.choices {
                add_choices(writer, &format!("choices/{decision}"), counts, step);
            }
            writer.flush();
        });
    }

    fn end(&mut self, _history: &History) {
        self.write(SummaryWriter::flush);
    }
}

/// A histogram with one bucket a choice.
fn add_choices(writer: &mut SummaryWriter, tag: &str, counts: &[u64], step: usize) {
    let counts: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
    let limits: Vec<f64> = (0..counts.len()).map(|choice| choice as f64 + 0.5).collect();
    let moment = |power: i32| counts.iter().enumerate().map(|(c, n)| n * (c as f64).powi(power)).sum::<f64>();
    let taken = || counts.iter().enumerate().filter(|(_, count)| **count > 0.0).map(|(choice, _)| choice as f64);
    let (min, max) = (taken().next().unwrap_or(0.0), taken().next_back().unwrap_or(0.0));
    writer.add_histogram_raw(tag, min, max, moment(0), moment(1), moment(2), &limits, &counts, step);
}
