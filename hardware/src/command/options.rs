//! The settings of a device that is a program.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CommandDevice;
use crate::device::{Device, DeviceError, Settings};
use crate::meter::MeterOptions;
use crate::program::ProgramOptions;
use crate::remote::MachineOptions;

/// Settings of `kind = "command"`. `docs/devices.md` documents them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandOptions {
    /// The program and its arguments; the model's path is added as the last one. No shell is involved.
    pub command: Vec<String>,
    /// The machine that the program and the device are on.
    #[serde(flatten)]
    pub machine: MachineOptions,
    /// The patience with the program, and the meter.
    #[serde(flatten)]
    pub program: ProgramOptions,
}

impl Settings for CommandOptions {
    fn open(&self) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(CommandDevice::new(self.clone())?))
    }

    fn problem(&self) -> Option<String> {
        if self.command.first().is_none_or(String::is_empty) || self.command.iter().any(|word| word.contains('\0')) {
            return Some(format!("command = {:?} must be a program and its arguments", self.command));
        }
        self.program.problem(&self.machine)
    }

    fn why_no_energy(&self) -> Option<String> {
        match &self.program.meter {
            MeterOptions::None {} => Some("its program prints none, and it has no meter".to_owned()),
            _ => self.program.why_no_energy(&self.machine),
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
        self.program.make_absolute(&mut self.machine, &mut [])
    }

    fn limit_patience(&mut self, limit: Duration) {
        self.program.patience = self.program.patience.min(limit);
    }

    fn patience(&self) -> Duration {
        self.program.patience
    }

    fn address(&self) -> Option<String> {
        self.machine.address()
    }
}
