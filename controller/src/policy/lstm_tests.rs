//! The passes written out against burn's automatic differentiation of the same network.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use child::space::Decision;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::update::Batch;
use super::values::fetch;
use super::{Algorithm, Learner, Policy, PolicyConfig, UpdateConfig};
use crate::preference::Preference;

/// Gradients of all parameters, a list for each.
struct Lists<'a>(&'a GradientsParams, Vec<Vec<f32>>);

impl ModuleVisitor for Lists<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.1.push(fetch(self.0.get::<D>(param.id).unwrap()).unwrap());
    }
}

fn lists(policy: &Policy, gradients: &GradientsParams) -> Vec<Vec<f32>> {
    let mut lists = Lists(gradients, Vec::new());
    policy.weights.visit(&mut lists);
    lists.1
}

fn policy(counts: &[usize], hidden: usize, seed: u64) -> Policy {
    let decisions: Vec<_> =
        counts.iter().map(|count| Decision::new("d", (0..*count).map(|choice| choice.to_string()))).collect();
    let config = PolicyConfig { hidden, ..PolicyConfig::default() };
    config.init(&decisions, 3, &Device::default(), &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
}

#[test]
fn gradients_of_every_parameter_agree_with_automatic_differentiation() {
    // The last sizes make several parts, the last of which is not whole.
    let cases: [(&[usize], usize, usize); 4] =
        [(&[3], 5, 2), (&[2, 4, 3], 7, 1), (&[5; 6], 16, 37), (&[5; 12], 100, 32)];
    for (counts, hidden, episodes) in cases {
        for algorithm in [Algorithm::Reinforce, Algorithm::Ppo] {
            let config = UpdateConfig { algorithm, ..UpdateConfig::default() };
            let learner = Learner::new(policy(counts, hidden, 1), config).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let preferences: Vec<_> = (0..episodes).map(|_| Preference::sample(&mut rng, 3)).collect();
            let architectures = learner.policy.sample(&preferences, &mut rng).unwrap();
            let advantages: Vec<f64> = (0..episodes).map(|episode| (episode % 5) as f64 - 1.8).collect();
            let batch = Batch { architectures: &architectures, preferences: &preferences, advantages: &advantages };
            let other = policy(counts, hidden, 3);
            let old = other.taken(other.teacher_forced(&architectures, &preferences), &architectures).detach();
            let old = (algorithm == Algorithm::Ppo).then_some(&old);

            let (found, loss) = learner.gradient(&learner.policy, &batch, old).unwrap();
            let all = learner.policy.teacher_forced(&architectures, &preferences);
            let expected = learner.loss(&learner.policy, all, &batch, old);
            for (found, expected) in [(&loss.value, &expected.value), (&loss.entropy, &expected.entropy)] {
                let [found, expected] = [found, expected].map(|value| fetch(value.clone().inner()).unwrap()[0]);
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
            let expected = expected.value.backward();
            let expected = GradientsParams::from_grads(expected, &learner.policy.weights);
            let expected = lists(&learner.policy, &expected);
            let found = lists(&learner.policy, &found.into_gradients(&learner.policy.weights));
            for (parameter, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found.len(), expected.len());
                let size = expected.iter().fold(0.0f32, |size, value| size.max(value.abs()));
                let worst =
                    found.iter().zip(expected).fold(0.0f32, |worst, (found, other)| worst.max((found - other).abs()));
                assert!(worst <= 1e-5 * size + 1e-7, "{counts:?}, parameter {parameter}: {worst} of {size}");
            }
        }
    }
}

/// Parts of a batch are summed in their order, on however many threads they are computed.
#[test]
fn updates_and_samples_are_the_same_on_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut learner = Learner::new(policy(&[5; 6], 32, 1), UpdateConfig::default()).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let mut trace = Vec::new();
            for _ in 0..4 {
                let preferences: Vec<_> = (0..50).map(|_| Preference::sample(&mut rng, 3)).collect();
                let drawn = learner.policy().sample(&preferences, &mut rng).unwrap();
                let stats = learner.update(&drawn, &preferences, |i, p| drawn[i].choices()[0] as f64 * p.weights()[0]);
                trace.push((drawn, stats.unwrap()));
            }
            trace
        })
    };
    let [one, two, five] = [1, 2, 5].map(run);
    assert_eq!(one, two);
    assert_eq!(one, five);
}
