//! The update against the policy gradient written out in 64 bits.
//!
//! Everything here is computed a second time without burn: the LSTM (Hochreiter and Schmidhuber 1997, with forget
//! gates), the objective that REINFORCE with an entropy bonus climbs (Williams 1992; Williams and Peng 1991), and
//! Adam's step along it (Kingma and Ba 2015, algorithm 1). Central differences in 64 bits are right to nine digits, so
//! that only the rounding of the policy's 32 bits remains.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use child::space::{Architecture, Decision};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::advantage::leave_one_out;
use super::update::Batch;
use super::values::fetch;
use super::{Learner, Policy, PolicyConfig, UpdateConfig};
use crate::preference::Preference;

const COUNTS: [usize; 3] = [2, 3, 2];
const HIDDEN: usize = 3;
const EMBEDDING: usize = 4;
const OBJECTIVES: usize = 2;
/// Choices that the heads are padded to.
const WIDTH: usize = 3;

fn network() -> PolicyConfig {
    PolicyConfig { hidden: HIDDEN, embedding: EMBEDDING, tanh_constant: 2.5, temperature: 0.8 }
}

/// A policy whose heads say something: those of a fresh one are nearly uniform, and their gradients small.
fn policy(seed: u64) -> Policy {
    let decisions: Vec<Decision> = COUNTS
        .iter()
        .enumerate()
        .map(|(index, count)| Decision::new(index.to_string(), (0..*count).map(|choice| choice.to_string())))
        .collect();
    let mut policy =
        network().init(&decisions, OBJECTIVES, &Device::default(), &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
    policy.weights = policy.weights.map(&mut Louder);
    policy
}

/// Multiplies every weight.
struct Louder;

impl burn::module::ModuleMapper for Louder {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| (tensor * 1.7).detach().require_grad())
    }
}

/// All weights one after the other, in the order of the module's fields.
struct Flat(Vec<f64>);

impl ModuleVisitor for Flat {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.extend(fetch(param.val().inner()).unwrap().into_iter().map(f64::from));
    }
}

fn weights(policy: &Policy) -> Vec<f64> {
    let mut flat = Flat(Vec::new());
    policy.weights.visit(&mut flat);
    flat.0
}

/// All gradients, in the same order.
struct FlatGradients<'a>(&'a GradientsParams, Vec<f64>);

impl ModuleVisitor for FlatGradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.1.extend(fetch(self.0.get::<D>(param.id).unwrap()).unwrap().into_iter().map(f64::from));
    }
}

/// Derivatives of the learner's loss by all weights.
fn gradient(learner: &Learner, batch: &Batch<'_>) -> Vec<f64> {
    let (gradient, _) = learner.gradient(learner.policy(), batch, None).unwrap();
    let gradients = gradient.into_gradients(&learner.policy().weights);
    let mut flat = FlatGradients(&gradients, Vec::new());
    learner.policy().weights.visit(&mut flat);
    flat.1
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Logarithm of an architecture's probability, and the entropies of its decisions summed.
fn episode(weights: &[f64], choices: &[usize], preference: &[f64]) -> (f64, f64) {
    let rows = 1 + COUNTS.iter().sum::<usize>();
    let (embedding, rest) = weights.split_at(rows * EMBEDDING);
    let (conditions, rest) = rest.split_at(OBJECTIVES * EMBEDDING);
    let (gates, rest) = rest.split_at((EMBEDDING + HIDDEN) * 4 * HIDDEN);
    let (gates_bias, rest) = rest.split_at(4 * HIDDEN);
    let (heads, heads_bias) = rest.split_at(COUNTS.len() * HIDDEN * WIDTH);
    let (mut hidden, mut cell) = ([0.0; HIDDEN], [0.0; HIDDEN]);
    let (mut logarithm, mut entropy) = (0.0, 0.0);
    let mut row = 0;
    for (decision, count) in COUNTS.into_iter().enumerate() {
        let mut input: Vec<f64> = (0..EMBEDDING)
            .map(|at| {
                let asked: f64 =
                    preference.iter().enumerate().map(|(goal, share)| share * conditions[goal * EMBEDDING + at]).sum();
                embedding[row * EMBEDDING + at] + asked
            })
            .collect();
        input.extend(hidden);
        let gate = |kind: usize, unit: usize| {
            let column = kind * HIDDEN + unit;
            let sum: f64 = input.iter().enumerate().map(|(at, value)| value * gates[at * 4 * HIDDEN + column]).sum();
            sum + gates_bias[column]
        };
        for unit in 0..HIDDEN {
            let [enter, forget, leave] = [0, 1, 2].map(|kind| sigmoid(gate(kind, unit)));
            cell[unit] = forget * cell[unit] + enter * gate(3, unit).tanh();
            hidden[unit] = leave * cell[unit].tanh();
        }
        let PolicyConfig { tanh_constant, temperature, .. } = network();
        let logit = |choice: usize| {
            let place = |unit: usize| (decision * HIDDEN + unit) * WIDTH + choice;
            let sum: f64 = (0..HIDDEN).map(|unit| hidden[unit] * heads[place(unit)]).sum();
            tanh_constant * ((sum + heads_bias[decision * WIDTH + choice]) / (temperature * tanh_constant)).tanh()
        };
        let exponentials: Vec<f64> = (0..count).map(|choice| logit(choice).exp()).collect();
        let total: f64 = exponentials.iter().sum();
        logarithm += (exponentials[choices[decision]] / total).ln();
        entropy -= exponentials.iter().map(|part| part / total * (part / total).ln()).sum::<f64>();
        row = 1 + COUNTS[..decision].iter().sum::<usize>() + choices[decision];
    }
    (logarithm, entropy)
}

/// Derivatives of a function of the weights by central differences.
fn differences(weights: &[f64], of: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut moved = weights.to_vec();
    (0..weights.len())
        .map(|index| {
            let mut at = |step: f64| {
                moved[index] = weights[index] + step;
                of(&moved)
            };
            let difference = at(STEP) - at(-STEP);
            moved[index] = weights[index];
            difference / (2.0 * STEP)
        })
        .collect()
}

/// A reward that depends on every decision and on the preference.
fn reward(choices: &[usize], preference: &[f64]) -> f64 {
    let first = [0.4, 1.9][choices[0]] + [0.0, 1.3, -0.8][choices[1]];
    let second = [2.2, 0.1][choices[2]] - [0.3, 0.0][choices[0]];
    20.0 + preference[0] * first + preference[1] * second
}

fn all() -> Vec<Architecture> {
    (0..12).map(|number| Architecture::new([number % 2, number / 2 % 3, number / 6])).collect()
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The objective of REINFORCE in a batch: the mean over the episodes of advantage · log π, with the leave-one-out baseline
/// (Kool et al. 2019, eq. 8), the advantages at a root mean square of 1; and the weighted mean entropy.
fn objective(weights: &[f64], architectures: &[Architecture], preferences: &[Preference], bonus: f64) -> f64 {
    let count = architectures.len() as f64;
    let under = |judged: &Architecture, of: usize| reward(judged.choices(), preferences[of].weights());
    let advantage = |own: usize| {
        let others = architectures.iter().enumerate().filter(|(other, _)| *other != own);
        under(&architectures[own], own) - others.map(|(_, other)| under(other, own)).sum::<f64>() / (count - 1.0)
    };
    let advantages: Vec<f64> = (0..architectures.len()).map(advantage).collect();
    let size = norm(&advantages) / count.sqrt();
    let part = |own: usize| {
        let (logarithm, entropy) = episode(weights, architectures[own].choices(), preferences[own].weights());
        advantages[own] / size * logarithm + bonus * entropy
    };
    (0..architectures.len()).map(part).sum::<f64>() / count
}

#[test]
fn probabilities_equal_those_of_a_handwritten_lstm() {
    let policy = policy(1);
    let weights = weights(&policy);
    assert_eq!(weights.len(), policy.weights.num_params());
    for preference in [Preference::corner(2, 0), Preference::new([0.3, 0.7]).unwrap()] {
        let found = policy.log_probabilities(&all(), &vec![preference.clone(); 12]).unwrap();
        for (architecture, found) in all().iter().zip(found) {
            let (expected, _) = episode(&weights, architecture.choices(), preference.weights());
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}

/// Two updates, after which every weight must be where Adam brings it along numerical derivatives of the objective:
/// so the sign, the baseline, the scale of the advantages, the decaying bonus, the clipping and the step are checked
/// as they are applied, not only as the loss states them.
#[test]
fn two_updates_move_every_weight_along_the_policy_gradient() {
    let config = UpdateConfig {
        learning_rate: 0.01,
        entropy: 0.3,
        entropy_decay: 0.5,
        gradient_norm: 0.2,
        ..UpdateConfig::default()
    };
    let mut learner = Learner::new(policy(2), config.clone()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut expected = weights(learner.policy());
    let (mut first, mut second) = (vec![0.0; expected.len()], vec![0.0; expected.len()]);
    let mut least = vec![f64::INFINITY; expected.len()];
    for update in 1..=2 {
        let preferences: Vec<_> = (0..6).map(|_| Preference::sample(&mut rng, OBJECTIVES)).collect();
        let drawn = learner.policy().sample(&preferences, &mut rng).unwrap();
        let bonus = config.entropy * config.entropy_decay.powi(update - 1);
        let ascent = |weights: &[f64]| objective(weights, &drawn, &preferences, bonus);
        let mut gradient = differences(&expected, |weights| -ascent(weights));
        let size = norm(&gradient);
        let stats = learner
            .update(&drawn, &preferences, |index, asked| reward(drawn[index].choices(), asked.weights()))
            .unwrap();
        assert!((stats.loss + ascent(&expected)).abs() < 1e-4, "{stats:?} {}", ascent(&expected));
        assert!((stats.gradient_norm / size - 1.0).abs() < 1e-3, "{stats:?} {size}");
        assert!(size > config.gradient_norm, "the clipping is part of what is checked");
        gradient.iter_mut().for_each(|value| *value *= config.gradient_norm / size);
        for (index, slope) in gradient.iter().enumerate() {
            first[index] = 0.9 * first[index] + 0.1 * slope;
            second[index] = 0.999 * second[index] + 0.001 * slope * slope;
            let mean = first[index] / (1.0 - 0.9f64.powi(update));
            let square = second[index] / (1.0 - 0.999f64.powi(update));
            expected[index] -= config.learning_rate * mean / (square.sqrt() + 1e-8);
            least[index] = least[index].min(slope.abs());
        }
        // Adam magnifies slopes near 0: if a slope is lost in the rounding of 32 bits, its step is arbitrary.
        let found = weights(learner.policy());
        let mut checked = 0;
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            if least[index] > 1e-4 {
                checked += 1;
                assert!(
                    (found - expected).abs() < 0.01 * config.learning_rate,
                    "{update}, {index}: {found} {expected}"
                );
            }
        }
        assert!(checked > found.len() / 2, "only {checked} of {} weights had a slope", found.len());
        // Both continue from the same weights.
        expected = found;
    }
}

/// The estimate of the policy gradient, averaged over batches drawn by the policy itself, is the exact gradient of the
/// expected reward, which the twelve architectures are enumerated for; and it scatters less than without a baseline.
#[test]
fn leave_one_out_is_unbiased_for_the_policy_with_less_variance() {
    const BATCHES: usize = 40_000;
    const SIZE: usize = 4;
    let config = UpdateConfig { entropy: 0.0, ..UpdateConfig::default() };
    let learner = Learner::new(policy(4), config).unwrap();
    let asked = [Preference::new([0.8, 0.2]).unwrap(), Preference::new([0.1, 0.9]).unwrap()];
    // In a batch every other episode is asked for the other preference.
    let asked_of = |episode: usize| episode % 2;
    let expected_reward = |weights: &[f64]| {
        let under = |preference: &Preference| -> f64 {
            let part = |architecture: &Architecture| {
                let (logarithm, _) = episode(weights, architecture.choices(), preference.weights());
                logarithm.exp() * reward(architecture.choices(), preference.weights())
            };
            all().iter().map(part).sum()
        };
        asked.iter().map(under).sum::<f64>() / 2.0
    };
    let truth = differences(&weights(learner.policy()), expected_reward);

    // The loss is linear in the advantages: the gradient of a batch is made of these.
    let score = |architecture: &Architecture, preference: &Preference| {
        let (architectures, preferences) = ([architecture.clone()], [preference.clone()]);
        let batch = Batch { architectures: &architectures, preferences: &preferences, advantages: &[-1.0] };
        gradient(&learner, &batch)
    };
    let scores = asked.each_ref().map(|preference| all().iter().map(|one| score(one, preference)).collect::<Vec<_>>());
    let rewards = asked
        .each_ref()
        .map(|preference| all().iter().map(|one| reward(one.choices(), preference.weights())).collect::<Vec<f64>>());
    let preferences: Vec<_> = (0..BATCHES * SIZE).map(|episode| asked[asked_of(episode)].clone()).collect();
    let drawn = learner.policy().sample(&preferences, &mut ChaCha8Rng::seed_from_u64(5)).unwrap();
    let number = |choices: &[usize]| choices[0] + 2 * choices[1] + 6 * choices[2];
    let drawn: Vec<usize> = drawn.iter().map(|architecture| number(architecture.choices())).collect();

    let estimate = |batch: &[usize], baselines: &[f64]| {
        let mut sum = vec![0.0; truth.len()];
        for (place, one) in batch.iter().enumerate() {
            let advantage = rewards[asked_of(place)][*one] - baselines[place];
            let score = &scores[asked_of(place)][*one];
            sum.iter_mut().zip(score).for_each(|(sum, score)| *sum += advantage * score / SIZE as f64);
        }
        sum
    };
    let moments = |baselines: &dyn Fn(&[usize]) -> Vec<f64>| {
        let (mut mean, mut variance) = (vec![0.0; truth.len()], vec![0.0; truth.len()]);
        for batch in drawn.chunks(SIZE) {
            for (index, value) in estimate(batch, &baselines(batch)).into_iter().enumerate() {
                mean[index] += value / BATCHES as f64;
                variance[index] += (value - truth[index]).powi(2) / BATCHES as f64;
            }
        }
        (mean, variance)
    };
    let others = |batch: &[usize]| leave_one_out(SIZE, |other, own| rewards[asked_of(own)][batch[other]]);

    // That the pieces make up the gradient that is really applied.
    let (batch, architectures) = (&drawn[..SIZE], all());
    let chosen: Vec<_> = batch.iter().map(|one| architectures[*one].clone()).collect();
    let advantages: Vec<f64> =
        (0..SIZE).zip(others(batch)).map(|(place, other)| rewards[asked_of(place)][batch[place]] - other).collect();
    let whole = gradient(
        &learner,
        &Batch { architectures: &chosen, preferences: &preferences[..SIZE], advantages: &advantages },
    );
    for (whole, made_up) in whole.iter().zip(estimate(batch, &others(batch))) {
        assert!((-whole - made_up).abs() < 1e-5 + 1e-4 * made_up.abs(), "{whole} {made_up}");
    }

    let (mean, variance) = moments(&others);
    let mut worst = 0.0f64;
    for index in 0..truth.len() {
        let standard_error = (variance[index] / BATCHES as f64).sqrt();
        // Rounding in 32 bits counts where nothing scatters, as at weights that no choice reads.
        worst = worst.max((mean[index] - truth[index]).abs() / (standard_error + 1e-7));
    }
    // One of a thousand such tests has a normal deviate beyond 4.5.
    assert!(worst < 4.5, "{worst} standard errors");
    let off: Vec<f64> = mean.iter().zip(&truth).map(|(mean, truth)| mean - truth).collect();
    assert!(norm(&off) < 0.03 * norm(&truth), "{} of {}", norm(&off), norm(&truth));
    let (_, alone) = moments(&|_| vec![0.0; SIZE]);
    let [with, without] = [&variance, &alone].map(|variance| variance.iter().sum::<f64>());
    assert!(with < 0.05 * without, "the rewards' common 20 must not scatter: {with} {without}");
}
