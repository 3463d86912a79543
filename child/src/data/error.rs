//! What can go wrong between a file and a batch.

use std::path::PathBuf;

use crate::graph::Shape;

/// Data that cannot be had, is not what it should be, or is asked for in a way that makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder that cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "read", "write", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder without CIFAR-10.
    #[error(
        "no CIFAR-10 in {}: expected the folder cifar-10-batches-bin or the archive cifar-10-binary.tar.gz there; \
         the archive is at {url}",
        dir.display()
    )]
    NoCifar10 {
        /// The folder that was searched.
        dir: PathBuf,
        /// Where the archive can be had.
        url: &'static str,
    },
    /// An archive that cannot be unpacked, or lacks a file.
    #[error("the archive {}: {reason}; delete it and download it again", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of another size than its format demands.
    #[error("{file}: expected {expected} bytes, found {found}; it is incomplete or not CIFAR-10's binary version")]
    Size {
        /// The file, and the archive that holds it if any.
        file: String,
        /// Size by the format, in bytes.
        expected: u64,
        /// Size of the file, in bytes.
        found: u64,
    },
    /// A label that stands for no class.
    #[error("{file}: record {record} (byte {offset}) has the label {label}, but there are {classes} classes from 0")]
    Label {
        /// The file, and the archive that holds it if any.
        file: String,
        /// Number of the record, from 1.
        record: usize,
        /// Where the label stands in the file, in bytes from 0.
        offset: usize,
        /// The label.
        label: u8,
        /// Number of classes.
        classes: usize,
    },
    /// A value of a table that is not what it should be.
    #[error("{table}, line {line}, column {column}: {reason}")]
    Table {
        /// Name of the table.
        table: &'static str,
        /// Line, from 1.
        line: usize,
        /// Column in values, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// An image folder that is not laid out as one.
    #[error("the image folder {}: {reason}", path.display())]
    Folder {
        /// The folder that is wrong.
        path: PathBuf,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A file that is not an image that can be read whole.
    #[error("the image {}: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An image of another size than those before it.
    #[error(
        "the image {} is {}x{} pixels (width x height), those before it {}x{}; set `size` to bring all to one size",
        path.display(), found.width, found.height, expected.width, expected.height
    )]
    ImageSize {
        /// The file.
        path: PathBuf,
        /// Shape of the first image.
        expected: Shape,
        /// Shape of this one.
        found: Shape,
    },
    /// Images, labels and classes that do not belong together.
    #[error("the data set {name}: {reason}")]
    Dataset {
        /// Name of the data set.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// A setting out of its range, or one that this data set does not have.
    #[error("`{key}`: {reason}")]
    Setting {
        /// Key of the setting.
        key: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A transfer that failed.
    #[error("cannot download {url}: {reason}")]
    Download {
        /// Address of the file.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A transfer that brought something else than what was published.
    #[error("{url} has the MD5 {found}, not {expected} as published: nothing was kept; try again later")]
    Checksum {
        /// Address of the file.
        url: String,
        /// Published checksum, in hexadecimal digits.
        expected: String,
        /// Checksum of what came.
        found: String,
    },
}

impl DataError {
    /// Wraps the system's error with what was tried, and on which path.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
