//! The reward: how good an evaluation is under a preference, given everything else that is known.
//!
//! `reward = scalarisation + improvement · contribution − penalty · violation`
//!
//! - *scalarisation*: see [`Scalarisation`], on scales fitted to the history;
//! - *contribution*: the share of the normalised box that this evaluation alone dominates on the front, in 0..=1;
//! - *violation*: by how much of it each bound is broken, at most 1 an objective, summed; 1 for a network that could
//!   not be evaluated.
//!
//! Scales and front move with the history, so a reward is computed anew whenever an evaluation is used again.

mod scalarise;
mod scale;

pub use scalarise::{Scalarisation, Scaled};
pub use scale::NormalScores;

use serde::{Deserialize, Serialize};

use crate::history::{Evaluation, History, Status};
use crate::objective::{Bounds, Objectives};
use crate::pareto::exclusive_contribution;
use crate::preference::Preference;

/// Settings of the reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewardConfig {
    /// How the objectives become one number.
    pub scalarisation: Scalarisation,
    /// Chebyshev's ρ: the share of the weighted sum in it. Above 0, or weakly dominated networks tie with their betters.
    pub augmentation: f64,
    /// Weight of the contribution to the hypervolume.
    pub improvement: f64,
    /// Weight of broken bounds.
    pub penalty: f64,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self { scalarisation: Scalarisation::default(), augmentation: 0.05, improvement: 0.5, penalty: 1.0 }
    }
}

impl RewardConfig {
    /// Checks that the weights are numbers that are not negative.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn check(&self) -> Result<(), RewardConfigError> {
        let weights =
            [("augmentation", self.augmentation), ("improvement", self.improvement), ("penalty", self.penalty)];
        match weights.into_iter().find(|(_, weight)| !weight.is_finite() || *weight < 0.0) {
            Some((name, found)) => Err(RewardConfigError { name, found }),
            None => Ok(()),
        }
    }
}

/// A weight that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`reward.{name}` is {found}: it must be a number that is not negative")]
pub struct RewardConfigError {
    /// Name of the setting.
    pub name: &'static str,
    /// Its value.
    pub found: f64,
}

/// The scale of one objective, fitted to what was measured.
#[derive(Debug, Clone)]
struct Scale {
    scores: Option<NormalScores>,
    worst: f64,
    target: f64,
    low: f64,
    high: f64,
}

impl Scale {
    /// Room kept before the best score, so that a better network has a place and the best still costs something.
    const ROOM: f64 = 0.7;
    /// Least distance between best and bound, in scores: a bound that nothing keeps yet must not blow up the scale.
    const MIN_WIDTH: f64 = 0.8;

    fn fit(values: &mut [f64], bound: Option<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let scores = NormalScores::fit(values);
        let low = scores.as_ref().map_or(0.0, NormalScores::lowest) - Self::ROOM;
        let high = match (&scores, bound) {
            (Some(scores), Some(bound)) => scores.score(bound),
            (Some(scores), None) => scores.highest(),
            (None, _) => 0.0,
        };
        let median = values.get(values.len() / 2).copied().filter(|median| *median > 0.0);
        Self {
            scores,
            worst: values.last().copied().or(bound).unwrap_or(1.0),
            target: bound.or(median).unwrap_or(1.0),
            low,
            high: high.max(low + Self::MIN_WIDTH),
        }
    }

    /// 0 at the low end, 1 at the high end.
    fn normalised(&self, value: f64) -> f64 {
        let score = self.scores.as_ref().map_or(0.0, |scores| scores.score(value));
        (score - self.low) / (self.high - self.low)
    }
}

/// The reward as the history stands.
#[derive(Debug, Clone)]
pub struct Reward {
    config: RewardConfig,
    objectives: Objectives,
    bounds: Bounds,
    scales: Vec<Scale>,
    /// Number and normalised scores of each member of the front.
    front: Vec<(u64, Vec<f64>)>,
    reference: Vec<f64>,
}

impl Reward {
    /// How far beyond the worst score the contributions are counted, so that the ends of a front have one.
    const MARGIN: f64 = 1.1;

    /// Fits scales and front to what was evaluated.
    pub fn fit(config: &RewardConfig, history: &History) -> Self {
        Self::on_scales_of(&history.evaluations().iter().collect::<Vec<_>>(), config, history)
    }

    /// The same with scales that are fitted to what was imported as well, so that there are some before anything was
    /// evaluated.
    pub fn instructed(config: &RewardConfig, history: &History) -> Self {
        Self::on_scales_of(&history.instructive(), config, history)
    }

    fn on_scales_of(evaluations: &[&Evaluation], config: &RewardConfig, history: &History) -> Self {
        let (objectives, bounds) = (history.objectives().clone(), history.bounds().clone());
        let scale = |(index, objective)| {
            let measured = evaluations.iter().filter_map(|evaluation| evaluation.values[index]);
            Scale::fit(&mut measured.collect::<Vec<_>>(), bounds.get(objective))
        };
        let scales: Vec<Scale> = objectives.iter().enumerate().map(scale).collect();
        let limit = |objective| if bounds.get(objective).is_some() { 1.0 } else { Self::MARGIN };
        let reference = objectives.iter().map(limit).collect();
        let mut reward = Self { config: config.clone(), objectives, bounds, scales, front: Vec::new(), reference };
        let members = history.archive().members().iter();
        reward.front = members.map(|member| (member.id, reward.normalised(&member.values))).collect();
        reward
    }

    /// The reward of an evaluation under a preference; higher is better.
    ///
    /// What was not measured counts as the worst value measured of anything. An evaluation that failed or diverged
    /// counts as that in every objective, whatever was measured before it failed.
    pub fn of(&self, evaluation: &Evaluation, preference: &Preference) -> f64 {
        self.judge(evaluation).under(preference)
    }

    /// All of the reward that does not hang on a preference, for use under several.
    pub fn judge<'a>(&'a self, evaluation: &Evaluation) -> Judgement<'a> {
        let is_lost = matches!(evaluation.status, Status::Failed | Status::Diverged);
        let measured = |index: usize| evaluation.values[index].filter(|_| !is_lost);
        let values: Vec<f64> =
            self.scales.iter().enumerate().map(|(index, scale)| measured(index).unwrap_or(scale.worst)).collect();
        let violation = if is_lost { 1.0 } else { self.violation(&evaluation.values) };
        let is_complete = !is_lost && evaluation.values.iter().all(Option::is_some);
        self.judgement(values, violation, is_complete, Some(evaluation.number))
    }

    /// The same of a network that was not evaluated but is imagined to have these values.
    pub fn imagine(&self, values: Vec<f64>) -> Judgement<'_> {
        let violation = self.violation(&values.iter().copied().map(Some).collect::<Vec<_>>());
        self.judgement(values, violation, true, None)
    }

    fn violation(&self, values: &[Option<f64>]) -> f64 {
        self.bounds.violations(&self.objectives, values).map(|part| part.min(1.0)).sum()
    }

    fn judgement(&self, values: Vec<f64>, violation: f64, is_complete: bool, number: Option<u64>) -> Judgement<'_> {
        let scores = self.normalised(&values);
        let contribution = if is_complete { self.contribution(number, &scores) } else { 0.0 };
        let ratios = values.iter().zip(&self.scales).map(|(value, scale)| value / scale.target).collect();
        let shaping = self.config.improvement * contribution - self.config.penalty * violation;
        Judgement { reward: self, values, ratios, scores, contribution, violation, shaping }
    }

    fn normalised(&self, values: &[f64]) -> Vec<f64> {
        self.scales.iter().zip(values).map(|(scale, value)| scale.normalised(*value)).collect()
    }

    /// Share of the box that these scores alone dominate, the evaluation itself left out of the front.
    fn contribution(&self, number: Option<u64>, scores: &[f64]) -> f64 {
        let others: Vec<&[f64]> =
            self.front.iter().filter(|(id, _)| Some(*id) != number).map(|(_, scores)| scores.as_slice()).collect();
        // Nothing is better than 0 in a score, or a single unseen value could outweigh the whole front.
        let scores: Vec<f64> = scores.iter().map(|score| score.max(0.0)).collect();
        exclusive_contribution(&scores, &others, &self.reference) / self.reference.iter().product::<f64>()
    }
}

/// An evaluation on the scales of a [`Reward`].
#[derive(Debug, Clone)]
pub struct Judgement<'a> {
    reward: &'a Reward,
    values: Vec<f64>,
    ratios: Vec<f64>,
    scores: Vec<f64>,
    shaping: f64,
    /// Share of the normalised box that the evaluation alone dominates, in 0..=1.
    pub contribution: f64,
    /// By how much of it each bound is broken, at most 1 an objective, summed; 1 if it could not be evaluated.
    pub violation: f64,
}

impl Judgement<'_> {
    /// The scalarised values alone.
    pub fn scalarised(&self, preference: &Preference) -> f64 {
        let Reward { config, objectives, .. } = self.reward;
        let scaled = Scaled { values: &self.values, ratios: &self.ratios, scores: &self.scores };
        config.scalarisation.apply(objectives, scaled, preference.weights(), config.augmentation)
    }

    /// The whole reward.
    pub fn under(&self, preference: &Preference) -> f64 {
        self.scalarised(preference) + self.shaping
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Objective;
    use crate::pareto::dominates;
    use crate::strategy::toy;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn history(points: &[[f64; 3]], bounds: &[(Objective, f64)]) -> History {
        let objectives = Objectives::new([Objective::Error, Objective::Time, Objective::Energy]).unwrap();
        let mut history = History::new(objectives, Bounds::new(bounds.iter().copied()).unwrap());
        for (number, point) in points.iter().enumerate() {
            history.push(toy::evaluation(number as u64, number, point.map(Some).to_vec())).unwrap();
        }
        history
    }

    fn with(scalarisation: Scalarisation) -> RewardConfig {
        RewardConfig { scalarisation, ..RewardConfig::default() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_dominating_never_gets_less(
            points in prop::collection::vec([0.0..1.0, 1.0..50.0, 1.0..200.0], 2..15),
            bound in prop::option::of(2.0..40.0f64),
            seed in 0..1000u64,
        ) {
            let bounds: Vec<_> = bound.into_iter().map(|bound| (Objective::Time, bound)).collect();
            let history = history(&points, &bounds);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for scalarisation in [Scalarisation::Chebyshev, Scalarisation::Linear, Scalarisation::WeightedProduct] {
                let reward = Reward::fit(&with(scalarisation), &history);
                let preference = Preference::sample(&mut rng, 3);
                let judged: Vec<_> = history.evaluations().iter().map(|e| reward.judge(e)).collect();
                for (a, better) in judged.iter().enumerate() {
                    for (b, worse) in judged.iter().enumerate() {
                        if dominates(&points[a], &points[b]) {
                            prop_assert!(better.scalarised(&preference) >= worse.scalarised(&preference));
                            prop_assert!(better.under(&preference) >= worse.under(&preference));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn only_the_front_contributes_and_rewards_move_with_it() {
        let points = [[0.2, 10.0, 10.0], [0.5, 5.0, 5.0], [0.6, 11.0, 11.0]];
        let mut history = history(&points, &[]);
        let contributions = |history: &History| {
            let reward = Reward::fit(&RewardConfig::default(), history);
            history.evaluations().iter().map(|e| reward.judge(e).contribution).collect::<Vec<_>>()
        };
        let before = contributions(&history);
        assert!(before[0] > 0.0 && before[1] > 0.0 && before[2] == 0.0 && before.iter().sum::<f64>() < 1.0);
        history.push(toy::evaluation(3, 3, vec![Some(0.1), Some(4.0), Some(4.0)])).unwrap();
        let after = contributions(&history);
        assert!(after[0] == 0.0 && after[1] == 0.0 && after[3] > 0.0);
    }

    #[test]
    fn failures_count_as_the_worst_and_are_penalised() {
        let mut history = history(&[[0.2, 10.0, 10.0], [0.5, 5.0, 20.0]], &[(Objective::Time, 8.0)]);
        let mut failed = toy::evaluation(2, 2, vec![None, Some(1.0), None]);
        failed.status = Status::Failed;
        let mut bounded = toy::evaluation(3, 3, vec![None, Some(9.0), Some(12.0)]);
        bounded.status = Status::Bounded;
        history.push(failed).unwrap();
        history.push(bounded).unwrap();
        let reward = Reward::fit(&RewardConfig::default(), &history);
        let judged: Vec<_> = history.evaluations().iter().map(|e| reward.judge(e)).collect();
        assert_eq!(judged[2].values, [0.5, 10.0, 20.0]);
        assert_eq!((judged[2].violation, judged[2].contribution), (1.0, 0.0));
        assert_eq!(judged[3].values, [0.5, 9.0, 12.0]);
        assert!((judged[3].violation - 0.125).abs() < 1e-12);
        assert!((judged[0].violation - 0.25).abs() < 1e-12 && judged[0].contribution == 0.0, "beyond its bound");
        for preference in [Preference::uniform(3), Preference::corner(3, 1)] {
            let lowest = judged.iter().map(|judgement| judgement.under(&preference)).fold(f64::INFINITY, f64::min);
            assert_eq!(lowest, judged[2].under(&preference));
        }
    }

    #[test]
    fn nothing_measured_is_still_a_number() {
        let mut history = history(&[], &[]);
        let mut failed = toy::evaluation(0, 0, vec![None, None, None]);
        failed.status = Status::Diverged;
        history.push(failed).unwrap();
        for scalarisation in
            [Scalarisation::Linear, Scalarisation::WeightedProduct, Scalarisation::Absolute, Scalarisation::Chebyshev]
        {
            let reward = Reward::fit(&with(scalarisation), &history);
            assert!(reward.of(&history.evaluations()[0], &Preference::uniform(3)).is_finite());
        }
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(toml::from_str::<RewardConfig>("").unwrap(), RewardConfig::default());
        let product: RewardConfig = toml::from_str("scalarisation = 'weighted-product'").unwrap();
        assert_eq!(product.scalarisation, Scalarisation::WeightedProduct);
        assert!(toml::from_str::<RewardConfig>("improvemnt = 1.0").unwrap_err().to_string().contains("improvemnt"));
        assert!(RewardConfig { penalty: -1.0, ..RewardConfig::default() }.check().is_err());
        assert!(RewardConfig::default().check().is_ok());
    }
}
