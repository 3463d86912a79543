//! The expected improvement against means over draws, on many fronts and beliefs.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::Acquisition;
use crate::pareto::exclusive_contribution;
use crate::surrogate::{Correlation, Warp};

/// Fronts, each with a belief of its own.
const CASES: u64 = 60;
/// Draws of a belief.
const DRAWS: usize = 4_000;

/// A front, its corners and scales, and a belief about a network.
struct Case {
    front: Vec<Vec<f64>>,
    corners: Vec<[f64; 2]>,
    warps: Vec<Warp>,
    means: Vec<f64>,
    deviations: Vec<f64>,
    correlation: Option<Correlation>,
}

impl Case {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let objectives = rng.random_range(2..=4);
        let count = rng.random_range(1..=7);
        let value = |rng: &mut ChaCha8Rng| rng.sample::<f64, _>(StandardNormal).exp();
        let mut front: Vec<Vec<f64>> = (0..count).map(|_| (0..objectives).map(|_| value(rng)).collect()).collect();
        // A tie and a duplicate.
        front.push(front[0].clone());
        let tied = front[0][0];
        front[count - 1][0] = tied;
        let column = |objective: usize| front.iter().map(|point| point[objective]).collect::<Vec<_>>();
        // As many other values, so that the front alone does not make the scale so narrow that a step of the axis is
        // wider than a belief.
        let spread = [0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.6, 2.2, 3.3, 5.0];
        let warps =
            (0..objectives).map(|objective| Warp::fit(&[column(objective), spread.to_vec()].concat())).collect();
        let corner = |objective: usize| {
            let column = column(objective);
            let least = column.iter().copied().fold(f64::INFINITY, f64::min);
            let most = column.iter().copied().fold(0.0, f64::max);
            // Some of the front lie beyond the corners.
            [least * [0.3, 0.7, 1.05][objective % 3], 0.5 + most * [1.2, 0.9, 1.0][objective % 3]]
        };
        let corners = (0..objectives).map(corner).collect();
        let correlation = rng.random_bool(0.5).then(|| {
            let first = rng.random_range(1..objectives);
            Correlation { pair: [first - 1, first], strength: rng.random_range(0.2..0.6) }
        });
        let means = (0..objectives).map(|_| rng.random_range(-1.2..0.6)).collect();
        // So wide that the steps of the axes, some tenths of a unit, resolve the part that is not shared.
        let deviations = (0..objectives).map(|_| rng.random_range(0.5..0.9)).collect();
        Self { front, corners, warps, means, deviations, correlation }
    }

    /// Mean improvement over draws, and its standard error. Of two objectives that err together, a factor that both
    /// share makes out the correlation: `shared` draws it.
    fn simulate(&self, rng: &mut ChaCha8Rng, shared: fn(&mut ChaCha8Rng) -> f64) -> (f64, f64) {
        let reference: Vec<f64> = self.corners.iter().map(|corner| corner[1]).collect();
        let total: f64 = self.corners.iter().map(|[from, to]| to - from).product();
        let inside = |point: &[f64]| -> Vec<f64> {
            point.iter().zip(&self.corners).map(|(value, [least, _])| value.max(*least)).collect()
        };
        let front: Vec<Vec<f64>> = self.front.iter().map(|point| inside(point)).collect();
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..DRAWS {
            let mut normal: Vec<f64> = self.means.iter().map(|_| rng.sample(StandardNormal)).collect();
            if let Some(Correlation { pair, strength }) = self.correlation {
                let factor = shared(rng);
                pair.iter().for_each(|index| {
                    normal[*index] = strength.sqrt() * factor + (1.0 - strength).sqrt() * normal[*index];
                });
            }
            let place = |index: usize| self.means[index] + self.deviations[index] * normal[index];
            // Past the place of the reference nothing improves, also where the scale has an end that inverting stops at.
            let value = |(index, warp): (usize, &Warp)| {
                let is_past = place(index) >= warp.forward(reference[index]);
                if is_past { reference[index] } else { warp.inverse(place(index)) }
            };
            let point: Vec<f64> = self.warps.iter().enumerate().map(value).collect();
            let improvement = exclusive_contribution(&inside(&point), &front, &reference) / total;
            sum += improvement;
            squares += improvement * improvement;
        }
        let (draws, mean) = (DRAWS as f64, sum / DRAWS as f64);
        (mean, ((squares / draws - mean * mean).max(0.0) / draws).sqrt())
    }
}

/// Gauss and Hermite's three nodes, drawn as often as they weigh: ±√3 a sixth each, else 0.
fn of_three(rng: &mut ChaCha8Rng) -> f64 {
    [-(3f64.sqrt()), 0.0, 0.0, 0.0, 0.0, 3f64.sqrt()][rng.random_range(0..6)]
}

/// Whether each case, and all together, are as far from the mean over draws as the draws scatter and no further than
/// `each` and `together` of it.
fn compare(shared: fn(&mut ChaCha8Rng) -> f64, each: f64, together: f64) {
    let (mut all_expected, mut all_drawn) = (0.0, 0.0);
    for seed in 0..CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let case = Case::draw(&mut rng);
        let acquisition = Acquisition::new(&case.front, &case.corners, &case.warps, case.correlation);
        let expected = acquisition.of(&case.means, &case.deviations);
        let (drawn, standard_error) = case.simulate(&mut rng, shared);
        let allowed = 4.5 * standard_error + each * drawn + 1e-6;
        let case = (case.correlation, &case.means, &case.deviations, &case.corners, &case.warps);
        assert!((expected - drawn).abs() < allowed, "{seed}: {expected} {drawn} ± {standard_error} {case:?}");
        all_expected += expected;
        all_drawn += drawn;
    }
    // All cases together have less noise than each alone.
    assert!((all_expected / all_drawn - 1.0).abs() < together, "{all_expected} {all_drawn}");
}

/// With the shared factor drawn from the three nodes, all that is left are the steps of the axes.
#[test]
fn the_acquisition_is_the_mean_improvement_over_draws() {
    compare(of_three, 0.02, 0.005);
}

/// Three nodes are exact to a few per cent, also with strong correlation.
#[test]
fn three_nodes_approximate_a_normal_factor() {
    compare(|rng| rng.sample(StandardNormal), 0.06, 0.01);
}

/// Of one objective there is a formula: ∫ P(y < t) dt up to the best so far, which for a scale that is (nearly) a
/// straight line is Mockus' expected improvement, (b − μ) Φ(z) + σ φ(z) with z = (b − μ) / σ.
#[test]
fn for_one_objective_the_acquisition_is_the_expected_improvement() {
    // So narrow that the logarithm is straight over the range of the belief.
    let values: Vec<f64> = (0..=100).map(|step| 1000.0 + 0.01 * f64::from(step)).collect();
    let warp = Warp::fit(&values);
    let (best, corner) = (1000.3, [998.0, 1002.0]);
    let acquisition = Acquisition::new(&[vec![best]], &[corner], &[warp], None);
    for (mean, deviation) in [(-1.0, 0.5), (-0.5, 1.0), (-2.0, 0.2), (0.0, 0.7)] {
        let (mu, sigma) = (warp.inverse(mean), warp.inverse(0.0) - warp.inverse(-deviation));
        let z = (best - mu) / sigma;
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let expected = (best - mu) * 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2) + sigma * density;
        let found = acquisition.of(&[mean], &[deviation]) * (corner[1] - corner[0]);
        assert!((found - expected).abs() < 0.02 * expected + 1e-4, "{found} {expected}");
    }
}
