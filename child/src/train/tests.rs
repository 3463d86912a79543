//! Training for real, on the digits.

use std::sync::Arc;

use super::*;
use crate::data::{Augmentation, DataConfig, Source};
use crate::graph::{Activation, Conv, Graph, GraphBuilder, Pool, PoolKind};

pub(super) fn digits(seed: u64) -> (Splits, Normalisation) {
    let config = DataConfig::new(Source::Digits {});
    let dataset = config.load().unwrap();
    let splits = dataset.split(0.25, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
    let normalisation = Normalisation::of(&splits.train);
    (splits, normalisation)
}

/// Convolutions, pooling, a residual sum and a droppable path: the parts of children.
pub(super) fn small_network(splits: &Splits) -> Graph {
    let (mut graph, image) = GraphBuilder::new(splits.train.shape()).unwrap();
    let stem = graph.conv(image, Conv::same(16, 3, 1)).unwrap();
    let stem = graph.batch_norm(stem).unwrap();
    let pool = Pool { kind: PoolKind::Max, kernel: 2, stride: 2, padding: 0 };
    let x = graph.pool(stem, pool).unwrap();
    let y = graph.activation(x, Activation::Relu).unwrap();
    let y = graph.conv(y, Conv::same(16, 3, 1)).unwrap();
    let y = graph.batch_norm(y).unwrap();
    graph.mark_droppable(y);
    let sum = graph.add(&[x, y]).unwrap();
    let end = graph.activation(sum, Activation::Relu).unwrap();
    graph.classifier(end, 10).unwrap()
}

fn run(config: &TrainingConfig, seed: u64) -> Result<(Trained, Vec<EpochReport>), TrainError> {
    let (splits, normalisation) = digits(7);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let processor = Processor::default();
    let network = Network::init(Arc::new(small_network(&splits)), &mut rng);
    let mut reports = Vec::new();
    let mut observe = |report: &EpochReport| {
        reports.push(report.clone());
        ControlFlow::Continue(())
    };
    let validation = Validation::EveryEpoch;
    let trainer = Trainer {
        data: &splits,
        normalisation: &normalisation,
        config,
        processor: &processor,
        validation,
        checkpoint: None,
    };
    let trained = trainer.train(network, &mut rng, &mut observe)?;
    Ok((trained, reports))
}

#[test]
fn a_small_network_learns_the_digits() {
    let config = TrainingConfig { epochs: 6, batch_size: 32, ..TrainingConfig::default() };
    let (trained, reports) = run(&config, 1).unwrap();
    assert!(trained.accuracy > 0.93, "{reports:#?}");
    assert_eq!(reports.len(), 6);
    assert_eq!(reports[5].accuracy, Some(trained.accuracy));
    assert!(reports[5].loss < reports[0].loss / 3.0, "{reports:?}");
    let (splits, normalisation) = digits(7);
    assert_eq!(evaluate(&trained.network, &splits.validation, &normalisation, &Processor::default()), trained.accuracy);
}

#[test]
fn same_seed_gives_the_same_child_even_beside_another() {
    let config = TrainingConfig {
        epochs: 2,
        drop_path: 0.2,
        label_smoothing: 0.1,
        augmentation: Augmentation { crop_padding: 1, ..Augmentation::default() },
        ..TrainingConfig::default()
    };
    let alone = run(&config, 3).unwrap().1;
    let beside = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(&config, 4).unwrap().1);
        let same = run(&config, 3).unwrap().1;
        (same, other.join().unwrap())
    });
    assert_eq!(beside.0, alone);
    assert_ne!(beside.1, alone);
}

#[test]
fn a_loss_that_is_not_finite_ends_the_training() {
    let config = TrainingConfig { epochs: 3, learning_rate: 1e30, ..TrainingConfig::default() };
    assert!(matches!(run(&config, 1), Err(TrainError::Diverged { .. })));
}

#[test]
fn logits_that_are_not_finite_after_the_last_update_end_the_training() {
    // The only step, whose loss is that of fresh weights.
    let config = TrainingConfig { epochs: 1, batch_size: 2000, learning_rate: 1e30, ..TrainingConfig::default() };
    assert_eq!(run(&config, 1).unwrap_err(), TrainError::Diverged { epoch: 1 });
}

#[test]
fn a_weight_that_is_not_a_number_ends_the_training_although_maxima_lose_it() {
    let (splits, normalisation) = digits(7);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut network = Network::init(Arc::new(small_network(&splits)), &mut rng);
    network.weights[1].lists_mut()[0][0] = f32::NAN;
    let config = TrainingConfig { epochs: 1, ..TrainingConfig::default() };
    let trainer = Trainer {
        data: &splits,
        normalisation: &normalisation,
        config: &config,
        processor: &Processor::Native,
        validation: Validation::AtEnd,
        checkpoint: None,
    };
    let trained = trainer.train(network, &mut rng, &mut |_: &EpochReport| ControlFlow::Continue(()));
    assert_eq!(trained.unwrap_err(), TrainError::Diverged { epoch: 1 });
}

#[test]
fn the_observer_can_stop_the_training() {
    let (splits, normalisation) = digits(7);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let processor = Processor::default();
    let network = Network::init(Arc::new(small_network(&splits)), &mut rng);
    let config = TrainingConfig { epochs: 5, ..TrainingConfig::default() };
    let mut observe = |_: &EpochReport| ControlFlow::Break(());
    let validation = Validation::AtEnd;
    let trainer = Trainer {
        data: &splits,
        normalisation: &normalisation,
        config: &config,
        processor: &processor,
        validation,
        checkpoint: None,
    };
    let stopped = trainer.train(network, &mut rng, &mut observe);
    assert_eq!(stopped.unwrap_err(), TrainError::Stopped { epoch: 1 });
}

#[test]
fn only_a_single_largest_logit_counts_as_right() {
    assert_eq!(count_correct(&[1.0, 0.0, 0.0, 1.0, 1.0, 1.0], &[0, 0, 1]), 1);
    assert_eq!(count_correct(&[f32::NAN, 1.0], &[1]), 0);
}
