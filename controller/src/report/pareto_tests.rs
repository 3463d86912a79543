//! `pareto.csv` is a journal of the front: read again, it gives the same front.

use std::collections::HashSet;
use std::sync::Arc;

use child::graph::Shape;
use child::space::{NasBench201, NasBench201Settings};
use hardware::log::{Row, Status, read};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::evaluate::USELESS;
use crate::objective::{Bounds, Objective, Objectives};
use crate::problem::Problem;
use crate::scalarisation::RewardConfig;

fn problem() -> Problem {
    let space = NasBench201::new(NasBench201Settings { channels: 1, cells: 1, ..Default::default() }).unwrap();
    let objectives = Objectives::new([Objective::Error, Objective::Time, Objective::Energy]).unwrap();
    // So many classes that no accuracy is that of chance.
    Problem::new(
        Arc::new(space),
        Shape::new(1, 8, 8),
        1_000_000,
        objectives,
        Bounds::default(),
        RewardConfig::default(),
    )
    .unwrap()
}

/// A front of three members: #0 beyond the bound on time, #1 that knows nothing, #2 within the bounds.
fn mixed() -> (Problem, Vec<Row>) {
    let space = NasBench201::new(NasBench201Settings { channels: 1, cells: 1, ..Default::default() }).unwrap();
    let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
    let bounds: Bounds = toml::from_str("time_ms = 5.0").unwrap();
    let reward = RewardConfig::default();
    let problem = Problem::new(Arc::new(space), Shape::new(1, 8, 8), 10, objectives, bounds, reward).unwrap();
    let cell = |last| format!("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|{last}~1|none~2|");
    let row = |number, last, accuracy, time| Row {
        accuracy: Some(accuracy),
        time_ms: Some(time),
        train_seconds: Some(1.0),
        ..Row::new(number, cell(last), Status::Ok)
    };
    let rows = vec![
        row(0, "nor_conv_3x3", 0.95, 9.0),
        Row { message: Some(format!("{USELESS}, which gives 10.20 %; a warning")), ..row(1, "none", 0.102, 1.0) },
        row(2, "nor_conv_1x1", 0.9, 4.0),
    ];
    (problem, rows)
}

#[test]
fn members_beyond_a_bound_or_without_knowledge_are_set_aside_where_better_ones_are_known() {
    let (problem, rows) = mixed();
    let front = |rows: &[Row]| {
        let summary = Summary::of(&problem, rows.to_vec()).unwrap();
        let members: Vec<u64> = summary.members.iter().map(|member| member.row.evaluation).collect();
        (members, summary.set_aside.beyond_bounds.clone(), summary.set_aside.useless.clone(), table(&summary))
    };
    let (members, beyond_bounds, useless, table) = front(&rows);
    assert_eq!((members, beyond_bounds, useless), (vec![2], vec![0], vec![1]));
    assert!(table.contains("not on the front, because they break a bound: #0"), "{table}");
    assert!(table.contains("the most frequent class always: #1"), "{table}");
    // Nothing better is known.
    assert_eq!(front(&rows[..1]).0, [0]);
    assert_eq!(front(&rows[1..2]).0, [1]);
    // 1 over the number of classes, where no message says it.
    let with_accuracy = |accuracy| {
        let row = Row { accuracy: Some(accuracy), message: None, ..rows[1].clone() };
        front(&[row, rows[2].clone()]).2
    };
    assert_eq!((with_accuracy(0.1), with_accuracy(0.11)), (vec![1], vec![]));
}

#[test]
fn a_reason_counts_once_for_all_architectures() {
    let (_, mut rows) = mixed();
    for row in &mut rows[..2] {
        row.status = Status::Failed;
        row.message = Some(format!("scratch/{}.onnx: `{}` is too large; slow", row.evaluation, row.architecture));
    }
    let (problem, _) = mixed();
    let reasons = Summary::of(&problem, rows).unwrap().reasons();
    assert_eq!(reasons, [("scratch/N.onnx: `the network` is too large".to_owned(), 2)]);
}

#[test]
fn the_last_try_of_a_network_counts() {
    let (problem, mut rows) = mixed();
    let again = Row { evaluation: 90, ..rows[0].clone() };
    (rows[0].status, rows[0].message) = (Status::Failed, Some("the stick was unplugged".to_owned()));
    let summary = |rows: &[Row]| Summary::of(&problem, rows.to_vec()).unwrap();
    assert_eq!(summary(&rows).reasons(), [("the stick was unplugged".to_owned(), 1)]);
    assert!(!in_words(&summary(&rows)).contains("tried again"));
    rows.push(again);
    assert_eq!(summary(&rows).reasons(), []);
    assert!(
        in_words(&summary(&rows)).contains("1 failed), 1 of which were tried again"),
        "{}",
        in_words(&summary(&rows))
    );
}

#[test]
fn a_front_without_members_says_that_every_network_breaks_a_bound() {
    let (problem, mut rows) = mixed();
    rows.iter_mut().for_each(|row| (row.status, row.accuracy) = (Status::Bounded, None));
    let words = in_words(&Summary::of(&problem, rows).unwrap());
    assert_eq!(words, "3 evaluations (3 bounded), 0 on the front; no network keeps every bound yet");
}

#[test]
fn no_evaluations_are_counted_in_plain_words() {
    let summary = Summary::of(&mixed().0, Vec::new()).unwrap();
    assert!(in_words(&summary).starts_with("0 evaluations, 0 on the front"), "{}", in_words(&summary));
}

/// A journal in which some networks are measured again, with texts that have to be quoted and numbers of all sizes. Only
/// the first row of a network has an accuracy, as a run writes it.
fn journal(problem: &Problem, seed: u64) -> Vec<Row> {
    const TEXTS: [&str; 4] = ["plain", "2 of 40, \"far\" off; 日本 🦀", "=1+1", "\u{feff}'\\\t"];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = rng.random_range(1..30);
    let mut rows: Vec<Row> = Vec::new();
    let mut known = HashSet::new();
    for number in 0..count {
        let again = (number > 0 && rng.random_bool(0.3)).then(|| rows[rng.random_range(0..rows.len())].clone());
        let text = problem.space().format(&problem.space().random(&mut rng)).unwrap();
        let architecture = again.as_ref().map_or(text, |row| row.architecture.clone());
        let key = problem.key(&problem.space().parse(&architecture).unwrap()).unwrap();
        let mut size = || rng.random_range(-290.0..290.0_f64).exp2().powf(3.0);
        let row = Row {
            time_ms: Some(size()),
            time_ms_std: Some(size()),
            energy_mj: Some(size()),
            time_runs: Some(7),
            accuracy: known.insert(key).then(|| rng.random_range(0.0..1.0)),
            device: Some(TEXTS[rng.random_range(0..TEXTS.len())].to_owned()),
            message: Some(TEXTS[rng.random_range(0..TEXTS.len())].to_owned()),
            ..Row::new(number, architecture, Status::Ok)
        };
        rows.push(row);
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_that_grows_is_followed_to_the_same_summary(seed: u64, cut in 0..30_usize) {
        let problem = problem();
        let (rows, other) = (journal(&problem, seed), journal(&problem, !seed));
        let shown = |summary: Summary| format!("{summary:?}");
        let mut followed = Followed::new(&problem);
        for part in [rows[..cut.min(rows.len())].to_vec(), rows, other] {
            followed.enter(&problem, part.clone()).unwrap();
            prop_assert_eq!(shown(followed.summary(&problem)), shown(Summary::of(&problem, part).unwrap()));
        }
    }

    #[test]
    fn pareto_csv_reads_back_as_the_same_front(seed: u64) {
        let problem = problem();
        let summary = Summary::of(&problem, journal(&problem, seed)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pareto.csv");
        write_pareto(&path, &[(None, &summary)]).unwrap();
        let rows = read(&path).unwrap();
        let members: Vec<Row> = summary.members.iter().map(|member| member.row.clone()).collect();
        prop_assert!(!members.is_empty());
        prop_assert_eq!(&rows, &members);
        // All of it is a front, the same one, in the same order.
        let again = Summary::of(&problem, rows).unwrap();
        let values = |summary: &Summary| -> Vec<Vec<u64>> {
            let bits = |member: &Member| member.values.iter().map(|value| value.to_bits()).collect();
            summary.members.iter().map(bits).collect()
        };
        prop_assert_eq!(values(&again), values(&summary));
        write_pareto(&path, &[(None, &again)]).unwrap();
        prop_assert_eq!(read(&path).unwrap(), members, "written over");
    }
}
