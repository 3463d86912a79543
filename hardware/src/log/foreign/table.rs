//! What a log says of each architecture.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::columns::Columns;
use super::rows::{LogRow, nothing_to_replay, read_rows};
use crate::log::read::file_error;
use crate::log::{LogError, Row, Status};
use crate::uncertain::Uncertain;

/// A log of earlier measurements and trainings, one [`Row`] for each architecture. Rows that differ for one architecture
/// are several measurements of it, or trainings, and the table has their mean. Rows that say the same count once.
///
/// Trainings to other numbers of epochs are other things, whether a row has them in its columns or the architecture has a
/// row for each: the row has the accuracy of the full training, [`accuracies`](Self::accuracies) those of all.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    columns: String,
    /// Those of architectures that did not succeed come last.
    rows: Vec<Row>,
    successful: usize,
    /// Of the row in the same place.
    details: Vec<Details>,
    by_architecture: HashMap<String, usize>,
    unsuccessful: HashMap<String, Status>,
    full_epochs: Option<u64>,
    short_epochs: Option<u64>,
}

/// An architecture's training to a number of epochs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trained {
    /// The epochs; of a full training those of the [table](Table::full_epochs), `None` where it does not know them.
    pub epochs: Option<u64>,
    /// The accuracy that it reached, 0 to 1.
    pub accuracy: f64,
    /// The time that it took, in seconds.
    pub seconds: Option<f64>,
}

/// What a row of the table does not have.
#[derive(Debug, Default)]
struct Details {
    trained: Vec<Trained>,
    measure_seconds: Option<f64>,
}

impl Table {
    /// Reads a CSV file whose columns are `columns`.
    ///
    /// `normalise` gives the canonical text of an architecture, under which it is kept, or says
    /// why the text is none; `&|text| Ok(text.to_owned())` takes texts as they are. An empty cell
    /// is a missing value. Of rows with a journal's `status` other than `ok` and `measured` only the
    /// [status](Self::unsuccessful) is kept, and what was measured before the evaluation ended.
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
        Self::parse(path, &content, columns, normalise)
    }

    /// As [`load`](Self::load), with the content of the file at `path`, which need not exist.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn parse(
        path: &Path,
        content: &[u8],
        columns: &Columns,
        normalise: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, LogError> {
        let log = read_rows(path, content, columns, normalise)?;
        let mut gathered = Gathered { full_epochs: log.full_epochs, ..Gathered::default() };
        for LogRow { mut row, short, .. } in log.rows {
            if short.is_some() && row.accuracy.is_none() && row.status == Status::Ok {
                row.status = Status::Measured;
            }
            let short = short.map(|short| Row {
                accuracy: Some(short.accuracy),
                epochs: Some(short.epochs),
                ..Row::new(0, row.architecture.clone(), Status::Ok)
            });
            gathered.add(row);
            short.into_iter().for_each(|short| gathered.add(short));
        }
        gathered.into_table(path, log.columns)
    }

    /// The row of an architecture, given its canonical text: its measurement, and the accuracy of its full training.
    ///
    /// Its status is `ok`, or `measured` where the log has no full training of it; or it is the one by which its
    /// evaluation ended [without success](Self::unsuccessful), if something was measured before.
    pub fn get(&self, architecture: &str) -> Option<&Row> {
        self.rows.get(*self.by_architecture.get(architecture)?)
    }

    /// The rows of successful architectures (`ok` or `measured`) in the order of the file; never none.
    pub fn rows(&self) -> &[Row] {
        &self.rows[..self.successful]
    }

    /// The trainings of an architecture, given its canonical text, in ascending order of their epochs; the full one is the
    /// last if there is one.
    pub fn accuracies(&self, architecture: &str) -> &[Trained] {
        self.details(architecture).map_or(&[], |details| &details.trained)
    }

    /// The time that a measurement of an architecture took, in seconds, given its canonical text.
    pub fn measure_seconds(&self, architecture: &str) -> Option<f64> {
        self.details(architecture)?.measure_seconds
    }

    fn details(&self, architecture: &str) -> Option<&Details> {
        self.details.get(*self.by_architecture.get(architecture)?)
    }

    /// Epochs of a full training: the most of the log; `None` where it does not say any. A training without epochs is a
    /// full one.
    pub fn full_epochs(&self) -> Option<u64> {
        self.full_epochs
    }

    /// Epochs of a short training: the largest number below those of a full one to which at least half of the trained
    /// architectures were trained; `None` without such a number.
    pub fn short_epochs(&self) -> Option<u64> {
        self.short_epochs
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The columns that it is from, by the journal's names: `architecture = "arch", time_ms = "latency" (in us)`.
    pub fn columns(&self) -> &str {
        &self.columns
    }

    /// How the evaluation of an architecture ended, given its canonical text, where no row of it is a success.
    pub fn unsuccessful(&self, architecture: &str) -> Option<Status> {
        self.unsuccessful.get(architecture).copied()
    }

    /// Number of architectures whose evaluation was not successful, nor another one of them.
    pub fn skipped(&self) -> usize {
        self.unsuccessful.len()
    }
}

/// The values of a log by architecture, in the order of the file.
#[derive(Default)]
struct Gathered {
    full_epochs: Option<u64>,
    networks: Vec<Network>,
    by_architecture: HashMap<String, usize>,
    /// Network and values of each row.
    seen: HashSet<(usize, [Option<u64>; 6])>,
    unsuccessful: HashMap<String, Status>,
}

#[derive(Default)]
struct Network {
    rows: Vec<Row>,
    /// Whether one of them is an evaluation in full.
    is_evaluated: bool,
}

impl Gathered {
    fn add(&mut self, mut row: Row) {
        if !matches!(row.status, Status::Ok | Status::Measured) {
            self.unsuccessful.insert(row.architecture.clone(), row.status);
            // A training that did not succeed has no accuracy that counts.
            (row.accuracy, row.epochs, row.train_seconds) = (None, None, None);
            if !is_measured(&row) {
                return;
            }
        }
        let at = *self.by_architecture.entry(row.architecture.clone()).or_insert(self.networks.len());
        if at == self.networks.len() {
            self.networks.push(Network::default());
        }
        let accuracy = row.accuracy.map(bits);
        let epochs = accuracy.and(row.epochs.or(self.full_epochs));
        let [time, time_std, energy, energy_std] = measurement(&row);
        let is_new = self.seen.insert((at, [accuracy, epochs, time, time_std, energy, energy_std]));
        let is_full = self.is_full(&row);
        if let Some(network) = self.networks.get_mut(at) {
            network.is_evaluated |= row.status == Status::Ok && is_full;
            if is_new {
                network.rows.push(row);
            }
        }
    }

    /// Whether a row has no accuracy but that of a full training.
    fn is_full(&self, row: &Row) -> bool {
        row.accuracy.is_none() || row.epochs.is_none() || row.epochs == self.full_epochs
    }

    fn into_table(mut self, path: &Path, columns: String) -> Result<Table, LogError> {
        // Another try may have succeeded.
        for row in self.networks.iter().filter(|network| network.is_evaluated).filter_map(|one| one.rows.first()) {
            self.unsuccessful.remove(&row.architecture);
        }
        let merged: Vec<(Row, Details)> = self.networks.iter().map(|network| self.merged(network)).collect();
        let is_successful = |(row, _): &(Row, Details)| matches!(row.status, Status::Ok | Status::Measured);
        let (mut merged, others): (Vec<_>, Vec<_>) = merged.into_iter().partition(is_successful);
        let successful = merged.len();
        match (successful, self.unsuccessful.len()) {
            (0, 0) => return Err(nothing_to_replay(path, "no row follows the header")),
            (0, skipped) => {
                let reason = format!("none of its {skipped} architectures has a row with the status ok");
                return Err(nothing_to_replay(path, &reason));
            }
            _ => merged.extend(others),
        }
        let by_architecture = (0..).zip(&merged).map(|(at, (row, _))| (row.architecture.clone(), at)).collect();
        let (rows, details): (Vec<Row>, Vec<Details>) = merged.into_iter().unzip();
        Ok(Table {
            path: path.to_owned(),
            columns,
            rows,
            successful,
            by_architecture,
            unsuccessful: self.unsuccessful,
            full_epochs: self.full_epochs,
            short_epochs: short_epochs(&details, self.full_epochs),
            details,
        })
    }

    /// The rows of one architecture as one: means, with the deviations that their spread gives. The device is that of the
    /// first measurement.
    fn merged(&self, Network { rows, is_evaluated }: &Network) -> (Row, Details) {
        let (mut measured, partial): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| self.is_full(row));
        // A measurement that the rows of several trainings repeat is one.
        let mut seen: HashSet<_> = measured.iter().map(|row| measurement(row)).collect();
        measured.extend(partial.into_iter().filter(|row| is_measured(row) && seen.insert(measurement(row))));
        let mean = |rows: &[&Row], of: fn(&Row) -> (Option<f64>, Option<f64>)| {
            let value = |row: &&Row| of(row).0.map(|value| Uncertain { value, deviation: of(row).1 });
            let mean = Uncertain::mean(&rows.iter().filter_map(value).collect::<Vec<_>>());
            (mean.map(|mean| mean.value), mean.and_then(|mean| mean.deviation))
        };
        let mut by_epochs: BTreeMap<Option<u64>, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.accuracy.is_some()) {
            by_epochs.entry(row.epochs.or(self.full_epochs)).or_default().push(row);
        }
        let trained = by_epochs.into_iter().filter_map(|(epochs, rows)| {
            let seconds = mean(&rows, |row| (row.train_seconds, None)).0;
            Some(Trained { epochs, accuracy: mean(&rows, |row| (row.accuracy, None)).0?, seconds })
        });
        let trained: Vec<Trained> = trained.collect();
        let full = trained.last().filter(|trained| trained.epochs == self.full_epochs);
        let (time_ms, time_ms_std) = mean(&measured, |row| (row.time_ms, row.time_ms_std));
        let (energy_mj, energy_mj_std) = mean(&measured, |row| (row.energy_mj, row.energy_mj_std));
        let architecture = rows.first().map(|row| row.architecture.clone()).unwrap_or_default();
        let status = match self.unsuccessful.get(&architecture) {
            _ if *is_evaluated => Status::Ok,
            Some(status) => *status,
            None => Status::Measured,
        };
        let device = measured.iter().find(|row| is_measured(row)).or(measured.first());
        let row = Row {
            accuracy: full.map(|trained| trained.accuracy),
            epochs: full.and_then(|trained| trained.epochs),
            time_ms,
            time_ms_std,
            energy_mj,
            energy_mj_std,
            device: device.and_then(|row| row.device.clone()),
            ..Row::new(0, architecture, status)
        };
        let timed: Vec<&Row> = rows.iter().filter(|row| is_measured(row)).collect();
        let measure_seconds = mean(&timed, |row| (row.measure_seconds, None)).0;
        (row, Details { trained, measure_seconds })
    }
}

/// [`Table::short_epochs`].
fn short_epochs(networks: &[Details], full: Option<u64>) -> Option<u64> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for epochs in networks.iter().flat_map(|network| &network.trained).filter_map(|trained| trained.epochs) {
        *counts.entry(epochs).or_default() += 1;
    }
    let trained = networks.iter().filter(|network| !network.trained.is_empty()).count();
    let is_short = |(epochs, count): &(u64, usize)| Some(*epochs) != full && 2 * count >= trained;
    counts.into_iter().rev().find(is_short).map(|(epochs, _)| epochs)
}

fn is_measured(row: &Row) -> bool {
    row.time_ms.is_some() || row.energy_mj.is_some()
}

/// The measured values, by which measurements of one architecture differ.
fn measurement(row: &Row) -> [Option<u64>; 4] {
    [row.time_ms, row.time_ms_std, row.energy_mj, row.energy_mj_std].map(|value| value.map(bits))
}

/// The bits of a number, the same for both zeros.
fn bits(value: f64) -> u64 {
    (value + 0.0).to_bits()
}
