//! Who connects, and what a user may do.

use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::stream::Config;
use end_to_end::{Nats, Program, certificates};

use super::client::Client;
use super::scene::{Scene, assert_no_doubles};

const CONFIGURATION: &str = include_str!("../../docs/nats-server.conf");

/// A password as the documentation makes them.
const PASSWORDS: [(&str, &str); 2] = [("NATS_SEARCH_PASSWORD", "p5ea9c4"), ("NATS_WORKER_PASSWORD", "p40c3e9")];

#[test]
fn a_password_in_the_address_is_rejected_and_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    for verb in [&["search"][..], &["worker"], &["workers"]] {
        for url in ["nats://me:geheim@127.0.0.1:4222", "geheim@127.0.0.1"] {
            let message = Program::new(folder.path()).args(verb).args(["--cluster", url]).fail();
            assert!(message.contains("it names a user or a password"), "{verb:?}: {message}");
            assert!(!message.contains("geheim"), "{verb:?}: {message}");
        }
    }
}

/// Asserts that the workers can be listed in this way, and in no other one.
fn assert_admitted(nats: Nats, admit: impl Fn(Program, &Scene) -> Program) {
    let scene = Scene::on(nats);
    // The log search makes the streams.
    let arguments = ["log.toml", "--quiet", "--evaluations", "1", "--set", "cluster.local=true", "--out", "run"];
    for verb in ["search", "workers", "worker"] {
        let arguments: &[&str] = if verb == "search" { &arguments } else { &[] };
        let message = scene.program(verb, arguments).fail();
        assert!(message.contains("cannot connect to the NATS server"), "{verb}: {message}");
        assert!(
            message.to_lowercase().contains("authorization") || message.contains("ertificate"),
            "{verb}: {message}"
        );
        assert!(!message.contains("s3cret"), "{verb}: {message}");
    }
    assert!(!scene.path("run").exists());
    let mut searching =
        scene.begin(admit(scene.program("search", &arguments[..4]), &scene).args(["--out", "run"]), "search");
    let worker = admit(scene.program("worker", &["--experiment", "log.toml"]), &scene);
    let _worker = scene.begin(worker, "worker");
    searching.succeed();
    let listed = admit(scene.program("workers", &[]), &scene).succeed();
    assert!(listed.contains("a log"), "{listed}");
}

#[test]
fn a_token_comes_from_a_file() {
    let Some(nats) = Nats::with("authorization { token: \"s3cret\" }\n") else { return };
    assert_admitted(nats, |program, scene| {
        let token = scene.write("token", "s3cret\n");
        program.args(["--set", &format!("cluster.token='{}'", token.display())])
    });
}

#[test]
fn a_token_comes_from_the_environment() {
    let Some(nats) = Nats::with("authorization { token: \"s3cret\" }\n") else { return };
    assert_admitted(nats, |program, _| program.variable("CONTROLLER_NATS_TOKEN", "s3cret"));
}

#[test]
fn a_user_and_a_password_come_from_the_environment() {
    let Some(nats) = Nats::with("authorization { user: \"me\", password: \"s3cret\" }\n") else { return };
    assert_admitted(nats, |program, _| {
        program.variable("CONTROLLER_NATS_USER", "me").variable("CONTROLLER_NATS_PASSWORD", "s3cret")
    });
}

#[test]
fn an_encrypted_server_is_trusted_by_the_certificate_of_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    let Some(certificates) = certificates(folder.path(), &[]) else { return };
    let Some(nats) = Nats::with(&certificates.for_nats()) else { return };
    let authority = format!("cluster.authorities='{}'", certificates.authority.display());
    assert_admitted(nats, |program, _| program.args(["--set", &authority]));
}

/// The documented configuration, whose address and folder the harness gives.
fn documented() -> String {
    let is_ours = |line: &&str| !["listen:", "store_dir:"].iter().any(|key| line.trim_start().starts_with(key));
    let lines: Vec<&str> = CONFIGURATION.lines().filter(is_ours).collect();
    assert_eq!(lines.len() + 2, CONFIGURATION.lines().count());
    lines.join("\n")
}

fn admit(program: Program, user: &str) -> Program {
    let (_, password) = PASSWORDS[usize::from(user == "worker")];
    program.variable("CONTROLLER_NATS_USER", user).variable("CONTROLLER_NATS_PASSWORD", password)
}

#[test]
fn with_the_documented_configuration_a_worker_can_do_its_work_and_nothing_else() {
    let Some(nats) = Nats::at("127.0.0.1", &documented(), &PASSWORDS) else { return };
    let scene = Scene::on(nats);
    let begin = |program, user| scene.begin(admit(program, user), user);
    let arguments = ["live.toml", "--out", "run", "--evaluations", "2", "--set", "training.epochs=20"];
    let mut searching = begin(scene.program("search", &arguments), "search");
    let mut worker = begin(scene.program("worker", &[]), "worker");
    let messages = searching.succeed();
    // A log as well, and one that is resumed.
    let arguments = ["log.toml", "--out", "log", "--evaluations", "20", "--strategy", "random", "--seed", "8"];
    let of_log = ["--experiment", "log.toml", "--set", "replay.speed=20"];
    let answers = begin(scene.program("worker", &of_log), "worker");
    let mut killed = begin(scene.program("search", &arguments), "search");
    scene.wait_for_rows("log", 5);
    killed.kill();
    let resumed = begin(scene.alone().args(["--resume", "log"]), "search").succeed();
    scene.assert_found("log", 20, 8);
    assert_no_doubles(&scene.journal("run"), "run");
    assert!(admit(scene.program("workers", &[]), "search").succeed().contains("host"));
    worker.terminate();
    for messages in [messages, resumed, worker.succeed(), answers.messages()] {
        assert!(!messages.to_lowercase().contains("permission"), "{messages}");
        assert!(!messages.contains("the NATS server reports"), "{messages}");
    }

    let login = |user: &str, password: &str| {
        let options = ConnectOptions::new().user_and_password(user.to_owned(), password.to_owned());
        // Requests without permission get no answer.
        Client::with(&scene.nats.url(), options.request_timeout(Some(Duration::from_millis(500))))
    };
    let owner = login("search", PASSWORDS[0].1);
    owner.assert_clean();
    let thief = login("worker", PASSWORDS[1].1);
    owner.store("nas.0123456789abcdef.job.train.1", "a job").unwrap();
    owner.store("nas.0123456789abcdef.result.1.lab", "an answer").unwrap();
    for subject in ["nas.0123456789abcdef.run", "nas.0123456789abcdef.job.train.2"] {
        assert!(thief.store(subject, "mine").is_err(), "{subject}");
    }
    let dismissed = owner.listen("nas.*.dismiss.*");
    thief.send("nas.0123456789abcdef.dismiss.lab", "go");
    thief.streams(async |streams| {
        assert!(streams.create_stream(Config { name: "MINE".to_owned(), ..Config::default() }).await.is_err());
        assert!(streams.delete_stream("NAS_JOBS").await.is_err());
        let results = streams.get_stream_no_info("NAS_RESULTS").await.unwrap();
        assert!(results.purge().await.is_err());
        assert!(results.get_last_raw_message_by_subject("nas.0123456789abcdef.result.1.lab").await.is_err());
    });
    assert_eq!(owner.subjects("NAS_JOBS"), ["nas.0123456789abcdef.job.train.1"]);
    assert_eq!(owner.subjects("NAS_RESULTS"), ["nas.0123456789abcdef.result.1.lab"]);
    assert!(super::client::so_far(&dismissed).is_empty());
}
