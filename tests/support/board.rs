//! A simulated Jetson board behind a real OpenSSH server.
//!
//! `board/fake_board.py` is its program, which documents the settings of a board at its top.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::skip;
use super::sshd::{PATH, Sshd, SshdOptions};

/// The board's one program.
const PROGRAM: &str = include_str!("board/fake_board.py");

/// The names under which a session finds it.
const NAMES: [&str; 6] = ["trtexec", "tegrastats", "nvpmodel", "jetson_clocks", "sudo", "dpkg-query"];

/// Variable with the board of a program and of its callers.
const VARIABLE: &str = "FAKE_BOARD";

/// A board. Drop ends its programs and its server, and removes its folder.
#[derive(Debug)]
pub struct Board {
    /// Its SSH server.
    pub sshd: Sshd,
    folder: PathBuf,
    config: Mutex<Map<String, Value>>,
    simulator: Mutex<Option<Child>>,
}

/// Differences from the default board.
#[derive(Debug, Clone, Default)]
pub struct BoardOptions {
    /// Keys and values that `board/fake_board.py` explains, as an object; null for the default board.
    pub physics: Value,
    /// Differences of its server.
    pub sshd: SshdOptions,
}

/// The true values of an inference run by the board's `trtexec`.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// SHA-256 of the ONNX file, in hexadecimal.
    pub model: String,
    /// Beginning of the timed part, without the warm-up, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
    /// Inferences in it.
    pub queries: u64,
    /// Mean time that an inference computed.
    pub latency_ms: f64,
    /// Energy of the whole board in the timed part, for each inference.
    pub energy_mj_total: f64,
    /// The same without the idle power of the board at that temperature.
    pub energy_mj_above_idle: f64,
}

impl Board {
    /// Starts one. Without an OpenSSH server or Python, `None` after a line that the test is skipped.
    ///
    /// # Panics
    /// If it does not start; and with `CI=true` instead of a skipped test.
    pub fn start(options: BoardOptions) -> Option<Self> {
        let server_folder = Sshd::folder_for_one()?;
        if !python().arg("--version").output().is_ok_and(|output| output.status.success()) {
            skip::unless_ci("python3 is missing for the simulated board");
            return None;
        }
        let folder = server_folder.path().join("board");
        for name in ["bin", "home", "tmp", "sys"] {
            fs::create_dir_all(folder.join(name)).expect("a temporary folder can be written");
        }
        let program = folder.join("fake_board.py");
        fs::write(&program, PROGRAM).expect("a temporary folder can be written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
        for name in NAMES {
            symlink("../fake_board.py", folder.join("bin").join(name)).expect("the folder is new");
        }
        let config = match options.physics {
            Value::Null => Map::new(),
            Value::Object(physics) => physics,
            other => panic!("the physics are not an object: {other}"),
        };
        write_config(&folder, &config);
        let mut sshd = options.sshd;
        sshd.path.insert(0, folder.join("bin"));
        for (name, place) in [(VARIABLE, "board.json"), ("HOME", "home"), ("TMPDIR", "tmp")] {
            let value = folder.join(place).display().to_string();
            if sshd.environment.iter().all(|(other, _)| other != name) {
                sshd.environment.push((name.to_owned(), value));
            }
        }
        let sshd = Sshd::start_in(server_folder, sshd);
        Some(Self { sshd, folder, config: Mutex::new(config), simulator: Mutex::new(None) })
    }

    /// Changes one key of the board, from now on; `Value::Null` restores the default. A fault counts its calls anew.
    ///
    /// # Panics
    /// If the board's folder cannot be written.
    pub fn set(&self, key: &str, value: Value) {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        match value {
            Value::Null => config.remove(key),
            value => config.insert(key.to_owned(), value),
        };
        if let Some((program, _)) = key.split_once("_fault") {
            // It is missing until the first faulty call.
            let _ = fs::remove_file(self.folder.join(format!("{program}.faults")));
        }
        write_config(&self.folder, &config);
    }

    /// The true values of the finished inferences, in their order.
    ///
    /// # Panics
    /// If the board wrote nonsense.
    pub fn truths(&self) -> Vec<Truth> {
        let text = fs::read_to_string(self.folder.join("truth.jsonl")).unwrap_or_default();
        text.lines().map(Truth::parse).collect()
    }

    /// Calls that changed the board's state, and every call of trtexec: one line for each, with its arguments.
    pub fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("calls.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Its `state.json`: `mode` of nvpmodel (a string; absent: 0), and whether `clocks` are fixed.
    ///
    /// # Panics
    /// If the board wrote nonsense.
    pub fn state(&self) -> Value {
        let text = fs::read_to_string(self.folder.join("state.json")).unwrap_or_else(|_| "{}".to_owned());
        serde_json::from_str(&text).expect("the board writes JSON")
    }

    /// Folder of its user for the program under test, which creates it.
    pub fn work_folder(&self) -> PathBuf {
        self.home().join("work")
    }

    /// Home of its user. Sessions begin in the working directory of the real user instead.
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Root of its sysfs, whose power monitors are updated from the first call on.
    ///
    /// # Panics
    /// If their simulator does not start.
    pub fn sysfs(&self) -> PathBuf {
        let root = self.folder.join("sys");
        let mut simulator = self.simulator.lock().unwrap_or_else(PoisonError::into_inner);
        if simulator.is_none() {
            let mut command = python();
            command.arg(self.folder.join("fake_board.py")).arg("ina3221");
            // It ends with its standard input, and so with these tests, even if they are killed.
            command.arg(self.folder.join("board.json")).arg(&root).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.stderr(Stdio::null()).spawn().expect("Python starts");
            let mut line = String::new();
            let output = child.stdout.as_mut().expect("it was asked for");
            BufReader::new(output).read_line(&mut line).expect("a pipe can be read");
            assert_eq!(line, "ready\n", "the simulator does not start");
            *simulator = Some(child);
        }
        root
    }

    /// Command lines of the programs on the board, without the server and the simulator.
    pub fn leftovers(&self) -> Vec<String> {
        let mark = format!("{VARIABLE}={}", self.folder.join("board.json").display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("a Linux system").flatten() {
            let process = entry.path();
            // Processes of other users are unreadable, and do not belong to the board.
            let Ok(environment) = fs::read(process.join("environ")) else { continue };
            let is_ours = environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            if is_ours && !name.starts_with("sshd") {
                let command = fs::read(process.join("cmdline")).unwrap_or_default();
                let words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect::<Vec<_>>();
                found.push(words.join(" ").trim_end().to_owned());
            }
        }
        found
    }

    /// The [`leftovers`](Self::leftovers) when they are empty, or after some time: a program needs a moment to end.
    pub fn leftovers_after(&self, patience: Duration) -> Vec<String> {
        let start = Instant::now();
        loop {
            let leftovers = self.leftovers();
            if leftovers.is_empty() || start.elapsed() > patience {
                return leftovers;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Files below the user's home and in the folder for temporary ones, other than those of the work folder.
    pub fn stray_files(&self) -> Vec<PathBuf> {
        let work_folder = self.work_folder();
        let mut found = Vec::new();
        let mut folders = vec![self.home(), self.folder.join("tmp")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path == work_folder {
                    continue;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    _ => found.push(path),
                }
            }
        }
        found
    }

    /// Its settings as a device in an experiment file: keys and their values in TOML.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        // Rust and TOML quote the names of temporary folders in the same way.
        let text = |path: &Path| format!("{:?}", path.display().to_string());
        vec![
            ("kind", "\"jetson\"".to_owned()),
            ("host", "\"127.0.0.1\"".to_owned()),
            ("port", self.sshd.port().to_string()),
            ("user", format!("{:?}", self.sshd.user())),
            ("key", text(self.sshd.key())),
            ("known_hosts", text(self.sshd.known_hosts())),
            ("work_folder", text(&self.work_folder())),
        ]
    }

    /// The same with times as short as a search can do with; energy is less precise then.
    pub fn quick_settings(&self) -> Vec<(&'static str, String)> {
        let quick = [
            ("power_interval_ms", "20"),
            ("window_s", "0.5"),
            ("window_limit_s", "2.0"),
            ("idle_s", "0.4"),
            ("settle_limit_s", "0.5"),
        ];
        self.settings().into_iter().chain(quick.map(|(key, value)| (key, value.to_owned()))).collect()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let simulator = self.simulator.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut simulator) = simulator.take() {
            let _ = simulator.kill();
            let _ = simulator.wait();
        }
    }
}

impl Truth {
    fn parse(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).expect("the board writes JSON");
        let number = |name: &str| value[name].as_f64().unwrap_or_else(|| panic!("no {name} in {line}"));
        let whole = |name: &str| value[name].as_u64().unwrap_or_else(|| panic!("no {name} in {line}"));
        Self {
            model: value["model"].as_str().unwrap_or_else(|| panic!("no model in {line}")).to_owned(),
            start_ns: whole("start_ns"),
            end_ns: whole("end_ns"),
            queries: whole("queries"),
            latency_ms: number("latency_ms"),
            energy_mj_total: number("energy_mj_total"),
            energy_mj_above_idle: number("energy_mj_above_idle"),
        }
    }
}

/// The Python of the sessions.
fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PATH", PATH).env_remove(VARIABLE);
    command
}

fn write_config(folder: &Path, config: &Map<String, Value>) {
    let part = folder.join("board.json.part");
    let text = serde_json::to_string_pretty(config).expect("JSON can be written");
    fs::write(&part, text).expect("the board's folder can be written");
    fs::rename(part, folder.join("board.json")).expect("the board's folder can be written");
}
