//! The loop, with an evaluator that stands in for devices and trainers: it answers at once or late, and in any order.

use std::path::Path;
use std::time::Duration;

use child::graph::Shape;
use child::space::SpaceConfig;
use hardware::log::{Row, Status};

use super::*;
use crate::evaluate::{Evaluating, Finished, Job};
use crate::objective::{Bounds, Objective, Objectives};
use crate::reward::RewardConfig;
use crate::run::RunError;
use crate::strategy::StrategyConfig;

/// A fake evaluator: its figures are made up of the architecture's text.
#[derive(Default)]
struct Fake {
    /// Whether later ones of a round answer earlier.
    backwards: bool,
    /// Asks the search to stop at this evaluation, which then does not end.
    stop_at: Option<(u64, Stop)>,
}

impl Evaluator for Fake {
    fn evaluate(self: Arc<Self>, job: Job) -> Evaluating {
        Box::pin(async move {
            if self.backwards {
                tokio::time::sleep(Duration::from_millis(20 * (9 - job.number % 10))).await;
            }
            if let Some((number, stop)) = &self.stop_at
                && *number == job.number
            {
                stop.ask();
                return None;
            }
            let sum: f64 = job.text.bytes().map(f64::from).sum();
            let status = if job.number % 7 == 3 { Status::Failed } else { Status::Ok };
            let known = |value: f64| (status == Status::Ok).then_some(value);
            let row = Row {
                accuracy: known((sum % 97.0) / 97.0),
                time_ms: known(1.0 + sum % 13.0),
                ..Row::new(job.number, job.text, status)
            };
            Some(Finished { row, model: Some(b"model".to_vec()) })
        })
    }
}

fn search(folder: &Path, operations: &str, budget: u64, evaluator: Fake) -> Search {
    let text = format!("name = 'nasbench201'\nchannels = 4\ncells = 1\noperations = {operations}");
    let space = Arc::from(toml::from_str::<SpaceConfig>(&text).unwrap().build().unwrap());
    let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
    let shape = Shape::new(1, 8, 8);
    let problem = Problem::new(space, shape, 10, objectives, Bounds::default(), RewardConfig::default()).unwrap();
    let device = child::backend::Backend::Flex.device().unwrap();
    let strategy: StrategyConfig = toml::from_str("name = 'policy-gradient'\npolicy = { hidden = 8 }").unwrap();
    let stop = evaluator.stop_at.as_ref().map(|(_, stop)| stop.clone()).unwrap_or_default();
    std::fs::create_dir_all(folder.join("models")).unwrap();
    Search {
        strategy: strategy.build(5, &problem, &device).unwrap(),
        problem: Arc::new(problem),
        evaluator: Arc::new(evaluator),
        journal: Journal::open(&folder.join("journal.csv"), &folder.join("waiting.csv")).unwrap().0,
        checkpoints: folder.to_owned(),
        models: folder.join("models"),
        observers: Vec::new(),
        budget,
        batch: 10,
        seed: 5,
        fingerprint: String::new(),
        stop,
    }
}

const OPERATIONS: &str = "['none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3']";

fn run(search: &mut Search, folder: &Path) -> anyhow::Result<(End, History)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(search.run(Checkpoint::load(folder).unwrap()))
}

fn whole(folder: &Path, evaluator: Fake) -> (End, History, Vec<u8>) {
    let (end, history) = run(&mut search(folder, OPERATIONS, 45, evaluator), folder).unwrap();
    (end, history, std::fs::read(folder.join("journal.csv")).unwrap())
}

#[test]
fn the_journal_does_not_hang_on_the_order_in_which_evaluations_end() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let in_order = whole(first.path(), Fake::default());
    let backwards = whole(second.path(), Fake { backwards: true, ..Fake::default() });
    assert_eq!((in_order.0, backwards.0), (End::Finished, End::Finished));
    assert!(in_order.2 == backwards.2);
    let numbers = |history: &History| history.front().map(|evaluation| evaluation.number).collect::<Vec<_>>();
    assert_eq!(numbers(&in_order.1), numbers(&backwards.1));
    assert!(!second.path().join("waiting.csv").exists());
    let mut kept: Vec<u64> = std::fs::read_dir(first.path().join("models"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().parse().unwrap())
        .collect();
    kept.sort_unstable();
    let mut front = numbers(&in_order.1);
    front.sort_unstable();
    assert_eq!(kept, front, "the models of the front are kept, and no others");
}

#[test]
fn a_stopped_search_goes_on_to_the_journal_it_would_have_had() {
    let (reference, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = whole(reference.path(), Fake::default()).2;
    for number in [0, 14, 33] {
        let stop_at = Some((number, Stop::default()));
        let (end, ..) = whole(place.path(), Fake { stop_at, backwards: true });
        assert_eq!(end, End::Stopped, "at {number}");
    }
    assert_eq!(whole(place.path(), Fake::default()).0, End::Finished);
    assert!(std::fs::read(place.path().join("journal.csv")).unwrap() == expected);
}

#[test]
fn the_journal_alone_is_enough() {
    let (reference, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = whole(reference.path(), Fake::default()).2;
    let (end, ..) = whole(place.path(), Fake { stop_at: Some((25, Stop::default())), ..Fake::default() });
    assert_eq!(end, End::Stopped);
    std::fs::remove_file(Checkpoint::path(place.path())).unwrap();
    assert!(whole(place.path(), Fake::default()).2 == expected);
}

#[test]
fn ends_where_the_space_is_exhausted() {
    let place = tempfile::tempdir().unwrap();
    let mut small = search(place.path(), "['none', 'skip_connect']", 1000, Fake::default());
    let (end, history) = run(&mut small, place.path()).unwrap();
    assert_eq!(end, End::Exhausted);
    let keys: HashSet<_> = history.evaluations().iter().map(|evaluation| evaluation.key).collect();
    assert_eq!(keys.len(), history.evaluations().len(), "no network is evaluated twice");
    let all = (0..64).map(|text| (0..6).map(|edge| text >> edge & 1).collect::<Vec<usize>>());
    let networks: HashSet<_> =
        all.map(|choices| small.problem.key(&child::space::Architecture::new(choices)).unwrap()).collect();
    assert_eq!(keys, networks);
}

#[test]
fn a_journal_of_another_run_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let mut other = search(place.path(), OPERATIONS, 5, Fake::default());
    other.journal.record(&Row::new(0, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", Status::Failed)).unwrap();
    drop(other);
    let error = run(&mut search(place.path(), OPERATIONS, 5, Fake::default()), place.path()).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(RunError::OtherJournal { evaluation: 0, .. })), "{error}");
}
