//! Messages that no search and no worker sends.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use futures_util::StreamExt as _;
use serde_json::json;

use super::client::{Client, so_far};
use super::scene::{Scene, assert_no_doubles};

/// Payloads that are none of the program's messages.
const GARBAGE: [&[u8]; 6] = [b"", b"\0\xff\xfe", b"{", b"[[[[[[[[", b"null", b"{\"row\": 1e999}"];

/// It would clear a terminal, and turn the rest of a line round.
const STEERING: &str = "\u{1b}[2Jcleared\u{202e}\u{7}";

/// Well-formed messages that do not fit.
fn nonsense(run: &str, id: &str) -> Vec<(String, String)> {
    let answer = |row: &str| json!({"row": row, "model": null}).to_string();
    let order = json!({
        "task": "0".repeat(64), "number": 0, "architecture": "|nor_conv_3x3~0|", "work": "Measure", "tries": 5, "avoid": [],
    });
    let presence = |measures: u64, ready: u64| {
        json!({
            "machine": STEERING, "version": "x", "backend": "x", "device": null, "measures": measures, "trains": 0,
            "measuring": 0, "training": measures, "for_s": 1e300, "done": 0, "failed": 0,
            "runs": {run: {"ready": {"measures": ready, "trains": ready, "note": null}}}, "leaving": null,
        })
    };
    let time = json!({"secs": 3, "nanos": 0});
    let away = json!({"Away": {"what": STEERING, "reason": STEERING, "waited": time, "patience": time}});
    let announcement = json!({
        "protocol": 1, "version": STEERING, "task": "[devices.evil]\nkind = 'command'\ncommand = ['touch', 'evil']",
        "data": "", "deployment": null, "device": null, "ended": false,
    });
    let other = "00000000000000bb";
    vec![
        (format!("nas.{run}.result.{id}.mallory"), answer("0,,|nor_conv_3x3~0|,ok,1.0,,,,,,,,,,,,,,,,\n")),
        (format!("nas.{run}.result.{id}.mallory2"), answer("999999,,x,measured,,1,,,,,,,,,,,,,,,\n")),
        (format!("nas.{run}.result.{id}.mallory3"), json!({"row": "", "model": "../../etc/passwd"}).to_string()),
        (format!("nas.{run}.result.0-m-000000000000.mallory"), answer("0,,x,ok,1.0,1,,,,,,,,,,,,,,,\n")),
        (format!("nas.{run}.result.a.b.c.d"), answer("")),
        (format!("nas.{run}.job.measure.0-m-000000000000"), order.to_string()),
        (format!("nas.{run}.job.train.x"), order.to_string()),
        (
            format!("nas.{run}.progress.{id}"),
            json!({"Training": {"epoch": 18446744073709551615_u64, "epochs": 0}}).to_string(),
        ),
        (format!("nas.{run}.progress.{id}"), json!("Waiting").to_string()),
        (format!("nas.{run}.progress.{id}"), away.to_string()),
        (format!("nas.{run}.result.{id}.mallory4"), answer(&format!("1,,x,{STEERING},1,,,,,,,,,,,,,,,,\n"))),
        ("nas.mallory.report".to_owned(), presence(u64::MAX, u64::MAX).to_string()),
        ("nas.mallory2.report".to_owned(), presence(3, u64::MAX).to_string()),
        ("nas.mallory3.report".to_owned(), presence(3, 3).to_string()),
        (format!("nas.{other}.run"), announcement.to_string()),
        (format!("nas.{other}.alive"), String::new()),
        (format!("nas.{run}.dismiss.mallory"), "go".to_owned()),
        (format!("nas.{run}.break.x"), "go".to_owned()),
    ]
}

/// Sends or stores a message, whichever the subject is for.
fn throw(client: &Client, subject: &str, payload: &[u8]) {
    let is_stored = [".run", ".job.", ".result."].iter().any(|part| subject.contains(part));
    // One that the server rejects has done its worst.
    if is_stored { drop(client.store(subject, payload)) } else { client.send(subject, payload) }
}

#[test]
fn messages_of_strangers_change_no_row_and_stop_neither_search_nor_worker() {
    let Some(scene) = Scene::new() else { return };
    let mut worker = scene.log_worker(40.0);
    let client = scene.client();
    let orders = client.listen("nas.*.job.>");
    let mut searching = scene.log_search("run", &["--evaluations", "60", "--seed", "9"]);
    let run = client.announced_run();
    let subjects = [
        "RUN.result.1-m-000000000000.mallory",
        "RUN.result.",
        "RUN.job.measure.1-m-000000000000",
        "RUN.job.other.y",
        "RUN.progress.1-m-000000000000",
        "RUN.break.1-m-000000000000",
        "RUN.dismiss.mallory",
        "RUN.alive",
        "mallory.report",
        "00000000000000aa.run",
    ];
    let mut rounds = 0;
    while searching.is_running() {
        // The job that was handed out last.
        let id = so_far(&orders)
            .iter()
            .rev()
            .map(|(subject, _)| subject.rsplit('.').next().unwrap().to_owned())
            .find(|id| id.len() > 3);
        let id = id.unwrap_or_else(|| "0-m-000000000000".to_owned());
        for (subject, payload) in nonsense(&run, &id) {
            throw(&client, &subject, payload.as_bytes());
        }
        for subject in subjects.iter().filter(|subject| !subject.ends_with('.')) {
            for payload in GARBAGE {
                throw(&client, &format!("nas.{}", subject.replace("RUN", &run)), payload);
            }
        }
        client.send("nas.who", vec![b'x'; 100_000]);
        rounds += 1;
    }
    let messages = searching.succeed();
    assert!(rounds > 2 && messages.contains("is refused"), "{rounds}: {messages}");
    for shown in [messages, worker.messages()] {
        assert!(shown.contains("cleared") && !shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    }
    scene.assert_found("run", 60, 9);
    assert!(worker.is_running() && !scene.path("evil").exists());
    // Both can do more.
    scene.log_search("next", &["--evaluations", "10", "--seed", "2"]).succeed();
    scene.assert_found("next", 10, 2);
    worker.terminate();
    worker.succeed();
}

#[test]
fn a_job_whose_answer_is_refused_is_handed_out_again_and_fails_after_three() {
    let Some(scene) = Scene::new() else { return };
    let client = scene.client();
    let mut searching = scene.log_search("run", &["--evaluations", "6", "--seed", "3"]);
    let run = client.announced_run();
    let report = json!({
        "machine": "lab", "version": "x", "backend": "x", "device": null, "measures": 1, "trains": 1, "measuring": 0,
        "training": 0, "for_s": 1.0, "done": 0, "failed": 0,
        "runs": {&run: {"ready": {"measures": 1, "trains": 1, "note": null}}}, "leaving": null,
    });
    // Takes a job, and answers it with a row of another network.
    let answer = || -> String {
        client.send("nas.mallory.report", report.to_string());
        client.streams(async |streams| {
            let stream = streams.get_stream("NAS_JOBS").await.unwrap();
            let consumer: PullConsumer = stream.get_consumer(&format!("{run}-measure")).await.unwrap();
            let mut jobs = consumer.batch().max_messages(1).expires(Duration::from_secs(20)).messages().await.unwrap();
            let job = jobs.next().await.unwrap().unwrap();
            let id = job.subject.rsplit('.').next().unwrap().to_owned();
            let answer = json!({"row": "77,,x,measured,,1,,,,,,,,,,,,,,,\n", "model": null, "is_certain": false});
            let subject = format!("nas.{run}.result.{id}.mallory");
            streams.publish(subject, answer.to_string().into()).await.unwrap().await.unwrap();
            job.double_ack().await.unwrap();
            id
        })
    };
    let answered: Vec<String> = (0..4).map(|_| answer()).collect();
    assert!(answered[..3].iter().all(|id| *id == answered[0]) && answered[3] != answered[0], "{answered:?}");
    let _worker = scene.log_worker(1000.0);
    searching.succeed();
    let journal = scene.journal("run");
    assert_no_doubles(&journal, "run");
    let (failed, others): (Vec<_>, Vec<_>) = journal.jobs.iter().partition(|row| row.text("status") == "failed");
    let [failed] = &failed[..] else { panic!("{failed:?}") };
    assert!(failed.text("message").contains("3 answers to it were refused, the last one of the worker mallory"));
    assert!(others.iter().all(|row| ["measured", "ok"].contains(&row.text("status"))), "{others:?}");
    client.assert_clean();
}
