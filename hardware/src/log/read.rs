//! Reading a journal.

use std::fs;
use std::path::Path;
use std::str::FromStr as _;

use csv::ByteRecord;

use super::{COLUMNS, FIRST, LogError, Row, Status};
use crate::cells::{self, BadRow, Rows, Separator};

/// A last line without its end, as a program leaves that is killed while it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornLine {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Its beginning, as far as it was written; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// All rows of a journal.
///
/// # Errors
///
/// When the file cannot be read, is not a journal, or has a row or cell that no [`Writer`](super::Writer) writes: a torn
/// last line too ([`read_whole_lines`] is for a journal that is still being written).
pub fn read(path: &Path) -> Result<Vec<Row>, LogError> {
    match read_whole_lines(path)? {
        (rows, None) => Ok(rows),
        (_, Some(TornLine { line, .. })) => Err(LogError::Other(format!(
            "{}:{line}: the last line is torn (it has no line break at its end): resume the run, which repairs it, or \
             delete that line",
            path.display()
        ))),
    }
}

/// All rows of a journal but a torn last line, which is returned beside them. The file is not touched.
///
/// # Errors
///
/// As [`read`], but for the torn line.
pub fn read_whole_lines(path: &Path) -> Result<(Vec<Row>, Option<TornLine>), LogError> {
    let content = fs::read(path).map_err(|error| file_error("read", path, &error))?;
    let Parsed { rows, torn, .. } = parse(path, &content)?;
    Ok((rows, torn))
}

/// Whether a line, with or without its end, is the header of a journal of any version.
pub fn is_journal(line: &[u8]) -> bool {
    let first = Rows::new(line, Separator::Comma).next().ok().flatten().map(|(_, record)| record.clone());
    first.is_some_and(|header| check_header(&header).is_ok())
}

/// The content of a journal.
#[derive(Debug)]
pub(super) struct Parsed {
    pub rows: Vec<Row>,
    pub torn: Option<TornLine>,
    /// Number of bytes up to the torn line.
    pub whole: usize,
    /// Names of its columns; empty where the file does not even have a whole header.
    pub columns: ByteRecord,
}

pub(super) fn parse(path: &Path, content: &[u8]) -> Result<Parsed, LogError> {
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (content, rest) = content.split_at(whole);
    let torn = (!rest.is_empty()).then(|| TornLine {
        line: 1 + content.iter().filter(|byte| **byte == b'\n').count() as u64,
        text: String::from_utf8_lossy(rest).into_owned(),
    });
    let not_a_journal = |line: u64, problem: String| {
        LogError::Other(format!("{}:{line}: this is not a measurement log: {problem}", path.display()))
    };
    if whole == 0 {
        // Only the beginning of a header may be repaired: any other text belongs to a file of another kind.
        if header().as_bytes().starts_with(rest) {
            return Ok(Parsed { rows: Vec::new(), torn, whole: 0, columns: ByteRecord::new() });
        }
        return Err(not_a_journal(1, format!("its only line is not {:?}", header())));
    }

    let unreadable = |bad: BadRow| bad_row(path, &bad);
    let mut lines = Rows::new(content, Separator::Comma);
    let first = lines.next().map_err(unreadable)?.map(|(line, record)| (line, record.clone()));
    let (line, first) = first.unwrap_or((1, ByteRecord::new()));
    check_header(&first).map_err(|problem| not_a_journal(line, problem))?;
    let mut rows = Vec::new();
    while let Some((line, record)) = lines.next().map_err(unreadable)? {
        rows.push(read_row(&first, record).map_err(|problem| {
            let torn = if record.len() == first.len() { "" } else { ": it is torn, or was edited by hand" };
            LogError::Other(format!("{}:{line}: {problem}{torn}", path.display()))
        })?);
    }
    Ok(Parsed { rows, torn, whole, columns: first })
}

/// The header line without its end.
pub(super) fn header() -> String {
    COLUMNS.join(",")
}

pub(super) fn file_error(action: &str, path: &Path, error: &dyn std::fmt::Display) -> LogError {
    LogError::Other(format!("cannot {action} the log {}: {error}", path.display()))
}

pub(super) fn bad_row(path: &Path, BadRow { line, reason }: &BadRow) -> LogError {
    LogError::Other(format!("{}:{line}: {reason}: delete or mend that line", path.display()))
}

/// The first column of the first version that a header lacks; `None` for a journal's.
pub(super) fn lacking(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    COLUMNS[..FIRST].iter().copied().find(|name| !has(name))
}

/// Rejects a header that lacks a column of the first version, or names one twice. Others are those of later versions.
fn check_header(record: &ByteRecord) -> Result<(), String> {
    let count = |name: &str| record.iter().filter(|column| *column == name.as_bytes()).count();
    if let Some(name) = lacking(|name| count(name) > 0) {
        return Err(format!("it lacks the column {name:?} (a foreign log is read by naming its columns)"));
    }
    match COLUMNS.iter().find(|name| count(name) > 1) {
        Some(name) => Err(format!("it has the column {name:?} twice")),
        None => Ok(()),
    }
}

/// The row in those columns of a record that a [`Row`] has. Other columns are ignored; a value without a column is
/// missing.
///
/// # Errors
/// When the record has not as many cells as the header, or a cell does not hold what its column asks, with the column.
pub fn read_row(header: &ByteRecord, record: &ByteRecord) -> Result<Row, String> {
    if record.len() != header.len() {
        return Err(format!("the row has {} cells instead of {}", record.len(), header.len()));
    }
    for (column, cell) in header.iter().zip(record) {
        check(column, cell).map_err(|problem| format!("column {:?}: {problem}", String::from_utf8_lossy(column)))?;
    }
    record.deserialize(Some(header)).map_err(|error| error.to_string())
}

/// Whether a cell holds what its column asks: the same for rows that are read and rows that are written.
fn check(column: &[u8], cell: &[u8]) -> Result<(), String> {
    match column {
        b"evaluation" if cell.is_empty() => Err("the cell is empty; it must hold a whole number".to_owned()),
        b"evaluation" | b"time_runs" | b"power_samples" | b"epochs" => cells::count(cell).map(drop),
        b"started_at" if !cell.is_empty() && cells::text(cell)?.parse::<jiff::Timestamp>().is_err() => {
            Err(format!("{} is not a time like 2026-01-31T23:59:59Z (RFC 3339)", cells::shown(cell)))
        }
        b"architecture" if cell.is_empty() => Err("the cell is empty; every row has an architecture".to_owned()),
        b"architecture" | b"device" | b"message" | b"trainer" | b"target"
            if cells::text(cell)?.contains(['\n', '\r']) =>
        {
            Err("the text has a line break in it: a row is one line".to_owned())
        }
        b"status" => Status::from_str(cells::text(cell)?).map(drop),
        b"accuracy" => cells::between_zero_and(cells::number(cell)?, 1.0).map(drop),
        b"time_ms" | b"time_ms_p50" | b"time_ms_p95" | b"time_ms_p99" => {
            cells::positive(cells::number(cell)?).map(drop)
        }
        b"time_ms_std" | b"energy_mj" | b"energy_mj_std" | b"idle_power_mw" | b"train_seconds" | b"measure_seconds" => {
            cells::not_negative(cells::number(cell)?).map(drop)
        }
        _ => Ok(()),
    }
}
