//! The checkpoint: where the strategy stood after a round.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::write_atomically;

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
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
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
        let sha256 = hash(&self.strategy);
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
    /// If it is there but cannot be read, or is not what was written.
    pub fn load(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = Self::path(folder);
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::Io { action: "read", path, source }),
        };
        let damaged = |reason: String| CheckpointError::Damaged { path: path.clone(), reason };
        let end = content.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it has no header".into()))?;
        let header: Header =
            serde_json::from_slice(&content[..end]).map_err(|error| damaged(format!("its header: {error}")))?;
        let strategy = content[end + 1..].to_vec();
        if header.version != VERSION {
            return Err(damaged(format!("it has version {}, not {VERSION}", header.version)));
        }
        if hash(&strategy) != header.sha256 {
            return Err(damaged("its content does not match its checksum".into()));
        }
        Ok(Some(Self { experiment: header.experiment, round: header.round, told: header.told, strategy }))
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
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
    }
}
