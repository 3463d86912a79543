use proptest::prelude::*;

use super::*;
use crate::mutation::mutated;

/// A made-up key of the right form: the bytes 0 to 31.
const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn key_bytes() -> Vec<u8> {
    let mut key = vec![0, 0, 0, 11];
    key.extend_from_slice(b"ssh-ed25519");
    key.extend_from_slice(&[0, 0, 0, 32]);
    key.extend(0..32);
    key
}

fn address(host: &str, port: u16) -> Address {
    Address { host: host.to_owned(), port }
}

fn known(content: &str, host: &str, port: u16) -> KnownKeys {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_hosts");
    std::fs::write(&file, content).unwrap();
    KnownKeys::read(&file, &address(host, port)).unwrap()
}

#[test]
fn a_key_is_accepted_only_under_its_own_name() {
    let line = |hosts: &str| format!("{hosts} ssh-ed25519 {KEY} a comment\n");
    let accepted = [
        ("board", "board", 22),
        ("other,board", "board", 22),
        ("Board", "bOARD", 22),
        ("[board]:2222", "board", 2222),
        ("*.lab", "board.lab", 22),
        ("b?ard", "board", 22),
        ("[*]:2222", "board", 2222),
        ("::1", "::1", 22),
    ];
    for (hosts, host, port) in accepted {
        assert!(known(&line(hosts), host, port).verify(&key_bytes()).is_ok(), "{hosts} {host} {port}");
    }
    let unknown = [
        ("board", "board", 2222),
        ("[board]:2222", "board", 22),
        ("[board]:2222", "board", 2223),
        ("board", "boards", 22),
        ("*,!board", "board", 22),
        ("!other", "board", 22),
        ("*.lab", "lab", 22),
        ("#board", "board", 22),
        ("@cert-authority board", "board", 22),
        ("@strange board", "board", 22),
        ("|1|bad|bad", "board", 22),
        ("|2|c2FsdA==|aGFzaA==", "board", 22),
    ];
    for (hosts, host, port) in unknown {
        let error = known(&line(hosts), host, port).verify(&key_bytes()).unwrap_err();
        assert!(error.to_string().contains("is not known"), "{hosts} {host} {port}: {error}");
    }
}

#[test]
fn a_hashed_name_is_found() {
    // HMAC-SHA1 of the name with the salt as the key, as `ssh-keygen -H` does it; computed by Python's hmac.
    let line = format!("|1|AAECAwQFBgcICQoLDA0ODxAREhM=|{HASH} ssh-ed25519 {KEY}\n");
    assert!(known(&line, "Board", 2222).verify(&key_bytes()).is_ok());
    for (host, port) in [("board", 22), ("boar", 2222), ("board", 222)] {
        let error = known(&line, host, port).verify(&key_bytes()).unwrap_err();
        assert!(error.to_string().contains("is not known"), "{host} {port}: {error}");
    }
}

/// That of `[board]:2222`.
const HASH: &str = "KxYFjSKhIyx/FwEBGtN8I578njA=";

#[test]
fn another_key_is_a_change_and_names_the_line() {
    let content = format!("# comment\n\nboard ssh-ed25519 {KEY}\n");
    let mut other = key_bytes();
    *other.last_mut().unwrap() = 99;
    let error = known(&content, "board", 22).verify(&other).unwrap_err();
    assert!(error.to_string().contains("known_hosts:3 has another"), "{error}");
    let text = error.to_string();
    assert!(text.contains("ssh-keygen -R board -f") && text.contains("ssh-keyscan -t ed25519 -p 22 board"), "{text}");
}

#[test]
fn a_revoked_key_is_refused_even_if_another_line_accepts_it() {
    let content = format!("board ssh-ed25519 {KEY}\n@revoked * ssh-ed25519 {KEY}\n");
    let error = known(&content, "board", 22).verify(&key_bytes()).unwrap_err();
    assert!(error.to_string().contains("is revoked") && error.to_string().contains("known_hosts:2 says"), "{error}");
}

#[test]
fn a_missing_file_of_host_keys_is_an_error_with_a_remedy() {
    let known = KnownKeys::read(Path::new("no/such/file"), &address("board", 2222)).unwrap();
    let error = known.verify(&key_bytes()).unwrap_err();
    let text = error.to_string();
    assert!(error.to_string().contains("is not known"), "{text}");
    assert!(text.contains("ssh-keyscan -t ed25519 -p 2222 board >> no/such/file"), "{text}");
    // By `ssh-keygen -lf`.
    assert!(text.contains("SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"), "{text}");
}

#[test]
fn commands_of_a_remedy_can_be_pasted_whatever_is_in_their_words() {
    let type_of_key = "x; reboot";
    let key = [&(type_of_key.len() as u32).to_be_bytes(), type_of_key.as_bytes()].concat();
    let known = KnownKeys::read(Path::new("no/such folder/file"), &address("board", 22)).unwrap();
    let text = known.verify(&key).unwrap_err().to_string();
    for command in ["'/etc/ssh/ssh_host_x; reboot_key.pub'", "-t 'x; reboot'", ">> 'no/such folder/file'"] {
        assert!(text.contains(command), "{command}: {text}");
    }
}

#[test]
fn algorithms_of_known_keys_are_preferred() {
    let supported = [
        "ssh-ed25519-cert-v01@openssh.com",
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "rsa-sha2-512",
        "rsa-sha2-256",
        "ssh-rsa",
    ];
    let none = known("", "board", 22).preferred(&supported);
    assert_eq!(none, "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256");
    let content =
        "@revoked board ecdsa-sha2-nistp256 AAAA\nboard ssh-rsa AAAA\nboard sk-ssh-ed25519@openssh.com AAAA\n";
    let rsa = known(content, "board", 22).preferred(&supported);
    assert_eq!(rsa, "rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256");
}

#[test]
fn patterns_match_as_in_openssh() {
    for (pattern, name, expected) in [
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("a*b*c", "axxbyybzc", true),
        ("a*b*c", "axxbyyb", false),
        ("*a", "aaab", false),
        ("?", "", false),
        ("**", "ab", true),
    ] {
        assert_eq!(matches_pattern(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
    }
}

/// A file with everything in it that `KEY` could be known or refused by.
const KNOWN_HOSTS: &str = "# comment\nother,!x,b*d ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me\n\
                           @revoked [board]:* ssh-rsa AAAA\n|1|AAECAwQFBgcICQoLDA0ODxAREhM=|KxYFjSKhIyx/FwEBGtN8I578njA= ssh-ed25519 AAAA\n\
                           @cert-authority * ssh-ed25519 AAAA\n";

/// What `*` and `?` mean, defined by recursion.
fn matches_slowly(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skipped| matches_slowly(rest, &name[skipped..])),
        ([wanted, rest @ ..], [found, after @ ..]) => {
            (*wanted == b'?' || wanted == found) && matches_slowly(rest, after)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No damage makes a key known that the file does not hold; errors name the file, and a line that it has.
    #[test]
    fn damage_makes_no_key_known(content in mutated(&[KNOWN_HOSTS]), port in prop::sample::select(&[22_u16, 2222][..])) {
        let lines = content.lines().count();
        match known(&content, "board", port).verify(&key_bytes()) {
            Ok(()) => prop_assert!(content.split_ascii_whitespace().any(|word| word == KEY), "{}", content),
            Err(error) => {
                let text = error.to_string();
                prop_assert!(text.contains("known_hosts"), "{}", text);
                if let Some((_, place)) = text.split_once("known_hosts:") {
                    let line: usize = place.split(' ').next().unwrap().parse().unwrap();
                    prop_assert!((1..=lines).contains(&line), "{}", text);
                }
            }
        }
    }

    #[test]
    fn no_key_makes_it_panic(key in prop::collection::vec(any::<u8>(), 0..100), length in any::<[u8; 4]>()) {
        let key = [length.to_vec(), key].concat();
        prop_assert!(known(KNOWN_HOSTS, "elsewhere", 22).verify(&key).is_err());
        prop_assert!(key_type(&key).len() <= 3 * 64);
    }

    #[test]
    fn patterns_match_as_they_are_defined(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
        prop_assert_eq!(matches_pattern(pattern.as_bytes(), name.as_bytes()), matches_slowly(pattern.as_bytes(), name.as_bytes()));
    }
}
