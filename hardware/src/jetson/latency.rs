//! The latency of several runs of trtexec.

use std::time::Duration;

use super::trial::Trial;
use crate::device::Plan;
use crate::doubts;
use crate::measurement::{InvalidMeasurement, Latency};
use crate::remote::RemoteError;
use crate::warning::Warning;

/// Latencies of a model and doubts about them.
pub(super) struct Latencies {
    /// With transfers of input and output where they are known, else without.
    pub whole: Latency,
    /// Without transfers, where both are known.
    pub without_transfer: Option<Latency>,
    pub doubts: Vec<Warning>,
}

/// The latencies of several runs of trtexec, whose time limit together was `limit`.
///
/// # Errors
/// If there are none, or some are impossible.
pub(super) fn latencies(trials: &[Trial], plan: &Plan, limit: Duration) -> Result<Latencies, RemoteError> {
    let latency = |samples: &[f64]| {
        let impossible = |error: InvalidMeasurement| RemoteError::Failed { problem: error.to_string() };
        Latency::from_samples(samples).map_err(impossible)
    };
    let compute = trials.iter().flat_map(|trial| trial.runs.compute_ms.iter().copied()).collect::<Vec<f64>>();
    let whole: Option<Vec<&[f64]>> = trials.iter().map(|trial| trial.runs.latency_ms.as_deref()).collect();
    let whole = whole.map(|runs| runs.concat());
    let plan = Plan { time_limit: limit, ..plan.clone() };
    let doubts = doubts::of_runs(whole.as_ref().unwrap_or(&compute), &plan);
    let compute = latency(&compute)?;
    Ok(match whole {
        Some(whole) => Latencies { whole: latency(&whole)?, without_transfer: Some(compute), doubts },
        None => Latencies { whole: compute, without_transfer: None, doubts },
    })
}
