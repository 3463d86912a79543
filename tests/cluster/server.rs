//! A server without room, and a network that is cut.

use std::fs;
use std::time::Duration;

use async_nats::jetstream::stream::Config;
use end_to_end::{Nats, Netns};

use super::client::wait_until;
use super::scene::Scene;

#[test]
fn search_and_worker_wait_for_a_server_without_room_say_so_and_go_on() {
    let limit = |megabytes: u32| format!("jetstream {{ max_file_store: {megabytes}MB }}\n");
    let Some(nats) = Nats::with(&limit(2)) else { return };
    let mut scene = Scene::on(nats);
    let worker = scene.log_worker(20.0);
    let mut searching = scene.log_search("run", &["--evaluations", "40", "--seed", "4"]);
    scene.wait_for_rows("run", 3);
    let client = scene.client();
    client.streams(async |streams| {
        let config = Config { name: "FILL".to_owned(), subjects: vec!["fill".to_owned()], ..Config::default() };
        streams.create_stream(config).await.unwrap();
    });
    for size in [100_000, 10_000, 1000, 100, 10] {
        while client.store("fill", vec![0; size]).is_ok() {}
    }
    // Whichever has something to hand over; the other one has nothing to do.
    let both = || searching.messages() + &worker.messages();
    wait_until("one of them waits", || both().contains("waiting for the NATS server"));
    for part in ["its store is full", "insufficient resources", "jetstream.max_file_store", "--forget RUN"] {
        assert!(both().contains(part), "{part}: {}", both());
    }
    let rows = scene.rows_on_disk("run").len();
    assert!(rows < 80, "it was too fast");
    fs::write(scene.nats.folder().join("nats.conf"), limit(20)).unwrap();
    scene.nats.start_again();
    searching.succeed();
    scene.assert_found("run", 40, 4);
    scene.client().assert_clean();
    drop(worker);
}

#[test]
fn workers_behind_a_cut_cable_are_given_up_and_come_back() {
    let Some(far) = Netns::new() else { return };
    let Some(nats) = Nats::at(&far.host().to_string(), "", &[]) else { return };
    let scene = Scene::on(nats);
    let begin = |program: end_to_end::Program, name| {
        let program = program.args(["worker"]).args(&scene.reach);
        scene.begin(program.args(["--experiment", "log.toml", "--set", "replay.speed=8"]), name)
    };
    let far_worker = begin(end_to_end::Program::below(scene.folder.path(), &far.wrapper()), "far");
    let near_worker = begin(scene.alone(), "near");
    let patient = ["--set", "cluster.silence_s=1", "--set", "cluster.tries=1000", "--evaluations", "60", "--seed", "6"];
    let mut searching = scene.log_search("run", &patient);
    wait_until("both do something", || {
        [&far_worker, &near_worker].iter().all(|worker| worker.messages().contains("evaluation "))
    });
    let count = |worker: &end_to_end::Running| worker.messages().matches("evaluation ").count();
    far.cut();
    let rows = scene.rows_on_disk("run").len();
    // The jobs of the other one are done as well.
    scene.wait_for_rows("run", rows + 12);
    std::thread::sleep(Duration::from_secs(1));
    let before = count(&far_worker);
    far.mend();
    wait_until("it does something again", || count(&far_worker) > before || !scene.path("run").exists());
    searching.succeed();
    scene.assert_found("run", 60, 6);
    scene.client().assert_clean();
}
