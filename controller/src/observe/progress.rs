//! Progress in the terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, Instant};

use hardware::log::Row;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::Observer;
use crate::evaluate::{Activity, Stage, Workload};
use crate::history::History;
use crate::plan::{Plan, Position};
use crate::target::Target;
use crate::terminal::note;

/// A bar with ETA, front and running evaluations. Without a terminal, a line after a row, at most every few seconds, and a
/// line a minute while a job goes on.
pub struct Progress {
    bar: ProgressBar,
    /// The plan of the search, once it has begun.
    plan: Option<Plan>,
    unit: &'static str,
    running: BTreeMap<u64, Stage>,
    /// Devices that have measured: they are named where there are several.
    devices: BTreeSet<String>,
    front: String,
    /// Without a terminal.
    lines: Option<Lines>,
    /// The workers of a cluster, whose single jobs are too many to show.
    workers: Option<String>,
    /// Whether only waits are shown.
    quiet: bool,
    /// By evaluation, when a wait was last printed.
    waits: BTreeMap<u64, Instant>,
}

/// Lines in place of a bar.
struct Lines {
    began: Instant,
    /// Position at that time.
    position: u64,
    /// Time of the latest line.
    last: Option<Instant>,
}

impl Progress {
    /// Progress on standard error; `quiet` shows only that a device is waited for.
    pub fn new(quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let lines = bar.is_hidden().then(|| Lines { began: Instant::now(), position: 0, last: None });
        Self {
            bar,
            plan: None,
            unit: "",
            running: BTreeMap::new(),
            devices: BTreeSet::new(),
            front: String::new(),
            workers: None,
            lines,
            quiet,
            waits: BTreeMap::new(),
        }
    }

    /// Begins to count, from what is done already.
    fn begin(&mut self, position: Position) {
        let Position { done, all, unit } = position;
        self.unit = unit;
        let counts = if all.is_some() { "{pos}/{len}" } else { "{pos}" };
        let template = format!("{{bar:24}} {counts} {unit}, ETA {{left}}, {{msg}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.set_style(style.with_key("left", write_left));
        self.set(position);
        self.bar.reset_eta();
        if let Some(lines) = &mut self.lines {
            *lines = Lines { began: Instant::now(), position: done, last: lines.last };
        }
    }

    fn set(&self, Position { done, all, .. }: Position) {
        if let Some(all) = all {
            self.bar.set_length(all);
        }
        self.bar.set_position(done);
    }

    /// The front, the workers, and what is under way.
    fn message(&self) -> String {
        let mut parts = vec![self.front.clone()];
        parts.extend(self.workers.clone());
        let is_single = |stage: &Stage| self.workers.is_none() || matches!(stage, Stage::Away(_));
        for (number, stage) in self.running.iter().filter(|(_, stage)| is_single(stage)) {
            match stage {
                Stage::Measuring { device: Some(device) } if self.devices.len() > 1 => {
                    parts.push(format!("{device} measures #{number}"));
                }
                Stage::Measuring { .. } | Stage::Measured(_) => parts.push(format!("measuring #{number}")),
                Stage::Lost { .. } => parts.push(format!("#{number} waits for a device")),
                Stage::Training { epoch, epochs, .. } => parts.push(format!("training #{number}: {epoch}/{epochs}")),
                Stage::Away(wait) => parts.push(wait.to_string()),
                Stage::Waiting => parts.push(format!("#{number} waits for a trainer")),
            }
        }
        parts.join(", ")
    }

    fn show(&self) {
        self.bar.set_message(self.message());
    }

    /// Time between two lines after rows.
    const INTERVAL: Duration = Duration::from_secs(10);
    /// The same while jobs go on.
    const LONG_INTERVAL: Duration = Duration::from_secs(60);

    /// Prints a line, if there is no bar.
    fn print_line(&mut self) {
        if self.quiet {
            return;
        }
        let (done, all, message) = (self.bar.position(), self.bar.length(), self.message());
        let Some(lines) = self.lines.as_mut() else { return };
        lines.last = Some(Instant::now());
        let unit = self.unit;
        let Some(all) = all else { return note(format_args!("{done} {unit}, {message}")) };
        let new = done.saturating_sub(lines.position);
        let left = lines.began.elapsed().div_f64(new.max(1) as f64).mul_f64(all.saturating_sub(done) as f64);
        let left = if new == 0 { "unknown".to_owned() } else { HumanDuration(left).to_string() };
        note(format_args!("{done}/{all} {unit}, ETA {left}, {message}"));
    }
}

impl Progress {
    /// Prints the beginning and the end of a wait; without a bar, which shows it, also a line every few seconds.
    fn print_wait(&mut self, Activity { number, stage }: &Activity) {
        match stage {
            Stage::Away(wait) => {
                let is_shown = |last: &Instant| !self.bar.is_hidden() || last.elapsed() < Self::INTERVAL;
                if !self.waits.get(number).is_some_and(is_shown) {
                    self.waits.insert(*number, Instant::now());
                    self.bar.suspend(|| note(wait));
                }
            }
            _ => {
                if self.waits.remove(number).is_some() {
                    self.bar.suspend(|| note(format_args!("going on with evaluation {number}")));
                }
            }
        }
    }
}

impl Observer for Progress {
    fn start(&mut self, plan: &Plan, history: &History) {
        self.plan = Some(*plan);
        self.begin(plan.position(history));
        self.bar.enable_steady_tick(Duration::from_millis(250));
        self.front = describe(history);
        self.show();
    }

    fn activity(&mut self, activity: &Activity) {
        // A try in the middle of a wait says nothing yet.
        let tries = matches!(activity.stage, Stage::Measuring { .. }) && self.waits.contains_key(&activity.number);
        if let Stage::Measuring { device: Some(device) } = &activity.stage {
            self.devices.insert(device.clone());
        }
        if !tries {
            self.print_wait(activity);
            self.running.insert(activity.number, activity.stage.clone());
        }
        self.show();
        let since = self.lines.as_ref().map(|lines| lines.last.unwrap_or(lines.began).elapsed());
        if since.is_some_and(|since| since >= Self::LONG_INTERVAL) {
            self.print_line();
        }
    }

    fn workload(&mut self, workload: &Workload, _history: &History) {
        let Workload { workers, under_way, waiting, .. } = workload;
        let plural = if *workers == 1 { "" } else { "s" };
        self.workers = Some(format!("{workers} worker{plural}: {under_way} jobs under way, {waiting} waiting"));
        self.show();
    }

    fn entered(&mut self, row: &Row, history: &History) {
        self.running.remove(&row.evaluation);
        self.waits.remove(&row.evaluation);
        if let Some(position) = self.plan.map(|plan| plan.position(history)) {
            if position.unit == self.unit {
                self.set(position);
            } else {
                self.begin(position);
            }
        }
        self.front = describe(history);
        self.show();
        let last = self.lines.as_ref().and_then(|lines| lines.last);
        if last.is_none_or(|last| last.elapsed() >= Self::INTERVAL) {
            self.print_line();
        }
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
    let targets = history.targets();
    match history.hypervolume_share() {
        Some(_) if targets.are_several() => {
            let on = |(index, target): (usize, &Target)| {
                history.share(index).map(|share| format!("{} {share:.4}", target.name))
            };
            let searched = targets.searched().map(|index| (index, targets.get(index)));
            let shares: Vec<String> = searched.filter_map(on).collect();
            format!("fronts {front}, hypervolume {}", shares.join(", "))
        }
        Some(share) => format!("front {front}, hypervolume {share:.4}"),
        None => format!("front {front}"),
    }
}
