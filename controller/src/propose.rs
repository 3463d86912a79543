//! Answers out of a search: its policy proposes architectures for a preference or for bounds, without another
//! evaluation, and a surrogate fitted to what was measured says what they are likely to be.

use std::collections::HashSet;

use child::space::Architecture;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::history::{Evaluation, History};
use crate::objective::{Bounds, Objectives};
use crate::policy::Policy;
use crate::preference::Preference;
use crate::reward::Reward;
use crate::strategy::{Problem, StrategyError};
use crate::surrogate::{Encoder, Surrogate, Warp};

/// A proposed architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// The architecture.
    pub architecture: Architecture,
    /// What each objective is likely to be, in their order.
    pub expected: Vec<Expected>,
    /// Probability of keeping every bound, the objectives being taken for independent; 1 without bounds.
    pub keeps_bounds: f64,
    /// What is known of the network, where it was evaluated.
    pub measured: Option<Evaluation>,
}

/// A prediction of one objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Expected {
    /// Median of the prediction.
    pub value: f64,
    /// One standard deviation better, on the surrogate's scale.
    pub low: f64,
    /// One standard deviation worse. Neither end holds the noise of a single measurement.
    pub high: f64,
}

impl Expected {
    fn new(warp: &Warp, mean: f64, deviation: f64) -> Self {
        let [value, low, high] = [mean, mean - deviation, mean + deviation].map(|place| warp.inverse(place));
        Self { value, low, high }
    }

    /// Half of the distance between the ends.
    pub fn deviation(&self) -> f64 {
        0.5 * (self.high - self.low)
    }
}

/// Architectures drawn at the preference, and as many again over all preferences where there are bounds: nobody
/// knows which preference stands at a bound.
const DRAWS: usize = 400;
/// Steps of the fit of the surrogate, which begins anew.
const FITTING: usize = 150;
/// Probability of keeping the bounds from which on an architecture is taken for one that does.
pub(crate) const LIKELY: f64 = 0.5;

/// The preference of somebody who names only bounds: the objectives without one matter alike, for what is bounded is
/// good enough within its bound. All of them matter where all are bounded.
pub fn preference_beside(bounds: &Bounds, objectives: &Objectives) -> Preference {
    let is_free: Vec<bool> = objectives.iter().map(|objective| bounds.get(objective).is_none()).collect();
    let free = is_free.iter().filter(|is_free| **is_free).count();
    let weights: Vec<f64> = is_free.iter().map(|is_free| f64::from(u8::from(*is_free)) / free as f64).collect();
    Preference::new(weights).unwrap_or_else(|_| Preference::uniform(objectives.len()))
}

/// Up to `count` architectures for a preference under the bounds of `history`, the best first.
///
/// Those that are likely to keep the bounds come before the others; among them the one whose expected values, or
/// measured ones where it was evaluated, have the best scalarised reward. Besides what the policy draws, everything
/// evaluated is looked at.
///
/// # Errors
/// If the policy is of another space, or the surrogate cannot be fitted.
pub fn propose(
    problem: &Problem,
    history: &History,
    policy: &Policy,
    preference: &Preference,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Proposed>, StrategyError> {
    let mut encoder = Encoder::new(problem)?;
    let known = history.most_instructive(Surrogate::MOST);
    let points = encoder.encode_all(problem, known.iter().map(|evaluation| &evaluation.architecture))?;
    let surrogate = Surrogate::fit(history.objectives(), &known, &points, &[], FITTING, rng)?;
    let candidates = candidates(problem, history, policy, preference, rng)?;
    let prediction = surrogate.predict(&encoder.encode_all(problem, &candidates)?);
    let (warps, reward) = (surrogate.warps(), Reward::instructed(problem.reward(), history));
    let mut ranked = Vec::with_capacity(candidates.len());
    for (index, architecture) in candidates.into_iter().enumerate() {
        let belief = |objective: usize| (prediction.means[objective][index], prediction.deviations[objective][index]);
        let beliefs: Vec<(f64, f64)> = (0..warps.len()).map(belief).collect();
        let measured = history.known(&problem.key(&architecture)?).cloned();
        let expected: Vec<_> = beliefs.iter().zip(&warps).map(|((m, d), warp)| Expected::new(warp, *m, *d)).collect();
        let known = measured.as_ref().and_then(Evaluation::complete);
        let keeps_bounds = match &measured {
            Some(evaluation) if known.is_some() => {
                f64::from(u8::from(evaluation.is_feasible(history.objectives(), history.bounds())))
            }
            _ => keeping_bounds(history, &warps, &beliefs),
        };
        let values = known.unwrap_or_else(|| expected.iter().map(|expected| expected.value).collect());
        let violation = match keeps_bounds >= LIKELY {
            true => 0.0,
            false => {
                let values: Vec<_> = values.iter().copied().map(Some).collect();
                history.bounds().violations(history.objectives(), &values).sum()
            }
        };
        let score = reward.imagine(values).scalarised(preference);
        ranked.push((violation, score, Proposed { architecture, expected, keeps_bounds, measured }));
    }
    // Where none is likely to keep the bounds, those that come nearest to them stand first.
    ranked.sort_by(|(a_breaks, a, first), (b_breaks, b, second)| {
        let is_unlikely = |proposed: &Proposed| proposed.keeps_bounds < LIKELY;
        is_unlikely(first).cmp(&is_unlikely(second)).then(a_breaks.total_cmp(b_breaks)).then(b.total_cmp(a))
    });
    Ok(ranked.into_iter().map(|(_, _, proposed)| proposed).take(count).collect())
}

/// Different networks: the greedy answer and draws of the policy, and everything evaluated with success.
fn candidates(
    problem: &Problem,
    history: &History,
    policy: &Policy,
    preference: &Preference,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Architecture>, StrategyError> {
    let mut preferences = vec![preference.clone(); DRAWS];
    if !history.bounds().is_empty() {
        preferences.extend((0..DRAWS).map(|_| Preference::sample(rng, problem.objectives().len())));
    }
    let mut drawn = policy.decode(std::slice::from_ref(preference))?;
    drawn.extend(policy.sample(&preferences, rng)?);
    let complete = history.evaluations().iter().filter(|evaluation| evaluation.complete().is_some());
    let mut keys = HashSet::new();
    let mut found = Vec::new();
    let drawn = drawn.into_iter().map(|episode| episode.architecture);
    for architecture in complete.map(|evaluation| evaluation.architecture.clone()).chain(drawn) {
        if keys.insert(problem.key(&architecture)?) {
            found.push(architecture);
        }
    }
    Ok(found)
}

/// Probability that normal beliefs keep every bound.
fn keeping_bounds(history: &History, warps: &[Warp], beliefs: &[(f64, f64)]) -> f64 {
    let bounded = history.objectives().iter().zip(warps).zip(beliefs);
    bounded
        .filter_map(|((objective, warp), (mean, deviation))| {
            let distance = mean - warp.forward(history.bounds().get(objective)?);
            let below = 0.5 * libm::erfc(distance / (deviation * std::f64::consts::SQRT_2));
            // An exact value has no deviation, and is within the bound also where it is equal to it.
            Some(if *deviation > 0.0 { below } else { f64::from(u8::from(distance <= 0.0)) })
        })
        .product()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng;

    use super::*;
    use crate::objective::Objective;
    use crate::policy::PolicyConfig;
    use crate::strategy::{ModelBased, ModelBasedConfig, Strategy, toy};

    /// A search of 60 evaluations over 15,625 architectures.
    fn searched(problem: &Problem) -> (ModelBased, History) {
        let policy = PolicyConfig { hidden: 32, embedding: 16, ..PolicyConfig::default() };
        let config = ModelBasedConfig { policy, ..ModelBasedConfig::default() };
        let mut strategy = ModelBased::new(config, problem, &Device::default(), 1).unwrap();
        let mut history = toy::history(problem);
        while history.evaluations().len() < 60 {
            let round = strategy.ask(problem, &history, 5).unwrap();
            toy::evaluate(problem, &mut history, &round);
            strategy.tell(problem, &history, &round).unwrap();
        }
        (strategy, history)
    }

    fn under(history: &History, bounds: &Bounds) -> History {
        let mut other = History::new(history.objectives().clone(), bounds.clone());
        history.evaluations().iter().for_each(|evaluation| drop(other.push(evaluation.clone()).unwrap()));
        other
    }

    #[test]
    fn preferences_and_bounds_are_answered() {
        let problem = toy::problem(&[5; 6]);
        let (strategy, history) = searched(&problem);
        let policy = strategy.policy().unwrap();
        let ask = |history: &History, preference: &Preference| {
            propose(&problem, history, policy, preference, 5, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
        };
        let mean = |answers: &[Proposed], index: usize| {
            answers.iter().map(|answer| toy::objectives(&answer.architecture)[index]).sum::<f64>()
                / answers.len() as f64
        };
        let [accurate, fast] = [0, 1].map(|index| ask(&history, &Preference::corner(3, index)));
        assert_eq!((accurate.len(), fast.len()), (5, 5));
        assert!(mean(&accurate, 0) < 0.5 * mean(&fast, 0) && mean(&fast, 1) < 0.5 * mean(&accurate, 1));
        assert_eq!(accurate, ask(&history, &Preference::corner(3, 0)), "the same seed gives the same answer");
        let mut errors = Vec::new();
        for answer in accurate.iter().chain(&fast) {
            let known = history.known(&problem.key(&answer.architecture).unwrap());
            assert_eq!(answer.measured.as_ref(), known);
            for (expected, value) in answer.expected.iter().zip(toy::objectives(&answer.architecture)) {
                assert!(expected.low <= expected.value && expected.value <= expected.high);
                errors.push((expected.value / value - 1.0).abs());
            }
        }
        let mean_error = errors.iter().sum::<f64>() / errors.len() as f64;
        assert!(mean_error < 0.15, "{errors:?}");
        let bounds = Bounds::new([(Objective::Time, 4.0)]).unwrap();
        let beside = preference_beside(&bounds, problem.objectives());
        assert_eq!(beside.weights(), [0.5, 0.0, 0.5]);
        let bounded = ask(&under(&history, &bounds), &beside);
        assert!(bounded.iter().all(|answer| answer.keeps_bounds >= LIKELY && answer.expected[1].value <= 4.0));
        assert!(mean(&bounded, 0) < mean(&fast, 0), "the bound is made use of");
    }

    #[test]
    fn what_nothing_keeps_is_come_near_to() {
        let problem = toy::problem(&[5; 6]);
        let (strategy, history) = searched(&problem);
        let bounds =
            Bounds::new([(Objective::Error, 0.001), (Objective::Time, 0.5), (Objective::Energy, 0.5)]).unwrap();
        let preference = preference_beside(&bounds, problem.objectives());
        assert_eq!(preference, Preference::uniform(3));
        let policy = strategy.policy().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let answers = propose(&problem, &under(&history, &bounds), policy, &preference, 3, &mut rng).unwrap();
        assert!(answers.len() == 3 && answers.iter().all(|answer| answer.keeps_bounds < LIKELY));
        // What was measured counts before what is expected.
        let violation = |answer: &Proposed| {
            let expected = || answer.expected.iter().map(|expected| Some(expected.value)).collect();
            let values = answer.measured.as_ref().map_or_else(expected, |measured| measured.values.clone());
            bounds.violations(problem.objectives(), &values).sum::<f64>()
        };
        assert!(answers.is_sorted_by(|a, b| violation(a) <= violation(b)));
    }
}
