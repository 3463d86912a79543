//! A program that runs beside a test.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::program::Ended;
use super::watcher::Watcher;

/// Kills the program whose process was noted.
const CLEAN_UP: &str = r#"[ -z "$note" ] || kill -9 "$note""#;

/// How long a program may take to print a line, or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program that was started, with its output in files. It is killed on drop.
#[derive(Debug)]
pub struct Running {
    child: Child,
    label: String,
    /// Files of standard output and standard error.
    output: [PathBuf; 2],
    watcher: Watcher,
}

impl Running {
    /// Starts a command, with `NAME.out` and `NAME.err` in a folder for its output.
    ///
    /// # Panics
    /// If it cannot be started.
    pub(crate) fn start(mut command: Command, folder: &Path, name: &str) -> Self {
        let output = ["out", "err"].map(|end| folder.join(format!("{name}.{end}")));
        let [out, err] = output.each_ref().map(|path| File::create(path).expect("a writable folder"));
        let mut watcher = Watcher::start(CLEAN_UP, [""; 0]);
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("the program starts");
        watcher.note(&child.id().to_string());
        Self { child, label: name.to_owned(), output, watcher }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed on standard error so far.
    pub fn messages(&self) -> String {
        fs::read_to_string(&self.output[1]).unwrap_or_default()
    }

    /// Whether it has not ended.
    ///
    /// # Panics
    /// If the system does not say so.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of this process").is_none()
    }

    /// Waits until it has printed this text on standard error.
    ///
    /// # Panics
    /// If it ends before, or takes too long.
    pub fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        while !self.messages().contains(text) {
            let is_alive = self.is_running() && start.elapsed() < PATIENCE;
            assert!(
                is_alive || self.messages().contains(text),
                "{} prints no {text:?}:\n{}",
                self.label,
                self.messages()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it, as a lack of memory does. Gives false if it had ended by itself.
    ///
    /// # Panics
    /// If it had failed by itself.
    pub fn kill(&mut self) -> bool {
        let _ = self.child.kill();
        let status = self.child.wait().expect("a child of this process");
        self.watcher.note("");
        assert!(status.success() || status.signal() == Some(9), "{}: {status}\n{}", self.label, self.messages());
        !status.success()
    }

    /// Asks it to end, as its owner does.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn terminate(&self) {
        let signal = Command::new("kill").args(["-s", "TERM", &self.id().to_string()]).status();
        assert!(signal.is_ok_and(|status| status.success()), "{} has ended:\n{}", self.label, self.messages());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it takes too long, prints bytes that are not text, or panics: no input may cause these.
    pub fn end(&mut self) -> Ended {
        let start = Instant::now();
        while self.is_running() {
            assert!(start.elapsed() < PATIENCE, "{} does not end:\n{}", self.label, self.messages());
            thread::sleep(Duration::from_millis(10));
        }
        self.watcher.note("");
        let status = self.child.wait().expect("a child of this process");
        let [out, err] = self.output.each_ref().map(|path| fs::read_to_string(path).expect("the program prints text"));
        let ended = Ended { code: status.code(), out, err };
        assert!(!ended.err.contains("panicked") && ended.code != Some(101), "{}\n{ended}", self.label);
        ended
    }

    /// Waits for its end, and gives its messages.
    ///
    /// # Panics
    /// As [`end`](Self::end), or if it does not succeed.
    pub fn succeed(&mut self) -> String {
        let ended = self.end();
        assert_eq!(ended.code, Some(0), "{}\n{ended}", self.label);
        ended.err
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            let messages = self.messages();
            let lines: Vec<&str> = messages.lines().collect();
            eprintln!("the last lines of {}:\n{}", self.label, lines[lines.len().saturating_sub(25)..].join("\n"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.watcher.note("");
    }
}
