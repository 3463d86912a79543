//! The loop, with an evaluator that stands in for devices and trainers: it answers at once or late, and in any order.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use child::graph::Shape;
use child::space::SpaceConfig;
use hardware::log::{Row, Status};

use super::*;
use crate::evaluate::{Evaluating, Finished, Job};
use crate::objective::{Bounds, Objective, Objectives};
use crate::reward::RewardConfig;
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
            if job.remeasure {
                // Another time each time, so that the front moves.
                let time_ms = Some(0.5 + sum % 13.0 + (job.number * 37 % 11) as f64 / 8.0);
                let row = Row { time_ms, ..Row::new(job.number, job.text, Status::Ok) };
                return Some(Finished { row, model: None });
            }
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
        journal: Journal::open(&folder.join("journal.csv"), &folder.join("waiting.csv"), &folder.join("rows"))
            .unwrap()
            .0,
        checkpoints: folder.to_owned(),
        models: folder.join("models"),
        imported: Vec::new(),
        observers: Vec::new(),
        budget,
        remeasure: 0,
        batch: 10,
        seed: 5,
        fingerprint: String::new(),
        stop,
    }
}

const OPERATIONS: &str = "['none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3']";

fn run(search: &mut Search, folder: &Path) -> anyhow::Result<(End, History)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(search.run(Checkpoint::load(folder).unwrap()))?;
    Ok((outcome.end, outcome.history))
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
    assert_only_models_of_the_front(first.path(), &in_order.1);
}

fn assert_only_models_of_the_front(folder: &Path, history: &History) {
    let entries = std::fs::read_dir(folder.join("models")).unwrap();
    let number = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let kept: BTreeSet<u64> = entries.map(|entry| number(entry.unwrap().path())).collect();
    assert_eq!(kept, history.front().map(|evaluation| evaluation.number).collect());
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
    assert!(error.to_string().contains("evaluation 0 is of |none~0|"), "{error}");
}

/// A run of so many evaluations and re-measurements, begun or gone on with, and its journal.
fn remeasured(folder: &Path, budget: u64, remeasure: u64, evaluator: Fake) -> (End, History, String) {
    let mut search = search(folder, OPERATIONS, budget, evaluator);
    search.remeasure = remeasure;
    let (end, history) = run(&mut search, folder).unwrap();
    (end, history, std::fs::read_to_string(folder.join("journal.csv")).unwrap())
}

#[test]
fn the_front_is_measured_again_when_the_search_is_over() {
    let (place, plain) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (end, history, journal) = remeasured(place.path(), 45, 12, Fake::default());
    assert_eq!((end, history.evaluations().len(), history.repeats()), (End::Finished, 45, 12));
    let searched = String::from_utf8(whole(plain.path(), Fake::default()).2).unwrap();
    assert!(journal.starts_with(&searched), "the search itself is the same");
    let rows = hardware::log::read(&place.path().join("journal.csv")).unwrap();
    let mut history = History::new(history.objectives().clone(), history.bounds().clone());
    let problem = search(plain.path(), OPERATIONS, 45, Fake::default()).problem;
    for row in &rows {
        let candidate = candidate_of(&problem, row).unwrap();
        if row.evaluation >= 45 {
            assert!(row.accuracy.is_none() && row.time_ms.is_some(), "{row:?}");
            assert!(history.front().any(|member| member.key == candidate.key), "{row:?} was on the front");
        }
        history.push(evaluation_of(&problem, candidate, row).unwrap()).unwrap();
    }
    assert_only_models_of_the_front(place.path(), &history);
}

#[test]
fn re_measurements_go_on_after_a_stop_as_if_there_had_been_none() {
    let (reference, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = remeasured(reference.path(), 45, 12, Fake::default()).2;
    for number in [33, 45, 50, 56] {
        let evaluator = Fake { backwards: true, stop_at: Some((number, Stop::default())) };
        assert_eq!(remeasured(place.path(), 45, 12, evaluator).0, End::Stopped, "at {number}");
    }
    std::fs::remove_file(Checkpoint::path(place.path())).unwrap();
    let (end, history, journal) = remeasured(place.path(), 45, 12, Fake::default());
    assert!(end == End::Finished && journal == expected);
    assert_only_models_of_the_front(place.path(), &history);
    // What is spent is spent.
    assert!(remeasured(place.path(), 45, 12, Fake::default()).2 == expected);
}

#[test]
fn a_run_that_was_measured_again_may_be_searched_further() {
    let place = tempfile::tempdir().unwrap();
    remeasured(place.path(), 25, 4, Fake::default());
    let (_, history, whole) = remeasured(place.path(), 45, 9, Fake::default());
    assert_eq!((history.evaluations().len(), history.repeats()), (45, 9));
    // From the journal alone too, whose repeats stand in the middle of what is a round now.
    for rows in [27, 35, 47] {
        let other = tempfile::tempdir().unwrap();
        let cut: String = whole.split_inclusive('\n').take(1 + rows).collect();
        std::fs::write(other.path().join("journal.csv"), cut).unwrap();
        let goes_on = remeasured(other.path(), 45, 9, Fake::default());
        let numbers = |history: &History| history.front().map(|evaluation| evaluation.number).collect::<Vec<_>>();
        if rows >= 29 {
            assert!(goes_on.2 == whole, "{rows}");
            assert_eq!(numbers(&goes_on.1), numbers(&history));
        }
        assert_eq!((goes_on.1.evaluations().len(), goes_on.1.repeats()), (45, 9));
    }
}
