//! A program that runs to its end while something else is watched.

use std::time::{Duration, Instant};

use super::agent::{Agent, End, JobEvent};
use super::error::RemoteError;

/// Most lines of a program that are kept, and most bytes of them.
const MOST_LINES: usize = 20_000;
const MOST_TEXT: usize = 16 << 20;

/// Whether a program need not run on; called several times a second.
pub(crate) type Watch<'a> = dyn Fn() -> Result<(), RemoteError> + 'a;

/// The output of a program, and its end.
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
}

/// The last line of a text that is not blank.
pub(crate) fn last_words<'a>(lines: impl DoubleEndedIterator<Item = &'a str>) -> String {
    let line = lines.rev().map(str::trim).find(|text| !text.is_empty());
    line.unwrap_or("it printed nothing").chars().take(200).collect()
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
