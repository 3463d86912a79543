//! This machine as a device: inference in-process with rten, and with kernels of this crate for convolutions and average pooling.
//!
//! The model runs on threads of its own, each bound to a core where the operating system allows.
//! Every run is timed by itself; the mean is over all of them, outliers included, because a user
//! of the model meets those too. Runs end when the 95 % confidence interval of the statistic is as
//! narrow as the [`Plan`] wants. The interval is that of batches, since successive runs are
//! not independent. Where the machine has a power meter, the model then runs on for energy.

mod blocks;
mod complete;
mod convolution;
mod energy;
mod feed;
mod guard;
mod inference;
mod kernels;
mod limits;
mod machine;
mod planes;
mod pointwise;
mod product;
mod range;
mod segments;
mod stopwatch;
mod tiny;
mod vector;
mod windows;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use core_affinity::CoreId;
use rten::ThreadPool;
use serde::{Deserialize, Serialize};

use energy::HostEnergyError;
use guard::guarded;
pub use inference::{Inference, InferenceError};

use crate::device::{Description, Device, DeviceError, Plan, Settings};
use crate::doubts;
use crate::energy::{EnergyOptions, EnergyPlan};
use crate::measurement::{Conditions, Latency, Measurement};
use crate::meter::{MeterError, MeterOptions, PowerMeter, health};
use crate::model::Model;
use crate::remote::Place;
use crate::seconds;
use crate::time::Clock;
use crate::warning::Warning;

/// Kind of this device in experiment files and logs.
const KIND: &str = "host";

/// Version of the inference engine: times of two versions are not comparable. Without commas, so
/// that a log needs no quotes round the device.
const RUNTIME: &str = "rten 0.27.0 with own kernels 4";

/// Settings of [`Host`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostOptions {
    /// Number of threads one inference runs on; 1 gives the steadiest times.
    pub threads: usize,
    /// The power meter.
    pub meter: MeterOptions,
    /// How energy is measured.
    pub energy: EnergyOptions,
    /// How long to wait for a meter that does not work.
    #[serde(rename = "patience_s", with = "seconds", skip_serializing_if = "is_usual_patience")]
    pub patience: Duration,
}

/// Experiments of earlier versions have no such key, and keep their text.
fn is_usual_patience(patience: &Duration) -> bool {
    *patience == HostOptions::PATIENCE
}

impl HostOptions {
    const PATIENCE: Duration = Duration::from_secs(120);
}

impl Default for HostOptions {
    /// One thread, and the meter that this machine has, if any.
    fn default() -> Self {
        let (meter, energy) = (MeterOptions::Auto {}, EnergyOptions::default());
        Self { threads: 1, meter, energy, patience: Self::PATIENCE }
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

    fn limit_patience(&mut self, limit: Duration) {
        self.patience = self.patience.min(limit);
    }

    fn patience(&self) -> Duration {
        self.patience
    }
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
    /// Number of cores this program may use, at most those of the machine.
    cores: usize,
    /// The threads that models run on.
    pool: Arc<ThreadPool>,
    /// Number of the first thread's core; absent where the operating system names no cores.
    core: Option<usize>,
    /// Whether each thread is bound to a core.
    is_pinned: bool,
    clock: Clock,
    energy: EnergyPlan,
}

impl Host {
    /// A device for this machine.
    ///
    /// # Errors
    ///
    /// When the number of threads is zero or above the number of cores this program may use, since more
    /// threads than cores would time the scheduler, or when the meter cannot be opened.
    pub fn new(mut options: HostOptions) -> Result<Self, DeviceError> {
        // A battery needs other times than the counters that `auto` prefers.
        options.meter = options.meter.chosen(&Place::Here);
        let problem = options.problem();
        let HostOptions { threads, meter, energy, .. } = options;
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
        let bound_to = ids.split_off(ids.len().saturating_sub(threads));
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        let Some(is_pinned) = pool.run(|| pin(threads, &bound_to)) else {
            return Err(settings(format!("{threads} threads cannot be started")));
        };
        let core = bound_to.first().map(|core| core.id);
        Ok(Self { machine: Machine { name, threads, cores, pool, core, is_pinned, clock, energy }, meter })
    }
}

impl Machine {
    /// Measures on the calling thread, which is one of the pool: so no run has to wait for another thread to wake up.
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
        let inference = Inference::load_on(&model.path, &self.pool).map_err(refused)?;

        let temperature_before_c = machine::temperature_c();
        let clock_before_mhz = self.core.and_then(machine::clock_mhz);
        let samples_ms = stopwatch::time(&inference, plan).map_err(failed)?;
        let conditions = Conditions {
            temperature_before_c,
            clock_before_mhz,
            temperature_after_c: machine::temperature_c(),
            clock_after_mhz: self.core.and_then(machine::clock_mhz),
        };
        let mut warnings = doubts::of_runs(&samples_ms, plan);
        let energy = match meter {
            Some(meter) => {
                let measured = energy::measure(&inference, meter, &self.clock, &self.energy, plan);
                let measured = measured.map_err(|error| match error {
                    HostEnergyError::Meter(MeterError::Settings(problem) | MeterError::Absent(problem)) => {
                        DeviceError::Settings { device: self.label(), problem }
                    }
                    HostEnergyError::Meter(error) => {
                        DeviceError::Meter { device: self.label(), reason: error.to_string() }
                    }
                    error => DeviceError::Failed {
                        device: self.label(),
                        architecture: model.architecture.clone(),
                        reason: error.to_string(),
                    },
                })?;
                warnings.extend(measured.warnings);
                Some(measured.energy)
            }
            None => None,
        };
        if !self.is_pinned {
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

    fn health(&mut self) -> Result<Vec<(String, String)>, DeviceError> {
        let Some(meter) = self.meter.as_deref_mut() else { return Ok(Vec::new()) };
        let settings =
            |error: MeterError| DeviceError::Settings { device: self.machine.label(), problem: error.to_string() };
        Ok(vec![("meter".to_owned(), health(meter).map_err(settings)?)])
    }

    fn measure(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, DeviceError> {
        let Self { machine, meter } = self;
        // A model that trips an assertion in the engine costs itself, not the search.
        let measured = machine.pool.run(|| guarded(|| machine.measure_here(meter.as_deref_mut(), model, plan)));
        measured.unwrap_or_else(|reason| {
            Err(DeviceError::Failed { device: machine.label(), architecture: model.architecture.clone(), reason })
        })
    }

    fn shares_machine(&self) -> bool {
        true
    }

    fn measures_energy(&self) -> bool {
        self.meter.is_some()
    }
}

/// Binds each thread of the calling pool to its core. The result is whether that worked for all, and absent where the
/// calling thread is not one of so many.
fn pin(threads: usize, cores: &[CoreId]) -> Option<bool> {
    if rayon::current_thread_index().is_none() || rayon::current_num_threads() != threads {
        return None;
    }
    let bound =
        rayon::broadcast(|thread| cores.get(thread.index()).is_some_and(|id| core_affinity::set_for_current(*id)));
    Some(bound.into_iter().all(|is_bound| is_bound))
}

#[cfg(test)]
mod tests;
