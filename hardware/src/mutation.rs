//! Damaged texts and files, for the tests of readers.

#[path = "../../tests/support/damage.rs"]
mod damage;

use proptest::prelude::*;

pub(crate) use damage::damaged as mutated_bytes;

/// A text with a piece cut out, put in, or changed.
pub(crate) fn mutated(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let bytes = mutated_bytes(texts.iter().map(|text| text.as_bytes().to_vec()).collect());
    bytes.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
