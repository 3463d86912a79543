//! The latency of several runs of trtexec.

use std::time::Duration;

use super::trial::Trial;
use super::trtexec::Summary;
use super::trtexec::times::Runs;
use crate::device::Plan;
use crate::doubts;
use crate::measurement::{InvalidMeasurement, Latency};
use crate::remote::RemoteError;
use crate::warning::Warning;

/// Latencies of a model, and doubts about them.
pub(super) struct Latencies {
    /// With moving input and output where that is known, else without.
    pub whole: Latency,
    /// Without, where both are known.
    pub without_transfer: Option<Latency>,
    pub doubts: Vec<Warning>,
}

/// The latencies of some runs, which may have lasted for `limit` together.
///
/// # Errors
/// If trtexec printed none, or impossible ones.
pub(super) fn latencies(trials: &[Trial], plan: &Plan, limit: Duration) -> Result<Latencies, RemoteError> {
    let impossible = |error: InvalidMeasurement| RemoteError::Failed { problem: error.to_string() };
    let all = |of: &dyn Fn(&Runs) -> Option<Vec<f64>>| -> Option<Vec<f64>> {
        let runs: Option<Vec<Vec<f64>>> = trials.iter().map(|trial| of(trial.runs.as_ref()?)).collect();
        runs.map(|runs| runs.concat())
    };
    let compute = all(&|runs| Some(runs.compute_ms.clone()));
    let whole = all(&|runs| runs.latency_ms.clone());
    let plan = Plan { time_limit: limit, ..plan.clone() };
    let samples = whole.as_ref().or(compute.as_ref());
    let doubts = samples.map(|samples| doubts::of_runs(samples, &plan)).unwrap_or_default();
    let from_samples = |samples: Option<Vec<f64>>| {
        samples.map(|samples| Latency::from_samples(&samples).map_err(impossible)).transpose()
    };
    let summary = |of: fn(&Trial) -> Option<&Summary>| {
        let longest = trials.iter().max_by_key(|trial| trial.inferences)?;
        of(longest).map(|summary| from_summary(summary, longest.inferences))
    };
    let compute = from_samples(compute)?.or_else(|| summary(|trial| trial.report.compute.as_ref()));
    let whole = from_samples(whole)?.or_else(|| summary(|trial| trial.report.host.as_ref()));
    match (whole, compute) {
        (Some(whole), without_transfer) => Ok(Latencies { whole, without_transfer, doubts }),
        (None, Some(whole)) => Ok(Latencies { whole, without_transfer: None, doubts }),
        (None, None) => Err(RemoteError::Failed { problem: "trtexec prints no latency".to_owned() }),
    }
}

fn from_summary(summary: &Summary, runs: u64) -> Latency {
    Latency {
        mean_ms: summary.mean_ms,
        std_ms: None,
        min_ms: summary.min_ms,
        p50_ms: summary.median_ms,
        p95_ms: summary.p95_ms,
        p99_ms: summary.p99_ms,
        runs: Some(runs),
    }
}
