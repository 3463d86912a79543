//! Programs that exchange lines with this one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::Sshd;
use hardware::remote::ssh::{Connection, Remote, RemoteOptions, SshError};

use super::{connection, is_alive, options, process_in, soon};

/// Answers every line, also an empty one, until one ends it.
const ECHO: &str = "while read -r line && [ \"$line\" != end ]; do echo \"got $line\"; done";

const SHORT: Duration = Duration::from_millis(50);

fn start(connection: Connection, script: &str, options: &RemoteOptions) -> Remote {
    connection.into_remote(&["sh", "-c", script], options).unwrap()
}

/// Without heartbeats, and for ever silent.
fn quiet() -> RemoteOptions {
    RemoteOptions { heartbeat: Duration::from_secs(3600), silence: None }
}

/// All lines until the end, and the error of the end.
fn all(remote: &Remote) -> (Vec<String>, SshError) {
    let mut lines = Vec::new();
    let start = Instant::now();
    loop {
        match remote.receive(Duration::from_secs(1)) {
            Ok(line) => lines.extend(line),
            Err(error) => return (lines, error),
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it does not end: {} lines", lines.len());
    }
}

/// The next line that is not an answer to a heartbeat.
fn next(remote: &Remote) -> String {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        match remote.receive(SHORT).unwrap() {
            Some(line) if line != "got " => return line,
            _ => {}
        }
    }
    panic!("nothing comes");
}

#[test]
fn lines_go_there_and_come_back() {
    let Some((_sshd, connection)) = connection() else { return };
    let heartbeat = Duration::from_millis(20);
    let remote = start(connection, ECHO, &RemoteOptions { heartbeat, ..RemoteOptions::default() });
    for line in ["one", "ü 漢", "{\"do\": \"it\"}"] {
        remote.send(line).unwrap();
        assert_eq!(next(&remote), format!("got {line}"));
    }
    for number in 0..1000 {
        remote.send(&number.to_string()).unwrap();
    }
    for number in 0..1000 {
        assert_eq!(next(&remote), format!("got {number}"));
    }
    let long = "x".repeat(500_000);
    remote.send(&long).unwrap();
    assert_eq!(next(&remote).len(), 500_004);
    // Heartbeats are answered.
    assert!(soon(|| remote.receive(SHORT).unwrap().is_some_and(|line| line == "got ")));
    remote.send("end").unwrap();
    let (_, error) = all(&remote);
    assert!(matches!(error, SshError::Ended { status: Some(_), .. }), "{error}");
    // A second call gives the same error.
    assert!(matches!(remote.receive(SHORT).unwrap_err(), SshError::Ended { .. }));
    assert!(soon(|| remote.send("more").is_err()));
}

#[test]
fn a_program_that_ends_says_how_and_every_line_was_received() {
    let Some((_sshd, connection)) = connection() else { return };
    let script = "seq 200000; head -c 9000 /dev/zero | tr '\\0' x >&2; echo oops >&2; printf partial; exit 3";
    let remote = start(connection, script, &quiet());
    let (lines, error) = all(&remote);
    assert_eq!(lines.len(), 200_001);
    assert!(lines[..200_000].iter().enumerate().all(|(index, line)| *line == (index + 1).to_string()));
    assert_eq!(lines[200_000], "partial");
    let text = error.to_string();
    assert!(matches!(error, SshError::Ended { status: Some(3), .. }), "{text}");
    let (_, stderr) = text.split_once("exit status 3: ").unwrap();
    assert!(stderr.len() <= 4096 && stderr.starts_with('x') && stderr.ends_with("oops"), "{stderr}");
}

#[test]
fn a_signal_is_named() {
    let Some((_sshd, connection)) = connection() else { return };
    let (_, error) = all(&start(connection, "kill -KILL $$", &quiet()));
    assert!(matches!(&error, SshError::Ended { status: None, text } if text.contains("signal KILL")), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn a_line_without_end_is_rejected() {
    let Some((_sshd, connection)) = connection() else { return };
    let (lines, error) = all(&start(connection, "echo first; cat /dev/zero", &quiet()));
    assert_eq!(lines, ["first"]);
    assert!(error.to_string().contains("prints a line of more than 1048576 bytes"), "{error}");
}

#[test]
fn a_server_that_is_killed_is_noticed() {
    let Some((mut sshd, connection)) = connection() else { return };
    let remote = start(connection, ECHO, &RemoteOptions::default());
    remote.send("there?").unwrap();
    assert_eq!(next(&remote), "got there?");
    let start = Instant::now();
    sshd.kill();
    let (_, error) = all(&remote);
    assert!(matches!(error, SshError::Away(_)) && error.is_transient(), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(soon(|| matches!(remote.send("there?"), Err(SshError::Away(_)))));
}

#[test]
fn a_silent_program_is_given_up() {
    let Some((_sshd, connection)) = connection() else { return };
    let silence = Some(Duration::from_secs(1));
    let remote = start(connection, "exec sleep 300", &RemoteOptions { silence, ..RemoteOptions::default() });
    let start = Instant::now();
    let (_, error) = all(&remote);
    assert!(matches!(error, SshError::Away(_)), "{error}");
    assert!((1..10).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[test]
fn dropping_ends_standard_input_and_does_not_take_long() {
    let Some((sshd, connection)) = connection() else { return };
    let (file, last) = (sshd.folder().join("process"), sshd.folder().join("last"));
    let script = format!("echo $$ > {}; cat > {}", file.display(), last.display());
    let remote = start(connection, &script, &quiet());
    let process = process_in(&file);
    remote.send("the last words").unwrap();
    let start = Instant::now();
    drop(remote);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(soon(|| !is_alive(&process)));
    assert_eq!(fs::read_to_string(last).unwrap(), "the last words\n");
    assert!(soon(|| sshd.connections() == 0));
}

/// A line to the server that can break silently.
struct Wire {
    port: u16,
    broken: Arc<AtomicBool>,
}

impl Wire {
    fn to(sshd: &Sshd) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let broken = Arc::new(AtomicBool::new(false));
        let (server, is_broken) = (sshd.port(), Arc::clone(&broken));
        thread::spawn(move || {
            let (here, _) = listener.accept().unwrap();
            let there = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let back = (there.try_clone().unwrap(), here.try_clone().unwrap());
            let broken = Arc::clone(&is_broken);
            thread::spawn(move || forward(back.0, back.1, &broken));
            forward(here, there, &is_broken);
        });
        Self { port, broken }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, broken: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !broken.load(Ordering::Relaxed) && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_silent_loss_of_the_network_is_detected_and_delays_no_one_else() {
    let Some((sshd, _)) = connection() else { return };
    let wire = Wire::to(&sshd);
    let mut options = options(&sshd);
    options.port = wire.port;
    options.known_hosts = sshd.folder().join("known_wire");
    fs::write(&options.known_hosts, format!("[127.0.0.1]:{} {}\n", wire.port, sshd.host_key())).unwrap();
    let silence = Some(Duration::from_secs(2));
    let heartbeat = Duration::from_millis(200);
    let remote = start(Connection::open(&options).unwrap(), ECHO, &RemoteOptions { heartbeat, silence });
    remote.send("there?").unwrap();
    assert_eq!(next(&remote), "got there?");
    let start = Instant::now();
    wire.broken.store(true, Ordering::Relaxed);
    let (_, error) = all(&remote);
    assert!(matches!(error, SshError::Away(_)), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let start = Instant::now();
    drop(remote);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}
