//! `[devices.NAME]` with `kind = "openvino"`: whatever OpenVINO runs on, here or over SSH.

use std::path::{Path, PathBuf};
use std::{env, io};

use hardware::DeviceError;
use hardware::meter::MeterOptions;
use hardware::openvino::{OpenVinoOptions, Precision};
use hardware::remote::Place;
use serde::{Deserialize, Serialize};

use super::EnergyConfig;
use super::ssh::{self, Login, expand, settings};

/// Settings of `kind = "openvino"`. `experiments/ncs.toml` documents them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenVinoConfig {
    /// Device as OpenVINO names it: `MYRIAD`, `CPU`, `GPU`, `NPU`, `HETERO:…`.
    pub device: String,
    /// Path of `benchmark_app`, or of the virtual environment that has it; found in `PATH` where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Precision of inference.
    #[serde(default)]
    pub precision: OpenVinoPrecision,
    /// Threads on `CPU`; as many as OpenVINO likes where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Whether throughput is measured too.
    #[serde(default)]
    pub throughput: bool,
    /// Name or address of the machine; this one where left out, and then the keys of SSH are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port of its SSH server [default: 22].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Private key; without one the SSH agent is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Environment variable that holds the key's passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_variable: Option<String>,
    /// Environment variable that holds the user's password, which is used instead of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_variable: Option<String>,
    /// File of known host keys [default: `~/.ssh/known_hosts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<PathBuf>,
    /// Seconds that connecting, or one answer, may take [default: 20].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Folder that everything lies in that is written [default: over SSH `controller-work`, in the user's home; here
    /// `controller` in the user's cache].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_folder: Option<String>,
    /// Seconds that benchmark_app may take besides inference before it is taken to hang.
    #[serde(default = "default::grace_s")]
    pub grace_s: f64,
    /// Seconds that a machine which does not answer, or a device that is away or in use, is waited for.
    #[serde(default = "default::patience_s")]
    pub patience_s: f64,
    /// Most tries of one model.
    #[serde(default = "default::tries")]
    pub tries: u32,
    /// How power is read.
    #[serde(default = "default::meter")]
    pub meter: MeterOptions,
    /// How energy is measured.
    #[serde(default)]
    pub energy: EnergyConfig,
}

/// Precision that OpenVINO is to compute with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenVinoPrecision {
    /// Whatever the device takes by itself.
    #[default]
    Native,
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point.
    Fp16,
    /// Brain floating point.
    Bf16,
}

/// What is left out, as [`OpenVinoOptions::new`] has it.
mod default {
    use hardware::meter::MeterOptions;

    pub(super) fn grace_s() -> f64 {
        120.0
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

impl OpenVinoConfig {
    /// As the device takes it, secrets read from the environment.
    ///
    /// # Errors
    /// If a secret is not there, a number makes no sense, or keys of SSH stand without a host.
    pub fn options(&self) -> Result<OpenVinoOptions, DeviceError> {
        let label = format!("openvino {}", self.device);
        let seconds = |name: &str, value: f64| ssh::seconds(&label, name, value);
        let place = self.place(&label)?;
        let local = |path: &String| expand(Path::new(path)).display().to_string();
        let is_here = matches!(place, Place::Here);
        let work_folder = match (&self.work_folder, is_here) {
            (Some(folder), true) => local(folder),
            (Some(folder), false) => folder.clone(),
            (None, true) => cache().display().to_string(),
            (None, false) => ssh::default::work_folder(),
        };
        Ok(OpenVinoOptions {
            tool: self.tool.as_ref().map(|tool| if is_here { local(tool) } else { tool.clone() }),
            precision: match self.precision {
                OpenVinoPrecision::Native => Precision::Native,
                OpenVinoPrecision::Fp32 => Precision::Fp32,
                OpenVinoPrecision::Fp16 => Precision::Fp16,
                OpenVinoPrecision::Bf16 => Precision::Bf16,
            },
            threads: self.threads,
            throughput: self.throughput,
            meter: self.meter.clone(),
            energy: self.energy.options(&self.meter, &label)?,
            grace: seconds("grace_s", self.grace_s)?,
            patience: seconds("patience_s", self.patience_s)?,
            tries: self.tries,
            ..OpenVinoOptions::new(place, work_folder, self.device.as_str())
        })
    }

    /// The machine that the device belongs to.
    fn place(&self, label: &str) -> Result<Place, DeviceError> {
        let Some(host) = &self.host else {
            let given = [
                ("port", self.port.is_some()),
                ("user", self.user.is_some()),
                ("key", self.key.is_some()),
                ("passphrase_variable", self.passphrase_variable.is_some()),
                ("password_variable", self.password_variable.is_some()),
                ("known_hosts", self.known_hosts.is_some()),
                ("timeout_s", self.timeout_s.is_some()),
            ];
            return match given.iter().find(|(_, is_given)| *is_given) {
                Some((name, _)) => {
                    let problem =
                        format!("`{name}` is for a machine that is logged in to: give its `host`, or leave it out");
                    Err(settings(label, problem))
                }
                None => Ok(Place::Here),
            };
        };
        let Some(user) = &self.user else {
            return Err(settings(label, format!("give the `user` that logs in to {host}")));
        };
        let known_hosts = self.known_hosts.clone().unwrap_or_else(ssh::default::known_hosts);
        let login = Login {
            host,
            port: self.port.unwrap_or_else(ssh::default::port),
            user,
            key: self.key.as_deref(),
            passphrase_variable: self.passphrase_variable.as_deref(),
            password_variable: self.password_variable.as_deref(),
            known_hosts: &known_hosts,
            timeout_s: self.timeout_s.unwrap_or_else(ssh::default::timeout_s),
        };
        login.options(label).map(Place::Over)
    }

    /// Makes paths of this machine hold in any working directory.
    pub(super) fn make_absolute(&mut self) -> io::Result<()> {
        if self.host.is_none() {
            for path in [&mut self.tool, &mut self.work_folder].into_iter().flatten() {
                *path = std::path::absolute(expand(Path::new(path)))?.display().to_string();
            }
        }
        Ok(())
    }
}

/// Where files of this program lie that can be made again.
fn cache() -> PathBuf {
    // Relative ones are to be ignored, by the XDG Base Directory Specification.
    let given = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = given.or_else(|| Some(env::home_dir()?.join(".cache")).filter(|path| path.is_absolute()));
    cache.unwrap_or_else(env::temp_dir).join("controller")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> OpenVinoConfig {
        toml::from_str(&format!("device = \"MYRIAD\"\n{text}")).unwrap()
    }

    fn refusal(text: &str) -> String {
        config(text).options().unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_is_as_the_device_has_it() {
        for text in ["", "host = \"pi\"\nuser = \"me\""] {
            let options = config(text).options().unwrap();
            let usual = OpenVinoOptions::new(options.place.clone(), options.work_folder.clone(), "MYRIAD");
            assert_eq!(format!("{options:?}"), format!("{usual:?}"));
        }
    }

    #[test]
    fn folders_suit_the_machine() {
        let here = config("").options().unwrap().work_folder;
        assert!(Path::new(&here).is_absolute() && here.ends_with("/controller"), "{here}");
        let remote = config("host = \"pi\"\nuser = \"me\"\ntool = \"~/openvino\"").options().unwrap();
        assert_eq!((remote.work_folder.as_str(), remote.tool.as_deref()), ("controller-work", Some("~/openvino")));
        let home = env::home_dir().unwrap().join("openvino").display().to_string();
        assert_eq!(config("tool = \"~/openvino\"").options().unwrap().tool, Some(home));
    }

    #[test]
    fn keys_of_ssh_want_a_host_and_a_host_wants_a_user() {
        for text in ["user = \"me\"", "port = 22", "key = \"k\"", "timeout_s = 3", "known_hosts = \"f\""] {
            let error = refusal(text);
            let name = text.split(' ').next().unwrap();
            assert!(error.contains(&format!("`{name}`")) && error.contains("`host`"), "{error}");
        }
        assert!(refusal("host = \"pi\"").contains("`user`"));
        let error = refusal("host = \"pi\"\nuser = \"me\"\npassword_variable = \"NO_SUCH_VARIABLE_OF_OURS\"");
        assert!(error.contains("NO_SUCH_VARIABLE_OF_OURS"), "{error}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in ["grace_s = -1.0", "patience_s = nan", "energy = { idle_s = 0 }"] {
            assert!(config(text).options().is_err(), "{text}");
        }
        for text in ["", "device = \"CPU\"\nmeter = { kind = \"voltmeter\" }", "device = \"CPU\"\nprecision = \"int4\""]
        {
            assert!(toml::from_str::<OpenVinoConfig>(text).is_err(), "{text}");
        }
    }
}
