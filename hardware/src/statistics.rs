//! Statistics of timed runs.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::statistic::Statistic;

/// Modified z-score above which a run is an outlier: ten standard deviations, 1.4826 being the
/// factor between the median absolute deviation and the standard deviation of normal data
/// (Iglewicz and Hoaglin 1993, "How to detect and handle outliers"). Ten rather than their 3.5,
/// because latencies have long tails on a healthy machine too.
pub(crate) const OUTLIER_THRESHOLD: f64 = 1.4826 * 10.0;

/// Median absolute deviation, relative to the median, below which the scatter is the clock's resolution and not the
/// machine's. A run that differs by one tick is therefore not an outlier.
const SMALLEST_DEVIATION: f64 = 1e-3;

/// Most batches that batch means are taken over. Schmeiser (1982, "Batch size effects in the
/// analysis of simulation output", Operations Research 30) finds that more than 10 to 30 gain
/// little precision while shorter batches are less independent.
const BATCHES: usize = 20;

/// The samples in ascending order.
pub(crate) fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Arithmetic mean of at least one sample.
pub(crate) fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// Sample standard deviation (n − 1); `None` with fewer than two samples.
pub(crate) fn standard_deviation(samples: &[f64]) -> Option<f64> {
    if samples.len() < 2 {
        return None;
    }
    let mean = mean(samples);
    let squares: f64 = samples.iter().map(|x| (x - mean).powi(2)).sum();
    Some((squares / (samples.len() - 1) as f64).sqrt())
}

/// Quantile `q` of sorted samples, linear between the two nearest (Hyndman and Fan 1996, type 7,
/// the one of NumPy and R). At least one sample.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

/// Median; `None` without a sample.
pub(crate) fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_unstable_by(f64::total_cmp);
    (!samples.is_empty()).then(|| quantile(&samples, 0.5))
}

/// Modified z-scores `(x − median) / MAD` of at least one sample, in its order.
pub(crate) fn modified_z_scores(samples: &[f64]) -> Vec<f64> {
    let median = quantile(&sorted(samples), 0.5);
    let deviations: Vec<f64> = samples.iter().map(|x| (x - median).abs()).collect();
    let deviation = quantile(&sorted(&deviations), 0.5).max(SMALLEST_DEVIATION * median.abs());
    if deviation == 0.0 {
        return vec![0.0; samples.len()];
    }
    samples.iter().map(|x| (x - median) / deviation).collect()
}

/// Means of up to twenty long batches of successive samples; `None` with fewer than four samples.
pub(crate) fn batch_means(samples: &[f64]) -> Option<Vec<f64>> {
    batches(samples, 2, mean)
}

/// A value of up to twenty batches of at least `least` successive samples; `None` with fewer than two batches.
fn batches(samples: &[f64], least: usize, of: impl Fn(&[f64]) -> f64) -> Option<Vec<f64>> {
    let batches = BATCHES.min(samples.len() / least);
    if batches < 2 {
        return None;
    }
    let batch = |batch: usize| {
        let start = batch * samples.len() / batches;
        let end = (batch + 1) * samples.len() / batches;
        of(&samples[start..end])
    };
    Some((0..batches).map(batch).collect())
}

/// Half-width of the 95 % confidence interval of the mean, by batch means, relative to the mean.
///
/// Successive runs are not independent (clock, caches, and neighbours change slowly), so the
/// textbook interval from single runs is too narrow. The means of long batches of successive runs
/// nearly are: their spread and Student's t give the interval. `None` with fewer than four runs,
/// and for a mean that is not positive.
pub(crate) fn relative_half_width(samples: &[f64]) -> Option<f64> {
    half_width(&batch_means(samples)?, mean(samples))
}

/// The same for any statistic of single runs: quantiles of batches in place of means ("sectioning", Nakayama 2014,
/// "Confidence intervals for quantiles using sectioning when applying variance-reduction techniques", ACM TOMACS 24).
/// A batch is as long as the quantile needs.
pub(crate) fn relative_half_width_of(samples: &[f64], statistic: Statistic) -> Option<f64> {
    /// Runs of a batch whose median is taken.
    const MEDIAN_BATCH: usize = 5;
    let Some(q) = statistic.quantile() else { return relative_half_width(samples) };
    let of = |samples: &[f64]| quantile(&sorted(samples), q);
    half_width(&batches(samples, statistic.least_runs().max(MEDIAN_BATCH), of)?, of(samples))
}

fn half_width(values: &[f64], of_all: f64) -> Option<f64> {
    let batches = values.len();
    let deviation = standard_deviation(values)?;
    let t = StudentsT::new(0.0, 1.0, (batches - 1) as f64).ok()?.inverse_cdf(0.975);
    (of_all > 0.0).then(|| t * deviation / (batches as f64).sqrt() / of_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_of_independent_batches_by_hand() {
        // Four runs make two batches, of means 9 and 11: s = √2, s/√2 = 1, t(0.975; 1) = 12.7062.
        let half_width = relative_half_width(&[8.0, 10.0, 10.0, 12.0]).unwrap();
        assert!((half_width - 12.7062 / 10.0).abs() < 1e-4, "{half_width}");
    }

    #[test]
    fn drift_widens_the_interval_beyond_the_naive_one() {
        let samples: Vec<f64> = (0..400).map(|i| 10.0 + if i < 200 { 0.0 } else { 1.0 }).collect();
        let naive = 1.966 * standard_deviation(&samples).unwrap() / 20.0 / mean(&samples);
        let honest = relative_half_width(&samples).unwrap();
        assert!(honest > 4.0 * naive, "{honest} against {naive}");
    }

    #[test]
    fn the_median_is_known_where_outliers_leave_the_mean_unknown() {
        let samples: Vec<f64> =
            (0..400).map(|run| 10.0 + 0.01 * f64::from(run % 3) + if run % 29 == 0 { 50.0 } else { 0.0 }).collect();
        assert!(relative_half_width_of(&samples, Statistic::Mean).unwrap() > 0.02);
        assert!(relative_half_width_of(&samples, Statistic::Median).unwrap() < 0.001);
        assert_eq!(relative_half_width_of(&samples[..150], Statistic::P99), None);
        assert!(relative_half_width_of(&samples, Statistic::P99).is_some());
    }

    #[test]
    fn too_few_runs_have_no_interval() {
        assert_eq!(relative_half_width(&[1.0, 2.0, 3.0]), None);
    }

    #[test]
    fn one_far_run_is_an_outlier_and_ordinary_scatter_is_not() {
        let outliers =
            |samples: &[f64]| modified_z_scores(samples).iter().filter(|z| z.abs() > OUTLIER_THRESHOLD).count();
        assert_eq!(outliers(&[0.50, 0.30, 0.29, 0.31, 0.30]), 1);
        assert_eq!(outliers(&[1.0, 1.3, 0.8, 1.1, 0.9, 1.2]), 0);
        // Without scatter a tick of the clock is not an outlier; a factor of ten is.
        assert_eq!(outliers(&[1.0, 1.0, 1.0, 1.0, 1.001]), 0);
        assert_eq!(outliers(&[1.0, 1.0, 1.0, 1.0, 10.0]), 1);
    }
}
