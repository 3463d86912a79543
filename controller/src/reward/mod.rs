//! The reward: the quality of an evaluation under a preference, relative to all other evaluations.
//!
//! `reward = scalarisation + improvement · contribution − penalty · violation`
//!
//! - *scalarisation*: see [`Scalarisation`](crate::scalarisation::Scalarisation), on scales fitted to the history;
//! - *contribution*: the share of the normalised box that only this evaluation dominates, in 0..=1;
//! - *violation*: the sum of the excesses over the bounds, each as a share of its bound and at most 1; 1 for a failed
//!   evaluation.
//!
//! Scales and front move with the history, so rewards are computed again for each update.

mod scale;

use scale::NormalScores;

use crate::history::{Evaluation, History};
use crate::pareto::exclusive_contribution;
use crate::preference::Preference;
use crate::scalarisation::{RewardConfig, Scaled};
use crate::target::{Target, Targets};

/// The scale of one objective, fitted to the measured values.
#[derive(Debug, Clone)]
struct Scale {
    scores: Option<NormalScores>,
    worst: f64,
    target: f64,
    low: f64,
    high: f64,
}

impl Scale {
    /// Distance of the low end from the best score, so that better networks have a place and the best is not at 0.
    const ROOM: f64 = 0.7;
    /// Least distance between best and bound, in scores: a bound that no network keeps yet must not narrow the scale.
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

/// The reward for the present history.
#[derive(Debug, Clone)]
pub struct Reward {
    config: RewardConfig,
    targets: Targets,
    /// Place of the target.
    target: usize,
    scales: Vec<Scale>,
    /// Number and normalised scores of each member of the front.
    front: Vec<(u64, Vec<f64>)>,
    reference: Vec<f64>,
}

impl Reward {
    /// Reference of the contributions, beyond the worst score, so that the ends of a front contribute.
    const MARGIN: f64 = 1.1;

    /// The reward with the front of a target in a history, and with scales fitted to some evaluations: those of the history, or the
    /// surrogate's whole training set, so that there are scales before the first evaluation.
    pub fn fit<'a>(
        config: &RewardConfig,
        history: &History,
        target: usize,
        evaluations: impl IntoIterator<Item = &'a Evaluation> + Clone,
    ) -> Self {
        let targets = history.targets().clone();
        let Target { objectives, bounds, .. } = targets.get(target);
        let (mut scales, mut reference) = (Vec::new(), Vec::new());
        for (objective, place) in objectives.iter().zip(targets.places(target)) {
            let evaluations = evaluations.clone().into_iter();
            let mut measured: Vec<f64> = evaluations.filter_map(|evaluation| evaluation.values[*place]).collect();
            let bound = bounds.get(objective);
            scales.push(Scale::fit(&mut measured, bound));
            reference.push(if bound.is_some() { 1.0 } else { Self::MARGIN });
        }
        let mut reward = Self { config: config.clone(), targets, target, scales, front: Vec::new(), reference };
        let members = history.archive(target).members.iter();
        reward.front = members.map(|member| (member.id, reward.normalised(&member.values))).collect();
        reward
    }

    /// The parts of an evaluation's reward that are independent of the preference.
    ///
    /// A missing value counts as the worst measured value. An evaluation that failed or diverged has the worst value in
    /// every objective, even where it was measured before it failed.
    pub fn judge<'a>(&'a self, evaluation: &Evaluation) -> Judgement<'a> {
        let is_lost = evaluation.is_lost_on(self.target);
        let of_target = self.targets.of(self.target, &evaluation.values);
        let measured = self.scales.iter().zip(&of_target);
        let values = measured.map(|(scale, value)| value.filter(|_| !is_lost).unwrap_or(scale.worst)).collect();
        let violation = if is_lost { 1.0 } else { self.violation(&of_target) };
        let is_complete = !is_lost && of_target.iter().all(Option::is_some);
        self.judgement(values, violation, is_complete, Some(evaluation.number))
    }

    /// The same for a network with predicted values of the target's objectives.
    pub fn predicted(&self, values: Vec<f64>) -> Judgement<'_> {
        let violation = self.violation(&values.iter().copied().map(Some).collect::<Vec<_>>());
        self.judgement(values, violation, true, None)
    }

    fn violation(&self, values: &[Option<f64>]) -> f64 {
        let Target { objectives, bounds, .. } = self.targets.get(self.target);
        bounds.violations(objectives, values).map(|part| part.min(1.0)).sum()
    }

    fn judgement(&self, values: Vec<f64>, violation: f64, is_complete: bool, number: Option<u64>) -> Judgement<'_> {
        let scores = self.normalised(&values);
        let contribution = if is_complete { self.contribution(number, &scores) } else { 0.0 };
        let ratios = values.iter().zip(&self.scales).map(|(value, scale)| value / scale.target).collect();
        let shaping = self.config.improvement * contribution - self.config.penalty * violation;
        Judgement { reward: self, values, ratios, scores, shaping }
    }

    fn normalised(&self, values: &[f64]) -> Vec<f64> {
        self.scales.iter().zip(values).map(|(scale, value)| scale.normalised(*value)).collect()
    }

    /// Share of the box that only these scores dominate; the evaluation itself is left out of the front.
    fn contribution(&self, number: Option<u64>, scores: &[f64]) -> f64 {
        let others: Vec<&[f64]> =
            self.front.iter().filter(|(id, _)| Some(*id) != number).map(|(_, scores)| scores.as_slice()).collect();
        // No score counts as better than 0, or a single new value could outweigh the whole front.
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
    /// Contribution and violation, weighted.
    shaping: f64,
}

impl Judgement<'_> {
    /// The scalarised values alone.
    pub fn scalarised(&self, preference: &Preference) -> f64 {
        let Reward { config, targets, target, .. } = self.reward;
        let scaled = Scaled { values: &self.values, ratios: &self.ratios, scores: &self.scores };
        config.scalarisation.apply(&targets.get(*target).objectives, scaled, preference.weights(), config.augmentation)
    }

    /// The whole reward.
    pub fn under(&self, preference: &Preference) -> f64 {
        self.scalarised(preference) + self.shaping
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Status;
    use crate::objective::{Bounds, Objective, Objectives};
    use crate::pareto::dominates;
    use crate::scalarisation::Scalarisation;
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

    /// The contribution of each evaluation: its shaping at a weight of 1, without a penalty.
    fn contributions(history: &History) -> Vec<f64> {
        let reward = Reward::fit(
            &RewardConfig { improvement: 1.0, penalty: 0.0, ..RewardConfig::default() },
            history,
            0,
            history.evaluations(),
        );
        history.evaluations().iter().map(|evaluation| reward.judge(evaluation).shaping).collect()
    }

    /// The violation of each evaluation: its shaping at a penalty of 1, without the contribution.
    fn violations(history: &History) -> Vec<f64> {
        let reward = Reward::fit(
            &RewardConfig { improvement: 0.0, penalty: 1.0, ..RewardConfig::default() },
            history,
            0,
            history.evaluations(),
        );
        history.evaluations().iter().map(|evaluation| -reward.judge(evaluation).shaping).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_dominating_network_never_has_a_lower_reward(
            points in prop::collection::vec([0.0..1.0, 1.0..50.0, 1.0..200.0], 2..15),
            bound in prop::option::of(2.0..40.0f64),
            seed in 0..1000u64,
        ) {
            let bounds: Vec<_> = bound.into_iter().map(|bound| (Objective::Time, bound)).collect();
            let history = history(&points, &bounds);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for scalarisation in [Scalarisation::Chebyshev, Scalarisation::Linear, Scalarisation::WeightedProduct] {
                let reward = Reward::fit(&with(scalarisation), &history, 0, history.evaluations());
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
        let reward = Reward::fit(&RewardConfig::default(), &history, 0, history.evaluations());
        let judged: Vec<_> = history.evaluations().iter().map(|e| reward.judge(e)).collect();
        assert_eq!(judged[2].values, [0.5, 10.0, 20.0]);
        let (violations, contributions) = (violations(&history), contributions(&history));
        assert_eq!((violations[2], contributions[2]), (1.0, 0.0));
        assert_eq!(judged[3].values, [0.5, 9.0, 12.0]);
        assert!((violations[3] - 0.125).abs() < 1e-12);
        assert!((violations[0] - 0.25).abs() < 1e-12 && contributions[0] == 0.0, "beyond its bound");
        for preference in [Preference::uniform(3), Preference::corner(3, 1)] {
            let lowest = judged.iter().map(|judgement| judgement.under(&preference)).fold(f64::INFINITY, f64::min);
            assert_eq!(lowest, judged[2].under(&preference));
        }
    }

    #[test]
    fn rewards_are_finite_before_the_first_measurement() {
        let mut history = history(&[], &[]);
        let mut failed = toy::evaluation(0, 0, vec![None, None, None]);
        failed.status = Status::Diverged;
        history.push(failed).unwrap();
        for scalarisation in
            [Scalarisation::Linear, Scalarisation::WeightedProduct, Scalarisation::Absolute, Scalarisation::Chebyshev]
        {
            let reward = Reward::fit(&with(scalarisation), &history, 0, history.evaluations());
            assert!(reward.judge(&history.evaluations()[0]).under(&Preference::uniform(3)).is_finite());
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
