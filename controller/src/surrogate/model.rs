//! The surrogate of all objectives of a problem.

use std::sync::Arc;

use anyhow::Result;
use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::process::{Posterior, Process};
use super::{Encoding, Hyperparameters, Warp};
use crate::history::{Evaluation, Status};
use crate::objective::{Objective, Objectives};

/// Predicts each objective of a network from all measurements.
///
/// Time and energy of a network correlate, and so do the errors of their predictions. Objectives that follow from the
/// graph alone are computed, not predicted.
#[derive(Debug)]
pub struct Surrogate {
    objectives: Vec<Modelled>,
}

/// One objective: its scale, and its process unless the objective is exact.
#[derive(Debug)]
struct Modelled {
    objective: Objective,
    warp: Warp,
    learnt: Option<Learnt>,
}

#[derive(Debug)]
struct Learnt {
    process: Process,
    points: Vec<Arc<Encoding>>,
    /// For each point the place of its evaluation.
    rows: Vec<usize>,
}

/// Two objectives with correlated errors of prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// Places among the objectives.
    pub pair: [usize; 2],
    /// Correlation of their errors, above 0 and below 1.
    pub strength: f64,
}

impl Surrogate {
    /// Largest number of evaluations that a surrogate should be fitted to: time grows with its cube, memory with its
    /// square. With this number, a round of a search for three objectives takes a second on two cores, and a search for two
    /// objectives at most 370 MB.
    pub const MOST: usize = 1000;

    /// Fits a process to each measured objective. `points` are the points of the evaluations, in their order; `start`
    /// holds the first hyper-parameters by objective, and may be short.
    ///
    /// The missing values of a failed evaluation count as the worst measured ones; values that are missing for other
    /// reasons are left out.
    pub fn fit(
        objectives: &Objectives,
        evaluations: &[&Evaluation],
        points: &[Arc<Encoding>],
        start: &[Hyperparameters],
        steps: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        // Seeds are drawn before the threads start, so that their order is always the same.
        let jobs: Vec<(usize, Objective, u64)> =
            objectives.iter().enumerate().map(|(index, objective)| (index, objective, rng.random())).collect();
        let fit = |(index, objective, seed): (usize, Objective, u64)| -> Result<Modelled> {
            let (rows, values) = targets(evaluations, index);
            let warp = Warp::fit(&values);
            let is_exact = points.first().is_some_and(|point| objective.computed(&point.cost).is_some());
            if is_exact {
                return Ok(Modelled { objective, warp, learnt: None });
            }
            let points: Vec<Arc<Encoding>> = rows.iter().map(|row| Arc::clone(&points[*row])).collect();
            let warped: Vec<f64> = values.iter().map(|value| warp.forward(*value)).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let from = start.get(index).copied().unwrap_or_default();
            let process = Process::fit(&borrowed(&points), &warped, from, steps, &mut rng)?;
            Ok(Modelled { objective, warp, learnt: Some(Learnt { process, points, rows }) })
        };
        let objectives = jobs.into_par_iter().map(fit).collect::<Result<_>>()?;
        Ok(Self { objectives })
    }

    /// The fitted hyper-parameters by objective, as the start of the next fit.
    pub fn hyperparameters(&self) -> Vec<Hyperparameters> {
        let of = |modelled: &Modelled| modelled.learnt.as_ref().map(|learnt| learnt.process.hyperparameters);
        self.objectives.iter().map(|modelled| of(modelled).unwrap_or_default()).collect()
    }

    /// The scale of each objective.
    pub fn warps(&self) -> Vec<Warp> {
        self.objectives.iter().map(|modelled| modelled.warp).collect()
    }

    /// Variance of a measurement's noise, by objective, on its scale.
    pub fn noise(&self) -> Vec<f64> {
        let of = |modelled: &Modelled| modelled.learnt.as_ref().map_or(0.0, |learnt| learnt.process.noise());
        self.objectives.iter().map(of).collect()
    }

    /// Predictions for some points, one for each objective, on its [`Warp`]; the deviations of exact values are 0.
    pub fn predict(&self, points: &[Arc<Encoding>]) -> Vec<Posterior> {
        self.objectives.par_iter().map(|modelled| modelled.predict(points)).collect()
    }

    /// Covariances of some points of a prediction, by objective: `[chosen, chosen]`; `None` for an exact objective.
    pub fn covariances(
        &self,
        prediction: &[Posterior],
        points: &[Arc<Encoding>],
        chosen: &[usize],
    ) -> Vec<Option<Mat<f64>>> {
        let points = borrowed(points);
        let of = |(modelled, posterior): (&Modelled, &Posterior)| {
            let process = &modelled.learnt.as_ref()?.process;
            Some(process.covariance(posterior, &points, chosen))
        };
        self.objectives.iter().zip(prediction).map(of).collect()
    }

    /// The pair of objectives with the highest correlation of leave-one-out residuals, if any is positive.
    pub fn correlation(&self) -> Option<Correlation> {
        let residuals: Vec<_> = self.objectives.iter().map(Modelled::residuals).collect();
        let pairs = (0..residuals.len()).flat_map(|second| (0..second).map(move |first| [first, second]));
        let strengths = pairs.filter_map(|pair| {
            let [first, second] = pair.map(|index| residuals[index].as_deref());
            Some(Correlation { pair, strength: correlation_of(first?, second?)?.min(Correlation::MOST) })
        });
        strengths.filter(|found| found.strength > 0.0).max_by(|a, b| a.strength.total_cmp(&b.strength))
    }
}

impl Correlation {
    /// Below 1: the acquisition divides by the part of the errors that is not shared.
    const MOST: f64 = 0.98;
}

impl Modelled {
    fn predict(&self, points: &[Arc<Encoding>]) -> Posterior {
        match &self.learnt {
            Some(learnt) => learnt.process.posterior(&borrowed(&learnt.points), &borrowed(points)),
            None => {
                let exact = points.iter().filter_map(|point| self.objective.computed(&point.cost));
                Posterior::exact(exact.map(|value| self.warp.forward(value)).collect())
            }
        }
    }

    /// Leave-one-out residuals with the places of their evaluations.
    fn residuals(&self) -> Option<Vec<(usize, f64)>> {
        let learnt = self.learnt.as_ref()?;
        Some(learnt.rows.iter().copied().zip(learnt.process.residuals()).collect())
    }
}

/// The targets of an objective: places of evaluations and their values.
fn targets(evaluations: &[&Evaluation], index: usize) -> (Vec<usize>, Vec<f64>) {
    let worst = evaluations.iter().filter_map(|evaluation| evaluation.values[index]).reduce(f64::max);
    let known = evaluations.iter().enumerate().filter_map(|(row, evaluation)| {
        let is_lost = matches!(evaluation.status, Status::Failed | Status::Diverged);
        Some((row, evaluation.values[index].or(worst.filter(|_| is_lost))?))
    });
    known.unzip()
}

/// Pearson correlation over the common rows of two lists, both by rising row; `None` for fewer than three pairs or if one
/// is constant.
fn correlation_of(first: &[(usize, f64)], second: &[(usize, f64)]) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = first
        .iter()
        .filter_map(|(row, a)| {
            let place = second.binary_search_by_key(row, |(row, _)| *row).ok()?;
            Some((*a, second[place].1))
        })
        .collect();
    let count = pairs.len() as f64;
    let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0 / count, b + pair.1 / count));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let (aa, bb) = (sum(&|pair| (pair.0 - a).powi(2)), sum(&|pair| (pair.1 - b).powi(2)));
    let correlation = sum(&|pair| (pair.0 - a) * (pair.1 - b)) / (aa * bb).sqrt();
    (pairs.len() > 2 && correlation.is_finite()).then_some(correlation)
}

fn borrowed(points: &[Arc<Encoding>]) -> Vec<&Encoding> {
    points.iter().map(AsRef::as_ref).collect()
}
