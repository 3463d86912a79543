//! Data that is too large for the project, and is used where it is there.

use std::path::PathBuf;

use super::skip;

/// A file of the folder of shared data beside the project, or `None` after saying that the test is skipped.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(name);
    if path.is_file() {
        return Some(path);
    }
    // Not one that CI may ask for: the file is no part of the project and not to be downloaded.
    skip::quietly(&format!("{name} is not there"));
    None
}
