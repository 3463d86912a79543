//! Values that are measured with noise, and what can be said of a lead that is no larger than the noise.
//!
//! # The deviation of a value
//!
//! A value is the mean of one measurement or of several, and its deviation says how far another mean of as many would
//! lie from it.
//!
//! - **Measured once**: the standard deviation of that measurement's single runs, whole. Its textbook standard error,
//!   divided by the square root of the number of runs, is of no use: it supposes runs that know nothing of each other,
//!   while the runs of a measurement share clock, temperature, memory layout and neighbours. Three cells measured
//!   fourteen times each, 1,600 to 7,800 runs a time, on a machine with other tenants: the means spread 50 times
//!   wider than the standard error says, and 0.7 to 1.0 times as wide as single runs do.
//! - **Measured k ≥ 2 times**: s / √k, the standard error of the mean of k measurements, where s is the sample standard
//!   deviation (k − 1) of their means. Measurements apart in time are as good as independent. It is itself uncertain by
//!   1 / √(2 (k − 1)) of its size, or 71 % after two: each further measurement makes it firmer.
//! - **Computed** from the graph, as parameters are: zero.
//! - **Error**: unknown. Its binomial deviation would need the number of validation images, and it would say nothing of
//!   what another seed of the training would have given.
//!
//! # A lead within the noise
//!
//! The lead of `a` over `b` in an objective is counted in standard deviations of the difference,
//! √(deviation of a² + deviation of b²). Below [`SIGNIFICANT`] it is within the noise: the true values may as well be
//! the other way round. Where everything in which `a` is better is within the noise, `a` cannot be said to be better
//! than `b` at all. A deviation that is unknown adds nothing, so that what is called noise is noise, and what is not
//! may still be.
//!
//! This compares two at a time. Among many, some lead beyond the noise by chance: one pair in twenty where all are
//! equal.

pub use hardware::Uncertain;

/// Standard deviations of a difference from which on it is not noise: about 95 % of those between equals are smaller.
pub const SIGNIFICANT: f64 = 2.0;

/// By how much `a` is better than `b` where it is so most surely, in standard deviations of the difference: 0 if it is
/// better nowhere, infinite if it is better in something that is known exactly or whose deviation is unknown.
pub fn lead(a: &[Uncertain], b: &[Uncertain]) -> f64 {
    debug_assert_eq!(a.len(), b.len(), "vectors of different objectives");
    let better = a.iter().zip(b).filter(|(a, b)| a.value < b.value);
    let leads = better.map(|(a, b)| (b.value - a.value) / a.deviation.unwrap_or(0.0).hypot(b.deviation.unwrap_or(0.0)));
    leads.fold(0.0, f64::max)
}

/// Whether `a` cannot be said to be better than `b` in anything.
///
/// Everything is so to itself. It is not symmetric: what is surely better in one objective may be only seemingly better
/// in the others. Without noise it is weak dominance of `b` over `a`.
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
    fn leads_count_in_deviations_of_the_difference() {
        // 3-4-5: the difference has a deviation of 0.5.
        let a = uncertain([(1.0, Some(0.3)), (9.0, None)]);
        let b = uncertain([(1.9, Some(0.4)), (8.0, None)]);
        assert!((lead(&a, &b) - 1.8).abs() < 1e-12 && lead_is_within_noise(&a, &b));
        assert!(lead(&b, &a) == f64::INFINITY && !lead_is_within_noise(&b, &a), "not symmetric");
        // Exactly on the edge is beyond the noise.
        let [edge, zero] = [uncertain([(2.0, Some(0.5))]), uncertain([(1.0, None)])];
        assert!(!lead_is_within_noise(&zero, &edge));
        // The surest of several leads decides.
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
        fn without_noise_it_is_weak_dominance(a in vector(), b in vector()) {
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
        fn is_reflexive_and_more_noise_hides_more(a in vector(), b in vector(), more in 0.0..2.0f64) {
            prop_assert!(lead_is_within_noise(&a, &a));
            let louder: Vec<_> = b.iter().map(|one| {
                Uncertain { deviation: Some(one.deviation.unwrap_or(0.0) + more), ..*one }
            }).collect();
            prop_assert!(lead(&a, &louder) <= lead(&a, &b));
            prop_assert!(lead(&louder, &a) <= lead(&b, &a));
        }
    }
}
