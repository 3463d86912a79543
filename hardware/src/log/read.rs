//! Reading a measurement log.

use std::fs;
use std::path::Path;
use std::str::FromStr as _;

use csv::ByteRecord;

use super::{COLUMNS, LogError, Row, Status};
use crate::cells::{self, Location, Rows};

/// A last line without its end, as a program leaves that is killed while it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornLine {
    /// Its line, the header being line 1.
    pub line: u64,
    /// What of it was written; what is not UTF-8 in it is replaced.
    pub text: String,
}

/// All rows of a measurement log.
///
/// # Errors
///
/// When the file cannot be read, is no measurement log, or has a row or cell that no [`Writer`]
/// writes: a torn last line too ([`read_whole_lines`] is for a log that is still being written).
///
/// [`Writer`]: super::Writer
pub fn read(path: &Path) -> Result<Vec<Row>, LogError> {
    match read_whole_lines(path)? {
        (rows, None) => Ok(rows),
        (_, Some(torn)) => Err(LogError::TornLine { path: path.to_owned(), line: torn.line }),
    }
}

/// All rows of a measurement log but a torn last line, which is returned beside them. The file is
/// not touched.
///
/// # Errors
///
/// As [`read`], but for the torn line.
pub fn read_whole_lines(path: &Path) -> Result<(Vec<Row>, Option<TornLine>), LogError> {
    let content = fs::read(path).map_err(|source| LogError::File { action: "read", path: path.to_owned(), source })?;
    let (rows, torn, _) = parse(path, &content)?;
    Ok((rows, torn))
}

/// Rows, torn last line, and the number of bytes up to it.
pub(super) fn parse(path: &Path, content: &[u8]) -> Result<(Vec<Row>, Option<TornLine>, usize), LogError> {
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (content, rest) = content.split_at(whole);
    let torn = (!rest.is_empty()).then(|| TornLine {
        line: 1 + content.iter().filter(|byte| **byte == b'\n').count() as u64,
        text: String::from_utf8_lossy(rest).into_owned(),
    });
    if whole == 0 {
        // Only the beginning of a header may be repaired: anything else is somebody's own file.
        if header().as_bytes().starts_with(rest) {
            return Ok((Vec::new(), torn, 0));
        }
        return Err(LogError::Header {
            path: path.to_owned(),
            problem: format!("its only line is not {:?}", header()),
        });
    }

    let mut lines = Rows::new(content);
    match lines.next().map_err(|error| unreadable(path, error))? {
        Some((_, record)) => check_header(path, record)?,
        None => check_header(path, &ByteRecord::new())?,
    }
    let mut rows = Vec::new();
    while let Some((line, record)) = lines.next().map_err(|error| unreadable(path, error))? {
        rows.push(row(path, line, record)?);
    }
    Ok((rows, torn, whole))
}

/// The header line without its end.
pub(super) fn header() -> String {
    COLUMNS.join(",")
}

fn unreadable(path: &Path, error: csv::Error) -> LogError {
    LogError::File { action: "read", path: path.to_owned(), source: error.into() }
}

fn check_header(path: &Path, record: &ByteRecord) -> Result<(), LogError> {
    let differs =
        (0..COLUMNS.len().max(record.len())).find(|&at| record.get(at) != COLUMNS.get(at).map(|name| name.as_bytes()));
    let Some(at) = differs else {
        return Ok(());
    };
    let describe = |cell: Option<&[u8]>| {
        cell.map_or_else(|| "missing".to_owned(), |cell| format!("{:?}", String::from_utf8_lossy(cell)))
    };
    Err(LogError::Header {
        path: path.to_owned(),
        problem: format!(
            "column {} is {}, expected {} (a foreign log is read by naming its columns)",
            at + 1,
            describe(record.get(at)),
            COLUMNS.get(at).map_or("the end".to_owned(), |name| format!("{name:?}")),
        ),
    })
}

/// Hands out the cells of a record in the order of [`COLUMNS`].
struct Cells<'a> {
    path: &'a Path,
    line: u64,
    record: &'a ByteRecord,
    next: usize,
}

impl Cells<'_> {
    fn take<T>(&mut self, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T, LogError> {
        let at = self.next;
        self.next += 1;
        parse(&self.record[at])
            .map_err(|problem| LogError::Cell { location: Location::new(self.path, self.line, COLUMNS[at]), problem })
    }
}

fn row(path: &Path, line: u64, record: &ByteRecord) -> Result<Row, LogError> {
    if record.len() != COLUMNS.len() {
        return Err(LogError::Width { path: path.to_owned(), line, expected: COLUMNS.len(), found: record.len() });
    }
    let mut cells = Cells { path, line, record, next: 0 };
    // Fields of a struct literal are evaluated in the order they stand here: that of COLUMNS.
    Ok(Row {
        evaluation: cells.take(required_count)?,
        started_at: cells.take(time_stamp)?,
        architecture: cells.take(architecture)?,
        status: cells.take(|cell| Status::from_str(cells::text(cell)?))?,
        accuracy: cells.take(|cell| cells::between_zero_and(cell, 1.0))?,
        time_ms: cells.take(cells::positive)?,
        time_ms_std: cells.take(cells::not_negative)?,
        time_runs: cells.take(cells::count)?,
        energy_mj: cells.take(cells::not_negative)?,
        energy_mj_std: cells.take(cells::not_negative)?,
        power_samples: cells.take(cells::count)?,
        idle_power_mw: cells.take(cells::not_negative)?,
        device: cells.take(optional_line)?,
        epochs: cells.take(cells::count)?,
        train_seconds: cells.take(cells::not_negative)?,
        measure_seconds: cells.take(cells::not_negative)?,
        message: cells.take(optional_line)?,
    })
}

fn required_count(cell: &[u8]) -> Result<u64, String> {
    cells::count(cell)?.ok_or_else(|| "the cell is empty; it must hold a whole number".to_owned())
}

fn optional_text(cell: &[u8]) -> Result<Option<String>, String> {
    let text = cells::text(cell)?;
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// A text as the writer leaves it, which puts `; ` in the place of line breaks.
fn optional_line(cell: &[u8]) -> Result<Option<String>, String> {
    let text = optional_text(cell)?;
    if text.as_ref().is_some_and(|text| text.contains(['\n', '\r'])) {
        return Err("the text has a line break in it: a row is one line".to_owned());
    }
    Ok(text)
}

fn architecture(cell: &[u8]) -> Result<String, String> {
    let text = optional_text(cell)?.ok_or("the cell is empty; every row has an architecture")?;
    check_architecture(&text)?;
    Ok(text)
}

fn time_stamp(cell: &[u8]) -> Result<Option<String>, String> {
    let text = optional_text(cell)?;
    if let Some(text) = &text {
        check_time_stamp(text)?;
    }
    Ok(text)
}

pub(super) fn check_architecture(text: &str) -> Result<(), String> {
    if text.contains(['\n', '\r']) {
        return Err("the architecture has a line break in it".to_owned());
    }
    Ok(())
}

pub(super) fn check_time_stamp(text: &str) -> Result<(), String> {
    match text.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{text:?} is not a time like 2026-01-31T23:59:59Z (RFC 3339)")),
    }
}
