//! The update against numerical derivatives, and on a toy problem.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use child::space::{Architecture, Decision};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::update::{Batch, EMPTY_BATCH};
use super::values::fetch;
use super::{Algorithm, Baseline, Learner, Policy, PolicyConfig, UpdateConfig};
use crate::preference::Preference;

fn decisions(counts: &[usize]) -> Vec<Decision> {
    let choices = |count: &usize| (0..*count).map(|choice| choice.to_string()).collect::<Vec<_>>();
    counts.iter().enumerate().map(|(index, count)| Decision::new(index.to_string(), choices(count))).collect()
}

fn policy(counts: &[usize], hidden: usize, objectives: usize, seed: u64) -> Policy {
    let config = PolicyConfig { hidden, embedding: 4, ..PolicyConfig::default() };
    config.init(&decisions(counts), objectives, &Device::default(), &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
}

/// Adds a step to one weight, counted over all parameters.
struct Nudge {
    left: usize,
    step: f32,
}

impl ModuleMapper for Nudge {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let size = param.val().shape().num_elements();
        let here = self.left < size;
        let (at, step) = (self.left, self.step);
        self.left = self.left.wrapping_sub(size);
        if !here {
            return param;
        }
        self.left = usize::MAX;
        param.map(|tensor| {
            let (shape, device) = (tensor.dims(), tensor.device());
            let mut values = fetch(tensor).unwrap();
            values[at] += step;
            Tensor::<1>::from_floats(values.as_slice(), &device).reshape(shape).detach().require_grad()
        })
    }
}

struct Flat<'a>(&'a GradientsParams, Vec<f32>);

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.1.extend(fetch(self.0.get::<D>(param.id).unwrap()).unwrap());
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    for algorithm in [Algorithm::Reinforce, Algorithm::Ppo] {
        let counts = [2, 3, 2];
        let config = UpdateConfig { algorithm, entropy: 0.3, ..UpdateConfig::default() };
        let learner = Learner::new(policy(&counts, 3, 2, 1), config).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let preferences: Vec<_> = (0..6).map(|_| Preference::sample(&mut rng, 2)).collect();
        let architectures = learner.policy().sample(&preferences, &mut rng).unwrap();
        let advantages = [1.5, -0.7, 0.3, -1.2, 0.9, -0.8];
        let batch = Batch { architectures: &architectures, preferences: &preferences, advantages: &advantages };
        // For PPO, the batch is taken to come from a policy a little way off, so that some ratios are clipped.
        let other = policy(&counts, 3, 2, 9);
        let all = other.teacher_forced(&architectures, &preferences);
        let old = (algorithm == Algorithm::Ppo).then(|| other.taken(all, &architectures).detach());
        let (gradient, _) = learner.gradient(&learner.policy, &batch, old.as_ref()).unwrap();
        let mut flat = Flat(&gradient.into_gradients(&learner.policy.weights), Vec::new());
        learner.policy.weights.visit(&mut flat);
        let loss = |policy: &Policy| learner.gradient(policy, &batch, old.as_ref()).unwrap().1.value;
        assert_eq!(flat.1.len(), learner.policy.weights.num_params());
        assert!(flat.1.iter().filter(|gradient| gradient.abs() > 1e-3).count() > flat.1.len() / 4);
        let step = 1e-2;
        let (mut wrong, mut worst) = (0, 0.0f32);
        for (index, analytic) in flat.1.iter().enumerate() {
            let at = |step: f32| {
                let weights = learner.policy.weights.clone().map(&mut Nudge { left: index, step });
                fetch(loss(&Policy { weights, ..learner.policy.clone() }).inner()).unwrap()[0]
            };
            let numeric = (at(step) - at(-step)) / (2.0 * step);
            let difference = (numeric - analytic).abs();
            worst = worst.max(difference);
            wrong += usize::from(difference > 2e-3 + 0.01 * analytic.abs());
        }
        // PPO's loss has kinks where a ratio meets its clip; a difference across a kink is not a derivative.
        let allowed = if algorithm == Algorithm::Ppo { flat.1.len() / 25 } else { 0 };
        assert!(wrong <= allowed, "{algorithm:?}: {wrong} of {} differ, by up to {worst}", flat.1.len());
    }
}

#[test]
fn the_first_ppo_step_is_the_policy_gradient() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let learner = |algorithm| {
        let config = UpdateConfig { algorithm, ppo_epochs: 1, ..UpdateConfig::default() };
        Learner::new(policy(&[3, 3], 5, 2, 4), config).unwrap()
    };
    let (mut a, mut b) = (learner(Algorithm::Reinforce), learner(Algorithm::Ppo));
    let preferences = vec![Preference::uniform(2); 8];
    let drawn: Vec<_> = a.policy().sample(&preferences, &mut rng).unwrap();
    let reward = |index: usize, _: &Preference| index as f64;
    let (a, b) = (a.update(&drawn, &preferences, reward).unwrap(), b.update(&drawn, &preferences, reward).unwrap());
    assert!((a.gradient_norm - b.gradient_norm).abs() < 1e-4 * a.gradient_norm, "{a:?} {b:?}");
    assert_eq!((a.mean_reward, a.baseline), (3.5, 3.5));
}

/// The share of decisions at which each choice earns what the preference gives for it: first objective wants choice
/// 0 everywhere, the second the last one.
fn toy_reward(architecture: &Architecture, preference: &Preference) -> f64 {
    let wants = [0, 4];
    let share = |wanted: usize| architecture.choices().iter().filter(|choice| **choice == wanted).count() as f64 / 6.0;
    wants.iter().zip(preference.weights()).map(|(wanted, weight)| weight * share(*wanted)).sum()
}

fn learn_toy(config: UpdateConfig, seed: u64, updates: usize) -> Learner {
    learn_toy_above(0.0, config, seed, updates)
}

fn learn_toy_above(least_entropy: f64, config: UpdateConfig, seed: u64, updates: usize) -> Learner {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let network = PolicyConfig { hidden: 32, embedding: 16, ..PolicyConfig::default() };
    let policy = network.init(&decisions(&[5; 6]), 2, &Device::default(), &mut rng).unwrap();
    let mut learner = Learner::new(policy, config).unwrap().with_least_entropy(least_entropy);
    for _ in 0..updates {
        let preferences: Vec<_> = (0..24).map(|_| Preference::sample(&mut rng, 2)).collect();
        let drawn = learner.policy().sample(&preferences, &mut rng).unwrap();
        learner.update(&drawn, &preferences, |index, preference| toy_reward(&drawn[index], preference)).unwrap();
    }
    learner
}

#[test]
fn one_policy_learns_a_different_optimum_for_each_preference() {
    let reinforce = UpdateConfig { learning_rate: 0.02, entropy: 0.01, ..UpdateConfig::default() };
    let configs = [
        (reinforce.clone(), 150),
        (UpdateConfig { baseline: Baseline::Exponential, ..reinforce.clone() }, 200),
        (UpdateConfig { algorithm: Algorithm::Ppo, ..reinforce }, 60),
    ];
    for (config, updates) in configs {
        let learner = learn_toy(config.clone(), 5, updates);
        let preferences = [Preference::new([0.95, 0.05]).unwrap(), Preference::new([0.05, 0.95]).unwrap()];
        let found = learner.policy().decode(&preferences).unwrap();
        assert_eq!(found[0].choices(), [0; 6], "{config:?}");
        assert_eq!(found[1].choices(), [4; 6], "{config:?}");
    }
}

#[test]
fn the_entropy_stays_near_the_least() {
    let entropy = |least: f64| {
        let learner = learn_toy_above(least, UpdateConfig { entropy: 0.0, ..UpdateConfig::default() }, 5, 100);
        let preferences = vec![Preference::uniform(2); 200];
        let drawn = learner.policy().sample(&preferences, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let logarithms = learner.policy().log_probabilities(&drawn, &preferences).unwrap();
        -logarithms.iter().sum::<f64>() / 200.0
    };
    // Random draws have 9.7 nats.
    let [free, lifted] = [0.0, 4.0].map(entropy);
    assert!(free < 2.0 && (3.0..6.0).contains(&lifted), "{free} {lifted}");
}

#[test]
fn equal_seeds_learn_equal_weights_bit_by_bit() {
    let weights = |seed| {
        let learner = learn_toy(UpdateConfig::default(), seed, 3);
        let probe = [Architecture::new([0, 1, 2, 3, 4, 0])];
        learner.policy().log_probabilities(&probe, &[Preference::uniform(2)]).unwrap()[0].to_bits()
    };
    assert_eq!(weights(7), weights(7));
    assert_ne!(weights(7), weights(8));
}

#[test]
fn a_restored_learner_continues_bit_by_bit() {
    for algorithm in [Algorithm::Reinforce, Algorithm::Ppo] {
        let config = UpdateConfig { algorithm, baseline: Baseline::Exponential, ..UpdateConfig::default() };
        let mut learner = learn_toy(config.clone(), 1, 4);
        let state = learner.save().unwrap();
        let mut restored = learn_toy(config, 2, 2);
        restored.restore(&state).unwrap();
        assert_eq!(restored.updates, 4);
        let advance = |learner: &mut Learner| {
            let mut rng = ChaCha8Rng::seed_from_u64(6);
            let mut trace = Vec::new();
            for _ in 0..4 {
                let preferences: Vec<_> = (0..8).map(|_| Preference::sample(&mut rng, 2)).collect();
                let drawn = learner.policy().sample(&preferences, &mut rng).unwrap();
                let stats = learner.update(&drawn, &preferences, |i, p| toy_reward(&drawn[i], p)).unwrap();
                trace.push((drawn, stats));
            }
            trace
        };
        assert_eq!(advance(&mut learner), advance(&mut restored));
    }
}

#[test]
fn damaged_and_other_states_are_rejected_and_change_nothing() {
    let learner = learn_toy(UpdateConfig::default(), 1, 1);
    let state = learner.save().unwrap();
    let probe = |learner: &Learner| learner.policy().decode(&[Preference::uniform(2)]).unwrap();
    let mut other = Learner::new(policy(&[5; 6], 16, 2, 3), UpdateConfig::default()).unwrap();
    let before = probe(&other);
    assert!(other.restore(&state).unwrap_err().to_string().contains("does not fit"), "other sizes");
    let mut same = learn_toy(UpdateConfig::default(), 2, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..40 {
        let mut damaged = state.clone();
        let at = rng.random_range(0..damaged.len());
        damaged[at] ^= 1 << rng.random_range(0..8);
        assert!(same.restore(&damaged).is_err());
        assert!(same.restore(&state[..at]).is_err());
    }
    assert_eq!(probe(&other), before);
}

#[test]
fn empty_batches_and_bad_rewards_are_rejected() {
    let mut learner = learn_toy(UpdateConfig::default(), 1, 1);
    let before = learner.policy().log_probabilities(&[Architecture::new([0; 6])], &[Preference::uniform(2)]).unwrap();
    assert_eq!(learner.update(&[], &[], |_, _| 0.0).unwrap_err().to_string(), EMPTY_BATCH);
    let (one, preference) = ([Architecture::new([0; 6])], [Preference::uniform(2)]);
    let problem = learner.update(&one, &preference, |_, _| f64::NAN).unwrap_err().to_string();
    assert!(problem.starts_with("the reward of episode 0 of the batch is NaN"), "{problem}");
    let after = learner.policy().log_probabilities(&one, &preference).unwrap();
    assert_eq!(before, after);
    for wrong in [
        UpdateConfig { learning_rate: f64::NAN, ..UpdateConfig::default() },
        UpdateConfig { entropy_decay: 0.0, ..UpdateConfig::default() },
        UpdateConfig { baseline_decay: 1.0, ..UpdateConfig::default() },
        UpdateConfig { ppo_epochs: 0, ..UpdateConfig::default() },
    ] {
        assert!(wrong.check().unwrap_err().to_string().contains("is out of its range"));
    }
}
