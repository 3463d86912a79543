//! Who is better than whom.

/// Whether `a` is nowhere worse than `b`. Every vector weakly dominates itself.
pub fn weakly_dominates(a: &[f64], b: &[f64]) -> bool {
    debug_assert_eq!(a.len(), b.len(), "vectors of different objectives");
    a.iter().zip(b).all(|(a, b)| a <= b)
}

/// Whether `a` is nowhere worse than `b` and somewhere better (Pareto dominance, minimisation).
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    weakly_dominates(a, b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// Indices of the points that no other dominates, in their order. Of equal points the first is kept.
pub fn non_dominated<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let beaten = |index: usize| {
        let point = points[index].as_ref();
        points.iter().enumerate().any(|(other, rival)| {
            let rival = rival.as_ref();
            dominates(rival, point) || (other < index && rival == point)
        })
    };
    (0..points.len()).filter(|&index| !beaten(index)).collect()
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
