//! How OpenVINO is reached and used.

use std::time::Duration;

use super::command::Precision;
use super::support::is_stick;
use crate::energy::EnergyOptions;
use crate::meter::MeterOptions;
use crate::remote::{Place, problem_of_folder};

/// Settings of an [`OpenVino`](super::OpenVino) device.
#[derive(Debug, Clone)]
pub struct OpenVinoOptions {
    /// The machine that OpenVINO and the device are on.
    pub place: Place,
    /// Folder there that everything lies in that is written; a relative one lies in the user's home over SSH, and in the
    /// working directory here.
    pub work_folder: String,
    /// Path of `benchmark_app` there, or of the virtual environment that has it; found in `PATH` where absent.
    pub tool: Option<String>,
    /// Device as OpenVINO names it: `MYRIAD`, `CPU`, `GPU`, `NPU`, `HETERO:…`.
    pub device: String,
    /// Precision of inference; `MYRIAD` has FP16 alone.
    pub precision: Precision,
    /// Threads on `CPU`; as many as it likes where absent.
    pub threads: Option<u32>,
    /// Whether throughput is measured too, in a run of its own.
    pub throughput: bool,
    /// What power is read by.
    pub meter: MeterOptions,
    /// How energy is measured.
    pub energy: EnergyOptions,
    /// How long the tool may take besides inference, to compile a network and to report, before it is taken to hang.
    pub grace: Duration,
    /// How long a machine that does not answer, or a device that is away or in use, is waited for.
    pub patience: Duration,
    /// Most tries of one model.
    pub tries: u32,
}

impl OpenVinoOptions {
    /// The settings for a device, all others being the customary ones, without a meter.
    pub fn new(place: Place, work_folder: impl Into<String>, device: impl Into<String>) -> Self {
        let meter = MeterOptions::None {};
        Self {
            place,
            work_folder: work_folder.into(),
            tool: None,
            device: device.into(),
            precision: Precision::Native,
            threads: None,
            throughput: false,
            energy: EnergyOptions::usual(&meter),
            meter,
            grace: Duration::from_secs(120),
            patience: Duration::from_secs(120),
            tries: 3,
        }
    }

    /// The first setting that makes no sense, and why.
    pub(super) fn problem(&self) -> Option<String> {
        if let Some(problem) = problem_of_folder(&self.work_folder).or_else(|| self.energy.problem()) {
            return Some(problem);
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

    /// The device's own folder, within the work folder: a machine may have several.
    pub(super) fn folder(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        format!("{}/openvino-{}", self.work_folder, self.device.chars().map(plain).collect::<String>())
    }
}
