//! Finds the columns of a log in its header.

use std::path::Path;

use super::columns::{Column, Columns, EnergyUnit, FractionUnit, TimeUnit};
use crate::log::LogError;
use crate::shown::ends_of;

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
    Time(TimeUnit),
    TimeStd(TimeUnit),
    Energy(EnergyUnit),
    EnergyStd(EnergyUnit),
    Device,
    Epochs,
}

/// A column found: what it holds, where it is, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) holds: Holds,
    pub(super) at: usize,
    pub(super) name: String,
}

/// The columns of a header, architecture and status before the others.
pub(super) fn find_columns(path: &Path, headers: &[String], columns: &Columns) -> Result<Vec<Found>, LogError> {
    if let (Some(accuracy), Some(error)) = (&columns.accuracy, &columns.error) {
        return Err(LogError::Other(format!(
            "the columns {:?} (accuracy) and {:?} (error) are both named for {}: name one, the other is 1 minus it",
            accuracy.column,
            error.column,
            path.display()
        )));
    }
    let header = Header { path, headers };
    let mut found = vec![header.find(columns.architecture.as_deref().unwrap_or("architecture"), Holds::Architecture)?];
    found.extend(header.find_if_there("status", Holds::Status)?);
    let status_and_architecture = found.len();
    found.extend(header.find_accuracy(columns)?);
    found.extend(header.find_quantity(columns.time.as_ref(), "time_ms", Holds::Time)?);
    found.extend(header.find_quantity(columns.energy.as_ref(), "energy_mj", Holds::Energy)?);
    if found.len() == status_and_architecture {
        return Err(LogError::Columns(format!(
            "{}:1: no column holds an accuracy, a time or an energy: name them under [replay.columns]; the log's \
             columns are {}",
            path.display(),
            header.shown()
        )));
    }
    found.extend(header.find_quantity(columns.time_std.as_ref(), "time_ms_std", Holds::TimeStd)?);
    found.extend(header.find_quantity(columns.energy_std.as_ref(), "energy_mj_std", Holds::EnergyStd)?);
    found.extend(match &columns.device {
        Some(device) => Some(header.find(device, Holds::Device)?),
        None => header.find_if_there("device", Holds::Device)?,
    });
    found.extend(header.find_if_there("epochs", Holds::Epochs)?);
    Ok(found)
}

struct Header<'a> {
    path: &'a Path,
    headers: &'a [String],
}

impl Header<'_> {
    /// A column that must be there.
    fn find(&self, name: &str, holds: Holds) -> Result<Found, LogError> {
        self.find_if_there(name, holds)?.ok_or_else(|| {
            let nearest = self.nearest(name).map_or(String::new(), |name| format!(", did you mean {name:?}?"));
            let (path, columns) = (self.path.display(), self.shown());
            LogError::Columns(format!("{path}:1: no column {name:?}{nearest}; the log's columns are {columns}"))
        })
    }

    fn find_if_there(&self, name: &str, holds: Holds) -> Result<Option<Found>, LogError> {
        let places: Vec<usize> = (0..self.headers.len()).filter(|&at| self.headers[at] == name).collect();
        match places[..] {
            [] => Ok(None),
            [at] => Ok(Some(Found { holds, at, name: name.to_owned() })),
            _ => Err(LogError::Other(format!(
                "{}:1: {} columns are called {name:?}: rename all but the right one",
                self.path.display(),
                places.len()
            ))),
        }
    }

    /// The named column, which must be there, or the journal's, in the journal's unit.
    fn find_quantity<U: Copy + Default>(
        &self,
        named: Option<&Column<U>>,
        default: &str,
        holds: fn(U) -> Holds,
    ) -> Result<Option<Found>, LogError> {
        match named {
            Some(column) => self.find(&column.column, holds(column.unit)).map(Some),
            None => self.find_if_there(default, holds(U::default())),
        }
    }

    /// The accuracy or error under the name that was given, the journal's, or one that says by itself what it is.
    fn find_accuracy(&self, columns: &Columns) -> Result<Option<Found>, LogError> {
        if let Some(error) = &columns.error {
            return self.find(&error.column, Holds::Error(error.unit)).map(Some);
        }
        let mut found = self.find_quantity(columns.accuracy.as_ref(), "accuracy", Holds::Accuracy)?;
        for (name, unit) in ACCURACY_ELSEWHERE {
            if found.is_none() {
                found = self.find_if_there(name, Holds::Accuracy(unit))?;
            }
        }
        Ok(found)
    }

    fn shown(&self) -> String {
        ends_of(&self.headers.join(", "))
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let similarity = |header: &String| strsim::jaro_winkler(&header.to_lowercase(), &name.to_lowercase());
        self.headers
            .iter()
            .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
            .filter(|header| similarity(header) > 0.7)
            .map(|header| ends_of(header))
    }
}
