//! A network namespace, in which a program runs as on another machine, at the end of a cable that a test can cut.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::skip;
use super::watcher::Watcher;

/// Ends what still runs in the namespace, and removes it; the cable goes with it.
const CLEAN_UP: &str = r#"
for process in $(ip netns pids "$1"); do kill -9 "$process"; done
ip netns delete "$1"
ip link delete "$2"
"#;

/// Blocks of four addresses in 198.18.0.0/15, which is reserved for tests of networks.
const BLOCKS: u32 = 1 << 15;

/// An address of the link layer that no device has: frames to it are lost without a message.
const NO_DEVICE: &str = "02:00:00:00:00:00";

/// A network namespace with a cable to this machine; removed on drop, with the programs in it.
#[derive(Debug)]
pub struct Netns {
    name: String,
    /// The ends of the cable: here, and in the namespace.
    ends: [String; 2],
    addresses: [Ipv4Addr; 2],
    _watcher: Watcher,
}

impl Netns {
    /// Makes one. Without the rights, or without `ip`, `None` after a line that the test is skipped.
    ///
    /// # Panics
    /// If the namespace was made, but its network cannot be set up.
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Names of devices have up to 15 characters.
        let name = format!("t{}-{number}", process::id());
        let ends = [format!("{name}a"), format!("{name}b")];
        // Where a container has the rights to make a namespace, it may still lack those to make a device.
        let made = ip(&["netns", "add", &name]).and_then(|_| {
            let made = ip(&["link", "add", &ends[0], "type", "veth", "peer", "name", &ends[1], "netns", &name]);
            made.inspect_err(|_| drop(ip(&["netns", "delete", &name])))
        });
        if let Err(reason) = made {
            skip::quietly(&format!("a network namespace needs root and the program `ip` of iproute2: {reason}"));
            return None;
        }
        let watcher = Watcher::start(CLEAN_UP, [&name, &ends[0]]);
        let addresses = free_addresses(process::id().wrapping_mul(61).wrapping_add(number));
        let netns = Self { name, ends, addresses, _watcher: watcher };
        let here = format!("{}/30", netns.host());
        let there = format!("{}/30", netns.address());
        for arguments in [&["address", "add", &here, "dev", &netns.ends[0]][..], &["link", "set", &netns.ends[0], "up"]]
        {
            ip(arguments).expect("the cable can be set up");
        }
        netns.ip(&["address", "add", &there, "dev", &netns.ends[1]]);
        netns.ip(&["link", "set", &netns.ends[1], "up"]);
        netns.ip(&["link", "set", "lo", "up"]);
        Some(netns)
    }

    /// This machine's address at its end of the cable: a server for programs in the namespace has to listen there.
    pub fn host(&self) -> Ipv4Addr {
        self.addresses[0]
    }

    /// The namespace's address.
    pub fn address(&self) -> Ipv4Addr {
        self.addresses[1]
    }

    /// The words before a command that make it run in the namespace, as [`Program::below`](super::Program::below) takes
    /// them.
    pub fn wrapper(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// A command that runs in the namespace. Its process id is that of the program itself.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let [first, rest @ ..] = self.wrapper();
        let mut command = Command::new(first);
        command.args(rest).arg(program);
        command
    }

    /// Cuts the cable somewhere between two switches: both ends still have a link, and what they send is lost.
    ///
    /// # Panics
    /// If that fails.
    pub fn cut(&self) {
        let [here, there] = self.addresses.map(|address| address.to_string());
        ip(&["neighbour", "replace", &there, "lladdr", NO_DEVICE, "nud", "permanent", "dev", &self.ends[0]])
            .expect("the cable can be cut");
        self.ip(&["neighbour", "replace", &here, "lladdr", NO_DEVICE, "nud", "permanent", "dev", &self.ends[1]]);
    }

    /// Mends the cable: connections that have not timed out go on.
    ///
    /// # Panics
    /// If it was not cut.
    pub fn mend(&self) {
        let [here, there] = self.addresses.map(|address| address.to_string());
        ip(&["neighbour", "delete", &there, "dev", &self.ends[0]]).expect("the cable can be mended");
        self.ip(&["neighbour", "delete", &here, "dev", &self.ends[1]]);
    }

    /// Runs `ip` in the namespace.
    fn ip(&self, arguments: &[&str]) {
        let all: Vec<&str> = ["-netns", &self.name].into_iter().chain(arguments.iter().copied()).collect();
        ip(&all).expect("the namespace can be set up");
    }
}

/// The two addresses of a block that this machine does not use.
fn free_addresses(first: u32) -> [Ipv4Addr; 2] {
    (0..BLOCKS)
        .map(|step| u32::from(Ipv4Addr::new(198, 18, 0, 0)) + first.wrapping_add(step) % BLOCKS * 4)
        .find(|block| {
            let block = format!("{}/30", Ipv4Addr::from(*block));
            ip(&["-oneline", "address", "show", "to", &block]).is_ok_and(|used| used.is_empty())
        })
        .map(|block| [1, 2].map(|host| Ipv4Addr::from(block + host)))
        .expect("a free block of addresses")
}

/// The output of `ip`, or its message.
fn ip(arguments: &[&str]) -> Result<String, String> {
    // Not every user's PATH leads to it.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("ip").args(arguments).env("PATH", path).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip does not start: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
