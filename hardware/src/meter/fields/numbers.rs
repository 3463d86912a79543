//! Numbers, units and time stamps in the cells of a line.

use std::fmt;

use super::dates::Dates;
use super::units::{StampUnit, Unit};
use crate::cells::{self, BadNumber, Decimal};

/// Largest value of a number's last digit, in the number's unit.
const COARSEST: f64 = 1e15;
/// Texts in the place of a number that is not known at the moment.
const MISSING: [&str; 14] = [
    "",
    "-",
    "--",
    "n/a",
    "na",
    "nan",
    "null",
    "none",
    "unavailable",
    "unknown",
    "[n/a]",
    "[not supported]",
    "[unknown error]",
    "err!",
];

/// The reason why a line is not a reading.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::meter) enum Rejected {
    /// The meter knew no value at that moment.
    Missing(String),
    /// The line is damaged, or not a reading at all. A few of them are left out.
    Damaged(String),
    /// The line shows that earlier ones were, or later ones would be, misread.
    Contradiction(String),
}

/// A column's number and unit, and its unit according to the header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub at: usize,
    pub unit: Unit,
    pub in_header: Option<Unit>,
}

impl Rejected {
    pub fn reason(&self) -> &str {
        match self {
            Self::Missing(reason) | Self::Damaged(reason) | Self::Contradiction(reason) => reason,
        }
    }

    pub fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Missing(reason) => Self::Missing(change(reason)),
            Self::Damaged(reason) => Self::Damaged(change(reason)),
            Self::Contradiction(reason) => Self::Contradiction(change(reason)),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl From<BadNumber> for Rejected {
    fn from(bad: BadNumber) -> Self {
        match bad {
            BadNumber::Contradiction(reason) => Self::Contradiction(reason),
            BadNumber::NotOne(reason) => Self::Damaged(reason),
        }
    }
}

/// The cells of a line and the decimal sign of their file.
pub(super) struct Numbers<'a> {
    pub cells: &'a [String],
    pub decimal: &'a mut Decimal,
    pub dates: &'a mut Dates,
    pub has_commas: bool,
    /// Whether blanks stand between the cells, so that a unit is a cell of its own.
    pub has_blanks: bool,
}

impl<'a> Numbers<'a> {
    fn cell(&self, column: usize) -> Result<&'a str, Rejected> {
        let missing = || format!("column {} is missing", column + 1);
        let cell = self.cells.get(column).ok_or_else(|| Rejected::Damaged(missing()))?;
        if cell.is_empty() {
            return Err(Rejected::Missing(missing()));
        }
        Ok(cell)
    }

    /// A column's number and the value of its last digit, in mW, mW/A or A.
    pub fn value(&mut self, column: &Column) -> Result<(f64, f64), Rejected> {
        let text = self.cell(column.at)?;
        if MISSING.contains(&text.to_lowercase().as_str()) {
            return Err(Rejected::Missing(format!("its value is {text:?}")));
        }
        let (digits, mut symbol) = split_unit(text);
        let next = self.cells.get(column.at + 1).filter(|_| self.has_blanks && symbol.is_empty());
        if let Some(next) = next.filter(|next| column.unit.quantity().unit(next).is_some()) {
            symbol = next;
        }
        let rejected = || Rejected::Damaged(format!("{} is not a number in {}", shown(text), column.unit.symbol()));
        let unit = match column.in_header {
            // A cell with a unit needs no other.
            _ if !symbol.is_empty() => column.unit.quantity().unit(symbol).ok_or_else(rejected)?,
            Some(header) if header != column.unit => {
                return Err(Rejected::Contradiction(format!(
                    "the unit of column {} is {} by its name, and {} in the experiment: correct the experiment, or name \
                     the column by its number",
                    column.at + 1,
                    header.symbol(),
                    column.unit.symbol()
                )));
            }
            _ => column.unit,
        };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || b"+-.,eE".contains(&byte));
        let plain = if is_number { self.decimal.plain(digits, self.has_commas)? } else { return Err(rejected()) };
        let (value, step) = number(&plain).ok_or_else(rejected)?;
        Ok((value * unit.factor(), step * unit.factor()))
    }

    /// A time stamp in ns.
    pub fn stamp(&mut self, column: usize, unit: StampUnit) -> Result<f64, Rejected> {
        let text = self.cell(column)?;
        let rejected = || {
            let text_shown = shown(text);
            let hint = match unit {
                StampUnit::Rfc3339 => ": write it as 2026-03-01 12:00:00.25, or as a time of day",
                _ if text.contains(':') => ": a date, or a time of day, has the unit \"rfc3339\"",
                _ => "",
            };
            Rejected::Damaged(format!("{text_shown} is not a time stamp{hint}"))
        };
        let factor = match unit {
            StampUnit::S => 1e9,
            StampUnit::Ms => 1e6,
            StampUnit::Us => 1e3,
            StampUnit::Ns => 1.0,
            StampUnit::Rfc3339 => return Ok(self.dates.ns(text).ok_or_else(rejected)? as f64),
        };
        if text.contains(|c: char| !c.is_ascii_digit() && !"+-.,eE".contains(c)) {
            return Err(rejected());
        }
        let plain = self.decimal.plain(text, self.has_commas)?;
        let (value, _) = number(&plain).ok_or_else(rejected)?;
        Some(value * factor).filter(|ns| ns.abs() < 1e19).ok_or_else(rejected)
    }
}

fn shown(text: &str) -> String {
    cells::shown(text.as_bytes())
}

/// A number and the unit symbol after it.
fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic()).trim_end();
    (digits, text[digits.len()..].trim())
}

/// A decimal number, and the value of its last digit.
pub(super) fn number(plain: &str) -> Option<(f64, f64)> {
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
