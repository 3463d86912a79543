//! All evaluations so far.

mod evaluation;
mod imports;
mod job;
mod rows;
mod selection;

use std::collections::{HashMap, HashSet};
use std::slice;
use std::sync::Arc;

use anyhow::{Result, ensure};
use child::graph::CanonicalKey;
pub use evaluation::{Candidate, Evaluation};
use hardware::log::Joined;
pub use hardware::log::Status;
pub use imports::Import;
use imports::Imports;
pub use job::{Job, Work};
pub(crate) use rows::{candidate_of, evaluation_of, values_of};

use crate::objective::{Bounds, Objectives};
use crate::pareto::{Archive, ReferencePoint};
use crate::target::{Target, Targets};

/// The evaluations of a search in their order, with the jobs under way, and with the Pareto front and its hypervolume kept
/// up to date.
///
/// An evaluation grows job by job: measured, trained for a few epochs, trained in full. A network may be evaluated several
/// times; everything here follows the mean of its measurements. Each target has a front, of all evaluations that have all of
/// its values. An evaluation beyond a bound can be on it, but adds nothing to the hypervolume, because the reference point is
/// that bound.
#[derive(Debug, Clone)]
pub struct History {
    targets: Arc<Targets>,
    /// One for each network: its evaluations merged.
    evaluations: Vec<Evaluation>,
    /// By place in `evaluations`, the single evaluations of networks that have several.
    merged: HashMap<usize, Vec<Evaluation>>,
    by_key: HashMap<CanonicalKey, usize>,
    /// By number of an evaluation, the place of its network in `evaluations`.
    by_number: HashMap<u64, usize>,
    /// Number of networks by status.
    by_status: HashMap<Status, u64>,
    /// By number of an evaluation, its rows as one.
    joined: HashMap<u64, Joined>,
    /// Jobs that have begun, or wait for a device or a trainer.
    pending: Vec<Job>,
    /// Rows entered.
    rows: u64,
    /// Epochs trained for these rows.
    epochs: u64,
    /// By target.
    fronts: Vec<Front>,
    imports: Imports,
    /// Number of evaluations of networks that had only failed before.
    retries: u64,
    /// Whether networks without a path from the image to the logits are proposed, as versions did whose journal has such
    /// a row.
    pub(crate) admits_disconnected: bool,
}

/// The front of a target.
#[derive(Debug, Clone)]
struct Front {
    /// The non-dominated vectors of values.
    archive: Archive,
    /// The worst corner of the box for the hypervolume.
    reference: ReferencePoint,
    share: Option<f64>,
}

impl Front {
    fn new(target: &Target) -> Self {
        let Target { objectives, bounds, reference, .. } = target;
        let reference = ReferencePoint::new(objectives, bounds, reference, ReferencePoint::WARM_UP);
        Self { archive: Archive::default(), share: reference.share::<Vec<f64>>(&[]), reference }
    }
}

impl History {
    /// An empty history of a search for these objectives on one target.
    pub fn new(objectives: Objectives, bounds: Bounds) -> Self {
        Self::of(Arc::new(Targets::one(objectives, bounds)))
    }

    /// An empty history of a search for some targets.
    pub fn of(targets: Arc<Targets>) -> Self {
        Self {
            fronts: targets.iter().map(Front::new).collect(),
            targets,
            evaluations: Vec::new(),
            merged: HashMap::new(),
            by_key: HashMap::new(),
            by_number: HashMap::new(),
            by_status: HashMap::new(),
            joined: HashMap::new(),
            pending: Vec::new(),
            rows: 0,
            epochs: 0,
            imports: Imports::default(),
            retries: 0,
            admits_disconnected: false,
        }
    }

    /// Most networks whose imports the surrogate learns from.
    pub(crate) const MOST_IMPORTED: usize = Imports::MOST;

    /// Replaces the measurements imported from other logs. Only the surrogate learns from them:
    /// they are not evaluations of this search.
    ///
    /// # Errors
    /// If an objective cannot have its value, or an evaluation has too few or too many values. The history is unchanged
    /// then.
    pub fn import(&mut self, imports: &[Import]) -> Result<()> {
        imports.iter().try_for_each(|import| self.check_values(&import.evaluation))?;
        self.imports = Imports::new(imports);
        Ok(())
    }

    /// The imports that are known at this moment, of networks that were not evaluated here: one evaluation for each
    /// network, in which any value may be missing.
    pub(crate) fn imported(&self) -> impl Iterator<Item = &Evaluation> {
        let imported = self.imports.known(self.entered()).iter();
        imported.filter(|evaluation| !self.by_key.contains_key(&evaluation.key))
    }

    /// The training set of the surrogate: the [evaluations](Self::evaluations), then the [imports](Self::imported) of
    /// other networks.
    pub(crate) fn training_set(&self) -> Vec<&Evaluation> {
        self.evaluations.iter().chain(self.imported()).collect()
    }

    /// A subset of at most `most` of the [training set](Self::training_set). Of each of two parts, the trained networks and
    /// those that are only measured, half are the best, those within the bounds first; a quarter are the latest; the rest
    /// are spread over all others. Measured ones leave out first. The whole set in its order if it is small enough.
    pub(crate) fn training_subset(&self, most: usize) -> Vec<&Evaluation> {
        /// One of so many may be only measured, where there are too many of both.
        const MEASURED: usize = 4;
        let keeps_bounds = |evaluation: &Evaluation| self.targets.keeps_some_bounds(&evaluation.values);
        let is_trained = |evaluation: &&Evaluation| {
            let is_measured = matches!(evaluation.status, Status::Measured | Status::Bounded);
            !is_measured || evaluation.short_error.is_some()
        };
        let all = self.training_set();
        let ours = self.evaluations.iter().filter(is_trained).count();
        let (trained, measured): (Vec<_>, Vec<_>) = all.iter().copied().partition(is_trained);
        if all.len() <= most || measured.is_empty() {
            return selection::subset(&all, 0..self.evaluations.len(), most, keeps_bounds);
        }
        let room = most.saturating_sub(measured.len()).max(most - most / MEASURED);
        let mut subset = selection::subset(&trained, 0..ours, room, keeps_bounds);
        let (ours, left) = (self.evaluations.len() - ours, most - subset.len());
        subset.extend(selection::subset(&measured, 0..ours, left, keeps_bounds));
        subset
    }

    /// Notes a job that has begun, or waits for a device or a trainer, until its row is entered.
    pub fn begin(&mut self, job: Job) {
        self.pending.push(job);
    }

    /// Jobs that have begun, or wait for a device or a trainer.
    pub fn pending(&self) -> &[Job] {
        &self.pending
    }

    /// Number of networks whose measurements have begun, or wait for a device.
    pub(crate) fn networks_to_measure(&self) -> usize {
        let measured = self.pending.iter().filter(|job| job.work.is_measurement());
        measured.map(|job| job.number).collect::<HashSet<_>>().len()
    }

    /// The job of a network that has begun, or waits.
    pub fn pending_job(&self, key: &CanonicalKey) -> Option<&Job> {
        self.pending.iter().find(|job| job.candidate.key == *key)
    }

    /// Whether a network was evaluated in part or in full, or has a job.
    pub fn is_taken(&self, key: &CanonicalKey) -> bool {
        self.by_key.contains_key(key) || self.pending_job(key).is_some()
    }

    /// The number of the next new evaluation.
    pub fn next_number(&self) -> u64 {
        let numbers = self.by_number.keys().copied().chain(self.pending.iter().map(|job| job.number));
        numbers.max().map_or(0, |last| last + 1)
    }

    /// Enters an evaluation, or what is known of it now, in place of what was known before.
    ///
    /// A further evaluation of a known network is merged with those before: each value becomes the mean over the
    /// successful evaluations, and the front is rebuilt if that changes it. A failed one changes nothing.
    ///
    /// # Errors
    /// If an objective cannot have its value, there are too few or too many values, or the number is that of another
    /// network. The history is unchanged then.
    pub fn push(&mut self, evaluation: Evaluation) -> Result<()> {
        self.check_values(&evaluation)?;
        let (number, key) = (evaluation.number, evaluation.key);
        let index = self.by_key.get(&key).copied().unwrap_or(self.evaluations.len());
        let is_known = self.by_number.get(&number);
        ensure!(is_known.is_none_or(|known| *known == index), "there are two evaluations with number {number}");
        let is_new = self.by_number.insert(number, index).is_none();
        self.rows += 1;
        self.by_key.insert(key, index);
        let known = self.evaluations.get(index);
        let complete = |known: Option<&Evaluation>| -> Vec<Option<Vec<f64>>> {
            let on = |target| self.targets.complete(target, &known?.values);
            (0..self.targets.len()).map(on).collect()
        };
        let before = complete(known);
        let status = known.map(|known| known.status);
        self.retries += u64::from(is_new && known.is_some_and(|before| before.status == Status::Failed));
        if index == self.evaluations.len() {
            self.evaluations.push(evaluation);
        } else if is_new || self.merged.contains_key(&index) {
            let several = self.merged.entry(index).or_insert_with(|| vec![self.evaluations[index].clone()]);
            match several.iter_mut().find(|other| other.number == number) {
                Some(same) => *same = evaluation,
                None => several.push(evaluation),
            }
            if let Some(merged) = Evaluation::merged(several) {
                self.evaluations[index] = merged;
            }
        } else {
            self.evaluations[index] = evaluation;
        }
        if let Some(count) = status.and_then(|status| self.by_status.get_mut(&status)) {
            *count -= 1;
        }
        *self.by_status.entry(self.evaluations[index].status).or_default() += 1;
        for (target, before) in before.into_iter().enumerate() {
            self.update_front(target, index, before);
        }
        Ok(())
    }

    /// Brings a target's front up to date after the evaluation at a place has changed, which had these values before.
    fn update_front(&mut self, target: usize, index: usize, before: Option<Vec<f64>>) {
        let changed = &self.evaluations[index];
        let now = self.targets.complete(target, &changed.values);
        let Front { archive, reference, share } = &mut self.fronts[target];
        let mut is_changed = false;
        if let (None, Some(values)) = (&before, &now) {
            reference.observe(values);
            is_changed = archive.insert(values, changed.number);
        } else if before != now {
            *archive = archive_of(&self.targets, target, &self.evaluations);
            is_changed = true;
        }
        if is_changed || share.is_none() {
            *share = reference.share(&archive.points().collect::<Vec<_>>());
        }
    }

    fn check_values(&self, evaluation: &Evaluation) -> Result<()> {
        let (number, columns) = (evaluation.number, self.targets.columns());
        for (found, expected) in
            [evaluation.values.len(), evaluation.deviations.len()].map(|found| (found, columns.len()))
        {
            ensure!(found == expected, "evaluation {number} has {found} values for {expected} objectives");
        }
        let both = evaluation.values.iter().zip(&evaluation.deviations);
        for (column, (value, deviation)) in columns.iter().zip(both) {
            let name = &column.name;
            if let Some(value) = value {
                ensure!(
                    column.objective.accepts(*value),
                    "evaluation {number} has {name} = {value}, which is not possible"
                );
            }
            if let Some(deviation) = deviation {
                ensure!(
                    deviation.is_finite() && *deviation >= 0.0,
                    "evaluation {number} has a standard deviation of {name} of {deviation}, which is not possible"
                );
            }
        }
        Ok(())
    }

    /// One evaluation for each network, in the order of their first evaluations.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// Number of rows of the journal entered.
    pub fn entered(&self) -> u64 {
        self.rows
    }

    /// Number of evaluations that have ended, repeats and retries included.
    pub fn ended(&self) -> u64 {
        self.by_number.len() as u64 - self.count(Status::Measured)
    }

    /// Number of networks with a status.
    pub(crate) fn count(&self, status: Status) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// Epochs of training behind the rows entered, where they say it.
    pub fn epochs(&self) -> u64 {
        self.epochs
    }

    /// Number of evaluations entered that measured a network again.
    pub fn repeats(&self) -> u64 {
        self.by_number.len() as u64 - self.evaluations.len() as u64 - self.retries
    }

    /// Number of evaluations entered for networks that had only failed before.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// All evaluations of a network as they were entered.
    pub fn measurements(&self, key: &CanonicalKey) -> &[Evaluation] {
        let Some(index) = self.by_key.get(key) else { return &[] };
        self.merged.get(index).map_or_else(|| slice::from_ref(&self.evaluations[*index]), Vec::as_slice)
    }

    /// The evaluation of a network, if it is known.
    pub fn known(&self, key: &CanonicalKey) -> Option<&Evaluation> {
        self.by_key.get(key).map(|index| &self.evaluations[*index])
    }

    /// The evaluation of the network that was evaluated under a number.
    pub fn get(&self, number: u64) -> Option<&Evaluation> {
        self.by_number.get(&number).map(|index| &self.evaluations[*index])
    }

    /// The non-dominated evaluations of all targets that are searched for, each once.
    pub fn front(&self) -> impl Iterator<Item = &Evaluation> {
        let mut seen = HashSet::new();
        let members = self.targets.searched().flat_map(|target| &self.fronts[target].archive.members);
        members.filter_map(|member| self.get(member.id)).filter(move |evaluation| seen.insert(evaluation.number))
    }

    /// The non-dominated evaluations of a target.
    pub(crate) fn front_of(&self, target: usize) -> impl Iterator<Item = &Evaluation> {
        self.fronts[target].archive.members.iter().filter_map(|member| self.get(member.id))
    }

    /// The non-dominated vectors of a target's values.
    pub(crate) fn archive(&self, target: usize) -> &Archive {
        &self.fronts[target].archive
    }

    /// The worst corner of the box for a target's hypervolume.
    pub(crate) fn reference(&self, target: usize) -> &ReferencePoint {
        &self.fronts[target].reference
    }

    /// Hypervolume of a target's front as a share of the box from 0 to the reference point; `None` until the reference is
    /// fixed. A new network never lowers it; a repeated measurement may, if it turns out worse.
    pub fn share(&self, target: usize) -> Option<f64> {
        self.fronts[target].share
    }

    /// The mean of the [shares](Self::share) of the targets that are searched for; `None` until all are known.
    pub fn hypervolume_share(&self) -> Option<f64> {
        let searched = self.targets.searched();
        let sum: Option<f64> = searched.clone().map(|target| self.fronts[target].share).sum();
        Some(sum? / searched.count() as f64)
    }

    /// The targets of the search.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The minimised objectives of the only target, or the first, in order.
    pub fn objectives(&self) -> &Objectives {
        &self.targets.get(0).objectives
    }

    /// The bounds on the objectives of the only target, or the first.
    pub fn bounds(&self) -> &Bounds {
        &self.targets.get(0).bounds
    }
}

/// The archive that the present values of a target would have given from the beginning.
fn archive_of(targets: &Targets, target: usize, evaluations: &[Evaluation]) -> Archive {
    let complete = evaluations.iter().filter_map(|one| Some((one.number, targets.complete(target, &one.values)?)));
    let mut complete: Vec<_> = complete.collect();
    // Of equals the one with the lowest number stays: it need not be the first in the list after a failure.
    complete.sort_by_key(|(number, _)| *number);
    let mut archive = Archive::default();
    for (number, values) in complete {
        archive.insert(&values, number);
    }
    archive
}

#[cfg(test)]
mod tests;
