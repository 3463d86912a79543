//! Loading the images of an experiment, with the progress in the terminal: a bar, or lines where there is none.

use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::config::Experiment;
use crate::evaluate::TrainingSet;
use crate::terminal::note;

/// Loads the images of an experiment; shows the progress if that takes more than two seconds, unless `quiet`.
pub(super) fn load_images(experiment: &Experiment, quiet: bool) -> Result<TrainingSet, child::Error> {
    let mut reading = Reading::new();
    TrainingSet::load(&experiment.data, experiment.search.seed, &mut |done, all| {
        if !quiet {
            reading.show(done, all);
        }
    })
}

/// The progress of reading image files.
struct Reading {
    /// `None` as long as nothing is shown.
    bar: Option<ProgressBar>,
    began: Instant,
    done: usize,
    /// Time of the last line.
    last: Option<Instant>,
}

impl Reading {
    /// Longest time without a word.
    const SILENCE: Duration = Duration::from_secs(2);
    /// Time between two lines where there is no bar.
    const INTERVAL: Duration = Duration::from_secs(10);

    fn new() -> Self {
        Self { bar: None, began: Instant::now(), done: 0, last: None }
    }

    fn show(&mut self, done: usize, all: usize) {
        // Files that are read again have their own pace.
        if done < self.done {
            self.began = Instant::now();
        }
        self.done = done;
        let elapsed = self.began.elapsed();
        if self.bar.is_none() && elapsed < Self::SILENCE {
            return;
        }
        let text = || {
            let left = elapsed.mul_f64(all.saturating_sub(done) as f64 / done.max(1) as f64);
            format!("reading images: {done} of {all}, ETA {}", HumanDuration(left))
        };
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(all as u64);
            let style = ProgressStyle::with_template("{bar:24} {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_position(done as u64);
        if !bar.is_hidden() {
            bar.set_message(text());
        } else if self.last.is_none_or(|last| last.elapsed() >= Self::INTERVAL) {
            self.last = Some(Instant::now());
            note(text());
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
