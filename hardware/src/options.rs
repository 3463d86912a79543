//! The devices that an experiment file can name: `[devices.NAME]`.

use std::ops::{Deref, DerefMut};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::command::CommandOptions;
use crate::device::Settings;
use crate::host::HostOptions;
use crate::jetson::JetsonOptions;
use crate::openvino::OpenVinoOptions;

/// A device by its `kind`, with its [`Settings`]. `experiments/` documents them.
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

impl Deref for DeviceOptions {
    type Target = dyn Settings;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Host(host) => host.as_ref(),
            Self::Jetson(jetson) => jetson.as_ref(),
            Self::OpenVino(openvino) => openvino.as_ref(),
            Self::Command(command) => command.as_ref(),
        }
    }
}

impl DerefMut for DeviceOptions {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Host(host) => host.as_mut(),
            Self::Jetson(jetson) => jetson.as_mut(),
            Self::OpenVino(openvino) => openvino.as_mut(),
            Self::Command(command) => command.as_mut(),
        }
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
