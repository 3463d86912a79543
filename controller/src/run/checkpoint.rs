//! The checkpoint: the state of a search after a decision of its strategy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{failed, write_atomically};
use crate::fingerprint::sha256;
use crate::history::Work;

/// State of a search after a decision of its strategy, before the jobs of that decision begin.
///
/// One file: a line of JSON, then the strategy's own bytes. On a log it only saves time: the journal and the seed alone
/// lead to the same state. With devices and trainers it also says which jobs had begun and which were decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub experiment: String,
    /// Decisions that brought jobs.
    pub decisions: u64,
    /// Rows of the journal that the strategy has seen.
    pub rows: u64,
    /// Time of the search, interruptions left out; on a log, that of its clock.
    pub elapsed: Duration,
    /// Jobs without a row: those that had begun, then those that waited.
    pub pending: Vec<SavedJob>,
    #[serde(skip)]
    pub strategy: Vec<u8>,
}

/// A job without a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedJob {
    pub number: u64,
    pub architecture: String,
    pub work: Work,
    pub begun: bool,
    /// On a log, its times.
    pub times: Option<Times>,
}

/// When a job began on a log's clock, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    pub begin: Duration,
    pub end: Duration,
    /// After how many epochs a training ends that is broken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_off: Option<u64>,
}

/// Raised when the format changes, so that an old checkpoint is not misread.
const VERSION: u64 = 2;

impl Checkpoint {
    /// The file inside its folder.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("strategy")
    }

    /// Writes it in place of the one before.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let mut header = serde_json::to_value(self)?;
        header["version"] = VERSION.into();
        header["sha256"] = sha256(&self.strategy).into();
        let content = [format!("{header}\n").as_bytes(), &self.strategy].concat();
        write_atomically(&Self::path(folder), &content).context("the checkpoint cannot be saved")
    }

    /// The checkpoint of a run, if it has one.
    pub fn load(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = Self::path(folder);
        if !path.exists() {
            return Ok(None);
        }
        let content = std::fs::read(&path).map_err(failed("read the checkpoint", &path))?;
        let path = path.display();
        let damaged = || format!("the checkpoint {path} is damaged");
        let end = content.iter().position(|byte| *byte == b'\n').context("it has no header").with_context(damaged)?;
        let (header, strategy) = (&content[..end], &content[end + 1..]);
        let header: Value = serde_json::from_slice(header).context("its header").with_context(damaged)?;
        let version = &header["version"];
        ensure!(
            *version == VERSION,
            "the checkpoint {path} was written by another version of the program (format {version}, not {VERSION})"
        );
        ensure!(header["sha256"] == sha256(strategy), "{}: its content does not match its checksum", damaged());
        let checkpoint: Self = serde_json::from_value(header).context("its header").with_context(damaged)?;
        Ok(Some(Self { strategy: strategy.to_vec(), ..checkpoint }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checkpoint(experiment: &str, rows: u64, strategy: Vec<u8>) -> Checkpoint {
        let work = Work::Train { epochs: 12 };
        let saved = |begun, times| SavedJob { number: 7, architecture: "a\nb".to_owned(), work, begun, times };
        let pending = vec![
            saved(true, Some(Times { begin: Duration::ZERO, end: Duration::new(3, 141_592_653), broken_off: Some(2) })),
            saved(false, None),
        ];
        let elapsed = Duration::from_nanos(rows);
        Checkpoint { experiment: experiment.to_owned(), decisions: 3, rows, elapsed, pending, strategy }
    }

    #[test]
    fn reads_back_and_rejects_damage() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::load(folder.path()).unwrap(), None);
        let checkpoint = checkpoint("e", 28, vec![1, b'\n', 255]);
        checkpoint.save(folder.path()).unwrap();
        assert_eq!(Checkpoint::load(folder.path()).unwrap(), Some(checkpoint));
        let path = Checkpoint::path(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = Checkpoint::load(folder.path()).unwrap_err().to_string();
            assert!(error.contains("is damaged"), "{cut}: {error}");
        }
        // Of an earlier version, which wrote other things into its header.
        std::fs::write(&path, b"{\"version\":1,\"layout\":\"columns\"}\n...").unwrap();
        let message = Checkpoint::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("another version") && message.contains("format 1, not 2"), "{message}");
    }

    proptest! {
        // Fewer cases: each waits for the disk.
        #![proptest_config(ProptestConfig {
            failure_persistence: None, cases: ProptestConfig::default().cases.div_ceil(8), ..ProptestConfig::default()
        })]

        #[test]
        fn checkpoints_read_back(experiment: String, rows: u64, strategy: Vec<u8>) {
            let folder = tempfile::tempdir().unwrap();
            let checkpoint = checkpoint(&experiment, rows, strategy);
            checkpoint.save(folder.path()).unwrap();
            prop_assert_eq!(Checkpoint::load(folder.path()).unwrap(), Some(checkpoint));
        }

        /// A damaged checkpoint is rejected with its path, or has the same state: the damage is in a part without meaning.
        #[test]
        fn damage_is_reported_or_changes_no_state(at in any::<prop::sample::Index>(), byte: u8, piece in "[\"{}:, 0-9a-z\n]{0,4}", kind in 0..3_u8) {
            let folder = tempfile::tempdir().unwrap();
            let checkpoint = checkpoint("e", 28, vec![1, b'\n', 255, 7]);
            checkpoint.save(folder.path()).unwrap();
            let path = Checkpoint::path(folder.path());
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.drain(at..(at + 1 + piece.len()).min(bytes.len()))),
                _ => drop(bytes.splice(at..at, piece.bytes())),
            }
            std::fs::write(&path, &bytes).unwrap();
            match Checkpoint::load(folder.path()) {
                Ok(Some(read)) => prop_assert_eq!(read.strategy, checkpoint.strategy),
                Ok(None) => prop_assert!(false, "it is there"),
                Err(error) => prop_assert!(error.to_string().contains(&path.display().to_string()), "{}", error),
            }
        }
    }
}
