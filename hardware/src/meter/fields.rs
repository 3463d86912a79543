//! The columns of a line and their units.

use serde::{Deserialize, Serialize};

use super::MeterError;
use super::power_meter::MOST_MW;
pub use crate::cells::Separator;
use crate::cells::{Decimal, MOST_CELLS};
use crate::shown::start_of;

/// Longest line that is read, in bytes.
pub(super) const MAX_LINE: usize = 4096;
/// Largest value of a number's last digit, in the number's unit.
const COARSEST: f64 = 1e15;

/// Columns of a meter's lines, as an experiment file names them: power, or volts and amperes, and perhaps a time.
///
/// ```toml
/// time = { column = "t", unit = "ms" }
/// volts = { column = 2, unit = "v" }
/// amperes = { column = 3, unit = "ma" }
/// separator = "semicolon"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    /// Power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<Field<PowerUnit>>,
    /// Voltage, where power is not printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volts: Option<Field<VoltageUnit>>,
    /// Current, where power is not printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amperes: Option<Field<CurrentUnit>>,
    /// The meter's own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Field<StampUnit>>,
    /// The separator of columns; `auto` by default.
    pub separator: Separator,
}

/// A column and the unit of its numbers. `U` is the kind of quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field<U> {
    /// The column.
    pub column: Place,
    /// Its unit.
    pub unit: U,
}

/// Name or number of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a column is a number, 1 for the first, or a name of the header")]
pub enum Place {
    /// By its number; the first is 1.
    Number(usize),
    /// By its name in the header line.
    Name(String),
}

/// Unit of a power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerUnit {
    /// Watts.
    W,
    /// Milliwatts.
    Mw,
    /// Microwatts.
    Uw,
}

/// Unit of a voltage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoltageUnit {
    /// Volts.
    V,
    /// Millivolts.
    Mv,
}

/// Unit of a current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurrentUnit {
    /// Amperes.
    A,
    /// Milliamperes.
    Ma,
    /// Microamperes.
    Ua,
}

/// Unit of a time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StampUnit {
    /// Seconds since an arbitrary instant.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
    /// Date and time with its offset: `2026-03-01T12:00:00.25Z`.
    Rfc3339,
}

/// A reading as a line contains it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// The meter's own time, in ns since an arbitrary instant; since 1970 if it is a date.
    pub own_ns: Option<f64>,
    pub power_mw: f64,
    /// The value of one unit of the last printed digit, in mW.
    pub step_mw: f64,
}

/// Reads lines, whose header or first reading determines their layout.
#[derive(Debug, Clone, Default)]
pub(super) struct LineReader {
    fields: Fields,
    layout: Option<Layout>,
}

/// [`Fields`] with each column's number, counted from 0.
#[derive(Debug, Clone, PartialEq)]
struct Layout {
    /// Power, or volts and amperes, whose product it is.
    factors: Vec<Column>,
    time: Option<(usize, StampUnit)>,
    /// `Auto` until the header or a reading determines it.
    separator: Separator,
    decimal: Decimal,
    /// Cells of the header or the first reading.
    width: Option<usize>,
}

/// A column's number, the value of its unit in mW, mW/A or A, and the unit's symbol in lower case.
type Column = (usize, f64, &'static str);

impl PowerUnit {
    fn factor(self) -> (f64, &'static str) {
        match self {
            Self::W => (1e3, "w"),
            Self::Mw => (1.0, "mw"),
            Self::Uw => (1e-3, "uw"),
        }
    }
}

impl VoltageUnit {
    fn factor(self) -> (f64, &'static str) {
        match self {
            Self::V => (1e3, "v"),
            Self::Mv => (1.0, "mv"),
        }
    }
}

impl CurrentUnit {
    fn factor(self) -> (f64, &'static str) {
        match self {
            Self::A => (1.0, "a"),
            Self::Ma => (1e-3, "ma"),
            Self::Ua => (1e-6, "ua"),
        }
    }
}

impl Fields {
    /// An error if the columns give power in no way or in two ways, or a column's number is 0 or above 256.
    pub fn check(&self) -> Result<(), MeterError> {
        let settings = |problem: &str| Err(MeterError::Settings(problem.to_owned()));
        match (&self.power, &self.volts, &self.amperes) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => {}
            _ => return settings("a meter's columns are either `power`, or both `volts` and `amperes`"),
        }
        let possible = |place: &Place| match place {
            Place::Number(number) => (1..=MOST_CELLS).contains(number),
            Place::Name(name) => !name.trim().is_empty(),
        };
        if self.places().all(possible) {
            return Ok(());
        }
        settings("a meter's column is its number, from 1 to 256, or its name in the header")
    }

    /// Whether a column has a name, so that a header is necessary.
    fn has_names(&self) -> bool {
        self.places().any(|place| matches!(place, Place::Name(_)))
    }

    fn factors(&self) -> impl Iterator<Item = (&Place, (f64, &'static str))> {
        let power = self.power.iter().map(|field| (&field.column, field.unit.factor()));
        let volts = self.volts.iter().map(|field| (&field.column, field.unit.factor()));
        let amperes = self.amperes.iter().map(|field| (&field.column, field.unit.factor()));
        power.chain(volts).chain(amperes)
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.factors().map(|(place, _)| place).chain(self.time.iter().map(|field| &field.column))
    }

    /// The columns' numbers according to a header; without names any line serves. The error names the first column that
    /// the line lacks.
    fn layout(&self, header: &str) -> Result<Layout, String> {
        let header = header.trim().trim_start_matches(['#', '\u{feff}']);
        let separator = self.separator.of(header, false);
        let mut names = separator.cells(header);
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        let find = |place: &Place| match place {
            Place::Number(number) => Ok(number.saturating_sub(1)),
            Place::Name(name) => {
                let is_named = |column: &usize| names[*column].eq_ignore_ascii_case(name.trim());
                let found: Vec<usize> = (0..names.len()).filter(is_named).collect();
                match found[..] {
                    [] => Err(format!("there is no column {name:?}")),
                    [at] => Ok(at),
                    _ => Err(format!("{} columns are called {name:?}: name it by its number", found.len())),
                }
            }
        };
        let factors = self.factors().map(|(place, (factor, sign))| Ok::<_, String>((find(place)?, factor, sign)));
        let time = self.time.as_ref().map(|field| Ok::<_, String>((find(&field.column)?, field.unit)));
        Ok(Layout {
            factors: factors.collect::<Result<_, _>>()?,
            time: time.transpose()?,
            separator: if self.has_names() { separator } else { self.separator },
            decimal: Decimal::default(),
            width: self.has_names().then_some(names.len()),
        })
    }
}

impl LineReader {
    pub fn new(fields: Fields) -> Self {
        Self { fields, layout: None }
    }

    pub fn knows_layout(&self) -> bool {
        self.layout.is_some()
    }

    /// The reading in a line; `None` for a header.
    pub fn read(&mut self, line: &str) -> Result<Option<Row>, String> {
        if let Some(layout) = &mut self.layout {
            return layout.read(line).map(Some);
        }
        let layout = self.layout.insert(self.fields.layout(line)?);
        if self.fields.has_names() { Ok(None) } else { layout.read(line).map(Some) }
    }
}

impl Layout {
    /// Reads a line. The first reading determines the format for all that follow, if the header has not.
    fn read(&mut self, line: &str) -> Result<Row, String> {
        if line.len() > MAX_LINE {
            return Err(format!("it has {} bytes, more than any reading", line.len()));
        }
        let line = line.trim();
        let columns = self.factors.iter().map(|(column, ..)| *column).chain(self.time.map(|(column, _)| column));
        let has_one = columns.into_iter().all(|column| column == 0);
        let separator = self.separator.of(line, has_one);
        let cells = separator.cells(line);
        let width = self.width.unwrap_or(cells.len());
        // Units and dates may contain blanks.
        let is_torn = cells.len() < width || cells[width..].iter().any(|cell| !cell.is_empty());
        let mut decimal = self.decimal;
        let mut numbers = Numbers { cells: &cells, decimal: &mut decimal, has_commas: separator == Separator::Comma };
        let (mut power_mw, mut step_mw) = (1.0_f64, 0.0);
        for factor in &self.factors {
            let (value, step) = numbers.value(*factor)?;
            (power_mw, step_mw) = (power_mw * value, step_mw * value.abs() + power_mw.abs() * step);
        }
        if power_mw.abs() > MOST_MW {
            return Err(format!("{:.0} W is more than any meter here reads", power_mw / 1e3));
        }
        let own_ns = self.time.map(|(column, unit)| numbers.stamp(column, unit)).transpose()?;
        if is_torn && separator != Separator::Blanks {
            return Err(format!("it has {} cells instead of {width}", cells.len()));
        }
        (self.separator, self.decimal, self.width) = (separator, decimal, Some(width));
        Ok(Row { own_ns, power_mw, step_mw })
    }
}

/// The cells of a line and the decimal sign of their file.
struct Numbers<'a> {
    cells: &'a [String],
    decimal: &'a mut Decimal,
    has_commas: bool,
}

impl<'a> Numbers<'a> {
    fn cell(&self, column: usize) -> Result<&'a str, String> {
        let cell = self.cells.get(column).map(String::as_str).filter(|cell| !cell.is_empty());
        cell.ok_or_else(|| format!("column {} is missing", column + 1))
    }

    /// A column's number and the value of its last digit, in mW, mW/A or A.
    fn value(&mut self, (column, factor, sign): Column) -> Result<(f64, f64), String> {
        let text = self.cell(column)?;
        let (digits, unit) = split_unit(text);
        let rejected = || format!("{:?} is not a number in {sign}", start_of(text, 80));
        if !unit.is_empty() && unit != sign {
            return Err(rejected());
        }
        let plain = self.decimal.plain(digits, self.has_commas)?;
        let (value, step) = number(&plain).ok_or_else(rejected)?;
        Ok((value * factor, step * factor))
    }

    /// A time stamp in ns.
    fn stamp(&mut self, column: usize, unit: StampUnit) -> Result<f64, String> {
        let text = self.cell(column)?;
        let rejected = || format!("{:?} is not a time stamp", start_of(text, 80));
        let factor = match unit {
            StampUnit::S => 1e9,
            StampUnit::Ms => 1e6,
            StampUnit::Us => 1e3,
            StampUnit::Ns => 1.0,
            StampUnit::Rfc3339 => {
                let at: jiff::Timestamp = text.parse().map_err(|_| rejected())?;
                return Ok(at.as_nanosecond() as f64);
            }
        };
        let plain = self.decimal.plain(text, self.has_commas)?;
        let (value, _) = number(&plain).ok_or_else(rejected)?;
        Some(value * factor).filter(|ns| ns.abs() < 1e19).ok_or_else(rejected)
    }
}

/// A number and the unit symbol after it, in lower case.
fn split_unit(text: &str) -> (&str, String) {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic()).trim_end();
    (digits, text[digits.len()..].trim().to_lowercase().replace(['µ', 'μ'], "u"))
}

/// A decimal number, and the value of its last digit.
fn number(plain: &str) -> Option<(f64, f64)> {
    if plain.is_empty() || plain.len() > 40 || !plain.bytes().all(|c| c.is_ascii_digit() || b"+-.eE".contains(&c)) {
        return None;
    }
    let value: f64 = plain.parse().ok().filter(|value: &f64| value.is_finite())?;
    let (mantissa, exponent) = plain.split_once(['e', 'E']).unwrap_or((plain, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let exponent: i32 = exponent.parse().ok()?;
    let step = 10f64.powi(exponent.saturating_sub(i32::try_from(decimals).ok()?));
    // A zero may have any exponent, `0e310`, which then has no meaning.
    (step <= COARSEST).then_some((value, step))
}

#[cfg(test)]
mod tests;
