//! Damaged files, for the unit tests of readers in several crates.

use proptest::prelude::*;

/// Bytes of one of these files with a piece cut out, put in, or changed. Every file has at least one byte.
pub(crate) fn damaged(files: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let file = prop::sample::select(files);
    let places = any::<(prop::sample::Index, prop::sample::Index, prop::sample::Index, u8)>();
    (file.clone(), file, places, 0..4_u8).prop_map(|(mut bytes, other, (from, to, at, byte), kind)| {
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let (from, to) = (from.min(to), from.max(to));
        match kind {
            0 => bytes.truncate(from),
            1 => drop(bytes.drain(from..to)),
            2 => drop(bytes.splice(from..to, other[at.index(other.len())..].iter().copied())),
            _ => bytes[from] = byte,
        }
        bytes
    })
}
