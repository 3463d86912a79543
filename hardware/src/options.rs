//! The devices that an experiment file can name: `[devices.NAME]`.

use std::ops::{Deref, DerefMut};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

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

/// Keys of a device, and of its meter, that cannot change a result: patience, the login, places of files and programs.
const FREE: [&str; 16] = [
    "patience_s",
    "tries",
    "grace_s",
    "host",
    "port",
    "user",
    "key",
    "passphrase_variable",
    "password_variable",
    "known_hosts",
    "timeout_s",
    "work_folder",
    "sudo",
    "sysfs",
    "tool",
    "trtexec",
];
const FREE_OF_METER: [&str; 5] = ["command", "file", "sudo", "sysfs", "start_limit_s"];

/// Whether a key of a device, such as `patience_s` or `meter.command`, cannot change a result, so that a run may go on
/// with another value.
pub fn is_free(key: &str) -> bool {
    match key.split_once('.') {
        None => FREE.contains(&key),
        Some(("meter", key)) => FREE_OF_METER.contains(&key),
        Some(_) => false,
    }
}

/// Whether two values of a key of a device are a program and its arguments at other places: the words are the same but
/// for the folders of files.
pub fn is_moved(key: &str, one: &[String], other: &[String]) -> bool {
    let name = |word: &String| word.rsplit('/').next().unwrap_or_default().to_owned();
    key == "command" && one.len() == other.len() && one.iter().zip(other).all(|(a, b)| name(a) == name(b))
}

impl DeviceOptions {
    /// The first setting by which the results of two devices differ, with both values: `precision: "fp16" and "fp32"`.
    /// `None` for devices that are alike, at whatever address.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (self.of_results(), other.of_results());
        let absent = Value::String("absent".to_owned());
        let value = |of: &Map<String, Value>, key: &String| of.get(key).unwrap_or(&absent).clone();
        let kind = "kind".to_owned();
        // The kind first: other keys differ because of it.
        let keys = [&kind].into_iter().chain(ours.keys()).chain(theirs.keys());
        let mut both = keys.map(|key| (key, value(&ours, key), value(&theirs, key)));
        both.find(|(_, one, other)| one != other).map(|(key, one, other)| format!("{key}: {one} and {other}"))
    }

    /// The settings that results of a device depend on, by key; of the meter only its kind.
    fn of_results(&self) -> Map<String, Value> {
        let mut found = Map::new();
        let Ok(Value::Object(settings)) = serde_json::to_value(self) else { return found };
        for (key, value) in settings {
            match (key.as_str(), value) {
                ("power" | "power_interval_ms", _) => {}
                ("energy", Value::Object(energy)) => {
                    found.extend(energy.into_iter().map(|(inner, value)| (format!("energy.{inner}"), value)));
                }
                ("meter", Value::Object(meter)) => {
                    found.insert("meter.kind".to_owned(), meter.get("kind").cloned().unwrap_or_default());
                }
                ("device", Value::String(device)) => {
                    found.insert(key, Value::String(openvino_kind(&device)));
                }
                ("command", Value::Array(words)) => {
                    let name = |word: &Value| word.as_str().and_then(|word| word.rsplit('/').next()).map(str::to_owned);
                    found.insert(key, words.iter().filter_map(name).collect());
                }
                (_, value) => {
                    if !is_free(&key) {
                        found.insert(key, value);
                    }
                }
            }
        }
        if let Self::Jetson(jetson) = self
            && let Ok(meter) = serde_json::to_value(jetson.meter())
        {
            found.insert("meter.kind".to_owned(), meter["kind"].clone());
        }
        found
    }
}

/// A device of OpenVINO without the USB port of a stick: `MYRIAD.1.2-ma2480` is `MYRIAD-ma2480`.
fn openvino_kind(device: &str) -> String {
    match (device.strip_prefix("MYRIAD."), device.rsplit_once('-')) {
        (Some(_), Some((_, chip))) => format!("MYRIAD-{chip}"),
        _ => device.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn device(text: &str) -> DeviceOptions {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn devices_are_alike_but_for_address_login_and_patience() {
        let board = "kind = 'jetson'\nuser = 'me'\n";
        let one = device(&format!("{board}host = 'a'\npatience_s = 9"));
        let same = device(&format!("{board}host = 'b'\nport = 2222\npower = 'tegrastats'\nkey = 'k'"));
        assert_eq!(one.difference(&same), None);
        for (setting, shown) in [
            ("precision = 'fp32'", "precision: \"fp16\" and \"fp32\""),
            ("power_mode = 2", "power_mode: null and 2"),
            ("fix_clocks = true", "fix_clocks: false and true"),
            ("power = 'ina3221'", "meter.kind: \"tegrastats\" and \"ina3221\""),
            ("energy = { subtract_idle = true }", "energy.subtract_idle"),
        ] {
            let other = device(&format!("{board}host = 'b'\n{setting}"));
            let found = one.difference(&other).unwrap();
            assert!(found.contains(shown), "{found}");
        }
        let openvino = |device: &str| self::device(&format!("kind = 'openvino'\ndevice = '{device}'"));
        assert_eq!(device("kind = 'host'").difference(&openvino("CPU")).unwrap(), "kind: \"host\" and \"openvino\"");
        assert_eq!(openvino("MYRIAD.1.2-ma2480").difference(&openvino("MYRIAD.1.4-ma2480")), None);
        assert!(openvino("MYRIAD").difference(&openvino("CPU")).unwrap().starts_with("device: "));
        let command = |path: &str| device(&format!("kind = 'command'\ncommand = ['python3', '{path}', '--fast']"));
        assert_eq!(command("/a/x.py").difference(&command("/b/x.py")), None);
        assert!(command("/a/x.py").difference(&command("/a/y.py")).is_some());
    }
}
