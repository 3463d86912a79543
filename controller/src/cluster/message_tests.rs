use super::*;
use crate::history::Candidate;
use child::space::Architecture;
use proptest::prelude::*;
use std::time::Duration;

fn job(number: u64, work: Work) -> Job {
    Job { number, candidate: Candidate { architecture: Architecture::new([0]), key: [0; 16].into() }, work }
}

fn measured(number: u64) -> Row {
    Row { time_ms: Some(1.5), ..Row::new(number, "|a|", Status::Measured) }
}

#[test]
fn an_answer_gives_the_row_of_its_job_and_of_no_other() {
    let answer = Answer::new(&measured(3), None).unwrap();
    assert_eq!(answer.row(&job(3, Work::Measure { target: 0 }), "|a|").unwrap(), measured(3));
    for (job, text) in [
        (job(4, Work::Measure { target: 0 }), "|a|"),
        (job(3, Work::Measure { target: 0 }), "|b|"),
        (job(3, Work::Train { epochs: 2 }), "|a|"),
    ] {
        assert!(answer.row(&job, text).is_err());
    }
}

#[test]
fn rows_that_cannot_be_the_end_of_the_job_are_refused_with_the_reason() {
    let train = job(3, Work::Train { epochs: 20 });
    let row = |status| Row::new(3, "|a|", status);
    let refused = |row: Row| Answer::new(&row, None).unwrap().row(&train, "|a|").unwrap_err().to_string();
    assert!(refused(row(Status::Ok)).contains("without an accuracy"));
    assert!(refused(row(Status::Bounded)).contains("does not belong"));
    let other = Row { accuracy: Some(0.5), epochs: Some(12), ..row(Status::Ok) };
    assert!(refused(other).contains("other epochs"));
    let untimed = Answer::new(&Row::new(3, "|a|", Status::Measured), None).unwrap();
    assert!(
        untimed.row(&job(3, Work::Measure { target: 0 }), "|a|").unwrap_err().to_string().contains("without a time")
    );
    // As the journal's own reader refuses them.
    for (place, cell) in [(4, "1.5"), (5, "-1"), (5, "nan"), (3, "fine")] {
        let mut cells: Vec<String> = vec![String::new(); COLUMNS.len()];
        (cells[0], cells[2], cells[3]) = ("3".to_owned(), "|a|".to_owned(), "measured".to_owned());
        cells[place] = cell.to_owned();
        let answer = Answer { row: cells.join(","), model: None, is_certain: false };
        assert!(answer.row(&job(3, Work::Measure { target: 0 }), "|a|").is_err(), "{cell}");
    }
    let model = Answer { model: Some("../../etc".to_owned()), ..Answer::new(&measured(3), None).unwrap() };
    assert!(model.row(&job(3, Work::Measure { target: 0 }), "|a|").is_err());
}

#[test]
fn texts_of_other_machines_are_cleaned() {
    let steering = "\u{1b}[2Ja\u{202e}\u{7}b".to_owned();
    let row = Row { message: Some(steering.clone()), device: Some(steering.clone()), ..measured(3) };
    let row = Answer::new(&row, None).unwrap().row(&job(3, Work::Measure { target: 0 }), "|a|").unwrap();
    assert_eq!((row.message.as_deref(), row.device.as_deref()), (Some("a b"), Some("a b")));
    let received = |stage: Stage| read_stage(&serde_json::to_vec(&stage).unwrap()).unwrap();
    let wait = Wait {
        device: Some(steering.clone()),
        what: steering.clone(),
        reason: steering.clone(),
        waited: Duration::ZERO,
        patience: Duration::ZERO,
    };
    let Stage::Away(wait) = received(Stage::Away(wait)) else { panic!() };
    assert_eq!((wait.device.as_deref(), wait.what.as_str(), wait.reason.as_str()), (Some("a b"), "a b", "a b"));
    let clean = "a b".to_owned();
    assert_eq!(
        received(Stage::Measuring { device: Some(steering.clone()) }),
        Stage::Measuring { device: Some(clean.clone()) }
    );
    assert_eq!(
        received(Stage::Lost { device: steering.clone(), reason: steering }),
        Stage::Lost { device: clean.clone(), reason: clean }
    );
}

#[test]
fn stages_of_earlier_versions_are_read() {
    let read = |text: &str| read_stage(text.as_bytes()).unwrap();
    assert_eq!(read("\"Measuring\""), Stage::Measuring { device: None });
    let wait = r#"{"Away":{"what":"`a`","reason":"b","waited":{"secs":1,"nanos":0},"patience":{"secs":2,"nanos":0}}}"#;
    assert!(matches!(read(wait), Stage::Away(Wait { device: None, .. })));
}

#[test]
fn names_of_jobs_tell_networks_works_and_tries_apart() {
    let train = job(3, Work::Train { epochs: 12 });
    let names = [
        JobId::new(&job(3, Work::Measure { target: 0 }), "|a|", 0),
        JobId::new(&job(3, Work::Measure { target: 0 }), "|b|", 0),
        JobId::new(&train, "|a|", 0),
        JobId::new(&train, "|a|", 1),
    ];
    assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    assert!(names.iter().all(|name| JobId::read(&name.to_string()).as_ref() == Some(name)));
    assert!(["", "a.b", "*", "a b", "ä", &"a".repeat(81)].into_iter().all(|token| JobId::read(token).is_none()));
}

#[test]
fn a_report_of_more_places_than_a_machine_has_is_refused() {
    let report = |measures: usize, ready: usize| {
        let run = serde_json::json!({"ready": {"measures": ready, "trains": 0, "note": null}});
        let report = serde_json::json!({
            "machine": "lab\u{1b}[2J", "version": "", "backend": "", "device": null, "measures": measures, "trains": 0,
            "measuring": 0, "training": 0, "for_s": 0.0, "done": 0, "failed": 0, "leaving": null,
            "runs": {"r": run, "\u{1b}[2J": run, "a\u{202e}b": run, "": run},
        });
        read_presence(report.to_string().as_bytes())
    };
    assert!(report(8, 8).is_ok());
    let presence = report(1, 1).unwrap();
    assert_eq!((presence.machine.as_str(), presence.runs.keys().collect::<Vec<_>>()), ("lab", vec![&"r".to_owned()]));
    assert!(report(usize::MAX, 0).is_err() && report(1, usize::MAX).is_err());
}

#[test]
fn too_long_messages_are_refused() {
    let long = format!("\"{}\"", "a".repeat(LONGEST));
    assert!(read::<String>(long.as_bytes()).unwrap_err().to_string().contains("more than"));
    assert!(written(&long).is_err());
    assert!(read_stage(&vec![b' '; 5000]).is_err());
}

proptest! {
    #[test]
    fn no_bytes_break_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = (read::<Announcement>(&bytes), read::<Order>(&bytes), read::<Answer>(&bytes));
        let _ = (read::<Presence>(&bytes), read_stage(&bytes));
    }

    #[test]
    fn a_message_that_was_changed_in_one_byte_breaks_nothing(at in 0_usize..400, byte in any::<u8>()) {
        let order = Order {
            task: "0".repeat(64),
            number: 7,
            architecture: "|nor_conv_3x3~0|".to_owned(),
            work: Work::Train { epochs: 12 },
            tries: 5,
            avoid: vec!["lab-1".to_owned()],
        };
        let mut bytes = written(&order).unwrap();
        prop_assert_eq!(read::<Order>(&bytes).unwrap(), order);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read::<Order>(&bytes);
        let mut answer = written(&Answer::new(&measured(3), Some("a".repeat(64))).unwrap()).unwrap();
        let at = at % answer.len();
        answer[at] = byte;
        if let Ok(answer) = read::<Answer>(&answer) {
            let row = answer.row(&job(3, Work::Measure { target: 0 }), "|a|");
            prop_assert!(row.is_err() || row.is_ok_and(|row| row.evaluation == 3 && row.time_ms > Some(0.0)));
        }
    }

    #[test]
    fn rows_survive_the_way_to_the_search(message in "\\PC{0,40}", seconds in 0.0..1e6_f64) {
        let row = Row { message: Some(message).filter(|text| !text.is_empty()), train_seconds: Some(seconds), ..measured(3) };
        if let Ok(answer) = Answer::new(&row, None) {
            let answer: Answer = read(&written(&answer).unwrap()).unwrap();
            let shown = Row { message: row.message.as_deref().map(shown::clean), ..row };
            prop_assert_eq!(answer.row(&job(3, Work::Measure { target: 0 }), "|a|").unwrap(), shown);
        }
    }
}
