//! NVIDIA Jetson boards, over SSH.
//!
//! A model is uploaded, built into a TensorRT engine on the board (both are kept there for the next time), and run by
//! `trtexec` on a board that has come to rest, while its power monitors are read. All time stamps are the board's own.
//! See [`energy`](crate::energy) for what becomes of the readings.
//!
//! Whatever runs there is started by a small agent, which ends all of it, and puts power mode and clocks back, as soon
//! as it is not spoken to any more: a connection that breaks leaves nothing behind.

mod engine;
mod latency;
mod link;
mod measure;
mod meter;
mod options;
mod outside;
mod settle;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod trial;
pub mod trtexec;

pub use options::{JetsonOptions, PowerKind, Precision};

use crate::device::{Description, Device, DeviceError, Plan};
use crate::measurement::Measurement;
use crate::meter::power_meter::PowerMeter;
use crate::model::Model;
use crate::options::Settings as _;
use crate::remote::{Place, RemoteError, pause_after};
use crate::time::Clock;
use crate::warning::Warning;
use link::Link;

/// Kind of this device in experiment files and logs.
const KIND: &str = "jetson";

/// A Jetson board.
pub struct Jetson {
    options: JetsonOptions,
    place: Place,
    clock: Clock,
    link: Option<Link>,
    /// The meter outside the board, if there is one.
    meter: Option<Box<dyn PowerMeter>>,
    /// Whether it has ever been connected to.
    was_there: bool,
    /// Whether it could not be connected to the last time, for as long as the settings allow.
    is_away: bool,
}

impl Jetson {
    /// A device for the board; it is not connected to yet.
    ///
    /// # Errors
    /// If a setting makes no sense, or there is no such meter.
    pub fn new(options: JetsonOptions) -> Result<Self, DeviceError> {
        let clock = Clock::start();
        let settings = |problem| {
            let host = options.machine.host.as_deref().unwrap_or_default();
            DeviceError::Settings { device: format!("{KIND} {host}"), problem }
        };
        if let Some(problem) = options.problem() {
            return Err(settings(problem));
        }
        let place = options.machine.place().map_err(settings)?;
        let meter = options.meter.open(clock, &place, &options.machine.folder());
        let mut new = Self { options, place, clock, link: None, meter: None, was_there: false, is_away: false };
        new.meter = meter.map_err(|error| new.error(error.into(), None))?;
        Ok(new)
    }

    fn label(&self) -> String {
        format!("{KIND} {}", self.place.label())
    }

    /// The connection, made if there is none.
    fn link(&mut self) -> Result<&mut Link, RemoteError> {
        let link = match self.link.take() {
            Some(link) => link,
            None => Link::open_patiently(&self.options, self.was_there)?,
        };
        self.was_there = true;
        self.is_away = false;
        Ok(self.link.insert(link))
    }

    fn attempt(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, RemoteError> {
        let options = self.options.clone();
        self.is_away = true;
        let clock = self.clock;
        let mut meter = self.meter.take();
        let result = self.link().and_then(|link| match &mut meter {
            Some(meter) => outside::measure(link, meter.as_mut(), &clock, &options, model, plan),
            None => measure::measure(link, &options, model, plan),
        });
        self.meter = meter;
        if let Err(error) = &result {
            if let Some(link) = &mut self.link
                && error.to_string().contains(trial::BAD_ENGINE)
            {
                // Where this fails too, the next try tells.
                let _ = engine::discard(&mut link.agent, &link.builder, model);
            }
            self.drop_link_after(error);
        }
        result
    }

    fn drop_link_after(&mut self, error: &RemoteError) {
        if !error.spares_connection() {
            self.link = None;
        }
    }

    fn error(&self, error: RemoteError, model: Option<&Model>) -> DeviceError {
        error.of_device(self.label(), model)
    }

    /// What it is, and what its power is read from.
    fn ask(&mut self) -> Result<(Description, (&'static str, String)), RemoteError> {
        let asked = self.ask_once();
        if let Err(error) = &asked {
            self.drop_link_after(error);
        }
        asked
    }

    fn ask_once(&mut self) -> Result<(Description, (&'static str, String)), RemoteError> {
        let options = self.options.clone();
        let link = self.link()?;
        let hello = link.agent.hello();
        let name = hello.model.clone().unwrap_or_else(|| "Jetson".to_owned());
        let mut description = Description::new(KIND, name).with("host", link.place.address().unwrap_or_default());
        if let Some(release) = &hello.release {
            description =
                description.with("L4T", release.split(", GCID").next().unwrap_or_default().trim_start_matches("# "));
        }
        description = description
            .with("TensorRT", &link.builder.version)
            .with("precision", options.precision.as_str())
            .with("power mode", link.power_mode.as_deref().unwrap_or("unknown"))
            .with("clocks", if options.fix_clocks { "fixed" } else { "free" });
        if let Some(meter) = &self.meter {
            let read = ("power meter", meter.describe());
            return Ok((options.energy.resolved(&options.meter).describe(description, Some(meter.as_ref())), read));
        }
        let rails = self.link()?.look_at_rails(&options)?;
        Ok((description.with("power by", options.power_source().as_str()), ("power rails", rails)))
    }
}

impl Device for Jetson {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        self.ask().map(|(description, _)| description).map_err(|error| self.error(error, None))
    }

    fn health(&mut self) -> Result<Vec<(String, String)>, DeviceError> {
        let asked = self.ask().and_then(|(_, (name, power))| {
            let link = self.link()?;
            let free = link.agent.ask(serde_json::json!({"do": "make room", "wanted": 0, "folder": "."}))?.bytes;
            let hello = link.agent.hello();
            Ok(vec![
                ("work folder".to_owned(), format!("{}, {} MB free", hello.folder, free >> 20)),
                ("trtexec".to_owned(), format!("{}, TensorRT {}", link.builder.trtexec, link.builder.version)),
                ("python3".to_owned(), hello.python.clone()),
                (name.to_owned(), power),
                ("power mode".to_owned(), link.power_mode.clone().unwrap_or_else(|| "unknown".to_owned())),
            ])
        });
        asked.map_err(|error| self.error(error, None))
    }

    fn measure(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, DeviceError> {
        let mut disturbed: Option<Measurement> = None;
        let mut problems: Vec<String> = Vec::new();
        for attempt in 1..=self.options.tries {
            match self.attempt(model, plan) {
                Ok(mut measurement) => {
                    // Once is enough: what is always so is no disturbance.
                    if measure::is_disturbed(&measurement) && disturbed.is_none() && attempt < self.options.tries {
                        problems.push("something else seemed to use the board".to_owned());
                        disturbed = Some(measurement);
                        continue;
                    }
                    if !problems.is_empty() {
                        measurement.warnings.push(Warning::Repeated { reasons: problems });
                    }
                    return Ok(measurement);
                }
                // A board that stayed away was waited for long enough.
                Err(error) if error.is_transient() && !self.is_away && attempt < self.options.tries => {
                    problems.push(error.to_string());
                    std::thread::sleep(pause_after(attempt));
                }
                // A measurement in doubt is better than none.
                Err(error) => match disturbed {
                    Some(mut measurement) => {
                        problems.push(error.to_string());
                        measurement.warnings.push(Warning::Repeated { reasons: problems });
                        return Ok(measurement);
                    }
                    None => return Err(self.error(error, Some(model))),
                },
            }
        }
        // The last try always returns; there is at least one.
        Err(DeviceError::Settings { device: self.label(), problem: "tries must be at least 1".to_owned() })
    }

    fn shares_machine(&self) -> bool {
        false
    }

    fn measures_energy(&self) -> bool {
        true
    }
}
