//! Names and units of a log's columns.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Which column of a log holds what.
///
/// A column without a name here is looked for under the name and unit it has in a
/// [journal](crate::log), and is missing where the log has no such column. A named column must be
/// there. In an experiment file an entry is a column's name, or a table with its unit and, of an accuracy or error, the
/// epochs of its trainings:
///
/// ```toml
/// architecture = "arch"
/// accuracy = { column = "valid_accuracy_percent", unit = "percent", epochs = 200 }
/// short_accuracy = { column = "valid_accuracy_12_epochs_percent", unit = "percent", epochs = 12 }
/// time = { column = "latency_us", unit = "us" }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// Text of the architecture; `architecture` by default.
    pub architecture: Option<String>,
    /// Accuracy; by default `accuracy`, else `accuracy_percent`, `valid_accuracy` or `valid_accuracy_percent`.
    pub accuracy: Option<Column<FractionUnit>>,
    /// Error, 1 − accuracy, for a log that has that instead. Not looked for by default.
    pub error: Option<Column<FractionUnit>>,
    /// Accuracy after a short training, with its epochs, for a log that has it beside the accuracy after the full one. Not
    /// looked for by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_accuracy: Option<Column<FractionUnit>>,
    /// Error after a short training, for a log that has that instead. Not looked for by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_error: Option<Column<FractionUnit>>,
    /// Mean time of one inference; `time_ms` by default.
    #[serde(deserialize_with = "without_epochs")]
    pub time: Option<Column<TimeUnit>>,
    /// Standard deviation of the time; `time_ms_std` by default.
    #[serde(deserialize_with = "without_epochs")]
    pub time_std: Option<Column<TimeUnit>>,
    /// Energy of one inference; `energy_mj` by default.
    #[serde(deserialize_with = "without_epochs")]
    pub energy: Option<Column<EnergyUnit>>,
    /// Standard deviation of the energy; `energy_mj_std` by default.
    #[serde(deserialize_with = "without_epochs")]
    pub energy_std: Option<Column<EnergyUnit>>,
    /// The device that measured the row; `device` by default.
    pub device: Option<String>,
    /// How the row's job ended, a [`Status`](crate::log::Status); by default `status` in a journal, and no column in
    /// other logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Epochs of the row's training, where its cell is not empty; by default `epochs` in a journal, and no column in other
    /// logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<String>,
    /// By target, the columns of its measurements, for a log with those of several boards.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, TargetColumns>,
    /// The target whose measurements count: [`of_target`](Self::of_target).
    #[serde(skip)]
    pub(super) target: Option<String>,
    /// A key of earlier versions, kept for its message.
    #[serde(skip_serializing, deserialize_with = "no_objectives")]
    objectives: Option<()>,
}

/// The columns of one target's measurements; none is looked for by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetColumns {
    /// Mean time of one inference.
    #[serde(deserialize_with = "without_epochs")]
    pub time: Option<Column<TimeUnit>>,
    /// Standard deviation of the time.
    #[serde(deserialize_with = "without_epochs", skip_serializing_if = "Option::is_none")]
    pub time_std: Option<Column<TimeUnit>>,
    /// Energy of one inference.
    #[serde(deserialize_with = "without_epochs", skip_serializing_if = "Option::is_none")]
    pub energy: Option<Column<EnergyUnit>>,
    /// Standard deviation of the energy.
    #[serde(deserialize_with = "without_epochs", skip_serializing_if = "Option::is_none")]
    pub energy_std: Option<Column<EnergyUnit>>,
}

impl Columns {
    /// The columns of one target: those that are named for it, else those of a journal, of which only the rows count that
    /// measured this target.
    #[must_use]
    pub fn of_target(&self, name: &str) -> Self {
        let mut columns = Self { target: Some(name.to_owned()), ..self.clone() };
        if let Some(TargetColumns { time, time_std, energy, energy_std }) = self.targets.get(name).cloned() {
            (columns.time, columns.time_std) = (time, time_std);
            (columns.energy, columns.energy_std) = (energy, energy_std);
        }
        columns
    }

    /// The same where the measurements of its only target have a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        if !self.targets.is_empty() {
            return self.clone();
        }
        let mut columns = self.clone();
        let own = TargetColumns {
            // Under a journal's names they would not be looked for any more.
            time: columns.time.take().or_else(|| Some(Column::journals("time_ms"))),
            time_std: columns.time_std.take(),
            energy: columns.energy.take(),
            energy_std: columns.energy_std.take(),
        };
        columns.targets.insert(name.to_owned(), own);
        columns
    }

    /// Whether a quantity is looked for under the journal's name where no column is named for it.
    pub(super) fn has_defaults(&self) -> bool {
        self.targets.is_empty()
    }
}

fn no_objectives<'de, D: Deserializer<'de>>(_: D) -> Result<Option<()>, D::Error> {
    let message = "`objectives` is no longer read, because no search ever used it: remove it";
    Err(de::Error::custom(message))
}

fn without_epochs<'de, D: Deserializer<'de>, U>(deserializer: D) -> Result<Option<Column<U>>, D::Error>
where
    U: Deserialize<'de> + Default,
{
    let column = Option::<Column<U>>::deserialize(deserializer)?;
    if column.as_ref().is_some_and(|column| column.epochs.is_some()) {
        return Err(de::Error::custom("only an accuracy or an error is after `epochs` of training: remove them here"));
    }
    Ok(column)
}

/// A column and the unit its numbers are in. `U` is the kind of quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column<U> {
    /// The column's name in the header.
    pub column: String,
    /// Its unit; that of the journal (a fraction, ms, mJ) where only a name is given.
    pub unit: U,
    /// Epochs of the trainings that an accuracy or error is after, where they are known. A row's own epochs come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
}

impl<U: Default> Column<U> {
    /// The column of a journal.
    fn journals(name: &str) -> Self {
        Self { column: name.to_owned(), unit: U::default(), epochs: None }
    }
}

/// Unit of an accuracy or error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FractionUnit {
    /// 0 to 1.
    #[default]
    Fraction,
    /// 0 to 100.
    #[serde(alias = "%")]
    Percent,
}

/// Unit of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    #[serde(alias = "µs", alias = "μs")]
    Us,
    /// Milliseconds.
    #[default]
    Ms,
    /// Seconds.
    S,
    /// Inferences a second.
    #[serde(alias = "1/s", alias = "fps")]
    PerS,
}

/// Unit of an energy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnergyUnit {
    /// Microjoules.
    #[serde(alias = "uJ", alias = "µJ", alias = "μJ")]
    Uj,
    /// Millijoules.
    #[default]
    #[serde(alias = "mJ")]
    Mj,
    /// Joules.
    #[serde(alias = "J")]
    J,
    /// Inferences a joule.
    #[serde(alias = "1/J")]
    PerJ,
}

impl FractionUnit {
    /// The largest value in this unit.
    pub(super) fn whole(self) -> f64 {
        match self {
            Self::Fraction => 1.0,
            Self::Percent => 100.0,
        }
    }
}

impl TimeUnit {
    // Divided by powers of ten, never multiplied by 0.001, which has no exact binary form: 5807 µs
    // give the same number as 5.807 ms.
    pub(super) fn to_ms(self, value: f64) -> f64 {
        match self {
            Self::Ns => value / 1e6,
            Self::Us => value / 1e3,
            Self::Ms => value,
            Self::S => value * 1e3,
            Self::PerS => 1e3 / value,
        }
    }
}

impl EnergyUnit {
    pub(super) fn to_mj(self, value: f64) -> f64 {
        match self {
            Self::Uj => value / 1e3,
            Self::Mj => value,
            Self::J => value * 1e3,
            Self::PerJ => 1e3 / value,
        }
    }
}

// By hand, because what serde derives for "a text or a table" answers every mistake with "did not
// match any variant".
impl<'de, U: Deserialize<'de> + Default> Deserialize<'de> for Column<U> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table<U> {
            column: String,
            #[serde(default)]
            unit: U,
            epochs: Option<u64>,
        }

        struct TextOrTable<U>(PhantomData<U>);

        impl<'de, U: Deserialize<'de> + Default> Visitor<'de> for TextOrTable<U> {
            type Value = Column<U>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column's name, or { column = \"…\", unit = \"…\" }")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Column { column: name.to_owned(), unit: U::default(), epochs: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Table { column, unit, epochs } = Table::<U>::deserialize(MapAccessDeserializer::new(map))?;
                if epochs == Some(0) {
                    return Err(de::Error::custom("`epochs` of a training are 1 or more"));
                }
                Ok(Column { column, unit, epochs })
            }
        }

        deserializer.deserialize_any(TextOrTable(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_a_name_or_a_table() {
        let columns: Columns = toml::from_str(
            r#"
            accuracy = { column = "valid_accuracy_percent", unit = "percent", epochs = 200 }
            time = "latency"
            energy = { column = "joules", unit = "j" }
            "#,
        )
        .unwrap();
        assert_eq!(
            columns,
            Columns {
                accuracy: Some(Column {
                    column: "valid_accuracy_percent".to_owned(),
                    unit: FractionUnit::Percent,
                    epochs: Some(200)
                }),
                time: Some(Column { column: "latency".to_owned(), unit: TimeUnit::Ms, epochs: None }),
                energy: Some(Column { column: "joules".to_owned(), unit: EnergyUnit::J, epochs: None }),
                ..Columns::default()
            }
        );
        let text = toml::to_string(&columns).unwrap();
        assert_eq!(toml::from_str::<Columns>(&text).unwrap(), columns);
    }

    #[test]
    fn settings_that_are_not_given_are_not_written() {
        let text = toml::to_string(&toml::from_str::<Columns>("accuracy = \"a\"\ntime = \"t\"").unwrap()).unwrap();
        assert_eq!(text, "[accuracy]\ncolumn = \"a\"\nunit = \"fraction\"\n\n[time]\ncolumn = \"t\"\nunit = \"ms\"\n");
    }

    #[test]
    fn mistakes_are_reported_with_the_right_way() {
        let cases = [
            ("times = \"a\"", "unknown field `times`"),
            ("time = { column = \"a\", unit = \"mj\" }", "`ms`"),
            ("time = { columm = \"a\" }", "unknown field `columm`"),
            ("time = 3", "a column's name, or"),
            ("time = { unit = \"ms\" }", "missing field `column`"),
            ("time = { column = \"a\", epochs = 3 }", "only an accuracy or an error"),
            ("energy_std = { column = \"a\", epochs = 3 }", "only an accuracy or an error"),
            ("accuracy = { column = \"a\", epochs = 0 }", "1 or more"),
            ("short_accuracy = { column = \"a\", epochs = 1.5 }", "expected u64"),
            ("objectives = { n = \"size\" }", "`objectives` is no longer read"),
        ];
        for (text, expected) in cases {
            let error = toml::from_str::<Columns>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn units_convert_exactly() {
        assert_eq!(TimeUnit::Us.to_ms(5807.0), 5.807);
        assert_eq!(TimeUnit::Ns.to_ms(1.5), 1.5e-6);
        assert_eq!(TimeUnit::S.to_ms(0.25), 250.0);
        assert_eq!(EnergyUnit::J.to_mj(0.5), 500.0);
        assert_eq!(EnergyUnit::Uj.to_mj(3.0), 0.003);
        assert_eq!(TimeUnit::PerS.to_ms(250.0), 4.0);
        assert_eq!(EnergyUnit::PerJ.to_mj(20.0), 50.0);
        assert_eq!(87.5 / FractionUnit::Percent.whole(), 0.875);
    }
}
