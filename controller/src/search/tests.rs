//! The search with a fake evaluator, which answers at once or late, and in any order.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use child::graph::Shape;
use child::space::SpaceConfig;
use hardware::log::{Row, Status};

use super::*;
use crate::evaluate::{Evaluating, Finished, Job};
use crate::history::evaluation_of;
use crate::objective::{Bounds, Objective, Objectives};
use crate::scalarisation::RewardConfig;
use crate::strategy::StrategyConfig;

/// A fake evaluator: its figures are made up of the architecture's text.
#[derive(Default)]
struct Fake {
    /// Whether later ones of a round answer earlier.
    backwards: bool,
    /// Asks the search to stop at this evaluation, which then does not end.
    stop_at: Option<(u64, Stop)>,
    /// Whether the network without any path fails, as a real evaluation of it does.
    cut_fails: bool,
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
            let status =
                if job.number % 7 == 3 || (self.cut_fails && is_cut(&job.text)) { Status::Failed } else { Status::Ok };
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

/// Whether no path of a cell leads from its first node to its last.
fn is_cut(text: &str) -> bool {
    let edges: Vec<bool> =
        text.split('|').filter(|edge| edge.contains('~')).map(|edge| !edge.starts_with("none")).collect();
    let second = edges[1] || (edges[2] && edges[0]);
    !(edges[3] || (edges[4] && edges[0]) || (edges[5] && second))
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
        plan: Plan { budget, remeasure: 0, batch: 10, seed: 5, retry_failed: false },
        stop,
    }
}

const OPERATIONS: &str = "['none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3']";

fn run(search: &mut Search, folder: &Path) -> anyhow::Result<(End, History)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(search.run(Checkpoint::load(folder).unwrap()))?;
    let rows = hardware::log::read(&folder.join("journal.csv")).unwrap();
    Ok((outcome.end, History::of_rows(&search.problem, search.problem.bounds(), &rows)?))
}

fn whole(folder: &Path, evaluator: Fake) -> (End, History, Vec<u8>) {
    let (end, history) = run(&mut search(folder, OPERATIONS, 45, evaluator), folder).unwrap();
    (end, history, std::fs::read(folder.join("journal.csv")).unwrap())
}

#[test]
fn journal_order_is_independent_of_completion_order() {
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
fn a_stopped_and_resumed_search_writes_the_same_journal() {
    let (reference, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = whole(reference.path(), Fake::default()).2;
    for number in [0, 14, 33] {
        let stop_at = Some((number, Stop::default()));
        let (end, ..) = whole(place.path(), Fake { stop_at, backwards: true, ..Fake::default() });
        assert_eq!(end, End::Stopped, "at {number}");
    }
    assert_eq!(whole(place.path(), Fake::default()).0, End::Finished);
    assert!(std::fs::read(place.path().join("journal.csv")).unwrap() == expected);
}

#[test]
fn resuming_without_a_checkpoint_writes_the_same_journal() {
    let (reference, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = whole(reference.path(), Fake::default()).2;
    let (end, ..) = whole(place.path(), Fake { stop_at: Some((25, Stop::default())), ..Fake::default() });
    assert_eq!(end, End::Stopped);
    std::fs::remove_file(Checkpoint::path(place.path())).unwrap();
    assert!(whole(place.path(), Fake::default()).2 == expected);
}

#[test]
fn the_search_ends_when_the_space_is_exhausted() {
    let place = tempfile::tempdir().unwrap();
    let mut small = search(place.path(), "['none', 'skip_connect']", 1000, Fake::default());
    let (end, history) = run(&mut small, place.path()).unwrap();
    assert_eq!(end, End::Exhausted);
    let keys: HashSet<_> = history.evaluations().iter().map(|evaluation| evaluation.key).collect();
    assert_eq!(keys.len(), history.evaluations().len(), "no network is evaluated twice");
    let all = (0..64).map(|text| (0..6).map(|edge| text >> edge & 1).collect::<Vec<usize>>());
    let all = all.map(child::space::Architecture::new);
    let connected = all.filter(|architecture| small.problem.is_connected(architecture).unwrap());
    let networks: HashSet<_> = connected.map(|architecture| small.problem.key(&architecture).unwrap()).collect();
    assert_eq!(keys, networks, "all that have a path from the image to the logits");
}

#[test]
fn the_journal_of_a_different_run_is_rejected() {
    let place = tempfile::tempdir().unwrap();
    let mut other = search(place.path(), OPERATIONS, 5, Fake::default());
    other
        .storage
        .journal
        .record(&Row::new(0, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", Status::Failed))
        .unwrap();
    drop(other);
    let error = run(&mut search(place.path(), OPERATIONS, 5, Fake::default()), place.path()).unwrap_err();
    assert!(error.to_string().contains("evaluation 0 is of |none~0|"), "{error}");
}

/// Begins or resumes a run with a budget and re-measurements; returns its end, history and journal.
fn remeasured(folder: &Path, budget: u64, remeasure: u64, evaluator: Fake) -> (End, History, String) {
    let mut search = search(folder, OPERATIONS, budget, evaluator);
    search.plan.remeasure = remeasure;
    let (end, history) = run(&mut search, folder).unwrap();
    (end, history, std::fs::read_to_string(folder.join("journal.csv")).unwrap())
}

#[test]
fn the_front_is_measured_again_after_the_search() {
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
fn stopped_and_resumed_re_measurements_write_the_same_journal() {
    let (reference, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = remeasured(reference.path(), 45, 12, Fake::default()).2;
    for number in [33, 45, 50, 56] {
        let evaluator = Fake { backwards: true, stop_at: Some((number, Stop::default())), ..Fake::default() };
        assert_eq!(remeasured(place.path(), 45, 12, evaluator).0, End::Stopped, "at {number}");
    }
    std::fs::remove_file(Checkpoint::path(place.path())).unwrap();
    let (end, history, journal) = remeasured(place.path(), 45, 12, Fake::default());
    assert!(end == End::Finished && journal == expected);
    assert_only_models_of_the_front(place.path(), &history);
    // A finished run has no re-measurements left.
    assert!(remeasured(place.path(), 45, 12, Fake::default()).2 == expected);
}

#[test]
fn a_run_with_re_measurements_can_get_a_larger_budget() {
    let place = tempfile::tempdir().unwrap();
    remeasured(place.path(), 25, 4, Fake::default());
    let (_, history, whole) = remeasured(place.path(), 45, 9, Fake::default());
    assert_eq!((history.evaluations().len(), history.repeats()), (45, 9));
    // From the journal alone too, with repeats in the middle of what is one round now.
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

/// Tries failed evaluations of a run again, and goes on to a budget.
fn retried(folder: &Path, budget: u64, evaluator: Fake, retry_failed: bool) -> (End, History, Vec<u8>) {
    let mut search = search(folder, OPERATIONS, budget, evaluator);
    search.plan.retry_failed = retry_failed;
    let (end, history) = run(&mut search, folder).unwrap();
    (end, history, std::fs::read(folder.join("journal.csv")).unwrap())
}

#[test]
fn failed_evaluations_are_tried_again_and_the_later_row_counts() {
    let place = tempfile::tempdir().unwrap();
    let (_, before, journal) = whole(place.path(), Fake::default());
    let failed: Vec<_> = before.evaluations().iter().filter(|one| one.status == Status::Failed).cloned().collect();
    assert_eq!(failed.iter().map(|one| one.number).collect::<Vec<_>>(), [3, 10, 17, 24, 31, 38]);
    let (end, after, again) = retried(place.path(), 45, Fake::default(), true);
    assert!(end == End::Finished && again.starts_with(&journal), "rows are only added");
    assert_eq!((after.evaluations().len(), after.retries(), after.repeats()), (45, 6, 0));
    for (number, failed) in (45..).zip(&failed) {
        let now = after.known(&failed.key).unwrap();
        // The fake fails evaluation 45 as well.
        let expected = if number == 45 { (Status::Failed, 45) } else { (Status::Ok, number) };
        assert_eq!((now.status, now.number), expected, "the latest counts");
    }
    assert_only_models_of_the_front(place.path(), &after);
    // Those that have failed again are tried again where that is asked for again, and not before.
    assert_eq!(retried(place.path(), 45, Fake::default(), false).2, again);
    let (_, after, _) = retried(place.path(), 45, Fake::default(), true);
    assert_eq!((after.retries(), after.entered()), (7, 52));
    assert!(after.evaluations().iter().all(|one| one.status == Status::Ok));
}

#[test]
fn a_run_with_retries_goes_on_to_the_same_journal_after_a_kill() {
    let begin = |folder: &Path| whole(folder, Fake::default());
    let reference = tempfile::tempdir().unwrap();
    begin(reference.path());
    let expected = retried(reference.path(), 60, Fake::default(), true).2;
    for (number, checkpoint) in [(45, true), (45, false), (47, true), (47, false), (50, true), (53, true), (53, false)]
    {
        let place = tempfile::tempdir().unwrap();
        begin(place.path());
        let stopping = Fake { stop_at: Some((number, Stop::default())), backwards: true, ..Fake::default() };
        assert_eq!(retried(place.path(), 60, stopping, true).0, End::Stopped, "at {number}");
        if !checkpoint {
            std::fs::remove_file(Checkpoint::path(place.path())).unwrap();
        }
        let (end, history, journal) = retried(place.path(), 60, Fake::default(), false);
        assert!(end == End::Finished && journal == expected, "at {number}, checkpoint {checkpoint}");
        assert_only_models_of_the_front(place.path(), &history);
    }
}

#[test]
fn re_measurements_are_not_used_up_by_retries() {
    let place = tempfile::tempdir().unwrap();
    whole(place.path(), Fake::default());
    retried(place.path(), 45, Fake::default(), true);
    let (_, history, _) = remeasured(place.path(), 45, 5, Fake::default());
    assert_eq!((history.retries(), history.repeats(), history.entered()), (6, 5, 56));
}

#[test]
fn networks_without_a_path_cost_no_evaluation() {
    let place = tempfile::tempdir().unwrap();
    let mut small = search(place.path(), "['none', 'skip_connect', 'nor_conv_1x1']", 60, Fake::default());
    let (_, history) = run(&mut small, place.path()).unwrap();
    let connected = |one: &crate::history::Evaluation| small.problem.is_connected(&one.architecture).unwrap();
    assert!(history.evaluations().len() == 60 && history.evaluations().iter().all(connected));
}

/// A search as earlier versions made it: networks without a path are evaluated, and fail.
async fn by_an_earlier_version(search: &mut Search, rounds: usize) {
    let mut state = search.start(None).unwrap();
    state.history.admits_disconnected = true;
    for _ in 0..rounds {
        let proposals = search.propose(&state).unwrap();
        let fresh = search.fresh(&state, &proposals).unwrap();
        assert!(search.evaluate(&mut state, fresh, false).await.unwrap());
        search.strategy.tell(&search.problem, &state.history, &proposals).unwrap();
        state.round += 1;
        search.save(&state).unwrap();
    }
}

#[test]
fn a_run_that_evaluated_a_network_without_a_path_goes_on_as_it_was() {
    let operations = "['none', 'skip_connect']";
    let earlier = |folder: &Path, rounds: usize| {
        let mut search = search(folder, operations, 1000, Fake { cut_fails: true, ..Fake::default() });
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(by_an_earlier_version(&mut search, rounds));
        let rows = hardware::log::read(&folder.join("journal.csv")).unwrap();
        assert!(rows.iter().any(|row| search.is_disconnected(row)), "{rows:?}");
        std::fs::read(folder.join("journal.csv")).unwrap()
    };
    let reference = tempfile::tempdir().unwrap();
    let expected = earlier(reference.path(), 2);
    for checkpoint in [true, false] {
        let place = tempfile::tempdir().unwrap();
        earlier(place.path(), 1);
        if !checkpoint {
            std::fs::remove_file(Checkpoint::path(place.path())).unwrap();
        }
        let evaluator = Fake { cut_fails: true, ..Fake::default() };
        run(&mut search(place.path(), operations, expected_rows(&expected), evaluator), place.path()).unwrap();
        assert!(std::fs::read(place.path().join("journal.csv")).unwrap() == expected, "checkpoint {checkpoint}");
    }
}

fn expected_rows(journal: &[u8]) -> u64 {
    journal.iter().filter(|byte| **byte == b'\n').count() as u64 - 1
}
