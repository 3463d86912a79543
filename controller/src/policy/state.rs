//! Saving and restoring: after a restore everything goes on bit by bit as it would have.

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::advantage::MovingAverage;
use super::update::Learner;

const MAGIC: &[u8; 8] = b"nasstate";
const VERSION: u8 = 1;
/// Magic, version and checksum.
const HEADER: usize = MAGIC.len() + 1 + 32;

/// A saved state that cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It is something else.
    #[error("this is not a saved state of this program, or of a version of it that writes them otherwise")]
    Foreign,
    /// Bytes are missing or changed.
    #[error("the saved state is damaged: its checksum does not match; use an older checkpoint or start afresh")]
    Damaged,
    /// It is of another kind.
    #[error("the saved state is of `{found}`, not of `{expected}`: the configuration has changed since")]
    Kind {
        /// Kind of the one restoring.
        expected: String,
        /// Kind of the one saved.
        found: String,
    },
    /// It is whole, but does not fit what it is restored into.
    #[error("the saved state does not fit: {reason}")]
    Misfit {
        /// What does not fit.
        reason: String,
    },
}

impl StateError {
    /// A state that does not fit for a reason.
    pub fn misfit(reason: impl std::fmt::Display) -> Self {
        Self::Misfit { reason: reason.to_string() }
    }
}

/// Puts parts of a state into one block with their kind and a checksum, which [`open`] takes apart.
pub fn seal(kind: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in [kind.as_bytes()].iter().chain(parts) {
        body.extend((part.len() as u64).to_le_bytes());
        body.extend_from_slice(part);
    }
    let mut block = MAGIC.to_vec();
    block.push(VERSION);
    block.extend_from_slice(&Sha256::digest(&body));
    block.extend(body);
    block
}

/// Takes the parts out of a block made by [`seal`].
///
/// # Errors
/// If it is not one, of another kind, damaged, or has not exactly `N` parts.
pub fn open<'a, const N: usize>(kind: &str, block: &'a [u8]) -> Result<[&'a [u8]; N], StateError> {
    if block.len() < HEADER || !block.starts_with(MAGIC) || block[MAGIC.len()] != VERSION {
        return Err(StateError::Foreign);
    }
    let (header, mut body) = block.split_at(HEADER);
    if Sha256::digest(body).as_slice() != &header[MAGIC.len() + 1..] {
        return Err(StateError::Damaged);
    }
    let mut parts = Vec::new();
    while let Some((length, rest)) = body.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| StateError::Damaged)?;
        let (part, rest) = rest.split_at_checked(length).ok_or(StateError::Damaged)?;
        parts.push(part);
        body = rest;
    }
    let (found, parts) = parts.split_first().ok_or(StateError::Damaged)?;
    if *found != kind.as_bytes() {
        let found = String::from_utf8_lossy(found).into_owned();
        return Err(StateError::Kind { expected: kind.to_owned(), found });
    }
    parts.try_into().map_err(|_| StateError::Damaged)
}

/// What a learner knows besides its weights and its optimiser's moments.
#[derive(Serialize, Deserialize)]
struct Progress {
    updates: u64,
    /// Bits of the exponential baseline, so that no digit is lost.
    average: Option<u64>,
}

impl Learner {
    const KIND: &'static str = "policy";

    /// Policy, optimiser and baseline as bytes.
    ///
    /// # Errors
    /// If the weights cannot be fetched from their device.
    pub fn save(&self) -> Result<Vec<u8>, StateError> {
        let weights = self.policy.weights.clone().into_record().into_bytes().map_err(StateError::misfit)?;
        let optimiser = self.optimiser.into_bytes().map_err(StateError::misfit)?;
        let progress = Progress { updates: self.updates, average: self.average.bits() };
        let progress = serde_json::to_vec(&progress).map_err(StateError::misfit)?;
        Ok(seal(Self::KIND, &[&weights, &optimiser, &progress]))
    }

    /// Takes over a saved state of a learner with the same decisions, objectives and sizes.
    ///
    /// # Errors
    /// If it is damaged or of another policy: the learner is unchanged then.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let [weights, optimiser, progress] = open(Self::KIND, state)?;
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(weights.to_vec())).map_err(StateError::misfit)?;
        let weights = self.policy.weights.clone().try_load_record(record).map_err(StateError::misfit)?;
        let bytes = Bytes::from_bytes_vec(optimiser.to_vec());
        let optimiser = Self::fresh_optimiser().from_bytes(bytes).map_err(StateError::misfit)?;
        let progress: Progress = serde_json::from_slice(progress).map_err(StateError::misfit)?;
        self.policy.weights = weights;
        self.optimiser = optimiser;
        self.average = MovingAverage::from_bits(progress.average);
        self.updates = progress.updates;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_come_back() {
        let block = seal("kind", &[b"one", b"", b"three"]);
        assert_eq!(open::<3>("kind", &block), Ok([&b"one"[..], b"", b"three"]));
        assert_eq!(open::<2>("kind", &block), Err(StateError::Damaged));
        let other = StateError::Kind { expected: "other".into(), found: "kind".into() };
        assert_eq!(open::<3>("other", &block), Err(other));
        assert_eq!(open::<3>("kind", b""), Err(StateError::Foreign));
    }

    proptest! {
        #[test]
        fn damage_is_seen(at in any::<prop::sample::Index>(), bit in 0..8u32, end in any::<prop::sample::Index>()) {
            let block = seal("kind", &[b"some bytes", b"more"]);
            let mut changed = block.clone();
            changed[at.index(block.len())] ^= 1 << bit;
            prop_assert!(open::<2>("kind", &changed).is_err());
            prop_assert!(open::<2>("kind", &block[..end.index(block.len())]).is_err());
        }

        #[test]
        fn junk_never_panics(junk in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open::<2>("kind", &junk).is_err());
        }
    }
}
