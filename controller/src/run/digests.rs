//! Digests of the journal's rows, which show whether a row was edited since it was written.
//!
//! A file beside the checkpoint, a line a row. A row is written first and its digest after it, so that a kill may leave
//! rows without one, but no digest without its row; a power failure may. Rows that have a digest are compared with it,
//! the other digests are made anew: the journal alone is enough to continue.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::bail;
use hardware::log::Row;

use super::{failed, write_atomically};
use crate::fingerprint::sha256;

/// First line of the file. Raised when rows come to other digests, so that those of another version are not compared.
const FORMAT: &str = "sha256 of a row, format 1";
/// Hexadecimal digits of a digest that are kept, because an edit is an accident and not an attack; and of the check that
/// they are whole themselves.
const DIGITS: usize = 16;
const CHECK: usize = 4;
const LINE: usize = DIGITS + CHECK + 1;

#[derive(Debug)]
pub(super) struct Digests {
    path: PathBuf,
    file: File,
}

impl Digests {
    /// Compares the rows of a journal with their digests, and makes those that are missing.
    pub fn open(path: &Path, journal: &Path, rows: &[Row]) -> anyhow::Result<Self> {
        let known = if path.exists() { std::fs::read(path).map_err(failed("read", path))? } else { Vec::new() };
        // Digests of another format, or damaged beyond reading, say nothing.
        let known =
            known.strip_prefix(FORMAT.as_bytes()).and_then(|lines| lines.strip_prefix(b"\n")).unwrap_or_default();
        let found = rows.iter().map(line).collect::<anyhow::Result<Vec<_>>>()?;
        for (index, ((known, found), row)) in known.chunks_exact(LINE).zip(&found).zip(rows).enumerate() {
            // A digest that is damaged itself says nothing of the row.
            if known[..DIGITS] != found.as_bytes()[..DIGITS] && is_whole(known) {
                let (journal, evaluation) = (journal.display(), row.evaluation);
                bail!(
                    "{journal}: evaluation {evaluation} (line {}) is not as it was written: the journal was edited. Put \
                     the row back as it was: the search has learnt from it, which cannot be changed, but another run \
                     can take the log over by `controller import`",
                    index + 2
                );
            }
        }
        let whole = format!("{FORMAT}\n{}", found.concat());
        write_atomically(path, whole.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed("open", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds the digest of a row that the journal holds now.
    pub fn push(&mut self, row: &Row) -> anyhow::Result<()> {
        self.file.write_all(line(row)?.as_bytes()).map_err(failed("write", &self.path))
    }
}

/// The line of a row. It depends on the values alone: another program that saves the journal may quote them in its way.
fn line(row: &Row) -> anyhow::Result<String> {
    let digest = &sha256(hardware::log::identity(row)?)[..DIGITS];
    Ok(format!("{digest}{}\n", &sha256(digest)[..CHECK]))
}

/// Whether a line's check is that of its digest.
fn is_whole(line: &[u8]) -> bool {
    line[DIGITS..LINE - 1] == sha256(&line[..DIGITS]).as_bytes()[..CHECK]
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardware::log::Status;

    fn rows(count: u64) -> Vec<Row> {
        let row = |evaluation| Row {
            accuracy: Some(0.5),
            message: Some(format!("line\n{evaluation}")),
            ..Row::new(evaluation, format!("a{evaluation}"), Status::Ok)
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn an_edited_row_is_named_and_a_torn_file_is_not_an_edit() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("rows");
        let open = |rows: &[Row]| Digests::open(&path, Path::new("m.csv"), rows);
        let mut digests = open(&rows(2)).unwrap();
        digests.push(&rows(3)[2]).unwrap();
        drop(digests);
        let whole = std::fs::read(&path).unwrap();
        // Torn anywhere, missing, ahead of the journal or behind it.
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            open(&rows(3)).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut to {cut}");
        }
        open(&rows(1)).unwrap();
        open(&rows(4)).unwrap();
        for edited in 0..4 {
            let mut rows = rows(4);
            rows[edited].accuracy = Some(0.51);
            let error = open(&rows).unwrap_err();
            let expected = format!("m.csv: evaluation {edited} (line {}) is not as it was written", edited + 2);
            assert!(error.to_string().contains(&expected), "{error}");
        }
        // Damaged digests do not reject a row.
        for at in FORMAT.len() + 1..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            open(&rows(3)).unwrap();
        }
        // Those of a version that makes other ones are not compared.
        std::fs::write(&path, "another format\n0123456789abcdef\n").unwrap();
        open(&rows(4)).unwrap();
    }

    #[test]
    fn a_row_that_is_read_back_has_the_same_digest() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("m.csv");
        let mut row = rows(1).remove(0);
        (row.accuracy, row.time_ms, row.energy_mj) = (Some(1.0 / 3.0), Some(5e-324), Some(1e300));
        row.started_at = Some("2026-01-02T03:04:05.123456789Z".to_owned());
        hardware::log::Writer::create(&path).unwrap().write(&row).unwrap();
        let read = hardware::log::read(&path).unwrap();
        assert_eq!(line(&read[0]).unwrap(), line(&row).unwrap());
    }
}
