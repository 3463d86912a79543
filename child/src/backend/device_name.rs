//! The name of a device that computes trainings.

use serde::{Deserialize, Serialize};

/// A device that computes trainings, as experiment files name it: `cpu`, or `cuda:0` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceName {
    /// This machine's processor.
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(usize),
}

impl TryFrom<String> for DeviceName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        // A GPU has one name: neither `cuda:+1` nor `cuda:01`.
        let index = name.strip_prefix("cuda:").and_then(|index| index.parse().ok());
        match (name.as_str(), index.map(Self::Cuda)) {
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(gpu)) if gpu.to_string() == name => Ok(gpu),
            _ => Err(format!("unknown device \"{name}\": write \"cpu\", or \"cuda:0\", \"cuda:1\" and so on for GPUs")),
        }
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.to_string()
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_one_name_and_others_are_errors_with_the_possible_ones() {
        for name in ["cpu", "cuda:0", "cuda:17"] {
            assert_eq!(DeviceName::try_from(name.to_owned()).unwrap().to_string(), name);
        }
        for name in ["", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:+1", "cuda:01", "CPU", "cuda:99999999999999999999999"]
        {
            let error = DeviceName::try_from(name.to_owned()).unwrap_err();
            assert!(error.contains(&format!("\"{name}\"")) && error.contains("\"cpu\", or \"cuda:0\""), "{error}");
        }
    }
}
