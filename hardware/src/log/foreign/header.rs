//! Finds the columns of a log in its header.

use std::path::Path;

use serde::Serialize;

use super::columns::{Column, Columns, EnergyUnit, FractionUnit, TimeUnit};
use crate::log::LogError;
use crate::log::read::lacking;
use crate::shown::start_of;

/// Names that tables of benchmarks give an accuracy, looked for in this order where the journal's name is not there.
const ACCURACY_ELSEWHERE: [(&str, FractionUnit); 3] = [
    ("accuracy_percent", FractionUnit::Percent),
    ("valid_accuracy", FractionUnit::Fraction),
    ("valid_accuracy_percent", FractionUnit::Percent),
];

/// What a column holds, in which unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Architecture,
    Status,
    Accuracy(FractionUnit),
    Error(FractionUnit),
    ShortAccuracy(FractionUnit),
    ShortError(FractionUnit),
    Time(TimeUnit),
    TimeStd(TimeUnit),
    Energy(EnergyUnit),
    EnergyStd(EnergyUnit),
    Device,
    Epochs,
    TrainSeconds,
    MeasureSeconds,
    Target,
}

/// A column found: what it holds, where it is, its name, and the epochs that its accuracies are after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) holds: Holds,
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) epochs: Option<u64>,
}

impl Found {
    /// The journal's name of what it holds, the column's name, its unit where that is not the journal's, and its epochs.
    pub(super) fn shown(&self) -> String {
        let (journal, unit) = match self.holds {
            Holds::Architecture => ("architecture", None),
            Holds::Status => ("status", None),
            Holds::Accuracy(unit) => ("accuracy", other(unit)),
            Holds::Error(unit) => ("error", other(unit)),
            Holds::ShortAccuracy(unit) => ("short_accuracy", other(unit)),
            Holds::ShortError(unit) => ("short_error", other(unit)),
            Holds::Time(unit) => ("time_ms", other(unit)),
            Holds::TimeStd(unit) => ("time_ms_std", other(unit)),
            Holds::Energy(unit) => ("energy_mj", other(unit)),
            Holds::EnergyStd(unit) => ("energy_mj_std", other(unit)),
            Holds::Device => ("device", None),
            Holds::Epochs => ("epochs", None),
            Holds::TrainSeconds => ("train_seconds", None),
            Holds::MeasureSeconds => ("measure_seconds", None),
            Holds::Target => ("target", None),
        };
        let remarks = match (unit, self.epochs) {
            (None, None) => String::new(),
            (Some(unit), None) => format!(" (in {unit})"),
            (None, Some(epochs)) => format!(" (after {epochs} epochs)"),
            (Some(unit), Some(epochs)) => format!(" (in {unit}, after {epochs} epochs)"),
        };
        format!("{journal} = {:?}{remarks}", start_of(&self.name, MOST_OF_A_NAME))
    }
}

/// The name of a unit that is not the journal's.
fn other<U: Serialize + Default + PartialEq>(unit: U) -> Option<String> {
    let name = (unit != U::default()).then(|| serde_json::to_value(unit).ok()).flatten()?;
    name.as_str().map(str::to_owned)
}

/// Most characters of a column's name in a message.
const MOST_OF_A_NAME: usize = 40;
/// Most names of columns in a message.
const MOST_NAMES: usize = 12;

/// The columns of a header, architecture and status before the others.
pub(super) fn find_columns(
    path: &Path,
    line: u64,
    headers: &[String],
    columns: &Columns,
) -> Result<Vec<Found>, LogError> {
    check(path, columns)?;
    let header = Header { path, line, headers };
    let has_defaults = columns.has_defaults();
    // Columns of other logs may be called like a journal's and mean something else.
    let is_journal = lacking(|column| headers.iter().any(|header| header == column)).is_none();
    let find = |named: Option<&str>, journals: &str, holds| match named {
        Some(name) => header.find(name, holds).map(Some),
        None if is_journal => header.find_if_there(journals, holds),
        None => Ok(None),
    };
    let mut found = vec![header.find(columns.architecture.as_deref().unwrap_or("architecture"), Holds::Architecture)?];
    found.extend(find(columns.status.as_deref(), "status", Holds::Status)?);
    let status_and_architecture = found.len();
    found.extend(header.find_accuracy(columns)?);
    found.extend(header.find_quantity(columns.time.as_ref(), has_defaults.then_some("time_ms"), Holds::Time)?);
    found.extend(header.find_quantity(columns.energy.as_ref(), has_defaults.then_some("energy_mj"), Holds::Energy)?);
    if found.len() == status_and_architecture {
        return Err(LogError::Columns(format!(
            "{}: no column holds an accuracy, a time or an energy: name them under [replay.columns]; the log's columns \
             are {}",
            header.place(),
            header.shown()
        )));
    }
    found.extend(header.find_quantity(
        columns.time_std.as_ref(),
        has_defaults.then_some("time_ms_std"),
        Holds::TimeStd,
    )?);
    found.extend(header.find_quantity(
        columns.energy_std.as_ref(),
        has_defaults.then_some("energy_mj_std"),
        Holds::EnergyStd,
    )?);
    found.extend(match &columns.device {
        Some(device) => Some(header.find(device, Holds::Device)?),
        None => header.find_if_there("device", Holds::Device)?,
    });
    found.extend(header.find_if_there("train_seconds", Holds::TrainSeconds)?);
    found.extend(header.find_if_there("measure_seconds", Holds::MeasureSeconds)?);
    if has_defaults {
        found.extend(find(None, "target", Holds::Target)?);
    }
    // After the accuracy, whose epochs it replaces.
    found.extend(find(columns.epochs.as_deref(), "epochs", Holds::Epochs)?);
    if let Some((key, short, holds)) = short_column(columns) {
        let full = found.iter().find(|column| matches!(column.holds, Holds::Accuracy(_) | Holds::Error(_)));
        let full = full.ok_or_else(|| {
            LogError::Columns(format!(
                "{}: `{key}` is named, but no column holds the accuracy of the full training: name it as `accuracy`; \
                 the log's columns are {}",
                header.place(),
                header.shown()
            ))
        })?;
        if full.epochs.is_none() && !found.iter().any(|column| column.holds == Holds::Epochs) {
            return Err(LogError::Columns(format!(
                "{}: `{key}` is named, but nothing says how many epochs the full training has: write \
                 {{ column = {:?}, unit = \"…\", epochs = … }}",
                path.display(),
                start_of(&full.name, MOST_OF_A_NAME)
            )));
        }
        found.push(header.find_column(short, holds)?);
    }
    Ok(found)
}

type ShortColumn<'a> = (&'static str, &'a Column<FractionUnit>, fn(FractionUnit) -> Holds);

/// The column of the accuracy or error after a short training, with its key.
fn short_column(columns: &Columns) -> Option<ShortColumn<'_>> {
    let accuracy = columns.short_accuracy.as_ref().map(|column| ("short_accuracy", column, Holds::ShortAccuracy as _));
    accuracy.or_else(|| columns.short_error.as_ref().map(|column| ("short_error", column, Holds::ShortError as _)))
}

/// Rejects settings that contradict each other.
fn check(path: &Path, columns: &Columns) -> Result<(), LogError> {
    let pairs = [
        ("accuracy", &columns.accuracy, "error", &columns.error),
        ("short_accuracy", &columns.short_accuracy, "short_error", &columns.short_error),
    ];
    for (accuracy_key, accuracy, error_key, error) in pairs {
        if let (Some(accuracy), Some(error)) = (accuracy, error) {
            return Err(LogError::Other(format!(
                "the columns {:?} ({accuracy_key}) and {:?} ({error_key}) are both named for {}: name one, the other is \
                 1 minus it",
                accuracy.column,
                error.column,
                path.display()
            )));
        }
    }
    let is_measurement_named = columns.target.is_none() && (columns.time.is_some() || columns.energy.is_some());
    if !columns.has_defaults() && is_measurement_named {
        return Err(LogError::Other(format!(
            "{}: `time` and `energy` are named besides those of targets: name them under [replay.columns.targets.NAME]",
            path.display()
        )));
    }
    let is_deviation_a_rate = columns.time_std.as_ref().is_some_and(|column| column.unit == TimeUnit::PerS)
        || columns.energy_std.as_ref().is_some_and(|column| column.unit == EnergyUnit::PerJ);
    if is_deviation_a_rate {
        return Err(LogError::Other(
            "a deviation cannot be converted from inferences a second or a joule: leave `time_std` or `energy_std` out"
                .to_owned(),
        ));
    }
    let Some((key, short, _)) = short_column(columns) else { return Ok(()) };
    let Some(epochs) = short.epochs else {
        return Err(LogError::Other(format!(
            "`{key}` does not say after how many epochs it is: write {key} = {{ column = {:?}, unit = \"…\", epochs = … }}",
            short.column
        )));
    };
    let Some(full) = columns.accuracy.as_ref().or(columns.error.as_ref()) else { return Ok(()) };
    if let Some(full) = full.epochs.filter(|full| *full <= epochs) {
        return Err(LogError::Other(format!(
            "`{key}` is after {epochs} epochs, the accuracy after {full}: a short training has fewer epochs than the full \
             one; correct one of the two `epochs`"
        )));
    }
    if full.column == short.column {
        return Err(LogError::Other(format!(
            "the column {:?} is named for the full training and as `{key}`: name the column of the short training",
            short.column
        )));
    }
    Ok(())
}

struct Header<'a> {
    path: &'a Path,
    line: u64,
    headers: &'a [String],
}

impl Header<'_> {
    fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line)
    }

    /// A column that must be there.
    fn find(&self, name: &str, holds: Holds) -> Result<Found, LogError> {
        self.find_if_there(name, holds)?.ok_or_else(|| {
            let nearest = self.nearest(name).map_or(String::new(), |name| format!(", did you mean {name:?}?"));
            let (place, columns) = (self.place(), self.shown());
            LogError::Columns(format!("{place}: no column {name:?}{nearest}; the log's columns are {columns}"))
        })
    }

    fn find_if_there(&self, name: &str, holds: Holds) -> Result<Option<Found>, LogError> {
        let places: Vec<usize> = (0..self.headers.len()).filter(|&at| self.headers[at] == name).collect();
        match places[..] {
            [] => Ok(None),
            [at] => Ok(Some(Found { holds, at, name: name.to_owned(), epochs: None })),
            _ => Err(LogError::Other(format!(
                "{}: {} columns are called {name:?}: rename all but the right one",
                self.place(),
                places.len()
            ))),
        }
    }

    /// The named column, which must be there, or the journal's, in the journal's unit, if that counts.
    fn find_quantity<U: Copy + Default>(
        &self,
        named: Option<&Column<U>>,
        default: Option<&str>,
        holds: fn(U) -> Holds,
    ) -> Result<Option<Found>, LogError> {
        match named {
            Some(column) => self.find_column(column, holds).map(Some),
            None => default.map_or(Ok(None), |default| self.find_if_there(default, holds(U::default()))),
        }
    }

    /// A named column, which must be there.
    fn find_column<U: Copy>(&self, column: &Column<U>, holds: fn(U) -> Holds) -> Result<Found, LogError> {
        Ok(Found { epochs: column.epochs, ..self.find(&column.column, holds(column.unit))? })
    }

    /// The accuracy or error under the name that was given, the journal's, or one that says by itself what it is.
    fn find_accuracy(&self, columns: &Columns) -> Result<Option<Found>, LogError> {
        if let Some(error) = &columns.error {
            return self.find_column(error, Holds::Error).map(Some);
        }
        let mut found = self.find_quantity(columns.accuracy.as_ref(), Some("accuracy"), Holds::Accuracy)?;
        for (name, unit) in ACCURACY_ELSEWHERE {
            if found.is_none() {
                found = self.find_if_there(name, Holds::Accuracy(unit))?;
            }
        }
        Ok(found)
    }

    fn shown(&self) -> String {
        let names = self.headers.iter().take(MOST_NAMES).map(|name| start_of(name, MOST_OF_A_NAME));
        let more = match self.headers.len().saturating_sub(MOST_NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more}", names.collect::<Vec<_>>().join(", "))
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let similarity = |header: &String| strsim::jaro_winkler(&header.to_lowercase(), &name.to_lowercase());
        self.headers
            .iter()
            .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
            .filter(|header| similarity(header) > 0.7)
            .map(|header| start_of(header, MOST_OF_A_NAME))
    }
}
