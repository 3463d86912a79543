//! Progress of measurements, on standard error.

use std::io::{IsTerminal as _, stderr};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use hardware::Plan;
use hardware::waiting::{Waiting, observed};
use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::note;

/// Time after which work that has not ended is reported without a terminal, and then time between two reports.
const FIRST: Duration = Duration::from_secs(2);
const NEXT: Duration = Duration::from_secs(10);

/// A line that moves on a terminal, and lines elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
    models: usize,
    /// Models that were measured, and how long they took.
    done: u32,
    spent: Duration,
}

impl Progress {
    pub fn new(models: usize) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        Self { bar, models, done: 0, spent: Duration::ZERO }
    }

    /// Measures one model.
    pub fn model<T>(&mut self, name: &str, plan: &Plan, act: impl FnOnce() -> T) -> T {
        let number = self.done as usize + 1;
        let place = if self.models > 1 { format!("{number} of {}: ", self.models) } else { String::new() };
        let left = match self.spent.checked_div(self.done) {
            Some(each) => {
                format!("about {:.0} s left", (each * (self.models + 1 - number) as u32).as_secs_f64().ceil())
            }
            None => format!("runs for up to {:.0} s", (plan.warm_up + plan.time_limit).as_secs_f64().ceil()),
        };
        let begun = Instant::now();
        let result = self.during(&format!("measuring {place}{name}, {left}"), act);
        self.done += 1;
        self.spent += begun.elapsed();
        result
    }

    /// Does something that may take a while.
    pub fn during<T>(&mut self, what: &str, act: impl FnOnce() -> T) -> T {
        self.bar.reset_elapsed();
        self.bar.set_message(what.to_owned());
        let observer = observer(self.bar.clone(), what.to_owned());
        let act = || observed(observer, act);
        if stderr().is_terminal() {
            self.bar.enable_steady_tick(Duration::from_millis(100));
            return act();
        }
        let (ended, end) = channel::<()>();
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut wait = FIRST;
                while end.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    note(format_args!("{what} ({:.0} s so far)", begun.elapsed().as_secs_f64()));
                    wait = NEXT;
                }
            });
            let result = act();
            drop(ended);
            result
        })
    }
}

/// Shows the waits and further tries of a device.
fn observer(bar: ProgressBar, what: String) -> impl FnMut(&Waiting) -> bool {
    let mut last: Option<(String, Instant)> = None;
    move |Waiting { reason, waited, patience }| {
        let times = if patience.is_zero() {
            String::new()
        } else {
            format!(" ({:.0} s of {:.0})", waited.as_secs_f64(), patience.as_secs_f64())
        };
        let text = format!("{what}: {reason}{times}");
        let is_due = last.as_ref().is_none_or(|(before, at)| before != reason || at.elapsed() >= NEXT);
        if stderr().is_terminal() {
            bar.set_message(text);
        } else if is_due {
            note(text);
            last = Some((reason.clone(), Instant::now()));
        }
        true
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
