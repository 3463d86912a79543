//! Appending to a measurement log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::read::{self, TornLine};
use super::{LogError, Row};

/// Appends rows to a measurement log. After every [`write`](Self::write) the file ends with a
/// whole line.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
    /// Whether every row is forced to the disk.
    sync: bool,
    /// Whether the file may end in half a line that could not be taken back.
    torn: bool,
}

impl Writer {
    /// Starts a log at `path`, which must not exist yet: a log is never overwritten.
    ///
    /// # Errors
    ///
    /// When the file exists, or cannot be created or written.
    pub fn create(path: &Path) -> Result<Self, LogError> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(|source| file_error("create", path, source))?;
        let mut writer = Self::over(path, file, 0);
        writer.write_header()?;
        Ok(writer)
    }

    /// Goes on with the log at `path`, and returns its rows. A torn last line, as a killed program
    /// leaves it, is cut off and returned too.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or is no sound log; it is left as it was then.
    pub fn append(path: &Path) -> Result<(Self, Vec<Row>, Option<TornLine>), LogError> {
        let content = std::fs::read(path).map_err(|source| file_error("read", path, source))?;
        let (rows, torn, whole) = read::parse(path, &content)?;
        let file = OpenOptions::new().append(true).open(path);
        let file = file.map_err(|source| file_error("open", path, source))?;
        if torn.is_some() {
            file.set_len(whole as u64)
                .and_then(|()| file.sync_data())
                .map_err(|source| file_error("repair", path, source))?;
        }
        let mut writer = Self::over(path, file, whole as u64);
        if whole == 0 {
            writer.write_header()?;
        }
        Ok((writer, rows, torn))
    }

    /// Forces every row to the disk before [`write`](Self::write) returns, so that a power cut
    /// loses none; without it only a crash of the program loses none.
    #[must_use]
    pub fn with_sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// The log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one row with a single write.
    ///
    /// # Errors
    ///
    /// When `row` holds a number or text that the log cannot ([`LogError::Row`]; nothing is
    /// written), and when the disk is full or fails: then what was written of the row is taken
    /// back ([`LogError::Write`]) or, where that fails as well, the writer refuses any further
    /// row ([`LogError::Torn`]).
    pub fn write(&mut self, row: &Row) -> Result<(), LogError> {
        let line = line(row)?;
        self.write_line(&line).map_err(|source| {
            let (path, evaluation) = (self.path.clone(), row.evaluation);
            if self.torn {
                LogError::Torn { path, evaluation, source }
            } else {
                LogError::Write { path, evaluation, source }
            }
        })
    }

    pub(super) fn over(path: &Path, file: File, length: u64) -> Self {
        Self { path: path.to_owned(), file, length, sync: false, torn: false }
    }

    fn write_header(&mut self) -> Result<(), LogError> {
        let line = format!("{}\n", read::header());
        self.write_line(line.as_bytes()).map_err(|source| file_error("create", &self.path, source))
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            return Err(io::Error::other("an earlier row could not be taken back"));
        }
        let written = self.file.write_all(line).and_then(|()| self.file.flush());
        let written = match self.sync {
            true => written.and_then(|()| self.file.sync_data()),
            false => written,
        };
        match written {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.torn = self.file.set_len(self.length).is_err();
                Err(error)
            }
        }
    }
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> LogError {
    LogError::File { action, path: path.to_owned(), source }
}

/// The row as a line with its end, as a log holds it.
///
/// # Errors
/// When it holds a number or text that the log cannot ([`LogError::Row`]).
pub fn line(row: &Row) -> Result<Vec<u8>, LogError> {
    let refused = |column: &'static str, problem: String| LogError::Row { evaluation: row.evaluation, column, problem };
    let number = |column: &'static str, value: Option<f64>, lowest: Lowest| match value {
        None => Ok(String::new()),
        Some(value) if lowest.allows(value) => Ok(value.to_string()),
        Some(value) => Err(refused(column, format!("{value} {}", lowest.otherwise()))),
    };
    let count = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    if row.architecture.is_empty() {
        return Err(refused("architecture", "the text is empty".to_owned()));
    }
    read::check_architecture(&row.architecture).map_err(|problem| refused("architecture", problem))?;
    let started_at = row.started_at.as_deref().unwrap_or_default();
    if !started_at.is_empty() {
        read::check_time_stamp(started_at).map_err(|problem| refused("started_at", problem))?;
    }

    use Lowest::{AboveZero, Fraction, Zero};
    let cells = [
        row.evaluation.to_string(),
        started_at.to_owned(),
        row.architecture.clone(),
        row.status.to_string(),
        number("accuracy", row.accuracy, Fraction)?,
        number("time_ms", row.time_ms, AboveZero)?,
        number("time_ms_std", row.time_ms_std, Zero)?,
        count(row.time_runs),
        number("energy_mj", row.energy_mj, Zero)?,
        number("energy_mj_std", row.energy_mj_std, Zero)?,
        count(row.power_samples),
        number("idle_power_mw", row.idle_power_mw, Zero)?,
        one_line(row.device.as_deref()),
        count(row.epochs),
        number("train_seconds", row.train_seconds, Zero)?,
        number("measure_seconds", row.measure_seconds, Zero)?,
        one_line(row.message.as_deref()),
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(&cells)
        .and_then(|()| writer.flush().map_err(csv::Error::from))
        .map_err(|error| refused("architecture", error.to_string()))?;
    writer.into_inner().map_err(|error| refused("architecture", error.to_string()))
}

/// The least a number may be.
#[derive(Clone, Copy)]
enum Lowest {
    Zero,
    AboveZero,
    Fraction,
}

impl Lowest {
    fn allows(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Zero => value >= 0.0,
                Self::AboveZero => value > 0.0,
                Self::Fraction => (0.0..=1.0).contains(&value),
            }
    }

    fn otherwise(self) -> &'static str {
        match self {
            Self::Zero => "is not a finite number, zero or above",
            Self::AboveZero => "is not a finite number above zero",
            Self::Fraction => "is not between 0 and 1",
        }
    }
}

fn one_line(text: Option<&str>) -> String {
    let text = text.unwrap_or_default().replace("\r\n", "\n");
    text.trim_end_matches(['\n', '\r']).replace(['\n', '\r'], "; ")
}
