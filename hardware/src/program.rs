//! What the devices have in common whose models run in another program.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::device::{DeviceError, Plan, Settings};
use crate::energy::{self, EnergyOptions, EnergyPlan, Load, Measured};
use crate::measurement::{Conditions, Energy};
use crate::meter::{MeterOptions, PowerMeter};
use crate::model::Model;
use crate::remote::{Agent, MachineOptions, Place, RemoteError, Session, patiently};
use crate::seconds;
use crate::time::Clock;
use crate::warning::Warning;

/// How long a device's program is waited for, and how power is read meanwhile. Its machine ([`MachineOptions`]) is beside
/// it in a device's options: serde cannot tell unknown keys where one flattened struct holds another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramOptions {
    /// How long the program may take besides inference before it is taken to hang.
    #[serde(rename = "grace_s", with = "seconds")]
    pub grace: Duration,
    /// How long to wait for a machine that does not answer, a device that is away or in use, or a meter or tool that
    /// does not work.
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
        // `auto` finds meters of this machine alone: a device elsewhere has none, and its times do not matter.
        self.energy.resolved(&self.meter.chosen(&Place::Here))
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
    pub(crate) fn make_absolute(
        &mut self,
        machine: &mut MachineOptions,
        others: &mut [&mut Option<String>],
    ) -> std::io::Result<()> {
        self.meter.make_absolute()?;
        machine.make_absolute(others)
    }
}

/// Runs a load under the meter, or once where there is none.
pub(crate) fn run<L: Load>(
    load: &mut L,
    meter: Option<&mut (dyn PowerMeter + 'static)>,
    clock: &Clock,
    energy: &EnergyPlan,
    plan: &Plan,
) -> Result<(Option<Energy>, Conditions, Vec<Warning>), L::Error> {
    let Some(meter) = meter else {
        load.run(plan.time_limit, &|| Ok(()))?;
        return Ok((None, Conditions::default(), Vec::new()));
    };
    let Measured { energy, conditions, warnings } =
        energy::measure(meter, clock, load, energy, plan.confidence_interval)?;
    Ok((Some(energy), conditions, warnings))
}

/// The machine of a device: the connection, kept from one model to the next, and the meter, which reads over the same
/// one.
pub(crate) struct Machine<L> {
    /// The device's name, without the machine.
    device: String,
    session: Session,
    /// The connection with all that the device needs there, opened when first needed, and kept until an error makes it
    /// useless.
    link: Option<L>,
    /// Whether it was ever open.
    was_open: bool,
    /// The meter; `None` if energy is not measured.
    pub meter: Option<Box<dyn PowerMeter>>,
    pub clock: Clock,
}

impl<L> Machine<L> {
    /// A machine that is not connected to yet, and the device's folder there.
    ///
    /// # Errors
    /// If a setting is impossible, or a secret or the meter is missing.
    pub fn new(
        device: &str,
        settings: &dyn Settings,
        machine: &MachineOptions,
        folder: String,
        meter: &MeterOptions,
    ) -> Result<Self, DeviceError> {
        let place = settings.problem().map_or_else(|| machine.place(), Err).map_err(|problem| {
            let host = machine.host.as_ref().map_or_else(String::new, |host| format!(" {host}"));
            DeviceError::Settings { device: format!("{device}{host}"), problem }
        })?;
        let (clock, session) = (Clock::start(), Session::new(place, folder));
        let mut this = Self { device: device.to_owned(), session, link: None, was_open: false, meter: None, clock };
        let meter = meter.open_over(clock, &this.session);
        this.meter = meter.map_err(|error| this.error(error.into(), None))?;
        Ok(this)
    }

    pub fn place(&self) -> &Place {
        self.session.place()
    }

    /// Closes the connection, so that another device of the machine can use it.
    pub fn release(&mut self) {
        self.link = None;
        self.session.close();
    }

    /// The error of the device, which was to measure `model`.
    pub fn error(&self, error: RemoteError, model: Option<&Model>) -> DeviceError {
        error.of_device(format!("{} {}", self.device, self.place().label()), model)
    }

    /// Does something with the connection and the meter. Where there is no connection `open` makes one of the agent,
    /// for up to `patience` while the machine is away.
    pub fn with<T>(
        &mut self,
        patience: Duration,
        mut open: impl FnMut(Agent, &Place) -> Result<L, RemoteError>,
        act: impl FnOnce(&mut L, Option<&mut (dyn PowerMeter + 'static)>) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let Self { session, was_open, .. } = self;
        let open = || {
            let opened = session.agent().and_then(|agent| open(agent, session.place()));
            opened.inspect_err(|_| session.close())
        };
        let mut link = match self.link.take() {
            Some(link) => link,
            None => patiently(patience, *was_open, open).map_err(|error| RemoteError::Absent(Box::new(error)))?,
        };
        *was_open = true;
        let result = act(&mut link, self.meter.as_deref_mut());
        if result.as_ref().err().is_none_or(RemoteError::spares_connection) {
            self.link = Some(link);
        } else {
            self.session.close();
        }
        result
    }
}
