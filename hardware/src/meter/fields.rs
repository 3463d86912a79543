//! The columns of a line and their units.

mod dates;
mod numbers;
mod reader;
mod units;

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

pub(super) use self::numbers::Rejected;
pub(super) use self::reader::{LineReader, Row};
use self::units::Unit;
pub use self::units::{CurrentUnit, PowerUnit, StampUnit, VoltageUnit};
use super::MeterError;
use crate::cells::MOST_CELLS;
pub use crate::cells::Separator;

/// Longest line that is read, in bytes.
pub(super) const MAX_LINE: usize = 4096;
/// Highest voltage of a supply that an experiment file may name, in V.
const MOST_VOLTS: f64 = 1e5;

/// Columns of a meter's lines, as an experiment file names them: power, or volts and amperes, and perhaps a time. Of JSON
/// lines, a column's name is that of a value (`meter.power` of one within another). The voltage may be a number, where the
/// supply's is constant: `volts = 3.3`.
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
    pub volts: Option<Volts>,
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

/// A voltage.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Volts {
    /// That of the supply, in V.
    Constant(f64),
    /// A column.
    Column(Field<VoltageUnit>),
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

// By hand, because the derived error for "a number or a table" is "did not match any variant".
impl<'de> Deserialize<'de> for Volts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrTable;

        impl<'de> Visitor<'de> for NumberOrTable {
            type Value = Volts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ column = \"…\", unit = \"v\" }, or the volts of the supply")
            }

            fn visit_f64<E: de::Error>(self, volts: f64) -> Result<Volts, E> {
                Ok(Volts::Constant(volts))
            }

            fn visit_i64<E: de::Error>(self, volts: i64) -> Result<Volts, E> {
                Ok(Volts::Constant(volts as f64))
            }

            fn visit_u64<E: de::Error>(self, volts: u64) -> Result<Volts, E> {
                Ok(Volts::Constant(volts as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Volts, A::Error> {
                Field::deserialize(MapAccessDeserializer::new(map)).map(Volts::Column)
            }
        }

        deserializer.deserialize_any(NumberOrTable)
    }
}

impl Fields {
    /// An error if the columns give power in no way or in two ways, or a column's number is 0 or above 256.
    pub fn check(&self) -> Result<(), MeterError> {
        let settings = |problem: &str| Err(MeterError::Settings(problem.to_owned()));
        match (&self.power, &self.volts, &self.amperes) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => {}
            _ => {
                return settings(
                    "a meter's columns are either `power`, or both `volts` and `amperes`; `volts` may be the voltage of the \
                     supply: volts = 3.3",
                );
            }
        }
        if self.constant_volts().is_some_and(|volts| !(volts > 0.0 && volts <= MOST_VOLTS)) {
            return settings("`volts` of a supply is above 0 and at most 100000");
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

    /// Voltage that no column has, in V.
    fn constant_volts(&self) -> Option<f64> {
        match self.volts {
            Some(Volts::Constant(volts)) => Some(volts),
            _ => None,
        }
    }

    /// Power, or volts and amperes, as far as they are columns.
    fn factors(&self) -> impl Iterator<Item = (&Place, Unit)> {
        let power = self.power.iter().map(|field| (&field.column, field.unit.into()));
        let volts = self.volts.iter().filter_map(|volts| match volts {
            Volts::Constant(_) => None,
            Volts::Column(field) => Some((&field.column, field.unit.into())),
        });
        let amperes = self.amperes.iter().map(|field| (&field.column, field.unit.into()));
        power.chain(volts).chain(amperes)
    }

    /// All columns, that of the time last.
    fn places(&self) -> impl Iterator<Item = &Place> {
        self.factors().map(|(place, _)| place).chain(self.time.iter().map(|field| &field.column))
    }
}

#[cfg(test)]
mod tests;
