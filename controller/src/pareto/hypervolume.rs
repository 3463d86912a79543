//! The exact hypervolume: the volume of the space below a reference point that a set of points dominates.
//!
//! Two objectives are swept along a staircase. Three are swept along the third with that staircase kept sorted
//! (Fonseca, Paquete and López-Ibáñez, *An improved dimension-sweep algorithm for the hypervolume indicator*, CEC
//! 2006). More are reduced one by one with the WFG recursion (While, Bradstreet and Barone, *A fast way of
//! calculating exact hypervolumes*, IEEE Transactions on Evolutionary Computation 16, 2012).

use super::dominance::non_dominated;

/// Volume of the space below the reference that the points dominate (minimisation).
///
/// Points that are not better than the reference in every objective add nothing. Points may repeat and dominate one
/// another.
///
/// # Panics
/// If the points and the reference have different numbers of objectives.
pub fn hypervolume<P: AsRef<[f64]>>(points: &[P], reference: &[f64]) -> f64 {
    let inside: Vec<Vec<f64>> = points
        .iter()
        .map(|point| {
            assert_eq!(point.as_ref().len(), reference.len(), "a point and the reference differ in their objectives");
            point.as_ref()
        })
        .filter(|point| is_inside(point, reference))
        .map(<[f64]>::to_vec)
        .collect();
    volume(inside, reference)
}

/// The volume that only a point dominates: its contribution to the hypervolume of the others.
///
/// # Panics
/// As [`hypervolume`].
pub fn exclusive_contribution<P: AsRef<[f64]>>(point: &[f64], others: &[P], reference: &[f64]) -> f64 {
    assert_eq!(point.len(), reference.len(), "the point and the reference differ in their objectives");
    if !is_inside(point, reference) {
        return 0.0;
    }
    // Another point dominates the same part of this one's box as the coordinate-wise worse of both.
    let limited: Vec<Vec<f64>> = others.iter().map(|other| worse(point, other.as_ref())).collect();
    (box_volume(point, reference) - hypervolume(&limited, reference)).max(0.0)
}

fn is_inside(point: &[f64], reference: &[f64]) -> bool {
    point.iter().zip(reference).all(|(value, limit)| value < limit)
}

fn worse(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a.max(*b)).collect()
}

fn box_volume(point: &[f64], reference: &[f64]) -> f64 {
    point.iter().zip(reference).map(|(value, limit)| limit - value).product()
}

/// Hypervolume of points that are all inside the reference.
fn volume(mut points: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    match reference.len() {
        0 => 0.0,
        1 => points.iter().map(|point| reference[0] - point[0]).fold(0.0, f64::max),
        2 => {
            let mut staircase = Staircase::new(reference);
            points.iter().map(|point| staircase.insert(point[0], point[1])).sum()
        }
        3 => {
            points.sort_by(|a, b| a[2].total_cmp(&b[2]));
            let mut staircase = Staircase::new(reference);
            let areas = points.iter().map(|point| staircase.insert(point[0], point[1]));
            points.iter().zip(areas).map(|(point, area)| area * (reference[2] - point[2])).sum()
        }
        objectives => {
            let last = objectives - 1;
            let mut points: Vec<_> = non_dominated(&points).into_iter().map(|index| points[index].clone()).collect();
            // In the order from the worst in the last objective, later points limit this one's box only in the other
            // objectives: each step of the recursion has one dimension less.
            points.sort_by(|a, b| b[last].total_cmp(&a[last]));
            let rest = &reference[..last];
            let slices = points.iter().enumerate().map(|(index, point)| {
                let height = reference[last] - point[last];
                let point = &point[..last];
                let limited = points[index + 1..].iter().map(|other| worse(point, &other[..last])).collect();
                height * (box_volume(point, rest) - volume(limited, rest))
            });
            slices.sum()
        }
    }
}

/// The front of points in two objectives, by rising first and falling second.
struct Staircase {
    limit: [f64; 2],
    steps: Vec<[f64; 2]>,
}

impl Staircase {
    fn new(reference: &[f64]) -> Self {
        Self { limit: [reference[0], reference[1]], steps: Vec::new() }
    }

    /// Adds a point and returns the area that only it dominates.
    fn insert(&mut self, x: f64, y: f64) -> f64 {
        let start = self.steps.partition_point(|step| step[0] < x);
        let mut ceiling = if start > 0 { self.steps[start - 1][1] } else { self.limit[1] };
        let is_dominated = self.steps.get(start).is_some_and(|step| step[0] == x && step[1] <= y);
        if ceiling <= y || is_dominated {
            return 0.0;
        }
        let end = start + self.steps[start..].partition_point(|step| step[1] >= y);
        let (mut left, mut area) = (x, 0.0);
        for step in &self.steps[start..end] {
            area += (step[0] - left) * (ceiling - y);
            [left, ceiling] = *step;
        }
        let right = self.steps.get(end).map_or(self.limit[0], |step| step[0]);
        area += (right - left) * (ceiling - y);
        self.steps.splice(start..end, [[x, y]]);
        area
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Inclusion–exclusion over all subsets: slow and beyond doubt.
    fn brute_force(points: &[Vec<f64>], reference: &[f64]) -> f64 {
        (1u32..1 << points.len())
            .map(|subset| {
                let chosen = points.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 1);
                let corner = chosen.fold(vec![f64::NEG_INFINITY; reference.len()], |corner, (_, p)| worse(&corner, p));
                let common: f64 = corner.iter().zip(reference).map(|(value, limit)| (limit - value).max(0.0)).product();
                if subset.count_ones() % 2 == 1 { common } else { -common }
            })
            .sum()
    }

    #[test]
    fn known_figures() {
        assert_eq!(hypervolume::<[f64; 2]>(&[], &[1.0, 1.0]), 0.0);
        assert_eq!(hypervolume(&[[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]], &[4.0, 4.0]), 6.0);
        assert_eq!(hypervolume(&[[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]], &[2.0, 2.0, 2.0]), 5.0);
        assert_eq!(hypervolume(&[[4.0, 0.0]], &[4.0, 4.0]), 0.0, "on the edge");
        assert_eq!(exclusive_contribution(&[2.0, 2.0], &[[1.0, 3.0], [3.0, 1.0]], &[4.0, 4.0]), 1.0);
        assert_eq!(exclusive_contribution(&[2.0, 2.0], &[[2.0, 2.0]], &[4.0, 4.0]), 0.0);
    }

    #[test]
    fn a_point_with_nan_adds_nothing() {
        assert_eq!(hypervolume(&[[f64::NAN, 1.0], [1.0, 1.0]], &[2.0, 2.0]), 1.0);
    }

    /// Points on a coarse grid, so that ties, duplicates and points beyond the reference (6) abound.
    fn points() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<f64>)> {
        (2usize..=5).prop_flat_map(|objectives| {
            let point = prop::collection::vec((0u8..8).prop_map(f64::from), objectives);
            (prop::collection::vec(point, 0..9), Just(vec![6.0; objectives]))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn equals_brute_force((points, reference) in points()) {
            prop_assert_eq!(hypervolume(&points, &reference), brute_force(&points, &reference));
        }

        #[test]
        fn equals_brute_force_on_reals(
            points in (2usize..=5).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(-1.0..1.2, n), 1..9)),
        ) {
            let reference = vec![1.0; points[0].len()];
            let (fast, slow) = (hypervolume(&points, &reference), brute_force(&points, &reference));
            prop_assert!((fast - slow).abs() < 1e-9, "{} {}", fast, slow);
        }

        #[test]
        fn order_does_not_matter((points, reference) in points().prop_flat_map(|(p, r)| (Just(p).prop_shuffle(), Just(r)))) {
            let mut sorted = points.clone();
            sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
            prop_assert_eq!(hypervolume(&points, &reference), hypervolume(&sorted, &reference));
        }

        #[test]
        fn grows_by_the_exclusive_contribution((mut points, reference) in points()) {
            if let Some(point) = points.pop() {
                let before = hypervolume(&points, &reference);
                let gain = exclusive_contribution(&point, &points, &reference);
                points.push(point);
                prop_assert!(gain >= 0.0);
                prop_assert_eq!(hypervolume(&points, &reference), before + gain);
            }
        }
    }
}
