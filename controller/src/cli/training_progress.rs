//! The progress of one training in the terminal: a bar, or lines where there is none.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use child::train::{EpochReport, Observer, StepReport, TrainingConfig};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::terminal::{note, say};

/// Shows each step within an epoch on standard error, and prints each epoch to standard output.
pub(super) struct TrainingProgress {
    bar: ProgressBar,
    /// Time of the last line about a step.
    last: Instant,
    began: Instant,
    images: usize,
    batch_size: usize,
    epochs: usize,
}

impl TrainingProgress {
    /// Time between two lines about steps where there is no bar.
    const INTERVAL: Duration = Duration::from_secs(10);

    /// The progress of a training on a number of images.
    pub fn new(config: &TrainingConfig, images: usize) -> Self {
        let steps = config.epochs * config.steps_per_epoch(images);
        let bar = ProgressBar::new(steps as u64);
        let template = "{bar:24} {msg} ({elapsed})";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("the first step");
        bar.enable_steady_tick(Duration::from_millis(250));
        let (batch_size, epochs) = (config.batch_size, config.epochs);
        Self { bar, last: Instant::now(), began: Instant::now(), images, batch_size, epochs }
    }

    /// Images a second since the begin, and the time left, after a number of images.
    fn pace(&self, images: usize) -> String {
        let elapsed = self.began.elapsed();
        let left = elapsed.div_f64(images.max(1) as f64).mul_f64((self.epochs * self.images - images) as f64);
        format!("{:.0} images/s, ETA {}", images as f64 / elapsed.as_secs_f64(), HumanDuration(left))
    }
}

impl Observer for TrainingProgress {
    fn step(&mut self, report: &StepReport) {
        let StepReport { epoch, epochs, step, steps } = *report;
        let images = (epoch - 1) * self.images + (step * self.batch_size).min(self.images);
        let text = || format!("epoch {epoch}/{epochs}, step {step}/{steps}: {}", self.pace(images));
        self.bar.inc(1);
        if !self.bar.is_hidden() {
            self.bar.set_message(text());
        } else if self.last.elapsed() >= Self::INTERVAL {
            note(text());
            self.last = Instant::now();
        }
    }

    fn epoch(&mut self, report: &EpochReport) -> ControlFlow<()> {
        let EpochReport { epoch, epochs, loss, accuracy } = *report;
        let accuracy = accuracy.map_or_else(String::new, |share| format!("accuracy {:.2} %, ", 100.0 * share));
        let pace = self.pace(epoch * self.images);
        // Training goes on if standard output is closed.
        self.bar.suspend(|| {
            let _ = say(format_args!("epoch {epoch}/{epochs}: loss {loss:.4}, {accuracy}{pace}"));
        });
        self.last = Instant::now();
        ControlFlow::Continue(())
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
