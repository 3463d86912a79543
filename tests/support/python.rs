//! The Python environment with the programs that the tests compare with.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::skip;

/// Variable with the path of that environment's Python; `scripts/test.sh` sets it.
const VARIABLE: &str = "TEST_PYTHON";

/// The Python that `scripts/test.sh` prepared. Where there is none, `None` after saying that the test is skipped.
///
/// # Panics
/// Where nothing may be skipped, with `CI=true`.
pub fn test_python() -> Option<PathBuf> {
    let python = env::var_os(VARIABLE).filter(|path| !path.is_empty());
    if python.is_none() {
        skip::unless_ci(&format!("{VARIABLE} is not set: run scripts/test.sh"));
    }
    python.map(PathBuf::from)
}

/// Runs a script of this folder in the Python that `scripts/test.sh` prepared, and gives the JSON that it prints.
/// Without that Python, `None` after a line that the test is skipped.
///
/// # Panics
/// If the script fails; and with `CI=true` instead of a skipped test.
pub fn python(script: &str, argument: &Path) -> Option<Value> {
    let python = test_python()?;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(python).arg(&script).arg(argument).output().expect("Python starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", script.display());
    Some(serde_json::from_slice(&output.stdout).expect("the script prints JSON"))
}
