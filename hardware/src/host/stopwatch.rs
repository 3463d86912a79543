//! Warm-up, timed runs, and when to stop.

use std::hint::black_box;
use std::time::Instant;

use super::inference::{Inference, InferenceError};
use crate::device::Plan;
use crate::doubts;

/// Warms up, then times single runs, in ms, until the plan is met.
pub(super) fn time(inference: &Inference, plan: &Plan) -> Result<Vec<f64>, InferenceError> {
    let feed = inference.pseudo_random_feed()?;

    let warm_up = Instant::now();
    loop {
        black_box(inference.run_feed(&feed)?);
        if warm_up.elapsed() >= plan.warm_up {
            break;
        }
    }

    let mut samples_ms = Vec::new();
    let mut next_check = plan.least_runs();
    let started = Instant::now();
    loop {
        let run = Instant::now();
        let outputs = inference.run_feed(&feed)?;
        let elapsed = run.elapsed();
        // Freeing the outputs is not part of an inference.
        drop(black_box(outputs));
        // A run below the clock's resolution reads as zero, which no run can take.
        samples_ms.push(elapsed.as_nanos().max(1) as f64 / 1e6);

        let spent = started.elapsed();
        if spent >= plan.time_limit {
            return Ok(samples_ms);
        }
        if samples_ms.len() >= next_check && spent >= plan.warm_up {
            if doubts::is_precise(&samples_ms, plan) {
                return Ok(samples_ms);
            }
            // A check after every run would stop at the first lucky moment, and the interval would
            // hold less often than it says. A tenth more runs between checks keeps them few.
            next_check = samples_ms.len() + samples_ms.len().div_ceil(10);
        }
    }
}
