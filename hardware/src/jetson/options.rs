//! The settings of a Jetson board.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Jetson;
use crate::device::{Device, DeviceError, Settings};
use crate::energy::{EnergyOptions, EnergyPlan};
use crate::meter::MeterOptions;
use crate::remote::MachineOptions;
use crate::seconds;
use crate::warning::Warning;

/// Settings of `kind = "jetson"`. `experiments/tx2.toml` documents them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JetsonOptions {
    /// The board, and the folder on it.
    #[serde(flatten, deserialize_with = "MachineOptions::deserialize_other")]
    pub machine: MachineOptions,
    /// Precision of inference.
    pub precision: Precision,
    /// Older key for `meter`: the kind of the board's own meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerKind>,
    /// Older key for `meter.period_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_interval_ms: Option<u64>,
    /// Whether `tegrastats`, `nvpmodel` and `jetson_clocks` are run by `sudo -n`.
    pub sudo: bool,
    /// Power mode to set by `nvpmodel -m` and to restore afterwards; unchanged if absent.
    pub power_mode: Option<u32>,
    /// Whether `jetson_clocks` fixes the clocks at their highest; they are restored afterwards.
    pub fix_clocks: bool,
    /// Whether trtexec waits for the GPU by spinning. Times get steadier, but the energy includes the processor's power
    /// for it, which a program that sleeps would not draw.
    pub spin_wait: bool,
    /// Path of `trtexec` on the board; searched in `PATH` and in TensorRT's folder if absent.
    pub trtexec: Option<String>,
    /// Root of sysfs on the board.
    pub sysfs: String,
    /// Shortest time that power is integrated over, with the board's own meters. It is longer if the mean power is not
    /// known well enough by then.
    #[serde(rename = "window_s", with = "seconds")]
    pub window: Duration,
    /// Longest time that power is integrated over.
    #[serde(rename = "window_limit_s", with = "seconds")]
    pub window_limit: Duration,
    /// Shortest time that the idle board is measured, before and after.
    #[serde(rename = "idle_s", with = "seconds")]
    pub idle: Duration,
    /// Longest time that the board may take to settle.
    #[serde(rename = "settle_limit_s", with = "seconds")]
    pub settle_limit: Duration,
    /// How long trtexec may take besides inference, to load an engine and to report, before it is taken to hang.
    #[serde(rename = "grace_s", with = "seconds")]
    pub grace: Duration,
    /// How long to wait for a board that does not answer, or that another program measures on.
    #[serde(rename = "patience_s", with = "seconds")]
    pub patience: Duration,
    /// Most tries of one model.
    pub tries: u32,
    /// The power meter; the board's own `tegrastats` by default.
    pub meter: MeterOptions,
    /// How energy is measured. The defaults are the times above for the board's own meters, and suit the kind of any
    /// other meter.
    pub energy: EnergyOptions,
}

/// Precision that TensorRT may compute with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point where that is faster.
    #[default]
    Fp16,
    /// 8-bit integers where that is faster, else 16-bit floating point. Time and energy need no calibration.
    Int8,
}

/// A board's own meters, as the older key `power` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerKind {
    /// [`MeterOptions::Tegrastats`].
    Tegrastats,
    /// [`MeterOptions::Ina3221`].
    Ina3221,
}

impl Default for JetsonOptions {
    fn default() -> Self {
        Self {
            machine: MachineOptions::default(),
            precision: Precision::default(),
            power: None,
            power_interval_ms: None,
            sudo: false,
            power_mode: None,
            fix_clocks: false,
            spin_wait: false,
            trtexec: None,
            sysfs: "/sys".to_owned(),
            window: Duration::from_secs(10),
            window_limit: Duration::from_secs(60),
            idle: Duration::from_secs(3),
            settle_limit: Duration::from_secs(30),
            grace: Duration::from_secs(90),
            patience: Duration::from_secs(120),
            tries: 3,
            meter: MeterOptions::TEGRASTATS,
            energy: EnergyOptions::default(),
        }
    }
}

impl Settings for JetsonOptions {
    fn open(&self) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(Jetson::new(self.clone())?))
    }

    fn problem(&self) -> Option<String> {
        if matches!(self.meter, MeterOptions::Auto {}) {
            return Some(
                "a meter of kind \"auto\" is one of this machine's, which does not see the board: leave it out for the \
                 board's own power monitors, or name one by its kind"
                    .to_owned(),
            );
        }
        if self.machine.host.is_none() {
            return Some("`host` is missing: name the board".to_owned());
        }
        if let Some(problem) = self.machine.problem() {
            return Some(problem);
        }
        if let Some(problem) = self.energy().problem() {
            return Some(problem);
        }
        (self.tries == 0).then(|| "tries must be at least 1".to_owned())
    }

    fn why_no_energy(&self) -> Option<String> {
        matches!(self.meter(), MeterOptions::None {}).then(|| "its meter is set to \"none\"".to_owned())
    }

    fn notices(&self) -> Vec<String> {
        let meter = match self.meter() {
            MeterOptions::Tegrastats { period_ms, .. } => {
                format!("{{ kind = \"tegrastats\", period_ms = {period_ms} }}")
            }
            MeterOptions::Ina3221 { period_ms, .. } => format!("{{ kind = \"ina3221\", period_ms = {period_ms} }}"),
            _ => return Vec::new(),
        };
        let keys = [("power", self.power.is_some()), ("power_interval_ms", self.power_interval_ms.is_some())];
        let notice = |key| format!("`{key}` of a Jetson is an older key: write `meter = {meter}` instead");
        keys.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| notice(key)).collect()
    }

    fn reservation(&self) -> Option<String> {
        (self.precision == Precision::Int8).then(|| Warning::Uncalibrated.to_string())
    }

    fn make_absolute(&mut self) -> io::Result<()> {
        self.meter.make_absolute()
    }

    fn limit_patience(&mut self, limit: Duration) {
        self.patience = self.patience.min(limit);
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn address(&self) -> Option<String> {
        self.machine.address()
    }
}

impl JetsonOptions {
    /// The meter, from `meter` or the older keys. It uses the board's `sudo` and `sysfs` unless it has its own.
    pub(crate) fn meter(&self) -> MeterOptions {
        let is_left_out = matches!(self.meter, MeterOptions::None {}) || self.meter == MeterOptions::TEGRASTATS;
        let mut meter = match (self.power, self.power_interval_ms) {
            (Some(PowerKind::Ina3221), _) if is_left_out => MeterOptions::INA3221,
            (Some(PowerKind::Tegrastats), _) | (None, Some(_)) if is_left_out => MeterOptions::TEGRASTATS,
            _ => self.meter.clone(),
        };
        let given_ms = self.power_interval_ms.filter(|_| is_left_out);
        match &mut meter {
            MeterOptions::Tegrastats { period_ms, sudo } => {
                *period_ms = given_ms.unwrap_or(*period_ms);
                *sudo |= self.sudo;
            }
            MeterOptions::Ina3221 { period_ms, sysfs } => {
                *period_ms = given_ms.unwrap_or(*period_ms);
                sysfs.get_or_insert_with(|| self.sysfs.clone());
            }
            _ => {}
        }
        meter
    }

    /// How that meter measures energy.
    pub(super) fn energy(&self) -> EnergyPlan {
        let meter = self.meter();
        let mut energy = self.energy;
        if meter.is_on_board() {
            energy.window.get_or_insert(self.window);
            energy.window_limit.get_or_insert(self.window_limit);
            energy.idle.get_or_insert(self.idle);
            energy.settle_limit.get_or_insert(self.settle_limit);
        }
        energy.resolved(&meter)
    }
}

impl Precision {
    /// Its name in an experiment file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }

    /// The flags of trtexec.
    pub(super) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Fp32 => &[],
            Self::Fp16 => &["--fp16"],
            Self::Int8 => &["--int8", "--fp16"],
        }
    }
}
