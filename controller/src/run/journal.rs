//! The journal of a run, in the order of the evaluations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use hardware::log::{Row, TornLine, Writer};

use super::digests::Digests;
use super::{failed, open_log};

/// The journal, written in the order of the evaluations, although they may end in any order.
///
/// A row that is ahead of its turn waits in a file of its own, on the disk like the journal: a kill loses no evaluation,
/// and the journal of a resumed run is that of an uninterrupted one.
///
/// A network that is measured again has a row for each measurement, each with a number of its own. The later ones have
/// neither accuracy nor epochs: only the devices measured again, and a copied accuracy would look like a second training
/// with the same result.
#[derive(Debug)]
pub struct Journal {
    writer: Writer,
    digests: Digests,
    next: u64,
    /// Rows that are in the journal already, from before the kill, and have not been asked for yet.
    recovered: BTreeMap<u64, Row>,
    waiting: BTreeMap<u64, Row>,
    waiting_path: PathBuf,
    waiting_writer: Option<Writer>,
}

impl Journal {
    /// Opens the journal of a run, or begins it; rows that are there are kept for [`recover`](Self::recover). Returns a
    /// torn last line that was cut off. `waiting_path` is the file of rows that wait for their turn, `digests_path` the
    /// file of the digests that show whether a row was edited.
    ///
    /// # Errors
    /// If it cannot be read or written, its evaluations are not numbered one after the other, or one was edited.
    pub fn open(path: &Path, waiting_path: &Path, digests_path: &Path) -> anyhow::Result<(Self, Option<TornLine>)> {
        let (writer, rows, torn) = open_log(path)?;
        for (expected, row) in (0..).zip(&rows) {
            let (path, found) = (path.display(), row.evaluation);
            ensure!(found == expected, "{path}: expected evaluation {expected}, found {found}: the journal was edited");
        }
        let digests = Digests::open(digests_path, path, &rows)?;
        let mut journal = Self {
            writer,
            digests,
            next: rows.len() as u64,
            recovered: rows.into_iter().map(|row| (row.evaluation, row)).collect(),
            waiting: BTreeMap::new(),
            waiting_path: waiting_path.to_owned(),
            waiting_writer: None,
        };
        if waiting_path.exists() {
            let (writer, rows, _) = Writer::append(waiting_path)?;
            journal.waiting_writer = Some(writer);
            for row in rows.into_iter().filter(|row| row.evaluation >= journal.next) {
                journal.recovered.insert(row.evaluation, row.clone());
                journal.waiting.insert(row.evaluation, row);
            }
            journal.drain()?;
        }
        Ok((journal, torn))
    }

    /// Whether the first so many evaluations are there from before the kill, and have not been asked for yet.
    pub fn holds(&self, evaluations: u64) -> bool {
        (0..evaluations).all(|evaluation| self.recovered.contains_key(&evaluation))
    }

    /// The row of an evaluation, if it was evaluated before the kill. Each is given once.
    ///
    /// # Errors
    /// If the row is of an architecture that the run does not propose under this number.
    pub fn recover(&mut self, evaluation: u64, architecture: &str) -> anyhow::Result<Option<Row>> {
        match self.recovered.remove(&evaluation) {
            Some(row) if row.architecture != architecture => bail!(
                "{}: evaluation {evaluation} is of {}, but this run proposes {architecture}: the journal is of another \
                 run, or was edited",
                self.writer.path().display(),
                row.architecture
            ),
            row => Ok(row),
        }
    }

    /// The row of an evaluation from before the kill, if it is there and was not given yet.
    pub fn recovered(&self, evaluation: u64) -> Option<&Row> {
        self.recovered.get(&evaluation)
    }

    /// The rows from before the kill that were not given yet, in their order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.recovered.values()
    }

    /// The row of an evaluation that a checkpoint covers, or that the strategy had no part in. Each is given once.
    pub fn take(&mut self, evaluation: u64) -> Option<Row> {
        self.recovered.remove(&evaluation)
    }

    /// Writes a row, now or when it is its turn; it is on the disk in either case.
    ///
    /// # Errors
    /// If it cannot be written; everything before it is kept.
    pub fn record(&mut self, row: &Row) -> anyhow::Result<()> {
        let row = &self.writer.held(row);
        if row.evaluation != self.next || !self.waiting.is_empty() {
            let writer = match &mut self.waiting_writer {
                Some(writer) => writer,
                empty => empty.insert(Writer::create(&self.waiting_path)?),
            };
            writer.write(row)?;
        }
        self.waiting.insert(row.evaluation, row.clone());
        self.drain()
    }

    /// Moves the rows whose turn it is from where they wait to the journal.
    fn drain(&mut self) -> anyhow::Result<()> {
        while let Some(row) = self.waiting.get(&self.next) {
            self.writer.write(row)?;
            self.digests.push(row)?;
            self.waiting.remove(&self.next);
            self.next += 1;
        }
        if self.waiting.is_empty() && self.waiting_writer.take().is_some() {
            std::fs::remove_file(&self.waiting_path).map_err(failed("remove", &self.waiting_path))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardware::log::Status;
    use proptest::prelude::*;

    fn row(evaluation: u64) -> Row {
        Row { accuracy: Some(0.5), ..Row::new(evaluation, format!("a{evaluation}"), Status::Ok) }
    }

    fn numbers(path: &Path) -> Vec<u64> {
        hardware::log::read(path).unwrap().iter().map(|row| row.evaluation).collect()
    }

    #[test]
    fn journal_order_is_independent_of_completion_order_and_of_kills() {
        let place = tempfile::tempdir().unwrap();
        let [path, waiting, digests] = ["m.csv", "w.csv", "rows"].map(|name| place.path().join(name));
        let (mut journal, _) = Journal::open(&path, &waiting, &digests).unwrap();
        for evaluation in [0, 3, 2] {
            journal.record(&row(evaluation)).unwrap();
        }
        assert_eq!((numbers(&path), numbers(&waiting)), (vec![0], vec![3, 2]));
        drop(journal);
        let (mut journal, torn) = Journal::open(&path, &waiting, &digests).unwrap();
        assert_eq!((torn, journal.recovered.len()), (None, 3));
        assert_eq!(journal.recover(3, "a3").unwrap(), Some(row(3)));
        assert_eq!(journal.recover(1, "a1").unwrap(), None);
        let error = journal.recover(2, "b").unwrap_err().to_string();
        assert!(error.contains("evaluation 2 is of a2, but this run proposes b"), "{error}");
        journal.record(&row(1)).unwrap();
        assert_eq!(numbers(&path), [0, 1, 2, 3]);
        assert!(!waiting.exists());
    }

    #[test]
    fn gaps_are_rejected() {
        let place = tempfile::tempdir().unwrap();
        let [path, waiting, digests] = ["m.csv", "w.csv", "rows"].map(|name| place.path().join(name));
        let mut writer = Writer::create(&path).unwrap();
        writer.write(&row(0)).unwrap();
        writer.write(&row(2)).unwrap();
        let error = Journal::open(&path, &waiting, &digests).unwrap_err().to_string();
        assert!(error.contains("expected evaluation 1, found 2"), "{error}");
    }

    proptest! {
        // Fewer cases, for each writes several files.
        #![proptest_config(ProptestConfig {
            failure_persistence: None, cases: ProptestConfig::default().cases.div_ceil(4), ..ProptestConfig::default()
        })]

        /// For evaluations that end in any order, files that a kill has cut anywhere, and rows that are there twice: the
        /// opened journal is numbered one after the other, holds the whole rows, and opens again to the same.
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
            let whole: std::collections::BTreeSet<u64> =
                rows(&path).iter().chain(&rows(&waiting)).map(|row| row.evaluation).collect();
            let kept = |journal: &Journal| journal.recovered.keys().copied().collect::<std::collections::BTreeSet<u64>>();
            let (journal, _) = Journal::open(&path, &waiting, &digests).unwrap();
            prop_assert_eq!(&kept(&journal), &whole);
            drop(journal);
            prop_assert!(numbers(&path).iter().copied().eq(0..numbers(&path).len() as u64));
            let (journal, torn) = Journal::open(&path, &waiting, &digests).unwrap();
            prop_assert_eq!((torn, kept(&journal)), (None, whole));
        }
    }
}
