//! A program that runs to its end while something else is watched.

use std::time::{Duration, Instant};

use super::agent::{Agent, End, JobEvent};
use super::error::RemoteError;
use crate::time::Window;

/// Most lines of a program that are kept, and most bytes of them.
const MOST_LINES: usize = 20_000;
const MOST_TEXT: usize = 16 << 20;

/// Whether a program need not run on; called several times a second.
pub(crate) type Watch<'a> = dyn Fn() -> Result<(), RemoteError> + 'a;

/// The output of a program, and its end.
#[derive(Debug)]
pub(crate) struct Printed {
    pub end: End,
    /// Lines with the board's time at which each of them came, in ns.
    pub lines: Vec<(u64, String)>,
}

impl Printed {
    /// All of it.
    pub fn text(&self) -> String {
        self.lines.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The last line that is not blank.
    pub fn last_words(&self) -> String {
        let line = self.lines.iter().rev().map(|(_, text)| text.trim()).find(|text| !text.is_empty());
        line.unwrap_or("it printed nothing").chars().take(200).collect()
    }

    /// Why it failed where its output does not tell.
    pub fn failure(&self) -> String {
        match self.end {
            End::Signal(9) => "it was ended by signal 9, as by a machine that is out of memory".to_owned(),
            End::Signal(signal) => format!("it was ended by signal {signal}"),
            _ => self.last_words(),
        }
    }

    /// When a line that contains one of these texts was printed.
    pub fn stamp(&self, texts: &[&str]) -> Option<u64> {
        let found = self.lines.iter().find(|(_, line)| texts.iter().any(|text| line.contains(text)));
        found.map(|(at_ns, _)| *at_ns)
    }

    /// The window of the timed inferences of `tool`, on the clock of its machine: they ended when it began to report,
    /// and it says how long they took. Besides, `besides_s` pass from its line about their beginning, and up to
    /// `late_s` of other work between its lines.
    ///
    /// # Errors
    /// If a line came later: the window would move over time without inference.
    pub fn window(
        &self,
        tool: &str,
        begun_ns: Option<u64>,
        ended_ns: u64,
        duration_s: f64,
        besides_s: f64,
        late_s: f64,
    ) -> Result<Window, RemoteError> {
        /// The same as a share of the duration.
        const LATE_SHARE: f64 = 0.02;
        let between_s = |begun_ns| ended_ns.saturating_sub(begun_ns) as f64 / 1e9 - besides_s;
        if let Some(between_s) = begun_ns.map(between_s)
            && (between_s - duration_s).abs() > late_s + LATE_SHARE * duration_s
        {
            let problem = format!(
                "{tool} says that inferences took {duration_s:.2} s, but {between_s:.2} s lie between their beginning and \
                 its report: the machine was too busy to tell when inferences ran. End other programs on it"
            );
            return Err(RemoteError::Failed { problem });
        }
        Ok(Window { from_ns: ended_ns.saturating_sub((duration_s * 1e9) as u64), to_ns: ended_ns })
    }
}

impl Agent {
    /// Runs a short program to its end.
    pub fn run(&mut self, argv: &[String], limit: Duration) -> Result<Printed, RemoteError> {
        print(self, argv, limit, &|| Ok(()))
    }
}

/// Runs a program to its end, at most for `limit`.
///
/// # Errors
/// If it cannot be started, or `watch` has an error; then it is ended.
pub(crate) fn print(
    agent: &mut Agent,
    argv: &[String],
    limit: Duration,
    watch: &Watch,
) -> Result<Printed, RemoteError> {
    let job = agent.start(argv, limit, false)?;
    let deadline = Instant::now() + limit + Duration::from_secs(30);
    let (mut lines, mut length) = (Vec::new(), 0);
    loop {
        if Instant::now() >= deadline {
            return Err(RemoteError::Silent { what: argv.join(" "), waited: limit });
        }
        match agent.next(job, Duration::from_millis(200))? {
            Some(JobEvent::Ended { end }) => return Ok(Printed { end, lines }),
            Some(JobEvent::Line { at_ns, text }) => {
                length += text.len();
                if lines.len() < MOST_LINES && length < MOST_TEXT {
                    lines.push((at_ns, text));
                }
            }
            Some(JobEvent::Values { .. }) | None => {}
        }
        if let Err(error) = watch() {
            agent.stop(job)?;
            return Err(error);
        }
    }
}
