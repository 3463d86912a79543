//! The program behind a stream of readings.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::lines::Lines;
use crate::lock::lock;
use crate::meter::MeterError;
use crate::meter::fields::{Fields, MAX_LINE};
use crate::time::Clock;

/// A running program.
pub(super) struct Process {
    program: String,
    child: Mutex<Option<Child>>,
    lines: Arc<Mutex<Lines>>,
}

impl Process {
    pub fn start(command: &[String], fields: &Fields, clock: Clock) -> Result<Self, MeterError> {
        let program = command.first().cloned().unwrap_or_default();
        let failed = |problem: String| MeterError::not_started(&program, problem);
        let mut started = Command::new(&program);
        started.args(command.iter().skip(1)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Python buffers its lines if its output is not a terminal.
        started.env("PYTHONUNBUFFERED", "1");
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut started, 0);
        let mut child = started.spawn().map_err(|error| failed(error.to_string()))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let lines = Arc::new(Mutex::new(Lines::new(fields)));
        let process = Self { program: program.clone(), child: Mutex::new(Some(child)), lines };
        let (Some(out), Some(err)) = (out, err) else { return Err(failed("it has no output".to_owned())) };
        let (shared, name) = (Arc::clone(&process.lines), program.clone());
        let thread = |name: &str| std::thread::Builder::new().name(format!("meter {name}"));
        let read_out = move || read_lines(BufReader::new(out), &shared, &name, clock);
        thread("output").spawn(read_out).map_err(|error| failed(error.to_string()))?;
        let shared = Arc::clone(&process.lines);
        thread("errors").spawn(move || read_errors(err, &shared)).map_err(|error| failed(error.to_string()))?;
        Ok(process)
    }

    pub fn lines(&self) -> MutexGuard<'_, Lines> {
        lock(&self.lines)
    }

    /// An error if it has ended, or printed too many lines that are not readings.
    pub fn fault(&self) -> Result<(), MeterError> {
        let (failure, closed) = {
            let lines = self.lines();
            (lines.collected.check(), lines.closed)
        };
        failure?;
        if !closed {
            return Ok(());
        }
        // A program that has closed its output is about to end, or useless.
        std::thread::sleep(Duration::from_millis(100));
        let how = self.kill().map_or_else(|| "closed its output".to_owned(), how_it_ended);
        let error = MeterError::ended(&self.program, &how, &self.lines().errors());
        self.lines().collected.fail(error.clone());
        Err(error)
    }

    /// Asks its group to end, kills the processes that remain, and returns the program's exit status. Waiting for the
    /// program comes last: until then the system does not reuse its process number.
    fn kill(&self) -> Option<ExitStatus> {
        const POLITE: Duration = Duration::from_millis(500);
        let mut child = lock(&self.child).take()?;
        let begun = Instant::now();
        signal(child.id(), "TERM");
        while !self.lines().closed && begun.elapsed() < POLITE {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(child.id(), "KILL");
        let _ = child.kill();
        child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_lines(mut from: impl BufRead, lines: &Mutex<Lines>, meter: &str, clock: Clock) {
    let mut bytes = Vec::new();
    let mut is_continuation = false;
    loop {
        bytes.clear();
        let read = from.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes);
        let at_ns = clock.now_ns();
        let is_whole = bytes.ends_with(b"\n");
        let mut lines = lock(lines);
        // Text without a line break may be half a line, whose cut numbers look like whole ones.
        let ended = !matches!(read, Ok(1..)) || !is_whole && bytes.len() <= MAX_LINE;
        if ended || lines.collected.failure.is_some() {
            lines.closed = true;
            return;
        }
        if !is_continuation {
            let text = String::from_utf8_lossy(&bytes);
            lines.take(text.trim_end_matches(['\r', '\n']), at_ns, meter);
        }
        is_continuation = !is_whole;
    }
}

fn read_errors(mut from: impl Read, lines: &Mutex<Lines>) {
    let mut block = [0; 1024];
    while let Ok(length @ 1..) = from.read(&mut block) {
        lock(lines).add_error(&block[..length]);
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        // This program sends these signals itself.
        return if matches!(signal, 9 | 15) {
            "closed its output".to_owned()
        } else {
            format!("was ended by signal {signal}")
        };
    }
    status.code().map_or_else(|| "ended".to_owned(), |code| format!("ended with exit code {code}"))
}

/// Sends a signal to a process group, by a POSIX shell, since the standard library cannot.
fn signal(group: u32, name: &str) {
    if cfg!(unix) {
        let mut kill = Command::new("/bin/sh");
        kill.args(["-c", "kill -s \"$0\" -- \"-$1\"", name, &group.to_string()]);
        let _ = kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::power_meter::MOST_MW;
    use proptest::prelude::*;

    proptest! {
        // Fewer cases, since lines that are too long take long to generate.
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.div_ceil(4)))]

        #[test]
        fn no_output_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), lines in "([0-9.,;a-]{0,9}\n){0,40}") {
            let fields: Fields = toml::from_str("power = { column = 1, unit = \"w\" }").unwrap();
            for bytes in [bytes, lines.into_bytes()] {
                let state = Mutex::new(Lines::new(&fields));
                read_lines(bytes.as_slice(), &state, "m", Clock::start());
                prop_assert!(lock(&state).closed);
            }
        }

        /// Any output gives a trace of valid readings or an error, and little of it is kept.
        #[test]
        fn printed_lines_give_a_sound_trace_or_an_error(lines in "((-?[0-9]{1,7}([.,][0-9]{0,3})?( ?m?W)?|.{0,9}|[0-9]{5000})\n){0,60}", said in prop::collection::vec(any::<u8>(), 0..4000)) {
            let fields: Fields = toml::from_str("power = { column = 1, unit = \"w\" }").unwrap();
            let state = Mutex::new(Lines::new(&fields));
            read_lines(lines.as_bytes(), &state, "m", Clock::start());
            read_errors(said.as_slice(), &state);
            let state = state.into_inner().unwrap();
            prop_assert!(state.errors().len() < 4 * 2000 && state.collected.budget.last_reason.chars().count() <= 400);
            match state.finish("m", "m") {
                Ok(trace) => {
                    prop_assert!(trace.readings().is_sorted_by(|one, next| one.at_ns <= next.at_ns));
                    prop_assert!(trace.rail("m").iter().all(|point| point.power_mw.abs() <= MOST_MW));
                    prop_assert!(trace.resolution_mw.is_some_and(|step| step.is_finite() && step >= 0.0));
                }
                Err(error) => prop_assert!(error.to_string().contains('m') && error.to_string().len() < 1000, "{}", error),
            }
        }
    }
}
