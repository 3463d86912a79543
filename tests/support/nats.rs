//! A real nats-server on a port of this machine, which a test can kill and start again with the same store.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::skip;
use super::watcher::Watcher;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/nats.sh");

/// Ports to choose from: below those that systems give to outgoing connections, which could take a port between
/// [`Nats::kill`] and [`Nats::start_again`]; apart from those of [`Sshd`](super::Sshd).
const PORTS: std::ops::Range<u32> = 12_000..20_000;

/// How long a server may take to answer, or to stop. It takes milliseconds on a machine that is not overloaded.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kills the server whose process was noted, and removes its folder.
const CLEAN_UP: &str = r#"[ -z "$note" ] || kill -9 "$note"; sleep 0.02; rm -rf "$1""#;

/// The path of a nats-server, which `scripts/nats.sh` finds or installs. Without one, `None` after a line that the test is
/// skipped.
///
/// # Panics
/// With `CI=true` instead of a skipped test.
pub fn program() -> Option<PathBuf> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOUND.get_or_init(find) {
        Ok(program) => Some(program.clone()),
        Err(reason) => {
            skip::unless_ci(reason);
            None
        }
    }
}

fn find() -> Result<PathBuf, String> {
    let mut script = Command::new(SCRIPT);
    script.stdin(Stdio::null()).env("PIP_RETRIES", "1");
    let output = script.output().map_err(|error| format!("scripts/nats.sh does not start: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(PathBuf::from(text(&output.stdout)));
    }
    let reason = text(&output.stderr);
    Err(reason.lines().last().unwrap_or("scripts/nats.sh fails without a message").to_owned())
}

/// A running server with JetStream, whose streams are files in its own folder; killed on drop, and its folder removed.
#[derive(Debug)]
pub struct Nats {
    program: PathBuf,
    address: SocketAddr,
    /// Further variables of its environment, to which its configuration may refer.
    variables: Vec<(String, String)>,
    /// `None` after [`kill`](Self::kill) and [`stop`](Self::stop).
    server: Option<Child>,
    watcher: Watcher,
    folder: PathBuf,
}

impl Nats {
    /// Starts one that anyone on this machine may use. `None` as in [`program`].
    ///
    /// # Panics
    /// If it does not start; and with `CI=true` instead of a skipped test.
    pub fn start() -> Option<Self> {
        Self::with("")
    }

    /// Starts one with a configuration, such as `authorization { token: "secret" }`. Its address and the folder of its
    /// streams are those of the harness: a block `jetstream` may limit them, and must not have a `store_dir`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn with(configuration: &str) -> Option<Self> {
        Self::at("127.0.0.1", configuration, &[])
    }

    /// Starts one that listens on an IPv4 address of this machine, with variables of the environment to which the
    /// configuration may refer by `$NAME`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn at(address: &str, configuration: &str, variables: &[(&str, &str)]) -> Option<Self> {
        let program = program()?;
        let address = address.parse().expect("an IPv4 address");
        let folder = tempfile::Builder::new().prefix("nats-").tempdir().expect("a temporary folder").keep();
        fs::write(folder.join("nats.conf"), configuration).expect("the folder can be written");
        let mut nats = Self {
            program,
            address: SocketAddr::new(address, 0),
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            server: None,
            watcher: Watcher::start(CLEAN_UP, [&folder]),
            folder,
        };
        let mut tries = 0;
        loop {
            nats.address.set_port(free_port(nats.address));
            match nats.launch() {
                Ok(()) => return Some(nats),
                // Another process took the port.
                Err(log) if log.contains("address already in use") && tries < 20 => tries += 1,
                Err(log) => panic!("nats-server does not start: {log}"),
            }
        }
    }

    /// Its address for clients, such as `nats://127.0.0.1:12345`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its folder, with `nats.conf`, `store` and `log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its log, for the message of a failure.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Kills it, as a crash does.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        server.kill().expect("a child of this process");
        server.wait().expect("a child of this process");
        self.watcher.note("");
    }

    /// Stops it as its owner does: it closes its connections, and ends.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self) {
        let Some(server) = &mut self.server else { return };
        let signal = Command::new("kill").args(["-s", "INT", &server.id().to_string()]).status();
        assert!(signal.is_ok_and(|status| status.success()), "a child of this process");
        let start = Instant::now();
        while server.try_wait().expect("a child of this process").is_none() {
            assert!(start.elapsed() < PATIENCE, "nats-server does not stop: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
        self.server = None;
        self.watcher.note("");
    }

    /// Starts it again, with the same port, store and configuration; kills it before if it runs.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.kill();
        let start = Instant::now();
        while let Err(log) = self.launch() {
            assert!(start.elapsed() < PATIENCE, "nats-server does not start again: {log}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the server and waits until it answers; fails with its log if it ends at once.
    fn launch(&mut self) -> Result<(), String> {
        let before = self.log().len();
        let name = self.folder.file_name().expect("it has a name").to_string_lossy().into_owned();
        let mut command = Command::new(&self.program);
        // Arguments override the configuration.
        command.arg("-c").arg(self.folder.join("nats.conf")).arg("-a").arg(self.address.ip().to_string());
        command
            .arg("-n")
            .arg(&name)
            .arg("-p")
            .arg(self.port().to_string())
            .arg("-js")
            .arg("-sd")
            .arg(self.folder.join("store"));
        command.arg("-l").arg(self.folder.join("log")).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let errors = fs::File::options().create(true).append(true).open(self.folder.join("log"));
        // In its own process group: an interrupt of the tests leaves it to the watcher.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.expect("a writable folder"));
        let server = self.server.insert(command.spawn().expect("nats-server starts"));
        self.watcher.note(&server.id().to_string());
        let start = Instant::now();
        loop {
            if server.try_wait().expect("a child of this process").is_some() {
                self.server = None;
                self.watcher.note("");
                return Err(self.log().split_off(before));
            }
            if greets(self.address, &name) {
                return Ok(());
            }
            assert!(start.elapsed() < PATIENCE, "nats-server does not answer: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the last lines of nats-server:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        self.kill();
    }
}

/// Whether the server of this name answers there: another process could have taken the port.
fn greets(address: SocketAddr, name: &str) -> bool {
    let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut greeting = String::new();
    // Its first line is in plain text, also where all the others are encrypted.
    BufReader::new(stream).read_line(&mut greeting).is_ok() && greeting.starts_with("INFO ") && greeting.contains(name)
}

fn free_port(address: SocketAddr) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Test processes that run at the same time begin at different ports.
        let offset = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + offset % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).expect("ports fit");
        if TcpListener::bind((address.ip(), port)).is_ok() {
            return port;
        }
    }
}
