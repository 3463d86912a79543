//! Logging in.

use std::path::{Path, PathBuf};

use libssh2_sys as code;
use ssh2::{ErrorCode, Session};

use super::connection::Connection;
use super::error::{Plain, SshError};
use super::options::{Authentication, Secret, SshOptions};
use crate::shown::pasted;

/// Key files are a few kilobytes; a larger file is something else.
const LARGEST_KEY_FILE: u64 = 1 << 20;

impl Connection {
    /// Connects, checks the server's key, and logs in.
    ///
    /// # Errors
    ///
    /// With the stage that failed, and what to do.
    pub fn open(options: &SshOptions) -> Result<Self, SshError> {
        let this = Self::to_known_server(options)?;
        log_in(&this, options)?;
        Ok(this)
    }
}

/// Logs in as the options say.
fn log_in(link: &Connection, options: &SshOptions) -> Result<(), SshError> {
    let user = options.user.as_str();
    // A problem with a key is found before the server is asked.
    if let Authentication::Key { file, passphrase } = &options.authentication {
        check_key_file(file, passphrase.is_some())?;
    }
    let methods = match link.session.auth_methods(user) {
        Ok(methods) => methods.to_owned(),
        // The server asks for no login.
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
    link: &'a Connection,
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
            ErrorCode::Session(
                code::LIBSSH2_ERROR_AUTHENTICATION_FAILED | code::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED,
            ) => self.refused(
                format!("the key {}", file.display()),
                "Add the key's .pub file to the user's ~/.ssh/authorized_keys there: ssh-copy-id -i FILE USER@HOST",
            ),
            ErrorCode::Session(code::LIBSSH2_ERROR_KEYFILE_AUTH_FAILED) => encrypted(file, passphrase.is_some()),
            ErrorCode::Session(code::LIBSSH2_ERROR_FILE) if passphrase.is_some() => encrypted(file, true),
            ErrorCode::Session(code::LIBSSH2_ERROR_FILE) => unusable(
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
        #[cfg(unix)]
        check_agent(&socket, self.link.timeout)
            .map_err(|problem| no_agent(format!("{}: {problem}", socket.display())))?;
        let unusable = |error: ssh2::Error| no_agent(format!("{}: {}", socket.display(), Plain(&error)));
        let mut agent = self.session().agent().map_err(unusable)?;
        agent.set_identity_path(&socket).map_err(unusable)?;
        agent.connect().map_err(unusable)?;
        agent.list_identities().map_err(unusable)?;
        let keys = agent.identities().map_err(unusable)?;
        for key in &keys {
            let Err(error) = agent.userauth(self.user, key) else { return Ok(()) };
            // Any other answer is that to this one key: the next may be better.
            if let ErrorCode::Session(
                code::LIBSSH2_ERROR_SOCKET_DISCONNECT
                | code::LIBSSH2_ERROR_SOCKET_SEND
                | code::LIBSSH2_ERROR_SOCKET_RECV
                | code::LIBSSH2_ERROR_TIMEOUT,
            ) = error.code()
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
            ErrorCode::Session(code::LIBSSH2_ERROR_AUTHENTICATION_FAILED) => self.refused(
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

/// Checks that an agent answers when it is asked for its keys: libssh2 would wait for that without limit.
#[cfg(unix)]
fn check_agent(socket: &Path, limit: std::time::Duration) -> Result<(), String> {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    /// Its length, and `SSH_AGENTC_REQUEST_IDENTITIES`.
    const REQUEST: [u8; 5] = [0, 0, 0, 1, 11];
    let ask = || {
        let mut agent = UnixStream::connect(socket)?;
        agent.set_read_timeout(Some(limit))?;
        agent.set_write_timeout(Some(limit))?;
        agent.write_all(&REQUEST)?;
        agent.read_exact(&mut [0; 4])
    };
    ask().map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("it has not answered for {} s", limit.as_secs_f64()),
        _ => error.to_string(),
    })
}

fn unusable(file: &Path, problem: String) -> SshError {
    SshError::Settings(format!("the key file {} cannot be used: {problem}", file.display()))
}

/// The error of a key that needs a passphrase, where none or a wrong one is `given`.
fn encrypted(file: &Path, given: bool) -> SshError {
    let problem = if given { "the passphrase given is not its" } else { "no passphrase is given" };
    let file = file.display().to_string();
    let add = pasted(["ssh-add", &file]);
    SshError::Settings(format!(
        "the key file {file} is encrypted, and {problem}. Give its passphrase, or use an agent: {add}"
    ))
}

/// Whether the file can be a private key, and has the passphrase that it needs: without one, OpenSSL would ask for it
/// at the terminal.
fn check_key_file(file: &Path, has_passphrase: bool) -> Result<(), SshError> {
    let unusable = |problem: String| unusable(file, problem);
    let unreadable = |error: std::io::Error| unusable(error.to_string());
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > LARGEST_KEY_FILE {
        return Err(unusable("it is not a private key".to_owned()));
    }
    // Overwritten when dropped.
    let text = Secret::new(std::fs::read_to_string(file).map_err(unreadable)?);
    match is_encrypted(text.reveal()) {
        Ok(true) if !has_passphrase => Err(encrypted(file, false)),
        Ok(_) => Ok(()),
        Err(problem) => Err(unusable(problem.to_owned())),
    }
}

/// Whether a private key is encrypted.
///
/// # Errors
/// If it is none.
fn is_encrypted(text: &str) -> Result<bool, &'static str> {
    /// Base64 of OpenSSH's magic word, and `none` as the cipher.
    const NOT_ENCRYPTED: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
    const PUBLIC: &str = "it is a public key; name the private one, without .pub";
    const OTHER: &str =
        "it is not a private key in OpenSSH's or PEM format; PuTTY's are converted by puttygen FILE -O private-openssh";
    let mut lines = text.lines().skip_while(|line| !line.starts_with("-----BEGIN "));
    let Some(first) = lines.next() else {
        let public = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| text.starts_with(start));
        return Err(if public { PUBLIC } else { OTHER });
    };
    match first {
        _ if first.contains("OPENSSH PRIVATE KEY") => {
            Ok(lines.next().is_none_or(|line| !line.starts_with(NOT_ENCRYPTED)))
        }
        _ if first.contains("PUBLIC KEY") => Err(PUBLIC),
        _ if first.contains("PRIVATE KEY") => Ok(text.contains("ENCRYPTED")),
        _ => Err(OTHER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn an_agent_that_does_not_answer_is_not_waited_for() {
        use std::io::{Read as _, Write as _};
        use std::os::unix::net::UnixListener;
        use std::time::Duration;

        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let problem = check_agent(&socket, Duration::from_millis(50)).unwrap_err();
        assert!(problem.contains("has not answered for 0.05 s"), "{problem}");
        let answering = std::thread::spawn(move || {
            let _ignored = listener.accept().unwrap();
            let (mut asked, _) = listener.accept().unwrap();
            asked.read_exact(&mut [0; 5]).unwrap();
            asked.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]).unwrap();
        });
        check_agent(&socket, Duration::from_secs(20)).unwrap();
        answering.join().unwrap();
    }

    #[test]
    fn errors_distinguish_encrypted_public_and_missing_keys() {
        let cases = [
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n", Ok(false)),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAA\n", Ok(true)),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", Ok(false)),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nMIIE\n", Ok(true)),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n", Ok(true)),
            ("ssh-ed25519 AAAA me\n", Err("it is a public key")),
            ("---- BEGIN SSH2 PUBLIC KEY ----\n", Err("it is not a private key")),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n", Err("it is not a private key")),
            ("", Err("it is not a private key")),
        ];
        for (text, expected) in cases {
            let found = is_encrypted(text);
            let is_expected = match (found, expected) {
                (Err(problem), Err(expected)) => problem.starts_with(expected),
                _ => found == expected,
            };
            assert!(is_expected, "{text}: {found:?}");
        }
    }
}
