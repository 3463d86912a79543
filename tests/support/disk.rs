//! A small file system that a test can fill or make read-only.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip;

/// A file system in memory, unmounted on drop.
#[derive(Debug)]
pub struct Disk {
    /// The mount point.
    pub path: PathBuf,
}

impl Disk {
    /// Mounts one. Without the right to mount, `None` after a line that the test is skipped.
    ///
    /// # Panics
    /// If the folder exists.
    pub fn mount(path: &Path, kilobytes: usize) -> Option<Self> {
        std::fs::create_dir(path).expect("a new folder");
        let options = format!("size={kilobytes}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { path: path.to_owned() });
        }
        skip::quietly("mounting a small file system needs root");
        None
    }

    /// Makes the disk larger.
    ///
    /// # Panics
    /// If that fails.
    pub fn grow(&self) {
        self.remount("size=64m");
    }

    /// Forbids writing, also to root.
    ///
    /// # Panics
    /// If that fails, as it does while a file is open to be written.
    pub fn forbid_writing(&self) {
        self.remount("ro");
    }

    /// Allows writing again.
    ///
    /// # Panics
    /// If that fails.
    pub fn allow_writing(&self) {
        self.remount("rw");
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.path).status().expect("mount starts");
        assert!(done.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A disk that cannot be unmounted stays until the machine ends.
        let _ = Command::new("umount").arg(&self.path).status();
    }
}
