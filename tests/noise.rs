//! Measurements are noisy: the front says what hangs on the noise, and its members are measured again.

use std::collections::BTreeMap;
use std::path::Path;

use end_to_end::{Journal, Program, Table, experiment, live_experiment};
use serde_json::Value;

const EVALUATIONS: usize = 6;

fn journal(folder: &Path) -> Journal {
    Journal::read(&folder.join("run/measurements.csv"))
}

fn front(folder: &Path) -> Value {
    serde_json::from_str(&Program::new(folder).args(["front", "run", "--json"]).succeed()).unwrap()
}

/// Times of each architecture, in the order of the journal.
fn times(journal: &Journal) -> BTreeMap<&str, Vec<f64>> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in &journal.rows {
        times.entry(row.text("architecture")).or_default().extend(row.number("time_ms"));
    }
    times
}

/// Mean and standard error of several, by the textbook.
fn mean(times: &[f64]) -> (f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

fn near(found: &Value, expected: f64) -> bool {
    found.as_f64().is_some_and(|found| (found - expected).abs() <= 1e-9 * expected.abs())
}

/// Every member of the front has the means of what the journal says of it, and is dominated by none of the others'.
fn check_front(front: &Value, journal: &Journal) {
    let first = |architecture: &str| journal.rows.iter().find(|row| row.text("architecture") == architecture).unwrap();
    let all = times(journal);
    let members = front["front"].as_array().unwrap();
    assert!(!members.is_empty());
    for member in members {
        let architecture = member["architecture"].as_str().unwrap();
        let (row, times) = (first(architecture), &all[architecture]);
        assert_eq!(
            (member["evaluation"].as_u64(), member["accuracy"].as_f64()),
            (Some(row.evaluation()), row.number("accuracy"))
        );
        assert_eq!(member["measurements"], times.len());
        let (value, deviation) = match times[..] {
            [once] => (once, row.number("time_ms_std").unwrap()),
            _ => mean(times),
        };
        assert!(near(&member["objectives"]["time_ms"], value) && near(&member["time_ms"], value), "{member}");
        assert!(near(&member["deviations"]["time_ms"], deviation), "{member} {deviation}");
        assert!(member["deviations"]["error"].is_null(), "nothing is known of the error's");
        // Nothing else is at least as good in both and better in one.
        for (other, times) in &all {
            let Some(accuracy) = first(other).number("accuracy") else { continue };
            let time = times.iter().sum::<f64>() / times.len() as f64;
            let own = member["accuracy"].as_f64().unwrap();
            assert!(!(accuracy >= own && time < value * (1.0 - 1e-9)), "{other} beats {member}");
        }
    }
}

#[test]
fn members_of_the_front_are_measured_again() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    std::fs::write(folder.join("live.toml"), live_experiment(1, 2, 15)).unwrap();
    let printed = Program::new(folder).args(["search", "live.toml", "--remeasure", "4", "--out", "run"]).succeed();
    let begun = journal(folder);
    assert_eq!(begun.ended().len(), EVALUATIONS + 4);
    let (searched, again) = begun.jobs.split_at(begun.jobs.len() - 4);
    for row in again {
        assert!(searched.iter().any(|first| first.text("architecture") == row.text("architecture")), "{row:?}");
        assert_eq!((row.text("status"), row.number("accuracy"), row.text("epochs")), ("ok", None, ""), "{row:?}");
        assert!(row.number("time_ms").is_some() && row.number("train_seconds").is_none(), "{row:?}");
    }
    assert!(printed.contains("10 evaluations (10 ok), 4 of which measured a network again"), "{printed}");
    let json = front(folder);
    assert_eq!((json["evaluations"].as_u64(), json["remeasurements"].as_u64()), (Some(10), Some(4)));
    check_front(&json, &begun);
    let table = Program::new(folder).args(["front", "run"]).succeed();
    assert!(table.contains("time ms ± σ") && table.contains("measured"), "{table}");
    // Each has its model, one row of the front, and no more.
    for member in json["front"].as_array().unwrap() {
        assert!(folder.join(format!("run/models/{}.onnx", member["evaluation"])).is_file(), "{member}");
    }
    let pareto = Journal::read(&folder.join("run/pareto.csv"));
    assert_eq!(pareto.rows.len(), json["front"].as_array().unwrap().len());
    for (row, member) in pareto.rows.iter().zip(json["front"].as_array().unwrap()) {
        assert_eq!(Some(row.evaluation()), member["evaluation"].as_u64());
        assert!(near(&member["time_ms"], row.number("time_ms").unwrap()), "{row:?} {member}");
    }

    // As often as it was asked for, whether at once or later; a checkpoint is not needed.
    let resume = ["--resume", "run", "--quiet"];
    Program::new(folder).args(resume).args(["--remeasure", "4"]).succeed();
    assert_eq!(journal(folder), begun);
    std::fs::remove_dir_all(folder.join("run/checkpoint")).unwrap();
    Program::new(folder).args(resume).args(["--remeasure", "7"]).succeed();
    let more = journal(folder);
    assert_eq!((more.ended().len(), &more.jobs[..begun.jobs.len()]), (13, &begun.jobs[..]));
    // Nor do they count among the networks of a search that goes on.
    Program::new(folder).args(resume).args(["--evaluations", "8"]).succeed();
    let last = journal(folder);
    assert_eq!((last.ended().len(), &last.jobs[..more.jobs.len()]), (15, &more.jobs[..]));
    check_front(&front(folder), &last);
}

#[test]
fn a_lead_within_the_noise_is_marked() {
    // The difference of two times has a deviation of 0.42 ms. Row 1 is faster than row 0 by half of that, and row 3 than
    // row 1 by 3 ms; row 2 is slower than row 0 by 0.1 ms and otherwise the same; row 4 is far behind everything.
    let cells: Vec<String> =
        Table::write(tempfile::tempdir().unwrap().path()).entries.iter().map(|e| e.cell.clone()).collect();
    let rows = [(90, 5.0), (88, 4.8), (90, 5.1), (80, 1.8), (70, 9.0)];
    let row = |(cell, (percent, time)): (&String, &(i32, f64))| format!("{cell},{percent},{time},0.3,\n");
    let table: String = cells.iter().step_by(100).zip(&rows).map(row).collect();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    std::fs::write(folder.join("table.csv"), format!("cell,percent,time_ms,time_ms_std,energy\n{table}")).unwrap();
    let columns = [
        "[replay.columns]",
        "architecture = \"cell\"",
        "accuracy = { column = \"percent\", unit = \"percent\" }",
        "time = { column = \"time_ms\", unit = \"ms\" }",
    ];
    let head = experiment().split("[replay.columns]").next().unwrap().to_owned();
    std::fs::write(folder.join("experiment.toml"), head + &columns.join("\n")).unwrap();
    let replay = ["replay", "table.csv", "--experiment", "experiment.toml", "--strategy", "random", "--quiet"];
    Program::new(folder).args(replay).args(["--evaluations", "5", "--out", "run"]).succeed();
    let journal = journal(folder);
    let number = |index: usize| {
        let row = journal.rows.iter().find(|row| row.text("architecture") == cells[100 * index]).unwrap();
        row.evaluation()
    };
    let json = front(folder);
    let found: BTreeMap<u64, Vec<u64>> = json["front"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| {
            let others = member["within_noise_of"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap());
            let mut others: Vec<u64> = others.collect();
            others.sort_unstable();
            (member["evaluation"].as_u64().unwrap(), others)
        })
        .collect();
    let mut near_row_1 = vec![number(0), number(2)];
    near_row_1.sort_unstable();
    let expected = [(number(0), vec![number(2)]), (number(1), near_row_1), (number(3), Vec::new())];
    assert_eq!(found, BTreeMap::from(expected));
    assert_eq!(json["within_noise_of_front"], serde_json::json!([number(2)]), "dominated by the noise alone");
    let table = Program::new(folder).args(["front", "run"]).succeed();
    assert!(table.contains(&format!("dominated only within the noise: #{}\n", number(2))), "{table}");
    assert!(table.contains("standard deviations of the difference") && !table.contains("--remeasure"), "{table}");

    let refused = Program::new(folder).args(replay).args(["--remeasure", "3", "--out", "other"]).fail();
    assert!(refused.contains("search.remeasure = 3") && refused.contains("replay"), "{refused}");
    assert!(!folder.join("other").exists());
}

/// Measures a network with a meter that prints a text again and again.
fn measured_with(printed: &str, more: &[&str]) -> end_to_end::Ended {
    let place = tempfile::tempdir().unwrap();
    let script = format!("while :; do echo '{printed}'; sleep 0.01; done");
    let settings = format!(
        "[devices.host]\nkind = \"host\"\n[devices.host.meter]\nkind = \"stream\"\ncommand = [\"sh\", \"-c\", {script:?}]\n\
         columns = {{ power = {{ column = 1, unit = \"w\" }} }}\n\
         [devices.host.energy]\nwindow_s = 0.5\nidle_s = 0.3\nsettle_limit_s = 0.5\n"
    );
    std::fs::write(place.path().join("metered.toml"), live_experiment(1, 1, 15) + &settings).unwrap();
    let cell = "|nor_conv_1x1~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|nor_conv_1x1~2|";
    let args = ["measure", cell];
    Program::new(place.path()).args(args).args(["--experiment", "metered.toml"]).args(more).run()
}

#[test]
fn a_meter_that_reads_nothing_under_load_is_refused() {
    for more in [&[][..], &["--set", "devices.host.energy.subtract_idle=true"]] {
        let ended = measured_with("0.000", more);
        assert_ne!(ended.code, Some(0), "{ended}");
        assert!(ended.err.contains("reads 0 mW") && ended.err.contains("a running device draws power"), "{ended}");
        assert!(!ended.err.contains("set subtract_idle"), "the advice does not lead back: {ended}");
    }
}

#[test]
fn a_meter_with_decimal_commas_is_read_right() {
    let ended = measured_with("3,41", &["--json"]);
    let json: Value = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended}"));
    assert!(near(&json["power_mw"], 3410.0), "{json}");
}
