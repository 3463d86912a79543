//! Waiting for machines and devices that are away.

use std::time::{Duration, Instant};

use super::error::RemoteError;
use super::ssh::SshError;
use crate::measurement::Measurement;
use crate::waiting::pause;
use crate::warning::Warning;

/// The pause before a try that follows `tries` others: each is twice the one before, up to half a minute.
fn pause_after(tries: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(30);
    LONGEST.min(Duration::from_secs(1) * 2_u32.saturating_pow(tries.saturating_sub(1)))
}

/// Tries for up to `patience`, as long as errors are such that `may_pass` is true of them.
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
            Err(error)
                if may_pass(&error)
                    && started.elapsed() + wait < patience
                    && pause(&error, started, patience, wait) => {}
            result => return result,
        }
    }
    act()
}

/// Opens a connection, waiting for a board that is away or taken. One that `was_there` may be starting anew, when it
/// rejects everybody for a while, and its services do not run yet: a tool may fail then that needs one.
pub(crate) fn patiently<T>(
    patience: Duration,
    was_there: bool,
    open: impl FnMut() -> Result<T, RemoteError>,
) -> Result<T, RemoteError> {
    let may_be_starting = |error: &RemoteError| {
        was_there && matches!(error, RemoteError::Ssh(SshError::Rejected(_)) | RemoteError::Settings { .. })
    };
    wait_while(patience, |error| error.is_transient() || may_be_starting(error), open)
}

/// Measures a model, up to `tries` times where a failure may pass, or where another program seems to have disturbed the
/// measurement. A device that is away is waited for instead, for up to `patience`.
pub(crate) fn measure_patiently(
    tries: u32,
    patience: Duration,
    is_disturbed: impl Fn(&Measurement) -> bool,
    mut attempt: impl FnMut() -> Result<Measurement, RemoteError>,
) -> Result<Measurement, RemoteError> {
    let begun = Instant::now();
    let mut problems: Vec<String> = Vec::new();
    let mut disturbed: Option<Measurement> = None;
    loop {
        let tried = problems.len() as u32 + 1;
        let error = match attempt() {
            // Repeat once only: a cause that is always there is not a disturbance.
            Ok(measurement) if tried < tries && disturbed.is_none() && is_disturbed(&measurement) => {
                let reason = "another program seemed to use the board";
                pause(try_after(reason, tried, tries), begun, Duration::ZERO, Duration::ZERO);
                problems.push(reason.to_owned());
                disturbed = Some(measurement);
                continue;
            }
            Ok(measurement) => return Ok(repeated(measurement, problems)),
            Err(error) => error,
        };
        let wait = pause_after(tried);
        let again = match error {
            RemoteError::Away { .. } => begun.elapsed() + wait < patience && pause(&error, begun, patience, wait),
            _ => {
                error.is_transient()
                    && tried < tries
                    && pause(try_after(&error, tried, tries), Instant::now(), wait, wait)
            }
        };
        problems.push(error.to_string());
        if !again {
            // A doubtful measurement is better than none.
            return disturbed.map(|measurement| repeated(measurement, problems)).ok_or(error);
        }
    }
}

/// The reason for another try, after some of `tries`.
fn try_after(reason: impl std::fmt::Display, tried: u32, tries: u32) -> String {
    format!("try {} of {tries} follows: {reason}", tried + 1)
}

/// A measurement that followed others, which had these problems.
fn repeated(mut measurement: Measurement, reasons: Vec<String>) -> Measurement {
    if !reasons.is_empty() {
        measurement.warnings.push(Warning::Repeated { reasons });
    }
    measurement
}
