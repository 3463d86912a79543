//! The interface of all devices that measure a model.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::measurement::{InvalidMeasurement, Measurement};
use crate::model::Model;
use crate::seconds::milliseconds;
use crate::statistic::Statistic;

/// A device that runs a model and measures how long one inference takes.
///
/// The smallest device that works:
///
/// ```
/// use hardware::{
///     Conditions, Description, Device, DeviceError, Latency, Measurement, Model, Plan,
/// };
///
/// /// A device that needs one millisecond for every mebibyte of model file.
/// struct Imaginary;
///
/// impl Device for Imaginary {
///     fn describe(&mut self) -> Result<Description, DeviceError> {
///         Ok(Description::new("imaginary", "one millisecond a mebibyte"))
///     }
///
///     fn measure(&mut self, model: &Model, _plan: &Plan) -> Result<Measurement, DeviceError> {
///         let failed = |reason: String| DeviceError::Failed {
///             device: "imaginary".to_owned(),
///             architecture: model.architecture.clone(),
///             reason,
///         };
///         let file = std::fs::metadata(&model.path).map_err(|error| failed(error.to_string()))?;
///         let mean_ms = file.len() as f64 / 1_048_576.0;
///         let measurement = Measurement {
///             latency: Latency::from_mean(mean_ms, None),
///             latency_without_transfer: None,
///             throughput_per_s: None,
///             energy: None,
///             conditions: Conditions::default(),
///             warnings: Vec::new(),
///         };
///         Ok(measurement.validated()?)
///     }
///
///     fn shares_machine(&self) -> bool {
///         false
///     }
/// }
///
/// let mut device: Box<dyn Device> = Box::new(Imaginary);
/// assert_eq!(device.describe()?.label(), "imaginary one millisecond a mebibyte");
/// # Ok::<(), DeviceError>(())
/// ```
pub trait Device: Send {
    /// The device's identity, as the device itself reports it: the board, its software, its settings. Called once
    /// before a search, so that a missing device is noticed then.
    ///
    /// # Errors
    ///
    /// If the device cannot be reached.
    fn describe(&mut self) -> Result<Description, DeviceError>;

    /// Its state now, as name and value: free disk space, tools, rights.
    ///
    /// # Errors
    ///
    /// If the device cannot be used.
    fn health(&mut self) -> Result<Vec<(String, String)>, DeviceError> {
        self.describe().map(|_| Vec::new())
    }

    /// Runs `model` as `plan` says. Blocks until done; a device measures one model at a time.
    ///
    /// # Errors
    ///
    /// If the equipment is at fault ([`DeviceError::is_fatal`]), or this one model cannot be measured.
    fn measure(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, DeviceError>;

    /// Whether measuring competes with training on this machine, so that the two must take turns: true for the machine
    /// itself, false for a board on the network or a log.
    fn shares_machine(&self) -> bool;

    /// The reason why its measurements lack a statistic of single runs, as a sentence; `None` if they have it. Called
    /// after [`describe`](Self::describe), so that a search does not begin in vain.
    fn lacks(&self, _statistic: Statistic) -> Option<String> {
        None
    }

    /// Gives the machine back, for another device of it: the next call connects again.
    fn release(&mut self) {}

    /// Whether its measurements contain energy.
    fn measures_energy(&self) -> bool {
        false
    }
}

/// The settings of a kind of device, as an experiment file has them.
pub trait Settings {
    /// The device, not connected to yet.
    ///
    /// # Errors
    ///
    /// If a setting is impossible, a secret is not in its environment variable, or the meter is missing.
    fn open(&self) -> Result<Box<dyn Device>, DeviceError>;

    /// The first impossible setting, and the reason; the text begins with `key = value` where one key is at fault.
    /// Secrets are not looked up: a run can be read on a machine that does not have them.
    fn problem(&self) -> Option<String>;

    /// The reason why the device measures no energy, as a sentence; `None` if it does, or if only the device itself can
    /// say.
    fn why_no_energy(&self) -> Option<String>;

    /// Messages for the user: older keys that still work, and their replacements.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// A reservation about all numbers of the device, as a sentence, which accompanies them wherever they are shown.
    fn reservation(&self) -> Option<String> {
        None
    }

    /// Makes paths of this machine valid in any working directory.
    ///
    /// # Errors
    ///
    /// If the working directory cannot be found.
    fn make_absolute(&mut self) -> std::io::Result<()>;

    /// Waits no longer than `limit` for a device that is away.
    fn limit_patience(&mut self, limit: Duration);

    /// How long a device that is away, or does not work, is waited for; its meter too.
    fn patience(&self) -> Duration;

    /// Host and port of another machine that the device belongs to. Devices of one machine take turns.
    fn address(&self) -> Option<String> {
        None
    }
}

/// How long and how precisely to measure: `[measuring]` of an experiment file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Time that the model runs before the first timed run. The timed runs together last at least as long, so that they
    /// include occasional disturbances of the machine.
    #[serde(rename = "warm_up_ms", with = "milliseconds")]
    pub warm_up: Duration,
    /// Time after which timed runs end even if the statistic is not known as precisely as wanted.
    #[serde(rename = "time_limit_ms", with = "milliseconds")]
    pub time_limit: Duration,
    /// Fewest timed runs within the time limit.
    pub min_runs: u32,
    /// Wanted half-width of the 95 % confidence interval of the statistic, relative to it: 0.02 is ±2 %.
    pub confidence_interval: f64,
    /// The statistic that `time_ms` is; where it is not stated, the median if the device gives it, else the mean. The mean
    /// is not written, so that experiments of versions that knew no other one are what they were.
    #[serde(default, skip_serializing_if = "is_unwritten")]
    pub statistic: Option<Statistic>,
}

fn is_unwritten(statistic: &Option<Statistic>) -> bool {
    matches!(statistic, None | Some(Statistic::Mean))
}

impl Plan {
    /// The statistic that `time_ms` is.
    pub fn statistic(&self) -> Statistic {
        self.statistic.unwrap_or(Statistic::Median)
    }

    /// The plan with a statistic that a device gives.
    ///
    /// # Errors
    /// If the plan states one that the device does not give; the text begins with the key.
    pub fn for_device(mut self, device: &dyn Device) -> Result<Self, String> {
        let Some(why) = device.lacks(self.statistic()) else { return Ok(self) };
        match self.statistic {
            None => self.statistic = Some(Statistic::Mean),
            Some(statistic) => {
                return Err(format!(
                    "measuring.statistic = \"{statistic}\" cannot be measured: {why}. Choose another one, such as \"mean\""
                ));
            }
        }
        Ok(self)
    }

    /// Fewest timed runs, those that the statistic needs included.
    pub(crate) fn least_runs(&self) -> usize {
        self.statistic().least_runs().max(self.min_runs as usize)
    }
}

impl Default for Plan {
    /// 0.1 s of warm-up, then at least 20 runs until the median is known to ±2 %, or 3 s.
    fn default() -> Self {
        Self {
            warm_up: Duration::from_millis(100),
            time_limit: Duration::from_secs(3),
            min_runs: 20,
            confidence_interval: 0.02,
            statistic: None,
        }
    }
}

/// A device's identity: all that its numbers depend on, so that they can be attributed later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Kind of device as an experiment file names it: `host`, `replay`.
    pub kind: String,
    /// Name within its kind: that of the processor, the board, or the log.
    pub name: String,
    /// Everything else that its numbers depend on, as name and value, the most important first.
    pub details: Vec<(String, String)>,
}

impl Description {
    /// A description without details.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into(), details: Vec::new() }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.details.push((name.into(), value.to_string()));
        self
    }

    /// The whole description in one line, for the `device` column of the journal:
    /// `host AMD EPYC (threads 1; cores 2)`.
    pub fn label(&self) -> String {
        let mut label = format!("{} {}", self.kind, self.name);
        if !self.details.is_empty() {
            let details: Vec<String> = self.details.iter().map(|(name, value)| format!("{name} {value}")).collect();
            label.push_str(&format!(" ({})", details.join("; ")));
        }
        label.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The reason why a device gave no measurement.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The device does not answer.
    #[error("the device {device} cannot be reached: {reason}")]
    Unreachable {
        /// Name of the device.
        device: String,
        /// The problem and its remedy.
        reason: String,
    },
    /// The device cannot be used as its settings ask.
    #[error("the device {device} cannot be used as set: {problem}")]
    Settings {
        /// Name of the device.
        device: String,
        /// The setting, its mistake and the remedy.
        problem: String,
    },
    /// The power meter gives no readings.
    #[error("the power meter of the device {device} does not work: power cannot be read: {reason}")]
    Meter {
        /// Name of the device.
        device: String,
        /// The problem and its remedy.
        reason: String,
    },
    /// The device answers, but a tool of it has vanished, or fails with every model.
    #[error("the device {device} does not work: {reason}")]
    Broken {
        /// Name of the device.
        device: String,
        /// The problem and its remedy.
        reason: String,
    },
    /// The device answers, but rejects the model, or has too little memory for it.
    #[error("the device {device} refuses the model of {architecture}: {reason}")]
    Refused {
        /// Name of the device.
        device: String,
        /// The model's architecture.
        architecture: String,
        /// The message of the device.
        reason: String,
    },
    /// The model was accepted, but running it failed.
    #[error("the device {device} failed to measure {architecture}: {reason}")]
    Failed {
        /// Name of the device.
        device: String,
        /// The model's architecture.
        architecture: String,
        /// The problem.
        reason: String,
    },
    /// The device gave impossible numbers.
    #[error("the device gave an impossible measurement: {0}")]
    Invalid(#[from] InvalidMeasurement),
}

impl DeviceError {
    /// Whether the equipment is at fault, so that the next model would fail for the same reason: the device is lost,
    /// its meter or a tool of it does not work, or its settings cannot work. Any other error is of one model, or may be.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Settings { .. } | Self::Meter { .. } | Self::Broken { .. })
    }

    /// The problem and its remedy, without the device and the model.
    pub fn reason(&self) -> String {
        match self {
            Self::Unreachable { reason, .. }
            | Self::Meter { reason, .. }
            | Self::Broken { reason, .. }
            | Self::Refused { reason, .. }
            | Self::Failed { reason, .. } => reason.clone(),
            Self::Settings { problem, .. } => problem.clone(),
            Self::Invalid(problem) => problem.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_line_with_every_detail() {
        let description = Description::new("host", "AMD EPYC  9000\n").with("threads", 1).with("runtime", "tract\n1");
        assert_eq!(description.label(), "host AMD EPYC 9000 (threads 1; runtime tract 1)");
    }

    #[test]
    fn a_lost_device_is_fatal_and_a_rejected_model_is_not() {
        let lost = DeviceError::Unreachable { device: "board".to_owned(), reason: "no route to host".to_owned() };
        let refused = DeviceError::Refused {
            device: "board".to_owned(),
            architecture: "a".to_owned(),
            reason: "unknown operator".to_owned(),
        };
        let meter = DeviceError::Meter { device: "board".to_owned(), reason: "unplugged".to_owned() };
        assert!(lost.is_fatal() && meter.is_fatal());
        assert!(!refused.is_fatal());
    }
}
