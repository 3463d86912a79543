//! Programs and files on another machine, against a real OpenSSH server.

#[path = "ssh/files.rs"]
mod files;
#[path = "ssh/login.rs"]
mod login;
#[path = "ssh/remote.rs"]
mod remote;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::{Sshd, SshdOptions};
use hardware::remote::ssh::{Authentication, Connection, Limits, Output, SshError, SshOptions, Status};

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

/// Whether something comes true before somebody loses patience.
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

fn shell(connection: &mut Connection, script: &str) -> Output {
    connection.run(&["sh", "-c", script], &Limits::default()).unwrap()
}

#[test]
fn words_arrive_as_they_are() {
    let Some((_sshd, mut connection)) = connection() else { return };
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
    let all: Vec<&str> = ["printf", "%s\\0"].into_iter().chain(words).collect();
    let output = connection.run(&all, &Limits::default()).unwrap();
    assert!(output.success(), "{output:?}");
    let printed = output.stdout_text().into_owned();
    assert_eq!(printed.strip_suffix('\0').unwrap().split('\0').collect::<Vec<_>>(), words);
    assert!(!connection.exists("injected").unwrap());
    for refused in [&["printf", "a\0b"][..], &[]] {
        let error = connection.run(refused, &Limits::default()).unwrap_err();
        assert!(matches!(error, SshError::InvalidWords { .. }), "{error}");
    }
}

#[test]
fn statuses_signals_and_both_streams_come_back() {
    let Some((_sshd, mut connection)) = connection() else { return };
    let output = shell(&mut connection, "echo out; echo err >&2; exit 7");
    assert_eq!(output.status, Status::Exit(7));
    assert_eq!((output.stdout_text().as_ref(), output.stderr_text().as_ref()), ("out\n", "err\n"));
    assert!(connection.run(&["true"], &Limits::default()).unwrap().success());
    let missing = connection.run(&["no-such-program"], &Limits::default()).unwrap();
    assert_eq!(missing.status, Status::Exit(127));
    assert!(missing.stderr_text().contains("no-such-program"), "{missing:?}");
    for signal in ["SEGV", "TERM", "KILL"] {
        let output = shell(&mut connection, &format!("kill -{signal} $$"));
        assert_eq!(output.status, Status::Signal(signal.to_owned()));
    }
    // There is nothing to read for it, and nothing to wait for.
    assert!(connection.run(&["cat"], &Limits::default()).unwrap().success());
    let binary = shell(&mut connection, r"printf '\377\000'");
    assert_eq!(binary.stdout, [255, 0]);
}

#[test]
fn streams_larger_than_any_window_do_not_block_each_other() {
    let Some((_sshd, mut connection)) = connection() else { return };
    let limits = Limits { output_bytes: 20_000_000, ..Limits::default() };
    let script = "head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero; head -c 1000000 /dev/zero >&2";
    let output = connection.run(&["sh", "-c", script], &limits).unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (5_000_000, 6_000_000));
    assert!(output.success());
}

#[test]
fn a_program_that_prints_too_much_is_cut_off_and_ends() {
    let Some((sshd, mut connection)) = connection() else { return };
    let file = sshd.folder().join("process");
    let script = format!("echo $$ > {}; exec yes", file.display());
    let limits = Limits { output_bytes: 100_000, ..Limits::default() };
    let error = connection.run(&["sh", "-c", &script], &limits).unwrap_err();
    assert!(matches!(error, SshError::OutputLimit { limit: 100_000, .. }), "{error}");
    assert!(!error.is_transient());
    let process = process_in(&file);
    assert!(soon(|| !is_alive(&process)));
    // The connection has not suffered.
    assert_eq!(shell(&mut connection, "echo on").stdout_text(), "on\n");
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_its_children() {
    let Some((sshd, mut connection)) = connection() else { return };
    let (file, child) = (sshd.folder().join("process"), sshd.folder().join("child"));
    let script = format!(
        "trap '' TERM HUP PIPE; echo $$ > {}; sh -c 'echo $$ > {}; sleep 300; true'; true",
        file.display(),
        child.display()
    );
    let limits = Limits { time: Duration::from_millis(700), ..Limits::default() };
    let start = Instant::now();
    let error = connection.run(&["sh", "-c", &script], &limits).unwrap_err();
    assert!(matches!(error, SshError::TimeLimit { .. }), "{error}");
    assert!(error.to_string().contains("sh on 127.0.0.1"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    for file in [file, child] {
        let process = process_in(&file);
        assert!(soon(|| !is_alive(&process)));
    }
    assert_eq!(shell(&mut connection, "echo on").stdout_text(), "on\n");
}

#[test]
fn a_connection_that_breaks_while_a_program_runs_is_lost() {
    let Some((mut sshd, mut connection)) = connection() else { return };
    let file = sshd.folder().join("process");
    let script = format!("echo $$ > {}; sleep 300", file.display());
    let running = thread::spawn(move || {
        let result = connection.run(&["sh", "-c", &script], &Limits::default());
        (result.unwrap_err(), connection.run(&["true"], &Limits::default()).unwrap_err())
    });
    process_in(&file);
    sshd.kill();
    let start = Instant::now();
    let (error, again) = running.join().unwrap();
    assert!(matches!(error, SshError::Lost { .. }), "{error}");
    assert!(error.is_transient() && again.is_transient(), "{error}, {again}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
