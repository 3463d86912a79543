//! Doubts about the times of single runs.

use crate::device::Plan;
use crate::statistics;
use crate::warning::Warning;

/// Doubts about runs, which are in ms and in the order in which they were timed.
pub(crate) fn of_runs(samples_ms: &[f64], plan: &Plan) -> Vec<Warning> {
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

/// Outliers, where they matter: interrupts alone cause some in any long series of short runs, and users do not read a
/// warning that always appears.
fn outliers(samples_ms: &[f64], scores: &[f64], plan: &Plan) -> Option<Warning> {
    let is_usual = |(_, score): &(&f64, &f64)| score.abs() <= statistics::OUTLIER_THRESHOLD;
    let others: Vec<f64> = samples_ms.iter().zip(scores).filter(is_usual).map(|(sample, _)| *sample).collect();
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

/// Whether the mean of the runs is known as precisely as the plan asks.
pub(crate) fn is_precise(samples_ms: &[f64], plan: &Plan) -> bool {
    statistics::relative_half_width(samples_ms).is_some_and(|half_width| half_width <= plan.confidence_interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(runs: usize) -> Vec<f64> {
        (0..runs).map(|run| 2.0 + 0.01 * (run % 3) as f64).collect()
    }

    #[test]
    fn steady_runs_leave_no_doubt() {
        assert_eq!(of_runs(&steady(60), &Plan::default()), []);
    }

    #[test]
    fn a_slow_first_run_gives_a_warning() {
        let mut samples = steady(60);
        samples[0] = 3.0;
        let warnings = of_runs(&samples, &Plan::default());
        assert!(matches!(warnings[..], [Warning::SlowFirstRun { first_ms, .. }] if first_ms == 3.0), "{warnings:?}");
    }

    #[test]
    fn outliers_give_a_warning_where_they_move_the_mean() {
        let mut samples = steady(60);
        samples[30] = 9.0;
        samples[31] = 0.01;
        let warnings = of_runs(&samples, &Plan::default());
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
        assert_eq!(of_runs(&samples, &Plan::default()), []);
    }

    #[test]
    fn drifting_runs_have_a_wide_interval() {
        let samples: Vec<f64> = (0..60).map(|run| 2.0 + 0.05 * f64::from(run)).collect();
        let warnings = of_runs(&samples, &Plan::default());
        assert!(
            matches!(
                warnings[..],
                [Warning::WideInterval { reached: Some(reached), .. }] if reached > 0.05
            ),
            "{warnings:?}"
        );
    }

    #[test]
    fn three_runs_have_no_interval() {
        let warnings = of_runs(&[2.0, 2.0, 2.0], &Plan::default());
        assert!(matches!(warnings[..], [Warning::WideInterval { reached: None, .. }]), "{warnings:?}");
    }
}
