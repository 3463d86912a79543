//! A file of TensorBoard events.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protobuf::Message as _;
use tensorboard_proto::event::Event;
use tensorboard_proto::summary::Summary;
use tensorboard_rs::record_writer::RecordWriter;

/// Version in a file's first event, as TensorBoard expects it.
const FILE_VERSION: &str = "brain.Event:2";

/// A file of events. The writer for whole folders in `tensorboard-rs` ends the process if a disk is full: it panics on a
/// thread, and again when it is dropped.
pub(super) struct EventFile {
    records: RecordWriter<BufWriter<File>>,
}

impl EventFile {
    /// A new file in a folder, which is created if necessary.
    pub fn create(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        // TensorBoard reads the files of a folder by name: the new file must be the last one, even if the clock was set
        // back.
        let after = last(folder)?.map_or(Duration::ZERO, |last| last.saturating_add(Duration::from_nanos(1)));
        let path = folder.join(name(now().max(after)));
        let mut file = Self { records: RecordWriter::new(BufWriter::new(File::create_new(path)?)) };
        let mut first = Event::new();
        first.set_file_version(FILE_VERSION.to_owned());
        file.add(first)?;
        file.flush()?;
        Ok(file)
    }

    /// Appends a summary at a step.
    pub fn summary(&mut self, summary: Summary, step: usize) -> io::Result<()> {
        let mut event = Event::new();
        event.set_summary(summary);
        event.set_step(i64::try_from(step).unwrap_or(i64::MAX));
        self.add(event)
    }

    /// Writes all buffered events.
    pub fn flush(&mut self) -> io::Result<()> {
        self.records.flush()
    }

    fn add(&mut self, mut event: Event) -> io::Result<()> {
        event.set_wall_time(now().as_secs_f64());
        let bytes = event.write_to_bytes().map_err(io::Error::other)?;
        self.records.write(&bytes)
    }
}

const PREFIX: &str = "events.out.tfevents.";

/// Name of a file with a start time.
fn name(begun: Duration) -> String {
    format!("{PREFIX}{:010}.{:09}", begun.as_secs(), begun.subsec_nanos())
}

/// Start time of the last file of a folder.
fn last(folder: &Path) -> io::Result<Option<Duration>> {
    let mut last = None;
    for entry in std::fs::read_dir(folder)? {
        last = last.max(begun(&entry?.file_name().to_string_lossy()));
    }
    Ok(last)
}

/// Start time in a file's name; `None` for other files.
fn begun(name: &str) -> Option<Duration> {
    let (seconds, nanoseconds) = name.strip_prefix(PREFIX)?.split_once('.')?;
    Some(Duration::from_secs(seconds.parse().ok()?).saturating_add(Duration::from_nanos(nanoseconds.parse().ok()?)))
}

/// The time since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_sorts_last_even_if_the_clock_was_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let ahead = now() + Duration::from_secs(86_400);
        for other in ["events.out.tfevents.x.y", "profile"] {
            std::fs::write(folder.path().join(other), "").unwrap();
        }
        std::fs::write(folder.path().join(name(ahead)), "").unwrap();
        for count in 1..=2 {
            drop(EventFile::create(folder.path()).unwrap());
            assert_eq!(last(folder.path()).unwrap(), Some(ahead + Duration::from_nanos(count)));
        }
    }
}
