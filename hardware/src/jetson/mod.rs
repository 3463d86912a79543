//! NVIDIA Jetson boards, over SSH.
//!
//! A model is uploaded, built into a TensorRT engine on the board (both are kept there for the next time), and run by
//! `trtexec` while a power meter reads, by default the board's own `tegrastats`. See [`crate::energy`] for how
//! energy is measured.
//!
//! A small agent starts all programs on the board. As soon as its connection ends, it ends them and restores power mode
//! and clocks. A board has one connection for as long as it is used, which its meter shares.

mod engine;
mod latency;
mod link;
mod options;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod trial;
mod trtexec;

pub use options::{JetsonOptions, PowerKind, Precision};

use crate::device::{Description, Device, DeviceError, Plan, Settings as _};
use crate::energy::{self, Load, Measured};
use crate::measurement::{Conditions, InvalidMeasurement, Measurement};
use crate::meter::PowerMeter;
use crate::model::Model;
use crate::remote::{RemoteError, Session, pause_after};
use crate::time::Clock;
use crate::warning::Warning;
use latency::{Latencies, latencies};
use link::Link;
use trial::Trials;

/// Kind of this device in experiment files and logs.
const KIND: &str = "jetson";

/// A Jetson board.
pub struct Jetson {
    options: JetsonOptions,
    clock: Clock,
    session: Session,
    link: Option<Link>,
    /// The meter; `None` if energy is not measured.
    meter: Option<Box<dyn PowerMeter>>,
    /// Whether a connection has succeeded before.
    was_there: bool,
    /// Whether the last connection failed for as long as the settings allow.
    is_away: bool,
}

impl Jetson {
    /// A device for the board, not connected yet.
    ///
    /// # Errors
    /// If a setting is impossible, or the meter does not exist.
    pub fn new(options: JetsonOptions) -> Result<Self, DeviceError> {
        let clock = Clock::start();
        let settings = |problem| {
            let host = options.machine.host.as_deref().unwrap_or_default();
            DeviceError::Settings { device: format!("{KIND} {host}"), problem }
        };
        if let Some(problem) = options.problem() {
            return Err(settings(problem));
        }
        let session = Session::new(options.machine.place().map_err(settings)?, options.machine.folder());
        let meter = options.meter().open_over(clock, &session);
        let mut new = Self { options, clock, session, link: None, meter: None, was_there: false, is_away: false };
        new.meter = meter.map_err(|error| new.error(error.into(), None))?;
        Ok(new)
    }

    fn label(&self) -> String {
        format!("{KIND} {}", self.session.place().label())
    }

    /// The connection; made if it does not exist yet.
    fn link(&mut self) -> Result<&mut Link, RemoteError> {
        let link = match self.link.take() {
            Some(link) => link,
            None => Link::open_patiently(&self.session, &self.options, self.was_there)?,
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
        let result = self.link().and_then(|link| measure(link, meter.as_deref_mut(), &clock, &options, model, plan));
        self.meter = meter;
        if let Err(error) = &result {
            if let Some(link) = &mut self.link
                && error.to_string().contains(trial::BAD_ENGINE)
            {
                // If this fails too, the next try shows it.
                let _ = engine::discard(&mut link.agent, &link.builder, model);
            }
            self.drop_link_after(error);
        }
        result
    }

    fn drop_link_after(&mut self, error: &RemoteError) {
        if !error.spares_connection() {
            self.link = None;
            self.session.close();
        }
    }

    fn error(&self, error: RemoteError, model: Option<&Model>) -> DeviceError {
        error.of_device(self.label(), model)
    }

    /// Its description with the meter that reads its power.
    fn ask(&mut self) -> Result<(Description, String), RemoteError> {
        let asked = self.ask_once();
        if let Err(error) = &asked {
            self.drop_link_after(error);
        }
        asked
    }

    fn ask_once(&mut self) -> Result<(Description, String), RemoteError> {
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
        let Some(meter) = &mut self.meter else { return Ok((description, "none".to_owned())) };
        let energy = options.energy();
        if !options.meter().is_on_board() {
            return Ok((energy.describe(description, Some(meter.as_ref())), meter.describe()));
        }
        // Only a reading shows which rails the board has, and whether the user may read them.
        let started = meter.start();
        let power = meter.source();
        // One reading is enough; the trace is too short for an energy.
        let _ = meter.stop();
        started?;
        if energy.subtract_idle {
            description = description.with("energy", "above idle");
        }
        Ok((description.with("power by", meter.describe()), power))
    }
}

/// Measures a model.
///
/// # Errors
/// If the board, its meter or the model fails.
fn measure(
    link: &mut Link,
    meter: Option<&mut (dyn PowerMeter + 'static)>,
    clock: &Clock,
    options: &JetsonOptions,
    model: &Model,
    plan: &Plan,
) -> Result<Measurement, RemoteError> {
    let engine = engine::provide(&mut link.agent, &link.place, &link.builder, model)?;
    link.agent.forget();
    let command = trial::command(&link.builder.trtexec, options, plan, &engine);
    let (warm_up, grace) = (plan.warm_up, options.grace);
    let mut trials = Trials { agent: &mut link.agent, clock, command, warm_up, grace, runs: Vec::new() };
    let (energy, conditions, mut warnings) = match meter {
        Some(meter) => {
            let measured = energy::measure(meter, clock, &mut trials, &options.energy(), plan.confidence_interval)?;
            let Measured { energy, conditions, warnings } = measured;
            (Some(energy), conditions, warnings)
        }
        None => {
            trials.run(plan.time_limit, &|| Ok(()))?;
            (None, Conditions::default(), Vec::new())
        }
    };
    let limit = if energy.is_some() { options.energy().window_limit } else { plan.time_limit };
    let Latencies { whole, without_transfer, doubts } = latencies(&trials.runs, plan, limit)?;
    warnings.extend(doubts);
    let measurement = Measurement {
        latency: whole,
        latency_without_transfer: without_transfer,
        throughput_per_s: None,
        energy,
        conditions,
        warnings,
    };
    measurement.validated().map_err(|error: InvalidMeasurement| RemoteError::Failed { problem: error.to_string() })
}

/// Whether to repeat a measurement because another program seems to have used the board.
fn is_disturbed(measurement: &Measurement) -> bool {
    measurement.warnings.iter().any(|warning| {
        matches!(warning, Warning::IdleChanged { .. } | Warning::Outliers { .. } | Warning::WideInterval { .. })
    })
}

impl Device for Jetson {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        self.ask().map(|(description, _)| description).map_err(|error| self.error(error, None))
    }

    fn health(&mut self) -> Result<Vec<(String, String)>, DeviceError> {
        let asked = self.ask().and_then(|(_, power)| {
            let link = self.link()?;
            let free = link.agent.ask(serde_json::json!({"do": "make room", "wanted": 0, "folder": "."}))?.bytes;
            let hello = link.agent.hello();
            Ok(vec![
                ("work folder".to_owned(), format!("{}, {} MB free", hello.folder, free >> 20)),
                ("trtexec".to_owned(), format!("{}, TensorRT {}", link.builder.trtexec, link.builder.version)),
                ("python3".to_owned(), hello.python.clone()),
                ("power meter".to_owned(), power),
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
                    // Repeat once only: a cause that is always there is not a disturbance.
                    if is_disturbed(&measurement) && disturbed.is_none() && attempt < self.options.tries {
                        problems.push("another program seemed to use the board".to_owned());
                        disturbed = Some(measurement);
                        continue;
                    }
                    if !problems.is_empty() {
                        measurement.warnings.push(Warning::Repeated { reasons: problems });
                    }
                    return Ok(measurement);
                }
                // The wait for a board that stayed away was long enough.
                Err(error) if error.is_transient() && !self.is_away && attempt < self.options.tries => {
                    problems.push(error.to_string());
                    std::thread::sleep(pause_after(attempt));
                }
                // A doubtful measurement is better than none.
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
        self.meter.is_some()
    }
}
