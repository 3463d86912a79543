//! Programs and files on another machine, against a real OpenSSH server.

#[path = "ssh/login.rs"]
mod login;
#[path = "ssh/remote.rs"]
mod remote;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::{Sshd, SshdOptions};
use hardware::remote::ssh::{Authentication, Connection, RemoteOptions, SshError, SshOptions};

/// How to log in to the server; it knows us, and we know it.
fn options(sshd: &Sshd) -> SshOptions {
    let mut options = SshOptions::new("127.0.0.1", sshd.user());
    options.port = sshd.port();
    options.authentication = Authentication::Key { file: sshd.key().to_owned(), passphrase: None };
    options.known_hosts = sshd.known_hosts().to_owned();
    options.timeout = Duration::from_secs(20);
    options
}

/// A plain server, and a connection to it.
fn connection() -> Option<(Sshd, Connection)> {
    let sshd = Sshd::start(SshdOptions::default())?;
    let connection = Connection::open(&options(&sshd)).unwrap();
    Some((sshd, connection))
}

/// Whether a condition comes true within 20 s.
fn soon(mut what: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if what() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

/// The process that has written its number to the file, once it has.
fn process_in(file: &Path) -> String {
    assert!(soon(|| std::fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n'))));
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

fn is_alive(process: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat"));
    state.is_ok_and(|state| !state.contains(") Z "))
}

fn connect(sshd: &Sshd) -> Connection {
    Connection::open(&options(sshd)).unwrap()
}

/// The lines that a program without input prints, and how it ends.
fn printed(sshd: &Sshd, words: &[&str]) -> (Vec<String>, SshError) {
    let options = RemoteOptions { heartbeat: Duration::from_secs(3600), silence: None };
    let program = connect(sshd).into_remote(words, &options).unwrap();
    let mut lines = Vec::new();
    loop {
        match program.receive(Duration::from_secs(20)) {
            Ok(line) => lines.push(line.expect("a line comes in time")),
            Err(error) => return (lines, error),
        }
    }
}

#[test]
fn words_arrive_as_they_are() {
    let Some((sshd, _)) = connection() else { return };
    let words = [
        "a b",
        "it's",
        "\"quoted\"",
        "$(touch injected)",
        "`touch injected`",
        "line\nbreak\n",
        "ü 漢 🦀",
        "",
        "*",
        "~",
        "-n",
        "\\",
        "\\n",
        "!!",
        "a;touch injected",
        "$HOME",
        "\ttab",
        "'",
        "#",
        "&",
        "=ls",
        "{a,b}",
        "\u{1}\r",
    ];
    // Each word in hexadecimal digits, since they hold line breaks.
    let script = "for word; do printf %s \"$word\" | od -An -v -tx1 | tr -d ' \\n'; echo; done";
    let all: Vec<&str> = ["sh", "-c", script, "sh"].into_iter().chain(words).collect();
    let (lines, error) = printed(&sshd, &all);
    assert!(matches!(error, SshError::Ended { status: Some(0), .. }), "{error}");
    let digits = |word: &&str| word.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(lines, words.iter().map(digits).collect::<Vec<_>>());
    let (_, error) = printed(&sshd, &["test", "-e", "injected"]);
    assert!(matches!(error, SshError::Ended { status: Some(1), .. }), "{error}");
    for rejected in [&["printf", "a\0b"][..], &[]] {
        let error = connect(&sshd).into_remote(rejected, &RemoteOptions::default()).unwrap_err();
        assert!(error.to_string().contains("cannot be run"), "{error}");
    }
}
