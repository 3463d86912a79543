//! Doubts about the times of single runs.

use crate::device::Plan;
use crate::measurement::Latency;
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
    let far_mean = || of_mean(&Latency::from_samples(samples_ms).ok()?, 0.0);
    warnings.extend(outliers(samples_ms, &scores, plan).or_else(far_mean));
    if !is_precise(samples_ms, plan) {
        warnings.push(Warning::WideInterval {
            statistic: plan.statistic(),
            reached: statistics::relative_half_width_of(samples_ms, plan.statistic()),
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
    let statistic = plan.statistic();
    let value = |samples: &[f64]| match statistic.quantile() {
        Some(q) => statistics::quantile(&statistics::sorted(samples), q),
        None => statistics::mean(samples),
    };
    let (value_ms, value_of_others_ms) = (value(samples_ms), value(&others));
    let moved = (value_ms - value_of_others_ms).abs() / value_of_others_ms;
    (moved > plan.confidence_interval).then(|| Warning::Outliers {
        outliers: samples_ms.len() - others.len(),
        runs: samples_ms.len(),
        statistic,
        value_ms,
        value_of_others_ms,
    })
}

/// Whether the plan's statistic of the runs is known as precisely as the plan asks.
pub(crate) fn is_precise(samples_ms: &[f64], plan: &Plan) -> bool {
    let half_width = statistics::relative_half_width_of(samples_ms, plan.statistic());
    half_width.is_some_and(|half_width| half_width <= plan.confidence_interval)
}

/// The doubt about a mean that is far above the median. The program's own work between two inferences, up to `loop_ms`,
/// does not count.
pub(crate) fn of_mean(latency: &Latency, loop_ms: f64) -> Option<Warning> {
    /// The mean of a machine that is busy with one thing is a few per cent above the median.
    const FAR: f64 = 1.25;
    let (mean_ms, median_ms) = (latency.mean_ms, latency.p50_ms?);
    (mean_ms > FAR * median_ms + loop_ms).then_some(Warning::MeanAboveMedian { mean_ms, median_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistic::Statistic;

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
    fn outliers_give_a_warning_where_they_move_the_statistic() {
        let by_mean = Plan { statistic: Some(Statistic::Mean), ..Plan::default() };
        let mut samples = steady(60);
        samples[30] = 9.0;
        samples[31] = 0.01;
        let warnings = of_runs(&samples, &by_mean);
        assert!(
            matches!(
                warnings[0],
                Warning::Outliers { outliers: 2, runs: 60, value_of_others_ms, .. }
                    if (2.0..2.02).contains(&value_of_others_ms)
            ),
            "{warnings:?}"
        );
        assert_eq!(of_runs(&samples, &Plan::default()), [], "the median is where it was");
        samples[30] = 3.0;
        samples[31] = 2.0;
        assert_eq!(of_runs(&samples, &by_mean), []);
    }

    #[test]
    fn a_busy_machine_gives_a_warning_beside_a_median_that_is_steady() {
        let mut samples = steady(60);
        (0..60).step_by(10).for_each(|run| samples[run + 5] = 40.0);
        let warnings = of_runs(&samples, &Plan::default());
        assert!(matches!(warnings[..], [Warning::MeanAboveMedian { mean_ms, median_ms }] if mean_ms > 2.5 * median_ms));
        let tiny = Latency { p50_ms: Some(0.01), ..Latency::from_mean(0.05, None) };
        assert!(of_mean(&tiny, 0.05).is_none() && of_mean(&tiny, 0.0).is_some());
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
