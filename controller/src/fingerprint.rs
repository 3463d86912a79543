//! Fingerprints of content.

use sha2::{Digest, Sha256};

/// The SHA-256 of some bytes as hexadecimal digits.
pub(crate) fn sha256(content: impl AsRef<[u8]>) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
