//! Least squares of a pattern of two levels.

use crate::meter::Point;
use crate::statistics::median;

/// Offset and pace.
pub(super) type Place = (f64, f64);

/// Misfit below which fits count as equal: noise of a thousandth of the contrast, less than any meter has.
const LEAST_MISFIT: f64 = 1e-6;

/// A trace and a pattern, all times in s from the beginning of each.
///
/// An instant `u` of the pattern is `offset + pivot + (1 + rate) (u − pivot)` in the trace. With the middle of the
/// edges as the pivot, errors of offset and rate are independent.
pub(super) struct Fit {
    times: Vec<f64>,
    /// Power less its mean, in mW, so that sums of squares keep their precision.
    powers: Vec<f64>,
    mean: f64,
    /// Sums of powers and of their squares up to each sample.
    sums: Vec<f64>,
    squares: Vec<f64>,
    edges: Vec<f64>,
    length: f64,
    largest_rate: f64,
    pub pivot: f64,
    /// Median time between samples.
    pub spacing: f64,
}

/// The best levels at one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    pub idle: f64,
    pub contrast: f64,
    /// Standard deviation around them.
    pub noise: f64,
    /// Share of the variance that they explain.
    pub explained: f64,
    pub samples: f64,
    /// Share of samples under load.
    pub share: f64,
}

/// A place with its uncertainty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub place: Place,
    pub deviation: Place,
    /// Whether readings fit better as means over the time between them than as instants.
    pub averaging: bool,
    pub levels: Levels,
}

impl Levels {
    /// Share of the variance that is not explained.
    pub fn misfit(&self) -> f64 {
        (1.0 - self.explained).max(LEAST_MISFIT)
    }
}

impl Fit {
    pub fn new(points: &[Point], edges: Vec<f64>, length: f64, largest_rate: f64) -> Self {
        let first_ns = points.first().map_or(0, |point| point.at_ns);
        let times: Vec<f64> = points.iter().map(|point| (point.at_ns - first_ns) as f64 / 1e9).collect();
        let mean = points.iter().map(|point| point.power_mw).sum::<f64>() / points.len().max(1) as f64;
        let powers: Vec<f64> = points.iter().map(|point| point.power_mw - mean).collect();
        let running = |value: fn(f64) -> f64| {
            let sums = powers.iter().scan(0.0, |sum, &power| {
                *sum += value(power);
                Some(*sum)
            });
            [0.0].into_iter().chain(sums).collect::<Vec<f64>>()
        };
        let (sums, squares) = (running(|power| power), running(|power| power * power));
        let spacing = median(times.windows(2).map(|two| two[1] - two[0]).collect()).unwrap_or(0.0);
        let pivot = edges.iter().sum::<f64>() / edges.len().max(1) as f64;
        Self { times, powers, mean, sums, squares, edges, length, largest_rate, pivot, spacing }
    }

    pub fn trace_s(&self) -> f64 {
        self.times.last().copied().unwrap_or(0.0)
    }

    /// Standard deviation of the whole trace.
    pub fn deviation(&self) -> f64 {
        let squares = self.squares.last().copied().unwrap_or(0.0);
        (squares / self.times.len().max(1) as f64).sqrt()
    }

    /// Time in the trace of an instant of the pattern.
    fn at(&self, (offset, rate): Place, instant: f64) -> f64 {
        offset + self.pivot + (1.0 + rate) * (instant - self.pivot)
    }

    /// The best place, the best other place that is not on its slope, and the steps of offset and rate: of every offset, in
    /// steps of a sample, or of an eighth of the pattern's shortest part if that is longer, and of every rate in steps that
    /// move the pattern's end by as much.
    pub fn coarse(&self, shortest: f64) -> Option<(Place, Option<Place>, Place)> {
        /// Bounds of the search, in steps of the trace and of the pattern.
        const MOST_STEPS: f64 = 200_000.0;
        const MOST_STEPS_OF_PATTERN: f64 = 4_000.0;
        let bounded = (self.trace_s() / MOST_STEPS).max(self.length / MOST_STEPS_OF_PATTERN);
        let step = self.spacing.max(shortest / 8.0).max(bounded).max(1e-9);
        let turns = (self.largest_rate * self.length / 2.0 / step).ceil() as i32;
        let rate_step = if turns == 0 { 0.0 } else { self.largest_rate / f64::from(turns) };
        // The pattern may begin a sample before the trace, and end a sample after it.
        let first_offset = -self.spacing - self.largest_rate * self.pivot;
        let last_offset = self.trace_s() + self.spacing - self.length * (1.0 - self.largest_rate);
        let count = ((last_offset - first_offset) / step).floor().max(0.0) as usize + 1;
        let explained = |place: &Place| {
            let (from, to) = (self.at(*place, 0.0), self.at(*place, self.length));
            let is_within = from >= -self.spacing && to <= self.trace_s() + self.spacing;
            is_within.then(|| self.levels(*place, 0.0).map_or(0.0, |levels| levels.explained))
        };
        let best_rate = |index: usize| {
            let offset = first_offset + index as f64 * step;
            let places = (-turns..=turns).map(|turn| (offset, rate_step * f64::from(turn)));
            let scored = places.filter_map(|place| Some((place, explained(&place)?)));
            scored.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(((offset, 0.0), f64::NEG_INFINITY))
        };
        let (best, rival) = two_best(&(0..count).map(best_rate).collect::<Vec<_>>())?;
        Some((best, rival, (step, rate_step)))
    }

    /// The levels at a place, if each sample is the mean over a width around its time; `None` if load does not draw
    /// more than idle.
    fn levels(&self, place: Place, width: f64) -> Option<Levels> {
        let half = width / 2.0;
        let before = |time: f64| self.times.partition_point(|at| *at < time);
        let until = |time: f64| self.times.partition_point(|at| *at <= time);
        let (from, to) = (before(self.at(place, 0.0)), until(self.at(place, self.length)));
        if to <= from + 3 {
            return None;
        }
        let sum = |sums: &[f64], from: usize, to: usize| sums[to] - sums[from];
        // Sums of the pattern, of its square, and of its product with power.
        let (mut x, mut xx, mut xy) = (0.0, 0.0, 0.0);
        let mut next = from;
        for (number, edge) in self.edges.iter().enumerate() {
            let edge = self.at(place, *edge);
            let start = until(edge - half).clamp(next, to);
            let end = before(edge + half).clamp(start, to);
            if number % 2 == 1 {
                let count = (start - next) as f64;
                (x, xx, xy) = (x + count, xx + count, xy + sum(&self.sums, next, start));
            }
            for index in start..end {
                let load = self.load(place, self.times[index], width);
                (x, xx, xy) = (x + load, xx + load * load, xy + load * self.powers[index]);
            }
            next = end;
        }
        let samples = (to - from) as f64;
        let (y, yy) = (sum(&self.sums, from, to), sum(&self.squares, from, to));
        let (cxx, cxy, cyy) = (xx - x * x / samples, xy - x * y / samples, yy - y * y / samples);
        let contrast = cxy / cxx;
        if !(cxx > 0.0 && cyy > 0.0 && contrast > 0.0) {
            return None;
        }
        let explained = (cxy * cxy / (cxx * cyy)).clamp(0.0, 1.0);
        Some(Levels {
            idle: self.mean + (y - contrast * x) / samples,
            contrast,
            noise: (cyy * (1.0 - explained) / (samples - 2.0)).max(0.0).sqrt(),
            explained,
            samples,
            share: x / samples,
        })
    }

    /// Share of load in a width around a time.
    fn load(&self, place: Place, time: f64, width: f64) -> f64 {
        let (from, to) = (time - width / 2.0, time + width / 2.0);
        let overlap = |load: &[f64]| {
            let (start, end) = (self.at(place, load[0]), self.at(place, load[1]));
            (end.min(to) - start.max(from)).max(0.0)
        };
        self.edges.chunks_exact(2).map(overlap).sum::<f64>() / width
    }

    /// Offset and rate around a place, as means over the likelihood, on a grid that narrows until it covers just the
    /// likelihood. For samples that are instants, and for samples that are means over the time between them.
    pub fn refine(&self, place: Place, steps: Place, independent: f64) -> Option<Found> {
        const NODES: i32 = 10;
        const ROUNDS: usize = 12;
        let (mut centre, mut half) = (place, (1.5 * steps.0, 1.5 * steps.1));
        let mut found = None;
        for _ in 0..ROUNDS {
            let mut nodes = Vec::new();
            let turns = if half.1 > 0.0 { NODES } else { 0 };
            for i in -NODES..=NODES {
                for j in -turns..=turns {
                    let node = |half: f64, turn: i32| half * f64::from(turn) / f64::from(NODES);
                    let at = (centre.0 + node(half.0, i), centre.1 + node(half.1, j));
                    if at.1.abs() > self.largest_rate * (1.0 + 1e-9) {
                        continue;
                    }
                    for width in [0.0, self.spacing] {
                        nodes.extend(self.levels(at, width).map(|levels| (at, width, levels)));
                    }
                }
            }
            let best = nodes.iter().min_by(|a, b| a.2.misfit().total_cmp(&b.2.misfit()))?;
            let scale = best.2.samples * independent / 2.0;
            let weight = |levels: &Levels| (scale * (best.2.misfit().ln() - levels.misfit().ln())).exp();
            let weights: Vec<f64> = nodes.iter().map(|(.., levels)| weight(levels)).collect();
            let all: f64 = weights.iter().sum();
            let weighted = |value: &dyn Fn(Place) -> f64| {
                nodes.iter().zip(&weights).map(|((at, ..), weight)| weight * value(*at)).sum::<f64>() / all
            };
            let mean = (weighted(&|at| at.0), weighted(&|at| at.1));
            let variance = (weighted(&|at| (at.0 - mean.0).powi(2)), weighted(&|at| (at.1 - mean.1).powi(2)));
            let deviation = (variance.0.sqrt(), variance.1.sqrt());
            found = Some(Found { place: mean, deviation, averaging: best.1 > 0.0, levels: best.2 });
            // A likelihood narrower than the grid has one node.
            let narrowed = |half: f64, deviation: f64| (5.0 * deviation).max(1.5 * half / f64::from(NODES)).min(half);
            let next = (narrowed(half.0, deviation.0), narrowed(half.1, deviation.1));
            let done = next.0 > 0.6 * half.0 && next.1 >= 0.6 * half.1;
            (centre, half) = (mean, next);
            if done {
                break;
            }
        }
        found
    }

    /// Number of independent samples that each sample is worth, from the correlation of neighbouring residuals, as for
    /// an autoregression of first order.
    pub fn independent_share(&self, found: &Found) -> f64 {
        let place = found.place;
        let width = if found.averaging { self.spacing } else { 1e-9 };
        let from = self.times.partition_point(|at| *at < self.at(place, 0.0));
        let to = self.times.partition_point(|at| *at <= self.at(place, self.length));
        let residual = |index: usize| {
            let load = self.load(place, self.times[index], width);
            self.powers[index] + self.mean - found.levels.idle - found.levels.contrast * load
        };
        let residuals: Vec<f64> = (from..to).map(residual).collect();
        let variance: f64 = residuals.iter().map(|residual| residual * residual).sum();
        let common: f64 = residuals.windows(2).map(|two| two[0] * two[1]).sum();
        let correlation = if variance > 0.0 { (common / variance).clamp(0.0, 0.9999) } else { 0.0 };
        (1.0 - correlation) / (1.0 + correlation)
    }
}

/// The best place of those at each offset, each with the share that it explains, and the best other one that is not on
/// its slope.
fn two_best(places: &[(Place, f64)]) -> Option<(Place, Option<Place>)> {
    /// Share of the best score by which a slope may rise again.
    const BUMP: f64 = 0.05;
    let score = |index: usize| places[index].1;
    let best = (0..places.len()).max_by(|&a, &b| score(a).total_cmp(&score(b)))?;
    if score(best) == f64::NEG_INFINITY {
        return None;
    }
    let foot = |indices: &mut dyn Iterator<Item = usize>| {
        let mut lowest = score(best);
        let mut last = best;
        for index in indices {
            if score(index) > lowest + BUMP * score(best) {
                break;
            }
            lowest = lowest.min(score(index));
            last = index;
        }
        last
    };
    let start = foot(&mut (0..best).rev());
    let end = foot(&mut (best + 1..places.len()));
    let others = (0..start).chain(end + 1..places.len()).filter(|&index| score(index) > 0.0);
    let rival = others.max_by(|&a, &b| score(a).total_cmp(&score(b)));
    Some((places[best].0, rival.map(|rival| places[rival].0)))
}
