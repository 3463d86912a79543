//! Expected hypervolume improvement.

use crate::history::History;
use crate::pareto::Boxes;
use crate::surrogate::{Correlation, Surrogate, Warp};
use crate::target::Target;

/// The expected increase of the hypervolume by a network with objectives that are normal on their [`Warp`]s.
///
/// The volume is that of the objectives themselves, between the lower corner and the reference, as a share of the whole
/// box: the measure of a search. The expectation of a non-dominated box is the product of the expectations of its edges;
/// two objectives with correlated errors share a factor, which three Gauss–Hermite nodes integrate.
#[derive(Debug, Clone)]
pub(in crate::strategy) struct Acquisition {
    boxes: Boxes,
    axes: Vec<Axis>,
    correlation: Option<Correlation>,
    /// For each box and objective the places of its ends on the axis.
    edges: Vec<[usize; 2]>,
}

/// The values of one objective between the corners at which probabilities are computed.
#[derive(Debug, Clone)]
struct Axis {
    warp: Warp,
    lower: f64,
    upper: f64,
    warped: Vec<f64>,
    /// Distance to the lower end as a share of the whole.
    shares: Vec<f64>,
}

/// Nodes and weights of the Gauss–Hermite rule for a standard normal variable.
const NODES: [(f64, f64); 3] =
    [(-1.732_050_807_568_877_2, 1.0 / 6.0), (0.0, 2.0 / 3.0), (1.732_050_807_568_877_2, 1.0 / 6.0)];

impl Acquisition {
    /// Values on an axis besides the edges of boxes: between neighbours the probability is linear.
    const VALUES: usize = 40;
    /// Least standard deviation, on the warped scale: an exact value is almost a step.
    const LEAST_DEVIATION: f64 = 1e-3;

    /// The acquisition for the front of a target, on the scales of the surrogate. Imports extend the corners but are not on
    /// the front.
    pub fn of_target(history: &History, target: usize, surrogate: &Surrogate) -> Self {
        let (training_set, columns) = (history.training_set(), history.targets().places(target));
        let Target { objectives, bounds, .. } = history.targets().get(target);
        let mut corners = Vec::new();
        for (objective, column) in objectives.iter().zip(columns) {
            let measured: Vec<f64> = training_set.iter().filter_map(|evaluation| evaluation.values[*column]).collect();
            corners.push(corner(&measured, bounds.get(objective)));
        }
        let front: Vec<&[f64]> = history.archive(target).points().collect();
        let warps = history.targets().of(target, &surrogate.warps());
        Self::new(&front, &corners, &warps, surrogate.correlation(columns))
    }

    /// The acquisition for a front, between two corners.
    pub fn new<P: AsRef<[f64]>>(
        front: &[P],
        corners: &[[f64; 2]],
        warps: &[Warp],
        correlation: Option<Correlation>,
    ) -> Self {
        let [lower, upper] = [0, 1].map(|end| corners.iter().map(|corner| corner[end]).collect::<Vec<_>>());
        let boxes = Boxes::of_front(front, &lower, &upper);
        let axes = corners.iter().zip(warps).map(|(&[lower, upper], &warp)| Axis {
            warp,
            lower,
            upper,
            warped: Vec::new(),
            shares: Vec::new(),
        });
        let axes = axes.collect();
        let mut this = Self { boxes, axes, correlation, edges: Vec::new() };
        this.divide();
        this
    }

    /// Adds a network to the front as if it was measured with these means, which are on their warps.
    pub fn believe(&mut self, means: &[f64]) {
        let point: Vec<f64> = self.axes.iter().zip(means).map(|(axis, mean)| axis.warp.inverse(*mean)).collect();
        self.boxes.insert(&point);
        self.divide();
    }

    /// The expected improvement by a network, in 0..=1.
    pub fn of(&self, means: &[f64], deviations: &[f64]) -> f64 {
        let beliefs: Vec<(f64, f64)> = means
            .iter()
            .zip(deviations)
            .map(|(mean, deviation)| (*mean, deviation.max(Self::LEAST_DEVIATION)))
            .collect();
        let mut expected: Vec<Vec<f64>> =
            self.axes.iter().zip(&beliefs).map(|(axis, (mean, deviation))| axis.expected(*mean, *deviation)).collect();
        let Some(Correlation { pair, strength }) = self.correlation else { return self.volume(&expected) };
        let mut sum = 0.0;
        for (node, weight) in NODES {
            for index in pair {
                let (mean, deviation) = beliefs[index];
                let shifted = mean + deviation * strength.sqrt() * node;
                expected[index] = self.axes[index].expected(shifted, deviation * (1.0 - strength).sqrt());
            }
            sum += weight * self.volume(&expected);
        }
        sum
    }

    /// Sum over the boxes of the product of their edges' expectations.
    fn volume(&self, expected: &[Vec<f64>]) -> f64 {
        let product = |edges: &[[usize; 2]]| -> f64 {
            edges.iter().zip(expected).map(|([from, to], expected)| expected[*to] - expected[*from]).product()
        };
        self.edges.chunks_exact(self.axes.len()).map(product).sum()
    }

    /// Places the edges of the boxes on the axes.
    fn divide(&mut self) {
        let mut values = Vec::new();
        for (index, axis) in self.axes.iter_mut().enumerate() {
            let ends = self.boxes.cells.iter().flat_map(|cell| [cell.lower[index], cell.upper[index]]);
            values.push(axis.divide(ends));
        }
        let cells = self.boxes.cells.iter();
        let edges = cells.flat_map(|cell| {
            let place = |index: usize, value: f64| values[index].partition_point(|other| *other < value);
            (0..values.len())
                .map(|index| [place(index, cell.lower[index]), place(index, cell.upper[index])])
                .collect::<Vec<_>>()
        });
        self.edges = edges.collect();
    }
}

impl Axis {
    /// Places the ends of boxes on the axis, with values in between; returns all of them, rising.
    fn divide(&mut self, ends: impl Iterator<Item = f64>) -> Vec<f64> {
        let (low, high) = (self.warp.forward(self.lower), self.warp.forward(self.upper));
        // Evenly on the scale of the predictions, where they are normal.
        let between = (0..=Acquisition::VALUES).map(|step| {
            let share = step as f64 / Acquisition::VALUES as f64;
            self.warp.inverse(low + (high - low) * share).clamp(self.lower, self.upper)
        });
        let mut values: Vec<f64> = ends.chain(between).chain([self.lower, self.upper]).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        self.warped = values.iter().map(|value| self.warp.forward(*value)).collect();
        self.shares = values.iter().map(|value| (value - self.lower) / (self.upper - self.lower)).collect();
        values
    }

    /// For every value on the axis the expected length up to it that a normal belief dominates.
    fn expected(&self, mean: f64, deviation: f64) -> Vec<f64> {
        let inverse = 1.0 / (deviation * std::f64::consts::SQRT_2);
        let (mut sum, mut before) = (0.0, None);
        let places = self.warped.iter().zip(&self.shares);
        places
            .map(|(warped, share)| {
                let probability = 0.5 * libm::erfc((mean - warped) * inverse);
                if let Some((last, from)) = before {
                    sum += 0.5 * (last + probability) * (share - from);
                }
                before = Some((probability, *share));
                sum
            })
            .collect()
    }
}

/// The ends of an objective's range.
///
/// The lower end is half a standard deviation (of the logarithm) below the best, so that better values count more; the
/// upper a tenth of the range above the worst, so that the ends of the front count. A bound takes the place of the worst
/// as soon as a value is well within it; before that, the upper end is the better third of the measured values.
fn corner(values: &[f64], bound: Option<f64>) -> [f64; 2] {
    const ROOM: f64 = 0.5;
    const MARGIN: f64 = 0.1;
    const WELL_WITHIN: f64 = 0.9;
    const BETTER: f64 = 0.3;
    let mut sorted: Vec<f64> = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (sorted.first(), sorted.last()) else { return [0.0, 1.0] };
    let positive: Vec<f64> = sorted.iter().filter(|value| **value > 0.0).map(|value| value.ln()).collect();
    let mean = positive.iter().sum::<f64>() / positive.len().max(1) as f64;
    let variance = positive.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / positive.len().max(1) as f64;
    let lower = least * (-ROOM * variance.sqrt()).exp();
    let upper = match bound {
        Some(bound) if least < WELL_WITHIN * bound => bound,
        Some(_) => sorted[(BETTER * (sorted.len() - 1) as f64) as usize],
        None => most + MARGIN * (most - least),
    };
    // A constant objective has no extent: any will do.
    if upper > lower { [lower, upper] } else { [lower, lower + lower.abs().max(1.0)] }
}

#[cfg(test)]
mod oracle_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pareto::hypervolume;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    const FRONT: [[f64; 3]; 4] = [[1.0, 8.0, 9.0], [2.0, 5.0, 4.0], [4.0, 3.0, 5.0], [6.0, 2.0, 2.0]];
    const CORNERS: [[f64; 2]; 3] = [[0.5, 8.0], [1.0, 10.0], [1.0, 12.0]];

    fn warps() -> Vec<Warp> {
        (0..3).map(|index| Warp::fit(&FRONT.map(|point| point[index]))).collect()
    }

    /// The mean improvement over many draws, with the two correlated objectives drawn together.
    fn simulated(means: [f64; 3], deviations: [f64; 3], correlation: Option<Correlation>) -> f64 {
        let [lower, upper] = [0, 1].map(|end| CORNERS.map(|corner| corner[end]));
        let total: f64 = lower.iter().zip(&upper).map(|(low, high)| high - low).product();
        let before = hypervolume(&FRONT, &upper);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws = 60_000;
        let improvement = |rng: &mut ChaCha8Rng| {
            let mut normal = [0.0; 3].map(|_: f64| rng.sample::<f64, _>(StandardNormal));
            if let Some(Correlation { pair: [first, second], strength }) = correlation {
                normal[second] = strength * normal[first] + (1.0 - strength * strength).sqrt() * normal[second];
            }
            let value = |index: usize| {
                warps()[index].inverse(means[index] + deviations[index] * normal[index]).max(lower[index])
            };
            let mut points = FRONT.to_vec();
            points.push([value(0), value(1), value(2)]);
            hypervolume(&points, &upper) - before
        };
        (0..draws).map(|_| improvement(&mut rng)).sum::<f64>() / f64::from(draws) / total
    }

    #[test]
    fn equals_the_mean_over_many_draws() {
        let cases =
            [([-1.0, 0.5, 0.3], [0.5, 0.4, 0.6]), ([0.2, -0.8, -0.7], [0.3, 0.3, 0.3]), ([1.0, 1.0, 1.0], [0.8; 3])];
        for strength in [None, Some(0.6)] {
            let correlation = strength.map(|strength| Correlation { pair: [1, 2], strength });
            let acquisition = Acquisition::new(&FRONT, &CORNERS, &warps(), correlation);
            for (means, deviations) in cases {
                let (exact, drawn) = (acquisition.of(&means, &deviations), simulated(means, deviations, correlation));
                // The draws scatter by about a third of this.
                assert!((exact - drawn).abs() < 0.03 * drawn + 5e-5, "{exact} {drawn}");
            }
        }
    }

    #[test]
    fn a_believed_point_has_no_further_improvement() {
        let mut acquisition = Acquisition::new(&FRONT, &CORNERS, &warps(), None);
        let (sure, unsure) = ([0.0; 3], [0.3; 3]);
        let means = [-0.5, -0.2, 0.1];
        let before = (acquisition.of(&means, &sure), acquisition.of(&means, &unsure));
        acquisition.believe(&means);
        // A sure value is a step, of which the values beside it make a slope.
        let left = acquisition.of(&means, &sure);
        assert!(before.0 > 1e-3 && left < 0.15 * before.0, "{before:?} {left}");
        assert!(acquisition.of(&means, &unsure) < before.1);
    }
}
