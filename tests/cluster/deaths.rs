//! Workers, searches and servers that are killed, and workers that are stopped.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use end_to_end::Running;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::client::{so_far, wait_until};
use super::scene::{Scene, assert_no_doubles};

/// What a variable of the environment says.
fn number(variable: &str, fallback: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return fallback };
    text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number"))
}

/// A network is handed out as often as its workers are killed.
const PATIENT: [&str; 4] = ["--set", "cluster.silence_s=1", "--set", "cluster.tries=1000"];

const EVALUATIONS: usize = 60;

/// The program beginning a run, or going on with it where there is something to go on with.
fn search(scene: &Scene, run: &str) -> Running {
    match scene.path(run).join("config.toml").is_file() {
        true => scene.begin(scene.alone().args(["--resume", run]), run),
        false => {
            let evaluations = EVALUATIONS.to_string();
            let settings = ["--evaluations", &evaluations, "--seed", "3"];
            scene.log_search(run, &[&settings[..], &PATIENT].concat())
        }
    }
}

/// Kills one of `victims`, `search`, `worker` or `server`, at random moments until a search ends.
fn kill_at_random(scene: &mut Scene, victims: &[&str], count_of_workers: usize, seed: u64) {
    let kills = number("KILLS_CLUSTER", 4);
    let mut rng = ChaCha8Rng::seed_from_u64(seed + number("KILLS_SEED", 0));
    let speed = 25.0 / count_of_workers as f64;
    let mut killed = 0;
    for life in 0.. {
        let run = format!("killed-{life}");
        let mut workers: Vec<Running> = (0..count_of_workers).map(|_| scene.log_worker(speed)).collect();
        let mut searching = search(scene, &run);
        while killed < kills {
            let pause = Instant::now();
            let least = Duration::from_millis(rng.random_range(50..1500));
            while pause.elapsed() < least && searching.is_running() {
                std::thread::sleep(Duration::from_millis(5));
            }
            let before = scene.rows_on_disk(&run);
            if !searching.is_running() {
                break;
            }
            killed += 1;
            let apart = Duration::from_millis(rng.random_range(0..500));
            match victims[rng.random_range(0..victims.len())] {
                "search" => {
                    searching.kill();
                    std::thread::sleep(apart);
                    searching = search(scene, &run);
                }
                "worker" => {
                    let index = rng.random_range(0..workers.len());
                    workers[index].kill();
                    std::thread::sleep(apart);
                    workers[index] = scene.log_worker(speed);
                }
                _ => {
                    scene.nats.kill();
                    std::thread::sleep(apart);
                    scene.nats.start_again();
                }
            }
            let after = scene.rows_on_disk(&run);
            assert_eq!(after[..before.len()], before, "{run}: rows on the disk stay");
        }
        searching.succeed();
        scene.assert_found(&run, EVALUATIONS, 3);
        drop(workers);
        scene.client().assert_clean();
        if killed >= kills {
            break;
        }
    }
    eprintln!("{victims:?}: {killed} kills survived");
}

#[test]
fn a_search_whose_worker_is_killed_again_and_again_finds_the_same() {
    let Some(mut scene) = Scene::new() else { return };
    kill_at_random(&mut scene, &["worker"], 1, 1);
}

#[test]
fn a_search_that_is_killed_again_and_again_finds_the_same() {
    let Some(mut scene) = Scene::new() else { return };
    kill_at_random(&mut scene, &["search"], 1, 2);
}

#[test]
fn a_search_whose_server_is_killed_again_and_again_finds_the_same() {
    let Some(mut scene) = Scene::new() else { return };
    kill_at_random(&mut scene, &["server"], 2, 3);
}

#[test]
fn kills_of_everything_beside_several_workers_neither_lose_nor_double_an_evaluation() {
    let Some(mut scene) = Scene::new() else { return };
    kill_at_random(&mut scene, &["worker", "worker", "search", "server"], 3, 4);
}

#[test]
fn a_network_that_kills_each_of_its_workers_fails_and_the_others_go_on() {
    let Some(scene) = Scene::new() else { return };
    // The program is below an agent, which is below the worker.
    let deadly = "\
case $1 in
*/2.onnx)
    process=$$
    while [ \"$process\" -gt 1 ]; do
        case $(cat /proc/$process/comm) in controller*) kill -9 $process; sleep 5;; esac
        process=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$process/status)
    done;;
esac
echo '{\"time_ms\": 2.5, \"time_runs\": 30, \"device\": \"scales\"}'
";
    scene.tool("deadly", deadly);
    // What a worker does beside the deadly measurement dies with it: trainings are elsewhere.
    let _trains = scene.worker(&["--train"]);
    let worker = || scene.worker(&["--experiment", "deadly.toml", "--measure"]);
    let mut workers = vec![worker()];
    let settings = ["--set", "cluster.silence_s=1", "--set", "cluster.tries=2", "--set", "search.evaluations=4"];
    let mut searching = scene.live_search("run", &settings);
    wait_until("the search ends", || {
        if !workers.last_mut().unwrap().is_running() {
            workers.push(worker());
        }
        !searching.is_running()
    });
    searching.succeed();
    let journal = scene.journal("run");
    assert_no_doubles(&journal, "run");
    for row in journal.ended() {
        let (status, message) = (row.text("status"), row.text("message"));
        match row.evaluation() {
            2 => assert!(status == "failed" && message.contains("2 workers died of it"), "{row:?}"),
            _ => assert_eq!(status, "ok", "{row:?}"),
        }
    }
    assert_eq!(workers.len(), 3, "each of two has died of it");
    scene.client().assert_clean();
}

#[test]
fn a_network_that_failed_on_one_worker_kills_no_more_of_the_others_than_any_network() {
    let Some(scene) = Scene::new() else { return };
    // The second measurement of the network kills its worker.
    let deadly = "\
case $1 in
*/2.onnx)
    mkdir failed 2>/dev/null && { echo 'no engine' >&2; exit 1; }
    process=$$
    while [ \"$process\" -gt 1 ]; do
        case $(cat /proc/$process/comm) in controller*) kill -9 $process; sleep 5;; esac
        process=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$process/status)
    done;;
esac
echo '{\"time_ms\": 2.5, \"time_runs\": 30, \"device\": \"scales\"}'
";
    let folder = scene.folder.path().display();
    let deadly = deadly.replace("mkdir failed", &format!("mkdir '{folder}/failed'"));
    let _trains = scene.worker(&["--train"]);
    // Each has a board of its own.
    let worker = |tool: &str| scene.worker(&["--experiment", &format!("{tool}.toml"), "--measure"]);
    let mut workers = ["one", "other"].map(|tool| {
        scene.tool(tool, &deadly);
        (tool, worker(tool))
    });
    workers.iter_mut().for_each(|(_, worker)| worker.wait_for("waiting for searches"));
    let settings = ["--set", "cluster.silence_s=1", "--set", "cluster.tries=2", "--set", "search.evaluations=4"];
    let mut searching = scene.live_search("run", &settings);
    let mut died = 0;
    wait_until("the search ends", || {
        for (tool, running) in &mut workers {
            if !running.is_running() {
                died += 1;
                *running = worker(tool);
            }
        }
        !searching.is_running()
    });
    searching.succeed();
    for row in scene.journal("run").ended() {
        let (status, message) = (row.text("status"), row.text("message"));
        match row.evaluation() {
            2 => assert!(status == "failed" && message.contains("2 workers died of it"), "{row:?}"),
            _ => assert_eq!(status, "ok", "{row:?}"),
        }
    }
    assert_eq!(died, 2, "the one on which it failed gives it back");
    scene.client().assert_clean();
}

#[test]
fn a_worker_that_dies_costs_no_try_of_a_job_that_only_waited_on_it() {
    let Some(scene) = Scene::new() else { return };
    // On one machine, a measurement waits until no training is under way.
    let settings = ["--evaluations", "4", "--set", "training.epochs=900"];
    let settings = [&settings[..], &["--set", "cluster.silence_s=1", "--set", "cluster.tries=1"]].concat();
    let mut first = scene.worker(&[]);
    let client = scene.client();
    let progress = client.listen("nas.*.progress.*");
    let mut searching = scene.live_search("run", &settings);
    client.announced_run();
    wait_until("a network waits to be measured, and all trainings are saved", || {
        let objects = client.objects();
        let count = |part: &str| objects.iter().filter(|name| name.contains(part)).count();
        let trained: HashSet<String> = so_far(&progress)
            .into_iter()
            .filter(|(_, payload)| String::from_utf8_lossy(payload).contains("Training"))
            .map(|(subject, _)| subject)
            .collect();
        // Two trainings are under way, or one waits behind the measurement.
        let waiting = count("-unbegun-");
        count("-m-") == 1 && waiting + trained.len() == 3 && count("-saved-") == trained.len()
    });
    assert!(first.kill());
    let _second = scene.worker(&[]);
    searching.succeed();
    for row in scene.journal("run").jobs {
        assert!(["measured", "ok"].contains(&row.text("status")), "{row:?}");
    }
    client.assert_clean();
}

/// Interrupts a training on a worker, whose end is `end`, and has another worker go on with it: from an epoch that the
/// first one had reached, to the same network.
fn interrupt_training(settings: &[&str], until_saved: bool, end: impl Fn(&mut Running)) {
    let Some(scene) = Scene::new() else { return };
    let settings = [&["--evaluations", "1", "--set", "training.epochs=900"], settings].concat();
    let _measures = scene.worker(&["--measure"]);
    let mut first = scene.worker(&["--train"]);
    let client = scene.client();
    let mut searching = scene.live_search("run", &settings);
    let run = client.announced_run();
    let progress = client.listen(&format!("nas.{run}.progress.*"));
    // Of the stages that were received, the epochs.
    let epochs = || -> Vec<u64> {
        let stages = so_far(&progress);
        let stages = stages.iter().filter_map(|(_, payload)| serde_json::from_slice::<Value>(payload).ok());
        stages.filter_map(|stage| stage["Training"]["epoch"].as_u64()).filter(|epoch| *epoch > 0).collect()
    };
    let is_saved = || client.subjects("OBJ_nas").iter().any(|subject| subject.starts_with("$O.nas.M."));
    wait_until("its training is under way", || epochs().last().is_some_and(|epoch| *epoch > 400));
    wait_until("it is saved", || !until_saved || is_saved());
    end(&mut first);
    let stopped = Instant::now();
    let before = epochs();
    assert!(before.last().is_some_and(|last| *last < 800), "it was stopped too late: {before:?}");

    let second = scene.worker(&["--train"]);
    wait_until("another one trains", || epochs().len() > before.len());
    assert!(stopped.elapsed() < Duration::from_secs(20), "that of cluster.silence_s is not waited for");
    let least = epochs()[before.len()];
    assert!(least > 3 * before[0], "{least}, after {before:?}\n{}", second.messages());
    searching.succeed();
    let arguments = ["search", "live.toml", "--quiet", "--out", "alone"];
    scene.alone().args(arguments).args(&settings).succeed();
    let accuracy = |run| scene.journal(run).ended()[0].text("accuracy").to_owned();
    assert_eq!(accuracy("run"), accuracy("alone"));
    client.assert_clean();
}

#[test]
fn a_worker_that_is_stopped_gives_its_training_back_and_another_one_goes_on_with_it() {
    interrupt_training(&[], false, |worker| {
        worker.terminate();
        worker.succeed();
    });
}

#[test]
fn a_training_whose_worker_is_killed_goes_on_from_its_last_save() {
    interrupt_training(&["--set", "cluster.silence_s=2"], true, |worker| assert!(worker.kill()));
}
