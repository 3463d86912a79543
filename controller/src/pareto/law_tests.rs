//! The laws of dominance, with and without noise.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::noise::{SIGNIFICANT, lead, lead_is_within_noise};
use super::*;

/// Few values, so that vectors are often equal, in one objective or in all.
fn values() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((0u8..4).prop_map(f64::from), 3)
}

/// The definition, objective by objective (Miettinen 1999, definition 2.2.1).
fn is_better(a: &[f64], b: &[f64]) -> bool {
    let (mut better, mut worse) = (0, 0);
    for (a, b) in a.iter().zip(b) {
        better += usize::from(a < b);
        worse += usize::from(a > b);
    }
    better > 0 && worse == 0
}

fn uncertain() -> impl Strategy<Value = Vec<Uncertain>> {
    let one = (0.5..8.0f64, prop::option::of(0.0..2.0f64));
    prop::collection::vec(one.prop_map(|(value, deviation)| Uncertain { value, deviation }), 3)
}

fn exact(values: &[f64]) -> Vec<Uncertain> {
    values.iter().map(|value| Uncertain { value: *value, deviation: Some(0.0) }).collect()
}

proptest! {
    #[test]
    fn dominance_is_a_strict_partial_order(a in values(), b in values(), c in values()) {
        prop_assert_eq!(dominates(&a, &b), is_better(&a, &b));
        prop_assert!(!dominates(&a, &a), "irreflexive");
        prop_assert!(!(dominates(&a, &b) && dominates(&b, &a)), "asymmetric");
        prop_assert!(!(dominates(&a, &b) && dominates(&b, &c)) || dominates(&a, &c), "transitive");
    }

    #[test]
    fn weak_dominance_is_a_partial_order(a in values(), b in values(), c in values()) {
        prop_assert_eq!(weakly_dominates(&a, &b), is_better(&a, &b) || a == b);
        prop_assert!(weakly_dominates(&a, &a), "reflexive");
        prop_assert!(!(weakly_dominates(&a, &b) && weakly_dominates(&b, &a)) || a == b, "antisymmetric");
        prop_assert!(!(weakly_dominates(&a, &b) && weakly_dominates(&b, &c)) || weakly_dominates(&a, &c), "transitive");
    }

    /// In any order of insertion, also where members come and go; of equal points the first one.
    #[test]
    fn the_archive_is_the_set_of_non_dominated_points(
        (points, order) in prop::collection::vec(values(), 0..25).prop_flat_map(|points| {
            let order: Vec<usize> = (0..points.len()).collect();
            (Just(points), Just(order).prop_shuffle())
        }),
    ) {
        let front = |order: &[usize]| {
            let mut archive = Archive::default();
            for id in order {
                archive.insert(&points[*id], *id as u64);
            }
            archive
        };
        let found = front(&order);
        let beaten = |point: &Vec<f64>| points.iter().any(|other| is_better(other, point));
        let first = |id: &&usize| order.iter().find(|other| points[**other] == points[**id]) == Some(id);
        let expected: BTreeSet<u64> =
            order.iter().filter(|id| !beaten(&points[**id])).filter(first).map(|id| *id as u64).collect();
        prop_assert_eq!(found.members.iter().map(|member| member.id).collect::<BTreeSet<_>>(), expected);

        let as_bits = |archive: &Archive| -> BTreeSet<Vec<u64>> {
            archive.points().map(|point| point.iter().map(|value| value.to_bits()).collect()).collect()
        };
        let sorted: Vec<usize> = (0..points.len()).collect();
        prop_assert_eq!(as_bits(&found), as_bits(&front(&sorted)), "the same trade-offs in any order");
        let kept: BTreeSet<Vec<u64>> = non_dominated(&points)
            .into_iter()
            .map(|index| points[index].iter().map(|value| value.to_bits()).collect())
            .collect();
        prop_assert_eq!(as_bits(&found), kept);
    }

    /// The lead by its definition: the largest of the leads in each objective, in deviations of the difference.
    #[test]
    fn a_lead_is_in_deviations_of_the_difference(a in uncertain(), b in uncertain()) {
        let deviation = |a: &Uncertain, b: &Uncertain| {
            (a.deviation.unwrap_or(0.0).powi(2) + b.deviation.unwrap_or(0.0).powi(2)).sqrt()
        };
        let leads = a.iter().zip(&b).map(|(a, b)| if a.value < b.value { (b.value - a.value) / deviation(a, b) } else { 0.0 });
        let most = leads.fold(0.0, f64::max);
        let found = lead(&a, &b);
        prop_assert!(found == most || (found - most).abs() < 1e-9 * most, "{} {}", found, most);
        prop_assert_eq!(lead_is_within_noise(&a, &b), found < SIGNIFICANT);
        // In one objective only one of two can lead: this much of antisymmetry is left under noise.
        for (a, b) in a.iter().zip(&b) {
            prop_assert!(lead(&[*a], &[*b]) == 0.0 || lead(&[*b], &[*a]) == 0.0);
        }
    }

    /// Noise never reverses plain dominance, and without noise only plain dominance remains.
    #[test]
    fn noise_agrees_with_plain_dominance(a in values(), b in values(), noise in prop::collection::vec(0.0..2.0f64, 6)) {
        let noisy = |values: &[f64], noise: &[f64]| -> Vec<Uncertain> {
            values.iter().zip(noise).map(|(value, noise)| Uncertain { value: *value, deviation: Some(*noise) }).collect()
        };
        let (loud_a, loud_b) = (noisy(&a, &noise[..3]), noisy(&b, &noise[3..]));
        if weakly_dominates(&b, &a) {
            prop_assert_eq!(lead(&loud_a, &loud_b), 0.0);
        }
        let [ab, ba] = [lead_is_within_noise(&exact(&a), &exact(&b)), lead_is_within_noise(&exact(&b), &exact(&a))];
        prop_assert_eq!(ab && !ba, dominates(&b, &a));
        prop_assert_eq!(ab && ba, a == b, "antisymmetric");
    }

    /// A change of units changes neither dominance nor leads.
    #[test]
    fn dominance_and_leads_are_independent_of_units(a in uncertain(), b in uncertain(), factor in 0.01..100.0f64) {
        let scaled = |vector: &[Uncertain]| -> Vec<Uncertain> {
            let scale = |one: &Uncertain| Uncertain {
                value: one.value * factor,
                deviation: one.deviation.map(|deviation| deviation * factor),
            };
            vector.iter().map(scale).collect()
        };
        let (before, after) = (lead(&a, &b), lead(&scaled(&a), &scaled(&b)));
        prop_assert!(before == after || (before - after).abs() < 1e-9 * before, "{} {}", before, after);
    }
}
