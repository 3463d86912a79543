//! The checkpoint: where the strategy stood after a round.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::write_atomically;
use crate::fingerprint::sha256;

/// State of a search after a whole round.
///
/// One file: a line of JSON, then the strategy's own bytes. It only saves time: the journal and the seed alone lead
/// to the same state, by asking the strategy everything again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Fingerprint of the experiment.
    pub experiment: String,
    /// Whole rounds so far.
    pub round: u64,
    /// Evaluations that the strategy was told of.
    pub told: u64,
    /// The strategy's state.
    pub strategy: Vec<u8>,
}

/// A checkpoint that cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It cannot be read or written.
    #[error("cannot {action} the checkpoint {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Its format is not the one of this version.
    #[error("the checkpoint {path} is of another version of the program (format {found}, not {VERSION})")]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Number of its format.
        found: u64,
    },
    /// Its content is not what was written.
    #[error("the checkpoint {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        reason: String,
    },
}

/// Raised when the format changes, so that an old checkpoint is not misread.
const VERSION: u64 = 1;

/// What every version's header tells, whatever else it holds.
#[derive(Deserialize)]
struct Format {
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u64,
    experiment: String,
    round: u64,
    told: u64,
    /// Of the strategy's bytes.
    sha256: String,
}

impl Checkpoint {
    /// The file inside its folder.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("strategy")
    }

    /// Writes it in place of the one before.
    ///
    /// # Errors
    /// If it cannot be written; the one before is kept then.
    pub fn save(&self, folder: &Path) -> Result<(), CheckpointError> {
        let path = Self::path(folder);
        let io = |source| CheckpointError::Io { action: "write", path: path.clone(), source };
        let sha256 = sha256(&self.strategy);
        let experiment = self.experiment.clone();
        let header = Header { version: VERSION, experiment, round: self.round, told: self.told, sha256 };
        let mut content = serde_json::to_vec(&header).map_err(|error| io(error.into()))?;
        content.push(b'\n');
        content.extend_from_slice(&self.strategy);
        write_atomically(&path, &content).map_err(io)
    }

    /// The checkpoint of a run, if it has one.
    ///
    /// # Errors
    /// If it is there but cannot be read, is of another version, or is not what was written.
    pub fn load(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = Self::path(folder);
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::Io { action: "read", path, source }),
        };
        let damaged = |reason: String| CheckpointError::Damaged { path: path.clone(), reason };
        let end = content.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it has no header".into()))?;
        let wrong = |error: serde_json::Error| damaged(format!("its header: {error}"));
        let Format { version } = serde_json::from_slice(&content[..end]).map_err(wrong)?;
        if version != VERSION {
            return Err(CheckpointError::OtherVersion { path, found: version });
        }
        let header: Header = serde_json::from_slice(&content[..end]).map_err(wrong)?;
        let strategy = content[end + 1..].to_vec();
        if sha256(&strategy) != header.sha256 {
            return Err(damaged("its content does not match its checksum".into()));
        }
        Ok(Some(Self { experiment: header.experiment, round: header.round, told: header.told, strategy }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_back_and_refuses_damage() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::load(folder.path()).unwrap(), None);
        let checkpoint = Checkpoint { experiment: "e".to_owned(), round: 3, told: 28, strategy: vec![1, b'\n', 255] };
        checkpoint.save(folder.path()).unwrap();
        assert_eq!(Checkpoint::load(folder.path()).unwrap(), Some(checkpoint));
        let path = Checkpoint::path(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(Checkpoint::load(folder.path()), Err(CheckpointError::Damaged { .. })), "{cut}");
        }
        // Of a version that writes other things into its header.
        std::fs::write(&path, b"{\"version\":2,\"layout\":\"columns\"}\n...").unwrap();
        let message = Checkpoint::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("another version") && message.contains("format 2, not 1"), "{message}");
    }

    proptest! {
        // Fewer cases, for each waits for the disk.
        #![proptest_config(ProptestConfig {
            failure_persistence: None, cases: ProptestConfig::default().cases.div_ceil(8), ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_saved_reads_back(experiment: String, round: u64, told: u64, strategy: Vec<u8>) {
            let folder = tempfile::tempdir().unwrap();
            let checkpoint = Checkpoint { experiment, round, told, strategy };
            checkpoint.save(folder.path()).unwrap();
            prop_assert_eq!(Checkpoint::load(folder.path()).unwrap(), Some(checkpoint));
        }

        /// A damaged one is refused by its name, or says what it said: damage can be to a name's case only by luck.
        #[test]
        fn damage_is_told_or_changes_no_state(at in any::<prop::sample::Index>(), byte: u8, piece in "[\"{}:, 0-9a-z\n]{0,4}", kind in 0..3_u8) {
            let folder = tempfile::tempdir().unwrap();
            let checkpoint = Checkpoint { experiment: "e".to_owned(), round: 3, told: 28, strategy: vec![1, b'\n', 255, 7] };
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
