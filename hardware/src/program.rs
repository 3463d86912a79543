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

/// The machine of a device's program, its time limits, and the meter that reads power meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramOptions {
    /// The machine that the program and the device are on.
    #[serde(flatten)]
    pub machine: MachineOptions,
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
            machine: MachineOptions::default(),
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

    pub(crate) fn problem(&self) -> Option<String> {
        let energy = || self.energy().problem().map(|problem| format!("energy: {problem}"));
        let tries = || (self.tries == 0).then(|| "tries must be at least 1".to_owned());
        self.machine.problem().or_else(energy).or_else(tries)
    }

    pub(crate) fn why_no_energy(&self) -> Option<String> {
        self.meter.why_none(&self.machine.place().unwrap_or(Place::Here))
    }

    /// Makes the paths of this machine, `others` among them, valid in any working directory.
    ///
    /// # Errors
    /// If the working directory cannot be found.
    pub(crate) fn make_absolute(&mut self, others: &mut [&mut Option<String>]) -> std::io::Result<()> {
        self.meter.make_absolute()?;
        self.machine.make_absolute(others)
    }

    /// The machine and the meter of a device, whose folder there is `folder`.
    ///
    /// # Errors
    /// If a secret or the meter is missing.
    pub(crate) fn open(
        &self,
        device: &str,
        clock: Clock,
        folder: &str,
    ) -> Result<(Place, Option<Box<dyn PowerMeter>>), DeviceError> {
        let settings = |problem| DeviceError::Settings { device: device.to_owned(), problem };
        let place = self.machine.place().map_err(settings)?;
        let label = || format!("{device} {}", place.label());
        let meter = self.meter.open(clock, &place, folder);
        let meter = meter.map_err(|error| RemoteError::from(error).of_device(label(), None))?;
        Ok((place, meter))
    }
}
