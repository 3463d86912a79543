//! Files and folders on the other machine.

use std::io::Read as _;
use std::path::Path;

use ssh2::{ErrorCode, FileStat, Sftp};

use super::command::Limits;
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
    pub fn absolute(&mut self, path: &str) -> Result<String, SshError> {
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

    /// Whether there is a file or folder of that name.
    ///
    /// # Errors
    ///
    /// If the server does not tell.
    pub fn exists(&mut self, path: &str) -> Result<bool, SshError> {
        let path = self.absolute(path)?;
        Ok(self.stat(&path)?.is_some())
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

    /// Reads a file as a whole.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has more than `most_bytes`.
    pub fn download(&mut self, from: &str, most_bytes: u64) -> Result<Vec<u8>, SshError> {
        let path = self.absolute(from)?;
        let (link, sftp) = self.sftp()?;
        let too_large = || SshError::TooLarge { address: link.address.clone(), path: path.clone(), most: most_bytes };
        let mut file = sftp.open(&path).map_err(|error| link.file_error("read", &path, &error))?;
        let found = file.stat().map_err(|error| link.file_error("read", &path, &error))?;
        if found.size.is_some_and(|size| size > most_bytes) {
            return Err(too_large());
        }
        // Files of the kernel have no size, and others may grow meanwhile. Large pieces are read ahead in one go.
        let mut content = Vec::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut piece).map_err(|error| link.file_problem("read", &path, &error.to_string()))?;
            if count == 0 {
                return Ok(content);
            }
            if content.len() as u64 + count as u64 > most_bytes {
                return Err(too_large());
            }
            content.extend_from_slice(&piece[..count]);
        }
    }

    /// Bytes that the user may still write where `path` is, as `df` tells.
    ///
    /// # Errors
    ///
    /// If there is nothing at `path`, or `df` cannot be run or understood.
    pub fn free_bytes(&mut self, path: &str) -> Result<u64, SshError> {
        let path = self.absolute(path)?;
        let output = self.run(&["df", "-Pk", &path], &Limits::default())?;
        let text = output.stdout_text();
        match text.lines().last().and_then(free_kibibytes) {
            Some(kibibytes) if output.success() => Ok(kibibytes.saturating_mul(1024)),
            _ => {
                let problem = format!("df says {:?}", format!("{text}{}", output.stderr_text()).trim());
                Err(self.link.file_problem("find the free space at", &path, &problem))
            }
        }
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
    pub fn file_error(&self, doing: &'static str, path: &str, error: &ssh2::Error) -> SshError {
        match error.code() {
            ErrorCode::SFTP(_) => self.file_problem(doing, path, &Plain(error).to_string()),
            ErrorCode::Session(_) => translate(&self.address, "the file transfer", self.timeout, error),
        }
    }

    pub fn file_problem(&self, doing: &'static str, path: &str, problem: &str) -> SshError {
        SshError::File { address: self.address.clone(), doing, path: path.to_owned(), problem: problem.to_owned() }
    }
}

/// The free space in a line of `df -Pk`: the field before the percentage. The names around it may have spaces.
fn free_kibibytes(line: &str) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let percentage = fields.iter().rposition(|field| {
        field.strip_suffix('%').is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    })?;
    fields.get(percentage.checked_sub(1)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::free_kibibytes;
    use proptest::prelude::*;

    proptest! {
        /// Free space is a number that stands in the line.
        #[test]
        fn free_space_is_one_of_the_fields(line in "([a-z/ ]{0,6}|[0-9]{1,22}|[0-9]{0,3}%| ){0,8}|.{0,40}") {
            if let Some(free) = free_kibibytes(&line) {
                prop_assert!(line.split_whitespace().any(|field| field.parse() == Ok(free)));
            }
        }
    }

    #[test]
    fn free_space_is_the_field_before_the_percentage() {
        for (line, free) in [
            ("/dev/mmcblk0p1   28768292 21345124 5938712      79% /", Some(5_938_712)),
            ("//nas/a share 100 40 60 40% /mnt/a share", Some(60)),
            ("overlay 100 100 0 100% /", Some(0)),
            ("df: /nowhere: No such file or directory", None),
            ("50%", None),
        ] {
            assert_eq!(free_kibibytes(line), free, "{line}");
        }
    }
}
