//! Certificates for a server of this machine, made by the `openssl` program.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::skip;

/// Files of a server with TLS, and of its clients.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority, which clients have to trust.
    pub authority: PathBuf,
    /// The server's certificate, for `localhost`, 127.0.0.1 and further addresses.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
}

impl Certificates {
    /// The block of a nats-server's configuration that makes it use them.
    pub fn for_nats(&self) -> String {
        format!("tls {{ cert_file: {:?}, key_file: {:?} }}\n", self.certificate, self.key)
    }
}

/// Makes an authority and a certificate of it, for `localhost`, 127.0.0.1 and the given addresses; they are valid for a
/// day. Without `openssl`, `None` after a line that the test is skipped.
///
/// # Panics
/// If `openssl` fails; and with `CI=true` instead of a skipped test.
pub fn certificates(folder: &Path, addresses: &[&str]) -> Option<Certificates> {
    if !Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        skip::unless_ci("openssl is missing: install it");
        return None;
    }
    let [authority, authority_key, request, certificate, key, extensions] =
        ["ca.pem", "ca.key", "server.csr", "server.pem", "server.key", "server.ext"].map(|name| folder.join(name));
    let names = addresses.iter().map(|address| format!(",IP:{address}")).collect::<String>();
    let text = format!("subjectAltName=DNS:localhost,IP:127.0.0.1{names}\nextendedKeyUsage=serverAuth\n");
    fs::write(&extensions, text).expect("the folder can be written");

    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl("req", |command| {
        command.args(new_key).args(["-x509", "-days", "1", "-subj", "/CN=authority of the tests"]);
        command.arg("-keyout").arg(&authority_key).arg("-out").arg(&authority)
    });
    openssl("req", |command| {
        command.args(new_key).args(["-subj", "/CN=server of the tests"]);
        command.arg("-keyout").arg(&key).arg("-out").arg(&request)
    });
    openssl("x509", |command| {
        command.args(["-req", "-days", "1", "-CAcreateserial"]).arg("-in").arg(&request).arg("-CA").arg(&authority);
        command.arg("-CAkey").arg(&authority_key).arg("-extfile").arg(&extensions).arg("-out").arg(&certificate)
    });
    Some(Certificates { authority, certificate, key })
}

fn openssl(task: impl AsRef<OsStr>, arguments: impl FnOnce(&mut Command) -> &mut Command) {
    let mut command = Command::new("openssl");
    arguments(command.arg(task)).stdin(Stdio::null());
    let output = command.output().expect("openssl starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
