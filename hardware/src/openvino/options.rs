//! The settings of an OpenVINO device.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OpenVino;
use super::command::Precision;
use super::support::is_stick;
use crate::device::{Device, DeviceError};
use crate::energy::EnergyOptions;
use crate::meter::MeterOptions;
use crate::options::Settings;
use crate::remote::{MachineOptions, Place};
use crate::seconds;

/// Settings of `kind = "openvino"`. `experiments/ncs.toml` documents them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The machine that OpenVINO and the device are on.
    #[serde(flatten)]
    pub machine: MachineOptions,
    /// How long the tool may take besides inference, to compile a network and to report, before it is taken to hang.
    #[serde(rename = "grace_s", with = "seconds")]
    pub grace: Duration,
    /// How long a machine that does not answer, or a device that is away or in use, is waited for.
    #[serde(rename = "patience_s", with = "seconds")]
    pub patience: Duration,
    /// Most tries of one model.
    pub tries: u32,
    /// How power is read.
    pub meter: MeterOptions,
    /// How energy is measured.
    pub energy: EnergyOptions,
}

impl Default for OpenVinoOptions {
    fn default() -> Self {
        Self {
            device: String::new(),
            tool: None,
            precision: Precision::default(),
            threads: None,
            throughput: false,
            machine: MachineOptions::default(),
            grace: Duration::from_secs(120),
            patience: Duration::from_secs(120),
            tries: 3,
            meter: MeterOptions::None {},
            energy: EnergyOptions::default(),
        }
    }
}

impl Settings for OpenVinoOptions {
    fn open(&self) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(OpenVino::new(self.clone())?))
    }

    fn problem(&self) -> Option<String> {
        if let Some(problem) = self.machine.problem() {
            return Some(problem);
        }
        if let Some(problem) = self.energy.resolved(&self.meter).problem() {
            return Some(format!("energy: {problem}"));
        }
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
        (self.tries == 0).then(|| "tries must be at least 1".to_owned())
    }

    fn why_no_energy(&self) -> Option<String> {
        self.meter.why_none(&self.machine.place().unwrap_or(Place::Here))
    }

    fn make_absolute(&mut self) -> io::Result<()> {
        self.meter.make_absolute()?;
        self.machine.make_absolute(&mut [&mut self.tool])
    }

    fn limit_patience(&mut self, limit: Duration) {
        self.patience = self.patience.min(limit);
    }
}

impl OpenVinoOptions {
    /// The device's own folder, within the work folder: a machine may have several.
    pub(super) fn folder(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        format!("{}/openvino-{}", self.machine.folder(), self.device.chars().map(plain).collect::<String>())
    }
}
