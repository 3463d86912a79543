//! Whole training runs against the recipe written out in 64 bits.

use std::sync::Arc;

use super::*;
use crate::data::{DataConfig, Source};
use crate::engine::reference::{Numbers, difference, loss, numbers_of};
use crate::graph::{Activation, Conv, GraphBuilder};

/// Every epoch is one batch of all images, so that their order does not matter. After a few epochs every weight must be
/// where stochastic gradient descent with Nesterov momentum and without dampening (Sutskever et al. 2013; PyTorch's
/// form of it), an L2 penalty on all weights, smoothed labels and a cosine schedule bring it along numerical derivatives.
#[test]
fn weights_equal_those_of_the_recipe() {
    let config = TrainingConfig {
        epochs: 4,
        batch_size: 1000,
        learning_rate: 0.3,
        momentum: 0.8,
        weight_decay: 0.05,
        label_smoothing: 0.2,
        drop_path: 0.0,
        ..TrainingConfig::default()
    };
    let mut dataset = DataConfig::new(Source::Digits {}).load().unwrap();
    dataset.limit_train(96).unwrap();
    let splits = dataset.split(0.25, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let normalisation = Normalisation::of(&splits.train);
    let (mut graph, image) = GraphBuilder::new(splits.train.shape()).unwrap();
    let x = graph.conv(image, Conv { bias: true, ..Conv::same(3, 3, 2) }).unwrap();
    let x = graph.activation(x, Activation::Sigmoid).unwrap();
    let x = graph.conv(x, Conv::same(4, 1, 1)).unwrap();
    let x = graph.batch_norm(x).unwrap();
    let graph = Arc::new(graph.classifier(x, 10).unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let network = Network::init(Arc::clone(&graph), &mut rng);

    let batch = splits.train.batches(1000, &normalisation).next().unwrap();
    let labels = batch.labels.clone();
    let mut expected = numbers_of(&network, &batch.images);
    let mut velocity: Option<Numbers> = None;
    let mut losses = Vec::new();
    for epoch in 0..config.epochs {
        let of = |numbers: &Numbers| loss(&graph, numbers, &labels, config.label_smoothing);
        losses.push(of(&expected));
        let mut steps = expected.clone();
        let mut moved = expected.clone();
        // The images, which are layer 0, are not learnt.
        for layer in 1..expected.len() {
            for list in 0..2 {
                for index in 0..expected[layer][list].len() {
                    let decay = config.weight_decay * expected[layer][list][index];
                    let slope = difference(&mut moved, [layer, list, index], of) + decay;
                    let before = velocity.as_ref().map_or(0.0, |velocity| velocity[layer][list][index]);
                    steps[layer][list][index] = config.momentum * before + slope;
                    let rate = 0.5 * config.learning_rate * (1.0 + (std::f64::consts::PI * epoch as f64 / 4.0).cos());
                    expected[layer][list][index] -= rate * (slope + config.momentum * steps[layer][list][index]);
                }
            }
        }
        velocity = Some(steps);
    }

    assert!(losses[3] < losses[0], "{losses:?}");
    for processor in processors() {
        let mut reports = Vec::new();
        let mut observe = |report: &EpochReport| {
            reports.push(report.loss);
            ControlFlow::Continue(())
        };
        let trainer = Trainer {
            data: &splits,
            normalisation: &normalisation,
            config: &config,
            processor: &processor,
            validation: Validation::AtEnd,
            checkpoint: None,
        };
        let trained = trainer.train(network.clone(), &mut rng.clone(), &mut observe).unwrap();
        for (found, expected) in reports.iter().zip(&losses) {
            assert!((found - expected).abs() < 1e-4, "{processor:?}: {reports:?} {losses:?}");
        }
        let found = numbers_of(&trained.network, &batch.images);
        for (layer, (found, expected)) in found.iter().zip(&expected).enumerate() {
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() < 2e-4, "{processor:?}, layer {layer}: {found} {expected}");
            }
        }
    }
}

/// One of every engine.
pub(crate) fn processors() -> Vec<Processor> {
    vec![
        Processor::Native,
        Processor::Burn(burn::tensor::Device::flex()),
        #[cfg(feature = "tch")]
        Processor::Tch(tch::Device::Cpu),
    ]
}
