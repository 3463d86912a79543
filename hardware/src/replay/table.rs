//! The rows of a replayed log.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use super::columns::Columns;
use super::error::ReplayError;
use super::rows::{self, LogRow, empty, read_error};
use crate::log::Status;
use crate::uncertain::Uncertain;

/// What is known about one architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Line of the row, the header being line 1; of several rows the first.
    pub line: u64,
    /// Text of the architecture, as normalised.
    pub architecture: String,
    /// Accuracy as a fraction, 0 to 1.
    pub accuracy: Option<f64>,
    /// Mean time of one inference, in ms.
    pub time_ms: Option<f64>,
    /// Standard deviation of the time, in ms.
    pub time_ms_std: Option<f64>,
    /// Energy of one inference, in mJ.
    pub energy_mj: Option<f64>,
    /// Standard deviation of the energy, in mJ.
    pub energy_mj_std: Option<f64>,
    /// What it was measured on.
    pub device: Option<String>,
    /// Further objectives, in the order of [`Table::objectives`].
    pub objectives: Vec<Option<f64>>,
}

impl Record {
    /// A row of which only the architecture counts.
    pub(super) fn of_nothing(line: u64, architecture: String, objectives: usize) -> Self {
        Self {
            line,
            architecture,
            accuracy: None,
            time_ms: None,
            time_ms_std: None,
            energy_mj: None,
            energy_mj_std: None,
            device: None,
            objectives: vec![None; objectives],
        }
    }

    /// Whether another row says the same of the same architecture; where it stands and on which
    /// device is no matter.
    fn agrees_with(&self, other: &Self) -> bool {
        self.accuracy == other.accuracy
            && self.time_ms == other.time_ms
            && self.time_ms_std == other.time_ms_std
            && self.energy_mj == other.energy_mj
            && self.energy_mj_std == other.energy_mj_std
            && self.objectives == other.objectives
    }

    /// Several measurements of one architecture as one: means, with the deviations that their spread gives. Line and
    /// device are the first one's.
    fn merged(self, others: &[Self]) -> Self {
        let all = || std::iter::once(&self).chain(others);
        let mean = |of: &dyn Fn(&Self) -> Option<Uncertain>| Uncertain::mean(&all().filter_map(of).collect::<Vec<_>>());
        let plain = |value: Option<f64>| value.map(|value| Uncertain { value, deviation: None });
        let accuracy = mean(&|record| plain(record.accuracy)).map(|mean| mean.value);
        let time = mean(&|record| record.time_ms.map(|value| Uncertain { value, deviation: record.time_ms_std }));
        let energy = mean(&|record| record.energy_mj.map(|value| Uncertain { value, deviation: record.energy_mj_std }));
        let (time_ms, time_ms_std) = (time.map(|mean| mean.value), time.and_then(|mean| mean.deviation));
        let (energy_mj, energy_mj_std) = (energy.map(|mean| mean.value), energy.and_then(|mean| mean.deviation));
        let objective = |index: usize| mean(&|record| plain(record.objectives[index])).map(|mean| mean.value);
        let objectives = (0..self.objectives.len()).map(objective).collect();
        Self { accuracy, time_ms, time_ms_std, energy_mj, energy_mj_std, objectives, ..self }
    }
}

/// A log of earlier measurements, one [`Record`] an architecture: rows that tell different things of one are several
/// measurements of it, and their mean is what the log says. Rows that tell the same count once.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    records: Vec<Record>,
    by_architecture: HashMap<String, usize>,
    objectives: Vec<String>,
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
    /// hold what its column asks; each with file, line, and column. A log without rows is refused
    /// too.
    pub fn load(
        path: &Path,
        columns: &Columns,
        normalise: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, ReplayError> {
        let content = std::fs::read(path).map_err(|source| read_error(path, source))?;
        let (rows, layout) = rows::parse(path, &content, columns, normalise)?;
        let mut repeats: HashMap<usize, Vec<Record>> = HashMap::new();
        let mut table = Self {
            path: path.to_owned(),
            records: Vec::new(),
            by_architecture: HashMap::new(),
            objectives: layout.objectives.into_iter().map(|(name, _)| name).collect(),
            unsuccessful: HashMap::new(),
        };
        for LogRow { record, status, .. } in rows {
            match status {
                Status::Ok => table.insert(record, &mut repeats),
                status => drop(table.unsuccessful.insert(record.architecture, status)),
            }
        }
        for (at, others) in repeats {
            table.records[at] = table.records[at].clone().merged(&others);
        }
        match (table.records.len(), table.unsuccessful.len()) {
            (0, 0) => Err(empty(path, "there is no row under the header".to_owned())),
            (0, skipped) => Err(empty(path, format!("none of its {skipped} rows has the status ok"))),
            _ => Ok(table),
        }
    }

    /// The row of an architecture, given its canonical text.
    pub fn get(&self, architecture: &str) -> Option<&Record> {
        let at = self.by_architecture.get(architecture)?;
        self.records.get(*at)
    }

    /// All rows in the order of the file, each architecture once.
    pub fn iter(&self) -> std::slice::Iter<'_, Record> {
        self.records.iter()
    }

    /// Number of architectures; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a table without rows cannot be made")]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the further objectives, in alphabetical order.
    pub fn objectives(&self) -> &[String] {
        &self.objectives
    }

    /// How the evaluation of an architecture ended, given its canonical text, where that was not `ok`.
    pub fn unsuccessful(&self, architecture: &str) -> Option<Status> {
        self.unsuccessful.get(architecture).copied()
    }

    /// Number of architectures whose evaluation was not successful.
    pub fn skipped(&self) -> usize {
        self.unsuccessful.len()
    }

    /// The device, where all rows name the same.
    pub fn device(&self) -> Option<&str> {
        let device = self.records.first()?.device.as_deref()?;
        let same = |record: &Record| record.device.as_deref() == Some(device);
        self.records.iter().all(same).then_some(device)
    }

    /// Keeps a row as its architecture's, or with the `repeats` of the one that is there.
    fn insert(&mut self, record: Record, repeats: &mut HashMap<usize, Vec<Record>>) {
        match self.by_architecture.entry(record.architecture.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(self.records.len());
                self.records.push(record);
            }
            Entry::Occupied(entry) => {
                let known = repeats.entry(*entry.get()).or_default();
                let is_new =
                    !std::iter::once(&self.records[*entry.get()]).chain(&*known).any(|one| one.agrees_with(&record));
                if is_new {
                    known.push(record);
                }
            }
        }
    }
}

impl<'a> IntoIterator for &'a Table {
    type Item = &'a Record;
    type IntoIter = std::slice::Iter<'a, Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
