use serde_json::json;

use super::effects::effects;
use super::networks::{Networks, short};
use super::observed::Observed;
use super::*;
use crate::history::History;
use crate::objective::Objective;
use crate::observe::Observation;
use crate::strategy::toy;
use hardware::log::{Joined, Row, Status};

#[test]
fn texts_of_others_cannot_end_the_script_that_holds_the_data() {
    let hostile = "</script><script>alert(1)</script><!-- \u{202e}";
    let page = html(&document(vec![json!({ "name": hostile })], None, false).to_string());
    let (_, after) = page.split_once("id=\"data\">").unwrap();
    let (data, _) = after.split_once("</script>").unwrap();
    let read: Value = serde_json::from_str(data).unwrap();
    assert_eq!(read["runs"][0]["name"], hostile);
    assert!(!data.contains('<'));
}

#[test]
fn content_with_the_marks_of_the_page_stays_as_it_is() {
    let page = html(&document(vec![json!({ "name": "/*STYLE*/ /*DATA*/" })], None, false).to_string());
    assert_eq!(page.matches("/*DATA*/").count(), 1, "that of the name");
    assert!(page.contains("\"name\":\"/*STYLE*/ /*DATA*/\""));
}

#[test]
fn numbers_have_six_digits_and_whole_ones_all() {
    let found = [1.0 / 3.0, 123_456.789, 1e-9 / 3.0, 12_345_678.0, 0.0].map(|value| short(Some(value)).to_string());
    assert_eq!(found, ["0.333333", "123457", "3.33333e-10", "12345678", "0"]);
    assert!(short(None).is_null() && short(Some(f64::NAN)).is_null());
}

#[test]
fn columns_are_as_long_as_there_are_networks_and_empty_ones_are_left_out() {
    let problem = toy::problem(&[3, 12]);
    let row = |number, text: &str, time_ms| Joined::new(Row { time_ms, ..Row::new(number, text, Status::Measured) }, 0);
    let joined = [row(0, "[2, 11]", Some(1.5)), row(1, "[0, 10]", None)];
    let imported = [Row { accuracy: Some(0.75), ..Row::new(0, "[1, 1]", Status::Ok) }];
    let Networks { columns, statuses, .. } = Networks::of(&problem, &joined, &imported).unwrap();
    assert_eq!(columns["evaluation"], json!([0, 1, 0]));
    assert_eq!(columns["choices"], json!(["2b", "0a", "11"]));
    assert_eq!((columns["status"].clone(), statuses), (json!([0, 0, 1]), vec!["measured".to_owned(), "ok".to_owned()]));
    assert_eq!(columns["imported"], json!([2]));
    assert_eq!(columns["values"]["time_ms"], json!([1.5, null, null]));
    assert_eq!(columns["values"]["error"], json!([null, null, 0.25]));
    assert!(!columns.contains_key("train_seconds") && !columns.contains_key("message"));
}

#[test]
fn a_network_costs_a_page_at_most_300_bytes() {
    let problem = toy::problem(&[8; 42]);
    let text = format!("[{}]", vec!["7"; 42].join(", "));
    let full = Row {
        started_at: Some("2026-11-29T12:00:00Z".to_owned()),
        accuracy: Some(0.876_543_21),
        time_ms: Some(12.345_678_9),
        time_ms_std: Some(0.123_456_78),
        time_ms_p50: Some(12.345_678),
        time_ms_p95: Some(12.345_678),
        time_ms_p99: Some(12.345_678),
        time_runs: Some(1234),
        energy_mj: Some(123.456_789),
        energy_mj_std: Some(1.234_567),
        power_samples: Some(1234),
        idle_power_mw: Some(1_234.567_89),
        device: Some("a board".to_owned()),
        epochs: Some(200),
        train_seconds: Some(1_234.567_89),
        measure_seconds: Some(12.345_678),
        message: Some("hot".to_owned()),
        ..Row::new(123_456, text, Status::Ok)
    };
    let joined: Vec<Joined> = (0..1000).map(|_| Joined::new(full.clone(), 0)).collect();
    let Networks { columns, .. } = Networks::of(&problem, &joined, &[]).unwrap();
    let bytes = Value::Object(columns).to_string().len();
    assert!(bytes < 240_000, "{bytes} bytes for 1000 networks, which have predictions besides");
}

fn observed(observations: Vec<Observation>) -> Observed {
    let mut observed = Observed::default();
    observed.add(observations);
    observed
}

#[test]
fn a_file_that_grows_is_read_on_and_another_one_from_its_begin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("observations.jsonl");
    let line = |epoch, loss| format!(r#"{{"loss":{{"evaluation":3,"epoch":{epoch},"epochs":9,"loss":{loss}}}}}"#);
    let mut observed = Observed::default();
    observed.follow(&path);
    assert_eq!(observed.curve(3), None);
    // The last line is being written.
    let (second, end) = (line(2, 6), line(3, 5));
    let begin = format!("{}\nnot read\n{}\n{}", line(1, 7), second, &end[..20]);
    std::fs::write(&path, &begin).unwrap();
    observed.follow(&path);
    assert_eq!(observed.curve(3), Some(json!({ "epoch": [1, 2], "loss": [7, 6] })));
    std::fs::write(&path, format!("{begin}{}\n", &end[20..])).unwrap();
    observed.follow(&path);
    assert_eq!(observed.curve(3), Some(json!({ "epoch": [1, 2, 3], "loss": [7, 6, 5] })));
    std::fs::write(&path, format!("{second}\n")).unwrap();
    observed.follow(&path);
    assert_eq!(observed.curve(3), Some(json!({ "epoch": [2], "loss": [6] })));
}

#[test]
fn a_full_training_does_not_continue_the_curve_of_a_short_one() {
    let loss = |epoch, epochs, loss| Observation::Loss { evaluation: 3, epoch, epochs, loss };
    let observed = observed(vec![loss(1, 2, 9.0), loss(2, 2, 8.0), loss(1, 4, 7.0), loss(1, 4, 6.0), loss(2, 4, 5.0)]);
    assert_eq!(observed.curve(3), Some(json!({ "epoch": [1, 2], "loss": [6, 5] })));
    assert_eq!(observed.curve(4), None);
}

#[test]
fn many_rounds_are_thinned_and_the_last_one_stays() {
    let round =
        |evaluations| Observation::Round { evaluations, scalars: Default::default(), choices: Default::default() };
    let rounds = observed((0..1001).map(round).collect()).rounds();
    assert!(rounds.len() <= 200, "{}", rounds.len());
    assert_eq!(rounds.last().unwrap()["evaluations"], 1000);
}

#[test]
fn effects_name_the_decision_that_matters() {
    let problem = toy::problem(&[3, 3, 3]);
    let mut history = History::new(problem.objectives().clone(), problem.bounds().clone());
    for number in 0..27_u64 {
        let [a, b, c] = [number % 3, number / 3 % 3, number / 9];
        let row = Row {
            accuracy: Some(0.5 + 0.1 * b as f64),
            time_ms: Some(1.0 + a as f64),
            energy_mj: Some(2.0 + 0.01 * c as f64),
            ..Row::new(number, format!("[{a}, {b}, {c}]"), Status::Ok)
        };
        history.enter(&problem, &row).unwrap();
    }
    let found = effects(&problem, &history).unwrap();
    let time = &found[1];
    assert_eq!(time.objective, Objective::Time);
    let first = &time.decisions[0];
    assert!(first.importance > 0.9, "{time:?}");
    assert!(first.choices[0].high < 0.0 && first.choices[2].low > 0.0, "{first:?}");
    let sum: f64 = time.decisions.iter().map(|decision| decision.importance).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    for decision in &time.decisions {
        assert!(decision.choices.iter().all(|choice| choice.low <= choice.effect && choice.effect <= choice.high));
    }
}

#[test]
fn few_networks_have_no_effects() {
    let problem = toy::problem(&[3, 3, 3]);
    let history = History::new(problem.objectives().clone(), problem.bounds().clone());
    assert_eq!(effects(&problem, &history).unwrap(), []);
}
