//! Prints that a test is skipped, also where the harness captures output.

use std::env;
use std::io::Write as _;

/// Prints that the running test is skipped, and the reason.
///
/// # Panics
/// With `CI=true`, where no test may be skipped.
pub fn unless_ci(reason: &str) {
    assert!(env::var("CI").as_deref() != Ok("true"), "CI=true, so nothing may be skipped, but {reason}");
    quietly(reason);
}

/// Prints that the running test is skipped, and the reason, also with `CI=true`.
pub fn quietly(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // A test is skipped also if the line cannot be printed.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {reason}");
}
