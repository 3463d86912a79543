//! Data that is too large for the project; tests use it where it exists.

use std::path::PathBuf;

use super::skip;

/// A file of the data folder beside the project, or `None` after a line that the test is skipped.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(name);
    if path.is_file() {
        return Some(path);
    }
    // CI may skip it: the file is not part of the project, and is not downloaded.
    skip::quietly(&format!("{name} is not there"));
    None
}
