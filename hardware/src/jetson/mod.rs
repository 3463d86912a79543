//! NVIDIA Jetson boards, over SSH.
//!
//! A model is uploaded, built into a TensorRT engine on the board, which is kept there for the next time, and run by
//! `trtexec` while a power meter reads, by default the board's own `tegrastats`. See [`crate::energy`] for how
//! energy is measured.
//!
//! A small agent starts all programs on the board. As soon as its connection ends, it ends them and restores power mode
//! and clocks. A board has one connection for as long as it is used, which its meter shares.

mod engine;
mod link;
mod options;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod trial;
mod trtexec;

pub use options::{JetsonOptions, PowerKind, Precision};

use serde_json::json;

use crate::device::{Description, Device, DeviceError, Plan};
use crate::doubts;
use crate::measurement::{InvalidMeasurement, Latency, Measurement};
use crate::meter::{self, PowerMeter};
use crate::model::Model;
use crate::program::{self, Machine};
use crate::remote::{RemoteError, measure_patiently};
use crate::time::Clock;
use crate::warning::Warning;
use link::Link;
use trial::Trials;

/// Kind of this device in experiment files and logs.
const KIND: &str = "jetson";

/// A Jetson board.
pub struct Jetson {
    options: JetsonOptions,
    machine: Machine<Link>,
}

impl Jetson {
    /// A device for the board, not connected yet.
    ///
    /// # Errors
    /// If a setting is impossible, or the meter does not exist.
    pub fn new(options: JetsonOptions) -> Result<Self, DeviceError> {
        let machine = Machine::new(KIND, &options, &options.machine, options.machine.folder(), &options.meter())?;
        Ok(Self { options, machine })
    }

    /// Does something with the connection, which is opened where there is none.
    fn with_link<T>(
        &mut self,
        act: impl FnOnce(&mut Link, Option<&mut (dyn PowerMeter + 'static)>, &JetsonOptions) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let Self { options, machine } = self;
        let open = |agent, place: &_| Link::set_up(agent, place, options);
        machine.with(options.patience, open, |link, meter| act(link, meter, options))
    }

    fn attempt(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, RemoteError> {
        let clock = self.machine.clock;
        self.with_link(|link, meter, options| {
            let result = measure(link, meter, &clock, options, model, plan);
            if result.as_ref().is_err_and(|error| error.to_string().contains(trial::BAD_ENGINE)) {
                // If this fails too, the next try shows it.
                let _ = link.agent.ask(json!({"do": "remove", "path": link.builder.engine(model)}));
            }
            result
        })
    }

    /// Its description with the meter that reads its power.
    fn ask(&mut self) -> Result<(Description, String), RemoteError> {
        self.with_link(describe)
    }
}

/// A board's description with the meter that reads its power.
fn describe(
    link: &mut Link,
    meter: Option<&mut (dyn PowerMeter + 'static)>,
    options: &JetsonOptions,
) -> Result<(Description, String), RemoteError> {
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
    let Some(meter) = meter else { return Ok((description, "none".to_owned())) };
    let energy = options.energy();
    if !options.meter().is_on_board() {
        return Ok((energy.describe(description, Some(meter)), meter.describe()));
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

/// Measures a model.
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
    let command = trial::command(&link.builder.trtexec, options, &engine);
    let (warm_up, grace) = (plan.warm_up, options.grace);
    let mut trials = Trials { agent: &mut link.agent, clock, command, warm_up, grace, runs: Vec::new() };
    let (energy, conditions, mut warnings) = program::run(&mut trials, meter, clock, &options.energy(), plan)?;
    let limit = if energy.is_some() { options.energy().window_limit } else { plan.time_limit };
    let impossible = |error: InvalidMeasurement| RemoteError::Failed { problem: error.to_string() };
    let latency = |samples: &[f64]| Latency::from_samples(samples).map_err(impossible);
    let compute: Vec<f64> = trials.runs.iter().flat_map(|trial| trial.runs.compute_ms.iter().copied()).collect();
    // With transfers of input and output, where all runs have them.
    let whole: Option<Vec<&[f64]>> = trials.runs.iter().map(|trial| trial.runs.latency_ms.as_deref()).collect();
    let whole = whole.map(|runs| runs.concat());
    let all = whole.as_ref().unwrap_or(&compute);
    warnings.extend(doubts::of_runs(all, &Plan { time_limit: limit, ..plan.clone() }));
    warnings.extend((options.precision == Precision::Int8).then_some(Warning::Uncalibrated));
    let measurement = Measurement {
        latency: latency(all)?,
        latency_without_transfer: whole.as_ref().map(|_| latency(&compute)).transpose()?,
        throughput_per_s: None,
        energy,
        conditions,
        warnings,
    };
    measurement.validated().map_err(impossible)
}

/// Whether to repeat a measurement because another program seems to have used the board.
fn is_disturbed(measurement: &Measurement) -> bool {
    measurement.warnings.iter().any(|warning| {
        matches!(warning, Warning::IdleChanged { .. } | Warning::Outliers { .. } | Warning::WideInterval { .. })
    })
}

impl Device for Jetson {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        self.ask().map(|(description, _)| description).map_err(|error| self.machine.error(error, None))
    }

    fn health(&mut self) -> Result<Vec<(String, String)>, DeviceError> {
        let asked = self.ask().and_then(|(_, power)| {
            self.with_link(|link, meter, _| {
                let mut health = link.agent.health()?;
                let mut add = |name: &str, value| health.push((name.to_owned(), value));
                add("trtexec", format!("{}, TensorRT {}", link.builder.trtexec, link.builder.version));
                add("power meter", power);
                add("power mode", link.power_mode.clone().unwrap_or_else(|| "unknown".to_owned()));
                if let Some(meter) = meter {
                    add("meter", meter::health(meter)?);
                }
                Ok(health)
            })
        });
        asked.map_err(|error| self.machine.error(error, None))
    }

    fn measure(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, DeviceError> {
        let (tries, patience) = (self.options.tries, self.options.patience);
        let measured = measure_patiently(tries, patience, is_disturbed, || self.attempt(model, plan));
        measured.map_err(|error| self.machine.error(error, Some(model)))
    }

    fn release(&mut self) {
        self.machine.release();
    }

    fn shares_machine(&self) -> bool {
        false
    }

    fn measures_energy(&self) -> bool {
        self.machine.meter.is_some()
    }
}
