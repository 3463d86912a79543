//! The journal of a run, in the order in which jobs ended.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::ensure;
use hardware::log::{Row, TornLine, Writer};

use super::digests::Digests;
use super::{failed, open_log};
use crate::history::Job;
use crate::target::Targets;

/// The journal: a row for each job, on the disk before the next one is entered.
///
/// The rows of one network have one number. A network that is measured again, or tried again after a failure, has rows
/// under a number of their own.
#[derive(Debug)]
pub struct Journal {
    writer: Writer,
    digests: Digests,
    /// Rows that are in the journal already, from before the kill, and have not been asked for yet.
    recovered: VecDeque<Row>,
}

impl Journal {
    /// Opens the journal of a run, or begins it; rows that are there are kept for [`take`](Self::take) and
    /// [`recover`](Self::recover). Returns a torn last line that was cut off. `waiting_path` is the file in which earlier
    /// versions let rows wait that had ended before their turn: they are moved to the journal. `digests_path` is the file of
    /// the digests that show whether a row was edited.
    ///
    /// # Errors
    /// If it cannot be read or written, or a row was edited.
    pub fn open(path: &Path, waiting_path: &Path, digests_path: &Path) -> anyhow::Result<(Self, Option<TornLine>)> {
        let (writer, rows, torn) = open_log(path)?;
        let digests = Digests::open(digests_path, path, &rows)?;
        let mut journal = Self { writer, digests, recovered: rows.into() };
        if waiting_path.exists() {
            let (_, waiting, _) = Writer::append(waiting_path)?;
            for row in waiting {
                if journal.recovered.iter().all(|known| known.evaluation != row.evaluation) {
                    let row = journal.record(&row)?;
                    journal.recovered.push_back(row);
                }
            }
            std::fs::remove_file(waiting_path).map_err(failed("remove", waiting_path))?;
        }
        Ok((journal, torn))
    }

    /// The rows from before the kill that were not asked for yet, in their order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Row> {
        self.recovered.iter()
    }

    /// Takes the first of them.
    pub fn take(&mut self) -> Option<Row> {
        self.recovered.pop_front()
    }

    /// The row of a job that ended before the kill. Each is given once.
    ///
    /// # Errors
    /// If the row has another architecture.
    pub fn recover(&mut self, job: &Job, targets: &Targets, architecture: &str) -> anyhow::Result<Option<Row>> {
        // A network has one job at a time, so that its first row that fits is of this one.
        let Some(place) = self.recovered.iter().position(|row| job.has_row(row, targets)) else { return Ok(None) };
        let row = self.recovered.remove(place);
        if let Some(row) = &row {
            ensure!(
                row.architecture == architecture,
                "{}: evaluation {} is of {}, but this run proposes {architecture}: the journal is of another run, or was \
                 edited",
                self.writer.path().display(),
                row.evaluation,
                row.architecture
            );
        }
        Ok(row)
    }

    /// Writes a row, and returns it as the journal holds it. It is on the disk then.
    ///
    /// # Errors
    /// If it cannot be written; everything before it is kept.
    pub fn record(&mut self, row: &Row) -> anyhow::Result<Row> {
        let row = self.writer.held(row);
        self.writer.write(&row)?;
        self.digests.push(&row)?;
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::history::{Candidate, Work};
    use crate::strategy::toy;
    use child::space::Architecture;
    use hardware::log::Status;
    use proptest::prelude::*;

    fn row(evaluation: u64) -> Row {
        Row { accuracy: Some(0.5), ..Row::new(evaluation, format!("a{evaluation}"), Status::Ok) }
    }

    fn numbers(path: &Path) -> Vec<u64> {
        hardware::log::read(path).unwrap().iter().map(|row| row.evaluation).collect()
    }

    fn job(number: u64) -> Job {
        let candidate = Candidate { architecture: Architecture::new([0]), key: [0; 16].into() };
        Job { number, candidate, work: Work::Measure { target: 0 } }
    }

    #[test]
    fn rows_from_before_a_kill_are_given_once_and_in_the_order_of_a_networks_jobs() {
        let place = tempfile::tempdir().unwrap();
        let [path, waiting, digests] = ["m.csv", "w.csv", "rows"].map(|name| place.path().join(name));
        let (mut journal, _) = Journal::open(&path, &waiting, &digests).unwrap();
        let measured = Row { accuracy: None, ..row(3) };
        for row in [row(0), measured.clone(), row(2), row(3)] {
            journal.record(&row).unwrap();
        }
        drop(journal);
        let (mut journal, torn) = Journal::open(&path, &waiting, &digests).unwrap();
        let targets = toy::problem(&[2]).targets().clone();
        assert_eq!((torn, journal.rows().len()), (None, 4));
        assert_eq!(journal.recover(&job(3), &targets, "a3").unwrap(), Some(measured));
        assert_eq!(journal.recover(&job(1), &targets, "a1").unwrap(), None);
        assert_eq!(journal.recover(&job(3), &targets, "a3").unwrap(), Some(row(3)));
        let error = journal.recover(&job(2), &targets, "b").unwrap_err().to_string();
        assert!(error.contains("evaluation 2 is of a2, but this run proposes b"), "{error}");
        assert_eq!(journal.take(), Some(row(0)));
        assert_eq!(numbers(&path), [0, 3, 2, 3]);
    }

    proptest! {
        // Fewer cases, for each writes several files.
        #![proptest_config(ProptestConfig {
            failure_persistence: None, cases: ProptestConfig::default().cases.div_ceil(4), ..ProptestConfig::default()
        })]

        /// With rows that waited for their turn in earlier versions, files that a kill has cut anywhere, and rows that are
        /// there twice: the opened journal holds each whole row once, and opens again to the same.
        #[test]
        fn a_killed_journal_keeps_its_whole_rows_and_opens_again(
            ahead in prop::collection::vec(0_u64..9, 0..6), begun in 0_u64..4, cuts in any::<[prop::sample::Index; 2]>(),
        ) {
            let place = tempfile::tempdir().unwrap();
            let [path, waiting, digests] = ["m.csv", "w.csv", "rows"].map(|name| place.path().join(name));
            let (mut main, mut beside) = (Writer::create(&path).unwrap(), Writer::create(&waiting).unwrap());
            (0..begun).for_each(|evaluation| main.write(&row(evaluation)).unwrap());
            ahead.iter().for_each(|evaluation| beside.write(&row(*evaluation)).unwrap());
            for (file, cut) in [&path, &waiting].into_iter().zip(cuts) {
                let content = std::fs::read(file).unwrap();
                std::fs::write(file, &content[..cut.index(content.len() + 1)]).unwrap();
            }
            let rows = |file: &Path| hardware::log::read_whole_lines(file).map(|(rows, _)| rows).unwrap();
            let whole: BTreeSet<u64> = rows(&path).iter().chain(&rows(&waiting)).map(|row| row.evaluation).collect();
            let kept = |journal: &Journal| journal.rows().map(|row| row.evaluation).collect::<Vec<_>>();
            let (journal, _) = Journal::open(&path, &waiting, &digests).unwrap();
            let found = kept(&journal);
            prop_assert_eq!((found.len(), found.iter().copied().collect::<BTreeSet<_>>()), (whole.len(), whole));
            drop(journal);
            prop_assert_eq!(numbers(&path), found.clone());
            prop_assert!(!waiting.exists());
            let (journal, torn) = Journal::open(&path, &waiting, &digests).unwrap();
            prop_assert_eq!((torn, kept(&journal)), (None, found));
        }
    }
}
