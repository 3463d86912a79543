//! Rows and cells of a CSV file, with their place in it.

use std::fmt;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder};

/// A place in a CSV file: `log.csv:12: column "time_ms"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// Line, the header being line 1. Of a row that spans lines the first one.
    pub line: u64,
    /// Name of the column.
    pub column: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, line, column) = (self.path.display(), self.line, &self.column);
        write!(f, "{path}:{line}: column {column:?}")
    }
}

impl Location {
    pub(crate) fn new(path: &Path, line: u64, column: &str) -> Self {
        Self { path: path.to_owned(), line, column: column.to_owned() }
    }
}

/// Reads the rows of CSV text one after the other, also rows of unequal width.
pub(crate) struct Rows<'a> {
    text: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    record: ByteRecord,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        Self { text, reader, record: ByteRecord::new() }
    }

    /// The next row and its line; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &ByteRecord)>, csv::Error> {
        if !self.reader.read_byte_record(&mut self.record)? {
            return Ok(None);
        }
        let (mut line, mut offset) = match self.record.position() {
            Some(position) => (position.line(), position.byte() as usize),
            None => (1, 0),
        };
        // The reader skips empty lines, but calls their place the place of the row behind them.
        while let Some(b'\r' | b'\n') = self.text.get(offset) {
            line += u64::from(self.text[offset] == b'\n');
            offset += 1;
        }
        Ok(Some((line, &self.record)))
    }
}

/// A cell as text; says so where it is not UTF-8.
pub(crate) fn text(cell: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(cell).map_err(|_| format!("{:?} is not UTF-8 text", String::from_utf8_lossy(cell)))
}

/// A cell as a finite number; an empty one is a missing value.
pub(crate) fn number(cell: &[u8]) -> Result<Option<f64>, String> {
    let cell = text(cell.trim_ascii())?;
    if cell.is_empty() {
        return Ok(None);
    }
    let number: f64 =
        cell.parse().map_err(|_| format!("{cell:?} is not a number (a missing value is an empty cell)"))?;
    if !number.is_finite() {
        return Err(format!("{cell:?} is not a finite number (a missing value is an empty cell)"));
    }
    Ok(Some(number))
}

/// A number of something that is zero or more.
pub(crate) fn not_negative(cell: &[u8]) -> Result<Option<f64>, String> {
    checked(cell, |number| number >= 0.0, "is negative")
}

/// A number of something that cannot be zero.
pub(crate) fn positive(cell: &[u8]) -> Result<Option<f64>, String> {
    checked(cell, |number| number > 0.0, "is not above zero")
}

/// A number between 0 and `limit`.
pub(crate) fn between_zero_and(cell: &[u8], limit: f64) -> Result<Option<f64>, String> {
    checked(cell, |number| (0.0..=limit).contains(&number), &format!("is not between 0 and {limit}"))
}

fn checked(cell: &[u8], holds: impl Fn(f64) -> bool, otherwise: &str) -> Result<Option<f64>, String> {
    match number(cell)? {
        Some(number) if !holds(number) => Err(format!("{number} {otherwise}")),
        number => Ok(number),
    }
}

/// A cell as a whole number; an empty one is a missing value.
pub(crate) fn count(cell: &[u8]) -> Result<Option<u64>, String> {
    let cell = text(cell.trim_ascii())?;
    if cell.is_empty() {
        return Ok(None);
    }
    let count = cell.parse();
    count
        .map(Some)
        .map_err(|_| format!("{cell:?} is not a whole number, zero or above (a missing value is an empty cell)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u64, usize)> {
        let mut rows = Rows::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some((line, record)) = rows.next().unwrap() {
            found.push((line, record.len()));
        }
        found
    }

    #[test]
    fn lines_are_right_behind_empty_lines_and_quoted_breaks() {
        assert_eq!(lines("a,b\n1,2\n"), [(1, 2), (2, 2)]);
        assert_eq!(lines("a,b\n\n\r\n1,2,3\n"), [(1, 2), (4, 3)]);
        assert_eq!(lines("a,b\r\n\"x\ny\",2\r\n1,2"), [(1, 2), (2, 2), (4, 2)]);
    }

    #[test]
    fn numbers_are_finite_or_missing() {
        assert_eq!(number(b" 1.5 "), Ok(Some(1.5)));
        assert_eq!(number(b"  "), Ok(None));
        for bad in ["nan", "inf", "-infinity", "1e999", "1,5", "n/a", "0x10"] {
            assert!(number(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(number(b"\xff").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn bounds_hold() {
        assert!(positive(b"0").is_err());
        assert_eq!(not_negative(b"0"), Ok(Some(0.0)));
        assert!(not_negative(b"-0.1").is_err());
        assert_eq!(between_zero_and(b"1", 1.0), Ok(Some(1.0)));
        assert!(between_zero_and(b"1.0001", 1.0).is_err());
        assert_eq!(count(b"12"), Ok(Some(12)));
        assert!(count(b"12.0").is_err());
        assert!(count(b"-1").is_err());
    }
}
