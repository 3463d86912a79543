//! Main effects: how much each choice changes an objective, averaged over the space, as the surrogate has it.

use std::sync::Arc;

use anyhow::Result;
use child::space::Architecture;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::history::History;
use crate::objective::Objective;
use crate::problem::Problem;
use crate::surrogate::{Encoder, Encoding, Predicted, Surrogate};

/// The effects of all decisions on one objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Effects {
    pub objective: Objective,
    pub decisions: Vec<DecisionEffects>,
}

/// The effects of one decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DecisionEffects {
    pub name: String,
    /// Share of the variation that all decisions together explain, 0 to 1.
    pub importance: f64,
    pub choices: Vec<Effect>,
}

/// The effect of one choice against the mean over all choices of its decision, in the objective's unit, with a 95 %
/// interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Effect {
    pub name: String,
    pub effect: f64,
    pub low: f64,
    pub high: f64,
}

/// Fewest trained networks for a surrogate that says something.
const LEAST: usize = 12;
/// Most networks that it is fitted to: a report should be there at once.
const FITTED: usize = 300;
/// Steps of the search for its hyper-parameters.
const STEPS: usize = 40;
/// Random architectures that each choice is put into.
const BACKGROUNDS: usize = 16;
/// Half the width of a 95 % interval, in standard deviations.
const HALF_WIDTH: f64 = 1.96;

/// The main effects of a search's decisions; none with too few networks.
pub(super) fn effects(problem: &Problem, history: &History) -> Result<Vec<Effects>> {
    if history.evaluations().iter().filter(|evaluation| evaluation.complete().is_some()).count() < LEAST {
        return Ok(Vec::new());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut encoder = Encoder::new(problem)?;
    let surrogate = Surrogate::of_history(problem, history, &mut encoder, Predicted::All, FITTED, STEPS, &mut rng)?;
    let backgrounds: Vec<Architecture> = (0..BACKGROUNDS).map(|_| problem.space().random(&mut rng)).collect();
    let mut all: Vec<Effects> =
        problem.objectives().iter().map(|objective| Effects { objective, decisions: Vec::new() }).collect();
    for (index, decision) in problem.space().decisions().iter().enumerate() {
        let mut points = Vec::new();
        for choice in 0..decision.choices.len() {
            for background in &backgrounds {
                let mut choices = background.choices().to_vec();
                choices[index] = choice;
                points.push(encoder.encode(problem, &Architecture::new(choices))?);
            }
        }
        let names: Vec<&str> = decision.choices.iter().map(String::as_str).collect();
        for (effects, of_choices) in all.iter_mut().zip(of_decision(&surrogate, &points, &names)) {
            let squares = of_choices.iter().map(|choice| choice.effect.powi(2)).sum::<f64>();
            let importance = squares / of_choices.len().max(1) as f64;
            effects.decisions.push(DecisionEffects { name: decision.name.clone(), importance, choices: of_choices });
        }
    }
    for effects in &mut all {
        let whole: f64 = effects.decisions.iter().map(|decision| decision.importance).sum();
        effects.decisions.iter_mut().for_each(|decision| decision.importance /= whole.max(f64::MIN_POSITIVE));
    }
    Ok(all)
}

/// By objective, the effects of a decision's choices. `points` has the backgrounds of the first choice, then those of the
/// second, and so on.
fn of_decision(surrogate: &Surrogate, points: &[Arc<Encoding>], names: &[&str]) -> Vec<Vec<Effect>> {
    let prediction = surrogate.predict(points);
    let covariances = surrogate.covariances(&prediction, points, &(0..points.len()).collect::<Vec<_>>());
    let (count, each) = (points.len() as f64, points.len() / names.len().max(1));
    let of_objective =
        |(objective, (posterior, warp)): (usize, (&crate::surrogate::Posterior, crate::surrogate::Warp))| {
            let centre = posterior.means.iter().sum::<f64>() / count;
            let of_choice = |(choice, name): (usize, &&str)| {
                let is_own = |place: usize| place / each == choice;
                let weight = |place: usize| f64::from(u8::from(is_own(place))) / each as f64 - 1.0 / count;
                let weights: Vec<f64> = (0..points.len()).map(weight).collect();
                let effect: f64 = weights.iter().zip(&posterior.means).map(|(weight, mean)| weight * mean).sum();
                let deviation = covariances.variance_of_sum(objective, &weights).unwrap_or(0.0).sqrt();
                let in_unit = |effect: f64| warp.inverse(centre + effect) - warp.inverse(centre);
                Effect {
                    name: (*name).to_owned(),
                    effect: in_unit(effect),
                    low: in_unit(effect - HALF_WIDTH * deviation),
                    high: in_unit(effect + HALF_WIDTH * deviation),
                }
            };
            names.iter().enumerate().map(of_choice).collect()
        };
    prediction.iter().zip(surrogate.warps()).enumerate().map(of_objective).collect()
}
