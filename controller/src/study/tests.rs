use std::sync::Arc;

use super::*;
use crate::history::Status;
use crate::objective::{Bounds, Objectives};
use crate::strategy::toy;
use crate::target::{Target, Targets};

/// Networks with an error, a time on `a` and a time on `b`.
fn history(networks: &[[Option<f64>; 3]]) -> (Problem, History) {
    let target = |name: &str| {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let bounds = Bounds::new([(Objective::Error, 1.0), (Objective::Time, 10.0)]).unwrap();
        Target { name: name.to_owned(), ..Target::unnamed(objectives, bounds) }
    };
    let targets = Targets::new(vec![target("a"), target("b")]).unwrap();
    let problem = toy::problem(&[9]).with_targets(targets);
    let mut history = History::of(Arc::clone(problem.targets()));
    for (number, values) in networks.iter().enumerate() {
        let measured = values[1..].iter().map(|value| value.map(|_| Status::Ok)).collect();
        let evaluation = toy::evaluation(number as u64, number, values.to_vec());
        history.push(Evaluation { measured, ..evaluation }).unwrap();
    }
    (problem, history)
}

#[test]
fn fronts_are_judged_on_each_other_target() {
    let networks = [[0.5, 2.0, 5.0], [0.5, 5.0, 2.0], [0.25, 8.0, 8.0]].map(|values| values.map(Some));
    let (problem, history) = history(&networks);
    let study = Study::of_history(&problem, &history);
    assert_eq!(study.targets.iter().map(|target| &target.members[..]).collect::<Vec<_>>(), [[0, 2], [1, 2]]);
    let [ab, ba] = &study.transfers[..] else { panic!("two ordered pairs") };
    assert_eq!((ab.in_common, ab.measured, ba.in_common), (1, 2, 1));
    // On b the front of b dominates (1 − .5)(1 − .2) + (.5 − .25)(1 − .8), that of a has .5 for .2 ms.
    let [own, other] = [0.2, 0.5].map(|time| 0.5 * (1.0 - time) + 0.25 * 0.2);
    assert!((ab.kept.unwrap() - other / own).abs() < 1e-12, "{ab:?}");
    let [correlation] = &study.correlations[..] else { panic!("one pair of times") };
    assert_eq!((correlation.networks, correlation.spearman), (3, Some(0.5)));
}

#[test]
fn a_network_that_a_target_lacks_is_counted_out_there() {
    let (problem, history) = history(&[[Some(0.5), Some(2.0), None], [Some(0.4), Some(3.0), Some(9.0)]]);
    let study = Study::of_history(&problem, &history);
    assert_eq!((study.targets[1].measured, study.transfers[0].measured), (1, 1));
    assert_eq!(study.correlations[0].networks, 1);
    assert!(shared(&history, Combination::Worst).iter().all(|one| one.evaluation == 1));
}

#[test]
fn one_network_for_all_targets_is_judged_by_its_worst_or_its_mean() {
    let networks = [[0.5, 2.0, 8.0], [0.5, 6.0, 6.0], [0.5, 3.0, 7.5]].map(|values| values.map(Some));
    let (_, history) = history(&networks);
    let numbers = |combination| shared(&history, combination).iter().map(|one| one.evaluation).collect::<Vec<_>>();
    assert_eq!(numbers(Combination::Worst), [1]);
    assert_eq!(numbers(Combination::Mean), [0]);
    assert_eq!(shared(&history, Combination::Worst)[0].combined, [0.5, 0.6]);
}
