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

/// A column found: where it is, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) name: String,
}

/// How an accuracy stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccuracyAs {
    Accuracy(FractionUnit),
    Error(FractionUnit),
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) architecture: Found,
    pub(super) accuracy: Option<(Found, AccuracyAs)>,
    pub(super) time: Option<(Found, TimeUnit)>,
    pub(super) time_std: Option<(Found, TimeUnit)>,
    pub(super) energy: Option<(Found, EnergyUnit)>,
    pub(super) energy_std: Option<(Found, EnergyUnit)>,
    pub(super) device: Option<Found>,
    pub(super) status: Option<Found>,
    pub(super) epochs: Option<Found>,
}

impl Layout {
    pub(super) fn new(path: &Path, headers: Vec<String>, columns: &Columns) -> Result<Self, LogError> {
        if let (Some(accuracy), Some(error)) = (&columns.accuracy, &columns.error) {
            return Err(LogError::Other(format!(
                "the columns {:?} (accuracy) and {:?} (error) are both named for {}: name one, the other is 1 minus it",
                accuracy.column,
                error.column,
                path.display()
            )));
        }
        let header = Header { path, headers };
        let accuracy = match &columns.error {
            Some(error) => Some((header.find(&error.column)?, AccuracyAs::Error(error.unit))),
            None => header.find_accuracy(columns)?.map(|(found, unit)| (found, AccuracyAs::Accuracy(unit))),
        };
        let layout = Self {
            width: header.headers.len(),
            architecture: header.find(columns.architecture.as_deref().unwrap_or("architecture"))?,
            accuracy,
            time: header.find_quantity(columns.time.as_ref(), "time_ms")?,
            time_std: header.find_quantity(columns.time_std.as_ref(), "time_ms_std")?,
            energy: header.find_quantity(columns.energy.as_ref(), "energy_mj")?,
            energy_std: header.find_quantity(columns.energy_std.as_ref(), "energy_mj_std")?,
            device: match &columns.device {
                Some(device) => Some(header.find(device)?),
                None => header.find_if_there("device")?,
            },
            status: header.find_if_there("status")?,
            epochs: header.find_if_there("epochs")?,
        };
        if layout.accuracy.is_none() && layout.time.is_none() && layout.energy.is_none() {
            return Err(LogError::Columns(format!(
                "{}:1: no column holds an accuracy, a time or an energy: name them under [replay.columns]; the log's \
                 columns are {}",
                path.display(),
                header.shown()
            )));
        }
        Ok(layout)
    }
}

struct Header<'a> {
    path: &'a Path,
    headers: Vec<String>,
}

impl Header<'_> {
    /// A column that must be there.
    fn find(&self, name: &str) -> Result<Found, LogError> {
        self.find_if_there(name)?.ok_or_else(|| {
            let nearest = self.nearest(name).map_or(String::new(), |name| format!(", did you mean {name:?}?"));
            let (path, columns) = (self.path.display(), self.shown());
            LogError::Columns(format!("{path}:1: no column {name:?}{nearest}; the log's columns are {columns}"))
        })
    }

    fn find_if_there(&self, name: &str) -> Result<Option<Found>, LogError> {
        let places: Vec<usize> = (0..self.headers.len()).filter(|&at| self.headers[at] == name).collect();
        match places[..] {
            [] => Ok(None),
            [at] => Ok(Some(Found { at, name: name.to_owned() })),
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
    ) -> Result<Option<(Found, U)>, LogError> {
        match named {
            Some(column) => Ok(Some((self.find(&column.column)?, column.unit))),
            None => Ok(self.find_if_there(default)?.map(|found| (found, U::default()))),
        }
    }

    /// The accuracy under the name that was given, the journal's, or one that says by itself what it is.
    fn find_accuracy(&self, columns: &Columns) -> Result<Option<(Found, FractionUnit)>, LogError> {
        let named = self.find_quantity(columns.accuracy.as_ref(), "accuracy")?;
        if named.is_some() {
            return Ok(named);
        }
        for (name, unit) in ACCURACY_ELSEWHERE {
            if let Some(found) = self.find_if_there(name)? {
                return Ok(Some((found, unit)));
            }
        }
        Ok(None)
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
