//! The non-dominated space of a front, divided into boxes.

/// Disjoint boxes that fill the space between a lower corner and a reference point that no inserted point dominates.
///
/// Sums over boxes turn expectations over the hypervolume into products of one-dimensional ones (Emmerich, Giannakoglou
/// and Naujoks, *Single- and multiobjective evolutionary optimization assisted by Gaussian random field metamodels*,
/// IEEE Transactions on Evolutionary Computation 10, 2006). A point cuts each box that reaches beyond it into at most
/// one piece an objective, as in Lacour, Klamroth and Fonseca (*A box decomposition algorithm to compute the hypervolume
/// indicator*, Computers & Operations Research 79, 2017).
#[derive(Debug, Clone, PartialEq)]
pub struct Boxes {
    lower: Vec<f64>,
    /// In arbitrary order.
    pub cells: Vec<Cell>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
}

impl Boxes {
    /// The boxes between two corners that a front does not dominate. Points below the lower corner are moved to its edge.
    pub fn of_front<P: AsRef<[f64]>>(front: &[P], lower: &[f64], reference: &[f64]) -> Self {
        let whole = Cell { lower: lower.to_vec(), upper: reference.to_vec() };
        let mut boxes = Self { lower: lower.to_vec(), cells: vec![whole] };
        let mut points: Vec<&[f64]> = front.iter().map(AsRef::as_ref).collect();
        // This order gives fewer boxes: each point cuts off one slab in the last objective for good.
        points.sort_by(|a, b| a.last().partial_cmp(&b.last()).unwrap_or(std::cmp::Ordering::Equal));
        points.into_iter().for_each(|point| boxes.insert(point));
        boxes
    }

    /// Removes the space that a point dominates.
    pub fn insert(&mut self, point: &[f64]) {
        let point: Vec<f64> = point.iter().zip(&self.lower).map(|(value, least)| value.max(*least)).collect();
        let reaches = |cell: &mut Cell| point.iter().zip(&cell.upper).all(|(value, upper)| value < upper);
        let cut: Vec<Cell> = self.cells.extract_if(.., reaches).collect();
        for mut cell in cut {
            // The part that is better than the point in this objective, and not in those cut before.
            for objective in (0..point.len()).rev() {
                if cell.lower[objective] < point[objective] {
                    let mut piece = cell.clone();
                    piece.upper[objective] = point[objective];
                    self.cells.push(piece);
                    cell.lower[objective] = point[objective];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hypervolume;
    use super::*;
    use proptest::prelude::*;

    fn volume(cell: &Cell) -> f64 {
        cell.lower.iter().zip(&cell.upper).map(|(lower, upper)| upper - lower).product()
    }

    proptest! {
        #[test]
        fn boxes_are_disjoint_and_cover_the_non_dominated_space(
            points in (2usize..=4).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(-0.1..1.1, n), 0..9)),
        ) {
            let objectives = points.first().map_or(3, Vec::len);
            let (lower, reference) = (vec![0.0; objectives], vec![1.0; objectives]);
            let boxes = Boxes::of_front(&points, &lower, &reference);
            let sum: f64 = boxes.cells.iter().map(volume).sum();
            let inside: Vec<Vec<f64>> =
                points.iter().map(|point| point.iter().map(|value: &f64| value.max(0.0)).collect()).collect();
            prop_assert!((sum + hypervolume(&inside, &reference) - 1.0).abs() < 1e-9);
            for (index, cell) in boxes.cells.iter().enumerate() {
                prop_assert!(volume(cell) > 0.0);
                prop_assert!(cell.lower.iter().chain(&cell.upper).all(|value| (0.0..=1.0).contains(value)));
                let dominated = |point: &Vec<f64>| point.iter().zip(&cell.upper).all(|(value, upper)| value < upper);
                prop_assert!(!inside.iter().any(dominated));
                for other in &boxes.cells[..index] {
                    let apart = (0..objectives)
                        .any(|at| cell.upper[at] <= other.lower[at] || other.upper[at] <= cell.lower[at]);
                    prop_assert!(apart, "{:?} {:?}", cell, other);
                }
            }
        }
    }
}
