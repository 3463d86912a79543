//! Appending to a journal.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use super::read::{self, Parsed, TornLine, file_error};
use super::{COLUMNS, LogError, Row, VERSIONS};
use crate::cells::{Rows, Separator};
use crate::path::folder_of;

/// Appends rows to a journal. After every [`write`](Self::write) the file ends with a whole line, which is on the disk:
/// a power failure loses no row.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    /// Names of the journal's columns: those of the version that began it.
    columns: ByteRecord,
    /// Bytes of whole lines in the file.
    length: u64,
    /// Whether the file may end in half a line that could not be taken back.
    torn: bool,
}

impl Writer {
    /// Starts a journal at `path`, which must not exist yet: a journal is never overwritten.
    ///
    /// # Errors
    ///
    /// When the file exists, or cannot be created or written.
    pub fn create(path: &Path) -> Result<Self, LogError> {
        let failed = |error: io::Error| file_error("create", path, &error);
        let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(failed)?;
        let mut writer = Self::over(path, file, 0, &ByteRecord::new());
        writer.write_header()?;
        sync_folder_of(path).map_err(failed)?;
        Ok(writer)
    }

    /// Continues the journal at `path`, and returns its rows. A torn last line, as a killed program leaves it, is cut
    /// off and returned too.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or is not a sound journal; it is left as it was then.
    pub fn append(path: &Path) -> Result<(Self, Vec<Row>, Option<TornLine>), LogError> {
        let content = std::fs::read(path).map_err(|error| file_error("read", path, &error))?;
        let Parsed { rows, torn, whole, columns } = read::parse(path, &content)?;
        let file = OpenOptions::new().append(true).open(path).map_err(|error| file_error("open", path, &error))?;
        if torn.is_some() {
            file.set_len(whole as u64)
                .and_then(|()| file.sync_data())
                .map_err(|error| file_error("repair", path, &error))?;
        }
        let mut writer = Self::over(path, file, whole as u64, &columns);
        if whole == 0 {
            writer.write_header()?;
        }
        Ok((writer, rows, torn))
    }

    /// The journal.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one row with a single write, and waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// When `row` holds a number or text that a journal cannot (nothing is written), and when the disk is full or fails:
    /// then the part of the row that was written is taken back or, where that fails as well, the writer rejects any
    /// further row.
    pub fn write(&mut self, row: &Row) -> Result<(), LogError> {
        let line = line_of(&cells(row)?, &self.columns);
        let line = line.map_err(|error| file_error("write", &self.path, &error))?;
        self.write_line(&line).map_err(|error| {
            let ending = if self.torn {
                "but its last line may be torn: free some space and resume, which repairs it"
            } else {
                "which ends whole: free some space and resume"
            };
            LogError::Other(format!(
                "cannot write evaluation {} to the log {}: {error}; all rows before it are in the log, {ending}",
                row.evaluation,
                self.path.display()
            ))
        })
    }

    /// A row as the journal holds it: one of an earlier version lacks the newer columns.
    #[must_use]
    pub fn held(&self, row: &Row) -> Row {
        row.clone().with_columns(|name| self.columns.iter().any(|column| column == name.as_bytes()))
    }

    /// Without columns it is a journal of this version.
    pub(super) fn over(path: &Path, file: File, length: u64, columns: &ByteRecord) -> Self {
        let columns = if columns.is_empty() { ByteRecord::from(COLUMNS.to_vec()) } else { columns.clone() };
        Self { path: path.to_owned(), file, columns, length, torn: false }
    }

    fn write_header(&mut self) -> Result<(), LogError> {
        let line = format!("{}\n", read::header());
        self.write_line(line.as_bytes()).map_err(|error| file_error("create", &self.path, &error))
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            return Err(io::Error::other("an earlier row could not be taken back"));
        }
        let written = self.file.write_all(line).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += line.len() as u64,
            Err(_) => self.torn = self.file.set_len(self.length).is_err(),
        }
        written
    }
}

/// Waits until the names in the folder of a file are on the disk: without it, a power failure can lose a new file whose
/// content is there.
///
/// # Errors
/// If the folder cannot be opened or synced.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems cannot, and a folder may be writable without being readable.
        Err(error) if matches!(error.kind(), InvalidInput | Unsupported | PermissionDenied) => Ok(()),
        result => result,
    }
}

/// The row as a line with its end, as a journal of this version holds it.
///
/// # Errors
/// When it holds a number or text that a journal cannot.
pub fn line(row: &Row) -> Result<Vec<u8>, LogError> {
    Ok(written(row)?.0)
}

/// The row as text that is the same in the journals of all versions that hold the same values: [`line()`] without the newer
/// columns where these are empty.
///
/// # Errors
/// As [`line()`].
pub fn identity(row: &Row) -> Result<Vec<u8>, LogError> {
    let (line, cells) = written(row)?;
    let holds_all = |count: &usize| cells.iter().skip(*count).all(<[u8]>::is_empty);
    // As the earliest version wrote it that has all of its cells.
    let Some(count) = VERSIONS.into_iter().find(holds_all).filter(|count| *count < COLUMNS.len()) else {
        return Ok(line);
    };
    let columns = ByteRecord::from(COLUMNS[..count].to_vec());
    line_of(&cells, &columns).map_err(|error| LogError::Other(error.to_string()))
}

/// The row's cells in the order of [`COLUMNS`], as a journal holds them.
///
/// # Errors
/// When it holds a number or text that a journal cannot.
pub fn cells(row: &Row) -> Result<ByteRecord, LogError> {
    Ok(written(row)?.1)
}

/// Cells in the order of [`COLUMNS`] as a line of a journal with these columns.
fn line_of(cells: &ByteRecord, columns: &ByteRecord) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    let cell = |column: &[u8]| {
        let at = COLUMNS.iter().position(|name| name.as_bytes() == column);
        at.and_then(|at| cells.get(at)).unwrap_or_default()
    };
    writer.write_record(columns.iter().map(cell))?;
    writer.into_inner().map_err(|error| error.into_error())
}

fn written(row: &Row) -> Result<(Vec<u8>, ByteRecord), LogError> {
    let failed =
        |problem: String| LogError::Other(format!("evaluation {} cannot be logged: {problem}", row.evaluation));
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.serialize(row).map_err(|error| failed(error.to_string()))?;
    let line = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    let record = match Rows::new(&line, Separator::Comma).next() {
        Ok(Some((_, record))) => record.clone(),
        Ok(None) => ByteRecord::new(),
        Err(bad) => return Err(failed(bad.reason)),
    };
    // A row that could not be read back is not written.
    read::read_row(&ByteRecord::from(COLUMNS.to_vec()), &record).map_err(failed)?;
    Ok((line, record))
}
