//! Damaged texts, for the tests of what reads the output of boards and tools.

use proptest::prelude::*;

/// A text with a piece cut out, put in, or changed.
pub(crate) fn mutated(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let text = move || prop::sample::select(texts);
    (text(), text(), any::<(prop::sample::Index, prop::sample::Index, prop::sample::Index, u8)>(), 0..4_u8).prop_map(
        |(text, other, (from, to, at, byte), kind)| {
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            let (from, to) = (from.min(to), from.max(to));
            let mut bytes = text.as_bytes().to_vec();
            match kind {
                0 => bytes.truncate(from),
                1 => drop(bytes.drain(from..to)),
                2 => drop(bytes.splice(from..to, other.as_bytes()[at.index(other.len())..].iter().copied())),
                _ => bytes[from] = byte,
            }
            String::from_utf8_lossy(&bytes).into_owned()
        },
    )
}
