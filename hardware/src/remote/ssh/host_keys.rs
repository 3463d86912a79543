//! The keys by which servers are known.
//!
//! The file is read here and not by libssh2, which knows neither wildcards nor markers and looks for a host of another
//! port if the right one is not there. Only the hash of a hashed name is left to it.

use std::path::{Path, PathBuf};

use data_encoding::{BASE64, BASE64_NOPAD};
use sha2::{Digest, Sha256};
use ssh2::{CheckResult, KnownHostFileKind, Session};

use super::error::SshError;
use super::options::Address;
use crate::shown::pasted;

/// Key types with a signature algorithm each, in the order they are asked for where none is known: the one that every
/// board has comes first. SHA-1 is left out: OpenSSH has not needed it since 2016.
const ALGORITHMS: [(&str, &str); 6] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("ssh-rsa", "rsa-sha2-512"),
    ("ssh-rsa", "rsa-sha2-256"),
];

/// What the file of known hosts says of one server.
#[derive(Debug)]
pub(super) struct KnownKeys {
    address: Address,
    file: PathBuf,
    keys: Vec<KnownKey>,
}

#[derive(Debug, PartialEq, Eq)]
struct KnownKey {
    /// From 1.
    line: usize,
    revoked: bool,
    key_type: String,
    /// In base64.
    key: String,
}

impl Address {
    /// As files of known hosts name it.
    pub(super) fn known_name(&self) -> String {
        let host = self.host.to_lowercase();
        if self.port == 22 { host } else { format!("[{host}]:{}", self.port) }
    }
}

impl KnownKeys {
    /// A missing file has no keys.
    pub fn read(file: &Path, address: &Address) -> Result<Self, SshError> {
        let content = match std::fs::read(file) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(SshError::Settings(format!("cannot read the known hosts in {}: {error}", file.display())));
            }
        };
        let content = String::from_utf8_lossy(&content);
        let name = address.known_name();
        let keys = content.lines().enumerate().filter_map(|(index, text)| KnownKey::parse(index + 1, text, &name));
        Ok(Self { address: address.clone(), file: file.to_owned(), keys: keys.collect() })
    }

    /// The algorithms to ask for, best first: those of known keys, as OpenSSH does it. Otherwise a server with several
    /// keys would show one that is not known.
    pub fn preferred(&self, supported: &[&str]) -> String {
        let is_known = |key_type: &str| self.keys.iter().any(|key| !key.revoked && key.key_type == key_type);
        let mut asked = ALGORITHMS.to_vec();
        asked.retain(|(_, name)| supported.contains(name));
        asked.sort_by_key(|(key_type, _)| !is_known(key_type));
        asked.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(",")
    }

    /// Whether a server with this key is the one that is known.
    pub fn verify(&self, key: &[u8]) -> Result<(), SshError> {
        let (address, file) = (&self.address, self.file.display().to_string());
        let fingerprint = fingerprint(key);
        let encoded = BASE64.encode(key);
        if let Some(known) = self.keys.iter().find(|known| known.revoked && known.key == encoded) {
            return Err(SshError::Settings(format!(
                "the key of {address} is revoked: {file}:{} says so of {fingerprint}. Somebody who has stolen it may be \
                 listening: give the board a new key",
                known.line
            )));
        }
        let mut good = self.keys.iter().filter(|known| !known.revoked).peekable();
        let first = good.peek().map(|known| known.line);
        if good.any(|known| known.key == encoded) {
            return Ok(());
        }
        let key_type = key_type(key);
        let short = short_type(&key_type);
        // The server names the type, and may name it anything.
        let compare = pasted(["ssh-keygen", "-lf", &format!("/etc/ssh/ssh_host_{short}_key.pub")]);
        let remove = pasted(["ssh-keygen", "-R", &address.known_name(), "-f", &file]);
        let scan = pasted(["ssh-keyscan", "-t", short, "-p", &address.port.to_string(), &address.host]);
        let add = format!("{scan} >> {}", pasted([&*file]));
        Err(SshError::Settings(match first {
            Some(line) => format!(
                "the key of {address} has changed: it shows {key_type} {fingerprint}, but {file}:{line} has another. \
                 Somebody may be listening, or the board was flashed anew. If you know that it was: {remove}; \
                 then compare the fingerprint with `{compare}` on the board; if it is the same: {add}"
            ),
            None => format!(
                "the key of {address} is not known: {file} has none for it. The server shows {key_type} {fingerprint}. \
                 Compare that with `{compare}` on the board; if it is the same: {add}"
            ),
        }))
    }
}

impl KnownKey {
    /// The key of a line, if it is for the server of that name.
    fn parse(line: usize, text: &str, name: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let mut hosts = fields.next()?;
        let revoked = hosts == "@revoked";
        if revoked {
            hosts = fields.next()?;
        } else if hosts.starts_with(['#', '@']) {
            // Keys of authorities are skipped: certificates are not asked for.
            return None;
        }
        let (key_type, key) = (fields.next()?, fields.next()?);
        let matches = if hosts.starts_with('|') { matches_hash(hosts, name) } else { matches_list(hosts, name) };
        matches.then(|| Self { line, revoked, key_type: key_type.to_owned(), key: key.to_owned() })
    }
}

/// As in the names of host key files, and as `ssh-keyscan -t` takes it.
fn short_type(key_type: &str) -> &str {
    match key_type {
        "ssh-ed25519" => "ed25519",
        "ssh-rsa" => "rsa",
        "ssh-dss" => "dsa",
        other if other.starts_with("ecdsa-") => "ecdsa",
        other => other,
    }
}

/// Whether servers are asked for it at all.
pub(super) fn is_asked_for(algorithm: &str) -> bool {
    ALGORITHMS.iter().any(|(_, name)| *name == algorithm)
}

/// Whether a hashed name, `|1|salt|hash`, is this one.
fn matches_hash(hashed: &str, name: &str) -> bool {
    /// Some key of a type that libssh2 takes: only the name counts.
    const SOME_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let check = || {
        let session = Session::new().ok()?;
        let mut hosts = session.known_hosts().ok()?;
        hosts.read_str(&format!("{hashed} ssh-ed25519 {SOME_KEY}\n"), KnownHostFileKind::OpenSSH).ok()?;
        // It finds the name, and another key.
        Some(matches!(hosts.check(name, b"other"), CheckResult::Mismatch))
    };
    !name.contains('\0') && check().unwrap_or(false)
}

/// Whether a list of patterns has this name, and does not exclude it.
fn matches_list(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        let pattern = pattern.to_lowercase();
        match pattern.strip_prefix('!') {
            Some(excluded) if matches_pattern(excluded.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches_pattern(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// `*` is any text and `?` any character.
fn matches_pattern(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on after a mismatch: the last star may have stood for more.
    let (mut at, mut position, mut retry) = (0, 0, None);
    while position < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at, position));
                at += 1;
            }
            Some(&wanted) if wanted == b'?' || wanted == name[position] => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((star, taken)) = retry else { return false };
                retry = Some((star, taken + 1));
                at = star + 1;
                position = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|&rest| rest == b'*')
}

/// The type that a key names in its first field.
fn key_type(key: &[u8]) -> String {
    let name = key.split_first_chunk::<4>().and_then(|(length, rest)| {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        rest.get(..length.min(64))
    });
    name.map_or_else(|| "unknown".to_owned(), |name| String::from_utf8_lossy(name).into_owned())
}

/// As `ssh-keygen -l` writes it.
fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(key)))
}

#[cfg(test)]
#[path = "host_keys_tests.rs"]
mod tests;
