//! Who computes the trainings: a backend, chosen at run time among those compiled in.

use crate::Error;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// A library that computes trainings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Our own engine for the processor.
    #[default]
    Native,
    /// burn's own CPU backend, pure Rust.
    Flex,
    /// An NVIDIA GPU, by burn.
    Cuda,
}

/// A backend that was found on this machine.
#[derive(Debug, Clone, Default)]
pub enum Processor {
    /// This machine's own, by our engine.
    #[default]
    Native,
    /// A device of burn.
    Burn(Device),
}

impl Backend {
    /// The processor that computes trainings.
    ///
    /// # Errors
    /// If the program was built without it.
    pub fn open(self) -> Result<Processor, Error> {
        match self {
            Self::Native => Ok(Processor::Native),
            of_burn => of_burn.device().map(Processor::Burn),
        }
    }

    /// burn's device for everything else that is computed by burn, as the policy.
    ///
    /// # Errors
    /// If the program was built without it.
    pub fn device(self) -> Result<Device, Error> {
        match self {
            Self::Native | Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0usize)),
            #[allow(unreachable_patterns, reason = "reachable unless every backend is compiled in")]
            missing => Err(Error(format!(
                "the backend `{missing}` is not compiled in; compile it in with `cargo run --release -p controller \
                     --features {missing}`"
            ))),
        }
    }
}

/// Its name in experiment files and on the command line, which is also its Cargo feature.
impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_name_is_the_one_in_files() {
        for backend in [Backend::Native, Backend::Flex, Backend::Cuda] {
            let written = toml::Value::try_from(backend).unwrap();
            assert_eq!(written.as_str(), Some(backend.to_string().as_str()));
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn the_error_of_a_missing_backend_says_how_to_compile_it_in() {
        let message = Backend::Cuda.device().unwrap_err().to_string();
        assert!(message.contains("cargo run --release -p controller --features cuda"), "{message}");
    }
}
