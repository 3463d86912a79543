//! The processes of a server.

use std::fs;
use std::process::{Command, Stdio};

/// The processes below a server: those of its sessions, and those of privilege separation.
pub(super) fn sessions(server: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![server];
    while let Some(parent) = parents.pop() {
        for child in children(parent) {
            // Newer versions call it sshd-session, and sshd-auth.
            if fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.starts_with("sshd")) {
                found.push(child);
                parents.push(child);
            }
        }
    }
    found
}

pub(super) fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("a Linux system").flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent_of = |process: u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name before it is in brackets, and may itself hold brackets and spaces.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        // A process that has ended, but was not waited for, does not count.
        if fields.next()? == "Z" { None } else { fields.next()?.parse::<u32>().ok() }
    };
    processes.filter(|process| parent_of(*process) == Some(parent)).collect()
}

/// Sends a signal to processes.
pub(super) fn signal(name: &str, processes: &[u32]) {
    if processes.is_empty() {
        return;
    }
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$@\"", "sh", name]).args(processes.iter().map(u32::to_string));
    // A process that has ended meanwhile is fine.
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}
