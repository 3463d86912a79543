//! Logging in.

use std::path::{Path, PathBuf};

use ssh2::{ErrorCode, Session};

use super::Link;
use super::error::{Plain, SshError, code};
use super::options::{Authentication, Secret, SshOptions};

/// Key files are a few kilobytes; whatever is larger is something else.
const LARGEST_KEY_FILE: u64 = 1 << 20;

/// Logs in as the options say.
pub(super) fn log_in(link: &Link, options: &SshOptions) -> Result<(), SshError> {
    let user = options.user.as_str();
    // What is wrong with a key is found before the server is asked.
    if let Authentication::Key { file, passphrase } = &options.authentication {
        check_key_file(file, passphrase.is_some())?;
    }
    let methods = match link.session.auth_methods(user) {
        Ok(methods) => methods.to_owned(),
        // It lets everybody in.
        Err(_) if link.session.authenticated() => return Ok(()),
        Err(error) => return Err(link.error("asking how to log in", &error)),
    };
    let login = Login { link, user, methods: &methods };
    match &options.authentication {
        Authentication::Agent { socket } => login.by_agent(socket.as_deref()),
        Authentication::Key { file, passphrase } => login.by_key(file, passphrase.as_ref()),
        Authentication::Password(password) => login.by_password(password),
    }
}

struct Login<'a> {
    link: &'a Link,
    user: &'a str,
    /// What the server offers, separated by commas.
    methods: &'a str,
}

impl Login<'_> {
    fn session(&self) -> &Session {
        &self.link.session
    }

    fn by_key(&self, file: &Path, passphrase: Option<&Secret>) -> Result<(), SshError> {
        let passphrase = passphrase.map(Secret::reveal);
        let Err(error) = self.session().userauth_pubkey_file(self.user, None, file, passphrase) else { return Ok(()) };
        Err(match error.code() {
            ErrorCode::Session(code::AUTHENTICATION_FAILED | code::PUBLICKEY_UNVERIFIED) => self.refused(
                format!("the key {}", file.display()),
                "Add the key's .pub file to the user's ~/.ssh/authorized_keys there: ssh-copy-id -i FILE USER@HOST",
            ),
            ErrorCode::Session(code::KEYFILE_AUTH_FAILED) => encrypted(file, passphrase.is_some()),
            ErrorCode::Session(code::FILE) if passphrase.is_some() => encrypted(file, true),
            ErrorCode::Session(code::FILE) => unusable(
                file,
                format!(
                    "{}; it has to be a private key in OpenSSH's or PEM format, as ssh-keygen makes it",
                    Plain(&error)
                ),
            ),
            _ => self.link.error("logging in by key", &error),
        })
    }

    fn by_agent(&self, socket: Option<&Path>) -> Result<(), SshError> {
        let no_agent = |problem: String| {
            SshError::Settings(format!(
                "no SSH agent can be asked for keys: {problem}. Start one (eval $(ssh-agent); ssh-add), or name a key file"
            ))
        };
        let Some(socket) = socket.map(PathBuf::from).or_else(|| std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from))
        else {
            return Err(no_agent("SSH_AUTH_SOCK is not set".to_owned()));
        };
        let unusable = |error: ssh2::Error| no_agent(format!("{}: {}", socket.display(), Plain(&error)));
        let mut agent = self.session().agent().map_err(unusable)?;
        agent.set_identity_path(&socket).map_err(unusable)?;
        agent.connect().map_err(unusable)?;
        agent.list_identities().map_err(unusable)?;
        let keys = agent.identities().map_err(unusable)?;
        for key in &keys {
            let Err(error) = agent.userauth(self.user, key) else { return Ok(()) };
            // Any other answer is that to this one key: the next may be better.
            if let ErrorCode::Session(code::SOCKET_DISCONNECT | code::SOCKET_SEND | code::SOCKET_RECV | code::TIMEOUT) =
                error.code()
            {
                return Err(match keys.len() {
                    // Servers allow six tries.
                    6.. => self.refused_by_agent(keys.len()),
                    _ => self.link.error("logging in by agent", &error),
                });
            }
        }
        Err(self.refused_by_agent(keys.len()))
    }

    fn by_password(&self, password: &Secret) -> Result<(), SshError> {
        let Err(error) = self.session().userauth_password(self.user, password.reveal()) else { return Ok(()) };
        Err(match error.code() {
            ErrorCode::Session(code::AUTHENTICATION_FAILED) => self.refused(
                "this password".to_owned(),
                "If `password` is not among these, the server does not take any: use a key. Otherwise it is wrong",
            ),
            _ => self.link.error("logging in by password", &error),
        })
    }

    fn refused_by_agent(&self, keys: usize) -> SshError {
        self.refused(
            format!("the agent's {keys} key(s)"),
            "Add the right key to the agent (ssh-add FILE), or name its file. Many servers end the connection after \
             six keys",
        )
    }

    fn refused(&self, with: String, hint: &str) -> SshError {
        let methods = if self.methods.is_empty() { "nothing" } else { self.methods };
        let (address, user, methods) = (&self.link.address, self.user, methods.replace(',', ", "));
        SshError::Rejected(format!("{address} does not let {user} in with {with}. The server takes: {methods}. {hint}"))
    }
}

fn unusable(file: &Path, problem: String) -> SshError {
    SshError::Settings(format!("the key file {} cannot be used: {problem}", file.display()))
}

/// The error of a key that needs a passphrase, where none or a wrong one is `given`.
fn encrypted(file: &Path, given: bool) -> SshError {
    let problem = if given { "the passphrase given is not its" } else { "no passphrase is given" };
    let file = file.display();
    SshError::Settings(format!(
        "the key file {file} is encrypted, and {problem}. Give its passphrase, or use an agent: ssh-add {file}"
    ))
}

/// Whether the file can be a private key, and has the passphrase that it needs: without one, OpenSSL would ask for it
/// at the terminal.
fn check_key_file(file: &Path, has_passphrase: bool) -> Result<(), SshError> {
    let unusable = |problem: String| unusable(file, problem);
    let unreadable = |error: std::io::Error| unusable(error.to_string());
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > LARGEST_KEY_FILE {
        return Err(unusable("it is no private key".to_owned()));
    }
    // Overwritten when dropped.
    let text = Secret::new(std::fs::read_to_string(file).map_err(unreadable)?);
    match kind(text.reveal()) {
        Kind::Plain => Ok(()),
        Kind::Encrypted if has_passphrase => Ok(()),
        Kind::Encrypted => Err(encrypted(file, false)),
        Kind::Public => Err(unusable("it is a public key; name the private one, without .pub".to_owned())),
        Kind::Other => Err(unusable(
            "it is no private key in OpenSSH's or PEM format; PuTTY's are converted by puttygen FILE -O private-openssh"
                .to_owned(),
        )),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Encrypted,
    Public,
    Other,
}

fn kind(text: &str) -> Kind {
    /// Base64 of OpenSSH's magic word, and `none` as the cipher.
    const NOT_ENCRYPTED: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
    let mut lines = text.lines().skip_while(|line| !line.starts_with("-----BEGIN "));
    let Some(first) = lines.next() else {
        let public = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| text.starts_with(start));
        return if public { Kind::Public } else { Kind::Other };
    };
    if first.contains("OPENSSH PRIVATE KEY") {
        let plain = lines.next().is_some_and(|line| line.starts_with(NOT_ENCRYPTED));
        return if plain { Kind::Plain } else { Kind::Encrypted };
    }
    match first {
        _ if first.contains("PUBLIC KEY") => Kind::Public,
        _ if !first.contains("PRIVATE KEY") => Kind::Other,
        _ if text.contains("ENCRYPTED") => Kind::Encrypted,
        _ => Kind::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_key_files() {
        let cases = [
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n", Kind::Plain),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAA\n", Kind::Encrypted),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", Kind::Plain),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nMIIE\n", Kind::Encrypted),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n", Kind::Encrypted),
            ("ssh-ed25519 AAAA me\n", Kind::Public),
            ("---- BEGIN SSH2 PUBLIC KEY ----\n", Kind::Other),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n", Kind::Other),
            ("", Kind::Other),
        ];
        for (text, expected) in cases {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
