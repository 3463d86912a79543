//! Writing to the terminal without dying of one that is gone.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a line to standard output.
///
/// # Errors
/// If nobody reads it any more, or it cannot be written.
pub(crate) fn say(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Writes a line to standard error. Work goes on if nobody can read it.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
