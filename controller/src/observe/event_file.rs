//! A file of TensorBoard events.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protobuf::Message as _;
use tensorboard_proto::event::Event;
use tensorboard_proto::summary::Summary;
use tensorboard_rs::record_writer::RecordWriter;

/// What TensorBoard expects of a file's first event.
const FILE_VERSION: &str = "brain.Event:2";

/// A file that events are appended to. `tensorboard-rs` has a writer for whole folders too, but that one ends the
/// process where a disk is full: it panics on a thread of its own, and then again where it is dropped.
pub(super) struct EventFile {
    records: RecordWriter<BufWriter<File>>,
}

impl EventFile {
    /// A new file in a folder, which is made if need be.
    ///
    /// # Errors
    /// If it cannot be made or written.
    pub fn create(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let now = now();
        // TensorBoard reads a folder's files by name: a resumed run's has to come after those before it.
        let name = format!("events.out.tfevents.{:010}.{:09}", now.as_secs(), now.subsec_nanos());
        let mut file = Self { records: RecordWriter::new(BufWriter::new(File::create_new(folder.join(name))?)) };
        let mut first = Event::new();
        first.set_file_version(FILE_VERSION.to_owned());
        file.add(first)?;
        file.flush()?;
        Ok(file)
    }

    /// Appends a summary at a step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn summary(&mut self, summary: Summary, step: usize) -> io::Result<()> {
        let mut event = Event::new();
        event.set_summary(summary);
        event.set_step(i64::try_from(step).unwrap_or(i64::MAX));
        self.add(event)
    }

    /// Brings what was appended to the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.records.flush()
    }

    fn add(&mut self, mut event: Event) -> io::Result<()> {
        event.set_wall_time(now().as_secs_f64());
        let bytes = event.write_to_bytes().map_err(io::Error::other)?;
        self.records.write(&bytes)
    }
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
