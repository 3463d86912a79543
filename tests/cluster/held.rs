//! What a server holds of runs, and a server that has lost it.

use std::fs;

use super::client::wait_until;
use super::scene::Scene;

#[test]
fn an_abandoned_run_is_listed_and_forgotten_and_can_be_resumed_all_the_same() {
    let Some(scene) = Scene::new() else { return };
    let mut worker = scene.log_worker(4.0);
    let mut searching = scene.log_search("run", &["--evaluations", "40", "--seed", "8"]);
    scene.wait_for_rows("run", 3);
    let client = scene.client();
    let run = client.announced_run();
    // Its line in the list, and what follows the list.
    let listed = || {
        let listed = scene.program("workers", &[]).succeed();
        let line = listed.lines().find(|line| line.contains(&run) && line.contains(" ago ")).map(str::to_owned);
        (line, listed)
    };
    let (Some(line), all) = listed() else { panic!("{run} is not listed") };
    assert!(line.contains(" answers ") && !all.contains("--forget"), "{all}");
    let message = scene.program("workers", &["--forget", &run]).fail();
    assert!(message.contains("is running: stop it first"), "{message}");

    // Its answer waits, and a job that nothing does any more.
    wait_until("a job is under way", || !client.subjects("NAS_JOBS").is_empty());
    searching.kill();
    wait_until("the worker has answered", || !client.subjects("NAS_RESULTS").is_empty());
    worker.kill();
    client.store(&format!("nas.{run}.job.train.77-t1-000000000000"), "{}").unwrap();
    client.streams(async |streams| {
        let store = streams.get_object_store("nas").await.unwrap();
        for name in [format!("{run}-saved-x"), "another-saved-x".to_owned()] {
            store.put(name.as_str(), &mut &[0; 3000][..]).await.unwrap();
        }
    });
    let (Some(line), all) = listed() else { panic!("{run} is not listed") };
    assert!(line.contains(" does not answer ") && all.contains("--forget RUN"), "{all}");
    assert!(line.trim_end().chars().last().is_some_and(|answers| ('1'..='9').contains(&answers)), "{all}");

    let message = scene.program("workers", &["--forget", "0123456789abcdef"]).fail();
    assert!(message.contains("holds no run 0123456789abcdef") && message.contains(&run), "{message}");
    let printed = scene.program("workers", &["--forget", &run]).succeed();
    for part in ["is forgotten", " job", " answer", "1 model and saved trainings (2.93 KiB)"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert_eq!(client.objects(), ["another-saved-x"]);
    client
        .streams(async |streams| streams.get_object_store("nas").await.unwrap().delete("another-saved-x").await)
        .unwrap();
    client.assert_clean();
    let (line, all) = listed();
    assert!(line.is_none() && !all.contains("--forget"), "{all}");

    let _worker = scene.log_worker(1000.0);
    scene.begin(scene.alone().args(["--resume", "run"]), "resumed").succeed();
    scene.assert_found("run", 40, 8);
    client.assert_clean();
}

#[test]
fn a_search_whose_server_has_lost_everything_goes_on() {
    let Some(mut scene) = Scene::new() else { return };
    let workers = [scene.log_worker(20.0), scene.log_worker(20.0)];
    let mut searching = scene.log_search("run", &["--evaluations", "40", "--seed", "7"]);
    for rows in [3, 9] {
        scene.wait_for_rows("run", rows);
        scene.nats.kill();
        fs::remove_dir_all(scene.nats.folder().join("store")).unwrap();
        scene.nats.start_again();
    }
    let messages = searching.succeed();
    assert!(messages.contains("it is announced again"), "{messages}");
    scene.assert_found("run", 40, 7);
    drop(workers);
    scene.client().assert_clean();
}

#[test]
fn an_announcement_that_was_replaced_is_sent_again() {
    let Some(scene) = Scene::new() else { return };
    let mut worker = scene.log_worker(10.0);
    let mut searching = scene.log_search("run", &["--evaluations", "30", "--seed", "5"]);
    scene.wait_for_rows("run", 2);
    let client = scene.client();
    let run = client.announced_run();
    let subject = format!("nas.{run}.run");
    let announced = client.last("NAS_RUNS", &subject);
    let ended = r#"{"protocol":1,"version":"","task":"","data":"","deployment":null,"device":null,"ended":true}"#;
    for replacement in ["garbage", ended] {
        client.store(&subject, replacement).unwrap();
        if replacement == "garbage" {
            // One that knew it goes on; one that is new waits.
            drop(scene.log_worker(10.0));
        }
        wait_until("it is announced again", || {
            client.subjects("NAS_RUNS").contains(&subject)
                && client.last_bytes("NAS_RUNS", &subject) != replacement.as_bytes()
        });
        assert_eq!(client.last("NAS_RUNS", &subject), announced);
    }
    let rows = scene.rows_on_disk("run").len();
    scene.wait_for_rows("run", rows + 2);
    assert!(worker.is_running());
    let _second = scene.log_worker(1000.0);
    searching.succeed();
    scene.assert_found("run", 30, 5);
    client.assert_clean();
}

#[test]
fn a_job_of_a_search_that_lost_its_checkpoint_is_handed_out_again() {
    let Some(scene) = Scene::new() else { return };
    let mut worker = scene.log_worker(0.01);
    let mut searching = scene.log_search("run", &["--evaluations", "10", "--seed", "8"]);
    let client = scene.client();
    client.announced_run();
    wait_until("a job is under way", || !client.subjects("NAS_JOBS").is_empty());
    searching.kill();
    worker.kill();
    fs::remove_file(scene.path("run/checkpoint/strategy")).unwrap();
    // Without it the search begins anew, and its first job has the name of the one on the server.
    let _worker = scene.log_worker(1000.0);
    scene.begin(scene.alone().args(["--resume", "run"]), "resumed").succeed();
    scene.assert_found("run", 10, 8);
    client.assert_clean();
}
