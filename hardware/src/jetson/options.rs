//! How a board is reached and used.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Jetson;
use crate::device::{Device, DeviceError};
use crate::meter::MeterOptions;
use crate::metered::EnergyOptions;
use crate::options::Settings;
use crate::remote::MachineOptions;
use crate::seconds;

/// Settings of `kind = "jetson"`. `experiments/tx2.toml` documents them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JetsonOptions {
    /// The board, and the folder on it.
    #[serde(flatten, deserialize_with = "MachineOptions::deserialize_other")]
    pub machine: MachineOptions,
    /// Precision of inference.
    pub precision: Precision,
    /// How the board reads its own power.
    pub power: PowerKind,
    /// Milliseconds between two readings of power [default: 100 by tegrastats, 5 by ina3221].
    pub power_interval_ms: Option<u64>,
    /// Whether `tegrastats`, `nvpmodel` and `jetson_clocks` are run by `sudo -n`.
    pub sudo: bool,
    /// Power mode to set by `nvpmodel -m`, and to put back afterwards; the board's own where absent.
    pub power_mode: Option<u32>,
    /// Whether `jetson_clocks` fixes the clocks at their highest, put back afterwards.
    pub fix_clocks: bool,
    /// Whether trtexec waits for the GPU by spinning. Times get steadier, and the processor's power is counted in that
    /// a program which sleeps instead would not draw.
    pub spin_wait: bool,
    /// Path of `trtexec` on the board; found in `PATH` or in TensorRT's folder where absent.
    pub trtexec: Option<String>,
    /// Root of sysfs on the board.
    pub sysfs: String,
    /// How long power is integrated at least. Longer where the mean power is not known well enough by then.
    #[serde(rename = "window_s", with = "seconds")]
    pub window: Duration,
    /// When that ends in any case.
    #[serde(rename = "window_limit_s", with = "seconds")]
    pub window_limit: Duration,
    /// How long the idle board is watched before and after at least.
    #[serde(rename = "idle_s", with = "seconds")]
    pub idle: Duration,
    /// How long the board may take to settle.
    #[serde(rename = "settle_limit_s", with = "seconds")]
    pub settle_limit: Duration,
    /// How long trtexec may take besides inference, to load an engine and to report, before it is taken to hang.
    #[serde(rename = "grace_s", with = "seconds")]
    pub grace: Duration,
    /// How long a board that does not answer, or that another program measures on, is waited for.
    #[serde(rename = "patience_s", with = "seconds")]
    pub patience: Duration,
    /// Most tries of one model.
    pub tries: u32,
    /// A meter outside the board that is read instead; none by default.
    pub meter: MeterOptions,
    /// How energy is measured by that meter. With the board's own, the settings above say so.
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

/// How a board's power is read, as an experiment file names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerKind {
    /// By `tegrastats`, which every Jetson has.
    #[default]
    Tegrastats,
    /// From the power monitors' files.
    Ina3221,
}

/// How a board's power is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PowerSource {
    /// By `tegrastats`, which every Jetson has.
    Tegrastats {
        /// Time between two lines; 100 ms is fine.
        interval: Duration,
    },
    /// From the power monitors' files, at a few milliseconds.
    Ina3221 {
        /// Mean time between two readings.
        period: Duration,
    },
}

impl Default for JetsonOptions {
    fn default() -> Self {
        Self {
            machine: MachineOptions::default(),
            precision: Precision::default(),
            power: PowerKind::default(),
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
            meter: MeterOptions::None {},
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
        let period = self.power_source().period();
        if self.machine.host.is_none() {
            return Some("`host` is missing: name the board".to_owned());
        }
        if let Some(problem) = self.machine.problem() {
            return Some(problem);
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(5)).contains(&period) {
            return Some(format!("power is read every {period:?}: choose 1 ms to 5 s"));
        }
        if self.idle < 5 * period || self.settle_limit < self.idle {
            return Some(format!(
                "idle_s must be at least {} s, five readings, and settle_limit_s not below it",
                (5 * period).as_secs_f64()
            ));
        }
        if self.window.is_zero() || self.window > self.window_limit {
            return Some("window_s must be above 0 and not above window_limit_s".to_owned());
        }
        if let Some(problem) = self.energy.resolved(&self.meter).problem() {
            return Some(format!("energy: {problem}"));
        }
        (self.tries == 0).then(|| "tries must be at least 1".to_owned())
    }

    fn why_no_energy(&self) -> Option<String> {
        None
    }

    fn make_absolute(&mut self) -> io::Result<()> {
        self.meter.make_absolute()
    }

    fn limit_patience(&mut self, limit: Duration) {
        self.patience = self.patience.min(limit);
    }
}

impl JetsonOptions {
    /// How the board reads its own power, and how often.
    pub(super) fn power_source(&self) -> PowerSource {
        let interval = |usual_ms: u64| Duration::from_millis(self.power_interval_ms.unwrap_or(usual_ms));
        match self.power {
            PowerKind::Tegrastats => PowerSource::Tegrastats { interval: interval(100) },
            PowerKind::Ina3221 => PowerSource::Ina3221 { period: interval(5) },
        }
    }

    /// Whether a meter outside the board reads its power.
    pub(super) fn is_metered_outside(&self) -> bool {
        !matches!(self.meter, MeterOptions::None {})
    }
}

impl Precision {
    /// As an experiment file names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }

    /// As trtexec is told.
    pub(super) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Fp32 => &[],
            Self::Fp16 => &["--fp16"],
            Self::Int8 => &["--int8", "--fp16"],
        }
    }
}

impl PowerSource {
    /// Mean time between two readings.
    pub fn period(self) -> Duration {
        match self {
            Self::Tegrastats { interval } => interval,
            Self::Ina3221 { period } => period,
        }
    }

    /// Half-width of the 95 % confidence interval, relative to the mean power, that is measured for as long as the window
    /// may last, also where less is asked for: what the meter reaches in the customary window on most boards.
    pub(super) fn precision(self) -> f64 {
        match self {
            Self::Tegrastats { .. } => 0.007,
            Self::Ina3221 { .. } => 0.003,
        }
    }

    /// What it is called where energy is said to come from.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Tegrastats { .. } => "tegrastats",
            Self::Ina3221 { .. } => "INA3221",
        }
    }
}
