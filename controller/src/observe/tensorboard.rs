//! TensorBoard events.
//!
//! | tag | step | meaning |
//! |---|---|---|
//! | `front/hypervolume` | evaluation | share of the box from 0 to the reference point |
//! | `by_epochs/hypervolume` | epochs of all trainings | the same |
//! | `front/size` | evaluation | members of the front |
//! | `front_TARGET/hypervolume`, `front_TARGET/size` | evaluation | the same of one of several targets; `front` has their mean share and all members |
//! | `best/OBJECTIVE` | evaluation | least value so far |
//! | `child/accuracy`, `child/time_ms`, `child/energy_mj` | evaluation | results of that child |
//! | `strategy/…` | evaluations so far | diagnostics of a round: loss, entropy, gradient norm, reward |
//! | `strategy/own_seconds` | evaluations so far | time of the round without waiting for evaluations |
//! | `choices/DECISION/CHOICE` | evaluations so far | share of the round's proposals with this choice |
//!
//! In addition, the HParams page has the settings of the run and its final hypervolume, and the Text page its experiment
//! and the reference point of the hypervolume.

use std::io;
use std::path::Path;

use hardware::log::Row;
use tensorboard_rs::summary::scalar;

use super::Observer;
use super::about::{About, RESULT, end, text};
use super::event_file::EventFile;
use super::now_s;
use crate::evaluate::Workload;
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
    pub fn new(folder: &Path, about: &About) -> Self {
        let mut this = Self { file: EventFile::create(folder).inspect_err(warn).ok() };
        this.write(|file| {
            let summaries = about.begin(now_s()).map_err(io::Error::other)?;
            summaries.into_iter().try_for_each(|summary| file.summary(summary, 0))?;
            file.flush()
        });
        this
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
        let number = row.evaluation as usize;
        // Evaluations are counted from 0, as their numbers are.
        let step = history.ended().saturating_sub(1) as usize;
        let child = [("accuracy", row.accuracy), ("time_ms", row.time_ms), ("energy_mj", row.energy_mj)];
        self.write(|file| {
            let of = row.target.as_ref().map_or_else(String::new, |target| format!("{target}."));
            for (name, value) in child {
                if let Some(value) = value {
                    file.summary(scalar(&format!("child/{of}{name}"), value as f32), number)?;
                }
            }
            let Some(_) = row.accuracy else { return file.flush() };
            if let Some(share) = history.hypervolume_share() {
                file.summary(scalar(RESULT, share as f32), step)?;
                // Some logs do not say how long their networks were trained.
                if history.epochs() > 0 {
                    file.summary(scalar("by_epochs/hypervolume", share as f32), history.epochs() as usize)?;
                }
            }
            file.summary(scalar("front/size", history.front().count() as f32), step)?;
            let targets = history.targets();
            for (index, target) in targets.iter().enumerate().filter(|_| targets.are_several()) {
                if let Some(share) = history.share(index) {
                    file.summary(scalar(&format!("front_{}/hypervolume", target.name), share as f32), step)?;
                }
                let size = history.front_of(index).count();
                file.summary(scalar(&format!("front_{}/size", target.name), size as f32), step)?;
            }
            for (index, column) in targets.columns().iter().enumerate() {
                let best = history.evaluations().iter().filter_map(|evaluation| evaluation.values[index]);
                if let Some(best) = best.min_by(f64::total_cmp) {
                    file.summary(scalar(&format!("best/{}", column.name), best as f32), step)?;
                }
            }
            // Before the next checkpoint: a resumed search does not enter its evaluations again.
            file.flush()
        });
    }

    fn workload(&mut self, workload: &Workload, history: &History) {
        let step = history.entered() as usize;
        let Workload { workers, under_way, waiting, wait_seconds, busy_share, .. } = workload;
        let counts = [("workers", workers), ("jobs_under_way", under_way), ("jobs_waiting", waiting)];
        let counts = counts.map(|(name, count)| (name, Some(*count as f64)));
        self.write(|file| {
            for (name, value) in
                counts.into_iter().chain([("wait_seconds", *wait_seconds), ("busy_share", *busy_share)])
            {
                if let Some(value) = value {
                    file.summary(scalar(&format!("cluster/{name}"), value as f32), step)?;
                }
            }
            file.flush()
        });
    }

    fn learnt(&mut self, history: &History, diagnostics: &Diagnostics) {
        let step = history.ended() as usize;
        self.write(|file| {
            for (name, value) in &diagnostics.scalars {
                file.summary(scalar(&format!("strategy/{name}"), *value as f32), step)?;
            }
            for (decision, counts) in &diagnostics.choices {
                let all: u64 = counts.iter().map(|(_, count)| count).sum();
                for (choice, count) in counts {
                    let share = *count as f32 / all.max(1) as f32;
                    file.summary(scalar(&format!("choices/{decision}/{choice}"), share), step)?;
                }
            }
            file.flush()
        });
    }

    fn end(&mut self, history: &History) {
        self.write(|file| {
            for (index, target) in history.targets().iter().enumerate() {
                if let Some(reference) = history.reference(index).in_words(&target.objectives) {
                    let of = if target.name.is_empty() { String::new() } else { format!("/{}", target.name) };
                    file.summary(text(&format!("reference{of}"), &reference), history.ended() as usize)?;
                }
            }
            file.summary(end(now_s()).map_err(io::Error::other)?, history.ended() as usize)?;
            file.flush()
        });
    }
}
