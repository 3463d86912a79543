//! A connection whose server is known to be the right one, and has let the user in.

use std::fmt;
use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use libssh2_sys as code;
use ssh2::{ErrorCode, MethodType, Session};

use super::algorithms::{Disagreement, disagreement};
use super::error::{Plain, SshError, translate};
use super::host_keys::KnownKeys;
use super::options::{Address, SshOptions};

/// How long the end of a session may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// One authenticated session with a server. Ends when it is dropped. Blocking, except where a function says otherwise.
pub struct Connection {
    pub(super) session: Session,
    /// The session's socket, to be shut down where libssh2 would go on waiting.
    socket: TcpStream,
    pub(super) address: Address,
    /// Patience with a single answer.
    pub(super) timeout: Duration,
}

impl Connection {
    /// Connects, and checks the server's key.
    pub(super) fn to_known_server(options: &SshOptions) -> Result<Self, SshError> {
        let address = options.address();
        let known = KnownKeys::read(&options.known_hosts, &address)?;
        let stream = connect(&address, options.timeout)?;
        let failed = |doing: &str, reason: String| SshError::failed(&options.address(), doing, reason);
        // Lines are short, and their answers are waited for.
        stream.set_nodelay(true).map_err(|error| failed("setting up the connection", error.to_string()))?;
        let socket = stream.try_clone().map_err(|error| failed("setting up the connection", error.to_string()))?;

        let internal = |error: ssh2::Error| failed("setting up the session", Plain(&error).to_string());
        let mut session = Session::new().map_err(internal)?;
        session.set_timeout(milliseconds(options.timeout));
        let supported = session.supported_algs(MethodType::HostKey).map_err(internal)?;
        session.method_pref(MethodType::HostKey, &known.preferred(&supported)).map_err(internal)?;
        session.set_tcp_stream(stream);
        let mut this = Self { session, socket, address, timeout: options.timeout };
        this.session.handshake().map_err(|error| this.handshake_error(&error))?;

        let no_key = || failed("the key exchange", "the server has shown no key".to_owned());
        let (key, _) = this.session.host_key().ok_or_else(no_key)?;
        known.verify(key)?;
        Ok(this)
    }

    fn handshake_error(&self, error: &ssh2::Error) -> SshError {
        let what_happened = self.error("greeting the server", error);
        let ErrorCode::Session(
            code::LIBSSH2_ERROR_KEX_FAILURE
            | code::LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE
            | code::LIBSSH2_ERROR_METHOD_NONE,
        ) = error.code()
        else {
            return what_happened;
        };
        // This can also be a connection that has just broken.
        let found = connect(&self.address, self.timeout).ok().and_then(|stream| {
            stream.set_read_timeout(Some(self.timeout)).ok()?;
            disagreement(stream, &self.session).ok()?
        });
        match found {
            Some(Disagreement { list, theirs, ours }) => SshError::Settings(format!(
                "{} accepts none of the algorithms of this program: it has {list} {theirs}; this program has {ours}. Add \
                 one of these to {list} in its /etc/ssh/sshd_config",
                self.address
            )),
            None => what_happened,
        }
    }

    pub(super) fn error(&self, doing: &str, error: &ssh2::Error) -> SshError {
        translate(&self.address, doing, self.timeout, error)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.session.set_blocking(true);
        self.session.set_timeout(milliseconds(FAREWELL));
        let _ = self.session.disconnect(None, "done", None);
        // libssh2 closes what is open one by one, and would wait for an answer each time.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Tries the addresses of a name one after the other.
fn connect(address: &Address, timeout: Duration) -> Result<TcpStream, SshError> {
    let deadline = Instant::now() + timeout;
    let resolve = |error: std::io::Error| {
        let hint = "Is it written correctly, and is the network up?";
        SshError::Rejected(format!("the name of {address} cannot be resolved: {error}. {hint}"))
    };
    let candidates = (address.host.as_str(), address.port).to_socket_addrs().map_err(resolve)?;
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the name has no address");
    let mut tried = false;
    for candidate in candidates {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            last = ErrorKind::TimedOut.into();
            break;
        }
        match TcpStream::connect_timeout(&candidate, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
        tried = true;
    }
    let hint = match last.kind() {
        ErrorKind::TimedOut => return Err(SshError::timed_out(address, "connecting", timeout)),
        _ if !tried => return Err(resolve(last)),
        ErrorKind::ConnectionRefused => {
            ". The machine is there, but nothing listens: is sshd running, and is this its port?"
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ". Is it switched on and in the same network?",
        _ => "",
    };
    let text = format!("cannot connect to {address}: {last}{hint}");
    // Causes on this side do not pass by themselves.
    let is_ours = matches!(last.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported);
    Err(if is_ours { SshError::Settings(text) } else { SshError::Away(text) })
}

/// As libssh2 takes it, where 0 would mean for ever.
pub(super) fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)
}
