//! Fronts, hypervolume, and networks that are evaluated again.

use proptest::prelude::*;

use super::*;
use crate::objective::Objective;
use crate::pareto::non_dominated;
use crate::strategy::toy;

fn evaluation(number: u64, network: usize, values: [Option<f64>; 2]) -> Evaluation {
    toy::evaluation(number, network, values.to_vec())
}

/// One more measurement of the time alone, with the spread of its runs.
fn again(number: u64, network: usize, time_ms: f64) -> Evaluation {
    Evaluation { deviations: vec![None, Some(0.5)], ..evaluation(number, network, [None, Some(time_ms)]) }
}

fn history(bounds: &[(Objective, f64)]) -> History {
    let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
    History::new(objectives, Bounds::new(bounds.iter().copied()).unwrap())
}

fn front(history: &History) -> Vec<u64> {
    history.front().map(|evaluation| evaluation.number).collect()
}

#[test]
fn front_and_hypervolume_share_follow_each_evaluation() {
    let mut history = history(&[(Objective::Time, 10.0)]);
    assert_eq!(history.hypervolume_share(), Some(0.0));
    history.push(evaluation(0, 0, [Some(0.5), Some(5.0)])).unwrap();
    assert_eq!(history.hypervolume_share(), Some(0.25));
    history.push(evaluation(1, 1, [Some(0.1), Some(20.0)])).unwrap();
    assert_eq!(history.hypervolume_share(), Some(0.25), "beyond the bound");
    assert!(!history.targets().is_feasible(&history.get(1).unwrap().values));
    history.push(evaluation(2, 2, [None, Some(1.0)])).unwrap();
    assert_eq!(front(&history), [0, 1], "an incomplete evaluation changes nothing");
    history.push(evaluation(3, 3, [Some(0.4), Some(5.0)])).unwrap();
    assert_eq!(history.hypervolume_share(), Some(0.3));
    assert_eq!(front(&history), [1, 3]);
}

#[test]
fn impossible_evaluations_are_rejected_and_change_nothing() {
    let mut history = history(&[]);
    history.push(evaluation(1, 0, [Some(0.5), None])).unwrap();
    let mut problem = |evaluation| history.push(evaluation).unwrap_err().to_string();
    assert_eq!(problem(evaluation(1, 1, [None, None])), "there are two evaluations with number 1");
    for impossible in [1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let problem = problem(evaluation(2, 1, [Some(impossible), None]));
        assert!(problem.contains(&format!("evaluation 2 has error = {impossible}")), "{problem}");
    }
    assert!(problem(toy::evaluation(2, 1, vec![None])).contains("has 1 values for 2 objectives"));
    let mut negative = evaluation(2, 1, [Some(0.5), None]);
    negative.deviations[0] = Some(-0.1);
    assert!(problem(negative).contains("a standard deviation of error of -0.1"));
    assert_eq!((history.evaluations().len(), history.entered()), (1, 1));
}

#[test]
fn a_success_replaces_a_failure_and_never_the_reverse() {
    let mut history = history(&[]);
    let failed = |number| Evaluation { status: Status::Failed, ..evaluation(number, 0, [None, Some(9.0)]) };
    history.push(failed(0)).unwrap();
    history.push(evaluation(1, 0, [Some(0.5), Some(5.0)])).unwrap();
    history.push(failed(2)).unwrap();
    let known = history.known(&toy::key(0)).unwrap();
    assert_eq!((known.number, known.status, known.complete()), (1, Status::Ok, Some(vec![0.5, 5.0])));
    assert_eq!((front(&history), history.entered()), (vec![1], 3));
    assert_eq!((history.retries(), history.repeats()), (1, 1), "a failure after a success is a re-measurement");
    assert_eq!(history.measurements(&toy::key(0)).len(), 3);
}

#[test]
fn repeated_measurements_are_averaged_and_the_front_follows() {
    let mut history = history(&[(Objective::Time, 10.0)]);
    let mut first = evaluation(0, 0, [Some(0.25), Some(4.0)]);
    first.deviations = vec![None, Some(2.0)];
    history.push(first).unwrap();
    history.push(evaluation(1, 1, [Some(0.25), Some(5.0)])).unwrap();
    let before = history.hypervolume_share().unwrap();
    assert_eq!((front(&history), history.known(&toy::key(0)).unwrap().deviations[1]), (vec![0], Some(2.0)));
    // The first measurement was lucky: now the other network is the front.
    history.push(again(2, 0, 7.0)).unwrap();
    let merged = history.get(2).unwrap();
    assert_eq!((merged.number, merged.complete()), (0, Some(vec![0.25, 5.5])), "under its first number");
    // s / √2 of 4 and 7; nothing new about the error.
    assert_eq!((merged.deviations[0], merged.deviations[1]), (None, Some(1.5)));
    assert_eq!((front(&history), history.archive(0).contains(0)), (vec![1], false));
    assert!(history.hypervolume_share().unwrap() < before, "and the hypervolume fell");
    history.push(again(3, 0, 1.0)).unwrap();
    assert_eq!((front(&history), history.evaluations().len()), (vec![0], 2));
    assert_eq!(history.hypervolume_share(), Some(before));
}

#[test]
fn the_share_starts_with_the_reference_and_new_networks_never_lower_it() {
    let mut history = history(&[]);
    let mut last = 0.0;
    for number in 0..40u64 {
        let time_ms = 3.0 + ((number * 37) % 11) as f64;
        let error = ((number * 53) % 17) as f64 / 17.0;
        history.push(evaluation(number, number as usize, [Some(error), Some(time_ms)])).unwrap();
        match history.hypervolume_share() {
            None => assert!(number + 1 < ReferencePoint::WARM_UP as u64),
            Some(share) => {
                assert!(number + 1 >= ReferencePoint::WARM_UP as u64 && share >= last && share <= 1.0);
                last = share;
            }
        }
    }
    assert!(last > 0.0);
    let reference = history.reference(0).clone();
    history.push(again(40, 3, 1000.0)).unwrap();
    assert_eq!(*history.reference(0), reference, "a repeat does not move the box");
}

#[test]
fn imports_join_the_training_set_and_nothing_else() {
    let mut history = history(&[(Objective::Time, 10.0)]);
    let import = |after: u64, network: usize, values: [Option<f64>; 2]| Import {
        evaluation: evaluation(0, network, values),
        after,
    };
    let imports =
        [import(0, 7, [Some(0.1), Some(1.0)]), import(0, 8, [Some(0.2), None]), import(2, 9, [None, Some(3.0)])];
    history.import(&imports).unwrap();
    let networks = |history: &History| {
        history.training_set().iter().map(|evaluation| evaluation.architecture.choices()[0]).collect::<Vec<_>>()
    };
    assert_eq!(networks(&history), [7, 8]);
    history.push(evaluation(0, 1, [Some(0.5), Some(5.0)])).unwrap();
    let share = history.hypervolume_share();
    history.push(evaluation(1, 8, [Some(0.6), Some(6.0)])).unwrap();
    assert_eq!(networks(&history), [1, 8, 7, 9], "its own values win, and the third is known by now");
    assert_eq!(history.training_set()[1].values, [Some(0.6), Some(6.0)]);
    assert_eq!((front(&history), history.entered(), history.hypervolume_share()), (vec![0], 2, share));
    assert!(history.known(&toy::key(7)).is_none() && history.measurements(&toy::key(7)).is_empty());
    let impossible = [import(0, 5, [Some(1.5), None])];
    assert!(history.import(&impossible).unwrap_err().to_string().contains("error = 1.5"));
    assert_eq!(networks(&history).len(), 4, "unchanged");
}

proptest! {
    /// Quarters, so that sums are exact in any order.
    #[test]
    fn front_and_values_are_independent_of_the_order_of_repeats(
        (firsts, repeats, shuffled) in (
            prop::collection::vec((0u8..5, 1u8..9), 1..6),
            prop::collection::vec((0usize..6, 1u8..9), 0..12),
        ).prop_flat_map(|(firsts, repeats)| {
            (Just(firsts), Just(repeats.clone()), Just(repeats).prop_shuffle())
        }),
    ) {
        let build = |repeats: &[(usize, u8)]| {
            let mut history = history(&[(Objective::Time, 3.0)]);
            for (network, (error, time)) in firsts.iter().enumerate() {
                let values = [Some(f64::from(*error) / 4.0), Some(f64::from(*time) / 4.0)];
                history.push(evaluation(network as u64, network, values)).unwrap();
            }
            for (network, time) in repeats {
                history.push(again(history.entered(), network % firsts.len(), f64::from(*time) / 4.0)).unwrap();
            }
            history
        };
        let (one, other) = (build(&repeats), build(&shuffled));
        let points: Vec<_> = one.evaluations().iter().map(|evaluation| evaluation.complete().unwrap()).collect();
        prop_assert_eq!(&points, &other.evaluations().iter().map(|e| e.complete().unwrap()).collect::<Vec<_>>());
        let expected: Vec<u64> = non_dominated(&points).into_iter().map(|index| index as u64).collect();
        prop_assert_eq!(front(&one), expected.clone());
        prop_assert_eq!(front(&other), expected);
        prop_assert_eq!(one.hypervolume_share(), other.hypervolume_share());
    }
}

#[test]
fn measured_networks_leave_the_training_subset_before_trained_ones() {
    let mut history = history(&[]);
    for network in 0..60 {
        let is_trained = network % 5 == 0;
        let mut one = evaluation(network as u64, network, [is_trained.then_some(0.5), Some(1.0 + network as f64)]);
        one.status = if is_trained { Status::Ok } else { Status::Measured };
        history.push(one).unwrap();
    }
    let networks = |most: usize| {
        let subset = history.training_subset(most);
        subset.iter().map(|one| one.architecture.choices()[0]).collect::<Vec<_>>()
    };
    assert_eq!(networks(60), (0..60).collect::<Vec<_>>());
    let kept = networks(20);
    assert_eq!(kept.len(), 20);
    assert!((0..60).step_by(5).all(|network| kept.contains(&network)), "{kept:?}");
    assert!(networks(8).iter().filter(|network| *network % 5 == 0).count() == 6);
}
