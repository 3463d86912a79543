//! The agent as a program on this machine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::error::RemoteError;
use super::exchange::{ALIVE, Exchange, LONGEST_LINE};

/// Time between two empty lines, which show the agent that this program still runs.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long an agent that is not needed any more may take to end what it started.
const FAREWELL: Duration = Duration::from_secs(10);

/// How the agent on this machine has ended.
#[derive(Debug, Clone)]
pub(super) struct Lost(String);

impl From<Lost> for RemoteError {
    fn from(Lost(how): Lost) -> Self {
        Self::Lost { how }
    }
}

/// Starts Python with these arguments. When the exchange is dropped its input ends, and with it the agent and all that
/// it started.
///
/// # Errors
/// If Python 3 is missing, or a thread cannot be started.
pub(super) fn start(arguments: &[&str]) -> Result<Exchange<Lost>, RemoteError> {
    let failed =
        |error: io::Error| RemoteError::Settings { problem: format!("python3 cannot be started here: {error}") };
    let mut command = Command::new("python3");
    command.args(arguments).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // Ctrl-C on the terminal is for this program: the agent ends by its input, in order.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().map_err(failed)?;
    let lost = Lost("its thread has ended".to_owned());
    // Dropping waits until the agent is killed.
    let farewell = 2 * FAREWELL;
    Exchange::start("agent".to_owned(), lost, farewell, |orders, lines| keep(child, orders, lines)).map_err(failed)
}

/// Exchanges lines until the agent or the orders end; the agent has ended then.
fn keep(mut child: Child, orders: &Receiver<String>, lines: &SyncSender<String>) -> Result<(), Lost> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Lost("it was started without a pipe".to_owned()));
    };
    let lines = lines.clone();
    let reader = thread::Builder::new().spawn(move || read(output, &lines)).map_err(|error| Lost(error.to_string()))?;
    while !reader.is_finished() {
        let line = match orders.recv_timeout(HEARTBEAT) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => String::new(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if writeln!(input, "{line}").is_err() {
            break;
        }
    }
    drop(input);
    let begun = Instant::now();
    while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < FAREWELL {
        thread::sleep(Duration::from_millis(10));
    }
    // The kernel then ends the programs that the agent started.
    let _ = child.kill();
    let how = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
    let problem = reader.join().ok().and_then(Result::err);
    Err(Lost(problem.unwrap_or(how)))
}

/// Passes lines on until the output ends, or they are not wanted any more.
fn read(output: impl Read, lines: &SyncSender<String>) -> Result<(), String> {
    let mut output = BufReader::new(output);
    loop {
        let mut bytes = Vec::new();
        output.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut bytes).map_err(|error| error.to_string())?;
        if bytes.last() != Some(&b'\n') && bytes.len() >= LONGEST_LINE {
            return Err(format!("it printed more than {LONGEST_LINE} bytes in a line"));
        }
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if bytes.is_empty() || (line != ALIVE && lines.send(line).is_err()) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use proptest::prelude::*;

    use super::*;

    /// The lines, and the error at their end.
    fn received(bytes: &[u8]) -> Vec<Result<String, String>> {
        let (sender, lines) = sync_channel(1000);
        let end = read(bytes, &sender);
        drop(sender);
        lines.into_iter().map(Ok).chain(end.err().map(Err)).collect()
    }

    #[test]
    fn a_line_without_end_is_an_error_and_the_last() {
        let bytes = [b"a\n".to_vec(), vec![b'x'; 3 << 20], b"\nb\n".to_vec()].concat();
        let received = received(&bytes);
        assert_eq!(received[0], Ok("a".to_owned()));
        assert!(received.len() == 2 && received[1].as_ref().is_err_and(|problem| problem.contains("1048576 bytes")));
    }

    proptest! {
        /// Lines are the texts between line breaks, without the signs of life.
        #[test]
        fn lines_are_the_texts_between_breaks(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n')], 0..200)) {
            let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let lines = whole.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).trim_end().to_owned());
            let lines = lines.filter(|line| !bytes.is_empty() && line != ALIVE);
            let expected: Vec<Result<String, String>> = lines.map(Ok).collect();
            prop_assert_eq!(received(&bytes), expected);
        }
    }
}
