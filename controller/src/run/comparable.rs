//! The rows of another log that can be compared with those of a run.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hardware::log::foreign::LogRow;
use hardware::log::{Row, Status};

use super::{Imported, Origin};
use crate::objective::{Objective, Objectives};

/// A run's devices, epochs and objectives, and the rows that it knows already.
#[derive(Debug, Default)]
pub struct Comparable {
    objectives: Vec<Objective>,
    /// Labels of its devices; none where nothing says what they are.
    pub devices: BTreeSet<String>,
    /// Epochs of its full trainings; none where nothing says it.
    pub epochs: BTreeSet<u64>,
    same_device: bool,
    known: HashSet<(String, Measured)>,
    /// By log (its path or its hash) and line, whether accuracy, time and energy were imported from there.
    taken: HashMap<(String, u64), [bool; 3]>,
}

/// The measured values to the last bit.
type Measured = [Option<u64>; 5];

/// How many rows of a log were taken, and why others were not, or not whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub rows: usize,
    /// Rows taken, at least in part.
    pub taken: usize,
    /// Rows of evaluations that failed or diverged.
    pub unsuccessful: usize,
    /// Rows that tell what the run knows already.
    pub known: usize,
    /// Rows of which nothing is left that the run minimises.
    pub useless: usize,
    /// By device, rows whose time and energy were left out.
    pub other_devices: BTreeMap<String, usize>,
    /// Rows whose time and energy were left out because it is not known whether they are of the run's device.
    pub unlabelled: usize,
    /// By their number of epochs, rows whose accuracy was left out.
    pub other_epochs: BTreeMap<u64, usize>,
}

impl Comparable {
    /// A run for some objectives, whose children are trained for one of `epochs` and measured on `devices` (labels, as
    /// the journal has them); either may be empty where nothing says it. `same_device` declares that measurements are
    /// of the same device where one side has no label.
    pub fn new(objectives: &Objectives, devices: BTreeSet<String>, epochs: BTreeSet<u64>, same_device: bool) -> Self {
        Self { objectives: objectives.as_slice().to_vec(), devices, epochs, same_device, ..Self::default() }
    }

    pub fn know_evaluated(&mut self, row: &Row) {
        self.known.insert((row.architecture.clone(), measured(row)));
    }

    pub fn know_imported(&mut self, Imported { row, origin }: &Imported) {
        self.know_evaluated(row);
        let present = Objective::MEASURED.map(|objective| objective.measured(row).is_some());
        for log in [&origin.source, &origin.sha256] {
            let before = self.taken.entry((log.clone(), origin.line)).or_default();
            before.iter_mut().zip(present).for_each(|(before, present)| *before |= present);
        }
    }

    /// The rows of a log that can be compared, and an account of the others. `origin` is the log's, without a line. The
    /// rows are remembered.
    pub fn take(&mut self, rows: Vec<LogRow>, origin: &Origin) -> (Vec<Imported>, Tally) {
        let mut tally = Tally { rows: rows.len(), ..Tally::default() };
        let mut taken = Vec::new();
        let trained = rows.iter().filter(|LogRow { row, .. }| row.status == Status::Ok && row.accuracy.is_some());
        let of_log = trained.filter_map(|trained| trained.row.epochs).max();
        // Where the run does not say its epochs, those of the log's full trainings.
        let epochs = if self.epochs.is_empty() { of_log.into_iter().collect() } else { self.epochs.clone() };
        for LogRow { line, row, .. } in rows {
            let origin = Origin { line, ..origin.clone() };
            if let Some(row) = self.take_row(row, &epochs, &origin, &mut tally) {
                let imported = Imported { row, origin };
                self.know_imported(&imported);
                taken.push(imported);
            }
        }
        tally.taken = taken.len();
        (taken, tally)
    }

    fn take_row(&self, row: Row, epochs: &BTreeSet<u64>, origin: &Origin, tally: &mut Tally) -> Option<Row> {
        if matches!(row.status, Status::Failed | Status::Diverged) {
            tally.unsuccessful += 1;
            return None;
        }
        // A training that was broken off has no accuracy that counts.
        let accuracy = row.accuracy.filter(|_| row.status != Status::Stopped);
        let mut found = Row { status: Status::Ok, accuracy, ..row };
        if (found.time_ms.is_some() || found.energy_mj.is_some()) && !self.is_device(found.device.as_deref()) {
            match &found.device {
                Some(device) if !self.devices.is_empty() => {
                    *tally.other_devices.entry(device.clone()).or_default() += 1;
                }
                _ => tally.unlabelled += 1,
            }
            clear_time(&mut found);
            clear_energy(&mut found);
        }
        if let Some(other) = found.epochs.filter(|found| !epochs.contains(found)).filter(|_| found.accuracy.is_some()) {
            *tally.other_epochs.entry(other).or_default() += 1;
            found.accuracy = None;
        }
        if !self.wants(&found) {
            tally.useless += 1;
            return None;
        }
        // A row that was imported in part before is completed, and says nothing twice.
        let before = |log: &String| self.taken.get(&(log.clone(), origin.line));
        if let Some([accuracy, time, energy]) = before(&origin.source).or_else(|| before(&origin.sha256)).copied() {
            found.accuracy = found.accuracy.filter(|_| !accuracy);
            if time {
                clear_time(&mut found);
            }
            if energy {
                clear_energy(&mut found);
            }
        }
        if !self.wants(&found) || self.known.contains(&(found.architecture.clone(), measured(&found))) {
            tally.known += 1;
            return None;
        }
        Some(found)
    }

    fn is_device(&self, device: Option<&str>) -> bool {
        match device {
            Some(device) if !self.devices.is_empty() => self.devices.contains(device),
            _ => self.same_device,
        }
    }

    /// Whether it has a measured value that the run minimises.
    fn wants(&self, row: &Row) -> bool {
        self.objectives.iter().any(|objective| objective.measured(row).is_some())
    }
}

fn measured(row: &Row) -> Measured {
    let values = [row.accuracy, row.time_ms, row.time_ms_std, row.energy_mj, row.energy_mj_std];
    values.map(|value| value.map(f64::to_bits))
}

fn clear_time(row: &mut Row) {
    (row.time_ms, row.time_ms_std) = (None, None);
}

fn clear_energy(row: &mut Row) {
    (row.energy_mj, row.energy_mj_std) = (None, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardware::log::foreign::{Columns, read_rows};

    fn source(path: &str) -> Origin {
        let [source, imported_at] = [path, "2026-01-31T23:59:59Z"].map(str::to_owned);
        Origin { sha256: format!("hash of {path}"), source, imported_at, after: 3, line: 0 }
    }

    fn rows(lines: &str) -> Vec<LogRow> {
        let text = format!("architecture,status,accuracy,time_ms,time_ms_std,energy_mj,device,epochs\n{lines}");
        let same = |text: &str| Ok(text.to_owned());
        let columns: Columns = toml::from_str("status = \"status\"\nepochs = \"epochs\"").unwrap();
        read_rows(std::path::Path::new("log"), text.as_bytes(), &columns, &same).unwrap().rows
    }

    fn here(devices: &[&str], epochs: &[u64], same_device: bool) -> Comparable {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let devices = devices.iter().map(|device| (*device).to_owned()).collect();
        Comparable::new(&objectives, devices, epochs.iter().copied().collect(), same_device)
    }

    /// Architecture, accuracy, time and energy.
    type Values<'a> = (&'a str, Option<f64>, Option<f64>, Option<f64>);

    fn values(taken: &[Imported]) -> Vec<Values<'_>> {
        let rows = taken.iter().map(|imported| &imported.row);
        rows.map(|row| (row.architecture.as_str(), row.accuracy, row.time_ms, row.energy_mj)).collect()
    }

    const ROWS: &str = "a,ok,0.5,1,0.1,2,x,3\nb,ok,0.5,1,,,y,3\nc,ok,0.5,1,,,,3\nd,ok,0.5,1,,,x,4\n\
                        e,failed,,,,,x,\nf,bounded,,9,,,x,\ng,bounded,,9,,,y,\nh,ok,0.25,,,,z,\n";

    #[test]
    fn times_are_taken_of_the_same_device_and_accuracies_of_the_same_training() {
        let (taken, tally) = here(&["x"], &[3], false).take(rows(ROWS), &source("log"));
        assert_eq!(
            values(&taken),
            [
                ("a", Some(0.5), Some(1.0), Some(2.0)),
                ("b", Some(0.5), None, None),
                ("c", Some(0.5), None, None),
                ("d", None, Some(1.0), None),
                ("f", None, Some(9.0), None),
                ("h", Some(0.25), None, None),
            ]
        );
        let expected = Tally {
            rows: 8,
            taken: 6,
            unsuccessful: 1,
            known: 0,
            useless: 1,
            other_devices: [("y".to_owned(), 2)].into(),
            unlabelled: 1,
            other_epochs: [(4, 1)].into(),
        };
        assert_eq!(tally, expected);
        assert!(taken.iter().all(|row| row.origin.after == 3 && row.origin.source == "log"));
        assert_eq!(taken.iter().map(|row| row.origin.line).collect::<Vec<_>>(), [2, 3, 4, 5, 7, 9]);
    }

    #[test]
    fn jobs_of_a_network_are_taken_as_far_as_they_are_a_measurement_or_a_full_training() {
        let jobs = "a,measured,,1,,,x,\na,ok,0.25,,,,,2\na,ok,0.5,,,,,20\nb,measured,,2,,,x,\nb,stopped,0.375,,,,,7\n";
        for epochs in [&[20][..], &[]] {
            let (taken, tally) = here(&["x"], epochs, false).take(rows(jobs), &source("log"));
            let expected = [("a", None, Some(1.0), None), ("a", Some(0.5), None, None), ("b", None, Some(2.0), None)];
            assert_eq!((values(&taken), tally.other_epochs), (expected.to_vec(), [(2, 1)].into()), "{epochs:?}");
        }
    }

    #[test]
    fn a_declaration_counts_where_a_label_is_missing() {
        let (taken, tally) = here(&["x"], &[], true).take(rows(ROWS), &source("log"));
        assert_eq!(taken.iter().filter(|taken| taken.row.time_ms.is_some()).count(), 4, "{taken:?}");
        assert_eq!((tally.unlabelled, &tally.other_devices), (0, &[("y".to_owned(), 2)].into()));
        // Where the run itself names no device, no label can be compared.
        let (_, tally) = here(&[], &[], false).take(rows(ROWS), &source("log"));
        assert_eq!((tally.unlabelled, tally.other_devices.len()), (6, 0));
        let (taken, _) = here(&[], &[], true).take(rows(ROWS), &source("log"));
        assert_eq!(taken.iter().filter(|taken| taken.row.time_ms.is_some()).count(), 6);
    }

    #[test]
    fn nothing_is_taken_twice() {
        let mut run = here(&["x"], &[3], false);
        run.know_evaluated(&Row {
            accuracy: Some(0.5),
            time_ms: Some(1.0),
            time_ms_std: Some(0.1),
            energy_mj: Some(2.0),
            ..Row::new(0, "a", Status::Ok)
        });
        assert_eq!(run.take(rows(ROWS), &source("log")).1.known, 1, "what the run measured itself");
        for other in ["log", "a copy of it"] {
            let (taken, tally) = run.take(rows(ROWS), &source(other));
            assert_eq!((values(&taken), tally.known), (Vec::new(), 6), "{other}");
        }
        let (taken, tally) = run.take(rows("a,ok,0.5,2,,,x,3\na,ok,0.5,2,,,x,3\n"), &source("another"));
        assert_eq!((values(&taken), tally.known), (vec![("a", Some(0.5), Some(2.0), None)], 1), "another measurement");
    }

    #[test]
    fn a_declaration_afterwards_adds_what_is_missing() {
        let mut run = here(&["x"], &[3], false);
        run.take(rows(ROWS), &source("log"));
        run.same_device = true;
        let (taken, tally) = run.take(rows(ROWS), &source("log"));
        assert_eq!((values(&taken), tally.known), (vec![("c", None, Some(1.0), None)], 5));
    }
}
