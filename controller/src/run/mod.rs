//! A run and its folder: the files of a search, and how it continues after a kill.

mod checkpoint;
mod comparable;
mod digests;
mod folder;
mod imported;
mod journal;
mod recorded;

pub use checkpoint::{Checkpoint, SavedJob, Times};
pub use comparable::{Comparable, Tally};
pub(crate) use folder::{
    CHECKPOINT, CONFIG, DIGESTS, IMPORTED, JOURNAL, MAY_DIFFER, MODELS, OBSERVATIONS, PARETO, REPORT, Reserved,
    RunFolder, SCRATCH, STATUS, TRAININGS, WAITING, differences, kept_experiment, not_a_run,
};
pub use imported::{Imported, Origin};
pub use journal::Journal;
pub use recorded::Recorded;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use hardware::log::{LogError, Row, TornLine, Writer, read_whole_lines, sync_folder_of};

/// Writes a file to a temporary name beside it and renames it: every reader finds the old content or the new one, also
/// after a power failure.
///
/// # Errors
/// If it cannot be written; the file keeps its old content then.
pub fn write_atomically(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_data()))
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| sync_folder_of(path));
    written.map_err(|error| {
        // Half a file would only take room on a disk that may be full.
        let _ = std::fs::remove_file(&temporary);
        failed("write", path)(error)
    })
}

/// A log to append to, begun if it is not there, with its rows and a torn last line that was cut off.
pub(crate) fn open_log(path: &Path) -> Result<(Writer, Vec<Row>, Option<TornLine>), LogError> {
    if path.exists() { Writer::append(path) } else { Ok((Writer::create(path)?, Vec::new(), None)) }
}

/// The whole lines of a log that may be growing; none if it is not there.
pub(crate) fn logged_rows(path: &Path) -> Result<Vec<Row>, LogError> {
    Ok(if path.exists() { read_whole_lines(path)?.0 } else { Vec::new() })
}

/// An error of the file system with its action and path before it.
fn failed<'a>(action: &'a str, path: &'a Path) -> impl Fn(std::io::Error) -> anyhow::Error + Copy + 'a {
    move |error| anyhow::Error::new(error).context(format!("cannot {action} {}", path.display()))
}

/// Makes sure that as many files can be opened as a search may need at a time. In the middle of one, libraries panic where
/// they cannot open theirs, and a network would be blamed for a model that cannot be read.
///
/// # Errors
/// If the system does not allow so many.
pub(crate) fn check_open_files() -> std::io::Result<()> {
    /// The journal, events, a checkpoint, models, what the runtime needs, and some for each device.
    #[cfg(unix)]
    const SPARE: usize = 40;
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let input = std::io::stdin();
        (0..SPARE).map(|_| input.as_fd().try_clone_to_owned()).collect::<std::io::Result<Vec<_>>>()?;
    }
    Ok(())
}

/// A folder for temporary files, outside any run.
pub(crate) fn temporary_folder() -> anyhow::Result<tempfile::TempDir> {
    let place = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix("models-").tempdir_in(&place);
    made.with_context(|| {
        format!("cannot make a temporary folder in {}: set TMPDIR to a folder that can be written", place.display())
    })
}
