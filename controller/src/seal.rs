//! Saved states: a block of bytes with its kind and a checksum.

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"nasstate";
const VERSION: u8 = 1;
/// Magic, version and checksum, in bytes.
const HEADER: usize = MAGIC.len() + 1 + 32;

const DAMAGED: &str =
    "the saved state is damaged: its checksum does not match; use an older checkpoint or start afresh";

/// Puts the parts of a state into one block with their kind and a checksum, for [`open`].
pub(crate) fn seal(kind: &str, parts: &[&[u8]]) -> Vec<u8> {
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
/// If the block was not made by [`seal`], is of a different kind, is damaged, or does not have exactly `N` parts.
pub(crate) fn open<'a, const N: usize>(kind: &str, block: &'a [u8]) -> Result<[&'a [u8]; N]> {
    ensure!(
        block.len() >= HEADER && block.starts_with(MAGIC) && block[MAGIC.len()] == VERSION,
        "this is not a saved state of this program, or a version of the program with another format wrote it"
    );
    let (header, mut body) = block.split_at(HEADER);
    ensure!(Sha256::digest(body).as_slice() == &header[MAGIC.len() + 1..], DAMAGED);
    let mut parts = Vec::new();
    while let Some((length, rest)) = body.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length)).context(DAMAGED)?;
        let (part, rest) = rest.split_at_checked(length).context(DAMAGED)?;
        parts.push(part);
        body = rest;
    }
    let (found, parts) = parts.split_first().context(DAMAGED)?;
    ensure!(
        *found == kind.as_bytes(),
        "the saved state is of `{}`, not of `{kind}`: the configuration has changed since",
        String::from_utf8_lossy(found)
    );
    parts.try_into().ok().context(DAMAGED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sealed_parts_open_unchanged() {
        let block = seal("kind", &[b"one", b"", b"three"]);
        assert_eq!(open::<3>("kind", &block).unwrap(), [&b"one"[..], b"", b"three"]);
        let problem = |kind, block: &[u8]| open::<2>(kind, block).unwrap_err().to_string();
        assert_eq!(problem("kind", &block), DAMAGED);
        assert!(problem("other", &block).contains("is of `kind`, not of `other`"));
        assert!(problem("kind", b"").contains("not a saved state of this program"));
    }

    proptest! {
        #[test]
        fn damage_is_detected(at in any::<prop::sample::Index>(), bit in 0..8u32, end in any::<prop::sample::Index>()) {
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
