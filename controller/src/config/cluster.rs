//! `[cluster]`: where workers are found.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use hardware::path::expand_home;
use serde::{Deserialize, Serialize};

/// `[cluster]`: workers on other machines, reached over a NATS server with JetStream. Nothing of it changes a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Address of the server, `nats://HOST:4222` or `tls://HOST:4222`; without one, or where it is empty, everything is done here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether the searching machine measures and trains as well.
    pub local: bool,
    /// Workers that may die of one job, without progress in between, before it counts as failed.
    pub tries: u32,
    /// Seconds without a sign of a worker after which its jobs are given to others.
    pub silence_s: f64,
    /// File with a user's credentials (a JWT and its key).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// File with the seed of an nkey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<PathBuf>,
    /// File with a token; without one of these three, the environment variable `CONTROLLER_NATS_TOKEN` may hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<PathBuf>,
    /// File with the certificates of authorities to trust besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorities: Option<PathBuf>,
    /// Files with this machine's certificate and its key, where the server asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<[PathBuf; 2]>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            url: None,
            local: false,
            tries: 5,
            silence_s: 30.0,
            credentials: None,
            nkey: None,
            token: None,
            authorities: None,
            certificate: None,
        }
    }
}

impl ClusterConfig {
    /// The address of the server, if there is a cluster.
    pub(crate) fn server(&self) -> Option<&str> {
        self.url.as_deref().filter(|url| !url.is_empty())
    }

    /// Whether nothing is set, as in files of earlier versions.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Replaces `~` at the begin of its paths.
    pub(crate) fn expand_home(&mut self) {
        let files = [&mut self.credentials, &mut self.nkey, &mut self.token, &mut self.authorities];
        let files = files.into_iter().flatten().chain(self.certificate.iter_mut().flatten());
        files.for_each(|path| *path = expand_home(path));
    }

    /// # Errors
    /// With the key that is to blame.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(url) = self.server() {
            let (scheme, address) = url.split_once("://").unwrap_or(("nats", url));
            ensure!(
                ["nats", "tls"].contains(&scheme) && !address.is_empty(),
                "cluster.url = \"{}\": it must be like nats://HOST:4222 or tls://HOST:4222",
                without_secret(url)
            );
            ensure!(
                !address.contains('@'),
                "cluster.url = \"{}\": it names a user or a password, which others can read in the experiment, the run \
                 folder and the list of processes: leave them out, and give cluster.credentials, cluster.nkey or \
                 cluster.token a file, or set CONTROLLER_NATS_TOKEN",
                without_secret(url)
            );
        }
        ensure!(self.tries >= 1, "cluster.tries = 0: a job needs at least one try");
        ensure!(
            (0.5..=86_400.0).contains(&self.silence_s),
            "cluster.silence_s = {}: it must be at least 0.5, and at most a day",
            self.silence_s
        );
        let given = [&self.credentials, &self.nkey, &self.token].into_iter().flatten().count();
        ensure!(given <= 1, "cluster.credentials, cluster.nkey and cluster.token are for the same purpose: give one");
        Ok(())
    }
}

/// An address whose user and password are hidden.
fn without_secret(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            format!("{scheme}…@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        toml::from_str::<ClusterConfig>(text)
            .unwrap()
            .check()
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn addresses_without_secrets_are_accepted() {
        for url in ["nats://lab:4222", "tls://10.0.0.1:4222", "lab", "nats://[::1]:4222"] {
            assert_eq!(message(&format!("url = '{url}'")), "", "{url}");
        }
        assert!(message("url = 'http://lab'").contains("cluster.url"));
        assert!(message("url = 'nats://'").contains("nats://HOST:4222"));
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        for url in ["nats://me:geheim@lab:4222", "geheim@lab", "tls://geheim@lab"] {
            let message = message(&format!("url = '{url}'"));
            assert!(message.contains("cluster.token") && !message.contains("geheim"), "{message}");
        }
    }

    #[test]
    fn numbers_out_of_range_and_two_identities_are_refused() {
        assert!(message("tries = 0").contains("cluster.tries"));
        assert!(message("silence_s = 0").contains("cluster.silence_s"));
        assert!(message("nkey = 'a'\ntoken = 'b'").contains("give one"));
    }
}
