//! A problem with a formula for its objectives, for tests.

use std::sync::Arc;

use child::Error;
use child::graph::{CanonicalKey, Conv, Graph, GraphBuilder, Shape};
use child::space::{Architecture, Grammar, SearchSpace};

use super::{Decision, Proposal, Room, Strategy, WantedJob};
use crate::history::{Evaluation, History, Status, Work};
use crate::objective::{Bounds, Objective, Objectives};
use crate::problem::Problem;
use crate::scalarisation::RewardConfig;

/// The key of a network by number.
pub(crate) fn key(network: usize) -> CanonicalKey {
    (network as u128).to_be_bytes().into()
}

/// An evaluation of a network by number.
pub(crate) fn evaluation(number: u64, network: usize, values: Vec<Option<f64>>) -> Evaluation {
    let architecture = Architecture::new([network]);
    let deviations = vec![None; values.len()];
    Evaluation {
        number,
        architecture,
        key: key(network),
        values,
        deviations,
        short_error: None,
        status: Status::Ok,
        measured: Vec::new(),
    }
}

/// A chain of convolutions whose widths are the choices: every architecture is another network.
struct Chain(Grammar);

impl SearchSpace for Chain {
    fn grammar(&self) -> &Grammar {
        &self.0
    }

    fn graph(&self, architecture: &Architecture, input: Shape, classes: usize) -> Result<Graph, Error> {
        self.check(architecture)?;
        let (mut graph, mut layer) = GraphBuilder::new(input)?;
        for choice in architecture.choices() {
            layer = graph.conv(layer, Conv::same(1 + choice, 1, 1))?;
        }
        graph.classifier(layer, classes)
    }
}

/// A problem of error, time and energy over decisions with these numbers of choices. Everything keeps its bounds,
/// which fix the reference of the hypervolume.
pub(crate) fn problem(counts: &[usize]) -> Problem {
    let mut grammar = Grammar::new("chain");
    for (index, count) in counts.iter().enumerate() {
        grammar.text(if index == 0 { "[" } else { ", " });
        grammar.decision(format!("d{index}"), (0..*count).map(|choice| choice.to_string()));
    }
    grammar.text("]");
    let objectives = Objectives::new([Objective::Error, Objective::Time, Objective::Energy]).unwrap();
    let bounds = Bounds::new([(Objective::Time, 20.0), (Objective::Energy, 30.0)]).unwrap();
    let space = Arc::new(Chain(grammar));
    Problem::new(space, Shape::new(1, 1, 1), 2, objectives, bounds, RewardConfig::default()).unwrap()
}

/// An empty history of the problem.
pub(crate) fn history(problem: &Problem) -> History {
    History::new(problem.objectives().clone(), problem.bounds().clone())
}

/// Error, time in ms and energy in mJ: choices are taken for the operations none, skip, 1×1, 3×3 and pooling of a
/// cell, which help one another along it.
pub(crate) fn objectives(architecture: &Architecture) -> [f64; 3] {
    const GAIN: [f64; 5] = [0.0, 0.3, 0.6, 1.0, 0.2];
    const TIME: [f64; 5] = [0.0, 0.05, 0.5, 2.5, 1.5];
    const ENERGY: [f64; 5] = [0.0, 0.2, 1.5, 4.0, 0.5];
    let choices = architecture.choices();
    let sum = |table: [f64; 5]| choices.iter().map(|choice| table[*choice % 5]).sum::<f64>();
    let count = choices.len() as f64;
    let synergy = choices.windows(2).filter(|pair| pair[0] != pair[1] && GAIN[pair[0] % 5] * GAIN[pair[1] % 5] > 0.1);
    let quality = (0.7 * sum(GAIN) + 0.6 * synergy.count() as f64) / count;
    [0.05 + 0.85 * (-2.0 * quality).exp(), 1.0 + 6.0 / count * sum(TIME), 1.0 + 6.0 / count * sum(ENERGY)]
}

/// Evaluates the unknown networks of a round.
pub(crate) fn evaluate(problem: &Problem, history: &mut History, round: &[Proposal]) {
    for proposal in round {
        let key = problem.key(&proposal.architecture).unwrap();
        if history.known(&key).is_none() {
            let number = history.evaluations().len() as u64;
            let values = objectives(&proposal.architecture).map(Some).to_vec();
            let architecture = proposal.architecture.clone();
            let deviations = vec![None; values.len()];
            history
                .push(Evaluation {
                    number,
                    architecture,
                    key,
                    values,
                    deviations,
                    short_error: None,
                    status: Status::Ok,
                    measured: Vec::new(),
                })
                .unwrap();
        }
    }
}

/// Number of networks that are trained in full.
pub(crate) fn trained(history: &History) -> usize {
    history.evaluations().iter().filter(|evaluation| evaluation.status == Status::Ok).count()
}

/// Does a job at once.
pub(crate) fn work(problem: &Problem, history: &mut History, wanted: &WantedJob) {
    let key = problem.key(&wanted.architecture).unwrap();
    let known = history.known(&key);
    let number = known.map_or(history.next_number(), |known| known.number);
    let all = objectives(&wanted.architecture);
    let mut values = vec![None, Some(all[1]), Some(all[2])];
    let fidelity = problem.fidelity();
    let mut short_error = known.and_then(|known| known.short_error);
    let status = match wanted.work {
        Work::Measure { .. } if !problem.targets().keeps_bounds(0, &values) => Status::Bounded,
        Work::Measure { .. } => Status::Measured,
        Work::Train { epochs } if epochs < fidelity.full_epochs => {
            short_error = Some(0.1 + 0.9 * all[0]);
            Status::Measured
        }
        Work::Train { .. } => {
            values[0] = Some(all[0]);
            Status::Ok
        }
    };
    let (architecture, deviations) = (wanted.architecture.clone(), vec![None; 3]);
    history
        .push(Evaluation { number, architecture, key, values, deviations, short_error, status, measured: Vec::new() })
        .unwrap();
}

/// Searches, five jobs at a time, until `until` networks are evaluated; returns the decisions.
pub(crate) fn search(
    strategy: &mut dyn Strategy,
    problem: &Problem,
    history: &mut History,
    until: usize,
) -> Vec<Decision> {
    let room = Room { measurements: 5, trainings: 5, trainers: 5, batch: 10 };
    let mut decisions = Vec::new();
    while history.front().next().is_none() || trained(history) < until {
        let decision = strategy.ask(problem, history, &room).unwrap();
        assert!(!decision.jobs.is_empty(), "a large space has enough unknown networks");
        for wanted in &decision.jobs {
            if trained(history) < until {
                work(problem, history, wanted);
            }
        }
        decisions.push(decision);
    }
    decisions
}
