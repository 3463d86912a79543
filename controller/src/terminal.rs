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

/// Width of the terminal on standard output; `None` if that is something else.
pub(crate) fn columns() -> Option<usize> {
    let (_, columns) = console::Term::stdout().size_checked()?;
    Some(usize::from(columns))
}

/// The name of this machine.
pub(crate) fn machine() -> String {
    let of_system = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_program = || {
        let output = std::process::Command::new("hostname").output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let name = of_system.or_else(of_program).map(|name| name.trim().to_owned()).unwrap_or_default();
    if name.is_empty() { "machine".to_owned() } else { name }
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
