//! Workers with broken devices.

use end_to_end::Program;

use super::client::wait_until;
use super::scene::{Scene, assert_no_doubles};

/// Fails for another reason each time, as by the letters of the model's digest.
const BROKEN: &str = "\
case $1 in *probe*) ;; *) echo \"no engine $(sha256sum \"$1\" | tr -d '0-9 ')\" >&2; exit 1;; esac
echo '{\"time_ms\": 2.5, \"time_runs\": 30, \"device\": \"scales\"}'
";

/// Measures the first network at once, and the others when it may: a file says so.
const GOOD: &str = "\
here=${0%/*}
case $1 in *probe*) ;; *)
    if [ -e \"$here/measured\" ]; then until [ -e \"$here/go-on\" ]; do sleep 0.05; done; sleep 0.3; fi
    touch \"$here/measured\";;
esac
echo '{\"time_ms\": 2.5, \"time_runs\": 30, \"device\": \"scales\"}'
";

#[test]
fn a_worker_on_which_everything_fails_is_dismissed_and_costs_no_evaluation() {
    let Some(scene) = Scene::new() else { return };
    scene.tool("good", GOOD);
    scene.tool("broken", BROKEN);
    let good = scene.worker(&["--experiment", "good.toml"]);
    let settings = ["--evaluations", "12", "--set", "training.epochs=1"];
    let mut searching = scene.live_search("run", &settings);
    scene.wait_for_rows("run", 1);
    let mut broken = scene.worker(&["--experiment", "broken.toml", "--measure"]);
    // However long it takes to begin, most networks are left for it.
    broken.wait_for("takes part");
    scene.write("go-on", "");
    let messages = searching.succeed();
    assert!(messages.contains("is dismissed: 3 jobs failed on it that other workers did"), "{messages}");
    assert!(messages.contains("no engine"), "{messages}");
    let ended = broken.end();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended}");
    assert!(ended.err.contains("error: ") && ended.err.contains("a search has dismissed this worker"), "{ended}");
    let journal = scene.journal("run");
    assert_no_doubles(&journal, "run");
    assert_eq!(journal.ended().len(), 12);
    assert!(journal.ended().iter().all(|row| row.text("status") == "ok"), "{:?}", journal.jobs);
    let listed = scene.program("workers", &[]).succeed();
    assert!(listed.contains("has left: a search has dismissed this worker"), "{listed}");
    scene.client().assert_clean();
    drop(good);
}

#[test]
fn a_network_that_no_worker_can_measure_fails_with_its_reason() {
    let Some(scene) = Scene::new() else { return };
    for name in ["one", "other"] {
        let program = format!(
            "case $1 in */1.onnx) echo 'no convolutions on {name}' >&2; exit 1;; esac\n\
             echo '{{\"time_ms\": 2.5, \"time_runs\": 30, \"device\": \"scales\"}}'\n"
        );
        scene.tool(name, &program);
    }
    let mut workers = ["one.toml", "other.toml"].map(|file| scene.worker(&["--experiment", file]));
    // Both are there before the search begins.
    workers.iter_mut().for_each(|worker| worker.wait_for("waiting for searches"));
    scene.live_search("run", &["--evaluations", "4", "--set", "training.epochs=1"]).succeed();
    let journal = scene.journal("run");
    assert_no_doubles(&journal, "run");
    for row in journal.ended() {
        match row.evaluation() {
            1 => assert!(row.text("status") == "failed" && row.text("message").contains("no convolutions"), "{row:?}"),
            _ => assert_eq!(row.text("status"), "ok", "{row:?}"),
        }
    }
    assert!(workers.iter_mut().all(|worker| worker.is_running()));
    scene.client().assert_clean();
}

#[test]
fn too_few_files_may_be_open() {
    let Some(scene) = Scene::new() else { return };
    let _worker = scene.log_worker(1000.0);
    let search = ["log.toml", "--strategy", "random", "--quiet", "--evaluations", "2", "--out"];
    for verb in ["search", "worker", "workers"] {
        let mut failed = Vec::new();
        for limit in [6, 8, 10, 12, 20, 30, 45, 70] {
            let limited = ["bash", "-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")].map(str::to_owned);
            let limited = limited.each_ref().map(String::as_str);
            let program = Program::below(scene.folder.path(), &limited).args([verb]).args(&scene.reach);
            let run = format!("run-{limit}");
            let mut running = match verb {
                "search" => scene.begin(program.args(search).args([&run]), &run),
                "worker" => scene.begin(program.args(["--experiment", "log.toml"]), "worker"),
                _ => scene.begin(program, "workers"),
            };
            wait_until("it ends, or waits for searches", || {
                !running.is_running() || running.messages().contains("waiting for searches")
            });
            if running.is_running() {
                running.terminate();
            }
            let ended = running.end();
            if ended.code != Some(0) {
                for part in ["error: ", "Too many open files", "ulimit -n"] {
                    assert!(ended.err.contains(part), "{verb} {limit}: {ended}");
                }
                failed.push(limit);
            }
        }
        assert!(failed.contains(&6) && !failed.contains(&70), "{verb}: {failed:?} are too few");
    }
}
