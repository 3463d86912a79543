//! A real OpenSSH server on a port of this machine, with its own keys, which a test can kill, cut and freeze.

mod processes;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::skip;
use processes::{children, sessions, signal};

/// Where Debian installs the server; it has to be called by its absolute path.
const SERVER: &str = "/usr/sbin/sshd";

/// Folder that a server run by root insists on.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// Variable that identifies the processes of a session; its value is the folder of the server.
const MARK: &str = "TEST_SSHD";

/// The `PATH` of a session, after the folders of [`SshdOptions::path`].
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Ports to choose from: below those that systems give to outgoing connections, which could take a port between
/// [`Sshd::kill`] and [`Sshd::restart`].
const PORTS: std::ops::Range<u32> = 20_000..32_000;

/// How long a server may take to accept connections. It takes milliseconds on a machine that is not overloaded.
const PATIENCE: Duration = Duration::from_secs(20);

/// A shell that outlives the tests and cleans up after them, also after a kill: it ends when its standard input does. It
/// reads the process id of the server, or an empty line when the server has ended.
const WATCHER: &str = r#"
server=
while read -r line; do server=$line; done
[ -z "$server" ] || kill -9 "$server" 2>/dev/null
for round in 1 2 3 4 5 6 7 8 9 10; do
    marked=$(grep -lzxF "$1=$2" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3)
    [ -n "$marked" ] || break
    kill -9 $marked 2>/dev/null
    sleep 0.02
done
rm -rf "$2"
"#;

/// A running server, stopped on drop with all processes of its sessions.
#[derive(Debug)]
pub struct Sshd {
    port: u16,
    user: String,
    key: PathBuf,
    known_hosts: PathBuf,
    host_key: String,
    /// None after [`kill`](Self::kill).
    server: Option<Child>,
    watcher: Child,
    folder: TempDir,
}

/// Differences from a plain server.
#[derive(Debug, Clone, Default)]
pub struct SshdOptions {
    /// Folders at the front of the `PATH` of its sessions.
    pub path: Vec<PathBuf>,
    /// Variables of its sessions.
    pub environment: Vec<(String, String)>,
    /// Further lines of its configuration. They come first, so that they override those of the harness; a `SetEnv` among
    /// them overrides the whole of `path` and `environment`.
    pub config: Vec<String>,
}

impl Sshd {
    /// Starts one. Without an installed OpenSSH server, `None` after a line that the test is skipped.
    ///
    /// # Panics
    /// If it does not start; and with `CI=true` instead of a skipped test.
    pub fn start(options: SshdOptions) -> Option<Self> {
        Some(Self::start_in(Self::folder_for_one()?, options))
    }

    /// A fresh folder for a server, in which a harness may keep more files, removed with the server. `None` as in
    /// [`start`](Self::start).
    pub(crate) fn folder_for_one() -> Option<TempDir> {
        if !Path::new(SERVER).is_file() {
            skip::unless_ci(&format!("{SERVER} is missing: install openssh-server"));
            return None;
        }
        Some(tempfile::Builder::new().prefix("sshd-").tempdir().expect("a temporary folder"))
    }

    /// Starts one in a folder of [`folder_for_one`](Self::folder_for_one).
    pub(crate) fn start_in(folder: TempDir, options: SshdOptions) -> Self {
        if printed("id", &["-u"]) == "0" {
            // It is empty, and every server of this machine needs it: it may stay.
            fs::create_dir_all(PRIVILEGE_SEPARATION).expect("root may make it");
        }
        for key in ["host_key", "client_key"] {
            make_key(&folder.path().join(key));
        }
        fs::copy(folder.path().join("client_key.pub"), folder.path().join("authorized_keys")).expect("it was made");
        let mut watcher = Command::new("sh");
        watcher.args(["-c", WATCHER, "sh", MARK]).arg(folder.path()).process_group(0);
        let watcher = watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut sshd = Self {
            port: 0,
            user: printed("id", &["-un"]),
            key: folder.path().join("client_key"),
            known_hosts: folder.path().join("known_hosts"),
            host_key: public_key(&folder.path().join("host_key")),
            server: None,
            watcher: watcher.spawn().expect("sh starts"),
            folder,
        };
        let mut tries = 0;
        loop {
            sshd.port = free_port();
            sshd.configure(&options);
            match sshd.launch() {
                Ok(()) => break,
                // Another process took the port.
                Err(log) if log.contains("Cannot bind any address") && tries < 20 => tries += 1,
                Err(log) => panic!("sshd does not start: {log}"),
            }
        }
        let line = format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.host_key);
        fs::write(&sshd.known_hosts, line).expect("the folder can be written");
        sshd
    }

    /// The port it listens on, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The only user who may log in: the user of the tests.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// File with the private key for the login; the public key has the suffix `.pub`.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// File of known hosts with its first host key.
    pub fn known_hosts(&self) -> &Path {
        &self.known_hosts
    }

    /// Type and text of its public host key, as files of known hosts have them.
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// Its folder, with keys, configuration and `log`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command on it, run by the system's ssh client, which neither prompts nor reads settings.
    pub fn client(&self, command: &str) -> Command {
        let mut client = Command::new("ssh");
        client.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=20"]);
        client.arg("-o").arg(format!("UserKnownHostsFile={}", self.known_hosts.display()));
        client.arg("-i").arg(&self.key).arg("-p").arg(self.port.to_string());
        client.arg(format!("{}@127.0.0.1", self.user)).arg(command).stdin(Stdio::null());
        client
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Kills it and the server processes of its sessions, so that connections are cut as by a crash. The programs of the
    /// sessions stay.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // A stopped server accepts no further connection during the search for its sessions.
        signal("STOP", &[server.id()]);
        let mut all = sessions(server.id());
        all.push(server.id());
        signal("KILL", &all);
        server.wait().expect("a child of this process");
        self.inform_watcher();
    }

    /// Cuts all connections. The server still listens, and the programs of the sessions stay.
    pub fn cut(&self) {
        if let Some(server) = &self.server {
            signal("KILL", &sessions(server.id()));
        }
    }

    /// Freezes all connections, as when a cable is unplugged: they stay open, without any traffic.
    pub fn freeze(&self) {
        if let Some(server) = &self.server {
            signal("STOP", &sessions(server.id()));
        }
    }

    /// Number of connections.
    pub fn connections(&self) -> usize {
        self.server.as_ref().map_or(0, |server| children(server.id()).len())
    }

    /// Kills it if it runs, and starts it with the same port and host key.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        let start = Instant::now();
        while let Err(log) = self.launch() {
            assert!(start.elapsed() < PATIENCE, "sshd does not start again: {log}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Restarts it with another host key, which is not in [`known_hosts`](Self::known_hosts).
    pub fn new_host_key(&mut self) {
        self.kill();
        let path = self.folder().join("host_key");
        fs::remove_file(&path).expect("there was one");
        make_key(&path);
        self.host_key = public_key(&path);
        self.restart();
    }

    fn configure(&self, options: &SshdOptions) {
        let folder = self.folder().display();
        let mut config = String::new();
        for line in &options.config {
            let _ = writeln!(config, "{line}");
        }
        let path = options.path.iter().map(|folder| folder.display().to_string());
        let path: Vec<String> = path.chain([PATH.to_owned()]).collect();
        // Its own home: the shell settings of the real one must not influence the tests.
        let home = self.folder().join("home");
        fs::create_dir_all(&home).expect("the folder can be written");
        let mut variables = vec![
            ("PATH".to_owned(), path.join(":")),
            ("HOME".to_owned(), home.display().to_string()),
            (MARK.to_owned(), folder.to_string()),
        ];
        variables.retain(|(name, _)| options.environment.iter().all(|(other, _)| other != name));
        // Only the first line of the kind counts.
        config.push_str("SetEnv");
        for (name, value) in variables.iter().chain(&options.environment) {
            assert!(!value.contains('\n'), "{name} has a line break");
            let value = value.replace('\\', r"\\").replace('"', "\\\"");
            let _ = write!(config, " \"{name}={value}\"");
        }
        let _ = write!(
            config,
            "\n\
             ListenAddress 127.0.0.1\n\
             Port {port}\n\
             HostKey {folder}/host_key\n\
             AuthorizedKeysFile {folder}/authorized_keys\n\
             PidFile none\n\
             LogLevel INFO\n\
             StrictModes no\n\
             UsePAM no\n\
             PasswordAuthentication no\n\
             PermitRootLogin yes\n\
             AllowUsers {user}\n\
             MaxStartups 100\n\
             PrintMotd no\n\
             Subsystem sftp internal-sftp\n",
            port = self.port,
            user = self.user,
        );
        let path = self.folder().join("sshd_config");
        // Since OpenSSH 9.8, the server ignores a client for a while after a few rejected logins.
        fs::write(&path, format!("{config}PerSourcePenalties no\n")).expect("the folder can be written");
        let test = Command::new(SERVER).arg("-t").arg("-f").arg(&path).output().expect("sshd starts");
        if !test.status.success() {
            fs::write(&path, config).expect("the folder can be written");
        }
    }

    /// Starts the server; fails with its log if it ends at once.
    fn launch(&mut self) -> Result<(), String> {
        let log = self.folder().join("log");
        let before = fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let mut command = Command::new(SERVER);
        command.arg("-D").arg("-f").arg(self.folder().join("sshd_config")).arg("-E").arg(&log);
        // In its own process group: an interrupt of the tests leaves it to the watcher.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = self.server.insert(command.spawn().expect("sshd starts"));
        let start = Instant::now();
        loop {
            if server.try_wait().expect("a child of this process").is_some() {
                self.server = None;
                let log = fs::read(&log).unwrap_or_default();
                let new = usize::try_from(before).map_or(&[][..], |before| &log[before.min(log.len())..]);
                return Err(String::from_utf8_lossy(new).into_owned());
            }
            if listens(server.id(), self.port) {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "sshd does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        self.inform_watcher();
        Ok(())
    }

    fn inform_watcher(&mut self) {
        let server = self.server.as_ref().map_or_else(String::new, |server| server.id().to_string());
        let stdin = self.watcher.stdin.as_mut().expect("it was asked for");
        // Without a watcher, the processes of a killed test stay; the test itself need not fail.
        let _ = writeln!(stdin, "{server}");
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

/// Whether this very process listens on the port, and not another one.
fn listens(process: u32, port: u16) -> bool {
    // A connection would show it too, but the server would count it, log it, and start a process for it.
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let address = format!("0100007F:{port:04X}");
    let socket = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listening = fields.get(1) == Some(&address.as_str()) && fields.get(3) == Some(&"0A");
        listening.then(|| format!("socket:[{}]", fields.get(9).copied().unwrap_or_default()))
    });
    let Some(socket) = socket else { return false };
    match fs::read_dir(format!("/proc/{process}/fd")) {
        Ok(files) => {
            let mut targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
            targets.any(|target| target.as_os_str() == socket.as_str())
        }
        // Some systems hide this even from the user of the process.
        Err(_) => TcpStream::connect(("127.0.0.1", port)).is_ok(),
    }
}

fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Test processes that run at the same time begin at different ports.
        let offset = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + offset % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).expect("ports fit");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn make_key(path: &Path) {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .expect("ssh-keygen starts");
    assert!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
}

/// Type and text of a public key, without its comment.
fn public_key(private: &Path) -> String {
    let text = fs::read_to_string(private.with_extension("pub")).expect("ssh-keygen writes it");
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("it starts");
    String::from_utf8(output.stdout).expect("it prints text").trim().to_owned()
}
