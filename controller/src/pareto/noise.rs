//! Values measured with noise, and leads within the noise.
//!
//! # The deviation of a value
//!
//! A value is the mean of one or several measurements. Its deviation is the standard deviation of such means.
//!
//! - **Measured once**: the standard deviation of that measurement's single runs, whole. Its textbook standard error,
//!   divided by the square root of the number of runs, is useless: it requires independent runs, while the runs of a
//!   measurement share clock, temperature, memory layout and other programs. Three cells measured fourteen times each,
//!   with 1,600 to 7,800 runs, on a shared machine: the spread of the means is 50 times the standard error, and 0.7 to
//!   1.0 times the spread of single runs.
//! - **Measured k ≥ 2 times**: s / √k, the standard error of the mean of k measurements, where s is the sample standard
//!   deviation (k − 1) of their means. Measurements at different times are nearly independent. The error has a relative
//!   uncertainty of 1 / √(2 (k − 1)), or 71 % for two measurements.
//! - **Computed** from the graph, as parameters are: zero.
//! - **Error**: unknown. Its binomial deviation would need the number of validation images, and would not include the
//!   variation by the seed of the training.
//!
//! # A lead within the noise
//!
//! The lead of `a` over `b` in an objective is counted in standard deviations of the difference,
//! √(deviation of a² + deviation of b²). Below [`SIGNIFICANT`] it is within the noise: the true order may be the reverse.
//! If the lead is within the noise in all objectives, `a` is not significantly better than `b`. An unknown deviation
//! counts as 0, so some leads within the noise are not recognised.
//!
//! This compares two evaluations at a time. Among many, some leads exceed the noise by chance: one pair in twenty if all
//! are equal.

pub use hardware::Uncertain;

/// Least significant lead in standard deviations: about 95 % of the differences between equals are smaller.
pub const SIGNIFICANT: f64 = 2.0;

/// The largest lead of `a` over `b` in an objective, in standard deviations of the difference: 0 if `a` is not better in
/// any, infinite if it is better in an objective with exact values or unknown deviations.
pub fn lead(a: &[Uncertain], b: &[Uncertain]) -> f64 {
    debug_assert_eq!(a.len(), b.len(), "vectors of different objectives");
    let better = a.iter().zip(b).filter(|(a, b)| a.value < b.value);
    let leads = better.map(|(a, b)| (b.value - a.value) / a.deviation.unwrap_or(0.0).hypot(b.deviation.unwrap_or(0.0)));
    leads.fold(0.0, f64::max)
}

/// Whether `a` is not significantly better than `b` in any objective.
///
/// The relation is reflexive but not symmetric. Without noise it is weak dominance of `b` over `a`.
pub fn lead_is_within_noise(a: &[Uncertain], b: &[Uncertain]) -> bool {
    lead(a, b) < SIGNIFICANT
}

#[cfg(test)]
mod tests {
    use super::super::weakly_dominates;
    use super::*;
    use proptest::prelude::*;

    fn uncertain<const N: usize>(values: [(f64, Option<f64>); N]) -> [Uncertain; N] {
        values.map(|(value, deviation)| Uncertain { value, deviation })
    }

    #[test]
    fn leads_are_in_deviations_of_the_difference() {
        // 3-4-5: the difference has a deviation of 0.5.
        let a = uncertain([(1.0, Some(0.3)), (9.0, None)]);
        let b = uncertain([(1.9, Some(0.4)), (8.0, None)]);
        assert!((lead(&a, &b) - 1.8).abs() < 1e-12 && lead_is_within_noise(&a, &b));
        assert!(lead(&b, &a) == f64::INFINITY && !lead_is_within_noise(&b, &a), "not symmetric");
        // Exactly on the edge is beyond the noise.
        let [edge, zero] = [uncertain([(2.0, Some(0.5))]), uncertain([(1.0, None)])];
        assert!(!lead_is_within_noise(&zero, &edge));
        // The largest of several leads counts.
        let c = uncertain([(1.9, Some(0.4)), (9.5, Some(0.1))]);
        assert!((lead(&a, &c) - 5.0).abs() < 1e-9);
    }

    fn vector() -> impl Strategy<Value = Vec<Uncertain>> {
        let one = ((0u8..6), prop::option::of(0u8..4));
        let one = one.prop_map(|(value, deviation)| Uncertain {
            value: f64::from(value),
            deviation: deviation.map(|quarters| f64::from(quarters) / 4.0),
        });
        prop::collection::vec(one, 3)
    }

    proptest! {
        #[test]
        fn without_noise_the_relation_is_weak_dominance(a in vector(), b in vector()) {
            let exact = |vector: &[Uncertain], deviation| -> Vec<Uncertain> {
                vector.iter().map(|one| Uncertain { deviation, ..*one }).collect()
            };
            let values = |vector: &[Uncertain]| vector.iter().map(|one| one.value).collect::<Vec<_>>();
            for deviation in [None, Some(0.0)] {
                let (a, b) = (exact(&a, deviation), exact(&b, deviation));
                prop_assert_eq!(lead_is_within_noise(&a, &b), weakly_dominates(&values(&b), &values(&a)));
            }
        }

        #[test]
        fn the_relation_is_reflexive_and_more_noise_shrinks_leads(a in vector(), b in vector(), more in 0.0..2.0f64) {
            prop_assert!(lead_is_within_noise(&a, &a));
            let louder: Vec<_> = b.iter().map(|one| {
                Uncertain { deviation: Some(one.deviation.unwrap_or(0.0) + more), ..*one }
            }).collect();
            prop_assert!(lead(&a, &louder) <= lead(&a, &b));
            prop_assert!(lead(&louder, &a) <= lead(&b, &a));
        }
    }
}
