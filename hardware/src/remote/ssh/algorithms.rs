//! Finding out why two sides cannot agree: libssh2 says only that they do not.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;

use ssh2::{MethodType, Session};

use super::host_keys::is_asked_for;

/// A list of names in the server's greeting, RFC 4253 section 7.1, and what the server calls it in its settings.
const LISTS: [(usize, MethodType, &str); 4] = [
    (0, MethodType::Kex, "KexAlgorithms"),
    (1, MethodType::HostKey, "HostKeyAlgorithms"),
    (2, MethodType::CryptCs, "Ciphers"),
    // Not needed with some ciphers, so it is looked at last.
    (4, MethodType::MacCs, "MACs"),
];

/// More than any server sends before its key exchange, in bytes.
const MOST: usize = 64 * 1024;

/// The list that has nothing in common.
#[derive(Debug)]
pub(super) struct Disagreement {
    /// Its name in the server's settings.
    pub list: &'static str,
    /// What the server offers.
    pub theirs: String,
    /// What this program offers.
    pub ours: String,
}

/// Asks a server on a new connection what it offers. `None` where there is something of every list in common.
pub(super) fn disagreement(mut stream: TcpStream, session: &Session) -> io::Result<Option<Disagreement>> {
    stream.write_all(b"SSH-2.0-hardware\r\n")?;
    let lists = offered(&mut stream)?;
    for (index, method, list) in LISTS {
        let mut ours = session.supported_algs(method)?;
        ours.retain(|name| is_algorithm(name));
        if matches!(method, MethodType::HostKey) {
            ours.retain(|name| is_asked_for(name));
        }
        let theirs = lists.get(index).map_or("", String::as_str).split(',');
        let theirs: Vec<&str> = theirs.filter(|name| is_algorithm(name)).collect();
        if !theirs.iter().any(|name| ours.contains(name)) {
            return Ok(Some(Disagreement { list, theirs: theirs.join(", "), ours: ours.join(", ") }));
        }
    }
    Ok(None)
}

/// Some names in the lists only announce what the other side may do.
fn is_algorithm(name: &str) -> bool {
    !name.starts_with("kex-strict-") && !name.starts_with("ext-info-")
}

/// The ten lists that a server sends at first.
fn offered(stream: &mut impl Read) -> io::Result<Vec<String>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut stream = BufReader::new(stream.take(MOST as u64));
    // Lines of its own may come before the one with the version.
    let mut line = Vec::new();
    while !line.starts_with(b"SSH-") {
        line.clear();
        if stream.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MOST {
        return Err(invalid());
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet)?;
    // Length of the padding, type of the message, and a random number.
    let mut rest = match packet.get(1) {
        Some(20) => packet.get(18..).ok_or_else(invalid)?,
        _ => return Err(invalid()),
    };
    let mut lists = Vec::new();
    for _ in 0..10 {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(invalid)?;
        let (list, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(invalid)?;
        lists.push(String::from_utf8_lossy(list).into_owned());
        rest = after;
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::offered;

    fn greeting(lists: &[&str]) -> Vec<u8> {
        let mut packet = vec![4, 20];
        packet.extend([7; 16]);
        for list in lists {
            packet.extend((list.len() as u32).to_be_bytes());
            packet.extend(list.as_bytes());
        }
        packet.extend([0; 9]);
        let mut all = b"welcome\r\nSSH-2.0-server\r\n".to_vec();
        all.extend((packet.len() as u32).to_be_bytes());
        all.extend(packet);
        all
    }

    #[test]
    fn the_lists_of_a_greeting_are_read() {
        let lists = ["kex,other", "key", "a", "a", "m", "m", "none", "none", "", ""];
        assert_eq!(offered(&mut greeting(&lists).as_slice()).unwrap(), lists);
    }

    #[test]
    fn anything_else_is_refused() {
        let good = greeting(&["kex"; 10]);
        for end in 0..good.len() - 9 {
            assert!(offered(&mut &good[..end]).is_err(), "{end}");
        }
        // The lengths of the packet, and of its first list.
        for start in [25, 25 + 4 + 18] {
            let mut endless = good.clone();
            endless[start..start + 4].copy_from_slice(&[255; 4]);
            assert!(offered(&mut endless.as_slice()).is_err());
        }
        assert!(offered(&mut std::io::repeat(b'x')).is_err());
        assert!(offered(&mut greeting(&["kex"; 7]).as_slice()).is_err());
    }
}
