//! The machine that a device belongs to, as an experiment file describes it.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::place::Place;
use super::ssh::{Authentication, Secret, SshOptions};
use crate::path::expand_home;
use crate::seconds::LONGEST;

/// This machine where no `host` is given, else one that is logged in to over SSH. Paths of this machine may begin with
/// `~`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineOptions {
    /// Name or address of the machine.
    pub host: Option<String>,
    /// Port of its SSH server [default: 22].
    pub port: Option<u16>,
    /// The user to log in as.
    pub user: Option<String>,
    /// Private key; without one the SSH agent is asked.
    pub key: Option<PathBuf>,
    /// Environment variable that holds the key's passphrase.
    pub passphrase_variable: Option<String>,
    /// Environment variable that holds the user's password, which is used instead of a key.
    pub password_variable: Option<String>,
    /// File of known host keys [default: `~/.ssh/known_hosts`].
    pub known_hosts: Option<PathBuf>,
    /// Seconds that connecting, or one answer, may take [default: 20].
    pub timeout_s: Option<u64>,
    /// Folder for all files that are written there; on another machine a relative path starts in the user's home
    /// [default: `controller-work` on another machine, `controller` in the user's cache on this one].
    pub work_folder: Option<String>,
}

impl MachineOptions {
    /// Reads a machine that has to be another one, with every default filled in.
    ///
    /// # Errors
    /// If host or user is missing, or a key has the wrong type.
    pub(crate) fn deserialize_other<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Self::deserialize(deserializer)?;
        match (&given.host, &given.user) {
            (None, _) => Err(D::Error::missing_field("host")),
            (_, None) => Err(D::Error::missing_field("user")),
            _ => Ok(given.filled_in()),
        }
    }

    fn filled_in(mut self) -> Self {
        self.port.get_or_insert(SshOptions::PORT);
        self.known_hosts.get_or_insert_with(|| SshOptions::KNOWN_HOSTS.into());
        self.timeout_s.get_or_insert(SshOptions::TIMEOUT.as_secs());
        self.work_folder.get_or_insert_with(|| "controller-work".to_owned());
        self
    }

    /// The first setting that is impossible, and why. Secrets are not looked up.
    pub(crate) fn problem(&self) -> Option<String> {
        let Some(host) = &self.host else {
            let given = [
                ("port", self.port.is_some()),
                ("user", self.user.is_some()),
                ("key", self.key.is_some()),
                ("passphrase_variable", self.passphrase_variable.is_some()),
                ("password_variable", self.password_variable.is_some()),
                ("known_hosts", self.known_hosts.is_some()),
                ("timeout_s", self.timeout_s.is_some()),
            ];
            let name = given.iter().find(|(_, is_given)| *is_given).map(|(name, _)| name);
            let problem =
                |name| format!("`{name}` belongs to a login on another machine: add its `host`, or remove it");
            return name.map(problem).or_else(|| problem_of_folder(&self.folder()));
        };
        if self.user.is_none() {
            return Some(format!("give the `user` that logs in to {host}"));
        }
        if let Some(seconds) = self.timeout_s.filter(|seconds| !(1..=LONGEST.as_secs()).contains(seconds)) {
            return Some(format!("timeout_s = {seconds} must be 1 to {}", LONGEST.as_secs()));
        }
        if self.key.is_some() && self.password_variable.is_some() {
            return Some("give a key or a password_variable, not both".to_owned());
        }
        problem_of_folder(&self.folder())
    }

    /// Host and port of another machine.
    pub(crate) fn address(&self) -> Option<String> {
        let host = self.host.as_ref()?;
        Some(format!("{host}:{}", self.port.unwrap_or(SshOptions::PORT)))
    }

    /// The machine, with secrets read from the environment.
    ///
    /// # Errors
    /// If a setting is impossible, or a secret is not there.
    pub(crate) fn place(&self) -> Result<Place, String> {
        if let Some(problem) = self.problem() {
            return Err(problem);
        }
        let (Some(host), Some(user)) = (&self.host, &self.user) else { return Ok(Place::Here) };
        let mut ssh = SshOptions::new(host, user);
        ssh.authentication = self.authentication()?;
        ssh.port = self.port.unwrap_or(ssh.port);
        ssh.known_hosts = self.known_hosts.as_deref().map_or(ssh.known_hosts, expand_home);
        ssh.timeout = self.timeout_s.map_or(ssh.timeout, Duration::from_secs);
        Ok(Place::Over(ssh))
    }

    fn authentication(&self) -> Result<Authentication, String> {
        let secret = |variable: &String| match env::var(variable) {
            Ok(text) => Ok(Secret::new(text)),
            Err(_) => Err(format!("the environment variable {variable} is not set: put the secret there")),
        };
        Ok(match (&self.key, &self.password_variable) {
            (_, Some(variable)) => Authentication::Password(secret(variable)?),
            (Some(key), None) => {
                let passphrase = self.passphrase_variable.as_ref().map(secret).transpose()?;
                Authentication::Key { file: expand_home(key), passphrase }
            }
            (None, None) => Authentication::Agent { socket: None },
        })
    }

    /// Path of the work folder there.
    pub(crate) fn folder(&self) -> String {
        match (&self.work_folder, &self.host) {
            (Some(folder), None) => expand_home(Path::new(folder)).display().to_string(),
            (None, None) => cache().display().to_string(),
            (_, Some(_)) => self.clone().filled_in().work_folder.unwrap_or_default(),
        }
    }

    /// A path of the machine, as its programs take it.
    pub(crate) fn path(&self, path: &str) -> String {
        if self.host.is_some() { path.to_owned() } else { expand_home(Path::new(path)).display().to_string() }
    }

    /// Makes paths of this machine valid in any working directory: the work folder, and `others`.
    pub(crate) fn make_absolute(&mut self, others: &mut [&mut Option<String>]) -> io::Result<()> {
        if self.host.is_none() {
            let paths = others.iter_mut().map(|path| &mut **path).chain([&mut self.work_folder]);
            for path in paths.flatten() {
                *path = std::path::absolute(expand_home(Path::new(path)))?.display().to_string();
            }
        }
        Ok(())
    }
}

/// Why a work folder's path cannot be used.
fn problem_of_folder(folder: &str) -> Option<String> {
    let is_wrong = folder.is_empty()
        || folder.chars().any(char::is_control)
        || folder.split('/').any(|part| part == "..")
        || folder.starts_with('-');
    is_wrong.then(|| format!("work_folder = {folder:?} must be a folder's path without `..`"))
}

/// The folder for this program's files that can be made again.
fn cache() -> PathBuf {
    // The XDG Base Directory Specification ignores relative paths.
    let given = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = given.or_else(|| Some(env::home_dir()?.join(".cache")).filter(|path| path.is_absolute()));
    cache.unwrap_or_else(env::temp_dir).join("controller")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(text: &str) -> MachineOptions {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn folders_suit_the_machine() {
        let here = machine("").folder();
        assert!(Path::new(&here).is_absolute() && here.ends_with("/controller"), "{here}");
        let other = machine("host = \"pi\"\nuser = \"me\"");
        assert_eq!((other.folder().as_str(), other.path("~/tool").as_str()), ("controller-work", "~/tool"));
        let home = env::home_dir().unwrap().join("tool").display().to_string();
        assert_eq!(machine("").path("~/tool"), home);
    }

    #[test]
    fn keys_of_a_login_need_a_host_and_a_host_needs_a_user() {
        for text in ["user = \"me\"", "port = 22", "key = \"k\"", "timeout_s = 3", "known_hosts = \"f\""] {
            let error = machine(text).place().unwrap_err();
            let name = text.split(' ').next().unwrap();
            assert!(error.contains(&format!("`{name}`")) && error.contains("`host`"), "{error}");
        }
        assert!(machine("host = \"pi\"").place().unwrap_err().contains("`user`"));
        assert!(machine("work_folder = \"a/../b\"").problem().unwrap().contains("work_folder"));
    }

    #[test]
    fn secrets_come_from_the_environment_alone() {
        let options = machine("host = \"pi\"\nuser = \"me\"\npassword_variable = \"NO_SUCH_VARIABLE_OF_OURS\"");
        assert_eq!(options.problem(), None);
        assert!(options.place().unwrap_err().contains("NO_SUCH_VARIABLE_OF_OURS"));
    }

    #[test]
    fn defaults_are_those_of_the_connection() {
        let Place::Over(ssh) = machine("host = \"pi\"\nuser = \"me\"").place().unwrap() else { panic!() };
        assert_eq!(ssh, SshOptions::new("pi", "me"));
        assert_eq!((ssh.port, ssh.timeout), (22, Duration::from_secs(20)));
    }
}
