//! What can be wrong with a measurement log.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::cells::Location;

/// Why a measurement log could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file could not be created, opened, or read.
    #[error("cannot {action} the log {path}: {source}", path = path.display())]
    File {
        /// `create`, `open`, `read`, or `repair`.
        action: &'static str,
        /// The log.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A row could not be written. The log was put back to where it stood.
    #[error(
        "cannot write evaluation {evaluation} to the log {path}: {source}; all rows before it are \
         in the log, which ends whole: free some space and resume",
        path = path.display()
    )]
    Write {
        /// The log.
        path: PathBuf,
        /// The row that is not in the log.
        evaluation: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// A row could not be written, and the part of it that was could not be taken back. The writer
    /// takes no more rows.
    #[error(
        "cannot write evaluation {evaluation} to the log {path}: {source}; all rows before it are \
         in the log, but its last line may be torn: free some space and resume, which repairs it",
        path = path.display()
    )]
    Torn {
        /// The log.
        path: PathBuf,
        /// The row that is not in the log.
        evaluation: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// The last line has no end: the program that wrote it was killed, or is writing.
    #[error(
        "{path}:{line}: the last line is torn (it has no line break at its end): resume the run, \
         which repairs it, or delete that line",
        path = path.display()
    )]
    TornLine {
        /// The log.
        path: PathBuf,
        /// The torn line, the header being line 1.
        line: u64,
    },
    /// The first line is not the header of a measurement log.
    #[error("{path}:1: this is no measurement log: {problem}", path = path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// How the first line differs.
        problem: String,
    },
    /// A line has too few or too many cells.
    #[error(
        "{path}:{line}: the row has {found} cells instead of {expected}: it is torn, or was \
         edited by hand",
        path = path.display()
    )]
    Width {
        /// The log.
        path: PathBuf,
        /// The line, the header being line 1.
        line: u64,
        /// Number of columns.
        expected: usize,
        /// Number of cells.
        found: usize,
    },
    /// A cell does not hold what its column asks.
    #[error("{location}: {problem}")]
    Cell {
        /// File, line, and column.
        location: Location,
        /// What is wrong.
        problem: String,
    },
    /// A row to be written holds what could not be read back. Nothing was written.
    #[error("evaluation {evaluation} cannot be logged: column {column:?}: {problem}")]
    Row {
        /// The row.
        evaluation: u64,
        /// The column.
        column: &'static str,
        /// What is wrong.
        problem: String,
    },
}
