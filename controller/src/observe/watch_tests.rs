use rand::SeedableRng as _;

use super::*;
use crate::evaluate::Wait;
use crate::history::{Candidate, Job, Work};
use crate::plan::Budget;
use crate::problem::{Fidelity, Problem};
use crate::strategy::{Prediction, toy};

fn plan() -> Plan {
    let budget = Budget { evaluations: Some(4), ..Budget::default() };
    Plan { budget, fidelity: Fidelity::default(), remeasure: 0, batch: 1, inherited: None, retry_failed: false }
}

fn history(problem: &Problem) -> History {
    History::new(problem.objectives().clone(), problem.bounds().clone())
}

#[test]
fn the_last_status_is_on_the_disk_when_the_observer_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (status, observations) = (folder.path().join("status.json"), folder.path().join("observations.jsonl"));
    let problem = toy::problem(&[3, 3]);
    let history = history(&problem);
    let mut watch = Watch::new(status.clone(), &observations, ["board".to_owned()]);
    watch.start(&plan(), &history);
    let training = |epoch, loss| Activity { number: 7, stage: Stage::Training { epoch, epochs: 3, loss } };
    [training(0, None), training(1, Some(0.5)), training(2, Some(0.25))].iter().for_each(|it| watch.activity(it));
    let wait = Wait {
        device: Some("board".to_owned()),
        what: "`board`".to_owned(),
        reason: "unplugged".to_owned(),
        waited: Duration::from_secs(3),
        patience: Duration::from_secs(60),
    };
    watch.activity(&Activity { number: 8, stage: Stage::Away(wait) });
    drop(watch);
    let found = Status::read(&status).unwrap();
    assert_eq!((found.done, found.all, found.unit.as_str(), found.ended), (0, Some(4), "evaluations", false));
    assert!(found.is_live() && found.eta_seconds.is_none());
    let jobs: Vec<_> = found.jobs.iter().map(|job| (job.evaluation, job.stage.as_str(), job.epoch)).collect();
    assert_eq!(jobs, [(7, "training", Some(2)), (8, "away", None)]);
    assert_eq!(found.jobs[1].text.as_deref(), Some("waiting for `board`: unplugged (3 s of 60)"));
    let [board] = &found.devices[..] else { panic!("one device: {found:?}") };
    assert_eq!((board.name.as_str(), board.state.as_str(), board.evaluation), ("board", "away", Some(8)));
    assert_eq!(board.text.as_deref(), Some("unplugged"));
    let loss = |epoch, loss| Observation::Loss { evaluation: 7, epoch, epochs: 3, loss };
    assert_eq!(Observation::read_from(&observations, &mut 0), [loss(1, 0.5), loss(2, 0.25)]);
}

#[test]
fn predictions_have_the_numbers_of_their_networks_and_a_torn_line_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (status, observations) = (folder.path().join("status.json"), folder.path().join("observations.jsonl"));
    let problem = toy::problem(&[3, 3]);
    let mut history = history(&problem);
    let architecture = problem.space().random(&mut rand_chacha::ChaCha8Rng::from_seed([1; 32]));
    let key = problem.key(&architecture).unwrap();
    let candidate = Candidate { architecture: architecture.clone(), key };
    history.begin(Job { number: 3, candidate, work: Work::Measure { target: 0 } });
    let mut watch = Watch::new(status, &observations, []);
    let mut diagnostics = Diagnostics::default();
    diagnostics.add("entropy", 1.5);
    let choices = vec![("a".to_owned(), 3), ("b".to_owned(), 1), ("c".to_owned(), 0)];
    diagnostics.choices.push(("edge".to_owned(), choices));
    let mut values = vec![None; problem.objectives().len()];
    values[0] = Some((0.25, 0.125));
    diagnostics.predictions.push(Prediction { architecture, values });
    watch.learnt(&history, &diagnostics);
    drop(watch);
    let mut text = fs::read_to_string(&observations).unwrap();
    text.push_str("{\"loss\":{\"evalu");
    fs::write(&observations, text).unwrap();
    let [Observation::Prediction { evaluation: 3, values }, Observation::Round { scalars, choices, .. }] =
        &Observation::read_from(&observations, &mut 0)[..]
    else {
        panic!("one prediction and one round")
    };
    assert_eq!(values.values().copied().collect::<Vec<_>>(), [(0.25, 0.125)]);
    assert_eq!(scalars["entropy"], 1.5);
    let shares: Vec<_> = choices["edge"].iter().map(|(name, share)| (name.as_str(), *share)).collect();
    assert_eq!(shares, [("a", 0.75), ("b", 0.25)]);
}

#[test]
fn a_status_is_live_while_it_is_young_by_this_clock() {
    let is_live = |age_s: f64, ended| Status { at: now_s() - age_s, ended, ..Status::default() }.is_live();
    assert!(is_live(0.0, false) && is_live(10.0, false) && is_live(-10.0, false));
    assert!(!is_live(60.0, false) && !is_live(-3600.0, false) && !is_live(0.0, true) && !is_live(f64::NAN, false));
}
