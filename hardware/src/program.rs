//! Settings shared by the devices whose models run in another program.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::device::DeviceError;
use crate::energy::{EnergyOptions, EnergyPlan};
use crate::meter::MeterOptions;
use crate::meter::PowerMeter;
use crate::remote::{MachineOptions, Place, RemoteError};
use crate::seconds;
use crate::time::Clock;

/// How long a device's program is waited for, and how power is read meanwhile. Its machine ([`MachineOptions`]) is beside
/// it in a device's options: serde cannot tell unknown keys where one flattened struct holds another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramOptions {
    /// How long the program may take besides inference before it is taken to hang.
    #[serde(rename = "grace_s", with = "seconds")]
    pub grace: Duration,
    /// How long to wait for a machine that does not answer, or a device that is away or in use.
    #[serde(rename = "patience_s", with = "seconds")]
    pub patience: Duration,
    /// Most tries of one model.
    pub tries: u32,
    /// How power is read.
    pub meter: MeterOptions,
    /// How energy is measured.
    pub energy: EnergyOptions,
}

impl Default for ProgramOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(120),
            patience: Duration::from_secs(120),
            tries: 3,
            meter: MeterOptions::None {},
            energy: EnergyOptions::default(),
        }
    }
}

impl ProgramOptions {
    /// How the meter measures energy.
    pub(crate) fn energy(&self) -> EnergyPlan {
        self.energy.resolved(&self.meter)
    }

    pub(crate) fn problem(&self, machine: &MachineOptions) -> Option<String> {
        let energy = || self.energy().problem().map(|problem| format!("energy: {problem}"));
        let tries = || (self.tries == 0).then(|| "tries must be at least 1".to_owned());
        machine.problem().or_else(energy).or_else(tries)
    }

    pub(crate) fn why_no_energy(&self, machine: &MachineOptions) -> Option<String> {
        self.meter.why_none(&machine.place().unwrap_or(Place::Here))
    }

    /// Makes the paths of this machine, `others` among them, valid in any working directory.
    ///
    /// # Errors
    /// If the working directory cannot be found.
    pub(crate) fn make_absolute(
        &mut self,
        machine: &mut MachineOptions,
        others: &mut [&mut Option<String>],
    ) -> std::io::Result<()> {
        self.meter.make_absolute()?;
        machine.make_absolute(others)
    }

    /// The machine and the meter of a device, whose folder there is `folder`.
    ///
    /// # Errors
    /// If a secret or the meter is missing.
    pub(crate) fn open(
        &self,
        machine: &MachineOptions,
        device: &str,
        clock: Clock,
        folder: &str,
    ) -> Result<(Place, Option<Box<dyn PowerMeter>>), DeviceError> {
        let settings = |problem| DeviceError::Settings { device: device.to_owned(), problem };
        let place = machine.place().map_err(settings)?;
        let label = || format!("{device} {}", place.label());
        let meter = self.meter.open(clock, &place, folder);
        let meter = meter.map_err(|error| RemoteError::from(error).of_device(label(), None))?;
        Ok((place, meter))
    }
}
