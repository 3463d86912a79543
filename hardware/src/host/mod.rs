//! This machine as a device: inference in-process with tract.
//!
//! The model runs on threads of its own, each bound to a core where the operating system allows.
//! Every run is timed by itself; the mean is over all of them, outliers included, because a user
//! of the model meets those too. Runs end when the 95 % confidence interval of the mean is as
//! narrow as the [`Plan`] wants. The interval is that of batch means, since successive runs are
//! not independent. Where the machine has a power meter, the model then runs on for energy.

mod energy;
mod inference;
mod limits;
mod machine;
mod stopwatch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use core_affinity::CoreId;
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::multithread::Executor;

use inference::panic_message;
pub use inference::{Inference, InferenceError};

use crate::device::{Description, Device, DeviceError, Plan};
use crate::doubts;
use crate::measurement::{Conditions, Latency, Measurement};
use crate::energy::{EnergyOptions, EnergyPlan};
use crate::meter::{MeterOptions, PowerMeter};
use crate::model::Model;
use crate::options::Settings;
use crate::remote::Place;
use crate::time::Clock;
use crate::warning::Warning;

/// Kind of this device in experiment files and logs.
const KIND: &str = "host";

/// Version of the inference engine: times of two versions are not comparable.
const RUNTIME: &str = "tract 0.23.9";

/// Settings of [`Host`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostOptions {
    /// Number of threads one inference runs on; 1 gives the steadiest times.
    pub threads: usize,
    /// What power is read by.
    pub meter: MeterOptions,
    /// How energy is measured.
    pub energy: EnergyOptions,
}

impl Default for HostOptions {
    /// One thread, and the meter that this machine has, if any.
    fn default() -> Self {
        Self { threads: 1, meter: MeterOptions::Auto {}, energy: EnergyOptions::default() }
    }
}

impl Settings for HostOptions {
    fn open(&self) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(Host::new(self.clone())?))
    }

    fn problem(&self) -> Option<String> {
        self.energy.resolved(&self.meter).problem().map(|problem| format!("energy: {problem}"))
    }

    fn why_no_energy(&self) -> Option<String> {
        self.meter.why_none(&Place::Here)
    }

    fn make_absolute(&mut self) -> std::io::Result<()> {
        self.meter.make_absolute()
    }

    fn limit_patience(&mut self, _limit: std::time::Duration) {}
}

/// The machine this program runs on.
pub struct Host {
    machine: Machine,
    meter: Option<Box<dyn PowerMeter>>,
}

/// The machine without its meter, which no two threads may share.
#[derive(Debug)]
struct Machine {
    name: String,
    threads: usize,
    /// The cores this program may use, as many as the machine has at most.
    cores: usize,
    /// One core a thread; empty where the operating system names none.
    pinned_to: Vec<CoreId>,
    clock: Clock,
    energy: EnergyPlan,
}

impl Host {
    /// A device for this machine.
    ///
    /// # Errors
    ///
    /// When the number of threads is zero or above the number of cores this program may use: more
    /// threads than cores would time the scheduler. And when there is no such meter as is asked for.
    pub fn new(options: HostOptions) -> Result<Self, DeviceError> {
        let problem = options.problem();
        let HostOptions { threads, meter, energy } = options;
        let energy = energy.resolved(&meter);
        let name = machine::processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let mut ids = core_affinity::get_core_ids().unwrap_or_default();
        let cores = if ids.is_empty() { thread::available_parallelism().map_or(1, usize::from) } else { ids.len() };
        let settings = |problem: String| DeviceError::Settings { device: format!("{KIND} {name}"), problem };
        if threads == 0 || threads > cores {
            return Err(settings(format!(
                "threads is {threads}, but this program may use {cores} core(s): choose 1 to {cores}"
            )));
        }
        if let Some(problem) = problem {
            return Err(settings(problem));
        }
        let clock = Clock::start();
        let meter = meter.open(clock, &Place::Here, ".").map_err(|error| settings(error.to_string()))?;
        // Operating systems prefer the first cores for interrupts and for their own work.
        let pinned_to = ids.split_off(ids.len().saturating_sub(threads));
        Ok(Self { machine: Machine { name, threads, cores, pinned_to, clock, energy }, meter })
    }
}

impl Machine {
    /// Measures on the calling thread, which is the one that gets pinned.
    fn measure_here(
        &self,
        meter: Option<&mut (dyn PowerMeter + 'static)>,
        model: &Model,
        plan: &Plan,
    ) -> Result<Measurement, DeviceError> {
        let refused = |error: InferenceError| DeviceError::Refused {
            device: self.label(),
            architecture: model.architecture.clone(),
            reason: error.to_string(),
        };
        let failed = |error: InferenceError| DeviceError::Failed {
            device: self.label(),
            architecture: model.architecture.clone(),
            reason: error.to_string(),
        };
        let pinned = Arc::new(AtomicBool::new(true));
        pin(self.pinned_to.first(), &pinned);
        let executor = self.executor(&pinned)?;
        let mut inference = Inference::load_on(&model.path, executor).map_err(refused)?;
        inference.expect_input_shape(&model.input_shape).map_err(refused)?;

        let core = self.pinned_to.first().map(|core| core.id);
        let temperature_before_c = machine::temperature_c();
        let clock_before_mhz = core.and_then(machine::clock_mhz);
        let samples_ms = stopwatch::time(&mut inference, plan).map_err(failed)?;
        let conditions = Conditions {
            temperature_before_c,
            clock_before_mhz,
            temperature_after_c: machine::temperature_c(),
            clock_after_mhz: core.and_then(machine::clock_mhz),
        };
        let mut warnings = doubts::of_runs(&samples_ms, plan);
        let energy = match meter {
            Some(meter) => {
                let measured = energy::measure(&mut inference, meter, &self.clock, &self.energy, plan);
                let measured = measured.map_err(|error| DeviceError::Failed {
                    device: self.label(),
                    architecture: model.architecture.clone(),
                    reason: error.to_string(),
                })?;
                warnings.extend(measured.warnings);
                Some(measured.energy)
            }
            None => None,
        };
        if !pinned.load(Ordering::Relaxed) {
            warnings.push(Warning::NotPinned);
        }
        let measurement = Measurement {
            latency: Latency::from_samples(&samples_ms)?,
            latency_without_transfer: None,
            throughput_per_s: None,
            energy,
            conditions,
            warnings,
        };
        Ok(measurement.validated()?)
    }

    /// What tract computes on: the calling thread alone, or a pool of pinned threads.
    fn executor(&self, pinned: &Arc<AtomicBool>) -> Result<Executor, DeviceError> {
        if self.threads == 1 {
            return Ok(Executor::SingleThread);
        }
        let cores = self.pinned_to.clone();
        let pinned = Arc::clone(pinned);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|index| format!("inference {index}"))
            .start_handler(move |index| pin(cores.get(index), &pinned))
            .build();
        match pool {
            Ok(pool) => Ok(Executor::MultiThread(Arc::new(pool))),
            Err(error) => Err(DeviceError::Settings {
                device: self.label(),
                problem: format!("{} threads cannot be started: {error}", self.threads),
            }),
        }
    }

    fn label(&self) -> String {
        format!("{KIND} {}", self.name)
    }
}

impl Device for Host {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        let machine = &self.machine;
        let description = Description::new(KIND, &machine.name)
            .with("threads", machine.threads)
            .with("cores", machine.cores)
            .with("runtime", RUNTIME);
        Ok(machine.energy.describe(description, self.meter.as_deref().map(|meter| meter as &dyn PowerMeter)))
    }

    fn measure(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, DeviceError> {
        let mut meter = self.meter.take();
        let (machine, beside) = (&self.machine, meter.as_deref_mut());
        // A thread that ends takes its affinity with it; the caller's stays as it was.
        let measured = thread::scope(|scope| {
            thread::Builder::new()
                .name("inference".to_owned())
                .spawn_scoped(scope, || machine.measure_here(beside, model, plan))
                .map(|thread| thread.join())
        });
        let failed = |reason: String| DeviceError::Failed {
            device: machine.label(),
            architecture: model.architecture.clone(),
            reason,
        };
        let result = match measured {
            Ok(Ok(result)) => result,
            // A model that trips an assertion in the engine costs itself, not the search.
            Ok(Err(panic)) => Err(failed(format!("the inference engine panicked: {}", panic_message(panic.as_ref())))),
            Err(error) => Err(failed(format!("no thread could be started: {error}"))),
        };
        self.meter = meter;
        result
    }

    fn shares_machine(&self) -> bool {
        true
    }

    fn measures_energy(&self) -> bool {
        self.meter.is_some()
    }
}

/// Binds the calling thread to `core`, and notes where that did not work.
fn pin(core: Option<&CoreId>, pinned: &AtomicBool) {
    if !core.is_some_and(|core| core_affinity::set_for_current(*core)) {
        pinned.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
