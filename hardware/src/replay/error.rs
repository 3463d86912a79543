//! What can be wrong with a replayed log.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::cells::Location;

/// Why a log could not be replayed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file could not be read.
    #[error("cannot read the log {path}: {source}", path = path.display())]
    Read {
        /// The log.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no row to replay.
    #[error("{path}: nothing to replay: {reason}", path = path.display())]
    Empty {
        /// The log.
        path: PathBuf,
        /// An empty file, a header alone, or rows that all failed.
        reason: String,
    },
    /// The header has no such column.
    #[error(
        "{path}:1: no column {column:?}{nearest}; the log's columns are {columns}",
        path = path.display(),
        nearest = nearest.as_ref().map_or(String::new(), |it| format!(", did you mean {it:?}?")),
        columns = headers.join(", ")
    )]
    MissingColumn {
        /// The log.
        path: PathBuf,
        /// The column looked for.
        column: String,
        /// The most similar one there is.
        nearest: Option<String>,
        /// All there are.
        headers: Vec<String>,
    },
    /// The header has the column more than once.
    #[error(
        "{path}:1: {times} columns are called {column:?}: rename all but the right one",
        path = path.display()
    )]
    AmbiguousColumn {
        /// The log.
        path: PathBuf,
        /// The column looked for.
        column: String,
        /// How often it is there.
        times: usize,
    },
    /// There is an architecture, but nothing known about it.
    #[error(
        "{path}:1: no column holds an accuracy, a time, an energy, or a further objective: name \
         them under [replay.columns]; the log's columns are {columns}",
        path = path.display(),
        columns = headers.join(", ")
    )]
    NoObjective {
        /// The log.
        path: PathBuf,
        /// All columns there are.
        headers: Vec<String>,
    },
    /// Accuracy and error are both named.
    #[error(
        "the columns {accuracy:?} (accuracy) and {error:?} (error) are both named for {path}: \
         name one, the other is 1 minus it",
        path = path.display()
    )]
    AccuracyAndError {
        /// The log.
        path: PathBuf,
        /// Column of the accuracy.
        accuracy: String,
        /// Column of the error.
        error: String,
    },
    /// A row has too few or too many cells.
    #[error(
        "{path}:{line}: the row has {found} cells, the header {expected}: it is torn; delete or \
         mend that line",
        path = path.display()
    )]
    Width {
        /// The log.
        path: PathBuf,
        /// The row's line, the header being line 1.
        line: u64,
        /// Cells of the header.
        expected: usize,
        /// Cells of the row.
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
}
