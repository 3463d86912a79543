//! Files and folders on the other machine.

use std::path::Path;

use ssh2::{ErrorCode, FileStat, Sftp};

use super::error::{Plain, SshError, translate};
use super::{Connection, Link};

/// SFTP's code for a path that is not there; the other is that of newer versions.
const NO_SUCH_FILE: [i32; 2] = [2, 10];

impl Connection {
    /// The path from the root: `~/` is the user's home, and a relative path starts there too.
    ///
    /// # Errors
    ///
    /// If the server does not tell where the home is.
    pub(super) fn absolute(&mut self, path: &str) -> Result<String, SshError> {
        if path.starts_with('/') {
            return Ok(path.to_owned());
        }
        let relative = if path == "~" { "" } else { path.strip_prefix("~/").unwrap_or(path) };
        let home = match &self.home {
            Some(home) => home.clone(),
            None => {
                let (link, sftp) = self.sftp()?;
                let home = sftp.realpath(Path::new(".")).map_err(|error| link.file_error("find", ".", &error))?;
                let home = home.to_string_lossy().into_owned();
                self.home.insert(home).clone()
            }
        };
        Ok(if relative.is_empty() { home } else { format!("{}/{relative}", home.trim_end_matches('/')) })
    }

    /// Size of a file in bytes; `None` if there is nothing of that name.
    ///
    /// # Errors
    ///
    /// If the server does not tell.
    pub fn size(&mut self, path: &str) -> Result<Option<u64>, SshError> {
        let path = self.absolute(path)?;
        Ok(self.stat(&path)?.map(|found| found.size.unwrap_or(0)))
    }

    /// Makes a folder, and those above it where they are missing.
    ///
    /// # Errors
    ///
    /// If one cannot be made.
    pub fn make_folders(&mut self, path: &str) -> Result<(), SshError> {
        let path = self.absolute(path)?;
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        let mut folders: Vec<&str> = ends.map(|end| &path[..end]).filter(|folder| !folder.is_empty()).collect();
        let mut missing = Vec::new();
        while let Some(folder) = folders.pop() {
            match self.stat(folder)? {
                Some(found) if found.is_dir() => break,
                Some(_) => return Err(self.link.file_problem("make the folder", folder, "there is a file")),
                None => missing.push(folder),
            }
        }
        while let Some(folder) = missing.pop() {
            let (link, sftp) = self.sftp()?;
            if let Err(error) = sftp.mkdir(Path::new(folder), 0o755) {
                let error = link.file_error("make the folder", folder, &error);
                // Somebody else may have made it meanwhile.
                if !self.stat(folder)?.is_some_and(|found| found.is_dir()) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The link, and the file transfer on it.
    pub(super) fn sftp(&mut self) -> Result<(&Link, &Sftp), SshError> {
        let sftp = match self.sftp.take() {
            Some(sftp) => sftp,
            None => self.link.session.sftp().map_err(|error| self.link.error("opening SFTP", &error))?,
        };
        Ok((&self.link, self.sftp.insert(sftp)))
    }

    /// What there is at an absolute path.
    pub(super) fn stat(&mut self, path: &str) -> Result<Option<FileStat>, SshError> {
        let (link, sftp) = self.sftp()?;
        match sftp.stat(Path::new(path)) {
            Ok(found) => Ok(Some(found)),
            Err(error) => match error.code() {
                ErrorCode::SFTP(code) if NO_SUCH_FILE.contains(&code) => Ok(None),
                _ => Err(link.file_error("look at", path, &error)),
            },
        }
    }
}

impl Link {
    pub(super) fn file_error(&self, doing: &str, path: &str, error: &ssh2::Error) -> SshError {
        match error.code() {
            ErrorCode::SFTP(_) => self.file_problem(doing, path, &Plain(error).to_string()),
            ErrorCode::Session(_) => translate(&self.address, "the file transfer", self.timeout, error),
        }
    }

    pub(super) fn file_problem(&self, doing: &str, path: &str, problem: &str) -> SshError {
        SshError::File(format!("cannot {doing} {path} on {}: {problem}", self.address))
    }
}
