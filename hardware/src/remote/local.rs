//! The agent as a program on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::error::RemoteError;

/// Longest line, in bytes, as of the other channel.
const LONGEST_LINE: u64 = 1 << 20;
/// Lines that may wait to be taken; the agent then waits in its turn.
const MOST_WAITING: usize = 4096;
/// Time between two empty lines, which show the agent that this program still runs.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long an agent that is not needed any more may take to end what it started.
const FAREWELL: Duration = Duration::from_secs(10);

/// A running agent. When it is dropped the agent's input ends, and with it the agent and all that it started.
pub(super) struct Local {
    child: Child,
    input: Arc<Mutex<Option<ChildStdin>>>,
    lines: Receiver<Result<String, String>>,
}

impl Local {
    /// Starts `python3 PROGRAM FOLDER`.
    ///
    /// # Errors
    /// If Python 3 is missing, or a thread cannot be started.
    pub fn start(program: &Path, folder: &Path) -> Result<Self, RemoteError> {
        let failed = |error: std::io::Error| RemoteError::Settings {
            problem: format!("python3 cannot be started here: {error}"),
        };
        let mut command = Command::new("python3");
        command.arg("-u").arg(program).arg(folder).env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C on the terminal is for this program: the agent ends by its input, in order.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed)?;
        let nothing = || RemoteError::Settings { problem: "python3 was started without a pipe".to_owned() };
        let output = child.stdout.take().ok_or_else(nothing)?;
        let input = Arc::new(Mutex::new(child.stdin.take()));
        let (sender, lines) = sync_channel(MOST_WAITING);
        thread::Builder::new().name("agent".to_owned()).spawn(move || read(output, &sender)).map_err(failed)?;
        let shared = Arc::clone(&input);
        let beat = move || {
            while send(&shared, "") {
                thread::sleep(HEARTBEAT);
            }
        };
        thread::Builder::new().name("heartbeat".to_owned()).spawn(beat).map_err(failed)?;
        Ok(Self { child, input, lines })
    }

    fn ended(&mut self, how: &str) -> RemoteError {
        let how = match self.child.try_wait() {
            Ok(Some(status)) => format!("it ended ({status})"),
            _ => how.to_owned(),
        };
        RemoteError::Lost { how }
    }
}

impl Channel for Local {
    fn send(&mut self, line: &str) -> Result<(), RemoteError> {
        if send(&self.input, line) { Ok(()) } else { Err(self.ended("its input is closed")) }
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<String>, RemoteError> {
        let deadline = Instant::now() + wait;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                // A sign of life.
                Ok(Ok(line)) if line.trim() == "{}" => {}
                Ok(Ok(line)) => return Ok(Some(line)),
                Ok(Err(problem)) => return Err(self.ended(&problem)),
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended("its output is closed")),
            }
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        *self.input.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let begun = Instant::now();
        while begun.elapsed() < FAREWELL {
            // Its last lines are read, so that it does not wait for that.
            while self.lines.try_recv().is_ok() {}
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                _ => return,
            }
        }
        // The kernel then ends the programs that the agent started.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a line; `false` once the agent has closed its input.
fn send(input: &Mutex<Option<ChildStdin>>, line: &str) -> bool {
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(pipe) = input.as_mut() else { return false };
    let sent = writeln!(pipe, "{line}").and_then(|()| pipe.flush());
    if sent.is_err() {
        *input = None;
    }
    sent.is_ok()
}

fn read(output: impl Read, lines: &SyncSender<Result<String, String>>) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let line = match output.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(_) if bytes.last() != Some(&b'\n') && bytes.len() as u64 >= LONGEST_LINE => {
                Err(format!("it printed more than {LONGEST_LINE} bytes in a line"))
            }
            Ok(_) => Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let is_over = line.is_err();
        if lines.send(line).is_err() || is_over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn received(bytes: &[u8]) -> Vec<Result<String, String>> {
        let (sender, lines) = sync_channel(MOST_WAITING);
        read(bytes, &sender);
        drop(sender);
        lines.into_iter().collect()
    }

    #[test]
    fn a_line_without_end_is_an_error_and_the_last() {
        let bytes = [b"a\n".to_vec(), vec![b'x'; 3 << 20], b"\nb\n".to_vec()].concat();
        let received = received(&bytes);
        assert_eq!(received[0], Ok("a".to_owned()));
        assert!(received.len() == 2 && received[1].as_ref().is_err_and(|problem| problem.contains("1048576 bytes")));
    }

    proptest! {
        /// Lines are the texts between line breaks.
        #[test]
        fn lines_are_the_texts_between_breaks(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n')], 0..200)) {
            let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let lines = whole.split(|byte| *byte == b'\n').map(|line| Ok(String::from_utf8_lossy(line).trim_end().to_owned()));
            let expected: Vec<Result<String, String>> = if bytes.is_empty() { Vec::new() } else { lines.collect() };
            prop_assert_eq!(received(&bytes), expected);
        }
    }
}
