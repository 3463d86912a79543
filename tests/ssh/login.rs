//! Connecting, the server's key, and logging in.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::{Sshd, SshdOptions};
use hardware::remote::ssh::{Authentication, Connection, RemoteOptions, Secret, SshError, SshOptions};

use super::{options, soon};

fn refused(options: &SshOptions) -> SshError {
    Connection::open(options).unwrap_err()
}

fn keygen(arguments: &[&str], file: &Path) -> String {
    let output = Command::new("ssh-keygen").args(arguments).arg("-f").arg(file).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn new_key(folder: &Path, name: &str, key_type: &str, passphrase: &str) -> PathBuf {
    let file = folder.join(name);
    keygen(&["-q", "-t", key_type, "-N", passphrase], &file);
    file
}

/// Lets a further key in.
fn authorize(sshd: &Sshd, key: &Path) {
    let list = sshd.folder().join("authorized_keys");
    let more = fs::read_to_string(format!("{}.pub", key.display())).unwrap();
    fs::write(&list, fs::read_to_string(&list).unwrap() + &more).unwrap();
}

fn with_key(sshd: &Sshd, file: &Path, passphrase: Option<&str>) -> SshOptions {
    let passphrase = passphrase.map(Secret::new);
    SshOptions { authentication: Authentication::Key { file: file.to_owned(), passphrase }, ..options(sshd) }
}

#[test]
fn an_unknown_server_is_refused_with_its_fingerprint() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else { return };
    let mut options = options(&sshd);
    let listing = keygen(&["-l"], &sshd.folder().join("host_key.pub"));
    let expected = listing.split_whitespace().nth(1).unwrap().to_owned();
    let stranger = sshd.folder().join("stranger");
    fs::write(&stranger, format!("127.0.0.1 {key}\n[127.0.0.1]:1 {key}\n", key = sshd.host_key())).unwrap();
    for file in [sshd.folder().join("no such file"), stranger] {
        options.known_hosts = file.clone();
        let error = refused(&options);
        assert!(!error.is_transient());
        let text = error.to_string();
        assert!(text.contains("is not known") && text.contains(&format!("ssh-ed25519 {expected}.")), "{text}");
        for part in [text_of(&file), &format!("ssh-keyscan -t ed25519 -p {} 127.0.0.1 >>", sshd.port())] {
            assert!(text.contains(part), "{text}");
        }
    }
}

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_server_with_another_key_is_refused() {
    let Some(mut sshd) = Sshd::start(SshdOptions::default()) else { return };
    Connection::open(&options(&sshd)).unwrap();
    sshd.new_host_key();
    let error = refused(&options(&sshd));
    assert!(error.to_string().contains(":1 has another") && !error.is_transient(), "{error}");
    assert!(error.to_string().contains(&format!("ssh-keygen -R '[127.0.0.1]:{}'", sshd.port())), "{error}");
    // What the error says is what helps.
    let known = sshd.known_hosts().to_owned();
    keygen(&["-q", "-R", &format!("[127.0.0.1]:{}", sshd.port())], &known);
    assert!(refused(&options(&sshd)).to_string().contains("is not known"));
    let mut scan = Command::new("ssh-keyscan");
    scan.args(["-t", "ed25519", "-p", &sshd.port().to_string(), "127.0.0.1"]);
    let scanned = scan.output().unwrap().stdout;
    fs::write(&known, scanned).unwrap();
    Connection::open(&options(&sshd)).unwrap();
}

#[test]
fn hashed_names_are_understood() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else { return };
    keygen(&["-H"], sshd.known_hosts());
    let hashed = fs::read_to_string(sshd.known_hosts()).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    Connection::open(&options(&sshd)).unwrap();
}

#[test]
fn a_server_with_several_keys_is_asked_for_the_known_one() {
    let folder = tempfile::tempdir().unwrap();
    for (key_type, name) in [("rsa", "ssh-rsa"), ("ecdsa", "ecdsa-sha2-nistp256")] {
        let key = new_key(folder.path(), key_type, key_type, "");
        let config = vec![format!("HostKey {}", key.display())];
        let Some(sshd) = Sshd::start(SshdOptions { config, ..SshdOptions::default() }) else { return };
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        assert!(public.starts_with(name));
        fs::write(sshd.known_hosts(), format!("[127.0.0.1]:{} {public}", sshd.port())).unwrap();
        Connection::open(&options(&sshd)).unwrap();
    }
}

#[test]
fn errors_distinguish_rejected_keys_from_unusable_ones() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else { return };
    let wrong = new_key(sshd.folder(), "wrong", "ed25519", "");
    let error = refused(&with_key(&sshd, &wrong, None));
    assert!(matches!(error, SshError::Rejected(_)) && !error.is_transient(), "{error}");
    assert!(error.to_string().contains(text_of(&wrong)) && error.to_string().contains("publickey"), "{error}");

    let stranger = SshOptions { user: "nobody-of-that-name".to_owned(), ..options(&sshd) };
    assert!(matches!(refused(&stranger), SshError::Rejected(_)));

    let garbage = sshd.folder().join("garbage");
    fs::write(&garbage, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n").unwrap();
    let public = sshd.key().with_extension("pub");
    for (file, part) in [
        (sshd.folder().join("missing").as_path(), "No such file"),
        (sshd.folder(), "not a private key"),
        (&public, "public key"),
        (sshd.known_hosts(), "not a private key"),
        (&garbage, "private key"),
    ] {
        let error = refused(&with_key(&sshd, file, None));
        assert!(error.to_string().contains("cannot be used") && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains(part) && error.to_string().contains(text_of(file)), "{error}");
    }
}

#[test]
fn keys_of_every_type_and_format_open_the_server() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else { return };
    for key_type in ["rsa", "ecdsa", "ed25519"] {
        for passphrase in ["", "correct horse"] {
            let key = new_key(sshd.folder(), &format!("{key_type}{}", passphrase.len()), key_type, passphrase);
            authorize(&sshd, &key);
            let given = (!passphrase.is_empty()).then_some(passphrase);
            Connection::open(&with_key(&sshd, &key, given)).unwrap_or_else(|error| panic!("{key_type}: {error}"));
            if passphrase.is_empty() {
                continue;
            }
            for wrong in [None, Some("hunter2")] {
                let error = refused(&with_key(&sshd, &key, wrong));
                let text = format!("{error} {error:?}");
                assert!(text.contains(if wrong.is_some() { "is not its" } else { "no passphrase" }), "{text}");
                assert!(!text.contains("hunter2") && !error.is_transient(), "{text}");
            }
        }
    }
    let pem = sshd.folder().join("pem");
    keygen(&["-q", "-t", "rsa", "-m", "PEM", "-N", "correct horse"], &pem);
    authorize(&sshd, &pem);
    Connection::open(&with_key(&sshd, &pem, Some("correct horse"))).unwrap();
    assert!(refused(&with_key(&sshd, &pem, None)).to_string().contains("no passphrase is given"));
    let error = refused(&with_key(&sshd, &pem, Some("wrong")));
    assert!(error.to_string().contains("the passphrase given is not its"), "{error:?}");
}

#[test]
fn a_password_where_none_is_taken_is_refused_and_not_shown() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else { return };
    let password = Authentication::Password(Secret::new("hunter2"));
    let error = refused(&SshOptions { authentication: password, ..options(&sshd) });
    let text = format!("{error} {error:?}");
    assert!(matches!(error, SshError::Rejected(_)) && !error.is_transient(), "{text}");
    assert!(text.contains("publickey") && !text.contains("hunter2"), "{text}");
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_agent_is_asked_for_its_keys() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else { return };
    let socket = sshd.folder().join("agent");
    let with_agent =
        || SshOptions { authentication: Authentication::Agent { socket: Some(socket.clone()) }, ..options(&sshd) };
    let error = refused(&with_agent());
    assert!(error.to_string().contains("no SSH agent") && error.to_string().contains(text_of(&socket)), "{error}");

    let agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let _agent = Agent(agent);
    assert!(soon(|| socket.exists()));
    let error = refused(&with_agent());
    assert!(matches!(error, SshError::Rejected(_)) && error.to_string().contains("0 key"), "{error}");
    // The right key is not the first one.
    let wrong = new_key(sshd.folder(), "wrong", "ed25519", "");
    for key in [wrong.as_path(), sshd.key()] {
        let add = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket).status().unwrap();
        assert!(add.success());
        match Connection::open(&with_agent()) {
            Ok(connection) => drop(connection.into_remote(&["true"], &RemoteOptions::default()).unwrap()),
            Err(error) => assert!(matches!(error, SshError::Rejected(_)) && key == wrong, "{error}"),
        }
    }
}

#[test]
fn a_closed_port_is_reported() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let options = SshOptions { port, ..SshOptions::new("127.0.0.1", "me") };
    let error = refused(&options);
    assert!(error.to_string().contains("cannot connect") && error.is_transient(), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")) && error.to_string().contains("sshd"), "{error}");
    let error = refused(&SshOptions { host: "no-such-board.invalid".to_owned(), ..options });
    assert!(error.to_string().contains("cannot be resolved") && !error.is_transient(), "{error}");
}

#[test]
fn a_missing_common_algorithm_differs_from_a_broken_server() {
    let config = vec!["KexAlgorithms sntrup761x25519-sha512@openssh.com".to_owned()];
    let Some(sshd) = Sshd::start(SshdOptions { config, ..SshdOptions::default() }) else { return };
    let error = refused(&options(&sshd));
    assert!(error.to_string().contains("accepts none of the algorithms") && !error.is_transient(), "{error:?}");
    for part in ["KexAlgorithms sntrup761x25519-sha512@openssh.com;", "curve25519-sha256"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let config = vec!["Ciphers 3des-cbc".to_owned()];
    let Some(sshd) = Sshd::start(SshdOptions { config, ..SshdOptions::default() }) else { return };
    let error = refused(&options(&sshd));
    assert!(error.to_string().contains("it has Ciphers 3des-cbc"), "{error:?}");
    // One that goes down at this point may be up again soon.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    let error = refused(&SshOptions { port, ..options(&sshd) });
    assert!(error.to_string().contains("is lost"), "{error:?}");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_longer_than_asked() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut options = SshOptions::new("127.0.0.1", "me");
    options.port = listener.local_addr().unwrap().port();
    options.timeout = Duration::from_secs(1);
    let start = Instant::now();
    let error = refused(&options);
    assert!(error.to_string().contains("has not answered within 1 s") && error.is_transient(), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // One that hangs up at once is another case.
    let hangs_up = thread::spawn(move || drop(listener.accept()));
    options.timeout = Duration::from_secs(10);
    let error = refused(&options);
    hangs_up.join().unwrap();
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(10), "{error:?}");
}
