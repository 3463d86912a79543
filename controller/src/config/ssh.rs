//! What sections share that describe a device of another machine: how it is logged in to.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hardware::DeviceError;
use hardware::remote::ssh::{Authentication, Secret, SshOptions};

/// Longest time of any setting.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What is left out.
pub(super) mod default {
    use std::path::PathBuf;

    /// Port of SSH servers.
    pub fn port() -> u16 {
        22
    }
    /// Where `ssh` itself keeps host keys.
    pub fn known_hosts() -> PathBuf {
        "~/.ssh/known_hosts".into()
    }
    /// Seconds that one answer may take.
    pub fn timeout_s() -> u64 {
        20
    }
    /// Folder in the home of whoever logs in.
    pub fn work_folder() -> String {
        "controller-work".to_owned()
    }
}

/// How another machine is logged in to, as a section has it.
pub(super) struct Login<'a> {
    pub host: &'a str,
    pub port: u16,
    pub user: &'a str,
    pub key: Option<&'a Path>,
    pub passphrase_variable: Option<&'a str>,
    pub password_variable: Option<&'a str>,
    pub known_hosts: &'a Path,
    pub timeout_s: u64,
}

impl Login<'_> {
    /// As the connection takes it, secrets read from the environment; `device` names the device in errors.
    ///
    /// # Errors
    /// If a secret is not there, or the time makes no sense.
    pub fn options(&self, device: &str) -> Result<SshOptions, DeviceError> {
        if !(1..=LONGEST.as_secs()).contains(&self.timeout_s) {
            let problem = format!("timeout_s = {} must be 1 to {}", self.timeout_s, LONGEST.as_secs());
            return Err(settings(device, problem));
        }
        Ok(SshOptions {
            host: self.host.to_owned(),
            port: self.port,
            user: self.user.to_owned(),
            authentication: self.authentication(device)?,
            known_hosts: expand(self.known_hosts),
            timeout: Duration::from_secs(self.timeout_s),
        })
    }

    fn authentication(&self, device: &str) -> Result<Authentication, DeviceError> {
        let secret = |variable: &str| match env::var(variable) {
            Ok(text) => Ok(Secret::new(text)),
            Err(_) => {
                let problem = format!("the environment variable {variable} is not set: put the secret there");
                Err(settings(device, problem))
            }
        };
        match (self.key, self.password_variable) {
            (Some(_), Some(_)) => Err(settings(device, "give a key or a password_variable, not both".to_owned())),
            (None, Some(variable)) => Ok(Authentication::Password(secret(variable)?)),
            (Some(key), None) => {
                let passphrase = self.passphrase_variable.map(secret).transpose()?;
                Ok(Authentication::Key { file: expand(key), passphrase })
            }
            (None, None) => Ok(Authentication::Agent { socket: None }),
        }
    }
}

/// A time in seconds that can be meant.
///
/// # Errors
/// If it is negative, no number, or longer than a day.
pub(super) fn seconds(device: &str, name: &str, value: f64) -> Result<Duration, DeviceError> {
    let duration = Duration::try_from_secs_f64(value).ok().filter(|duration| *duration <= LONGEST);
    let problem = || format!("{name} = {value} must be between 0 and {}", LONGEST.as_secs());
    duration.ok_or_else(|| settings(device, problem()))
}

/// That a device's settings make no sense.
pub(super) fn settings(device: &str, problem: String) -> DeviceError {
    DeviceError::Settings { device: device.to_owned(), problem }
}

/// A path with the user's home in place of `~`.
pub(super) fn expand(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}
