//! TensorBoard events.
//!
//! | tag | step | meaning |
//! |---|---|---|
//! | `front/hypervolume` | evaluation | share of the box from 0 to the reference point |
//! | `front/size` | evaluation | members of the front |
//! | `best/OBJECTIVE` | evaluation | least value so far |
//! | `child/accuracy`, `child/time_ms`, `child/energy_mj` | evaluation | results of that child |
//! | `strategy/…` | evaluations so far | diagnostics of a round: loss, entropy, gradient norm, reward |
//! | `strategy/own_seconds` | evaluations so far | time of the round without waiting for evaluations |
//! | `choices/DECISION` | evaluations so far | number of proposals of each choice in the round |

use std::io;
use std::path::Path;

use hardware::log::Row;
use tensorboard_proto::summary::Summary;
use tensorboard_rs::summary::{histogram_raw, scalar};

use super::Observer;
use super::event_file::EventFile;
use crate::history::History;
use crate::strategy::Diagnostics;
use crate::terminal::note;

/// Writes the progress of a search as TensorBoard events.
pub struct TensorBoard {
    /// `None` once writing has failed: the search goes on without events.
    file: Option<EventFile>,
}

impl TensorBoard {
    /// Events in a folder; a resumed search adds a file.
    pub fn new(folder: &Path) -> Self {
        Self { file: EventFile::create(folder).inspect_err(warn).ok() }
    }

    fn write(&mut self, write: impl FnOnce(&mut EventFile) -> io::Result<()>) {
        if let Some(mut file) = self.file.take() {
            self.file = write(&mut file).inspect_err(warn).ok().map(|()| file);
        }
    }
}

fn warn(error: &io::Error) {
    note(format_args!(
        "warning: TensorBoard events cannot be written any more ({error}); the search goes on without them"
    ));
}

impl Observer for TensorBoard {
    fn entered(&mut self, row: &Row, history: &History) {
        let step = row.evaluation as usize;
        let child = [("accuracy", row.accuracy), ("time_ms", row.time_ms), ("energy_mj", row.energy_mj)];
        self.write(|file| {
            for (name, value) in child {
                if let Some(value) = value {
                    file.summary(scalar(&format!("child/{name}"), value as f32), step)?;
                }
            }
            if let Some(share) = history.hypervolume_share() {
                file.summary(scalar("front/hypervolume", share as f32), step)?;
            }
            file.summary(scalar("front/size", history.front().count() as f32), step)?;
            for (index, objective) in history.objectives().iter().enumerate() {
                let best = history.evaluations().iter().filter_map(|evaluation| evaluation.values[index]);
                if let Some(best) = best.min_by(f64::total_cmp) {
                    file.summary(scalar(&format!("best/{objective}"), best as f32), step)?;
                }
            }
            // Before the next checkpoint: a resumed search does not enter its evaluations again.
            file.flush()
        });
    }

    fn round(&mut self, history: &History, diagnostics: &Diagnostics) {
        let step = history.entered() as usize;
        self.write(|file| {
            for (name, value) in &diagnostics.scalars {
                file.summary(scalar(&format!("strategy/{name}"), *value as f32), step)?;
            }
            for (decision, counts) in &diagnostics.choices {
                file.summary(choices(&format!("choices/{decision}"), counts), step)?;
            }
            file.flush()
        });
    }

    fn end(&mut self, _history: &History) {
        self.write(EventFile::flush);
    }
}

/// A histogram with one bucket for each choice.
fn choices(tag: &str, counts: &[u64]) -> Summary {
    let counts: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
    let limits: Vec<f64> = (0..counts.len()).map(|choice| choice as f64 + 0.5).collect();
    let moment = |power: i32| counts.iter().enumerate().map(|(c, n)| n * (c as f64).powi(power)).sum::<f64>();
    let taken = || counts.iter().enumerate().filter(|(_, count)| **count > 0.0).map(|(choice, _)| choice as f64);
    let (min, max) = (taken().next().unwrap_or(0.0), taken().next_back().unwrap_or(0.0));
    histogram_raw(tag, min, max, moment(0), moment(1), moment(2), &limits, &counts)
}
