//! One round: all of its networks are evaluated concurrently.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use hardware::log::Row;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::{Search, State};
use crate::evaluate::{Activity, Finished, Job};
use crate::history::{Candidate, History};
use crate::run::write_atomically;

/// An event during the evaluation of a round.
#[expect(clippy::large_enum_variant, reason = "only one exists at a time, and only briefly")]
enum Event {
    Activity(Activity),
    Ended(Result<Option<Finished>, JoinError>),
}

impl Search {
    /// Evaluates the networks of a round, or measures them again, and enters them into the history in their order.
    /// Returns false if the search was stopped before all were evaluated.
    pub(super) async fn evaluate(
        &mut self,
        state: &mut State,
        networks: Vec<Candidate>,
        remeasure: bool,
    ) -> anyhow::Result<bool> {
        let first = state.history.entered();
        let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
        let mut running = JoinSet::new();
        let (activity, mut activities) = mpsc::unbounded_channel();
        for (number, candidate) in (first..).zip(networks) {
            let text = self.problem.space().format(&candidate.architecture)?;
            if let Some(row) = self.storage.journal.recover(number, &text)? {
                rows.insert(number, row);
                continue;
            }
            let job = Job { number, candidate, text, remeasure, activity: activity.clone() };
            running.spawn(Arc::clone(&self.evaluator).evaluate(job));
        }
        drop(activity);
        let mut whole = true;
        loop {
            let next = async {
                tokio::select! {
                    // The activities of an evaluation come before its end.
                    biased;
                    Some(activity) = activities.recv() => Some(Event::Activity(activity)),
                    ended = running.join_next() => ended.map(Event::Ended),
                }
            };
            match state.clock.wait(next).await {
                None => break,
                Some(Event::Activity(activity)) => {
                    self.observers.iter_mut().for_each(|observer| observer.activity(&activity));
                }
                Some(Event::Ended(ended)) => match ended.context("an evaluation broke down")? {
                    None => whole = false,
                    Some(finished) => {
                        let row = self.keep(finished)?;
                        self.observers.iter_mut().for_each(|observer| observer.evaluated(&row));
                        rows.insert(row.evaluation, row);
                    }
                },
            }
        }
        if !whole {
            return Ok(false);
        }
        for row in rows.values() {
            state.history.enter(&self.problem, row)?;
            self.observers.iter_mut().for_each(|observer| observer.entered(row, &state.history));
        }
        if self.plan.remeasure == 0 {
            remove_dominated(&self.storage.models, &state.history)?;
        }
        Ok(true)
    }

    /// Writes an evaluation to the disk: the model first, so that every row of the front has one.
    fn keep(&mut self, finished: Finished) -> anyhow::Result<Row> {
        let Finished { row, model } = finished;
        if let Some(model) = model {
            let path = self.storage.models.join(format!("{}.onnx", row.evaluation));
            write_atomically(&path, &model)?;
        }
        self.storage.journal.record(&row)?;
        Ok(row)
    }
}

pub(super) fn remove_dominated(models: &Path, history: &History) -> anyhow::Result<()> {
    let front: HashSet<u64> = history.front().map(|evaluation| evaluation.number).collect();
    let entries = std::fs::read_dir(models).with_context(|| format!("cannot read {}", models.display()))?;
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if number.is_some_and(|number| !front.contains(&number)) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
