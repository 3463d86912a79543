//! The rows of a log, one by one.

use std::path::Path;
use std::str::FromStr as _;

use csv::ByteRecord;

use super::columns::Columns;
use super::error::ReplayError;
use super::header::{AccuracyAs, Found, Layout};
use super::table::Record;
use crate::cells::{self, Location, Rows};
use crate::log::Status;

/// A row of a log by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRow {
    /// What it tells; of an evaluation that failed or diverged nothing but the architecture.
    pub record: Record,
    /// How the evaluation ended; `ok` where the log has no such column.
    pub status: Status,
    /// Epochs of the training, where the log states them in a column `epochs`.
    pub epochs: Option<u64>,
}

/// Every row of a log in its order, none merged with another: what a [`Table`](super::Table) is made of. `content` is
/// what the file at `path` holds; `columns` and `normalise` are as [`Table::load`](super::Table::load) takes them.
///
/// # Errors
///
/// As [`Table::load`](super::Table::load), but that a log may have a header alone, or rows that all failed.
pub fn read_rows(
    path: &Path,
    content: &[u8],
    columns: &Columns,
    normalise: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Vec<LogRow>, ReplayError> {
    parse(path, content, columns, normalise).map(|(rows, _)| rows)
}

/// The rows of a log, and where its header says that everything is.
pub(super) fn parse(
    path: &Path,
    content: &[u8],
    columns: &Columns,
    normalise: &dyn Fn(&str) -> Result<String, String>,
) -> Result<(Vec<LogRow>, Layout), ReplayError> {
    let mut rows = Rows::new(content);
    let header = rows.next().map_err(|error| read_error(path, error))?;
    let Some((line, header)) = header else {
        return Err(empty(path, "the file is empty".to_owned()));
    };
    let headers = header
        .iter()
        .map(|cell| cells::text(cell.trim_ascii()).map(str::to_owned))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|problem| ReplayError::Cell { location: Location::new(path, line, "header"), problem })?;
    let layout = Layout::new(path, headers, columns)?;
    let mut found = Vec::new();
    while let Some((line, cells)) = rows.next().map_err(|error| read_error(path, error))? {
        found.push(RowOf { path, line, cells, layout: &layout }.read(normalise)?);
    }
    Ok((found, layout))
}

/// One row with what is needed to understand it.
struct RowOf<'a> {
    path: &'a Path,
    line: u64,
    cells: &'a ByteRecord,
    layout: &'a Layout,
}

impl RowOf<'_> {
    fn read(&self, normalise: &dyn Fn(&str) -> Result<String, String>) -> Result<LogRow, ReplayError> {
        let layout = self.layout;
        if self.cells.len() != layout.width {
            return Err(ReplayError::Width {
                path: self.path.to_owned(),
                line: self.line,
                expected: layout.width,
                found: self.cells.len(),
            });
        }
        let architecture = self.cell(&layout.architecture, |cell| match cells::text(cell.trim_ascii())? {
            "" => Err("the cell is empty; every row has an architecture".to_owned()),
            text => normalise(text),
        })?;
        let status = layout.status.as_ref().map(|status| self.cell(status, parse_status)).transpose()?;
        let status = status.unwrap_or(Status::Ok);
        if matches!(status, Status::Failed | Status::Diverged) {
            let record = Record::of_nothing(self.line, architecture, layout.objectives.len());
            return Ok(LogRow { record, status, epochs: None });
        }
        let epochs = layout.epochs.as_ref().map(|epochs| self.cell(epochs, parse_epochs)).transpose()?.flatten();
        Ok(LogRow { record: self.record(architecture)?, status, epochs })
    }

    /// What was measured.
    fn record(&self, architecture: String) -> Result<Record, ReplayError> {
        let layout = self.layout;
        let device = match &layout.device {
            Some(device) => self.cell(device, |cell| cells::text(cell.trim_ascii()).map(str::to_owned))?,
            None => String::new(),
        };
        let accuracy = self.quantity(&layout.accuracy, |cell, unit| match unit {
            AccuracyAs::Accuracy(unit) => {
                let value = cells::between_zero_and(cell, unit.whole())?;
                Ok(value.map(|accuracy| accuracy / unit.whole()))
            }
            AccuracyAs::Error(unit) => {
                let value = cells::between_zero_and(cell, unit.whole())?;
                Ok(value.map(|error| (unit.whole() - error) / unit.whole()))
            }
        })?;
        let time_ms =
            self.quantity(&layout.time, |cell, unit| in_range(cells::positive(cell)?, |time| unit.to_ms(time)))?;
        let time_ms_std = self
            .quantity(&layout.time_std, |cell, unit| in_range(cells::not_negative(cell)?, |time| unit.to_ms(time)))?;
        let energy_mj = self
            .quantity(&layout.energy, |cell, unit| in_range(cells::not_negative(cell)?, |energy| unit.to_mj(energy)))?;
        let energy_mj_std = self.quantity(&layout.energy_std, |cell, unit| {
            in_range(cells::not_negative(cell)?, |energy| unit.to_mj(energy))
        })?;
        let objectives = layout.objectives.iter().map(|(_, found)| self.cell(found, cells::not_negative));
        Ok(Record {
            line: self.line,
            architecture,
            accuracy,
            time_ms,
            time_ms_std,
            energy_mj,
            energy_mj_std,
            device: (!device.is_empty()).then_some(device),
            objectives: objectives.collect::<Result<_, ReplayError>>()?,
        })
    }

    fn cell<T>(&self, found: &Found, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T, ReplayError> {
        parse(&self.cells[found.at]).map_err(|problem| ReplayError::Cell {
            location: Location::new(self.path, self.line, &found.name),
            problem,
        })
    }

    fn quantity<U: Copy>(
        &self,
        found: &Option<(Found, U)>,
        parse: impl FnOnce(&[u8], U) -> Result<Option<f64>, String>,
    ) -> Result<Option<f64>, ReplayError> {
        match found {
            Some((found, unit)) => self.cell(found, |cell| parse(cell, *unit)),
            None => Ok(None),
        }
    }
}

/// Converts to the project's unit; refuses what overflows there, or vanishes.
fn in_range(value: Option<f64>, convert: impl Fn(f64) -> f64) -> Result<Option<f64>, String> {
    let Some(value) = value else {
        return Ok(None);
    };
    let converted = convert(value);
    if !converted.is_finite() || (converted == 0.0 && value != 0.0) {
        return Err(format!("{value} is no value a device could have"));
    }
    Ok(Some(converted))
}

fn parse_status(cell: &[u8]) -> Result<Status, String> {
    Status::from_str(cells::text(cell.trim_ascii())?)
        .map_err(|problem| format!("{problem} (rename the column where it means something else)"))
}

fn parse_epochs(cell: &[u8]) -> Result<Option<u64>, String> {
    cells::count(cell).map_err(|problem| format!("{problem} (rename the column where it means something else)"))
}

pub(super) fn read_error(path: &Path, error: impl Into<std::io::Error>) -> ReplayError {
    ReplayError::Read { path: path.to_owned(), source: error.into() }
}

pub(super) fn empty(path: &Path, reason: String) -> ReplayError {
    ReplayError::Empty { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<LogRow>, ReplayError> {
        let upper = |text: &str| Ok(text.to_uppercase());
        read_rows(Path::new("log.csv"), text.as_bytes(), &Columns::default(), &upper)
    }

    #[test]
    fn rows_stay_apart_with_their_lines_and_what_only_a_row_has() {
        let rows = read(
            "architecture,status,accuracy,time_ms,device,epochs\n\
             a,ok,0.5,1,x,3\na,ok,0.5,1,y,\n\nb,bounded,,2,x,\nc,diverged,junk,,,\n",
        )
        .unwrap();
        let told = |row: &LogRow| {
            (row.record.line, row.record.architecture.clone(), row.status, row.record.time_ms, row.epochs)
        };
        assert_eq!(
            rows.iter().map(told).collect::<Vec<_>>(),
            [
                (2, "A".to_owned(), Status::Ok, Some(1.0), Some(3)),
                (3, "A".to_owned(), Status::Ok, Some(1.0), None),
                (5, "B".to_owned(), Status::Bounded, Some(2.0), None),
                (6, "C".to_owned(), Status::Diverged, None, None),
            ]
        );
        assert_eq!(rows[1].record.device.as_deref(), Some("y"));
        assert_eq!(read("architecture,time_ms\n").unwrap(), []);
    }

    #[test]
    fn epochs_that_are_none_are_refused_with_their_place() {
        let error = read("architecture,time_ms,epochs\na,1,many\n").unwrap_err().to_string();
        assert!(error.contains("log.csv:2: column \"epochs\"") && error.contains("rename"), "{error}");
    }
}
