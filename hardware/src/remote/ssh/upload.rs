//! Uploads that continue after a broken connection.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use ssh2::{OpenFlags, OpenType};

use super::Connection;
use super::error::SshError;

/// What is given to libssh2 at first, in bytes. It does not look at answers until all of it is sent, which has to
/// happen within the time-out on a slow line too.
const FIRST_PIECE: usize = 128 * 1024;

/// What is under way at most, in bytes.
const LARGEST_PIECE: usize = 4 << 20;

impl Connection {
    /// Writes `content` to `to`, by way of `to` with `.part` appended: there is never half a file of the name itself.
    /// A file of that name is replaced.
    ///
    /// An earlier upload that broke off is continued at the size of its `.part`, which may be of other content: check a
    /// hash of the whole. With `fresh` the upload starts at the beginning.
    ///
    /// # Errors
    ///
    /// If the file cannot be written, or the connection breaks: then the same call on a new connection goes on.
    pub fn upload(&mut self, content: &[u8], to: &str, fresh: bool) -> Result<(), SshError> {
        let to = self.absolute(to)?;
        let part = format!("{to}.part");
        if self.stat(&to)?.is_some_and(|found| found.is_dir()) {
            return Err(self.link.file_problem("write", &to, "it is a folder"));
        }
        let length = content.len() as u64;
        let there = if fresh { 0 } else { self.stat(&part)?.and_then(|found| found.size).unwrap_or(0) };
        // A longer one is of something else.
        let resumed_at = if there <= length { there } else { 0 };
        self.write(content, resumed_at, &part)?;
        self.replace(&part, &to)
    }

    fn write(&mut self, content: &[u8], resumed_at: u64, part: &str) -> Result<(), SshError> {
        let (link, sftp) = self.sftp()?;
        let failed = |error: &ssh2::Error| link.file_error("write", part, error);
        let mut flags = OpenFlags::WRITE | OpenFlags::CREATE;
        if resumed_at == 0 {
            flags |= OpenFlags::TRUNCATE;
        }
        let mut file = sftp.open_mode(Path::new(part), flags, 0o644, OpenType::File).map_err(|error| failed(&error))?;
        let unwritten = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::TimedOut => SshError::timed_out(&link.address, "the file transfer", link.timeout),
            _ if link.is_broken() => SshError::lost(&link.address, format!("the file transfer failed: {error}")),
            _ => link.file_problem("write", part, &format!("{error} (is the disk full?)")),
        };
        // The lengths of slices fit.
        let start = usize::try_from(resumed_at).unwrap_or(content.len());
        if start > 0 {
            file.seek(SeekFrom::Start(resumed_at)).map_err(unwritten)?;
        }
        let mut done = start;
        while done < content.len() {
            // What a call gives is under way until it is acknowledged, so the piece has to overlap the one before.
            let piece = (FIRST_PIECE + (done - start) * 2).min(LARGEST_PIECE);
            let end = content.len().min(done + piece);
            done += file.write(&content[done..end]).map_err(unwritten)?;
        }
        file.close().map_err(|error| failed(&error))?;
        drop(file);
        let arrived = self.stat(part)?.and_then(|found| found.size);
        if arrived != Some(content.len() as u64) {
            let problem = format!("it has {} bytes instead of {}", arrived.unwrap_or(0), content.len());
            return Err(self.link.file_problem("write", part, &problem));
        }
        Ok(())
    }

    /// Renames, also where there is a file already: the third version of the protocol, which OpenSSH speaks, renames
    /// only to a name that is free.
    fn replace(&mut self, from: &str, to: &str) -> Result<(), SshError> {
        let exists = self.stat(to)?.is_some();
        let (link, sftp) = self.sftp()?;
        if exists {
            sftp.unlink(Path::new(to)).map_err(|error| link.file_error("replace", to, &error))?;
        }
        sftp.rename(Path::new(from), Path::new(to), None).map_err(|error| link.file_error("rename to", to, &error))
    }
}
