//! The settings of an OpenVINO device.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OpenVino;
use super::support::is_stick;
use crate::device::{Device, DeviceError, Settings};
use crate::program::ProgramOptions;
use crate::remote::MachineOptions;

/// Settings of `kind = "openvino"`. `experiments/ncs.toml` documents them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenVinoOptions {
    /// Device as OpenVINO names it: `MYRIAD`, `CPU`, `GPU`, `NPU`, `HETERO:…`.
    pub device: String,
    /// Path of `benchmark_app` on its machine, or of the virtual environment that has it; found in `PATH` where absent.
    pub tool: Option<String>,
    /// Precision of inference; `MYRIAD` has FP16 alone.
    pub precision: Precision,
    /// Threads on `CPU`; as many as OpenVINO likes where absent.
    pub threads: Option<u32>,
    /// Whether throughput is measured too, in a run of its own.
    pub throughput: bool,
    /// The machine that the program and the device are on.
    #[serde(flatten)]
    pub machine: MachineOptions,
    /// The patience with the program, and the meter.
    #[serde(flatten)]
    pub program: ProgramOptions,
}

/// Precision that a network is computed in. `MYRIAD` always computes in FP16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// What the device takes by itself: bfloat16 on a processor that has it, FP16 on `GPU` and `NPU`.
    #[default]
    Native,
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point.
    Fp16,
    /// bfloat16.
    Bf16,
}

impl Precision {
    /// As an experiment file names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
        }
    }
}

impl Settings for OpenVinoOptions {
    fn open(&self) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(OpenVino::new(self.clone())?))
    }

    fn problem(&self) -> Option<String> {
        let device = &self.device;
        if device.is_empty() || device.starts_with('-') || device.chars().any(|c| c.is_control() || c == ' ') {
            return Some(format!(
                "device = {device:?} is none of OpenVINO's: MYRIAD, CPU, GPU, NPU, HETERO:MYRIAD,CPU"
            ));
        }
        if is_stick(device) && !matches!(self.precision, Precision::Native | Precision::Fp16) {
            return Some(format!("{device} computes in FP16 alone: leave precision out"));
        }
        if self.threads == Some(0) {
            return Some("threads must be at least 1".to_owned());
        }
        self.program.problem(&self.machine)
    }

    fn why_no_energy(&self) -> Option<String> {
        self.program.why_no_energy(&self.machine)
    }

    fn make_absolute(&mut self) -> io::Result<()> {
        self.program.make_absolute(&mut self.machine, &mut [&mut self.tool])
    }

    fn limit_patience(&mut self, limit: Duration) {
        self.program.patience = self.program.patience.min(limit);
    }

    fn patience(&self) -> Duration {
        self.program.patience
    }

    fn address(&self) -> Option<String> {
        self.machine.address()
    }
}

impl OpenVinoOptions {
    /// The device's own folder, within the work folder: a machine may have several.
    pub(super) fn folder(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        format!("{}/openvino-{}", self.machine.folder(), self.device.chars().map(plain).collect::<String>())
    }
}
