//! Saying that a test is skipped, past the harness's capturing.

use std::env;
use std::io::Write as _;

/// Says that the running test is skipped, and why.
///
/// # Panics
/// With `CI=true`, where nothing may be skipped.
pub fn unless_ci(reason: &str) {
    assert!(env::var("CI").as_deref() != Ok("true"), "CI=true, so nothing may be skipped, but {reason}");
    quietly(reason);
}

/// Says that the running test is skipped, and why, also with `CI=true`.
pub fn quietly(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // A test that cannot say that it is skipped is skipped all the same.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {reason}");
}
