//! A program that runs to its end while a meter is read.

use std::time::{Duration, Instant};

use super::agent::{Agent, End, Job, JobEvent};
use super::error::RemoteError;

/// Most lines of a program that are kept, and most bytes of them.
const MOST_LINES: usize = 20_000;
const MOST_TEXT: usize = 16 << 20;

/// Work beside a program, such as a meter.
pub(crate) trait BackgroundSampler {
    /// Receives an event of a job that is not the program.
    ///
    /// # Errors
    /// If the program need not go on.
    fn take(&mut self, job: Job, event: &JobEvent) -> Result<(), RemoteError>;

    /// Called at least every 200 ms.
    ///
    /// # Errors
    /// If the program need not go on.
    fn check(&self) -> Result<(), RemoteError>;
}

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
/// If it cannot be started, or the work beside it fails; then it is ended.
pub(crate) fn print(
    agent: &mut Agent,
    argv: &[String],
    limit: Duration,
    mut beside: Option<&mut dyn BackgroundSampler>,
) -> Result<Printed, RemoteError> {
    let job = agent.start(argv, limit, false)?;
    let deadline = Instant::now() + limit + Duration::from_secs(30);
    let (mut lines, mut length) = (Vec::new(), 0);
    let end = loop {
        if Instant::now() >= deadline {
            return Err(RemoteError::Silent { what: argv.join(" "), waited: limit });
        }
        let mut outcome = Ok(());
        match agent.next(Duration::from_millis(200))? {
            Some((of, JobEvent::Ended { end })) if of == job => break end,
            Some((of, JobEvent::Line { at_ns, text })) if of == job => {
                length += text.len();
                if lines.len() < MOST_LINES && length < MOST_TEXT {
                    lines.push((at_ns, text));
                }
            }
            Some((of, event)) => {
                if let Some(beside) = beside.as_deref_mut() {
                    outcome = beside.take(of, &event);
                }
            }
            None => {}
        }
        if let Some(beside) = beside.as_deref() {
            outcome = outcome.and_then(|()| beside.check());
        }
        if let Err(error) = outcome {
            agent.stop(job)?;
            return Err(error);
        }
    };
    Ok(Printed { end, lines })
}
