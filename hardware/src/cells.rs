//! Text in rows and cells (CSV), as programs and spreadsheets write it: journals, tables, recordings of power meters.
//!
//! The separator and the decimal sign are decided for a file and not for a line: a number that contradicts the numbers
//! before it is rejected.

mod decimal;

use csv::{ByteRecord, ReaderBuilder, StringRecord};
use serde::{Deserialize, Serialize};

pub(crate) use self::decimal::{BadNumber, Decimal, Thousands};
use crate::shown::line_of;

/// Most cells of a line.
pub(crate) const MOST_CELLS: usize = 256;

/// What stands between the cells of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Separator {
    /// A semicolon, else a tab, else a comma, else blanks, whichever the header or the first reading has.
    #[default]
    Auto,
    /// `,`
    Comma,
    /// `;`; a comma may then be the decimal sign.
    Semicolon,
    /// A tab; a comma may then be the decimal sign.
    Tab,
    /// One or more blanks or tabs; a comma may then be the decimal sign.
    Blanks,
}

impl Separator {
    /// The separator of a line, itself unless it is `Auto`. `has_one` says that the line is one cell, or that only the
    /// first one matters.
    pub(crate) fn of(self, line: &str, has_one: bool) -> Self {
        let is_there = |sign: char| line.split('"').step_by(2).any(|unquoted| unquoted.contains(sign));
        let found = [(';', Self::Semicolon), ('\t', Self::Tab), (',', Self::Comma)];
        match found.into_iter().find(|(sign, _)| is_there(*sign)) {
            _ if self != Self::Auto => self,
            None => Self::Blanks,
            Some((',', _)) if Commas::of(line, has_one) == Commas::Decimal => Self::Blanks,
            Some((_, separator)) => separator,
        }
    }

    /// Whether a comma that was taken for the separator of a line may be its decimal sign as well.
    pub(crate) fn is_unclear(self, line: &str, has_one: bool) -> bool {
        self == Self::Auto && self.of(line, has_one) == Self::Comma && Commas::of(line, has_one) == Commas::Unclear
    }

    fn sign(self) -> u8 {
        match self {
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Auto | Self::Comma | Self::Blanks => b',',
        }
    }

    /// The cells of a line, without quotes and without blanks around them.
    pub(crate) fn cells(self, line: &str) -> Vec<String> {
        if self == Self::Blanks {
            return line.split_whitespace().take(MOST_CELLS).map(|cell| cell.trim_matches('"').to_owned()).collect();
        }
        let mut reader = ReaderBuilder::new()
            .delimiter(self.sign())
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(256)
            .from_reader(line.as_bytes());
        let mut record = StringRecord::new();
        // A line of text in memory can always be read.
        let _ = reader.read_record(&mut record);
        record.iter().take(MOST_CELLS).map(|cell| cell.trim().to_owned()).collect()
    }
}

/// The meaning of the commas of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commas {
    /// They stand between cells.
    Separate,
    /// They are decimal signs, with blanks between the cells: `0,05 3,41`, `Power: 3,41 W`.
    Decimal,
    /// They may be either: `12:00:00 3,41 W`.
    Unclear,
}

impl Commas {
    /// `has_one` is that of [`Separator::of`].
    fn of(line: &str, has_one: bool) -> Self {
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_signed = |text: &str| is_digits(text.trim_start_matches(['+', '-']));
        // With a unit and an exponent, or without.
        let is_number = |part: &&str| {
            let number = part.trim_end_matches(char::is_alphabetic);
            let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
            let (whole, decimals) = mantissa.split_once(',').unwrap_or((mantissa, "0"));
            is_signed(whole) && is_digits(decimals) && is_signed(exponent)
        };
        let has_digits = |part: &&str| part.contains(|c: char| c.is_ascii_digit());
        let parts: Vec<&str> = line.split_whitespace().collect();
        if parts.iter().any(|part| part.contains(',') && !is_number(part)) {
            return Self::Separate;
        }
        let is_labelled = parts.windows(2).any(|two| two[0].ends_with(':') && two[1].contains(','));
        // Units are parts without digits.
        let numbers: Vec<&str> = parts.iter().copied().filter(has_digits).collect();
        let are_cells = parts.first().is_some_and(has_digits) && numbers.iter().all(is_number);
        if is_labelled || (are_cells && (numbers.len() > 1 || has_one)) {
            Self::Decimal
        } else if are_cells {
            Self::Separate
        } else {
            Self::Unclear
        }
    }
}

/// First bytes of files that are not text, and the remedy.
const SIGNATURES: [(&[u8], &str); 10] = [
    (b"PK\x03\x04", "it is a workbook (.xlsx, .ods) or a zip archive: export the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "it is a workbook (.xls): export the table as CSV"),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
    (b"\x1f\x8b", "it is compressed (gzip): unpack it"),
    (b"\x28\xb5\x2f\xfd", "it is compressed (zstd): unpack it"),
    (b"PAR1", "it is a Parquet file: export the table as CSV"),
    (b"SQLite format 3", "it is a database (SQLite): export the table as CSV"),
    (b"\x89HDF", "it is an HDF5 file: export the table as CSV"),
    (b"%PDF", "it is a PDF: export the table as CSV"),
];
const UTF_16: &str = "it is UTF-16 text: save it as UTF-8";

/// The kind of a file that is not CSV text, if its bytes show it, and the remedy.
pub(crate) fn disguise(text: &[u8]) -> Option<&'static str> {
    if let Some((_, what)) = SIGNATURES.iter().find(|(signature, _)| text.starts_with(signature)) {
        return Some(what);
    }
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // Latin letters in UTF-16 without its mark.
    let is_wide = first.len() >= 4 && [0, 1].iter().any(|at| first.iter().skip(*at).step_by(2).all(|byte| *byte == 0));
    let start = text.trim_ascii_start();
    let is_page = |tag: &str| start.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag.as_bytes()));
    if is_wide {
        Some(UTF_16)
    } else if first.contains(&0) || text.windows(2).any(|two| two == [0, 0]) {
        Some("it holds NUL bytes: it is damaged, as by a power failure, or it is a binary file")
    } else if is_page("<!doctype html") || is_page("<html") {
        Some("it is a web page (HTML): download the file itself")
    } else if !text.contains(&b'\n') && text.trim_ascii_end().contains(&b'\r') {
        Some("its lines end with carriage returns alone: save it with line feeds")
    } else {
        None
    }
}

/// Reads the rows of CSV text one after the other, also rows of unequal width.
pub(crate) struct Rows<'a> {
    text: &'a [u8],
    separator: u8,
    reader: csv::Reader<&'a [u8]>,
    record: ByteRecord,
}

/// The reason why a row cannot be read, and the line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRow {
    pub line: u64,
    pub reason: String,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(text: &'a [u8], separator: Separator) -> Self {
        let (separator, mut builder) = (separator.sign(), ReaderBuilder::new());
        let reader = builder.delimiter(separator).has_headers(false).flexible(true).from_reader(text);
        Self { text, separator, reader, record: ByteRecord::new() }
    }

    /// The next row and its line; `None` at the end. Of a row that spans lines it is the first one.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &ByteRecord)>, BadRow> {
        let is_there = self.reader.read_byte_record(&mut self.record);
        let line = self.reader.position().line();
        if !is_there.map_err(|error| BadRow { line, reason: error.to_string() })? {
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
        // The reader closes a quote that is open at the end of the text, with all rows behind it in one cell.
        let is_last = self.reader.position().byte() as usize >= self.text.len();
        let row = self.text.get(offset..).filter(|_| is_last).unwrap_or_default();
        if let Some(before) = open_quote(row, self.separator) {
            line += row[..before].iter().filter(|byte| **byte == b'\n').count() as u64;
            return Err(BadRow { line, reason: "a quote is opened and not closed".to_owned() });
        }
        Ok(Some((line, &self.record)))
    }
}

/// The place of a quote in a row that is opened and not closed.
fn open_quote(row: &[u8], separator: u8) -> Option<usize> {
    let mark = if row.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let (mut open, mut may_open) = (None, true);
    for (at, byte) in row.iter().enumerate().skip(mark) {
        match (byte, open) {
            // One that follows is part of the cell, which goes on.
            (b'"', Some(_)) => (open, may_open) = (None, true),
            (b'"', None) if may_open => open = Some(at),
            (_, Some(_)) => {}
            (byte, None) => may_open = [separator, b'\n', b'\r'].contains(byte),
        }
    }
    open
}

/// A cell as a message shows it.
pub(crate) fn shown(cell: &[u8]) -> String {
    format!("{:?}", line_of(&String::from_utf8_lossy(cell)))
}

/// A cell as text; says so where it is not UTF-8.
pub(crate) fn text(cell: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(cell).map_err(|_| format!("{} is not UTF-8 text", shown(cell)))
}

/// A cell as a finite number; an empty one is a missing value.
pub(crate) fn number(cell: &[u8]) -> Result<Option<f64>, String> {
    number_by(cell, |number| Ok(number.to_owned()))
}

/// The same in a column of a file whose decimal sign its numbers decide.
pub(crate) fn number_in(
    cell: &[u8],
    decimal: &mut Decimal,
    thousands: &mut Thousands,
    has_commas: bool,
) -> Result<Option<f64>, String> {
    let mut plain = |number: &str| {
        let plain = decimal.plain(number, has_commas)?;
        thousands.add(number, *decimal, 0).map(|()| plain)
    };
    number_by(cell, |number| plain(number).map_err(BadNumber::into_reason))
}

fn number_by(cell: &[u8], plain: impl FnOnce(&str) -> Result<String, String>) -> Result<Option<f64>, String> {
    let cell = text(cell.trim_ascii())?;
    if cell.is_empty() {
        return Ok(None);
    }
    let refused = |what: &str| format!("{} is not a {what} (a missing value is an empty cell)", shown(cell.as_bytes()));
    let is_number = cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.,eE".contains(&byte));
    let plain = if is_number { plain(cell)? } else { cell.to_owned() };
    let number: f64 = plain.parse().map_err(|_| refused("number"))?;
    if number.is_finite() { Ok(Some(number)) } else { Err(refused("finite number")) }
}

/// A number that is zero or more.
pub(crate) fn not_negative(number: Option<f64>) -> Result<Option<f64>, String> {
    checked(number, |number| number >= 0.0, "is negative")
}

/// A number that is above zero.
pub(crate) fn positive(number: Option<f64>) -> Result<Option<f64>, String> {
    checked(number, |number| number > 0.0, "is not above zero")
}

/// A number between 0 and `limit`.
pub(crate) fn between_zero_and(number: Option<f64>, limit: f64) -> Result<Option<f64>, String> {
    checked(number, |number| (0.0..=limit).contains(&number), &format!("is not between 0 and {limit}"))
}

fn checked(number: Option<f64>, holds: impl Fn(f64) -> bool, otherwise: &str) -> Result<Option<f64>, String> {
    match number {
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
    let refused = || {
        format!("{} is not a whole number, zero or above (a missing value is an empty cell)", shown(cell.as_bytes()))
    };
    cell.parse().map(Some).map_err(|_| refused())
}

/// A whole number that may be written as a decimal, `200.0`.
pub(crate) fn whole(number: Option<f64>) -> Result<Option<u64>, String> {
    // Beyond 2^53 not every whole number has a form of its own.
    let is_whole = |number: f64| number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    Ok(checked(number, is_whole, "is not a whole number, zero or above")?.map(|number| number as u64))
}

#[cfg(test)]
mod tests;
