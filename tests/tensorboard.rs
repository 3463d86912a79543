//! The events of a search, read back by TensorBoard itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use end_to_end::{Journal, Program, Table, dominated_area, experiment, front, python};
use serde_json::Value;

const EVALUATIONS: usize = 50;
/// Proposals of a round at least, and bound on the error, as the experiment has them.
const BATCH: usize = 5;
const ERROR_BOUND: f64 = 0.38;

/// A folder in which a run begins by these arguments.
fn place() -> (tempfile::TempDir, Vec<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    Table::write(folder.path());
    std::fs::write(folder.path().join("experiment.toml"), experiment()).unwrap();
    let begin = ["replay", "table.csv", "--experiment", "experiment.toml", "--strategy", "policy-gradient"];
    let more = ["--objectives", "error,time_ms", "--evaluations", "50", "--quiet", "--out", "run"];
    (folder, begin.into_iter().chain(more).collect())
}

/// Steps and values of a scalar.
fn scalar(events: &Value, tag: &str) -> Vec<(usize, f64)> {
    let points = events["scalars"][tag].as_array().unwrap_or_else(|| panic!("no scalar {tag}"));
    points.iter().map(|point| (point[0].as_u64().unwrap() as usize, point[1].as_f64().unwrap())).collect()
}

/// TensorBoard keeps 32-bit floats.
fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-6 * expected.abs().max(1.0)
}

fn check_against_journal(run: &Path, events: &Value) {
    let journal = Journal::read(&run.join("measurements.csv"));
    for column in ["accuracy", "time_ms", "energy_mj"] {
        let mut points = scalar(events, &format!("child/{column}"));
        // A resumed search enters an interrupted round again.
        points.sort_by_key(|(step, _)| *step);
        points.dedup_by_key(|(step, _)| *step);
        assert_eq!(points.len(), EVALUATIONS, "{column}");
        for (row, (step, value)) in journal.rows.iter().zip(points) {
            assert_eq!(row.evaluation(), step as u64);
            assert!(near(value, row.number(column).unwrap()), "{column} of {step}");
        }
    }
    let objectives = ["error", "time_ms"];
    let values = journal.values(&objectives);
    let last = |tag: &str| *scalar(events, tag).last().unwrap();
    for (index, objective) in objectives.iter().enumerate() {
        let least = values.iter().map(|values| values[index]).fold(f64::INFINITY, f64::min);
        let (step, value) = last(&format!("best/{objective}"));
        assert!(step == EVALUATIONS - 1 && near(value, least), "{objective}: {value} {least}");
    }
    assert_eq!(last("front/size"), (EVALUATIONS - 1, front(&journal, &objectives).len() as f64));
    // The worst corner of the box: the bound, and 1.1 × the slowest of the log.
    let table = std::fs::read_to_string(run.with_file_name("table.csv")).unwrap();
    let times_us = table.lines().skip(1).map(|line| line.rsplit(',').nth(1).unwrap().parse::<f64>().unwrap());
    let slowest = times_us.fold(0.0, f64::max) / 1000.0;
    let (step, share) = last("front/hypervolume");
    let expected = dominated_area(&values, [ERROR_BOUND, 1.1 * slowest]);
    assert!(step == EVALUATIONS - 1 && near(share, expected), "{share} {expected}");
}

#[test]
fn tensorboard_events_equal_the_journal() {
    let (folder, begin) = place();
    Program::new(folder.path()).args(&begin).succeed();
    let run = folder.path().join("run");
    let Some(events) = python("read_events.py", &run) else { return };
    check_against_journal(&run, &events);

    let hypervolume = scalar(&events, "front/hypervolume");
    assert!(hypervolume.windows(2).all(|pair| pair[0].1 <= pair[1].1), "a hypervolume never falls");
    let printed = Program::new(folder.path()).args(["front", "run", "--json"]).succeed();
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert!(near(hypervolume.last().unwrap().1, json["hypervolume_share"].as_f64().unwrap()));

    let rounds: Vec<usize> = (1..=EVALUATIONS / BATCH).map(|round| round * BATCH).collect();
    for tag in ["loss", "entropy", "gradient_norm", "mean_reward", "own_seconds"] {
        let points = scalar(&events, &format!("strategy/{tag}"));
        assert_eq!(points.iter().map(|(step, _)| *step).collect::<Vec<_>>(), rounds, "{tag}");
        assert!(points.iter().all(|(_, value)| value.is_finite()), "{tag}");
    }
    // Six decisions among three operations each: an entropy in nats.
    let most = 6.0 * 3.0_f64.ln();
    assert!(scalar(&events, "strategy/entropy").iter().all(|(_, entropy)| (0.0..=most + 1e-6).contains(entropy)));
    assert!(scalar(&events, "strategy/gradient_norm").iter().all(|(_, norm)| *norm > 0.0));
    check_choices(&events, &rounds);
    check_about(&events, &run);
}

#[test]
fn the_default_strategy_reports_rank_correlations() {
    let (folder, begin) = place();
    let begin: Vec<&str> = begin.into_iter().filter(|word| !["--strategy", "policy-gradient"].contains(word)).collect();
    Program::new(folder.path()).args(&begin).succeed();
    let Some(events) = python("read_events.py", &folder.path().join("run")) else { return };
    for objective in ["error", "time_ms"] {
        let points = scalar(&events, &format!("strategy/rank_correlation/{objective}"));
        assert!(points.len() > 1 && points.iter().all(|(_, value)| (-1.0..=1.0).contains(value)), "{points:?}");
    }
    for tag in ["acquisition", "entropy"] {
        let points = scalar(&events, &format!("strategy/{tag}"));
        assert!(points.len() > 1 && points.iter().all(|(_, value)| *value >= 0.0), "{tag}: {points:?}");
    }
    // The parts of the reward of simulated episodes: no improvement counts as less than 1e-7.
    for (tag, least) in [("mean_reward", f64::MIN), ("log10_improvement", -7.0)] {
        let points = scalar(&events, &format!("strategy/{tag}"));
        assert!(points.iter().all(|(_, value)| value.is_finite() && *value >= least), "{tag}: {points:?}");
        assert!(points.windows(2).any(|pair| pair[0].1 != pair[1].1), "{tag} says something: {points:?}");
    }
}

/// For every decision and round a share for each choice, by its name; together they are 1.
fn check_choices(events: &Value, rounds: &[usize]) {
    let choices = events["scalars"].as_object().unwrap().keys().filter_map(|tag| tag.strip_prefix("choices/"));
    let mut decisions = BTreeMap::<&str, Vec<&str>>::new();
    for (decision, choice) in choices.map(|tag| tag.rsplit_once('/').unwrap()) {
        decisions.entry(decision).or_default().push(choice);
    }
    let edges = ["edge 0→1", "edge 0→2", "edge 0→3", "edge 1→2", "edge 1→3", "edge 2→3"];
    assert_eq!(decisions.keys().copied().collect::<Vec<_>>(), edges);
    for (decision, choices) in decisions {
        assert_eq!(choices, ["nor_conv_1x1", "nor_conv_3x3", "skip_connect"], "{decision}");
        let shares = choices.iter().map(|choice| scalar(events, &format!("choices/{decision}/{choice}")));
        let shares: Vec<_> = shares.collect();
        for (at, round) in rounds.iter().enumerate() {
            assert!(shares.iter().all(|points| points[at].0 == *round), "{decision}");
            assert!(near(shares.iter().map(|points| points[at].1).sum(), 1.0), "{decision}");
        }
    }
}

/// The settings that distinguish runs, the result, and the experiment as it is in the run folder.
fn check_about(events: &Value, run: &Path) {
    let setting = |name: &str| events["settings"][name].as_str().unwrap().to_owned();
    assert_eq!((setting("strategy"), setting("space")), ("policy-gradient".to_owned(), "nasbench201".to_owned()));
    assert_eq!((setting("seed"), setting("bounds")), ("0".to_owned(), format!("error ≤ {ERROR_BOUND}")));
    assert!(setting("device").ends_with("table.csv"));
    let known: Vec<&str> =
        events["known_settings"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(known, ["strategy", "seed", "space", "device", "bounds"]);
    assert_eq!(events["results"], serde_json::json!(["front/hypervolume"]));
    assert_eq!(events["ended"], true);
    let experiment = std::fs::read_to_string(run.join("config.toml")).unwrap();
    assert_eq!(events["texts"]["experiment"], format!("```toml\n{}\n```", experiment.trim_end()));
    let reference = events["texts"]["reference"].as_str().unwrap();
    assert!(reference.starts_with(&format!("error {ERROR_BOUND} (its bound), time_ms ")), "{reference}");
}

#[test]
fn events_are_complete_after_a_kill_and_a_resumption() {
    let (folder, begin) = place();
    let run = folder.path().join("run");
    // At any moment of the kill, the events must be those of the whole journal in the end.
    for wait_ms in [60, 90, 120] {
        let _ = std::fs::remove_dir_all(&run);
        let mut child = Program::new(folder.path()).args(&begin).start();
        std::thread::sleep(Duration::from_millis(wait_ms));
        let _ = child.kill();
        child.wait().unwrap();
        let going_on = match run.join("config.toml").is_file() {
            true => vec!["--resume", "run", "--quiet"],
            false => begin.clone(),
        };
        Program::new(folder.path()).args(going_on).succeed();
        let Some(events) = python("read_events.py", &run) else { return };
        check_against_journal(&run, &events);
    }
}
