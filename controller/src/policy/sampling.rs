//! Drawing architectures from the policy.

use anyhow::Result;
#[cfg(test)]
use burn::tensor::Device;
use burn::tensor::{Int, Tensor, TensorData};
use child::space::Architecture;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

#[cfg(test)]
use super::lstm::logits;
use super::lstm::{Lstm, PART};
use super::network::{Policy, PolicyConfig};
#[cfg(test)]
use super::values::fetch;
use crate::preference::Preference;

impl Policy {
    /// Draws one architecture for each preference. All randomness comes from `rng`, none from the device.
    ///
    /// # Errors
    /// If a preference has the wrong number of objectives, or the device fails.
    pub fn sample(&self, preferences: &[Preference], rng: &mut ChaCha8Rng) -> Result<Vec<Architecture>> {
        self.check_preferences(preferences)?;
        let count = preferences.len();
        let shares: Vec<f64> = (0..count * self.layout.choices.len()).map(|_| rng.random()).collect();
        self.roll_out(preferences, |decision, episode, probabilities| {
            draw(probabilities, shares[decision * count + episode])
        })
    }

    /// The greedy architecture for each preference: the most probable choice at every decision, given those before it;
    /// of equally probable choices the first.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn decode(&self, preferences: &[Preference]) -> Result<Vec<Architecture>> {
        self.check_preferences(preferences)?;
        self.roll_out(preferences, |_, _, probabilities| {
            (0..probabilities.len()).fold(
                0,
                |best, choice| {
                    if probabilities[choice] > probabilities[best] { choice } else { best }
                },
            )
        })
    }

    /// Logarithm of each architecture's probability under its preference.
    #[cfg(test)]
    pub(super) fn log_probabilities(
        &self,
        architectures: &[Architecture],
        preferences: &[Preference],
    ) -> Result<Vec<f64>> {
        self.check(architectures, preferences)?;
        let (decisions, batch) = (self.layout.choices.len(), architectures.len());
        let raw = logits(&Lstm::new(self)?.follow(architectures, preferences), decisions);
        let raw = TensorData::new(raw, [decisions, batch, self.layout.width]);
        let all = self.normalise(Tensor::from_data(raw, &Device::default()));
        let flat = fetch(self.taken(all, architectures))?;
        Ok((0..batch).map(|index| flat.iter().skip(index).step_by(batch).map(|p| f64::from(*p)).sum()).collect())
    }

    /// The log-probabilities of the choices taken, `[decisions, batch]`, out of all, `[decisions, batch, width]`.
    pub(super) fn taken(&self, log_probabilities: Tensor<3>, architectures: &[Architecture]) -> Tensor<2> {
        let decisions = self.layout.choices.len();
        let indices: Vec<i64> = (0..decisions)
            .flat_map(|decision| architectures.iter().map(move |architecture| architecture.choices()[decision] as i64))
            .collect();
        let shape = [decisions, architectures.len(), 1];
        let indices = Tensor::<3, Int>::from_data(TensorData::new(indices, shape), &log_probabilities.device());
        log_probabilities.gather(2, indices).squeeze_dim(2)
    }

    /// Architectures by the choices of `choose(decision, episode, probabilities)`.
    fn roll_out(
        &self,
        preferences: &[Preference],
        choose: impl Fn(usize, usize, &[f64]) -> usize + Sync,
    ) -> Result<Vec<Architecture>> {
        let lstm = Lstm::new(self)?;
        let part = |(part, preferences): (usize, &[Preference])| {
            let mut choices = vec![Vec::new(); preferences.len()];
            lstm.forward(preferences, |decision, episode, logits| {
                let choice = choose(decision, part * PART + episode, &self.probabilities(decision, logits));
                choices[episode].push(choice);
                choice
            });
            choices
        };
        let parts: Vec<_> = preferences.par_chunks(PART).enumerate().map(part).collect();
        Ok(parts.into_iter().flatten().map(Architecture::new).collect())
    }

    /// Probabilities of a decision's choices from its raw logits.
    fn probabilities(&self, decision: usize, logits: &[f32]) -> Vec<f64> {
        let PolicyConfig { tanh_constant, temperature, .. } = self.config;
        let bounded = |logit: &f32| tanh_constant * (f64::from(*logit) / (temperature * tanh_constant)).tanh();
        let weights: Vec<f64> =
            logits[..self.layout.choices[decision]].iter().map(|logit| bounded(logit).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }
}

/// The choice at a share of the cumulative probabilities, which need not sum to exactly 1.
fn draw(probabilities: &[f64], share: f64) -> usize {
    let mut left = share * probabilities.iter().sum::<f64>();
    for (choice, probability) in probabilities.iter().enumerate() {
        if left < *probability {
            return choice;
        }
        left -= probability;
    }
    // Rounding can leave a remainder: it belongs to the last possible choice.
    probabilities.iter().rposition(|probability| *probability > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::PolicyConfig;
    use super::*;
    use burn::tensor::Device;
    use child::space::Decision;
    use rand::SeedableRng;

    fn tiny(rng: &mut ChaCha8Rng) -> Policy {
        let decisions =
            [Decision::new("a", ["x", "y"]), Decision::new("b", ["x", "y", "z"]), Decision::new("c", ["x", "y"])];
        let config = PolicyConfig { hidden: 7, embedding: 5, ..PolicyConfig::default() };
        config.init(&decisions, 2, &Device::default(), rng).unwrap()
    }

    fn all() -> Vec<Architecture> {
        (0..12).map(|index| Architecture::new([index % 2, index / 2 % 3, index / 6])).collect()
    }

    #[test]
    fn probabilities_of_all_architectures_sum_to_one() {
        let policy = tiny(&mut ChaCha8Rng::seed_from_u64(3));
        for preference in [Preference::corner(2, 0), Preference::uniform(2)] {
            let logarithms = policy.log_probabilities(&all(), &vec![preference; 12]).unwrap();
            let sum: f64 = logarithms.iter().map(|value| value.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
            assert!(logarithms.iter().any(|value| (value - logarithms[0]).abs() > 1e-3), "not uniform");
        }
    }

    #[test]
    fn samples_follow_the_probabilities() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let policy = tiny(&mut rng);
        let preference = Preference::uniform(2);
        let drawn = policy.sample(&vec![preference.clone(); 20_000], &mut rng).unwrap();
        let expected = policy.log_probabilities(&all(), &vec![preference.clone(); 12]).unwrap();
        for (architecture, log_probability) in all().iter().zip(&expected) {
            let share = drawn.iter().filter(|other| *other == architecture).count() as f64 / drawn.len() as f64;
            assert!((share - log_probability.exp()).abs() < 0.01, "{share} {}", log_probability.exp());
        }
        // The mean of −log p over samples is the entropy.
        let logarithms = policy.log_probabilities(&drawn, &vec![preference; drawn.len()]).unwrap();
        let mean = -logarithms.iter().sum::<f64>() / drawn.len() as f64;
        let entropy: f64 = expected.iter().map(|value| -value * value.exp()).sum();
        assert!((mean - entropy).abs() < 0.02, "{mean} {entropy}");
    }

    #[test]
    fn decoding_is_greedy_and_the_same_seed_draws_the_same() {
        let policy = tiny(&mut ChaCha8Rng::seed_from_u64(5));
        let preferences = vec![Preference::uniform(2); 8];
        let draw = |seed| policy.sample(&preferences, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let greedy = policy.decode(&preferences[..1]).unwrap();
        let [greedy] = policy.log_probabilities(&greedy, &preferences[..1]).unwrap()[..] else { panic!("not one") };
        // On so small a policy, close to independent decisions, the greedy architecture is the most probable one.
        let logarithms = policy.log_probabilities(&all(), &vec![Preference::uniform(2); 12]).unwrap();
        let best = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!((greedy - best).abs() < 1e-4);
    }

    #[test]
    fn architectures_and_preferences_of_other_spaces_are_rejected() {
        let policy = tiny(&mut ChaCha8Rng::seed_from_u64(6));
        let three = Preference::uniform(3);
        let problem = policy.sample(&[three], &mut ChaCha8Rng::seed_from_u64(0)).unwrap_err().to_string();
        assert_eq!(problem, "the preference has 3 weights, but the policy knows 2 objectives");
        for choices in [vec![0, 0], vec![0, 3, 0], vec![0, 0, 0, 0]] {
            let architecture = Architecture::new(choices.clone());
            let problem = policy.log_probabilities(&[architecture], &[Preference::uniform(2)]).unwrap_err().to_string();
            assert_eq!(problem, format!("an architecture with choices {choices:?} is not of the policy's space"));
        }
        let problem = policy.log_probabilities(&all(), &[]).unwrap_err().to_string();
        assert_eq!(problem, "12 architectures came with 0 preferences");
    }

    #[test]
    fn draws_cover_the_edges() {
        assert_eq!(draw(&[0.5, 0.5, 0.0], 0.0), 0);
        assert_eq!(draw(&[0.0, 0.5, 0.5], 0.0), 1);
        assert_eq!(draw(&[0.1, 0.2, 0.0], 1.0), 1);
        assert_eq!(draw(&[f64::NAN], 0.3), 0);
    }
}
