//! How to log in to the server.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{ConnectOptions, Event};

use super::show;
use crate::config::ClusterConfig;

/// How to log in, by the section and the environment.
pub(super) async fn options(config: &ClusterConfig, name: &str) -> Result<ConnectOptions> {
    let read = |path: &Path, what: &str| -> Result<String> {
        let content =
            std::fs::read_to_string(path).with_context(|| format!("cannot read cluster.{what} {}", path.display()))?;
        Ok(content.trim().to_owned())
    };
    let shown = Arc::new(Mutex::new(HashSet::new()));
    let mut options =
        ConnectOptions::new().name(name).ping_interval(Duration::from_secs(10)).event_callback(move |event| {
            // Otherwise a message without permission would only get no answer. Each reason is shown once.
            if let Event::ServerError(error) = event {
                let error = error.to_string();
                let is_new = shown.lock().unwrap_or_else(PoisonError::into_inner).insert(error.clone());
                if is_new {
                    show(format_args!("warning: the NATS server reports: {error}"));
                }
            }
            std::future::ready(())
        });
    if let Some(path) = &config.credentials {
        let credentials = read(path, "credentials")?;
        options =
            options.credentials(&credentials).with_context(|| format!("{} holds no credentials", path.display()))?;
    } else if let Some(path) = &config.nkey {
        options = options.nkey(read(path, "nkey")?);
    } else if let Some(path) = &config.token {
        options = options.token(read(path, "token")?);
    } else if let (Ok(user), Ok(password)) =
        (std::env::var("CONTROLLER_NATS_USER"), std::env::var("CONTROLLER_NATS_PASSWORD"))
    {
        options = options.user_and_password(user, password);
    } else if let Ok(token) = std::env::var("CONTROLLER_NATS_TOKEN") {
        options = options.token(token);
    }
    if let Some(path) = &config.authorities {
        options = options.add_root_certificates(path.clone());
    }
    if let Some([certificate, key]) = &config.certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}
