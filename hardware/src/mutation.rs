//! Damaged texts, for the tests of what reads the output of boards and tools.

use proptest::prelude::*;

/// A text with a piece cut out, put in, or changed.
pub(crate) fn mutated(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let bytes = mutated_bytes(texts.iter().map(|text| text.as_bytes().to_vec()).collect());
    bytes.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The same of bytes, of which none may be empty.
pub(crate) fn mutated_bytes(texts: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let text = prop::sample::select(texts);
    (text.clone(), text, any::<(prop::sample::Index, prop::sample::Index, prop::sample::Index, u8)>(), 0..4_u8)
        .prop_map(|(mut bytes, other, (from, to, at, byte), kind)| {
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
