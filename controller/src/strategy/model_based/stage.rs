//! How far the networks of a history have come.

use super::choice::Stage;
use crate::history::{Evaluation, History, Job, Work};
use crate::problem::Fidelity;

/// Whether a training may be decided on for a network: it is measured, within the bounds, and has no job.
pub(super) fn is_ready(history: &History, evaluation: &Evaluation) -> bool {
    !evaluation.status.is_end()
        && history.targets().keeps_some_bounds(&evaluation.values)
        && history.pending_job(&evaluation.key).is_none()
}

/// Pending trainings of at least so many epochs.
pub(super) fn pending_trainings(history: &History, epochs: u64) -> usize {
    history.pending().iter().filter(|job| !job.work.is_measurement() && job.work.epochs() >= epochs).count()
}

/// The assumption about a pending job. Where nothing is measured ahead, each measured network will be trained in full.
pub(super) fn stage_of(job: &Job, fidelity: Fidelity) -> Stage {
    match job.work {
        Work::Measure { .. } if fidelity.short_epochs == 0 && fidelity.measure_ahead == 0 => Stage::TrainingFull,
        Work::Measure { .. } => Stage::Measuring,
        Work::Train { epochs } if epochs < fidelity.full_epochs => Stage::TrainingShort,
        Work::Train { .. } => Stage::TrainingFull,
    }
}
