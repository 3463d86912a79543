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

/// A backend that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// It exists, but this program was built without it.
    #[error(
        "the backend `{0}` is not compiled in; compile it in with `cargo run --release -p controller --features {0}`{hint}",
        hint = .0.hint()
    )]
    NotCompiledIn(Backend),
    /// There is no such backend.
    #[error("there is no backend `{0}`; there are `flex`, `tch` and `cuda`")]
    Unknown(String),
}

impl Backend {
    /// All of them, compiled in or not.
    pub const ALL: [Self; 3] = [Self::Flex, Self::Tch, Self::Cuda];

    /// Its name in experiment files and on the command line; also the name of its Cargo feature.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Tch => "tch",
            Self::Cuda => "cuda",
        }
    }

    /// The device that it computes on.
    ///
    /// # Errors
    /// [`BackendError::NotCompiledIn`], which tells how to compile it in.
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
            missing => Err(BackendError::NotCompiledIn(missing)),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Tch => " (scripts/libtorch.sh prepares LibTorch)",
            _ => "",
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
        Self::ALL.into_iter().find(|b| b.name() == name).ok_or_else(|| BackendError::Unknown(name.to_owned()))
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
        assert_eq!("jax".parse::<Backend>(), Err(BackendError::Unknown("jax".to_owned())));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_missing_backend_tells_how_to_compile_it_in() {
        let message = Backend::Cuda.device().unwrap_err().to_string();
        assert!(message.contains("cargo run --release -p controller --features cuda"), "{message}");
    }
}
