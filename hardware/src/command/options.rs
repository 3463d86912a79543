//! The settings of a device that is a program.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CommandDevice;
use crate::device::{Device, DeviceError};
use crate::energy::EnergyOptions;
use crate::meter::MeterOptions;
use crate::options::Settings;
use crate::remote::{MachineOptions, Place};
use crate::seconds;

/// Settings of `kind = "command"`. `docs/devices.md` documents them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandOptions {
    /// The program and its arguments; the model's path is added as the last one. No shell is involved.
    pub command: Vec<String>,
    /// The machine that the program runs on.
    #[serde(flatten)]
    pub machine: MachineOptions,
    /// How long the program may take besides warm-up and measurement before it is taken to hang.
    #[serde(rename = "grace_s", with = "seconds")]
    pub grace: Duration,
    /// How long a machine that does not answer, or that another run measures on, is waited for.
    #[serde(rename = "patience_s", with = "seconds")]
    pub patience: Duration,
    /// Most tries of one model.
    pub tries: u32,
    /// A meter that runs beside the program; without one, energy is what the program prints.
    pub meter: MeterOptions,
    /// How energy is measured by that meter.
    pub energy: EnergyOptions,
}

impl Default for CommandOptions {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            machine: MachineOptions::default(),
            grace: Duration::from_secs(120),
            patience: Duration::from_secs(120),
            tries: 3,
            meter: MeterOptions::None {},
            energy: EnergyOptions::default(),
        }
    }
}

impl Settings for CommandOptions {
    fn open(&self) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(CommandDevice::new(self.clone())?))
    }

    fn problem(&self) -> Option<String> {
        if self.command.first().is_none_or(String::is_empty) || self.command.iter().any(|word| word.contains('\0')) {
            return Some(format!("command = {:?} must be a program and its arguments", self.command));
        }
        if let Some(problem) = self.machine.problem() {
            return Some(problem);
        }
        if let Some(problem) = self.energy.resolved(&self.meter).problem() {
            return Some(format!("energy: {problem}"));
        }
        (self.tries == 0).then(|| "tries must be at least 1".to_owned())
    }

    fn why_no_energy(&self) -> Option<String> {
        match &self.meter {
            MeterOptions::None {} => Some("its program prints none, and it has no meter".to_owned()),
            meter => meter.why_none(&self.machine.place().unwrap_or(Place::Here)),
        }
    }

    /// A program on this machine runs in its work folder: words that name files here become absolute paths.
    fn make_absolute(&mut self) -> std::io::Result<()> {
        if self.machine.host.is_none() {
            for word in &mut self.command {
                let path = self.machine.path(word);
                if Path::new(&path).is_file() {
                    *word = std::path::absolute(path)?.display().to_string();
                }
            }
        }
        self.meter.make_absolute()?;
        self.machine.make_absolute(&mut [])
    }

    fn limit_patience(&mut self, limit: Duration) {
        self.patience = self.patience.min(limit);
    }
}
