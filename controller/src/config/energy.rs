//! `energy` of a device: how long power is read, and what an inference is charged with.

use hardware::DeviceError;
use hardware::meter::MeterOptions;
use hardware::metered::EnergyOptions;
use serde::{Deserialize, Serialize};

use super::ssh;

/// How energy is measured. What is left out suits the kind of meter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnergyConfig {
    /// Seconds that the device works at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_s: Option<f64>,
    /// Seconds after which it ends, as precise as it is [default: six times `window_s`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_limit_s: Option<f64>,
    /// Seconds that the device rests, before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_s: Option<f64>,
    /// Whether an inference is charged only with what it takes above the idle device.
    pub subtract_idle: bool,
}

impl EnergyConfig {
    /// As a device takes it that has this meter; `device` names it in errors.
    ///
    /// # Errors
    /// If a number makes no sense.
    pub(super) fn options(&self, meter: &MeterOptions, device: &str) -> Result<EnergyOptions, DeviceError> {
        let usual = EnergyOptions::usual(meter);
        let seconds = |name: &str, value: Option<f64>| value.map(|value| ssh::seconds(device, name, value)).transpose();
        let window = seconds("energy.window_s", self.window_s)?.unwrap_or(usual.window);
        // A window that is shortened leaves as much time as before to a meter that is slow.
        let limit = seconds("energy.window_limit_s", self.window_limit_s)?;
        let options = EnergyOptions {
            window,
            window_limit: limit.unwrap_or_else(|| usual.window_limit.max(6 * window)),
            idle: seconds("energy.idle_s", self.idle_s)?.unwrap_or(usual.idle),
            subtract_idle: self.subtract_idle,
        };
        options.problem().map_or(Ok(options), |problem| Err(ssh::settings(device, format!("energy: {problem}"))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config(text: &str) -> EnergyConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_left_out_suits_the_meter() {
        for meter in [MeterOptions::None {}, MeterOptions::Auto {}, MeterOptions::Battery { period_ms: 250 }] {
            assert_eq!(config("").options(&meter, "x").unwrap(), EnergyOptions::usual(&meter));
        }
    }

    #[test]
    fn the_limit_grows_with_the_window() {
        let limit = |text: &str| config(text).options(&MeterOptions::Auto {}, "x").unwrap().window_limit;
        assert_eq!(limit("window_s = 20"), Duration::from_secs(120));
        assert_eq!(limit("window_s = 0.5"), Duration::from_secs(12));
        assert_eq!(limit("window_s = 3\nwindow_limit_s = 4"), Duration::from_secs(4));
    }

    #[test]
    fn impossible_times_are_refused() {
        for text in
            ["window_s = -1", "idle_s = 0", "window_s = nan", "window_s = 9\nwindow_limit_s = 8", "idle_s = 1e9"]
        {
            let error = config(text).options(&MeterOptions::Auto {}, "a device").unwrap_err().to_string();
            assert!(error.contains("a device") && error.contains("_s"), "{text}: {error}");
        }
        assert!(toml::from_str::<EnergyConfig>("windows_s = 1").is_err());
    }
}
