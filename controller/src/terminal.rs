//! Writing to the terminal, which may be closed.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;

/// A path as a word of a command that can be pasted into a shell.
pub(crate) fn pasted(path: &Path) -> String {
    let path = path.display().to_string();
    shlex::try_quote(&path).map_or_else(|_| path.clone(), |quoted| quoted.into_owned())
}

/// Writes a line to standard output.
pub(crate) fn say(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Writes a line to standard error; errors are ignored.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_blanks_and_quotes_can_be_pasted() {
        for path in ["runs/short", "my run", "it's", "$HOME", "a\"b"] {
            let words = shlex::split(&format!("controller --resume {}", pasted(Path::new(path)))).unwrap();
            assert_eq!(words, ["controller", "--resume", path]);
        }
    }
}
