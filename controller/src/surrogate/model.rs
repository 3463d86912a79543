//! The surrogate of all objectives of a problem.

use std::sync::Arc;

use anyhow::Result;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::covariances::Block;
use super::joint::{Joint, Trained};
use super::process::{Posterior, Process};
use super::{Covariances, Encoder, Encoding, Hyperparameters, JointHyperparameters, Warp};
use crate::history::{Evaluation, History, Status};
use crate::objective::Objective;
use crate::problem::Problem;
use crate::target::Column;

/// Predicts each objective of a network from all measurements.
///
/// Time and energy of a network correlate, and so do the errors of their predictions. Objectives that follow from the
/// graph alone are computed, not predicted. Where networks were trained for a short schedule, the error after the full one
/// is predicted from both.
#[derive(Debug)]
pub struct Surrogate {
    objectives: Vec<Modelled>,
    start: Start,
}

/// Where the search for hyper-parameters starts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// By objective; may be short.
    pub single: Vec<Hyperparameters>,
    /// For an error with short trainings.
    pub joint: Option<JointHyperparameters>,
}

/// Which objectives are to be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predicted {
    /// All.
    All,
    /// All, for networks far from those that were measured, of which there may be few. Times and energies are nearly sums over
    /// layers: on the scale of their square roots ten measurements order the networks of a space better than on the usual
    /// one, whose level part has no values to predict.
    Everywhere,
    /// The error: everything else is measured.
    Error,
}

/// One objective: its scale, and its process unless the objective is exact.
#[derive(Debug)]
struct Modelled {
    objective: Objective,
    warp: Warp,
    learnt: Option<Learnt>,
}

#[derive(Debug)]
enum Learnt {
    Single {
        process: Process,
        points: Vec<Arc<Encoding>>,
        /// For each point the place of its evaluation.
        rows: Vec<usize>,
    },
    Joint {
        process: Joint,
        /// For each training the place of its evaluation, if it is a full one.
        rows: Vec<Option<usize>>,
    },
}

/// Two objectives with correlated errors of prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// Their places.
    pub pair: [usize; 2],
    /// Correlation of their errors, above 0 and below 1.
    pub strength: f64,
}

impl Surrogate {
    /// Largest number of evaluations that a surrogate should be fitted to: time grows with its cube, memory with its
    /// square. With this number, a round of a search for three objectives takes a second on two cores, and a search for two
    /// objectives at most 370 MB.
    pub const MOST: usize = 1000;
    /// Steps of a fit that begins at the default hyper-parameters.
    pub const FITTING: usize = 150;

    /// Fits to at most `most` evaluations of a history, from the default hyper-parameters.
    ///
    /// # Errors
    /// If an architecture gives no graph, or a value is not finite.
    pub fn of_history(
        problem: &Problem,
        history: &History,
        encoder: &mut Encoder,
        predicted: Predicted,
        most: usize,
        steps: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let known = history.training_subset(most);
        let points = encoder.encode_all(problem, known.iter().map(|evaluation| &evaluation.architecture))?;
        Self::fit(history.targets().columns(), &known, &points, predicted, &Start::default(), steps, rng)
    }

    /// Fits a process to each measured column of a search. `points` are the points of the evaluations, in their order.
    ///
    /// The missing values of a failed evaluation count as the worst measured ones; values that are missing for other
    /// reasons are left out.
    pub fn fit(
        columns: &[Column],
        evaluations: &[&Evaluation],
        points: &[Arc<Encoding>],
        predicted: Predicted,
        start: &Start,
        steps: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        // Seeds are drawn before the threads start, so that their order is always the same.
        let jobs: Vec<(usize, Objective, u64)> =
            columns.iter().enumerate().map(|(index, column)| (index, column.objective, rng.random())).collect();
        let fit = |(index, objective, seed): (usize, Objective, u64)| -> Result<Modelled> {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            if objective == Objective::Error && evaluations.iter().any(|evaluation| evaluation.short_error.is_some()) {
                return fit_joint(index, evaluations, points, start.joint, steps, &mut rng);
            }
            let (rows, values) = targets(evaluations, index, columns[index].target);
            let is_cost = matches!(objective, Objective::Time | Objective::Energy);
            let warp = match predicted {
                Predicted::Everywhere if is_cost => Warp::root(),
                _ => Warp::fit(&values),
            };
            let is_exact = points.first().is_some_and(|point| objective.computed(&point.cost).is_some());
            if is_exact || (predicted == Predicted::Error && objective != Objective::Error) {
                return Ok(Modelled { objective, warp, learnt: None });
            }
            let points: Vec<Arc<Encoding>> = rows.iter().map(|row| Arc::clone(&points[*row])).collect();
            let warped: Vec<f64> = values.iter().map(|value| warp.forward(*value)).collect();
            let from = start.single.get(index).copied().unwrap_or_default();
            let process = Process::fit(&borrowed(&points), &warped, from, steps, &mut rng)?;
            Ok(Modelled { objective, warp, learnt: Some(Learnt::Single { process, points, rows }) })
        };
        let objectives = jobs.into_par_iter().map(fit).collect::<Result<_>>()?;
        Ok(Self { objectives, start: start.clone() })
    }

    /// The fitted hyper-parameters, as the start of the next fit.
    pub fn hyperparameters(&self) -> Start {
        let mut start = self.start.clone();
        start.single.resize_with(self.objectives.len(), Hyperparameters::default);
        for (single, modelled) in start.single.iter_mut().zip(&self.objectives) {
            match &modelled.learnt {
                Some(Learnt::Single { process, .. }) => *single = process.hyperparameters,
                Some(Learnt::Joint { process, .. }) => start.joint = Some(process.hyperparameters),
                None => {}
            }
        }
        start
    }

    /// Whether the error is predicted from short trainings as well.
    pub fn is_joint(&self) -> bool {
        self.objectives.iter().any(|modelled| matches!(modelled.learnt, Some(Learnt::Joint { .. })))
    }

    /// The scale of each objective.
    pub fn warps(&self) -> Vec<Warp> {
        self.objectives.iter().map(|modelled| modelled.warp).collect()
    }

    /// Variance of a measurement's noise, by objective, on its scale.
    pub fn noise(&self) -> Vec<f64> {
        let of = |modelled: &Modelled| match &modelled.learnt {
            Some(Learnt::Single { process, .. }) => process.noise(),
            Some(Learnt::Joint { process, .. }) => process.noise(),
            None => 0.0,
        };
        self.objectives.iter().map(of).collect()
    }

    /// Predictions for some points, one for each objective, on its [`Warp`]; the deviations of exact values are 0. Values
    /// that are measured, and not to be predicted, are 0.
    pub fn predict(&self, points: &[Arc<Encoding>]) -> Vec<Posterior> {
        self.objectives.par_iter().map(|modelled| modelled.predict(points)).collect()
    }

    /// Covariances of some points of a prediction.
    pub fn covariances(&self, prediction: &[Posterior], points: &[Arc<Encoding>], chosen: &[usize]) -> Covariances {
        let of = |(modelled, posterior): (&Modelled, &Posterior)| match modelled.learnt.as_ref()? {
            Learnt::Single { process, .. } => {
                let matrix = process.covariance(posterior, &borrowed(points), chosen);
                Some(Block { matrix, noise: process.noise(), short_noise: None })
            }
            Learnt::Joint { process, .. } => {
                let points: Vec<Arc<Encoding>> = chosen.iter().map(|index| Arc::clone(&points[*index])).collect();
                let (noise, short_noise) = (process.noise(), Some(process.short_noise()));
                Some(Block { matrix: process.covariance(&points), noise, short_noise })
            }
        };
        Covariances(self.objectives.iter().zip(prediction).map(of).collect())
    }

    /// The pair among some columns with the highest correlation of leave-one-out residuals, if any is positive; its places are
    /// those among these columns.
    pub fn correlation(&self, columns: &[usize]) -> Option<Correlation> {
        let residuals: Vec<_> = columns.iter().map(|column| self.objectives[*column].residuals()).collect();
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
    /// Fewest full trainings whose residuals count beside short ones.
    const LEAST_FULL: usize = 10;

    fn predict(&self, points: &[Arc<Encoding>]) -> Posterior {
        match &self.learnt {
            Some(Learnt::Single { process, points: measured, .. }) => {
                process.posterior(&borrowed(measured), &borrowed(points))
            }
            Some(Learnt::Joint { process, .. }) => process.posterior(points),
            None => {
                let exact = points.iter().map(|point| self.objective.computed(&point.cost));
                Posterior::exact(exact.map(|value| value.map_or(0.0, |value| self.warp.forward(value))).collect())
            }
        }
    }

    /// Leave-one-out residuals with the places of their evaluations.
    fn residuals(&self) -> Option<Vec<(usize, f64)>> {
        match self.learnt.as_ref()? {
            Learnt::Single { process, rows, .. } => Some(rows.iter().copied().zip(process.residuals()).collect()),
            Learnt::Joint { process, rows } => {
                let full = rows.iter().flatten().count();
                let residuals = rows.iter().zip(process.residuals());
                (full >= Self::LEAST_FULL).then(|| residuals.filter_map(|(row, off)| Some(((*row)?, off))).collect())
            }
        }
    }
}

/// Fits the joint process to the short and the full errors, each on a scale of its own.
fn fit_joint(
    index: usize,
    evaluations: &[&Evaluation],
    points: &[Arc<Encoding>],
    from: Option<JointHyperparameters>,
    steps: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Modelled> {
    /// Fewest full trainings for a scale.
    const LEAST: usize = 3;
    let short = |row: &usize| evaluations[*row].short_error;
    let short: Vec<(usize, f64)> = (0..evaluations.len()).filter_map(|row| Some((row, short(&row)?))).collect();
    let (full, values) = targets(evaluations, index, None);
    let short_values: Vec<f64> = short.iter().map(|(_, value)| *value).collect();
    let short_warp = Warp::fit(&short_values);
    let warp = if values.len() < LEAST { short_warp } else { Warp::fit(&values) };
    let trained = |row: usize, is_full: bool| Trained { point: Arc::clone(&points[row]), is_full };
    let (mut rows, mut trainings, mut warped) = (Vec::new(), Vec::new(), Vec::new());
    for (row, value) in short {
        rows.push(None);
        trainings.push(trained(row, false));
        warped.push(short_warp.forward(value));
    }
    for (row, value) in full.into_iter().zip(values) {
        rows.push(Some(row));
        trainings.push(trained(row, true));
        warped.push(warp.forward(value));
    }
    // The first search begins at the medians of the prior.
    let steps = if from.is_some() { steps / 2 } else { 2 * steps };
    let process = Joint::fit(trainings, &warped, from.unwrap_or_default(), steps, rng)?;
    Ok(Modelled { objective: Objective::Error, warp, learnt: Some(Learnt::Joint { process, rows }) })
}

/// The values of a column that a process learns: places of evaluations and their values.
fn targets(evaluations: &[&Evaluation], index: usize, target: Option<usize>) -> (Vec<usize>, Vec<f64>) {
    let worst = evaluations.iter().filter_map(|evaluation| evaluation.values[index]).reduce(f64::max);
    let known = evaluations.iter().enumerate().filter_map(|(row, evaluation)| {
        let is_lost = match target {
            // Elsewhere it may not have been measured yet.
            Some(target) => evaluation.measured.get(target).copied().flatten() == Some(Status::Failed),
            None => matches!(evaluation.status, Status::Failed | Status::Diverged),
        };
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
