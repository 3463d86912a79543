//! The devices that an experiment file can name: `[devices.NAME]`.

use std::io;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::command::CommandOptions;
use crate::device::{Device, DeviceError, Settings};
use crate::host::HostOptions;
use crate::jetson::JetsonOptions;
use crate::openvino::OpenVinoOptions;

/// A device by its `kind`, with its settings. `experiments/` documents them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DeviceOptions {
    /// This machine.
    #[serde(deserialize_with = "listing_keys")]
    Host(Box<HostOptions>),
    /// A Jetson board over SSH.
    #[serde(deserialize_with = "listing_keys")]
    Jetson(Box<JetsonOptions>),
    /// A device that OpenVINO drives, here or over SSH: a Neural Compute Stick, a processor, a GPU.
    #[serde(deserialize_with = "listing_keys")]
    OpenVino(Box<OpenVinoOptions>),
    /// Any program that prints JSON, here or over SSH.
    #[serde(deserialize_with = "listing_keys")]
    Command(Box<CommandOptions>),
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self::Host(Box::default())
    }
}

impl DeviceOptions {
    fn settings(&mut self) -> &mut dyn Settings {
        match self {
            Self::Host(host) => host.as_mut(),
            Self::Jetson(jetson) => jetson.as_mut(),
            Self::OpenVino(openvino) => openvino.as_mut(),
            Self::Command(command) => command.as_mut(),
        }
    }

    /// The device, not connected to yet.
    ///
    /// # Errors
    /// If a setting is impossible, a secret is not in its environment variable, or the meter is missing.
    pub fn open(&self) -> Result<Box<dyn Device>, DeviceError> {
        self.clone().settings().open()
    }

    /// The first impossible setting, and the reason; the text begins with `key = value` where one key is at fault.
    /// Secrets are not looked up: a run can be read on a machine that does not have them.
    pub fn problem(&self) -> Option<String> {
        self.clone().settings().problem()
    }

    /// The reason why the device measures no energy, as a sentence; `None` if it does, or if only the device itself can
    /// say.
    pub fn why_no_energy(&self) -> Option<String> {
        self.clone().settings().why_no_energy()
    }

    /// Messages for the user: older keys that still work, and their replacements.
    pub fn notices(&self) -> Vec<String> {
        self.clone().settings().notices()
    }

    /// The options with paths of this machine that are valid in any working directory.
    ///
    /// # Errors
    /// If the working directory cannot be found.
    pub fn absolute(mut self) -> io::Result<Self> {
        self.settings().make_absolute()?;
        Ok(self)
    }

    /// The options with at most `limit` of patience for a device that is away.
    #[must_use]
    pub fn with_patience_up_to(mut self, limit: Duration) -> Self {
        self.settings().limit_patience(limit);
        self
    }
}

/// Reads a device's settings. serde lists the known keys beside an unknown one, except where it flattens a struct into
/// another; they are added here, so that the nearest one can be suggested.
fn listing_keys<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Serialize + Default,
{
    T::deserialize(deserializer).map_err(|error| {
        let text = error.to_string();
        let text = text.lines().next().unwrap_or_default();
        match serde_json::to_value(T::default()) {
            Ok(serde_json::Value::Object(known)) if text.starts_with("unknown field") && !text.contains(", ") => {
                let known: Vec<String> = known.keys().map(|key| format!("`{key}`")).collect();
                D::Error::custom(format!("{text}, expected one of {}", known.join(", ")))
            }
            _ => error,
        }
    })
}
