//! A search is warm-started from other logs, and their rows never count as its evaluations.

use std::path::{Path, PathBuf};

use end_to_end::{Journal, Program, Table, dominated_area, experiment};

/// Rounds of the model-based strategy that take no time; rows are labelled `a remark`, as the table's column says.
const SETTINGS: &str = r#"
device = "remark"

[strategy]
name = "model-based"
fitting = 15
updates = 1
episodes = 8
drawn = 20
neighbours = 200
random = 100
policy = { hidden = 8, embedding = 4 }
"#;

/// The label of everything that the table tells.
const DEVICE: &str = "a remark";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Table::write(folder.path());
        std::fs::write(folder.path().join("experiment.toml"), experiment() + SETTINGS).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self) -> Program {
        Program::new(self.0.path())
    }

    fn search(&self, run: &str, evaluations: u64, seed: u64, more: &[&str]) {
        let (evaluations, seed) = (evaluations.to_string(), seed.to_string());
        let args = ["search", "experiment.toml", "--quiet", "--evaluations", &evaluations, "--seed", &seed];
        self.program().args(args).args(["--out", run]).args(more).succeed();
    }

    fn resume(&self, run: &str, evaluations: u64) {
        self.program().args(["--resume", run, "--quiet", "--evaluations", &evaluations.to_string()]).succeed();
    }

    fn import(&self, args: &[&str]) -> String {
        self.program().args(["import"]).args(args).succeed()
    }

    fn refusal(&self, args: &[&str]) -> String {
        self.program().args(["import"]).args(args).fail()
    }

    fn journal(&self, run: &str) -> Vec<u8> {
        std::fs::read(self.path(run).join("measurements.csv")).unwrap()
    }

    fn imported(&self, run: &str) -> String {
        std::fs::read_to_string(self.path(run).join("imported.csv")).unwrap()
    }

    /// A copy of a run's folder.
    fn copy(&self, from: &str, to: &str) {
        copy(&self.path(from), &self.path(to));
    }

    /// The journal of a run with a row for each evaluation and other text in some places, as a log of its own.
    fn rewritten(&self, run: &str, log: &str, change: impl Fn(&str) -> String) {
        let whole = Journal::read(&self.path(run).join("measurements.csv")).whole();
        std::fs::write(self.path(log), change(&whole)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { copy(&path, &to) } else { assert!(std::fs::copy(&path, &to).is_ok()) }
    }
}

/// Share of error and time that a run's evaluations dominate together.
fn area(place: &Place, run: &str) -> f64 {
    let journal = Journal::read(&place.path(run).join("measurements.csv"));
    dominated_area(&journal.values(&["error", "time_ms"]), [0.38, 8.0])
}

#[test]
fn a_warm_start_is_ahead_from_the_first_evaluations_on() {
    let place = Place::new();
    // What a measurement says of a network is not the subject here, and this table mixes time and accuracy.
    let two = ["--objectives", "error,time_ms", "--set", "fidelity.measure_ahead=0"];
    place.search("log", 60, 1, &["--strategy", "random"]);
    let mut lead = 0.0;
    let seeds = [2, 3, 4, 5];
    for seed in seeds {
        let (cold, warm) = (format!("cold{seed}"), format!("warm{seed}"));
        place.search(&cold, 10, seed, &two);
        let begin = ["--experiment", "experiment.toml", "--seed", &seed.to_string()];
        let printed = place.import(&[&["log", "--into", &warm][..], &begin, &two].concat());
        assert!(printed.contains("60 of 60 rows taken"), "{printed}");
        assert!(printed.contains(&format!("{warm} has 60 imported rows of 60 networks now")), "{printed}");
        place.resume(&warm, 10);
        let journal = Journal::read(&place.path(&warm).join("measurements.csv"));
        assert_eq!(journal.ended().len(), 10, "what is imported is not an evaluation");
        lead += (area(&place, &warm) - area(&place, &cold)) / seeds.len() as f64;
    }
    // Over seeds 2 to 13 it leads by 0.065 ± 0.025, so the mean of four seeds by 0.065 ± 0.012.
    assert!(lead > 0.03, "{lead}");
}

#[test]
fn an_import_in_the_middle_leads_to_one_result_however_the_run_continues() {
    let place = Place::new();
    place.search("log", 40, 1, &["--strategy", "random"]);
    place.search("run", 20, 2, &[]);
    place.copy("run", "without");
    place.resume("without", 35);
    let printed = place.import(&["log", "--into", "run"]);
    assert!(printed.contains("controller --resume run --evaluations"), "it is finished, so more are wanted: {printed}");
    for copy in ["cut", "bare", "ahead"] {
        place.copy("run", copy);
    }
    place.resume("run", 35);
    let expected = place.journal("run");
    let (before, without) = (place.journal("cut"), place.journal("without"));
    assert!(expected.starts_with(&before) && without.starts_with(&before) && expected != without);

    std::fs::remove_dir_all(place.path("bare/checkpoint")).unwrap();
    place.resume("bare", 35);
    assert!(place.journal("bare") == expected, "without a checkpoint");

    // As a kill in the middle of a round before or after the import leaves it.
    for (rows, with_checkpoint) in [(13, false), (27, false), (27, true), (35, false)] {
        let run = format!("killed{rows}{with_checkpoint}");
        place.copy("run", &run);
        let line_ends = expected.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let cut = line_ends.into_iter().nth(rows).unwrap();
        std::fs::write(place.path(&run).join("measurements.csv"), &expected[..cut]).unwrap();
        if !with_checkpoint {
            std::fs::remove_dir_all(place.path(&run).join("checkpoint")).unwrap();
        }
        place.resume(&run, 35);
        assert!(place.journal(&run) == expected, "{run}");
    }

    // Imported in the middle of a round that was decided without it.
    let rows: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
    std::fs::remove_dir_all(place.path("cut/checkpoint")).unwrap();
    std::fs::remove_file(place.path("cut/imported.csv")).unwrap();
    std::fs::create_dir_all(place.path("cut/checkpoint")).unwrap();
    std::fs::write(place.path("cut/measurements.csv"), rows[..13].concat()).unwrap();
    place.import(&["log", "--into", "cut"]);
    assert!(place.imported("cut").lines().skip(1).all(|line| line.contains(",12,")), "{}", place.imported("cut"));
    place.resume("cut", 20);
    let with = place.journal("cut");
    assert!(with.starts_with(&rows[..13].concat()) && with != before, "what was decided is as it was, the rest is not");
}

#[test]
fn the_same_log_again_adds_nothing_and_a_longer_one_what_is_new() {
    let place = Place::new();
    place.search("log", 30, 1, &["--strategy", "random"]);
    let first = |count: usize| move |text: &str| text.split_inclusive('\n').take(1 + count).collect::<String>();
    place.rewritten("log", "short.csv", first(20));
    place.rewritten("log", "copy.csv", first(20));
    let into = ["--into", "run", "--experiment", "experiment.toml"];
    let printed = place.import(&[&["short.csv", "copy.csv"][..], &into].concat());
    assert!(
        printed.contains("short.csv: 20 of 20 rows taken") && printed.contains("copy.csv: 0 of 20 rows taken"),
        "{printed}"
    );
    assert!(printed.contains("20 rows are known here already: not taken"), "{printed}");
    let once = place.imported("run");
    place.import(&["short.csv", "--into", "run"]);
    assert_eq!(place.imported("run"), once);
    place.rewritten("log", "short.csv", first(30));
    let printed = place.import(&["short.csv", "--into", "run"]);
    assert!(printed.contains("short.csv: 10 of 30 rows taken"), "{printed}");
    assert!(place.imported("run").starts_with(&once) && place.imported("run").lines().count() == 31);
    // Every row has its origin.
    let source = place.path("short.csv").display().to_string();
    let imported = place.imported("run");
    let last = imported.lines().last().unwrap();
    assert!(last.contains(&format!("{source},31,")) && last.contains(DEVICE), "{last}");
    // And what the run measured itself is nothing new to it.
    place.resume("run", 20);
    let printed = place.import(&["run", "--into", "run"]);
    assert!(printed.contains("measurements.csv: 0 of "), "{printed}");
}

#[test]
fn times_of_another_device_are_left_out_everywhere() {
    let place = Place::new();
    place.search("log", 40, 1, &["--strategy", "random"]);
    place.search("run", 15, 2, &[]);
    // Elsewhere everything takes a thousandth of it; two rows do not say where they are from.
    place.rewritten("log", "other.csv", |text| {
        let mut lines: Vec<String> = text.lines().map(|line| line.replace(DEVICE, "elsewhere")).collect();
        for line in &mut lines[1..] {
            let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
            cells[5] = format!("{}", cells[5].parse::<f64>().unwrap() / 1000.0);
            *line = cells.join(",");
        }
        lines[1..=2].iter_mut().for_each(|line| *line = line.replace("elsewhere", ""));
        lines.join("\n") + "\n"
    });
    let printed = place.import(&["other.csv", "--into", "run"]);
    for wanted in [
        "other.csv: 40 of 40 rows taken",
        "time and energy of 38 rows were measured on another device (elsewhere, here a remark): left out",
        "time and energy of 2 rows are of a device that the log does not name: left out",
        "import again with --same-device",
    ] {
        assert!(printed.contains(wanted), "{wanted}: {printed}");
    }
    place.resume("run", 30);
    let imported = place.imported("run");
    let times: Vec<&str> = imported.lines().skip(1).map(|line| line.split(',').nth(2).unwrap()).collect();
    assert_eq!(times, [""; 40]);
    for file in ["run/measurements.csv", "run/pareto.csv"] {
        let rows = Journal::read(&place.path(file)).rows;
        assert!(!rows.is_empty() && rows.iter().all(|row| row.number("time_ms").unwrap() > 1.0), "{file}");
        assert!(rows.iter().all(|row| row.text("device") == DEVICE), "{file}");
    }
    let front: serde_json::Value =
        serde_json::from_str(&place.program().args(["front", "run", "--json"]).succeed()).unwrap();
    let members = front["front"].as_array().unwrap().len();
    assert_eq!(members, Journal::read(&place.path("run/pareto.csv")).rows.len());
    // Somebody knows where the two are from, and only they get their times.
    let printed = place.import(&["other.csv", "--into", "run", "--same-device"]);
    assert!(printed.contains("other.csv: 2 of 40 rows taken"), "{printed}");
}

#[test]
fn epochs_failures_and_foreign_columns() {
    let place = Place::new();
    place.search("log", 10, 1, &["--strategy", "random"]);
    // The device column is followed by that of epochs.
    place.rewritten("log", "epochs.csv", |text| text.replace(&format!("{DEVICE},,"), &format!("{DEVICE},7,")));
    let live = "[data]\nname = \"digits\"\nlimit = 60\n[training]\nepochs = 3\n[search]\nobjectives = [\"error\", \"time_ms\"]\n\
                [space]\nname = \"nasbench201\"\nchannels = 4\ncells = 1\n";
    std::fs::write(place.path("live.toml"), live).unwrap();
    let printed = place.import(&["epochs.csv", "--into", "live", "--experiment", "live.toml"]);
    for wanted in [
        "epochs.csv: 0 of 10 rows taken",
        "time and energy of 10 rows were measured on another device (a remark, here host ",
        "the accuracy of 10 rows is after 7 epochs, not 3 as here: left out",
        "10 rows are without anything that can be used here: not taken",
    ] {
        assert!(printed.contains(wanted), "{wanted}: {printed}");
    }
    // A run that begins there is one that goes on, and its columns are its own log's.
    let printed = place.import(&["table.csv", "--into", "run", "--experiment", "experiment.toml"]);
    assert!(printed.contains("table.csv: 729 of 729 rows taken"), "{printed}");
    let other = "net,right,status\n|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|,81,ok\n\
                 |nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_1x1~2|,,failed\n";
    std::fs::write(place.path("other.csv"), other).unwrap();
    let columns = [
        "--column",
        "architecture=net",
        "--column",
        "status=status",
        "--column",
        "accuracy={ column = \"right\", unit = \"percent\" }",
    ];
    let printed = place.import(&[&["other.csv", "--into", "run"][..], &columns].concat());
    assert!(
        printed.contains("1 of 2 rows taken") && printed.contains("1 row is of an evaluation that failed"),
        "{printed}"
    );
    assert!(place.imported("run").contains("|nor_conv_1x1~2|,0.81,,"));
    // Another strategy says that it has nothing of it, and its search is the same.
    place.search("evolved", 20, 3, &["--strategy", "evolution"]);
    let strategy = ["--set", "strategy={ name = \"evolution\" }", "--set", "search.evaluations=20", "--seed", "3"];
    let into = ["log", "--into", "informed", "--experiment", "experiment.toml"];
    let printed = place.import(&[&into[..], &strategy].concat());
    assert!(printed.contains("`evolution` does not learn from them"), "{printed}");
    place.resume("informed", 20);
    assert!(place.journal("informed") == place.journal("evolved"));
}

#[test]
fn proposals_use_imported_rows() {
    let place = Place::new();
    place.search("log", 60, 1, &["--strategy", "random"]);
    place.search("run", 15, 2, &[]);
    let ask = || place.program().args(["propose", "run", "--preference", "1,0,0", "--json"]).succeed();
    let before = ask();
    place.import(&["log", "--into", "run"]);
    assert_ne!(ask(), before);
}

#[test]
fn rows_are_imported_though_the_reader_of_the_output_has_left() {
    let place = Place::new();
    place.search("log", 20, 1, &["--strategy", "random"]);
    place.search("run", 10, 2, &[]);
    // The label of a foreign log is shown without what steers a terminal.
    place.rewritten("log", "other.csv", |text| text.replace(DEVICE, "else\u{1b}[2Jwhere"));
    let unread = ["bash", "-c", "\"$0\" \"$@\" | true; exit ${PIPESTATUS[0]}"];
    Program::below(place.0.path(), &unread).args(["import", "other.csv", "--into", "run"]).succeed();
    assert!(place.imported("run").lines().count() > 15);
    place.search("next", 10, 3, &[]);
    let printed = place.import(&["other.csv", "--into", "next"]);
    assert!(
        printed.contains("another device (elsewhere, here a remark)") && !printed.contains('\u{1b}'),
        "{printed:?}"
    );
}

#[test]
fn bad_imports_are_rejected_and_change_nothing() {
    let place = Place::new();
    place.search("log", 10, 1, &["--strategy", "random"]);
    place.search("run", 15, 2, &[]);
    let header = "architecture,accuracy,time_ms\n";
    let good =
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|,0.5,3\n";
    std::fs::write(place.path("space.csv"), format!("{header}{good}|none~0|,0.5,3\n")).unwrap();
    std::fs::write(place.path("value.csv"), format!("{header}{}", good.replace("0.5", "high"))).unwrap();
    for (args, wanted) in [
        (
            &["log", "space.csv", "--into", "run", "--column", "time=time_ms"][..],
            &["space.csv:3: column \"architecture\"", "nothing was imported"][..],
        ),
        (
            &["value.csv", "--into", "run", "--column", "time=time_ms"],
            &["value.csv:2: column \"accuracy\"", "not a number"],
        ),
        (&["nowhere.csv", "--into", "run"], &["nowhere.csv", "cannot read"]),
        (&["log", "--into", "nowhere"], &["not a run folder", "--experiment FILE"]),
        (&["log", "--into", "run", "--experiment", "experiment.toml"], &["holds a run already"]),
        (&["log", "--into", "run", "--seed", "3"], &["with --experiment"]),
        (
            &["space.csv", "--into", "new", "--experiment", "experiment.toml", "--column", "time=time_ms"],
            &["space.csv:3"],
        ),
        (&["log", "--into", "run", "--column", "colour=red"], &["colour"]),
        (&["log", "--into", "run", "--column", "accuracy"], &["WHAT=NAME"]),
        (
            &["table.csv", "--into", "run", "--column", "time=latency"],
            &["table.csv:1: no column \"architecture\"", "with --column"],
        ),
    ] {
        let error = place.refusal(args);
        wanted.iter().for_each(|wanted| assert!(error.contains(wanted), "{wanted}: {error}"));
    }
    assert!(!place.path("run/imported.csv").exists() && !place.path("new").exists());

    let lock = std::fs::File::create(place.path("run/lock")).unwrap();
    lock.lock().unwrap();
    assert!(place.refusal(&["log", "--into", "run"]).contains("another process is searching"));
    drop(lock);

    place.import(&["log", "--into", "run"]);
    let after = Journal::read(&place.path("run/measurements.csv")).jobs.len();
    let damaged = place.imported("run").replacen(&format!(",{after},"), ",fifteen,", 1);
    std::fs::write(place.path("run/imported.csv"), &damaged).unwrap();
    let error = place.program().args(["--resume", "run", "--evaluations", "20"]).fail();
    assert!(error.contains("imported.csv:2: column \"after\""), "{error}");
    assert!(place.refusal(&["log", "--into", "run"]).contains("imported.csv:2"));
    assert_eq!(place.imported("run"), damaged);
}
