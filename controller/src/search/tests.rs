//! The search with a fake evaluator, which answers at once or late, and in any order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use child::graph::Shape;
use child::space::SpaceConfig;
use hardware::log::{Row, Status};

use super::*;
use crate::evaluate::{Assignment, Capacity, Evaluating, Evaluator, Finished};
use crate::history::Work;
use crate::objective::{Bounds, Objective, Objectives};
use crate::plan::{Budget, evaluated};
use crate::problem::Fidelity;
use crate::scalarisation::RewardConfig;
use crate::strategy::StrategyConfig;

/// A fake evaluator: its figures are made up of the architecture's text.
struct Fake {
    capacity: Capacity,
    /// Whether some jobs take longer, so that they end in another order than they began.
    lingers: bool,
    /// Asks the search to stop at this training, which then does not end.
    stop_at: Option<(u64, Stop)>,
}

/// One job at a time.
const ALONE: Capacity = Capacity { measurements: 1, trainings: 1, together: 1 };
const SEVERAL: Capacity = Capacity { measurements: 2, trainings: 3, together: 5 };

impl Fake {
    fn new(capacity: Capacity) -> Self {
        Self { capacity, lingers: capacity != ALONE, stop_at: None }
    }

    fn stopping(self, number: u64) -> Self {
        Self { stop_at: Some((number, Stop::default())), ..self }
    }
}

impl Evaluator for Fake {
    fn run(self: Arc<Self>, Assignment { job, text, .. }: Assignment) -> Evaluating {
        Box::pin(async move {
            let sum: u64 = text.bytes().map(u64::from).sum();
            if self.lingers {
                tokio::time::sleep(Duration::from_millis(sum % 7)).await;
            }
            let row = |status| Row::new(job.number, &text, status);
            let row = match job.work {
                Work::Measure { .. } if job.number % 7 == 3 => row(Status::Failed),
                // Another time each time, so that the front moves.
                Work::Measure { .. } => {
                    let time_ms = Some(1.0 + (sum % 13) as f64 + (job.number * 37 % 11) as f64 / 8.0);
                    Row { time_ms, ..row(Status::Measured) }
                }
                Work::Train { epochs } => {
                    if let Some((number, stop)) = &self.stop_at
                        && job.number >= *number
                    {
                        stop.ask();
                        return None;
                    }
                    Row { accuracy: Some((sum % 97) as f64 / 97.0), epochs: Some(epochs), ..row(Status::Ok) }
                }
            };
            let model = row.accuracy.map(|_| b"model".to_vec());
            Some(Finished { row, model })
        })
    }

    fn capacity(&self) -> Capacity {
        self.capacity
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
        workers: Workers::real(Arc::new(evaluator)),
        storage: Storage {
            journal: Journal::open(&folder.join("journal.csv"), &folder.join("waiting.csv"), &folder.join("rows"))
                .unwrap()
                .0,
            checkpoints: folder.to_owned(),
            fingerprint: String::new(),
            models: folder.join("models"),
        },
        imported: Vec::new(),
        observers: Vec::new(),
        plan: Plan {
            budget: Budget { evaluations: Some(budget), ..Budget::default() },
            fidelity: Fidelity::default(),
            remeasure: 0,
            batch: 5,
            inherited: None,
            retry_failed: false,
        },
        stop,
    }
}

const OPERATIONS: &str = "['none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3']";

fn run(search: &mut Search, folder: &Path) -> (End, History) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(search.run(Checkpoint::load(folder).unwrap())).unwrap();
    let history = History::of_rows(&search.problem, &rows(folder)).unwrap();
    (outcome.end, history)
}

fn rows(folder: &Path) -> Vec<Row> {
    hardware::log::read(&folder.join("journal.csv")).unwrap()
}

fn whole(folder: &Path, evaluator: Fake) -> (End, History, Vec<u8>) {
    let (end, history) = run(&mut search(folder, OPERATIONS, 45, evaluator), folder);
    (end, history, std::fs::read(folder.join("journal.csv")).unwrap())
}

fn assert_only_models_of_the_front(folder: &Path, history: &History) {
    let entries = std::fs::read_dir(folder.join("models")).unwrap();
    let number = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let kept: BTreeSet<u64> = entries.map(|entry| number(entry.unwrap().path())).collect();
    assert_eq!(kept, history.front().map(|evaluation| evaluation.number).collect());
}

/// Each network is measured once and trained at most once, in this order.
fn assert_no_job_is_done_twice(rows: &[Row]) {
    let mut of_network: BTreeMap<&str, Vec<Status>> = BTreeMap::new();
    rows.iter().for_each(|row| of_network.entry(&row.architecture).or_default().push(row.status));
    for (network, statuses) in of_network {
        let is_right = matches!(statuses[..], [Status::Measured] | [Status::Measured, Status::Ok] | [Status::Failed]);
        assert!(is_right, "{network}: {statuses:?}");
    }
}

fn evaluated_by(history: &History) -> u64 {
    evaluated(Fidelity::default(), history)
}

#[test]
fn jobs_end_in_any_order_and_none_is_done_twice() {
    let place = tempfile::tempdir().unwrap();
    let (end, history, _) = whole(place.path(), Fake::new(SEVERAL));
    assert_eq!((end, evaluated_by(&history)), (End::Finished, 45));
    assert_no_job_is_done_twice(&rows(place.path()));
    assert_only_models_of_the_front(place.path(), &history);
}

#[test]
fn a_stopped_search_loses_no_job_and_does_none_twice() {
    for checkpoint in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let mut before = Vec::new();
        for number in [0, 14, 33] {
            let (end, ..) = whole(place.path(), Fake::new(SEVERAL).stopping(number));
            assert_eq!(end, End::Stopped, "at {number}");
            let now = rows(place.path());
            assert!(now.starts_with(&before), "rows are only added");
            before = now;
            if !checkpoint {
                std::fs::remove_file(Checkpoint::path(place.path())).unwrap();
            }
        }
        let (end, history, _) = whole(place.path(), Fake::new(SEVERAL));
        assert_eq!((end, evaluated_by(&history)), (End::Finished, 45), "checkpoint {checkpoint}");
        let now = rows(place.path());
        assert!(now.starts_with(&before));
        assert_no_job_is_done_twice(&now);
        assert_only_models_of_the_front(place.path(), &history);
    }
}

#[test]
fn a_stopped_search_of_one_job_at_a_time_writes_the_same_journal() {
    let (reference, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = whole(reference.path(), Fake::new(ALONE)).2;
    for number in [0, 14, 33] {
        assert_eq!(whole(place.path(), Fake::new(ALONE).stopping(number)).0, End::Stopped, "at {number}");
    }
    assert_eq!(whole(place.path(), Fake::new(ALONE)).0, End::Finished);
    assert!(std::fs::read(place.path().join("journal.csv")).unwrap() == expected);
}

#[test]
fn the_search_ends_when_the_space_is_exhausted() {
    let place = tempfile::tempdir().unwrap();
    let mut small = search(place.path(), "['none', 'skip_connect']", 1000, Fake::new(SEVERAL));
    let (end, history) = run(&mut small, place.path());
    assert_eq!(end, End::Exhausted);
    let keys: HashSet<_> = history.evaluations().iter().map(|evaluation| evaluation.key).collect();
    let all = (0..64).map(|text| (0..6).map(|edge| text >> edge & 1).collect::<Vec<usize>>());
    let all = all.map(child::space::Architecture::new);
    let connected = all.filter(|architecture| small.problem.is_connected(architecture).unwrap());
    let networks: HashSet<_> = connected.map(|architecture| small.problem.key(&architecture).unwrap()).collect();
    assert_eq!(keys, networks, "all that have a path from the image to the logits");
    assert_no_job_is_done_twice(&rows(place.path()));
}

#[test]
fn epochs_and_time_are_budgets_too() {
    let ended = |budget: Budget| {
        let place = tempfile::tempdir().unwrap();
        let mut search = search(place.path(), OPERATIONS, 1, Fake::new(ALONE));
        search.plan.budget = budget;
        let (end, history) = run(&mut search, place.path());
        (end, history.epochs())
    };
    let epochs = Budget { epochs: Some(12), ..Budget::default() };
    assert_eq!(ended(epochs), (End::Finished, 12));
    // One of four fails before it is trained.
    assert_eq!(ended(Budget { evaluations: Some(4), ..epochs }), (End::Finished, 3), "whichever is spent first");
    assert_eq!(ended(Budget { time: Some(Duration::ZERO), ..epochs }), (End::Finished, 0));
}

/// Begins or resumes a run with a budget and re-measurements; returns its end, history and journal.
fn remeasured(folder: &Path, budget: u64, remeasure: u64, evaluator: Fake) -> (End, History, String) {
    let mut search = search(folder, OPERATIONS, budget, evaluator);
    search.plan.remeasure = remeasure;
    let (end, history) = run(&mut search, folder);
    (end, history, std::fs::read_to_string(folder.join("journal.csv")).unwrap())
}

#[test]
fn the_front_is_measured_again_after_the_search() {
    let (place, plain) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (end, history, journal) = remeasured(place.path(), 45, 12, Fake::new(ALONE));
    assert_eq!((end, evaluated_by(&history), history.repeats()), (End::Finished, 45, 12));
    let searched = String::from_utf8(whole(plain.path(), Fake::new(ALONE)).2).unwrap();
    assert!(journal.starts_with(&searched), "the search itself is the same");
    let problem = search(plain.path(), OPERATIONS, 45, Fake::new(ALONE)).problem;
    let mut so_far = History::new(history.objectives().clone(), history.bounds().clone());
    let searched = searched.lines().count() - 1;
    for (place, row) in rows(place.path()).iter().enumerate() {
        if place >= searched {
            assert!(row.accuracy.is_none() && row.status != Status::Measured, "{row:?}");
            let front: Vec<_> = so_far.front().map(|member| problem.space().format(&member.architecture)).collect();
            assert!(front.contains(&Ok(row.architecture.clone())), "{row:?} was on the front");
        }
        so_far.enter(&problem, row).unwrap();
    }
    assert_only_models_of_the_front(place.path(), &history);
}

#[test]
fn a_run_with_re_measurements_goes_on_and_can_get_a_larger_budget() {
    let place = tempfile::tempdir().unwrap();
    let (_, history, before) = remeasured(place.path(), 25, 4, Fake::new(ALONE));
    assert_eq!((evaluated_by(&history), history.repeats()), (25, 4));
    // A finished run has none left.
    assert!(remeasured(place.path(), 25, 4, Fake::new(ALONE)).2 == before);
    std::fs::remove_file(Checkpoint::path(place.path())).unwrap();
    let (_, history, after) = remeasured(place.path(), 45, 9, Fake::new(ALONE));
    assert_eq!((evaluated_by(&history), history.repeats()), (45, 9));
    assert!(after.starts_with(&before), "rows are only added");
    assert_only_models_of_the_front(place.path(), &history);
}

/// Tries failed evaluations of a run again, and goes on to a budget.
fn retried(folder: &Path, budget: u64, evaluator: Fake, retry_failed: bool) -> (End, History, Vec<u8>) {
    let mut search = search(folder, OPERATIONS, budget, evaluator);
    search.plan.retry_failed = retry_failed;
    let (end, history) = run(&mut search, folder);
    (end, history, std::fs::read(folder.join("journal.csv")).unwrap())
}

fn failed(history: &History) -> Vec<u64> {
    history.evaluations().iter().filter(|one| one.status == Status::Failed).map(|one| one.number).collect()
}

#[test]
fn failed_evaluations_are_tried_again_and_the_later_row_counts() {
    let place = tempfile::tempdir().unwrap();
    let (_, before, journal) = whole(place.path(), Fake::new(ALONE));
    let numbers = failed(&before);
    assert!(numbers.len() > 3 && numbers.iter().all(|number| number % 7 == 3), "{numbers:?}");
    let (end, after, again) = retried(place.path(), 45, Fake::new(ALONE), true);
    assert!(end == End::Finished && again.starts_with(&journal), "rows are only added");
    assert_eq!((after.retries(), after.repeats()), (numbers.len() as u64, 0));
    // The fake fails some of the new numbers as well.
    let left = failed(&after);
    assert!(left.len() < numbers.len() && left.iter().all(|number| !numbers.contains(number)), "the latest counts");
    for number in &numbers {
        let now = after.get(*number).unwrap();
        assert!(now.status == Status::Failed || now.complete().is_some(), "{now:?}");
    }
    assert_only_models_of_the_front(place.path(), &after);
    // Those that have failed again are tried again where that is asked for again, and not before.
    assert_eq!(retried(place.path(), 45, Fake::new(ALONE), false).2, again);
    let (_, after, _) = retried(place.path(), 45, Fake::new(ALONE), true);
    assert_eq!(after.retries(), (numbers.len() + left.len()) as u64);
}

#[test]
fn retries_go_on_after_a_kill_whether_they_are_requested_again_or_not() {
    let begin = |folder: &Path| whole(folder, Fake::new(ALONE)).1;
    let reference = tempfile::tempdir().unwrap();
    let first = begin(reference.path()).next_number();
    let expected = retried(reference.path(), 60, Fake::new(ALONE), true).2;
    for (after, checkpoint) in [(0, true), (0, false), (2, true), (3, false), (8, true)] {
        let place = tempfile::tempdir().unwrap();
        begin(place.path());
        let stopping = Fake::new(ALONE).stopping(first + after);
        assert_eq!(retried(place.path(), 60, stopping, true).0, End::Stopped, "after {after}");
        if !checkpoint {
            std::fs::remove_file(Checkpoint::path(place.path())).unwrap();
        }
        let (end, history, journal) = retried(place.path(), 60, Fake::new(ALONE), false);
        assert!(end == End::Finished && evaluated_by(&history) == 60, "after {after}, checkpoint {checkpoint}");
        if checkpoint {
            assert!(journal == expected, "after {after}");
        }
        assert_only_models_of_the_front(place.path(), &history);
    }
}

#[test]
fn networks_without_a_path_cost_no_evaluation() {
    let place = tempfile::tempdir().unwrap();
    let mut small = search(place.path(), "['none', 'skip_connect', 'nor_conv_1x1']", 60, Fake::new(SEVERAL));
    let (_, history) = run(&mut small, place.path());
    let connected = |one: &crate::history::Evaluation| small.problem.is_connected(&one.architecture).unwrap();
    assert!(evaluated_by(&history) == 60 && history.evaluations().iter().all(connected));
}

#[test]
fn a_run_of_an_earlier_version_goes_on_from_its_rows() {
    let place = tempfile::tempdir().unwrap();
    let mut earlier = search(place.path(), OPERATIONS, 30, Fake::new(SEVERAL));
    let mut rng: rand_chacha::ChaCha8Rng = rand::SeedableRng::seed_from_u64(1);
    for number in 0..12 {
        let text = earlier.problem.space().format(&earlier.problem.space().random(&mut rng)).unwrap();
        let values = (Some(number as f64 / 20.0), Some(1.0 + number as f64));
        let row = Row { accuracy: values.0, time_ms: values.1, ..Row::new(number, text, Status::Ok) };
        earlier.storage.journal.record(&row).unwrap();
    }
    // A network without a path, which these versions evaluated: others may be proposed then.
    let cut = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
    earlier.storage.journal.record(&Row::new(12, cut, Status::Failed)).unwrap();
    drop(earlier);
    let before = rows(place.path());
    let mut goes_on = search(place.path(), OPERATIONS, 30, Fake::new(SEVERAL));
    assert!(goes_on.start(None).unwrap().history.admits_disconnected);
    let mut goes_on = search(place.path(), OPERATIONS, 30, Fake::new(SEVERAL));
    let (end, history) = run(&mut goes_on, place.path());
    assert_eq!((end, evaluated_by(&history)), (End::Finished, 30));
    let now = rows(place.path());
    assert!(now.starts_with(&before));
    assert_no_job_is_done_twice(&now[before.len()..]);
}
