//! What a log says of each architecture.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::columns::Columns;
use super::rows::{LogRow, LogRows, nothing_to_replay, read_rows};
use crate::log::read::file_error;
use crate::log::{LogError, Row, Status};
use crate::uncertain::Uncertain;

/// A log of earlier measurements, one [`Row`] for each architecture: rows that differ for one architecture are several
/// measurements of it, and the table has their mean. Rows that say the same count once.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    columns: String,
    rows: Vec<Row>,
    by_architecture: HashMap<String, usize>,
    unsuccessful: HashMap<String, Status>,
}

impl Table {
    /// Reads a CSV file whose columns are `columns`.
    ///
    /// `normalise` gives the canonical text of an architecture, under which it is kept, or says
    /// why the text is none; `&|text| Ok(text.to_owned())` takes texts as they are. An empty cell
    /// is a missing value. Of rows with a journal's `status` other than `ok` only the
    /// [status](Self::unsuccessful) is kept.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, a named column is missing, a row is torn, a cell does not
    /// hold what its column asks; each with file, line, and column. A log without rows is rejected
    /// too.
    pub fn load(
        path: &Path,
        columns: &Columns,
        normalise: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, LogError> {
        let content = std::fs::read(path).map_err(|error| file_error("read", path, &error))?;
        let (mut measured, mut unsuccessful): (Vec<Vec<Row>>, HashMap<_, _>) = Default::default();
        let mut by_architecture: HashMap<String, usize> = HashMap::new();
        let LogRows { rows, columns } = read_rows(path, &content, columns, normalise)?;
        for LogRow { row, .. } in rows {
            if row.status != Status::Ok {
                unsuccessful.insert(row.architecture, row.status);
                continue;
            }
            let at = *by_architecture.entry(row.architecture.clone()).or_insert(measured.len());
            match measured.get_mut(at) {
                None => measured.push(vec![row]),
                Some(repeats) if repeats.iter().any(|repeat| values(repeat) == values(&row)) => {}
                Some(repeats) => repeats.push(row),
            }
        }
        match (measured.len(), unsuccessful.len()) {
            (0, 0) => Err(nothing_to_replay(path, "no row follows the header")),
            (0, skipped) => Err(nothing_to_replay(path, &format!("none of its {skipped} rows has the status ok"))),
            _ => {
                let rows = measured.iter().map(|repeats| merged(repeats)).collect();
                Ok(Self { path: path.to_owned(), columns, rows, by_architecture, unsuccessful })
            }
        }
    }

    /// The row of an architecture, given its canonical text.
    pub fn get(&self, architecture: &str) -> Option<&Row> {
        self.rows.get(*self.by_architecture.get(architecture)?)
    }

    /// One row for each architecture in the order of the file; never none.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The columns that it is from, by the journal's names: `architecture = "arch", time_ms = "latency" (in us)`.
    pub fn columns(&self) -> &str {
        &self.columns
    }

    /// How the evaluation of an architecture ended, given its canonical text, where that was not `ok`.
    pub fn unsuccessful(&self, architecture: &str) -> Option<Status> {
        self.unsuccessful.get(architecture).copied()
    }

    /// Number of architectures whose evaluation was not successful.
    pub fn skipped(&self) -> usize {
        self.unsuccessful.len()
    }
}

/// The measured values, by which rows of one architecture differ.
fn values(row: &Row) -> [Option<f64>; 5] {
    [row.accuracy, row.time_ms, row.time_ms_std, row.energy_mj, row.energy_mj_std]
}

/// Several measurements of one architecture as one: means, with the deviations that their spread gives. The device is
/// the first one's; epochs are of a training, of which there may have been several.
fn merged(repeats: &[Row]) -> Row {
    let first = repeats.first().cloned().unwrap_or_default();
    if repeats.len() < 2 {
        return Row { epochs: None, ..first };
    }
    let mean = |of: fn(&Row) -> (Option<f64>, Option<f64>)| {
        let measured = |row| of(row).0.map(|value| Uncertain { value, deviation: of(row).1 });
        let mean = Uncertain::mean(&repeats.iter().filter_map(measured).collect::<Vec<_>>());
        (mean.map(|mean| mean.value), mean.and_then(|mean| mean.deviation))
    };
    let (accuracy, _) = mean(|row| (row.accuracy, None));
    let (time_ms, time_ms_std) = mean(|row| (row.time_ms, row.time_ms_std));
    let (energy_mj, energy_mj_std) = mean(|row| (row.energy_mj, row.energy_mj_std));
    Row { accuracy, time_ms, time_ms_std, energy_mj, energy_mj_std, epochs: None, ..first }
}
