//! Finds the columns of a log in its header.

use std::path::Path;

use super::columns::{Column, Columns, EnergyUnit, FractionUnit, TimeUnit};
use super::error::ReplayError;

/// The journal's own column names: what is looked for where no name is given.
mod journal {
    use super::FractionUnit;

    pub(super) const ARCHITECTURE: &str = "architecture";
    pub(super) const ACCURACY: &str = "accuracy";
    /// Names that tables of benchmarks give it, looked for in this order where the journal's is not there.
    pub(super) const ACCURACY_ELSEWHERE: [(&str, FractionUnit); 3] = [
        ("accuracy_percent", FractionUnit::Percent),
        ("valid_accuracy", FractionUnit::Fraction),
        ("valid_accuracy_percent", FractionUnit::Percent),
    ];
    pub(super) const TIME: &str = "time_ms";
    pub(super) const TIME_STD: &str = "time_ms_std";
    pub(super) const ENERGY: &str = "energy_mj";
    pub(super) const ENERGY_STD: &str = "energy_mj_std";
    pub(super) const DEVICE: &str = "device";
    pub(super) const STATUS: &str = "status";
    pub(super) const EPOCHS: &str = "epochs";
}

/// A column found: where it is, and what it is called.
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
    /// Further objectives in the order of their names.
    pub(super) objectives: Vec<(String, Found)>,
}

impl Layout {
    pub(super) fn new(path: &Path, headers: Vec<String>, columns: &Columns) -> Result<Self, ReplayError> {
        if let (Some(accuracy), Some(error)) = (&columns.accuracy, &columns.error) {
            return Err(ReplayError::AccuracyAndError {
                path: path.to_owned(),
                accuracy: accuracy.column.clone(),
                error: error.column.clone(),
            });
        }
        let header = Header { path, headers };
        let architecture = columns.architecture.as_deref();
        let accuracy = match &columns.error {
            Some(error) => {
                let found = header.find(&error.column)?;
                Some((found, AccuracyAs::Error(error.unit)))
            }
            None => header.find_accuracy(columns)?.map(|(found, unit)| (found, AccuracyAs::Accuracy(unit))),
        };
        let objectives = columns.objectives.iter().map(|(name, column)| Ok((name.clone(), header.find(column)?)));
        let layout = Self {
            width: header.headers.len(),
            architecture: header.find(architecture.unwrap_or(journal::ARCHITECTURE))?,
            accuracy,
            time: header.find_quantity(columns.time.as_ref(), journal::TIME)?,
            time_std: header.find_quantity(columns.time_std.as_ref(), journal::TIME_STD)?,
            energy: header.find_quantity(columns.energy.as_ref(), journal::ENERGY)?,
            energy_std: header.find_quantity(columns.energy_std.as_ref(), journal::ENERGY_STD)?,
            device: match &columns.device {
                Some(device) => Some(header.find(device)?),
                None => header.find_if_there(journal::DEVICE)?,
            },
            status: header.find_if_there(journal::STATUS)?,
            epochs: header.find_if_there(journal::EPOCHS)?,
            objectives: objectives.collect::<Result<_, ReplayError>>()?,
        };
        if layout.accuracy.is_none() && layout.time.is_none() && layout.energy.is_none() && layout.objectives.is_empty()
        {
            return Err(ReplayError::NoObjective { path: path.to_owned(), headers: header.headers });
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
    fn find(&self, name: &str) -> Result<Found, ReplayError> {
        self.find_if_there(name)?.ok_or_else(|| ReplayError::MissingColumn {
            path: self.path.to_owned(),
            column: name.to_owned(),
            nearest: self.nearest(name),
            headers: self.headers.clone(),
        })
    }

    fn find_if_there(&self, name: &str) -> Result<Option<Found>, ReplayError> {
        let mut places = (0..self.headers.len()).filter(|&at| self.headers[at] == name);
        let Some(at) = places.next() else {
            return Ok(None);
        };
        match places.count() {
            0 => Ok(Some(Found { at, name: name.to_owned() })),
            others => Err(ReplayError::AmbiguousColumn {
                path: self.path.to_owned(),
                column: name.to_owned(),
                times: others + 1,
            }),
        }
    }

    /// The named column, which must be there, or the journal's, in the journal's unit.
    fn find_quantity<U: Copy + Default>(
        &self,
        named: Option<&Column<U>>,
        default: &str,
    ) -> Result<Option<(Found, U)>, ReplayError> {
        match named {
            Some(column) => Ok(Some((self.find(&column.column)?, column.unit))),
            None => {
                let found = self.find_if_there(default)?;
                Ok(found.map(|found| (found, U::default())))
            }
        }
    }

    /// The accuracy under the name that was given, the journal's, or one that says by itself what it is.
    fn find_accuracy(&self, columns: &Columns) -> Result<Option<(Found, FractionUnit)>, ReplayError> {
        let named = self.find_quantity(columns.accuracy.as_ref(), journal::ACCURACY)?;
        if named.is_some() {
            return Ok(named);
        }
        for (name, unit) in journal::ACCURACY_ELSEWHERE {
            if let Some(found) = self.find_if_there(name)? {
                return Ok(Some((found, unit)));
            }
        }
        Ok(None)
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let similarity = |header: &String| strsim::jaro_winkler(&header.to_lowercase(), &name.to_lowercase());
        self.headers
            .iter()
            .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
            .filter(|header| similarity(header) > 0.7)
            .cloned()
    }
}
