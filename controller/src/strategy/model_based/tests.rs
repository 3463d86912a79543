//! The strategy on problems with a formula; see `end_tests` for the common properties of all strategies.

use std::sync::Arc;

use child::graph::Shape;
use child::space::{NasBench201, NasBench201Settings};

use super::super::toy;
use super::*;
use crate::history::Import;
use crate::objective::{Bounds, Objective, Objectives};
use crate::policy::PolicyConfig;
use crate::problem::{Identity, Problem};
use crate::scalarisation::RewardConfig;

fn small() -> ModelBasedConfig {
    let policy = PolicyConfig { hidden: 16, embedding: 8, ..PolicyConfig::default() };
    ModelBasedConfig { policy, updates: 2, episodes: 8, drawn: 20, random: 50, ..ModelBasedConfig::default() }
}

#[test]
fn starts_spread_over_the_costs() {
    let problem = toy::problem(&[5; 6]);
    let mut history = toy::history(&problem);
    let mut strategy = ModelBased::new(small(), &problem, &Device::default(), 1).unwrap();
    let mut macs = Vec::new();
    for _ in 0..2 {
        let round = strategy.propose(&problem, &history, 5).unwrap();
        toy::evaluate(&problem, &mut history, &round);
        strategy.learn(&problem, &history, &round).unwrap();
        for proposal in &round {
            let graph = problem.graph(&proposal.architecture).unwrap();
            macs.push(graph.cost().macs);
        }
    }
    assert_eq!(macs.len(), 10);
    assert!(macs[..5].is_sorted() && macs[5..].is_sorted(), "{macs:?}");
    assert!(macs[5] > macs[0] && macs[9] > macs[4] && macs[5] < macs[2], "the second round lies between: {macs:?}");
}

#[test]
fn predictions_correlate_and_diagnostics_are_complete() {
    let problem = toy::problem(&[5; 6]);
    let mut history = toy::history(&problem);
    let mut strategy = ModelBased::new(small(), &problem, &Device::default(), 2).unwrap();
    let mut last = Diagnostics::default();
    while history.evaluations().len() < 60 {
        let round = strategy.propose(&problem, &history, 5).unwrap();
        toy::evaluate(&problem, &mut history, &round);
        last = strategy.learn(&problem, &history, &round).unwrap();
    }
    let scalar = |name: &str| last.scalars.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).unwrap();
    // Among chosen networks, which are more similar than random ones.
    assert!(scalar("rank_correlation/time_ms") > 0.5, "{last:?}");
    assert!(scalar("acquisition") > 0.0 && scalar("entropy") > 0.0);
}

#[test]
fn a_round_has_one_encoding_of_each_network() {
    let space = Arc::new(NasBench201::new(NasBench201Settings::default()).unwrap());
    let objectives = Objectives::new([Objective::Error, Objective::Time, Objective::Energy]).unwrap();
    let (shape, reward) = (Shape::new(3, 32, 32), RewardConfig::default());
    let problem = Problem::new(space, shape, 10, objectives, Bounds::default(), reward).unwrap();
    let problem = problem.with_identity(Identity::Architecture);
    let mut history = toy::history(&problem);
    let config = ModelBasedConfig { start: 10, ..small() };
    let mut strategy = ModelBased::new(config, &problem, &Device::default(), 5).unwrap();
    let network = |proposal: &Proposal| {
        let graph = problem.graph(&proposal.architecture).unwrap();
        graph.canonical()
    };
    let mut known = std::collections::HashSet::new();
    let mut again = 0;
    while history.evaluations().len() < 60 {
        let is_by_surrogate = history.evaluations().len() >= 10;
        let round = strategy.propose(&problem, &history, 10).unwrap();
        let networks: std::collections::HashSet<_> = round.iter().map(network).collect();
        assert!(!is_by_surrogate || networks.len() == 10, "{round:?}");
        again += networks.iter().filter(|network| !known.insert(**network)).count();
        toy::evaluate(&problem, &mut history, &round);
        strategy.learn(&problem, &history, &round).unwrap();
    }
    assert!(again > 0, "another round may take another encoding");
}

#[test]
fn complete_imports_replace_the_start_and_good_ones_are_proposed() {
    let problem = toy::problem(&[5; 6]);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let import = |architecture: Architecture, objectives: &[usize]| {
        let all = toy::objectives(&architecture);
        let values = (0..3).map(|index| objectives.contains(&index).then(|| all[index])).collect();
        let (key, deviations) = (problem.key(&architecture).unwrap(), vec![None; 3]);
        let status = crate::history::Status::Ok;
        Import {
            evaluation: crate::history::Evaluation {
                number: 0,
                architecture,
                key,
                values,
                deviations,
                short_error: None,
                status,
            },
            after: 0,
        }
    };
    let logged: Vec<_> = (0..80).map(|_| problem.space().random(&mut rng)).collect();
    let imports = |objectives: &[usize]| {
        logged.iter().map(|architecture| import(architecture.clone(), objectives)).collect::<Vec<_>>()
    };
    let first = |imports: &[Import]| {
        let mut history = toy::history(&problem);
        history.import(imports).unwrap();
        let mut strategy = ModelBased::new(small(), &problem, &Device::default(), 7).unwrap();
        let round = strategy.propose(&problem, &history, 10).unwrap();
        (round.len(), round.into_iter().filter(|proposal| logged.contains(&proposal.architecture)).count(), strategy)
    };
    let (proposed, known, strategy) = first(&imports(&[0, 1, 2]));
    assert!(proposed == 10 && known > 0 && strategy.expected.is_some(), "{known}");
    let (proposed, _, strategy) = first(&imports(&[0]));
    assert!(proposed == 10 && strategy.expected.is_none(), "errors alone say nothing about time: the start is as ever");
}

#[test]
fn proposes_nothing_once_everything_is_known() {
    let problem = toy::problem(&[2, 3, 2]);
    let mut history = toy::history(&problem);
    let config = ModelBasedConfig { start: 3, ..small() };
    let mut strategy = ModelBased::new(config, &problem, &Device::default(), 3).unwrap();
    for expected in [5, 5, 2, 0, 0] {
        let round = strategy.propose(&problem, &history, 5).unwrap();
        assert_eq!(round.len(), expected);
        toy::evaluate(&problem, &mut history, &round);
        strategy.learn(&problem, &history, &round).unwrap();
    }
}

#[test]
fn proposes_on_while_every_evaluation_fails() {
    let problem = toy::problem(&[5; 6]);
    let mut history = toy::history(&problem);
    let mut strategy = ModelBased::new(small(), &problem, &Device::default(), 4).unwrap();
    for number in 0..30 {
        let round = strategy.propose(&problem, &history, 1).unwrap();
        assert_eq!(round.len(), 1);
        let key = problem.key(&round[0].architecture).unwrap();
        // The first twenty fail, and one more later on.
        let fails = number < 20 || number == 25;
        let status = if fails { crate::history::Status::Failed } else { crate::history::Status::Ok };
        let values = toy::objectives(&round[0].architecture).map(|value| (!fails).then_some(value)).to_vec();
        let evaluation = crate::history::Evaluation {
            number,
            key,
            status,
            values,
            architecture: round[0].architecture.clone(),
            deviations: vec![None; 3],
            short_error: None,
        };
        history.push(evaluation).unwrap();
        strategy.learn(&problem, &history, &round).unwrap();
    }
}
