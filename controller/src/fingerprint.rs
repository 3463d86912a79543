//! Fingerprints of content.

use sha2::{Digest, Sha256};

/// The SHA-256 of some bytes as hexadecimal digits.
pub(crate) fn sha256(content: impl AsRef<[u8]>) -> String {
    in_hexadecimal(&Sha256::digest(content))
}

pub(crate) fn in_hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
