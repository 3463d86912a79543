//! A run and its folder: the files of a search, and how it continues after a kill.

mod checkpoint;
mod comparable;
mod digests;
mod folder;
mod imported;
mod journal;
mod recorded;

pub use checkpoint::Checkpoint;
pub use comparable::{Comparable, Tally};
pub use folder::RunFolder;
pub(crate) use folder::{differences, kept_experiment, not_a_run};
pub use imported::{Imported, Origin};
pub use journal::Journal;
pub use recorded::Recorded;

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Writes a file to a temporary name beside it and renames it: every reader finds the old content or the new one, also
/// after a power failure.
///
/// # Errors
/// If it cannot be written; the file keeps its old content then.
pub fn write_atomically(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_data()))
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| hardware::log::sync_folder_of(path));
    if written.is_err() {
        // Half a file would only take room on a disk that may be full.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// An error of the file system with its action and path before it.
fn failed<'a>(action: &'a str, path: &'a Path) -> impl Fn(std::io::Error) -> anyhow::Error + Copy + 'a {
    move |error| anyhow::Error::new(error).context(format!("cannot {action} {}", path.display()))
}

/// A folder for temporary files, outside any run.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn temporary_folder() -> anyhow::Result<tempfile::TempDir> {
    let place = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix("models-").tempdir_in(&place);
    made.with_context(|| {
        format!("cannot make a temporary folder in {}: set TMPDIR to a folder that can be written", place.display())
    })
}
