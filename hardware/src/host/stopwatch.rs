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
    let mut next_check = plan.min_runs.max(1) as usize;
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

/// The same numbers every time: mean 0, variance 1. Zeros would let an engine skip work, and
/// would hide what denormal numbers cost. SplitMix64 (Steele, Lea and Flood 2014, "Fast
/// splittable pseudorandom number generators").
pub(super) fn pseudo_random(length: usize) -> Vec<f32> {
    let mut state: u64 = 0;
    let draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let unit = (z >> 40) as f32 / (1_u32 << 24) as f32;
        (unit - 0.5) * 12.0_f32.sqrt()
    };
    std::iter::repeat_with(draw).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_have_mean_zero_and_variance_one_and_are_the_same_each_time() {
        let values = pseudo_random(10_000);
        let mean = values.iter().sum::<f32>() / 1e4;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 1e4;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
        assert_eq!(values, pseudo_random(10_000));
    }
}
