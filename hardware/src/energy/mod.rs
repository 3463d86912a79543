//! Energy of an inference: the only way from a [`Trace`](crate::meter::Trace) to `energy_mj`.
//!
//! A meter reads while the device is idle, runs inferences one after the other, and is idle again:
//!
//! 1. `settle` waits until idle power and temperature are steady, where the meter shows its readings while it reads.
//! 2. `measure` runs the load until the mean power is known well enough and from enough readings. Fewer than 30
//!    readings of the load are an error, and so is a mean power of zero: a running device draws power.
//! 3. `integrate` takes the mean power over the windows of the load, without the warm-up, the loading of the model
//!    and an edge at each end as wide as the meter's spacing. MLPerf Power measures whole windows instead of single
//!    runs too (Tschand et al. 2024, arXiv 2410.12032). Energy per inference is the mean power times the time of one
//!    inference; above idle, the mean power of the idle device before and after is subtracted first.
//! 4. `conditions` gives temperature and clocks before and after, where the meter reads them.

mod conditions;
mod integrate;
mod measure;
mod settle;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

#[cfg(test)]
pub(crate) use self::integrate::mean_power;
pub(crate) use self::measure::{Load, LoadRun, Measured, Watch, measure};
use crate::device::Description;
use crate::meter::{MeterOptions, PowerMeter};
use crate::remote::RemoteError;
use crate::seconds;

/// How energy is measured, as an experiment file describes it. The default of each option suits the kind of meter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnergyOptions {
    /// Shortest time of the load.
    #[serde(rename = "window_s", with = "seconds::optional")]
    pub window: Option<Duration>,
    /// Longest time of all windows of load together [default: six times `window`].
    #[serde(rename = "window_limit_s", with = "seconds::optional")]
    pub window_limit: Option<Duration>,
    /// Shortest time that the idle device is measured, before and after.
    #[serde(rename = "idle_s", with = "seconds::optional")]
    pub idle: Option<Duration>,
    /// How long to wait for a device whose idle power or temperature is not steady yet [default: ten times `idle`].
    #[serde(rename = "settle_limit_s", with = "seconds::optional", skip_serializing_if = "Option::is_none")]
    pub settle_limit: Option<Duration>,
    /// Whether an inference is charged only with its energy above the idle device: right for a meter that sees more
    /// than the device, such as that of a whole machine.
    pub subtract_idle: bool,
}

/// [`EnergyOptions`] with the defaults for the device's meter.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct EnergyPlan {
    pub window: Duration,
    pub window_limit: Duration,
    pub idle: Duration,
    pub settle_limit: Duration,
    pub subtract_idle: bool,
}

/// The reason why power cannot be integrated.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{0}")]
pub(crate) struct EnergyError(pub(crate) String);

impl EnergyOptions {
    /// The options with the meter's values for those that are absent.
    pub(crate) fn resolved(&self, meter: &MeterOptions) -> EnergyPlan {
        let (usual, usual_idle) = meter.usual_times();
        let window = self.window.unwrap_or(usual);
        let idle = self.idle.unwrap_or(usual_idle);
        EnergyPlan {
            window,
            // A shorter window does not shorten the time that a slow meter has.
            window_limit: self.window_limit.unwrap_or_else(|| 6 * window.max(usual)),
            idle,
            settle_limit: self.settle_limit.unwrap_or(10 * idle),
            subtract_idle: self.subtract_idle,
        }
    }
}

impl EnergyPlan {
    /// Adds the kind of energy and its meter to a device's description, if the device has a meter.
    pub(crate) fn describe(&self, description: Description, meter: Option<&dyn PowerMeter>) -> Description {
        let Some(meter) = meter else { return description };
        let counted = if self.subtract_idle { "above idle" } else { "with idle" };
        description.with("energy", counted).with("power by", meter.describe())
    }

    /// The first impossible setting, and the reason.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.window.is_zero() || self.window > self.window_limit {
            return Some("window_s must be above 0 and not above window_limit_s".to_owned());
        }
        if self.idle.is_zero() {
            return Some("idle_s must be above 0: otherwise idle power is not known".to_owned());
        }
        (self.settle_limit < self.idle).then(|| "settle_limit_s must not be below idle_s".to_owned())
    }
}

impl From<EnergyError> for RemoteError {
    fn from(error: EnergyError) -> Self {
        Self::Failed { problem: error.0 }
    }
}
