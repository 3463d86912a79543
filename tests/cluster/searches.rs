//! Searches that nothing disturbs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::client::wait_until;
use super::scene::{Scene, assert_no_doubles};

/// By network, status and accuracy.
fn accuracies(scene: &Scene, run: &str) -> BTreeMap<String, [String; 3]> {
    let journal = scene.journal(run);
    let cells = ["evaluation", "status", "accuracy"];
    let rows = journal.ended().into_iter().map(|row| {
        let found = cells.map(|column| row.text(column).to_owned());
        (row.text("architecture").to_owned(), found)
    });
    rows.collect()
}

#[test]
fn a_worker_that_trains_and_one_that_measures_find_what_one_machine_finds_and_leave_nothing_on_the_server() {
    let Some(scene) = Scene::new() else { return };
    let (mut trains, mut measures) = (scene.worker(&["--train"]), scene.worker(&["--measure"]));
    scene.live_search("shared", &[]).succeed();
    scene.alone().args(["search", "live.toml", "--quiet", "--out", "alone"]).succeed();

    let journal = scene.journal("shared");
    assert_no_doubles(&journal, "shared");
    assert_eq!(journal.ended().len(), 6);
    for row in &journal.jobs {
        assert!(["measured", "ok"].contains(&row.text("status")), "{row:?}");
        assert!(!row.text("started_at").is_empty(), "{row:?}");
    }
    assert_eq!(accuracies(&scene, "shared"), accuracies(&scene, "alone"));
    let front = scene.alone().args(["front", "shared", "--json"]).succeed();
    let front: Value = serde_json::from_str(&front).unwrap();
    let members = front["front"].as_array().unwrap();
    assert!(!members.is_empty(), "{front}");
    for member in members {
        let model = scene.path(&format!("shared/models/{}.onnx", member["evaluation"]));
        assert!(super::scene::has_content(&model), "{member}");
    }

    scene.client().assert_clean();
    let workers = scene.workers();
    let done: Vec<u64> = workers.iter().map(|worker| worker["done"].as_u64().unwrap()).collect();
    // The next network may be measured while the last one is trained.
    assert!(done.len() == 2 && done.contains(&6), "{workers:?}");
    assert_eq!(done.iter().sum::<u64>(), journal.jobs.len() as u64, "{workers:?}");
    for worker in [&mut trains, &mut measures] {
        worker.terminate();
        worker.succeed();
    }
    assert!(scene.program("workers", &[]).succeed().contains("no worker"));
}

#[test]
fn two_searches_share_a_worker_and_keep_their_rows_apart() {
    let Some(scene) = Scene::new() else { return };
    let worker = scene.log_worker(400.0);
    let begin = |run, seed| scene.log_search(run, &["--evaluations", "25", "--seed", seed]);
    let mut searches = [begin("first", "5"), begin("second", "6")];
    searches.iter_mut().for_each(|search| drop(search.succeed()));
    for (run, seed) in [("first", 5), ("second", 6)] {
        scene.assert_found(run, 25, seed);
    }
    scene.client().assert_clean();
    drop(worker);
}

#[test]
fn the_searching_machine_takes_part_where_it_is_to() {
    let Some(scene) = Scene::new() else { return };
    let local = ["--set", "cluster.local=true"];
    scene.live_search("without", &[&local[..], &["--evaluations", "2"]].concat()).succeed();
    assert_eq!(scene.journal("without").ended().len(), 2);
    scene.client().assert_clean();

    let worker = scene.worker(&[]);
    wait_until("the worker reports itself", || !scene.workers().is_empty());
    scene
        .live_search("with", &[&local[..], &["--evaluations", "12", "--set", "training.epochs=80"]].concat())
        .succeed();
    let journal = scene.journal("with");
    assert_no_doubles(&journal, "with");
    let done = scene.workers()[0]["done"].as_u64().unwrap() as usize;
    assert!((1..journal.jobs.len()).contains(&done), "{done} of {} jobs\n{}", journal.jobs.len(), worker.messages());
    assert!(journal.ended().iter().all(|row| row.text("status") == "ok"));
    scene.client().assert_clean();
}
