//! The hypervolume, its contributions and its boxes against two oracles that share no code with them: inclusion and
//! exclusion over all subsets, and counting the cells of a grid.
//!
//! Each case of proptest draws [`FRONTS`] fronts, thousands by default; `PROPTEST_CASES` makes them more.

use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Fronts of a case.
const FRONTS: usize = 8;
/// Side of the grid, whose upper corner is the reference.
const SIDE: u8 = 5;

/// Inclusion and exclusion (the volume of a union of boxes), subset by subset: adding a point to a subset raises the
/// corner that all of it dominate, and turns the sign.
fn included_and_excluded(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    fn add(points: &[Vec<f64>], corner: &[f64], reference: &[f64], sign: f64) -> f64 {
        let mut sum = 0.0;
        for (index, point) in points.iter().enumerate() {
            let common: Vec<f64> = corner.iter().zip(point).map(|(a, b)| if a > b { *a } else { *b }).collect();
            let edges = common.iter().zip(reference).map(|(from, to)| to - from);
            // A corner that is not below the reference has no volume, nor has any larger subset.
            if edges.clone().all(|edge| edge > 0.0) {
                sum += sign * edges.product::<f64>() + add(&points[index + 1..], &common, reference, -sign);
            }
        }
        sum
    }
    add(points, &vec![f64::NEG_INFINITY; reference.len()], reference, 1.0)
}

/// Cells of the grid that a point dominates; each has a volume of 1.
fn counted(points: &[Vec<f64>], objectives: usize) -> f64 {
    let side = usize::from(SIDE);
    let cells = (0..side.pow(objectives as u32)).filter(|cell| {
        let coordinate = |axis: usize| (cell / side.pow(axis as u32) % side) as f64;
        points.iter().any(|point| (0..objectives).all(|axis| point[axis] <= coordinate(axis)))
    });
    cells.count() as f64
}

/// Whole numbers, some of them on the reference and beyond it, with ties, and some points twice.
fn on_grid(rng: &mut ChaCha8Rng, objectives: usize, most: usize) -> Vec<Vec<f64>> {
    let count = rng.random_range(0..=most);
    let mut points: Vec<Vec<f64>> =
        (0..count).map(|_| (0..objectives).map(|_| f64::from(rng.random_range(0..=SIDE + 1))).collect()).collect();
    for _ in 0..count / 4 {
        let again = points[rng.random_range(0..count)].clone();
        points.push(again);
    }
    points.shuffle(rng);
    points
}

/// Mutually non-dominated points: all on a plane. Random ones are mostly dominated, above all in two
/// objectives, and say little of a long front.
fn in_front(rng: &mut ChaCha8Rng, objectives: usize, count: usize) -> Vec<Vec<f64>> {
    let mut point = || {
        let mut drawn: Vec<f64> = (0..objectives).map(|_| -rng.random_range(0.0f64..1.0).ln()).collect();
        let sum: f64 = drawn.iter().sum();
        drawn.iter_mut().for_each(|value| *value /= sum);
        drawn
    };
    let mut points: Vec<Vec<f64>> = (0..count).map(|_| point()).collect();
    if count > 2 {
        // A tie in one objective, a duplicate, and one that is dominated on purpose.
        points[1][0] = points[0][0];
        points[2] = points[0].clone();
        let worse = points[0].iter().map(|value| value + 0.01).collect();
        points.push(worse);
    }
    points
}

fn contributions_add_up(points: &[Vec<f64>], reference: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    let whole = included_and_excluded(points, reference);
    for index in 0..points.len() {
        let mut others = points.to_vec();
        let point = others.remove(index);
        let expected = whole - included_and_excluded(&others, reference);
        let found = exclusive_contribution(&point, &others, reference);
        prop_assert!((found - expected).abs() <= tolerance, "{}: {} {} {:?}", index, found, expected, points);
    }
    Ok(())
}

proptest! {
    #[test]
    fn whole_numbers_give_exactly_the_volumes_of_the_oracles(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..FRONTS {
            let objectives = rng.random_range(2..=5);
            let points = on_grid(&mut rng, objectives, 9);
            let reference = vec![f64::from(SIDE); objectives];
            let expected = counted(&points, objectives);
            prop_assert_eq!(included_and_excluded(&points, &reference), expected, "the oracles: {:?}", points);
            prop_assert_eq!(hypervolume(&points, &reference), expected, "{:?}", points);
            contributions_add_up(&points, &reference, 0.0)?;
            // More points than subsets could be gone through of.
            let many = on_grid(&mut rng, objectives, 40);
            prop_assert_eq!(hypervolume(&many, &reference), counted(&many, objectives), "{:?}", many);
        }
    }

    #[test]
    fn long_fronts_give_the_oracles_volumes(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..FRONTS {
            let objectives = rng.random_range(2..=5);
            let count = rng.random_range(0..=9);
            let points = in_front(&mut rng, objectives, count);
            let reference: Vec<f64> = (0..objectives).map(|_| rng.random_range(0.3..1.1)).collect();
            let (found, expected) = (hypervolume(&points, &reference), included_and_excluded(&points, &reference));
            prop_assert!((found - expected).abs() < 1e-12, "{} {} {:?}", found, expected, points);
            contributions_add_up(&points, &reference, 1e-12)?;
        }
    }

    /// Cell by cell of the grid: a box holds it if and only if no point dominates it, and no two boxes do. Boxes that
    /// were made at once and boxes that were cut point by point are the same space.
    #[test]
    fn boxes_cover_exactly_the_non_dominated_space(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..FRONTS {
            let objectives = rng.random_range(1..=4);
            let points = on_grid(&mut rng, objectives, 9);
            let (lower, reference) = (vec![1.0; objectives], vec![f64::from(SIDE); objectives]);
            let at_once = Boxes::of_front(&points, &lower, &reference);
            let mut one_by_one = Boxes::of_front::<Vec<f64>>(&[], &lower, &reference);
            points.iter().for_each(|point| one_by_one.insert(point));
            let side = usize::from(SIDE) - 1;
            for cell in 0..side.pow(objectives as u32) {
                let middle: Vec<f64> =
                    (0..objectives).map(|axis| 1.5 + (cell / side.pow(axis as u32) % side) as f64).collect();
                let dominated = points.iter().any(|point| point.iter().zip(&middle).all(|(value, at)| value <= at));
                let holding = |boxes: &Boxes| {
                    let holds = |cell: &&Cell| {
                        let bounds = cell.lower.iter().zip(&cell.upper);
                        bounds.zip(&middle).all(|((from, to), at)| from < at && at < to)
                    };
                    boxes.cells.iter().filter(holds).count()
                };
                let expected = usize::from(!dominated);
                prop_assert_eq!((holding(&at_once), holding(&one_by_one)), (expected, expected), "{:?}", points);
            }
        }
    }
}
