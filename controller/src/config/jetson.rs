//! `[devices.NAME]` with `kind = "jetson"`: a Jetson board over SSH.

use std::path::PathBuf;
use std::time::Duration;

use hardware::DeviceError;
use hardware::jetson::{JetsonOptions, PowerSource, Precision};
use hardware::meter::MeterOptions;
use serde::{Deserialize, Serialize};

use super::EnergyConfig;
use super::ssh::{self, Login};

/// Settings of `kind = "jetson"`. `experiments/tx2.toml` documents them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JetsonConfig {
    /// Name or address of the board.
    pub host: String,
    /// Port of its SSH server.
    #[serde(default = "ssh::default::port")]
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// Private key; without one the SSH agent is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Environment variable that holds the key's passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_variable: Option<String>,
    /// Environment variable that holds the user's password, which is used instead of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_variable: Option<String>,
    /// File of known host keys.
    #[serde(default = "ssh::default::known_hosts")]
    pub known_hosts: PathBuf,
    /// Seconds that connecting, or one answer, may take.
    #[serde(default = "ssh::default::timeout_s")]
    pub timeout_s: u64,
    /// Folder on the board; a relative one lies in the user's home.
    #[serde(default = "ssh::default::work_folder")]
    pub work_folder: String,
    /// Precision of inference.
    #[serde(default)]
    pub precision: PrecisionConfig,
    /// How the board reads its own power.
    #[serde(default)]
    pub power: PowerConfig,
    /// Milliseconds between two readings of power [default: 100 by tegrastats, 5 by ina3221].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_interval_ms: Option<u64>,
    /// Whether the board's tools are run by `sudo -n`.
    #[serde(default)]
    pub sudo: bool,
    /// Power mode to set and put back; the board's own where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_mode: Option<u32>,
    /// Whether clocks are fixed at their highest, and put back.
    #[serde(default)]
    pub fix_clocks: bool,
    /// Whether trtexec waits for the GPU by spinning.
    #[serde(default)]
    pub spin_wait: bool,
    /// Path of trtexec on the board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trtexec: Option<String>,
    /// Root of sysfs on the board.
    #[serde(default = "default::sysfs")]
    pub sysfs: String,
    /// Seconds that power is integrated over at least.
    #[serde(default = "default::window_s")]
    pub window_s: f64,
    /// Seconds after which it ends, as precise as it is.
    #[serde(default = "default::window_limit_s")]
    pub window_limit_s: f64,
    /// Seconds that the idle board is watched, before and after.
    #[serde(default = "default::idle_s")]
    pub idle_s: f64,
    /// Seconds that a board which does not come to rest is waited for.
    #[serde(default = "default::settle_limit_s")]
    pub settle_limit_s: f64,
    /// Seconds that trtexec may take besides inference before it is taken to hang.
    #[serde(default = "default::grace_s")]
    pub grace_s: f64,
    /// Seconds that a board which does not answer is waited for.
    #[serde(default = "default::patience_s")]
    pub patience_s: f64,
    /// Most tries of one model.
    #[serde(default = "default::tries")]
    pub tries: u32,
    /// A meter outside the board, which is read instead of its own.
    #[serde(default = "default::meter")]
    pub meter: MeterOptions,
    /// How energy is measured by that meter; with the board's own, `window_s` and the like say so.
    #[serde(default)]
    pub energy: EnergyConfig,
}

/// Precision that TensorRT may compute with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionConfig {
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point where that is faster.
    #[default]
    Fp16,
    /// 8-bit integers where that is faster.
    Int8,
}

/// How power is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerConfig {
    /// By the board's own program.
    #[default]
    Tegrastats,
    /// From the files of its power monitors.
    Ina3221,
}

/// What is left out, as [`JetsonOptions::new`] has it.
mod default {
    use hardware::meter::MeterOptions;

    pub(super) fn sysfs() -> String {
        "/sys".to_owned()
    }
    pub(super) fn window_s() -> f64 {
        10.0
    }
    pub(super) fn window_limit_s() -> f64 {
        60.0
    }
    pub(super) fn idle_s() -> f64 {
        3.0
    }
    pub(super) fn settle_limit_s() -> f64 {
        30.0
    }
    pub(super) fn grace_s() -> f64 {
        90.0
    }
    pub(super) fn patience_s() -> f64 {
        120.0
    }
    pub(super) fn tries() -> u32 {
        3
    }
    pub(super) fn meter() -> MeterOptions {
        MeterOptions::None {}
    }
}

impl JetsonConfig {
    /// As the device takes it, secrets read from the environment.
    ///
    /// # Errors
    /// If a secret is not there, or a number makes no sense.
    pub fn options(&self) -> Result<JetsonOptions, DeviceError> {
        let device = format!("jetson {}", self.host);
        let login = Login {
            host: &self.host,
            port: self.port,
            user: &self.user,
            key: self.key.as_deref(),
            passphrase_variable: self.passphrase_variable.as_deref(),
            password_variable: self.password_variable.as_deref(),
            known_hosts: &self.known_hosts,
            timeout_s: self.timeout_s,
        };
        let login = login.options(&device)?;
        let seconds = |name: &str, value: f64| ssh::seconds(&device, name, value);
        let interval = |usual: u64| Duration::from_millis(self.power_interval_ms.unwrap_or(usual));
        Ok(JetsonOptions {
            work_folder: self.work_folder.clone(),
            precision: match self.precision {
                PrecisionConfig::Fp32 => Precision::Fp32,
                PrecisionConfig::Fp16 => Precision::Fp16,
                PrecisionConfig::Int8 => Precision::Int8,
            },
            power: match self.power {
                PowerConfig::Tegrastats => PowerSource::Tegrastats { interval: interval(100) },
                PowerConfig::Ina3221 => PowerSource::Ina3221 { period: interval(5) },
            },
            sudo: self.sudo,
            power_mode: self.power_mode,
            fix_clocks: self.fix_clocks,
            spin_wait: self.spin_wait,
            trtexec: self.trtexec.clone(),
            sysfs: self.sysfs.clone(),
            window: seconds("window_s", self.window_s)?,
            window_limit: seconds("window_limit_s", self.window_limit_s)?,
            idle: seconds("idle_s", self.idle_s)?,
            settle_limit: seconds("settle_limit_s", self.settle_limit_s)?,
            grace: seconds("grace_s", self.grace_s)?,
            patience: seconds("patience_s", self.patience_s)?,
            tries: self.tries,
            meter: self.meter.clone(),
            energy: self.energy.options(&self.meter, &device)?,
            ..JetsonOptions::new(login)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> JetsonConfig {
        toml::from_str(&format!("host = \"board\"\nuser = \"nvidia\"\n{text}")).unwrap()
    }

    #[test]
    fn what_is_left_out_is_as_the_device_has_it() {
        let options = config("").options().unwrap();
        let usual = JetsonOptions::new(options.ssh.clone());
        assert_eq!(format!("{options:?}"), format!("{usual:?}"));
    }

    #[test]
    fn intervals_follow_the_meter() {
        let interval = |text: &str| config(text).options().unwrap().power.period();
        assert_eq!(interval("power = \"ina3221\""), Duration::from_millis(5));
        assert_eq!(interval("power = \"tegrastats\"\npower_interval_ms = 50"), Duration::from_millis(50));
    }

    #[test]
    fn a_meter_outside_the_board_has_settings_of_its_own() {
        let meter = "meter = { kind = \"hwmon\", at = \"device\" }";
        let options = config(&format!("{meter}\nenergy = {{ window_s = 7 }}")).options().unwrap();
        assert_eq!((options.energy.window, options.window), (Duration::from_secs(7), Duration::from_secs(10)));
        assert!(config(&format!("{meter}\nenergy = {{ idle_s = 0 }}")).options().is_err());
    }

    #[test]
    fn secrets_come_from_the_environment_alone() {
        let error = config("password_variable = \"NO_SUCH_VARIABLE_OF_OURS\"").options().unwrap_err().to_string();
        assert!(error.contains("NO_SUCH_VARIABLE_OF_OURS"), "{error}");
        assert!(toml::from_str::<JetsonConfig>("host = \"b\"\nuser = \"u\"\npassword = \"x\"").is_err());
    }

    #[test]
    fn impossible_times_are_refused() {
        for text in ["window_s = -1.0", "idle_s = nan", "patience_s = 1e12"] {
            assert!(config(text).options().is_err(), "{text}");
        }
    }
}
