//! Text in rows and cells (CSV), as programs and spreadsheets write it: journals, tables, recordings of power meters.
//!
//! The separator and the decimal sign are decided for a file and not for a line: a number that contradicts the numbers
//! before it is rejected.

use csv::{ByteRecord, ReaderBuilder, StringRecord};
use serde::{Deserialize, Serialize};

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
        match numbers.len() {
            _ if is_labelled => Self::Decimal,
            count if are_cells && (count > 1 || has_one) => Self::Decimal,
            _ if are_cells => Self::Separate,
            _ => Self::Unclear,
        }
    }
}

/// The reason why a text is not a number of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadNumber {
    /// It shows that numbers before it may have been misread, or that it may be itself.
    Contradiction(String),
    /// It is none of this file.
    NotOne(String),
}

impl BadNumber {
    fn into_reason(self) -> String {
        match self {
            Self::Contradiction(reason) | Self::NotOne(reason) => reason,
        }
    }
}

/// The decimal sign of a file, as far as its numbers show it: `0.5` and `2143,50` can only be decimals, `1,200` may be
/// one or a thousand and more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Decimal {
    has_point: bool,
    has_comma: bool,
    /// The sign of numbers that were read as decimals although they may be thousands.
    assumed: Option<char>,
}

impl Decimal {
    /// A number with a point for its decimal sign, unless it has, or may have, separators of thousands. `has_commas` says
    /// that commas stand between the cells.
    pub(crate) fn plain(&mut self, number: &str, has_commas: bool) -> Result<String, BadNumber> {
        let signs: Vec<char> = number.chars().filter(|sign| matches!(sign, '.' | ',')).collect();
        let shown = || shown(number.as_bytes());
        let (sign, other) = match signs[..] {
            [] => return Ok(number.to_owned()),
            ['.'] => ('.', ','),
            [_] => (',', '.'),
            _ => return Err(BadNumber::NotOne(format!("{} has more than one decimal sign", shown()))),
        };
        let is_known = |sign| if sign == '.' { self.has_point } else { self.has_comma };
        let may_be_thousands = may_be_thousands(number, sign);
        if self.assumed == Some(other) || (may_be_thousands && is_known(other)) {
            let reason =
                format!("{} has `{sign}` for its decimal sign, other numbers before it have `{other}`", shown());
            // Where the file's sign is certain, or this number's is not, those before it were read rightly.
            let is_damage = is_known(other) || may_be_thousands;
            return Err(if is_damage { BadNumber::NotOne(reason) } else { BadNumber::Contradiction(reason) });
        }
        if may_be_thousands && sign == ',' && has_commas && !self.has_comma {
            return Err(BadNumber::Contradiction(format!(
                "{} may be a decimal or have a separator of thousands: write it with a point",
                shown()
            )));
        }
        match sign {
            _ if may_be_thousands => self.assumed = Some(sign),
            '.' => self.has_point = true,
            _ => self.has_comma = true,
        }
        Ok(number.replace(',', "."))
    }
}

impl Decimal {
    /// Whether commas are taken for decimal signs although they may separate thousands.
    pub(crate) fn assumes_commas(self) -> bool {
        self.assumed == Some(',') && !self.has_comma
    }

    /// Takes notice of a cell that is not read, if it is a number that can only be a decimal.
    pub(crate) fn notice(&mut self, cell: &str) {
        let is_decimal = |sign| {
            cell.split_once(sign).is_some_and(|(whole, decimals): (&str, &str)| {
                let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                is_digits(whole.trim_start_matches(['+', '-'])) && is_digits(decimals) && !may_be_thousands(cell, sign)
            })
        };
        self.has_point |= is_decimal('.');
        self.has_comma |= is_decimal(',');
    }
}

fn may_be_thousands(number: &str, sign: char) -> bool {
    number.split_once(sign).is_some_and(|(whole, decimals)| {
        let whole = whole.trim_start_matches(['+', '-']);
        decimals.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0')
    })
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
    reader: csv::Reader<&'a [u8]>,
    record: ByteRecord,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(text: &'a [u8], separator: Separator) -> Self {
        let mut builder = ReaderBuilder::new();
        let reader = builder.delimiter(separator.sign()).has_headers(false).flexible(true).from_reader(text);
        Self { text, reader, record: ByteRecord::new() }
    }

    /// The next row and its line; `None` at the end. Of a row that spans lines it is the first one.
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

/// The same in a file whose decimal sign its numbers decide.
pub(crate) fn number_in(cell: &[u8], decimal: &mut Decimal, has_commas: bool) -> Result<Option<f64>, String> {
    number_by(cell, |number| decimal.plain(number, has_commas).map_err(BadNumber::into_reason))
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
