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
    fn pareto_csv_reads_back_as_the_same_front(seed: u64) {
        let problem = problem();
        let summary = Summary::of(&problem, journal(&problem, seed)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pareto.csv");
        write_pareto(&path, &summary).unwrap();
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
        write_pareto(&path, &again).unwrap();
        prop_assert_eq!(read(&path).unwrap(), members, "written over");
    }
}
