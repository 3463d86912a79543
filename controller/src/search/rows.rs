//! Rows: from the end of a job to the journal and the history.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context as _;
use hardware::log::Row;

use super::workers::Event;
use super::{Search, State};
use crate::evaluate::Finished;
use crate::history::{Evaluation, History, Job, Status, Work, values_of};
use crate::problem::Problem;
use crate::run::write_atomically;
use crate::target::Target;

/// What changes in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A job has ended, and its row is entered.
    Entered,
    /// The stop of the search has ended a job.
    Stopped,
    /// More or fewer jobs can be under way.
    Capacity,
}

impl Search {
    /// Waits until something changes, and enters the row of a job that has ended; `None` if no job is running.
    pub(super) async fn next(&mut self, state: &mut State) -> anyhow::Result<Option<Next>> {
        loop {
            if self.stop.asked() && self.workers.running().next().is_none() {
                return Ok(None);
            }
            let problem = &self.problem;
            let text = |job: &Job| Ok(problem.space().format(&job.candidate.architecture)?);
            let event = state.clock.wait(self.workers.next(text)).await?;
            match event {
                None => return Ok(None),
                Some(Event::Activity(activity)) => {
                    self.observers.iter_mut().for_each(|observer| observer.activity(&activity));
                }
                Some(Event::Ended(_, None)) => return Ok(Some(Next::Stopped)),
                Some(Event::Capacity) => return Ok(Some(Next::Capacity)),
                Some(Event::Ended(job, Some(finished))) => {
                    let row = self.keep(state, &job, finished)?;
                    self.workers.recorded(&job);
                    self.enter(state, &row)?;
                    self.break_off_hopeless(state, &row)?;
                    return Ok(Some(Next::Entered));
                }
            }
        }
    }

    /// Writes the end of a job to the disk, unless the journal of a resumed run has it: the model first, so that every row
    /// of the front has one.
    fn keep(&mut self, state: &State, job: &Job, finished: Finished) -> anyhow::Result<Row> {
        let Finished { row, model } = finished;
        if let Some(row) = self.storage.journal.recover(job, self.problem.targets(), &row.architecture)? {
            return Ok(row);
        }
        if let Some(model) = model {
            let path = self.storage.models.join(format!("{}.onnx", row.evaluation));
            write_atomically(&path, &model)?;
        }
        let row = judged(&self.problem, &state.history, job, row)?;
        self.storage.journal.record(&row)
    }

    /// Enters a row into the history.
    pub(super) fn enter(&mut self, state: &mut State, row: &Row) -> anyhow::Result<()> {
        state.history.enter(&self.problem, row)?;
        self.observers.iter_mut().for_each(|observer| observer.entered(row, &state.history));
        if self.plan.remeasure == 0 && row.accuracy.is_some() {
            remove_dominated(&self.storage.models, &state.history)?;
        }
        Ok(())
    }

    /// Breaks off full trainings that have little chance to enter the front, now that it may have moved.
    fn break_off_hopeless(&mut self, state: &State, row: &Row) -> anyhow::Result<()> {
        let fidelity = self.problem.fidelity();
        if fidelity.least_chance > 0.0 && row.epochs.is_none_or(|epochs| epochs >= fidelity.full_epochs) {
            for number in self.strategy.hopeless(&self.problem, &state.history)? {
                self.workers.break_off(number);
            }
        }
        Ok(())
    }
}

/// A row with its status: a measurement that breaks a bound ends the evaluation, and a repeated one is an evaluation of its
/// own.
fn judged(problem: &Problem, history: &History, job: &Job, row: Row) -> anyhow::Result<Row> {
    let (Work::Measure { target }, targets) = (job.work, problem.targets()) else { return Ok(row) };
    let name = &targets.get(target).name;
    let row = Row { target: targets.are_several().then(|| name.clone()), ..row };
    if row.status != Status::Measured {
        return Ok(row);
    }
    let is_repeat = |known: &Evaluation| known.status == Status::Ok && known.is_tried_on(target);
    if history.known(&job.candidate.key).is_some_and(is_repeat) {
        return Ok(Row { status: Status::Ok, ..row });
    }
    let cost = problem.graph(&job.candidate.architecture)?.pruned().cost();
    let values = values_of(targets, target, &row, &cost);
    let mut measured = targets.get(target).objectives.iter().zip(&values);
    if let Some((missing, _)) = measured.find(|(one, value)| one.depends_on_device() && value.is_none()) {
        let message =
            row.message.iter().fold(format!("{missing} is missing"), |text, warnings| format!("{text}; {warnings}"));
        return Ok(Row { status: Status::Failed, message: Some(message), ..row });
    }
    let broken = broken_bounds(targets.get(target), &values);
    if broken.is_empty() {
        return Ok(row);
    }
    // The reason comes before the warnings of the measurement.
    let reason = match targets.are_several() {
        true => format!("beyond the bounds of {name}: {}", broken.join(", ")),
        false => format!("not trained: {}", broken.join(", ")),
    };
    let message = row.message.iter().fold(reason, |reason, warnings| format!("{reason}; {warnings}"));
    Ok(Row { status: Status::Bounded, message: Some(message), ..row })
}

/// Each broken bound as text, such as `time_ms 5.2 is above 4`.
fn broken_bounds(target: &Target, measured: &[Option<f64>]) -> Vec<String> {
    let both = target.objectives.iter().zip(measured);
    both.filter_map(|(objective, value)| {
        let (bound, value) = (target.bounds.get(objective)?, (*value)?);
        let is_broken = target.bounds.violation(objective, value) > 0.0;
        is_broken.then(|| format!("{objective} {value} is above its bound {bound}"))
    })
    .collect()
}

/// Removes the models of evaluations that are not on the front.
pub(super) fn remove_dominated(models: &Path, history: &History) -> anyhow::Result<()> {
    let front: HashSet<u64> = history.front().map(|evaluation| evaluation.number).collect();
    let entries = std::fs::read_dir(models).with_context(|| format!("cannot read {}", models.display()))?;
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        // A model is written before its row is entered.
        let is_entered = |number: &u64| history.get(*number).is_some_and(|known| known.status.is_end());
        if number.filter(is_entered).is_some_and(|number| !front.contains(&number)) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
