//! The backends that compute trainings, chosen at run time among those compiled in, and their devices.

mod device_name;

pub use device_name::DeviceName;

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
    /// LibTorch, on NVIDIA GPUs or the processor.
    Tch,
    /// burn's own CPU backend, pure Rust.
    Flex,
    /// An NVIDIA GPU, by burn.
    Cuda,
}

/// A device of a backend, as it was found on this machine.
#[derive(Debug, Clone, Default)]
pub enum Processor {
    /// This machine's own, by our engine.
    #[default]
    Native,
    /// A device of LibTorch.
    #[cfg(feature = "tch")]
    Tch(tch::Device),
    /// A device of burn.
    Burn(Device),
}

impl Processor {
    /// Whether it is a GPU, whose memory is not this machine's.
    pub fn is_gpu(&self) -> bool {
        match self {
            Self::Native => false,
            #[cfg(feature = "tch")]
            Self::Tch(device) => device.is_cuda(),
            Self::Burn(device) => *device != Device::flex(),
        }
    }
}

/// As messages name it: `cuda:0`, `cpu`, `gpu`.
impl std::fmt::Display for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            #[cfg(feature = "tch")]
            Self::Tch(tch::Device::Cuda(index)) => write!(f, "cuda:{index}"),
            other => f.write_str(if other.is_gpu() { "gpu" } else { "cpu" }),
        }
    }
}

impl Backend {
    /// The processor that computes trainings: the named one, or the backend's first.
    ///
    /// # Errors
    /// If the program was built without the backend, or the backend has no such device.
    pub fn open(self, device: Option<DeviceName>) -> Result<Processor, Error> {
        self.check_device(device)?;
        match (self, device) {
            (Self::Native, _) => Ok(Processor::Native),
            #[cfg(feature = "tch")]
            (Self::Tch, device) => of_libtorch(device).map(Processor::Tch),
            #[cfg(not(feature = "tch"))]
            (Self::Tch, _) => Err(self.missing()),
            #[cfg(feature = "cuda")]
            (Self::Cuda, Some(DeviceName::Cuda(index))) => Ok(Processor::Burn(Device::cuda(index))),
            (of_burn, _) => of_burn.device().map(Processor::Burn),
        }
    }

    /// burn's device for everything else that is computed by burn, as the policy.
    ///
    /// # Errors
    /// If the program was built without it.
    pub fn device(self) -> Result<Device, Error> {
        match self {
            Self::Native | Self::Tch | Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0usize)),
            #[allow(unreachable_patterns, reason = "reachable unless every backend is compiled in")]
            missing => Err(missing.missing()),
        }
    }

    #[allow(dead_code, reason = "used unless every backend is compiled in")]
    fn missing(self) -> Error {
        // The program links with LibTorch, which must therefore be there first.
        let before = if self == Self::Tch { "eval \"$(scripts/libtorch.sh)\"; " } else { "" };
        Error(format!(
            "the backend `{self}` is not compiled in; compile it in with `{before}cargo run --release -p controller \
                     --features {self}`"
        ))
    }

    /// Rejects a device that the backend cannot have on any machine.
    pub(crate) fn check_device(self, device: Option<DeviceName>) -> Result<(), Error> {
        let (is_possible, possible) = match self {
            Self::Tch => (true, ""),
            Self::Native | Self::Flex => (!matches!(device, Some(DeviceName::Cuda(_))), "takes only \"cpu\""),
            Self::Cuda => (device != Some(DeviceName::Cpu), "takes only GPUs, such as \"cuda:0\""),
        };
        match device {
            Some(device) if !is_possible => {
                Err(Error(format!("training.devices names \"{device}\", but the backend `{self}` {possible}")))
            }
            _ => Ok(()),
        }
    }
}

/// A device of LibTorch; without a name the first GPU that it sees, else the processor.
#[cfg(feature = "tch")]
fn of_libtorch(device: Option<DeviceName>) -> Result<tch::Device, Error> {
    let seen = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
    match device {
        None => Ok(tch::Device::cuda_if_available()),
        Some(DeviceName::Cpu) => Ok(tch::Device::Cpu),
        Some(DeviceName::Cuda(index)) if index < seen => Ok(tch::Device::Cuda(index)),
        Some(missing) => {
            let of_build = if tch::utils::has_cudart() { "" } else { ", for it was built without CUDA" };
            let found = match seen {
                0 => format!("no GPU{of_build}"),
                1 => "only \"cuda:0\"".to_owned(),
                _ => format!("only \"cuda:0\" to \"cuda:{}\"", seen - 1),
            };
            let remedy = "name one of those, or check the driver with `nvidia-smi`";
            Err(Error(format!("training.devices names \"{missing}\", but LibTorch sees {found}: {remedy}")))
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

    const ALL: [Backend; 4] = [Backend::Native, Backend::Tch, Backend::Flex, Backend::Cuda];

    #[test]
    fn the_shown_name_is_the_one_in_files() {
        for backend in ALL {
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

    #[cfg(not(feature = "tch"))]
    #[test]
    fn the_error_of_a_missing_libtorch_names_the_script_that_prepares_it() {
        let message = Backend::Tch.open(None).unwrap_err().to_string();
        assert!(message.contains("scripts/libtorch.sh") && message.contains("--features tch"), "{message}");
    }

    #[cfg(feature = "tch")]
    #[test]
    fn a_gpu_that_libtorch_does_not_see_is_an_error_with_those_that_it_sees() {
        let message = Backend::Tch.open(Some(DeviceName::Cuda(99))).unwrap_err().to_string();
        assert!(
            message.contains("names \"cuda:99\", but LibTorch sees ") && message.contains("nvidia-smi"),
            "{message}"
        );
    }

    /// Linkers leave it out by default: see `build.rs`.
    #[cfg(all(feature = "tch", target_os = "linux"))]
    #[test]
    fn the_part_of_libtorch_for_gpus_is_linked_where_there_is_one() {
        let loaded = std::fs::read_to_string("/proc/self/maps").unwrap();
        let library = loaded.lines().find_map(|line| line.split_whitespace().last()?.strip_suffix("/libtorch_cpu.so"));
        let has_gpu_part = std::path::Path::new(library.unwrap()).join("libtorch_cuda.so").exists();
        assert_eq!(tch::utils::has_cudart(), has_gpu_part);
    }

    #[test]
    fn a_device_that_a_backend_cannot_have_is_an_error_with_the_possible_ones() {
        let (cpu, gpu) = (Some(DeviceName::Cpu), Some(DeviceName::Cuda(1)));
        let message = |backend: Backend, device| backend.check_device(device).unwrap_err().to_string();
        assert!(
            message(Backend::Native, gpu).contains("names \"cuda:1\", but the backend `native` takes only \"cpu\"")
        );
        assert!(message(Backend::Cuda, cpu).contains("such as \"cuda:0\""));
        for (backend, device) in
            [(Backend::Native, cpu), (Backend::Cuda, gpu), (Backend::Tch, cpu), (Backend::Tch, gpu)]
        {
            assert_eq!(backend.check_device(device), Ok(()));
        }
        assert!(ALL.iter().all(|backend| backend.check_device(None).is_ok()));
    }
}
