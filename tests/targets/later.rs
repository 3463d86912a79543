//! Boards that come after a search.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use end_to_end::{Journal, Program, experiment};
use serde_json::Value;

use super::{front_of, json_of, on_b, place, trained_and_measured};

/// Searches on board a, and writes the experiment of a board b whose times are in a column of the table; returns it.
fn begin_on_a(folder: &Path, evaluations: &str, time: &str) -> String {
    std::fs::write(folder.join("a.toml"), experiment()).unwrap();
    let begin =
        ["replay", "table.csv", "--experiment", "a.toml", "--evaluations", evaluations, "--quiet", "--out", "a"];
    Program::new(folder).args(begin).succeed();
    let b = format!(
        "[replay]\nlog = \"table.csv\"\n[replay.columns]\narchitecture = \"network\"\n\
         accuracy = {{ column = \"top-1 %\", unit = \"percent\" }}\n[replay.columns.targets.b]\ntime = {time}\n"
    );
    std::fs::write(folder.join("b.toml"), &b).unwrap();
    b
}

#[test]
fn a_board_that_comes_later_is_measured_without_training_and_then_searched_for() {
    let (folder, table) = place();
    let b = begin_on_a(folder.path(), "40", "\"early %\"");
    let extend = |out: &str, more: &[&str]| {
        let args = ["extend", "a", "--experiment", "b.toml", "--quiet", "--out", out];
        Program::new(folder.path()).args(args).args(more).succeed();
        Journal::read(&folder.path().join(out).join("measurements.csv"))
    };
    let before = Journal::read(&folder.path().join("a/measurements.csv"));
    let trained: BTreeSet<_> =
        before.jobs.iter().filter(|row| !row.text("accuracy").is_empty()).map(|row| row.text("architecture")).collect();
    let measured = extend("measured", &[]);
    let on_b_alone: Vec<_> = measured.jobs.iter().filter(|row| row.text("target") == "b").collect();
    assert_eq!(on_b_alone.iter().map(|row| row.text("architecture")).collect::<BTreeSet<_>>(), trained);
    assert_eq!(on_b_alone.len(), trained.len(), "each is measured once");
    assert_eq!(measured.jobs.len(), before.jobs.len() + trained.len(), "and nothing is trained");
    // Measurements after the last training count. The bound on the error stays. A network for all boards is judged on both.
    let front = json_of(folder.path(), &["front", "measured", "--json", "--target", "b"]);
    let study = json_of(folder.path(), &["study", "measured", "--json"]);
    let of_b = study["targets"].as_array().unwrap().iter().find(|target| target["name"] == "b").unwrap();
    assert_eq!(front["hypervolume_share"], of_b["hypervolume_share"]);
    assert!(front["hypervolume_share"].as_f64() > Some(0.0) && front["reference"][0] == 0.38, "{front}");
    let all = json_of(folder.path(), &["front", "measured", "--targets", "all", "--json"]);
    let combined = all["mean"].as_array().unwrap().iter().flat_map(|one| one["combined"].as_array().unwrap());
    assert!(combined.clone().count() > 0 && combined.clone().all(Value::is_number), "{all}");
    // A run that was killed before it had the rows of the earlier one begins with them all the same.
    let path = folder.path().join("measured/measurements.csv");
    let whole = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for file in std::fs::read_dir(folder.path().join("measured/checkpoint")).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() && file.file_name().unwrap() != "config.toml" {
            std::fs::remove_file(file).unwrap();
        }
    }
    Program::new(folder.path()).args(["--resume", "measured", "--quiet"]).succeed();
    assert!(std::fs::read(&path).unwrap() == whole, "the same rows");
    // A board on which no trained network runs.
    let text = std::fs::read_to_string(folder.path().join("table.csv")).unwrap();
    let others = text.lines().filter(|line| !trained.iter().any(|cell| line.contains(cell))).take(60);
    std::fs::write(folder.path().join("few.csv"), others.flat_map(|line| [line, "\n"]).collect::<String>()).unwrap();
    std::fs::write(
        folder.path().join("few.toml"),
        b.replace("table.csv", "few.csv").replace("targets.b", "targets.few"),
    )
    .unwrap();
    let few = ["extend", "a", "--experiment", "few.toml", "--quiet", "--out"];
    Program::new(folder.path()).args(few).args(["few"]).succeed();
    Program::new(folder.path()).args(few).args(["ten", "--measure", "10"]).succeed();
    let ten = Journal::read(&folder.path().join("ten/measurements.csv"));
    let of_few: Vec<_> = ten.jobs.iter().filter(|row| row.text("target") == "few").collect();
    assert!(of_few.len() == 10 && of_few.iter().all(|row| row.text("status") == "measured"), "{of_few:?}");
    // A search goes on from networks that were measured and not trained.
    Program::new(folder.path()).args(["--resume", "ten", "--evaluations", "43", "--quiet"]).succeed();
    let refused = |args: &[&str]| {
        let extend = ["extend", "a", "--experiment", "b.toml", "--out", "refused"];
        Program::new(folder.path()).args(extend).args(args).fail()
    };
    let blind: Vec<&str> = b.lines().filter(|line| !line.starts_with("accuracy")).collect();
    std::fs::write(folder.path().join("blind.toml"), blind.join("\n").replace("targets.b", "targets.c")).unwrap();
    let blind =
        Program::new(folder.path()).args(["extend", "a", "--experiment", "blind.toml", "--out", "blind"]).fail();
    assert!(blind.contains("targets.c: the log has no accuracy"), "{blind}");
    assert!(refused(&["--set", "search.seed=3"]).contains("the run decides on it"));
    assert!(refused(&["--target", "x.y"]).contains("cannot be the name of a target"));
    assert!(refused(&["--measure", "3", "--trainings", "3"]).contains("cannot be used with"));
    let searched = extend("searched", &["--trainings", "10"]);
    let count = |journal: &Journal| journal.jobs.iter().filter(|row| !row.text("accuracy").is_empty()).count();
    assert_eq!(count(&searched), count(&before) + 10);
    let new: Vec<_> =
        searched.jobs[measured.jobs.len()..].iter().filter(|row| !row.text("target").is_empty()).collect();
    assert!(new.iter().all(|row| row.text("target") == "b"), "the earlier board is not searched for any more");
    let share =
        |run: &str| json_of(folder.path(), &["front", run, "--json", "--target", "b"])["hypervolume_share"].as_f64();
    assert!(share("searched") > share("measured"));
    let front = front_of(&table, &trained_and_measured(&searched, "b"), on_b);
    let json = json_of(folder.path(), &["front", "searched", "--json", "--target", "b"]);
    assert_eq!(json["front"].as_array().unwrap().len(), front.len());
    // Resumed with a larger budget, it goes on.
    Program::new(folder.path()).args(["--resume", "searched", "--evaluations", "55", "--quiet"]).succeed();
    assert_eq!(count(&Journal::read(&folder.path().join("searched/measurements.csv"))), 55);
}

/// Spearman's rank correlation of pairs, few of which are equal.
fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let ranks = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        pairs.iter().map(|one| pairs.iter().filter(|other| of(other) < of(one)).count() as f64).collect()
    };
    let squares: f64 = ranks(|pair| pair.0).iter().zip(ranks(|pair| pair.1)).map(|(a, b)| (a - b).powi(2)).sum();
    let count = pairs.len() as f64;
    1.0 - 6.0 * squares / (count * (count * count - 1.0))
}

#[test]
fn ten_networks_of_the_whole_space_predict_the_times_of_all_others() {
    let (folder, table) = place();
    begin_on_a(folder.path(), "12", "{ column = \"latency_us\", unit = \"us\" }");
    let extend = ["extend", "a", "--experiment", "b.toml", "--measure", "10", "--quiet", "--out", "b"];
    Program::new(folder.path()).args(extend).succeed();
    let journal = || Journal::read(&folder.path().join("b/measurements.csv"));
    let of_b = |journal: &Journal| {
        let rows = journal.jobs.iter().filter(|row| row.text("target") == "b");
        rows.map(|row| row.text("architecture").to_owned()).collect::<Vec<_>>()
    };
    let (before, first) = (Journal::read(&folder.path().join("a/measurements.csv")), journal());
    assert_eq!(first.jobs.len(), before.jobs.len() + 10, "nothing is trained");
    let measured: BTreeSet<String> = of_b(&first).into_iter().collect();
    assert_eq!(measured.len(), 10);
    Program::new(folder.path()).args(["--resume", "b", "--quiet"]).succeed();
    assert_eq!(of_b(&journal()).len(), 10, "resumed, it measures no more");

    let all = ["predict", "b", "--target", "b", "--all", "--csv", "all.csv"];
    Program::new(folder.path()).args(all).succeed();
    let mut reader = csv::Reader::from_path(folder.path().join("all.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), table.entries.len(), "each cell of the space");
    let pairs: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| (row["time_ms"].parse().unwrap(), table.entry(&row["architecture"]).microseconds as f64 / 1e3))
        .collect();
    let found = spearman(&pairs);
    assert!(found > 0.9, "rank correlation {found}");
    for row in &rows {
        assert_eq!(!row["time_ms_measured"].is_empty(), measured.contains(&row["architecture"]));
        let [low, value, high] =
            ["time_ms_low", "time_ms", "time_ms_high"].map(|name| row[name].parse::<f64>().unwrap());
        assert!(low <= value && value <= high);
    }
    let cell = &table.entries[5].cell;
    std::fs::write(folder.path().join("some.csv"), format!("note,architecture\nfirst,{cell}\n")).unwrap();
    std::fs::write(folder.path().join("some.txt"), format!("{cell}\n\n{cell}\n")).unwrap();
    let predict =
        |more: &[&str]| json_of(folder.path(), &[&["predict", "b", "--target", "b", "--json"], more].concat());
    let [named, csv, text] = [&[cell.as_str()][..], &["--file", "some.csv"], &["--file", "some.txt"]].map(predict);
    assert_eq!(named, csv);
    assert_eq!([&text["networks"][0], &text["networks"][1]], [&named["networks"][0]; 2]);
    std::fs::write(folder.path().join("sheet.csv"), format!("\u{feff}note;architecture\r\nfirst;{cell}\r\n")).unwrap();
    assert_eq!(named, predict(&["--file", "sheet.csv"]));
    let refused = |args: &[&str]| Program::new(folder.path()).args(args).fail();
    let journal = ["predict", "b", "--target", "b", "--all", "--csv", "b/measurements.csv"];
    assert!(refused(&journal).contains("choose another name"));
    std::fs::write(folder.path().join("wrong.txt"), format!("{cell}\n|none\n")).unwrap();
    let wrong = refused(&["predict", "b", "--target", "b", "--file", "wrong.txt"]);
    assert!(wrong.contains("wrong.txt, line 2: `|none`"), "{wrong}");
    assert!(refused(&["predict", "b", "--target", "b"]).contains("no architecture to predict"));
    assert!(refused(&["predict", "b", "--all"]).contains("choose one with --target"));
}
