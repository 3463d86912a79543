//! Proposals from a finished or running search: its policy draws architectures for a preference or within bounds, and a
//! surrogate predicts their objectives. Nothing is evaluated.

mod table;

use std::collections::HashSet;

use anyhow::Result;
use child::space::Architecture;
use rand_chacha::ChaCha8Rng;

use crate::history::{Evaluation, History};
use crate::objective::{Bounds, Objectives};
use crate::policy::Policy;
use crate::preference::Preference;
use crate::problem::Problem;
use crate::reward::Reward;
use crate::surrogate::{Encoder, Expected, Predicted, Surrogate, Warp};

pub use table::table;

#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    pub architecture: Architecture,
    /// The prediction of each objective, in their order.
    pub expected: Vec<Expected>,
    /// Probability of keeping all bounds, if the objectives are independent; 1 without bounds.
    pub keeps_bounds: f64,
    /// The evaluation of the network, if there is one.
    pub measured: Option<Evaluation>,
}

/// Architectures drawn for the preference, and as many again over all preferences if there are bounds, because the
/// preference that leads to a bound is not known.
const DRAWS: usize = 400;
/// Least probability of keeping the bounds at which an architecture counts as feasible.
pub const LIKELY: f64 = 0.5;

/// The preference if only bounds are given: objectives without a bound have equal weights, because the others are good
/// enough within their bounds. If all are bounded, all have equal weights.
pub fn preference_for_unbounded(bounds: &Bounds, objectives: &Objectives) -> Preference {
    let is_free: Vec<bool> = objectives.iter().map(|objective| bounds.get(objective).is_none()).collect();
    let free = is_free.iter().filter(|is_free| **is_free).count();
    let weights: Vec<f64> = is_free.iter().map(|is_free| f64::from(u8::from(*is_free)) / free as f64).collect();
    Preference::new(weights).unwrap_or_else(|_| Preference::uniform(objectives.len()))
}

/// Up to `count` architectures for a preference under the bounds of `history`, the best first. Problem and history are of the
/// target that the preference is for; the policy may know others.
///
/// Architectures that are likely to keep the bounds come first, ordered by the scalarised reward of their measured or
/// else predicted values. The candidates are draws of the policy and all evaluated networks, but for those that failed or
/// diverged.
pub fn propose(
    problem: &Problem,
    history: &History,
    policy: &Policy,
    preference: &Preference,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Proposed>> {
    let mut encoder = Encoder::new(problem)?;
    let (most, steps) = (Surrogate::MOST, Surrogate::FITTING);
    let surrogate = Surrogate::of_history(problem, history, &mut encoder, Predicted::All, most, steps, rng)?;
    let candidates = candidates(problem, history, policy, preference, rng)?;
    let prediction = surrogate.predict(&encoder.encode_all(problem, &candidates)?);
    let (warps, reward) = (surrogate.warps(), Reward::fit(problem.reward(), history, 0, history.training_set()));
    let mut ranked = Vec::with_capacity(candidates.len());
    for (index, architecture) in candidates.into_iter().enumerate() {
        let columns = prediction.iter();
        let beliefs: Vec<(f64, f64)> = columns.map(|column| (column.means[index], column.deviations[index])).collect();
        let expected = problem.objectives().iter().zip(&beliefs).zip(&warps);
        let expected: Vec<_> =
            expected.map(|((objective, (m, d)), warp)| Expected::new(objective, warp, *m, *d)).collect();
        let measured = history.known(&problem.key(&architecture)?).cloned();
        if measured.as_ref().is_some_and(|evaluation| evaluation.is_lost_on(0)) {
            continue;
        }
        let known = measured.as_ref().map_or_else(|| vec![None; expected.len()], |one| one.values.clone());
        let keeps_bounds = keeping_bounds(history, &warps, &known, &beliefs);
        let values: Vec<f64> = known.iter().zip(&expected).map(|(known, all)| known.unwrap_or(all.value)).collect();
        let mut violation = 0.0;
        if keeps_bounds < LIKELY {
            let values: Vec<_> = values.iter().copied().map(Some).collect();
            violation = history.bounds().violations(history.objectives(), &values).sum();
        }
        let score = reward.predicted(values).scalarised(preference);
        ranked.push((violation, score, Proposed { architecture, expected, keeps_bounds, measured }));
    }
    // If no architecture is likely to keep the bounds, those nearest to them come first.
    ranked.sort_by(|(violation, score, first), (other_violation, other_score, second)| {
        let [first, second] = [first, second].map(|proposed| proposed.keeps_bounds < LIKELY);
        first.cmp(&second).then(violation.total_cmp(other_violation)).then(other_score.total_cmp(score))
    });
    Ok(ranked.into_iter().map(|(_, _, proposed)| proposed).take(count).collect())
}

/// Architectures of different networks: all complete evaluations, the greedy answer of the policy, and draws from it.
fn candidates(
    problem: &Problem,
    history: &History,
    policy: &Policy,
    preference: &Preference,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Architecture>> {
    let mut preferences = vec![preference.clone(); DRAWS];
    if !history.bounds().is_empty() {
        preferences
            .extend((0..DRAWS).map(|_| Preference::sample(rng, problem.objectives().len()).on(preference.target())));
    }
    let mut drawn = policy.decode(std::slice::from_ref(preference))?;
    drawn.extend(policy.sample(&preferences, rng)?);
    let complete = history.evaluations().iter().filter(|evaluation| evaluation.complete().is_some());
    let complete = complete.map(|evaluation| evaluation.architecture.clone());
    let mut keys = HashSet::new();
    let mut found = Vec::new();
    for architecture in complete.chain(drawn) {
        if keys.insert(problem.key(&architecture)?) {
            found.push(architecture);
        }
    }
    Ok(found)
}

/// Probability that known values, and normal beliefs about the others, keep all bounds.
fn keeping_bounds(history: &History, warps: &[Warp], known: &[Option<f64>], beliefs: &[(f64, f64)]) -> f64 {
    let (bounds, mut probability) = (history.bounds(), 1.0);
    let expected = warps.iter().zip(known).zip(beliefs);
    for (objective, ((warp, known), (mean, deviation))) in history.objectives().iter().zip(expected) {
        let Some(bound) = bounds.get(objective) else { continue };
        if let Some(value) = known {
            probability *= f64::from(u8::from(bounds.violation(objective, *value) == 0.0));
            continue;
        }
        let distance = mean - warp.forward(bound);
        // An exact value has no deviation, and keeps a bound equal to it.
        probability *= match *deviation > 0.0 {
            true => 0.5 * libm::erfc(distance / (deviation * std::f64::consts::SQRT_2)),
            false => f64::from(u8::from(distance <= 0.0)),
        };
    }
    probability
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng;

    use super::*;
    use crate::history::Status;
    use crate::objective::Objective;
    use crate::policy::PolicyConfig;
    use crate::strategy::{ModelBasedConfig, Strategy, StrategyConfig, toy};

    /// A search of 60 evaluations over 15,625 architectures.
    fn searched(problem: &Problem) -> (Box<dyn Strategy>, History) {
        let policy = PolicyConfig { hidden: 32, embedding: 16, ..PolicyConfig::default() };
        let config = ModelBasedConfig { policy, ..ModelBasedConfig::default() };
        let mut strategy = StrategyConfig::ModelBased(config).build(1, problem, &Device::default()).unwrap();
        let mut history = toy::history(problem);
        toy::search(&mut *strategy, problem, &mut history, 60);
        (strategy, history)
    }

    fn under(history: &History, bounds: &Bounds) -> History {
        let mut other = History::new(history.objectives().clone(), bounds.clone());
        history.evaluations().iter().for_each(|evaluation| other.push(evaluation.clone()).unwrap());
        other
    }

    #[test]
    fn proposals_follow_preferences_and_bounds() {
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
        let unbounded = preference_for_unbounded(&bounds, problem.objectives());
        assert_eq!(unbounded.weights(), [0.5, 0.0, 0.5]);
        let bounded = ask(&under(&history, &bounds), &unbounded);
        assert!(bounded.iter().all(|answer| answer.keeps_bounds >= LIKELY && answer.expected[1].value <= 4.0));
        assert!(mean(&bounded, 0) < mean(&fast, 0), "the bound is used");
    }

    #[test]
    fn if_no_network_keeps_the_bounds_the_nearest_come_first() {
        let problem = toy::problem(&[5; 6]);
        let (strategy, history) = searched(&problem);
        let bounds =
            Bounds::new([(Objective::Error, 0.001), (Objective::Time, 0.5), (Objective::Energy, 0.5)]).unwrap();
        let preference = preference_for_unbounded(&bounds, problem.objectives());
        assert_eq!(preference, Preference::uniform(3));
        let policy = strategy.policy().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let answers = propose(&problem, &under(&history, &bounds), policy, &preference, 3, &mut rng).unwrap();
        assert!(answers.len() == 3 && answers.iter().all(|answer| answer.keeps_bounds < LIKELY));
        // Measured values take precedence over expected ones.
        let violation = |answer: &Proposed| {
            let expected = || answer.expected.iter().map(|expected| Some(expected.value)).collect();
            let values = answer.measured.as_ref().map_or_else(expected, |measured| measured.values.clone());
            bounds.violations(problem.objectives(), &values).sum::<f64>()
        };
        assert!(answers.is_sorted_by(|a, b| violation(a) <= violation(b)));
    }

    #[test]
    fn what_was_measured_counts_before_what_is_predicted_and_failures_are_left_out() {
        let problem = toy::problem(&[5; 6]);
        let (strategy, history) = searched(&problem);
        let policy = strategy.policy().unwrap();
        let ask = |history: &History| {
            propose(&problem, history, policy, &Preference::uniform(3), 30, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
        };
        let drawn =
            |answers: Vec<Proposed>| answers.into_iter().find(|one| one.measured.is_none()).unwrap().architecture;
        let architecture = drawn(ask(&history));
        let key = problem.key(&architecture).unwrap();
        let number = history.next_number();
        let tried = |status, time: Option<f64>| {
            let evaluation = toy::evaluation(number, 0, vec![None, time, None]);
            let mut history = history.clone();
            history.push(Evaluation { architecture: architecture.clone(), key, status, ..evaluation }).unwrap();
            ask(&history)
        };
        let beyond = tried(Status::Bounded, Some(20.1));
        let shown = beyond.iter().find(|one| one.architecture == architecture);
        assert!(shown.is_none_or(|one| one.keeps_bounds == 0.0), "{shown:?}");
        assert!(tried(Status::Failed, None).iter().all(|one| one.architecture != architecture));
    }
}
