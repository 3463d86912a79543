//! The program without arguments, but for few evaluations: children are trained and timed, and the run folder holds
//! what it should.

use std::collections::BTreeSet;
use std::path::Path;

use end_to_end::{Journal, Program, dominated_area, front, live_experiment};
use hardware::host::Inference;
use serde_json::Value;

const EVALUATIONS: usize = 12;

/// A run of the quickstart, cut short, as a newcomer starts it: in a folder of their own, without a name for the run.
fn quickstart(folder: &Path, more: &[&str]) -> (String, std::path::PathBuf) {
    let printed = shortened(folder).args(more).succeed();
    (printed, only_run(folder))
}

fn shortened(folder: &Path) -> Program {
    let short = ["--evaluations", "12", "--set", "training.epochs=1", "--set", "data.limit=300"];
    Program::new(folder).args(short)
}

fn only_run(folder: &Path) -> std::path::PathBuf {
    let runs: Vec<_> = std::fs::read_dir(folder.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [run] = &runs[..] else { panic!("{runs:?}") };
    run.clone()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.collect()
}

#[test]
fn the_main_job() {
    let folder = tempfile::tempdir().unwrap();
    let (printed, run) = quickstart(folder.path(), &[]);
    assert!(run.file_name().unwrap().to_str().unwrap().starts_with("quickstart-"), "{}", run.display());
    let (events, others): (BTreeSet<String>, _) = names(&run).into_iter().partition(|name| name.starts_with("events."));
    assert_eq!(events.len(), 1);
    let expected = [
        "checkpoint",
        "config.toml",
        "lock",
        "measurements.csv",
        "models",
        "observations.jsonl",
        "pareto.csv",
        "report.html",
        "status.json",
    ];
    assert_eq!(others, expected.map(str::to_owned).into());

    let journal = Journal::read(&run.join("measurements.csv"));
    check_journal(&journal);
    let objectives = ["error", "time_ms"];
    let best = front(&journal, &objectives);
    assert!(!best.is_empty());
    check_models(&run, &best);
    let members = shown(best);
    check_pareto(&run, &members);
    check_config(&run);
    check_report(&run);
    let json = check_front(folder.path(), &run, &journal, &members);

    // The program prints the same front at the end, the better accuracy first, and the next steps.
    for member in json["front"].as_array().unwrap() {
        assert!(printed.contains(member["architecture"].as_str().unwrap()), "{printed}");
        let percent = format!("{:.2}", 100.0 * member["accuracy"].as_f64().unwrap());
        assert!(printed.contains(&percent), "{percent} is not in {printed}");
    }
    for told in ["report.html", "tensorboard --logdir", "controller front"] {
        assert!(printed.contains(told), "{printed}");
    }
}

fn check_journal(journal: &Journal) {
    assert_eq!(journal.ended().len(), EVALUATIONS);
    let distinct: BTreeSet<_> = journal.rows.iter().map(|row| row.text("architecture").to_owned()).collect();
    assert_eq!(distinct.len(), journal.rows.len(), "a known network is not evaluated again");
    let mut trained = 0;
    for row in journal.ended() {
        match row.text("status") {
            "ok" => {
                trained += 1;
                let accuracy = row.number("accuracy").unwrap();
                assert!((0.0..=1.0).contains(&accuracy), "{accuracy}");
                assert!(row.number("time_ms").is_some_and(|time| time > 0.0 && time < 1000.0), "{row:?}");
                assert!(row.number("time_ms_std").is_some_and(|std| std >= 0.0), "{row:?}");
                assert!(row.number("time_runs").is_some_and(|runs| runs >= 20.0), "{row:?}");
                assert_eq!(row.text("epochs"), "1");
                assert!(row.number("train_seconds").is_some_and(|seconds| seconds > 0.0), "{row:?}");
                assert!(row.text("device").contains("host"), "{row:?}");
                // RFC 3339, in UTC.
                let at = row.text("started_at");
                assert!(at.len() >= 20 && at.ends_with('Z') && at.as_bytes()[10] == b'T', "{at}");
            }
            "failed" | "diverged" => assert!(!row.text("message").is_empty() && row.number("accuracy").is_none()),
            other => panic!("{other}: this experiment has no bounds"),
        }
    }
    assert!(trained >= EVALUATIONS / 2, "{trained} of {EVALUATIONS} were trained");
}

/// The members of the front that are shown: those that know more than the most frequent class, if any does.
fn shown(best: Vec<&end_to_end::Row>) -> Vec<&end_to_end::Row> {
    let knows = |row: &&end_to_end::Row| {
        row.number("accuracy").unwrap() > 0.1 && !row.text("message").contains("the most frequent class")
    };
    let better: Vec<_> = best.iter().copied().filter(knows).collect();
    if better.is_empty() { best } else { better }
}

/// The rows of the journal, with the path of the model inside the run folder as the last column.
fn check_pareto(run: &Path, members: &[&end_to_end::Row]) {
    let written = Journal::read(&run.join("pareto.csv")).rows;
    assert_eq!(written.len(), members.len());
    for row in &written {
        let member = members.iter().find(|member| member.evaluation() == row.evaluation()).unwrap();
        let model = format!("models/{}.onnx", row.evaluation());
        assert_eq!(format!("{row:?}"), format!("{:?}", member.with("model", &model)));
    }
}

/// A model for every member of the front and for no other, which runs.
fn check_models(run: &Path, members: &[&end_to_end::Row]) {
    let models = run.join("models");
    let expected = members.iter().map(|row| format!("{}.onnx", row.evaluation())).collect();
    assert_eq!(names(&models), expected);
    for name in names(&models) {
        let mut inference = Inference::load(&models.join(&name)).unwrap();
        assert_eq!(inference.input_shapes(), [[1, 1, 8, 8]]);
        let logits = inference.run(&[0.5; 64]).unwrap();
        assert!(logits.len() == 10 && logits.iter().all(|logit| logit.is_finite()), "{name}: {logits:?}");
    }
}

/// All settings are resolved: those of the command line and those that depend on the machine.
fn check_config(run: &Path) {
    let config: toml::Table = std::fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap();
    assert_eq!(config["search"]["evaluations"].as_integer(), Some(EVALUATIONS as i64));
    assert!(config["search"]["seed"].is_integer());
    let objectives: Vec<_> =
        config["search"]["objectives"].as_array().unwrap().iter().map(|o| o.as_str().unwrap()).collect();
    assert_eq!(objectives, ["error", "time_ms"], "tests have no meter");
    assert_eq!(config["training"]["epochs"].as_integer(), Some(1));
    assert_eq!(config["data"]["limit"].as_integer(), Some(300));
    assert_eq!(config["input"]["classes"].as_integer(), Some(10));
}

/// A self-contained page, for example for mail. `tests/page.rs` looks at it in a browser.
fn check_report(run: &Path) {
    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.trim_end().ends_with("</html>"));
    for source in ["src=\"http", "href=\"http", "@import", "<script src"] {
        assert!(!report.contains(source), "{source}");
    }
    let (_, after) = report.split_once("id=\"data\">").unwrap();
    let document: Value = serde_json::from_str(after.split_once("</script>").unwrap().0).unwrap();
    let run = &document["runs"][0];
    assert_eq!((document["schema"].as_u64(), run["evaluations"].as_u64()), (Some(1), Some(EVALUATIONS as u64)));
    assert_eq!(run["state"], "finished");
    let networks = run["networks"]["evaluation"].as_array().unwrap().len();
    assert!(networks >= EVALUATIONS, "{networks}");
    assert!(!run["curves"].as_object().unwrap().is_empty(), "the losses of the trainings");
}

fn check_front(folder: &Path, run: &Path, journal: &Journal, members: &[&end_to_end::Row]) -> Value {
    let printed = Program::new(folder).args(["front", "--json"]).args([run]).succeed();
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json["evaluations"], EVALUATIONS);
    let listed = json["front"].as_array().unwrap();
    let numbers = |member: &Value| member["evaluation"].as_u64().unwrap();
    assert_eq!(
        listed.iter().map(numbers).collect::<BTreeSet<_>>(),
        members.iter().map(|row| row.evaluation()).collect()
    );
    for row in members {
        let member = listed.iter().find(|member| numbers(member) == row.evaluation()).unwrap();
        assert_eq!(member["architecture"], row.text("architecture"));
        assert_eq!(member["objectives"]["time_ms"].as_f64(), row.number("time_ms"));
        assert_eq!(member["accuracy"].as_f64(), row.number("accuracy"));
        assert!(member["energy_mj"].is_null(), "missing measurements are absent");
        assert_eq!(member["model"], run.join(format!("models/{}.onnx", row.evaluation())).to_str().unwrap());
    }
    let reference: Vec<f64> = json["reference"].as_array().unwrap().iter().map(|r| r.as_f64().unwrap()).collect();
    let area = dominated_area(&journal.values(&["error", "time_ms"]), [reference[0], reference[1]]);
    assert!((json["hypervolume_share"].as_f64().unwrap() - area).abs() < 1e-9);
    json
}

#[test]
fn a_time_bound_saves_the_training() {
    let folder = tempfile::tempdir().unwrap();
    // No network runs that fast.
    let bound = ["--bound", "time_ms=0.000001", "--set", "fidelity.measure_ahead=0"];
    let message = shortened(folder.path()).args(bound).fail();
    assert!(message.contains("none of the 12 evaluations succeeded"), "{message}");
    assert!(message.contains("a bound was broken"), "{message}");
    let run = only_run(folder.path());
    let journal = Journal::read(&run.join("measurements.csv"));
    for row in journal.rows.iter().filter(|row| row.text("status") != "failed") {
        assert_eq!(row.text("status"), "bounded");
        assert!(row.number("time_ms").is_some() && row.number("accuracy").is_none(), "{row:?}");
        assert!(row.number("train_seconds").is_none() && row.text("message").contains("time_ms"), "{row:?}");
    }
    assert!(names(&run.join("models")).is_empty());
}

/// Two trainers, so that a training ends while another one is under way, and a chance that hardly any network has.
#[test]
fn trainings_that_hardly_enter_the_front_are_broken_off() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = live_experiment(60, 2, 20).replace("\"random\"", "\"model-based\"");
    let experiment = experiment.replace("evaluations = 6", "evaluations = 14\ntrainers = 2\ntrainer_threads = 1");
    std::fs::write(folder.path().join("live.toml"), experiment).unwrap();
    let chance = ["--set", "fidelity.least_chance=0.9", "--set", "fidelity.short_epochs=0"];
    let begin = ["search", "live.toml", "--quiet", "--out", "run"];
    Program::new(folder.path()).args(begin).args(chance).succeed();
    let path = folder.path().join("run/measurements.csv");
    let journal = Journal::read(&path);
    let epochs = |status: &str| -> Vec<u64> {
        let rows = journal.jobs.iter().filter(|row| row.text("status") == status);
        rows.map(|row| row.text("epochs").parse().unwrap()).collect()
    };
    let (whole, stopped) = (epochs("ok"), epochs("stopped"));
    assert_eq!(whole.len() + stopped.len(), 14, "each counts as an evaluation");
    assert!(!stopped.is_empty() && stopped.iter().all(|epochs| *epochs < 60), "{stopped:?}");
    assert!(!whole.is_empty() && whole.iter().all(|epochs| *epochs == 60), "{whole:?}");
    let pareto = Journal::read(&folder.path().join("run/pareto.csv"));
    assert!(pareto.jobs.iter().all(|row| row.text("status") == "ok"), "the front is made of whole trainings");
    // Resumed, the search does nothing again.
    let before = std::fs::read(&path).unwrap();
    Program::new(folder.path()).args(["--resume", "run", "--quiet"]).succeed();
    assert!(std::fs::read(&path).unwrap() == before);
}
