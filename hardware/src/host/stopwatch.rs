//! Warm-up, timed runs, and when to stop.

use std::hint::black_box;
use std::time::Instant;

use super::inference::{Inference, InferenceError};
use crate::device::Plan;
use crate::statistics;
use crate::warning::Warning;

/// Warms up, then times single runs, in ms, until the plan is met.
pub(super) fn time(inference: &mut Inference, plan: &Plan) -> Result<Vec<f64>, InferenceError> {
    let values = pseudo_random(inference.input_shape().iter().product());
    let input = inference.tensor(&values)?;

    let warm_up = Instant::now();
    loop {
        black_box(inference.run_tensor(&input)?);
        if warm_up.elapsed() >= plan.warm_up {
            break;
        }
    }

    let mut samples_ms = Vec::new();
    let mut next_look = plan.min_runs.max(1) as usize;
    let started = Instant::now();
    loop {
        let run = Instant::now();
        let output = inference.run_tensor(&input)?;
        let elapsed = run.elapsed();
        // Freeing the output is not part of an inference.
        drop(black_box(output));
        // A run below the clock's resolution reads as zero, which no run can take.
        samples_ms.push(elapsed.as_nanos().max(1) as f64 / 1e6);

        let spent = started.elapsed();
        if spent >= plan.time_limit {
            return Ok(samples_ms);
        }
        if samples_ms.len() >= next_look && spent >= plan.warm_up {
            if is_precise(&samples_ms, plan) {
                return Ok(samples_ms);
            }
            // Looking after every run would stop at the first lucky moment, and the interval would
            // hold less often than it says. A tenth more runs between looks keeps them few.
            next_look = samples_ms.len() + samples_ms.len().div_ceil(10);
        }
    }
}

/// Doubts about runs, in ms and in the order they were timed.
pub(super) fn doubts(samples_ms: &[f64], plan: &Plan) -> Vec<Warning> {
    if samples_ms.is_empty() {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    let scores = statistics::modified_z_scores(samples_ms);
    if scores[0] > statistics::OUTLIER_THRESHOLD {
        warnings.push(Warning::SlowFirstRun {
            first_ms: samples_ms[0],
            median_ms: statistics::quantile(&statistics::sorted(samples_ms), 0.5),
        });
    }
    warnings.extend(outliers(samples_ms, &scores, plan));
    if !is_precise(samples_ms, plan) {
        warnings.push(Warning::WideInterval {
            reached: statistics::relative_half_width(samples_ms),
            wanted: plan.confidence_interval,
            runs: samples_ms.len(),
            time_limit: plan.time_limit,
        });
    }
    warnings
}

/// Outliers, where they matter: interrupts alone make some in any long series of short runs, and a
/// warning that always comes is not read.
fn outliers(samples_ms: &[f64], scores: &[f64], plan: &Plan) -> Option<Warning> {
    let others: Vec<f64> = samples_ms
        .iter()
        .zip(scores)
        .filter(|(_, score)| score.abs() <= statistics::OUTLIER_THRESHOLD)
        .map(|(sample, _)| *sample)
        .collect();
    if others.is_empty() || others.len() == samples_ms.len() {
        return None;
    }
    let mean_ms = statistics::mean(samples_ms);
    let mean_of_others_ms = statistics::mean(&others);
    let moved = (mean_ms - mean_of_others_ms).abs() / mean_of_others_ms;
    (moved > plan.confidence_interval).then(|| Warning::Outliers {
        outliers: samples_ms.len() - others.len(),
        runs: samples_ms.len(),
        mean_ms,
        mean_of_others_ms,
    })
}

fn is_precise(samples_ms: &[f64], plan: &Plan) -> bool {
    statistics::relative_half_width(samples_ms).is_some_and(|half_width| half_width <= plan.confidence_interval)
}

/// The same numbers every time: mean 0, variance 1. Zeros would let an engine skip work, and
/// would hide what denormal numbers cost. SplitMix64 (Steele, Lea and Flood 2014, "Fast
/// splittable pseudorandom number generators").
fn pseudo_random(length: usize) -> Vec<f32> {
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

    fn steady(runs: usize) -> Vec<f64> {
        (0..runs).map(|run| 2.0 + 0.01 * (run % 3) as f64).collect()
    }

    #[test]
    fn steady_runs_leave_no_doubt() {
        assert_eq!(doubts(&steady(60), &Plan::default()), []);
    }

    #[test]
    fn a_slow_first_run_is_told() {
        let mut samples = steady(60);
        samples[0] = 3.0;
        let warnings = doubts(&samples, &Plan::default());
        assert!(matches!(warnings[..], [Warning::SlowFirstRun { first_ms, .. }] if first_ms == 3.0), "{warnings:?}");
    }

    #[test]
    fn outliers_are_told_where_they_move_the_mean() {
        let mut samples = steady(60);
        samples[30] = 9.0;
        samples[31] = 0.01;
        let warnings = doubts(&samples, &Plan::default());
        assert!(
            matches!(
                warnings[0],
                Warning::Outliers { outliers: 2, runs: 60, mean_of_others_ms, .. }
                    if (2.0..2.02).contains(&mean_of_others_ms)
            ),
            "{warnings:?}"
        );
        samples[30] = 3.0;
        samples[31] = 2.0;
        assert_eq!(doubts(&samples, &Plan::default()), []);
    }

    #[test]
    fn drifting_runs_are_not_known_well() {
        let samples: Vec<f64> = (0..60).map(|run| 2.0 + 0.05 * f64::from(run)).collect();
        let warnings = doubts(&samples, &Plan::default());
        assert!(
            matches!(
                warnings[..],
                [Warning::WideInterval { reached: Some(reached), .. }] if reached > 0.05
            ),
            "{warnings:?}"
        );
    }

    #[test]
    fn three_runs_are_too_few_to_tell() {
        let warnings = doubts(&[2.0, 2.0, 2.0], &Plan::default());
        assert!(matches!(warnings[..], [Warning::WideInterval { reached: None, .. }]), "{warnings:?}");
    }

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
