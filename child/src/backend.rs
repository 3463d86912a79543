//! Backends by name: which library computes the tensors, chosen at run time among those compiled in.

use std::str::FromStr;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// A library that computes tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// burn's own CPU backend, pure Rust.
    #[default]
    Flex,
    /// LibTorch on the CPU.
    Tch,
    /// An NVIDIA GPU.
    Cuda,
}

/// A backend that does not exist, or that is not compiled in: the text says how to compile it in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(String);

impl Backend {
    /// All of them, compiled in or not.
    const ALL: [Self; 3] = [Self::Flex, Self::Tch, Self::Cuda];

    /// Its name in experiment files and on the command line; also the name of its Cargo feature.
    const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Tch => "tch",
            Self::Cuda => "cuda",
        }
    }

    /// The device that it computes on.
    ///
    /// # Errors
    /// If the program was built without it.
    pub fn device(self) -> Result<Device, BackendError> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "tch")]
            #[allow(deprecated, reason = "burn means to drop LibTorch, but it is still the faster one on some CPUs")]
            Self::Tch => Ok(Device::libtorch()),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0usize)),
            #[allow(unreachable_patterns, reason = "reachable unless every backend is compiled in")]
            missing => {
                let hint = if missing == Self::Tch { " (scripts/libtorch.sh prepares LibTorch)" } else { "" };
                Err(BackendError(format!(
                    "the backend `{missing}` is not compiled in; compile it in with `cargo run --release -p controller \
                     --features {missing}`{hint}"
                )))
            }
        }
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = BackendError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|backend| backend.name() == name);
        found
            .ok_or_else(|| BackendError(format!("unknown backend `{name}`; the backends are `flex`, `tch` and `cuda`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for backend in Backend::ALL {
            assert_eq!(backend.name().parse(), Ok(backend));
        }
        let error = "jax".parse::<Backend>().unwrap_err().to_string();
        assert_eq!(error, "unknown backend `jax`; the backends are `flex`, `tch` and `cuda`");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn the_error_of_a_missing_backend_says_how_to_compile_it_in() {
        let message = Backend::Cuda.device().unwrap_err().to_string();
        assert!(message.contains("cargo run --release -p controller --features cuda"), "{message}");
    }
}
