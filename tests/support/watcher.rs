//! A shell that outlives a test and cleans up after it, also where the test is killed.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Its last line stays in `$note`.
const READ: &str = "note=; while read -r line; do note=$line; done\n";

/// A shell that runs a script when this value is dropped, or the test process ends.
#[derive(Debug)]
pub(crate) struct Watcher(Child);

impl Watcher {
    /// Starts one. The script finds the arguments in `$1` and so on, and the last [`note`](Self::note) in `$note`.
    pub(crate) fn start<A: AsRef<OsStr>>(script: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{READ}{script}"), "sh"]).args(arguments);
        // In its own process group, an interrupt of the tests does not reach it.
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(shell.spawn().expect("sh starts"))
    }

    /// Replaces what the script finds in `$note`.
    pub(crate) fn note(&mut self, line: &str) {
        // If the shell has ended, a killed test leaves things behind; the test itself need not fail.
        let _ = self.0.stdin.as_mut().map(|stdin| writeln!(stdin, "{line}"));
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
