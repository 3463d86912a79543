//! Writing to the terminal, which may be closed.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a line to standard output.
pub(crate) fn say(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Writes a line to standard error; errors are ignored.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
