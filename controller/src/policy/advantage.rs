//! From rewards to advantages: the baseline of a reward.

use serde::{Deserialize, Serialize};

/// The baseline that is subtracted from a reward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// The mean reward that the architectures of the other episodes get under this episode's preference (Kool et al.
    /// 2019). It is independent of the episode's own choices, so the gradient stays unbiased; and since all are judged
    /// by the same preference, an easy preference is not mistaken for a good architecture. A batch of one uses the
    /// exponential average.
    #[default]
    LeaveOneOut,
    /// An exponential moving average of the rewards of earlier batches (Williams 1992; Pham et al. 2018 take 0.95).
    Exponential,
}

/// The exponential moving average of the batches' mean rewards after one more batch.
pub(super) fn moving_average(before: Option<f64>, mean: f64, decay: f64) -> f64 {
    before.map_or(mean, |value| decay * value + (1.0 - decay) * mean)
}

/// The leave-one-out baseline of every episode: `reward(j, i)` is the reward of the architecture of episode `j` under
/// the preference of episode `i`.
pub(super) fn leave_one_out(count: usize, reward: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    (0..count)
        .map(|i| {
            let others = (0..count).filter(|j| *j != i).map(|j| reward(j, i));
            others.sum::<f64>() / (count - 1) as f64
        })
        .collect()
}

/// Scales advantages to a root mean square of 1; nearly equal ones stay small.
pub(super) fn normalise(advantages: &mut [f64]) {
    const NEARLY_EQUAL: f64 = 1e-6;
    let square: f64 = advantages.iter().map(|advantage| advantage * advantage).sum();
    let scale = (square / advantages.len().max(1) as f64).sqrt() + NEARLY_EQUAL;
    advantages.iter_mut().for_each(|advantage| *advantage /= scale);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// A bandit with three arms: the gradient's estimate with the baseline must average to the true one.
    #[test]
    fn leave_one_out_is_unbiased_with_less_variance() {
        // A baseline removes the part that all rewards share.
        let (probabilities, rewards) = ([0.2, 0.5, 0.3], [21.0, 23.0, 30.0]);
        let mean_reward: f64 = probabilities.iter().zip(rewards).map(|(p, r)| p * r).sum();
        // Derivative of the mean reward by the first logit of a softmax: p₀ (r₀ − mean).
        let truth = probabilities[0] * (rewards[0] - mean_reward);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (batches, size) = (60_000, 4);
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..batches {
            let arms: Vec<usize> = (0..size)
                .map(|_| match rng.random::<f64>() {
                    u if u < 0.2 => 0,
                    u if u < 0.7 => 1,
                    _ => 2,
                })
                .collect();
            let baselines = leave_one_out(size, |j, _| rewards[arms[j]]);
            let score = |arm: usize| f64::from(u8::from(arm == 0)) - probabilities[0];
            let estimate = |baseline: &dyn Fn(usize) -> f64| {
                (0..size).map(|i| (rewards[arms[i]] - baseline(i)) * score(arms[i])).sum::<f64>() / size as f64
            };
            with.push(estimate(&|i| baselines[i]));
            without.push(estimate(&|_| 0.0));
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let variance = |values: &[f64]| values.iter().map(|v| (v - truth).powi(2)).sum::<f64>() / values.len() as f64;
        let standard_error = (variance(&with) / batches as f64).sqrt();
        assert!((mean(&with) - truth).abs() < 4.0 * standard_error, "{} {truth}", mean(&with));
        assert!(variance(&with) < variance(&without), "{} {}", variance(&with), variance(&without));
    }

    #[test]
    fn baselines_use_the_preference_of_their_episode() {
        let rewards = [[1.0, 10.0], [2.0, 30.0], [6.0, 50.0]];
        let preference = [0, 1, 0];
        let baselines = leave_one_out(3, |j, i| rewards[j][preference[i]]);
        assert_eq!(baselines, [4.0, 30.0, 1.5]);
    }

    #[test]
    fn normalised_advantages_have_unit_size_unless_equal() {
        let mut advantages = [3.0, -3.0, 3.0, -3.0];
        normalise(&mut advantages);
        assert!(advantages.iter().all(|advantage| (advantage.abs() - 1.0).abs() < 1e-5));
        let mut alike = [1e-12, -1e-12];
        normalise(&mut alike);
        assert!(alike.iter().all(|advantage| advantage.abs() < 1e-5));
        normalise(&mut []);
    }

    #[test]
    fn moving_average_starts_with_the_first_batch() {
        assert_eq!(moving_average(None, 4.0, 0.95), 4.0);
        assert!((moving_average(Some(4.0), 8.0, 0.95) - 4.2).abs() < 1e-12);
    }
}
