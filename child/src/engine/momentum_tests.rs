//! An engine that takes weights and momentum over from another steps as that one does.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gradient_tests::batch;
use super::{Step, of};
use crate::graph::Shape;
use crate::network::Network;
use crate::space::{Mobile, MobileSettings, NasBench201, NasBench201Settings, Nasnet, NasnetSettings, SearchSpace};
use crate::train::config::TrainingConfig;
use crate::train::recipe_tests::processors;

const NETWORKS: usize = 4;
const BATCH: usize = 4;
const CLASSES: usize = 3;

/// Channels that do not fill the vectors, depthwise kernels, biases and layers that cannot change the loss.
fn spaces() -> [Box<dyn SearchSpace>; 3] {
    let cells = NasBench201Settings { channels: 3, cells: 1, ..Default::default() };
    let nasnet = NasnetSettings { blocks: 2, depths: vec![1], widths: vec![5], ..Default::default() };
    let mobile = MobileSettings {
        stems: vec![4],
        strides: vec![1, 2],
        widths: vec![vec![4, 6], vec![6, 9]],
        kernels: vec![3, 5],
        expansions: vec![1, 3],
        depths: vec![1, 2],
        squeeze_excitation: vec![false, true],
        head: 10,
    };
    [
        Box::new(NasBench201::new(cells).unwrap()),
        Box::new(Nasnet::new(nasnet).unwrap()),
        Box::new(Mobile::new(mobile).unwrap()),
    ]
}

#[test]
fn weights_and_momentum_are_all_that_an_engine_hands_over() {
    let config = TrainingConfig { label_smoothing: 0.1, weight_decay: 0.01, ..TrainingConfig::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for space in spaces() {
        for _ in 0..NETWORKS {
            let architecture = space.random(&mut rng);
            let graph = space.graph(&architecture, Shape::new(3, 8, 8), CLASSES).unwrap();
            let network = Network::init(Arc::new(graph), &mut rng);
            let paths = network.graph().layers.iter().filter(|layer| layer.droppable).count();
            let steps: Vec<_> = (0..6)
                .map(|_| {
                    let labels: Vec<i64> = (0..BATCH).map(|_| rng.random_range(0..CLASSES as i64)).collect();
                    let mut factor = || if rng.random_bool(0.2) { 0.0 } else { 1.25 };
                    let factors: Vec<Vec<f32>> = (0..paths).map(|_| (0..BATCH).map(|_| factor()).collect()).collect();
                    (batch(network.graph().input_shape(), &labels, &mut rng), factors)
                })
                .collect();
            for processor in processors() {
                let mut whole = of(&processor, &network, &config, BATCH);
                let mut taken = of(&processor, &network, &config, BATCH);
                for (number, (batch, factors)) in steps.iter().enumerate() {
                    let step = Step { batch, learning_rate: 0.05, path_factors: factors };
                    whole.step(&step);
                    taken.step(&step);
                    if number % 2 == 1 {
                        let momentum = taken.momentum().unwrap();
                        taken = of(&processor, &taken.network(), &config, BATCH);
                        assert!(!taken.set_momentum(&momentum[1..]), "{processor:?} takes half a number");
                        assert!(taken.set_momentum(&momentum), "{processor:?}");
                    }
                }
                let text = space.format(&architecture).unwrap();
                assert_eq!(taken.network(), whole.network(), "{processor:?} {text}");
                assert_eq!(taken.logits(&steps[0].0), whole.logits(&steps[0].0), "{processor:?} {text}");
            }
        }
    }
}
