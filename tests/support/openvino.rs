//! OpenVINO's benchmark_app, in environments that `scripts/openvino.sh` makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::skip;

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The path of benchmark_app of a version, or of the newest; its environment is made if it is missing. Where it cannot be
/// made, `None` after a line that the test is skipped.
///
/// # Panics
/// With `CI=true`, except where an old version needs a Python that is not installed.
pub fn openvino(version: Option<&str>) -> Option<PathBuf> {
    static MADE: Mutex<BTreeMap<String, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());
    let key = version.unwrap_or("newest").to_owned();
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    match made.entry(key).or_insert_with(|| make(version)) {
        Ok(tool) => Some(tool.clone()),
        Err(reason) if reason.contains("needs a Python from") => {
            skip::quietly(reason);
            None
        }
        Err(reason) => {
            skip::unless_ci(reason);
            None
        }
    }
}

fn make(version: Option<&str>) -> Result<PathBuf, String> {
    let mut script = Command::new(Path::new(PROJECT).join("scripts/openvino.sh"));
    script.args(version).stdin(Stdio::null()).env("PIP_RETRIES", "1").env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    let output = script.output().map_err(|error| format!("scripts/openvino.sh does not start: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(PathBuf::from(text(&output.stdout)));
    }
    let reason = text(&output.stderr);
    // Without the package registry the newest version is unknown; the newest installed one is good enough.
    let newest = if version.is_none() { newest_here() } else { None };
    newest.ok_or_else(|| reason.lines().last().unwrap_or("scripts/openvino.sh fails without a message").to_owned())
}

fn newest_here() -> Option<PathBuf> {
    let numbers = |text: &str| text.trim().split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>();
    let folders = fs::read_dir(PROJECT).ok()?.flatten().map(|entry| entry.path());
    let made = folders.filter_map(|folder| {
        let version = numbers(&fs::read_to_string(folder.join("made-from")).ok()?)?;
        Some((version, folder.join("bin/benchmark_app")))
    });
    made.filter(|(_, tool)| tool.is_file()).max().map(|(_, tool)| tool)
}
