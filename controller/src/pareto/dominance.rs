//! Pareto dominance.

use std::cmp::Ordering::Equal;

/// Whether `a` is nowhere worse than `b`. Every vector weakly dominates itself.
pub fn weakly_dominates(a: &[f64], b: &[f64]) -> bool {
    debug_assert_eq!(a.len(), b.len(), "vectors of different objectives");
    a.iter().zip(b).all(|(a, b)| a <= b)
}

/// Whether `a` is nowhere worse than `b` and somewhere better (Pareto dominance, minimisation).
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    weakly_dominates(a, b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// Indices of the non-dominated points, in their order. Of equal points the first is kept.
///
/// A dominating point comes first in the lexicographic order, so each point needs comparisons only with those kept so far
/// (Kung, Luccio and Preparata 1975).
pub fn non_dominated<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let point = |index: &usize| points[*index].as_ref();
    // Adding 0 makes -0 equal to 0 in the total order as well.
    let key = |index: &usize| point(index).iter().map(|value| value + 0.0);
    let mut order: Vec<usize> = (0..points.len()).collect();
    // Stable: of equals the first stays first.
    order.sort_by(|a, b| key(a).zip(key(b)).map(|(a, b)| a.total_cmp(&b)).find(|order| order.is_ne()).unwrap_or(Equal));
    let mut kept: Vec<usize> = Vec::new();
    for index in order {
        if !kept.iter().any(|other| weakly_dominates(point(other), point(&index))) {
            kept.push(index);
        }
    }
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_points_dominate_each_other_only_weakly() {
        assert!(weakly_dominates(&[1.0, 2.0], &[1.0, 2.0]));
        assert!(!dominates(&[1.0, 2.0], &[1.0, 2.0]));
        assert!(dominates(&[1.0, 1.0], &[1.0, 2.0]));
        assert!(!dominates(&[0.0, 3.0], &[1.0, 2.0]));
    }

    #[test]
    fn the_first_of_equals_is_kept() {
        let points = [[2.0, 2.0], [1.0, 3.0], [1.0, 3.0], [3.0, 3.0], [3.0, 1.0]];
        assert_eq!(non_dominated(&points), [0, 1, 4]);
    }
}
