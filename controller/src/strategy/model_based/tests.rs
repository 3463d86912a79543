//! The strategy on problems with a formula; see `end_tests` for the common properties of all strategies.

use std::collections::HashSet;
use std::sync::Arc;

use child::graph::Shape;
use child::space::{NasBench201, NasBench201Settings};

use super::super::{Diagnostics, WantedJob, toy};
use super::*;
use crate::history::{Candidate, Import, Job, Status, Work};
use crate::objective::{Bounds, Objective, Objectives};
use crate::policy::PolicyConfig;
use crate::problem::{Fidelity, Identity, Problem};
use crate::scalarisation::RewardConfig;

const ROOM: Room = Room { measurements: 1, trainings: 1, trainers: 1, batch: 5 };
const FIDELITY: Fidelity = Fidelity { short_epochs: 12, full_epochs: 200, measure_ahead: 20, least_chance: 0.05 };

fn small() -> ModelBasedConfig {
    let policy = PolicyConfig { hidden: 16, embedding: 8, ..PolicyConfig::default() };
    ModelBasedConfig { policy, updates: 2, episodes: 8, drawn: 20, random: 50, ..ModelBasedConfig::default() }
}

fn strategy(problem: &Problem, seed: u64) -> ModelBased {
    ModelBased::new(small(), problem, &Device::default(), seed).unwrap()
}

/// Decides on the next jobs, and does them at once.
fn step(strategy: &mut ModelBased, problem: &Problem, history: &mut History) -> Decision {
    let decision = strategy.ask(problem, history, &ROOM).unwrap();
    decision.jobs.iter().for_each(|job| toy::work(problem, history, job));
    decision
}

/// Lets a job begin without a result.
fn begin(problem: &Problem, history: &mut History, job: &WantedJob) {
    let key = problem.key(&job.architecture).unwrap();
    let number = history.known(&key).map_or(history.next_number(), |known| known.number);
    history.begin(Job { number, candidate: Candidate { architecture: job.architecture.clone(), key }, work: job.work });
}

/// Numbers of measurements, short and full trainings.
fn counts(jobs: &[WantedJob]) -> [usize; 3] {
    [0, 12, 200].map(|epochs| jobs.iter().filter(|job| job.work.epochs() == epochs).count())
}

#[test]
fn starts_spread_over_the_costs() {
    let problem = toy::problem(&[5; 6]);
    let mut history = toy::history(&problem);
    let mut strategy = strategy(&problem, 1);
    let start = step(&mut strategy, &problem, &mut history).jobs;
    let macs: Vec<u64> = start.iter().map(|job| problem.graph(&job.architecture).unwrap().cost().macs).collect();
    assert!(macs.len() == 10 && start.iter().all(|job| job.work.is_measurement()));
    assert!(macs[..5].is_sorted() && macs[5..].is_sorted(), "{macs:?}");
    assert!(macs[5] > macs[0] && macs[9] > macs[4] && macs[5] < macs[2], "the second half lies between: {macs:?}");
    let trained = step(&mut strategy, &problem, &mut history).jobs;
    assert!(trained.len() == 10 && trained.iter().all(|job| job.work == Work::Train { epochs: 1 }));
    let many = Room { trainers: 32, ..ROOM };
    assert_eq!(strategy.ask(&problem, &toy::history(&problem), &many).unwrap().jobs.len(), 32, "no trainer is idle");
}

#[test]
fn predictions_correlate_and_diagnostics_are_complete() {
    for fidelity in [Fidelity::default(), FIDELITY] {
        let problem = toy::problem(&[5; 6]).with_fidelity(fidelity);
        let mut history = toy::history(&problem);
        let mut strategy = strategy(&problem, 2);
        let mut last = Diagnostics::default();
        while history.evaluations().len() < 160 && toy::trained(&history) < 60 {
            let decision = step(&mut strategy, &problem, &mut history);
            last = decision
                .diagnostics
                .filter(|all| all.scalars.iter().any(|(name, _)| name == "entropy"))
                .unwrap_or(last);
        }
        let scalar =
            |name: &str| last.scalars.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).unwrap();
        // Among chosen networks, which are more similar than random ones.
        assert!(scalar("rank_correlation/time_ms") > 0.5, "{last:?}");
        assert!(scalar("acquisition") > 0.0 && scalar("entropy") > 0.0);
    }
}

#[test]
fn a_round_has_one_encoding_of_each_network() {
    let space = Arc::new(NasBench201::new(NasBench201Settings::default()).unwrap());
    let objectives = Objectives::new([Objective::Error, Objective::Time, Objective::Energy]).unwrap();
    let (shape, reward) = (Shape::new(3, 32, 32), RewardConfig::default());
    let problem = Problem::new(space, shape, 10, objectives, Bounds::default(), reward).unwrap();
    let problem = problem.with_identity(Identity::Architecture);
    let mut history = toy::history(&problem);
    let mut strategy = strategy(&problem, 5);
    let network = |job: &WantedJob| problem.graph(&job.architecture).unwrap().canonical();
    let mut known = HashSet::new();
    let mut again = 0;
    while toy::trained(&history) < 60 {
        let is_by_surrogate = toy::trained(&history) >= 10;
        let round = step(&mut strategy, &problem, &mut history).jobs;
        let networks: HashSet<_> = round.iter().map(network).collect();
        assert!(!is_by_surrogate || networks.len() == round.len(), "{round:?}");
        let is_new = round.iter().all(|job| job.work.is_measurement());
        again += networks.iter().filter(|network| !known.insert(**network) && is_new).count();
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
        let (status, short_error) = (Status::Ok, None);
        Import {
            evaluation: Evaluation {
                number: 0,
                architecture,
                key,
                values,
                deviations,
                short_error,
                status,
                measured: Vec::new(),
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
        let mut strategy = strategy(&problem, 7);
        let room = Room { batch: 10, ..ROOM };
        let decision = strategy.ask(&problem, &history, &room).unwrap();
        let known = decision.jobs.iter().filter(|job| logged.contains(&job.architecture)).count();
        (decision.jobs.len(), known, decision.diagnostics.is_some())
    };
    let (proposed, known, is_by_surrogate) = first(&imports(&[0, 1, 2]));
    assert!(proposed == 10 && known > 0 && is_by_surrogate, "{known}");
    let (proposed, _, is_by_surrogate) = first(&imports(&[0]));
    assert!(proposed == 10 && !is_by_surrogate, "errors alone say nothing about time: the start is as ever");
}

#[test]
fn every_network_is_trained_once_and_then_the_search_ends() {
    for fidelity in [Fidelity::default(), FIDELITY, Fidelity { short_epochs: 0, ..FIDELITY }] {
        let problem = toy::problem(&[2, 3, 2]).with_fidelity(fidelity);
        let mut history = toy::history(&problem);
        let mut strategy = strategy(&problem, 3);
        let mut jobs = Vec::new();
        loop {
            let decision = step(&mut strategy, &problem, &mut history);
            if decision.jobs.is_empty() {
                break;
            }
            jobs.extend(decision.jobs);
        }
        let trained = jobs.iter().filter(|job| job.work.epochs() == fidelity.full_epochs).count();
        assert_eq!((toy::trained(&history), trained), (12, 12), "{fidelity:?}");
        assert!(step(&mut strategy, &problem, &mut history).jobs.is_empty());
    }
}

#[test]
fn goes_on_while_every_evaluation_fails() {
    for fidelity in [Fidelity::default(), FIDELITY] {
        let problem = toy::problem(&[5; 6]).with_fidelity(fidelity);
        let mut history = toy::history(&problem);
        let mut strategy = strategy(&problem, 4);
        let mut number = 0;
        while number < 150 {
            let jobs = strategy.ask(&problem, &history, &ROOM).unwrap().jobs;
            assert!(!jobs.is_empty());
            for job in jobs {
                toy::work(&problem, &mut history, &job);
                number += 1;
                // All of the start fail, some in their training, and one more later on.
                if number < 90 && number % 3 > 0 || number < 60 || number == 125 {
                    let key = problem.key(&job.architecture).unwrap();
                    let mut failed = history.known(&key).unwrap().clone();
                    (failed.status, failed.values, failed.short_error) = (Status::Failed, vec![None; 3], None);
                    history.push(failed).unwrap();
                }
            }
        }
    }
}

#[test]
fn short_trainings_come_first_and_the_best_are_promoted() {
    let problem = toy::problem(&[5; 6]).with_fidelity(FIDELITY);
    let mut history = toy::history(&problem);
    let mut strategy = strategy(&problem, 8);
    let mut next = |history: &mut History| step(&mut strategy, &problem, history).jobs;
    assert_eq!(counts(&next(&mut history)), [40, 0, 0]);
    assert_eq!(counts(&next(&mut history)), [0, 40, 0]);
    let mut errors: Vec<f64> = history.evaluations().iter().filter_map(|one| one.short_error).collect();
    errors.sort_by(f64::total_cmp);
    let short_of = |job: &WantedJob, history: &History| {
        history.known(&problem.key(&job.architecture).unwrap()).and_then(|known| known.short_error)
    };
    let first = next(&mut history);
    assert_eq!(counts(&first), [0, 0, 3]);
    assert!(first.iter().all(|job| short_of(job, &history) <= Some(errors[27])), "of the better 70 %");
    for _ in 0..4 {
        assert_eq!(counts(&next(&mut history)), [20, 0, 0]);
        let before = history.clone();
        let decided = next(&mut history);
        assert_eq!(counts(&decided), [0, 8, 1]);
        assert!(decided[0].work.epochs() == 200 && short_of(&decided[0], &before).is_some(), "the promoted one first");
        assert!(decided[1..].iter().all(|job| short_of(job, &before).is_none()));
    }
}

#[test]
fn pending_jobs_are_believed_and_not_repeated() {
    let problem = toy::problem(&[5; 6]).with_fidelity(FIDELITY);
    let mut history = toy::history(&problem);
    let mut strategy = strategy(&problem, 9);
    let room = Room { trainers: 64, ..ROOM };
    while toy::trained(&history) < 10 {
        step(&mut strategy, &problem, &mut history);
    }
    let mut networks = HashSet::new();
    let mut decided = [0; 3];
    for _ in 0..6 {
        let jobs = strategy.ask(&problem, &history, &room).unwrap().jobs;
        assert!(jobs.iter().all(|job| networks.insert(job.architecture.clone())), "a network has one job at a time");
        counts(&jobs).iter().zip(&mut decided).for_each(|(count, sum)| *sum += count);
        for job in &jobs {
            match job.work {
                Work::Measure { .. } => toy::work(&problem, &mut history, job),
                Work::Train { .. } => begin(&problem, &mut history, job),
            }
        }
        // Measured networks may be trained.
        jobs.iter().filter(|job| job.work.is_measurement()).for_each(|job| {
            networks.remove(&job.architecture);
        });
    }
    assert!(decided[1] >= 16 && decided[2] >= 2, "{decided:?}");
}

#[test]
fn trainings_wait_for_most_measurements_and_not_for_the_last() {
    let problem = toy::problem(&[5; 6]).with_fidelity(FIDELITY);
    let mut history = toy::history(&problem);
    let mut strategy = strategy(&problem, 10);
    while toy::trained(&history) < 5 {
        step(&mut strategy, &problem, &mut history);
    }
    let jobs = strategy.ask(&problem, &history, &ROOM).unwrap().jobs;
    assert_eq!(counts(&jobs), [20, 0, 0]);
    jobs[14..].iter().for_each(|job| begin(&problem, &mut history, job));
    jobs[..14].iter().for_each(|job| toy::work(&problem, &mut history, job));
    let busy = Room { measurements: 0, ..ROOM };
    assert!(strategy.ask(&problem, &history, &busy).unwrap().jobs.is_empty(), "six of twenty are missing");
    let mut history = History::clone(&history);
    let late: Vec<Job> = history.pending()[..5].to_vec();
    let mut fewer = toy::history(&problem);
    history.evaluations().iter().for_each(|one| fewer.push(one.clone()).unwrap());
    toy::work(&problem, &mut fewer, &jobs[19]);
    late.into_iter().for_each(|job| fewer.begin(job));
    history = fewer;
    assert_eq!(counts(&strategy.ask(&problem, &history, &busy).unwrap().jobs), [0, 8, 1]);
}

#[test]
fn networks_that_failed_or_break_a_bound_are_not_trained() {
    let problem = toy::problem(&[5; 6]).with_fidelity(FIDELITY);
    let mut history = toy::history(&problem);
    let mut strategy = strategy(&problem, 11);
    let mut out = HashSet::new();
    while toy::trained(&history) < 12 {
        let jobs = strategy.ask(&problem, &history, &ROOM).unwrap().jobs;
        for (place, job) in jobs.iter().enumerate() {
            assert!(!out.contains(&job.architecture), "{job:?}");
            toy::work(&problem, &mut history, job);
            let mut known = history.known(&problem.key(&job.architecture).unwrap()).unwrap().clone();
            if place % 4 == 1 && job.work != (Work::Train { epochs: 200 }) {
                match job.work {
                    Work::Measure { .. } => known.values[1] = Some(21.0),
                    Work::Train { .. } => (known.status, known.short_error) = (Status::Diverged, None),
                }
                history.push(known).unwrap();
                out.insert(job.architecture.clone());
            }
        }
    }
    assert!(out.len() > 20);
    // If none of a round may be trained, others are measured.
    for job in strategy.ask(&problem, &history, &ROOM).unwrap().jobs {
        toy::work(&problem, &mut history, &job);
    }
    let measured: Vec<_> = history.evaluations().iter().filter(|one| one.status == Status::Measured).cloned().collect();
    for mut one in measured {
        one.values[2] = Some(31.0);
        history.push(one).unwrap();
    }
    assert_eq!(counts(&strategy.ask(&problem, &history, &ROOM).unwrap().jobs), [20, 0, 0]);
}

#[test]
fn only_what_is_available_is_proposed() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let problem = toy::problem(&[5; 6]);
    let logged: HashSet<Architecture> = (0..150).map(|_| problem.space().random(&mut rng)).collect();
    for fidelity in [FIDELITY, Fidelity::default()] {
        let problem = toy::problem(&[5; 6]).with_fidelity(fidelity).with_available(logged.iter().cloned());
        let mut history = toy::history(&problem);
        let mut strategy = strategy(&problem, 12);
        loop {
            let decision = step(&mut strategy, &problem, &mut history);
            assert!(decision.jobs.iter().all(|job| logged.contains(&job.architecture)));
            if decision.jobs.is_empty() || toy::trained(&history) > 20 {
                break;
            }
        }
        assert!(toy::trained(&history) > 20);
    }
}

#[test]
fn about_half_of_the_epochs_are_for_short_trainings() {
    let of = |short_epochs, full_epochs| Fidelity { short_epochs, full_epochs, ..FIDELITY }.short_trainings();
    assert_eq!([of(12, 200), of(1, 20), of(10, 40), of(3, 4), of(0, 200)], [8, 8, 2, 1, 0]);
}

#[test]
fn a_state_from_before_jobs_is_restored() {
    let problem = toy::problem(&[5; 6]);
    let mut strategy = strategy(&problem, 13);
    let old = (vec![Hyperparameters::default(); 3], PredictionQuality::default());
    let (learner, rng) = (strategy.learner.save().unwrap(), save_rng(&strategy.rng).unwrap());
    let state = seal("model-based", &[&learner, &rng, &serde_json::to_vec(&old).unwrap()]);
    strategy.restore(&state).unwrap();
    assert_eq!(strategy.hyperparameters, Start { single: old.0, joint: None });
}

#[test]
fn trainings_without_a_chance_for_the_front_are_hopeless() {
    for fidelity in [FIDELITY, Fidelity { short_epochs: 0, ..FIDELITY }] {
        let problem = toy::problem(&[5; 6]).with_fidelity(fidelity);
        let mut history = toy::history(&problem);
        let mut strategy = strategy(&problem, 14);
        while toy::trained(&history) < 15 || history.evaluations().iter().all(|one| !is_ready(&history, one)) {
            step(&mut strategy, &problem, &mut history);
        }
        let state = strategy.save().unwrap();
        // Its error would have to be below the least of all.
        let ready = |one: &&Evaluation| is_ready(&history, one);
        let slowest =
            history.evaluations().iter().filter(ready).max_by(|a, b| a.values[1].partial_cmp(&b.values[1]).unwrap());
        let mut slow = slowest.unwrap().clone();
        (slow.values[1], slow.values[2]) = (Some(19.9), Some(29.9));
        let mut best = history.evaluations().iter().find(|one| one.complete().is_some()).unwrap().clone();
        best.values[0] = Some(1e-4);
        history.push(best).unwrap();
        history.push(slow.clone()).unwrap();
        assert!(strategy.hopeless(&problem, &history).unwrap().is_empty(), "nothing is under way");
        begin(&problem, &mut history, &crate::strategy::WantedJob::training(&slow, 200));
        assert_eq!(strategy.hopeless(&problem, &history).unwrap(), [slow.number]);
        slow.values = vec![None, Some(0.5), Some(0.5)];
        history.push(slow).unwrap();
        assert!(strategy.hopeless(&problem, &history).unwrap().is_empty(), "the fastest is on the front");
        assert!(strategy.save().unwrap() == state, "it is asked between decisions, and does not change them");
    }
}
