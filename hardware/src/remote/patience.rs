//! Waiting for machines and devices that are away.

use std::time::{Duration, Instant};

use super::error::RemoteError;
use crate::measurement::Measurement;
use crate::warning::Warning;

/// The pause before a try that follows `tries` others: each is twice the one before, up to half a minute.
pub(crate) fn pause_after(tries: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(30);
    LONGEST.min(Duration::from_secs(1) * 2_u32.saturating_pow(tries.saturating_sub(1)))
}

/// Tries for up to `patience`, as long as errors are such that `may_pass` is true of them.
///
/// # Errors
/// The last try's.
pub(crate) fn wait_while<T>(
    patience: Duration,
    may_pass: impl Fn(&RemoteError) -> bool,
    mut act: impl FnMut() -> Result<T, RemoteError>,
) -> Result<T, RemoteError> {
    const LONGEST_WAIT: Duration = Duration::from_secs(10);
    let started = Instant::now();
    for tries in 1.. {
        let wait = pause_after(tries).min(LONGEST_WAIT);
        match act() {
            Err(error) if may_pass(&error) && started.elapsed() + wait < patience => std::thread::sleep(wait),
            result => return result,
        }
    }
    act()
}

/// Opens a connection, waiting for a board that is away or taken. One that `was_there` may be starting anew, when it
/// rejects everybody for a while.
///
/// # Errors
/// If it cannot be opened until then, or never will.
pub(crate) fn patiently<T>(
    patience: Duration,
    was_there: bool,
    open: impl FnMut() -> Result<T, RemoteError>,
) -> Result<T, RemoteError> {
    wait_while(patience, |error| error.is_transient() || was_there && error.may_be_starting(), open)
}

/// Measures a model, up to `tries` times where a failure may pass. A device that is away is waited for instead, for up
/// to `patience`.
///
/// # Errors
/// The last try's.
pub(crate) fn measure_patiently(
    tries: u32,
    patience: Duration,
    mut attempt: impl FnMut() -> Result<Measurement, RemoteError>,
) -> Result<Measurement, RemoteError> {
    let begun = Instant::now();
    let mut problems: Vec<String> = Vec::new();
    loop {
        let tried = problems.len() as u32 + 1;
        let error = match attempt() {
            Ok(mut measurement) => {
                if !problems.is_empty() {
                    measurement.warnings.push(Warning::Repeated { reasons: problems });
                }
                return Ok(measurement);
            }
            Err(error) => error,
        };
        let again = match error {
            RemoteError::Away { .. } => begun.elapsed() + pause_after(tried) < patience,
            _ => error.is_transient() && tried < tries,
        };
        if !again {
            return Err(error);
        }
        problems.push(error.to_string());
        std::thread::sleep(pause_after(tried));
    }
}
