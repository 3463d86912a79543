//! The power of an NVIDIA GPU, through NVIDIA's management library (NVML).
//!
//! From Volta on a GPU counts its energy, in mJ since the driver was loaded
//! (`nvmlDeviceGetTotalEnergyConsumption` in NVIDIA's reference of NVML). The driver renews the counter only
//! every few dozen milliseconds. Between two polls that found it changed, the mean power is its difference divided by
//! the time, given as two readings like those of [`super::rapl`], so that integrals from change to change are exactly
//! the counter's. A poll finds a change at most one period late, which the next interval compensates. Older GPUs have
//! only a reading of power, which is less exact: on some it covers only a part of the time between two renewals (Yang,
//! Adamek and Armour 2024, "Part-time Power Measurements: nvidia-smi's Lack of Attention", SC24).
//!
//! Both cover the whole card, memory and fan included, and all programs that use it. Jetson boards report neither: the
//! device [`crate::jetson`] reads their own monitors instead.

use std::ffi::OsStr;
use std::sync::OnceLock;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use serde::{Deserialize, Serialize};

use super::poll::{self, PolledMeter, Sensor};
use super::power_meter::MOST_MW;
use super::{MeterError, Point, sysfs};
use crate::shown::start_of;
use crate::time::Clock;

/// Time between two polls, in ms.
pub(super) const PERIOD_MS: u64 = 20;

const NAME: &str = "nvml";
/// Longest time without a change of the counter, in ns: an idle GPU draws watts, so that a longer one is a fault.
const LONGEST_STANDSTILL_NS: u64 = 5_000_000_000;
const JETSON: &str =
    "Jetson boards are silent here: measure them with the device `jetson`, which reads their own monitors";

/// The GPU, if there are several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a GPU is its number, 0 for the first, or its UUID, as `nvidia-smi -L` lists them")]
pub enum GpuName {
    /// By its number, as `nvidia-smi -L` counts; the order may change when the machine starts.
    Index(u32),
    /// By its UUID: `GPU-…`.
    Uuid(String),
}

/// A meter of one NVIDIA GPU of this machine.
pub(super) type NvmlMeter = PolledMeter<Nvidia>;

/// A GPU, and the last change of its counter.
#[derive(Clone)]
pub(super) struct Nvidia {
    card: Card,
    source: Source,
    last: Option<Seen>,
}

/// The source of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Energy since an arbitrary instant, in mJ.
    Counter,
    /// Power, in mW.
    Power,
}

/// A GPU of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Card {
    index: u32,
    name: String,
    uuid: String,
}

/// The counter at a poll.
#[derive(Clone, Copy)]
struct Seen {
    at_ns: u64,
    energy_mj: u64,
    /// Whether it had just changed, so that the time fits the value.
    moved: bool,
}

impl NvmlMeter {
    /// Finds a GPU of this machine; without a name its only GPU.
    pub fn find(gpu: Option<&GpuName>, period: Duration, clock: Clock) -> Result<Self, MeterError> {
        let library = library()?;
        let failed = |error: NvmlError| meter_error("a GPU of NVIDIA's", &error);
        let mut cards = Vec::new();
        for index in 0..library.device_count().map_err(failed)? {
            // The user may have no rights to some GPUs.
            let Ok(device) = library.device_by_index(index) else { continue };
            let name = device.name().unwrap_or_else(|_| "unnamed".to_owned());
            cards.push(Card { index, name, uuid: device.uuid().map_err(failed)? });
        }
        let card = choose(&cards, gpu)?.clone();
        let source = source_of(|source| read(library, card.index, source), &card)?;
        Ok(Self::new(Nvidia { card, source, last: None }, period, clock))
    }
}

impl Sensor for Nvidia {
    const NAME: &'static str = NAME;

    fn describe(&self, period: Duration) -> String {
        let how = match self.source {
            Source::Counter => "energy counter",
            Source::Power => "power reading",
        };
        format!("{how} of {} (the whole card), read every {} ms", self.card.label(), period.as_millis())
    }

    fn poll(&mut self, clock: &Clock) -> Result<Vec<Point>, MeterError> {
        let library = library()?;
        let read = || Ok::<_, MeterError>(read(library, self.card.index, self.source));
        let (at_ns, value) = poll::timed(clock, read)?;
        self.readings(at_ns, value)
    }

    /// A step of the counter divided by the time between two polls, which matters less over a longer window; or the
    /// smallest difference between two values of the trace.
    fn resolution_mw(&self, points: &[Point], period: Duration) -> Option<f64> {
        match self.source {
            // mJ per s are mW.
            Source::Counter => Some(1.0 / period.as_secs_f64()),
            Source::Power => sysfs::smallest_step(points),
        }
    }
}

impl Card {
    fn label(&self) -> String {
        format!("GPU {} ({}, {})", self.index, self.name, self.uuid)
    }
}

impl Nvidia {
    fn readings(&mut self, at_ns: u64, value: Result<u64, NvmlError>) -> Result<Vec<Point>, MeterError> {
        match (value, self.source) {
            (Ok(energy_mj), Source::Counter) => self.counted(at_ns, energy_mj),
            (Ok(power), Source::Power) if power as f64 <= MOST_MW => Ok(vec![Point { at_ns, power_mw: power as f64 }]),
            (Ok(power), Source::Power) => Err(MeterError::Read(format!("{power} mW is absurd"))),
            (Err(error), _) if is_unsupported(&error) => {
                Err(MeterError::Failed("the GPU no longer reports its power".to_owned()))
            }
            (Err(error @ (NvmlError::GpuLost | NvmlError::ResetRequired | NvmlError::DriverNotLoaded)), _) => {
                Err(MeterError::Failed(format!("the GPU is lost: {error}")))
            }
            (Err(error), _) => Err(MeterError::Read(error.to_string())),
        }
    }

    /// The readings that a new value of the counter gives.
    fn counted(&mut self, at_ns: u64, energy_mj: u64) -> Result<Vec<Point>, MeterError> {
        let seen = |moved| Some(Seen { at_ns, energy_mj, moved });
        let Some(last) = self.last else {
            self.last = seen(false);
            return Ok(Vec::new());
        };
        if energy_mj == last.energy_mj {
            let still_ns = at_ns.saturating_sub(last.at_ns);
            if still_ns > LONGEST_STANDSTILL_NS {
                let problem = format!("the energy counter has stood still for {:.1} s", still_ns as f64 / 1e9);
                return Err(MeterError::Read(problem));
            }
            return Ok(Vec::new());
        }
        self.last = seen(energy_mj > last.energy_mj);
        let used_mj = energy_mj.checked_sub(last.energy_mj);
        let used_mj = used_mj.ok_or_else(|| MeterError::Read("the energy counter was set back".to_owned()))?;
        // Before the first observed change, the time of the last change is unknown.
        if !last.moved {
            return Ok(Vec::new());
        }
        poll::between_polls(last.at_ns, at_ns, used_mj.saturating_mul(1000))
    }
}

/// The value of a GPU's source.
fn read(library: &Nvml, index: u32, source: Source) -> Result<u64, NvmlError> {
    let device = library.device_by_index(index)?;
    match source {
        Source::Counter => device.total_energy_consumption(),
        Source::Power => device.power_usage().map(u64::from),
    }
}

/// Whether the GPU does not have the value, or the library is older than its function.
fn is_unsupported(error: &NvmlError) -> bool {
    matches!(error, NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound)
}

/// The library, which the program loads and initialises once.
fn library() -> Result<&'static Nvml, MeterError> {
    static LIBRARY: OnceLock<Nvml> = OnceLock::new();
    if let Some(library) = LIBRARY.get() {
        return Ok(library);
    }
    let init = |name: &str| Nvml::builder().lib_path(OsStr::new(name)).init();
    // The name without a version comes only with development packages.
    let library = init("libnvidia-ml.so.1").or_else(|first| init("libnvidia-ml.so").map_err(|_| first));
    let library = library.map_err(|error| meter_error("NVIDIA's management library (libnvidia-ml)", &error))?;
    Ok(LIBRARY.get_or_init(|| library))
}

/// An error of NVML as an error of a meter.
fn meter_error(what: &str, error: &NvmlError) -> MeterError {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::FailedToLoadSymbol(_) => {
            let advice = format!(
                "it comes with the driver of an NVIDIA GPU (in a container, with NVIDIA's runtime). {JETSON} ({error})"
            );
            MeterError::absent(what, &advice)
        }
        NvmlError::DriverNotLoaded => {
            let advice = format!("`nvidia-smi` must list the GPU first ({error})");
            MeterError::absent("the driver of an NVIDIA GPU", &advice)
        }
        NvmlError::NoPermission => MeterError::no_rights(what, "the user needs access to /dev/nvidia*"),
        _ => MeterError::unread(what, error),
    }
}

/// The GPU with the given name, or the only one.
fn choose<'a>(cards: &'a [Card], wanted: Option<&GpuName>) -> Result<&'a Card, MeterError> {
    let listed = || cards.iter().map(Card::label).collect::<Vec<_>>().join(", ");
    match (cards, wanted) {
        ([], _) => {
            let advice = format!("the driver lists none that this user may read (`nvidia-smi -L`). {JETSON}");
            Err(MeterError::absent("a GPU of NVIDIA's", &advice))
        }
        ([card], None) => Ok(card),
        (_, None) => Err(MeterError::Settings(format!(
            "there are several GPUs: name one by `gpu`, its number or its UUID, of {}",
            listed()
        ))),
        (_, Some(name)) => {
            let (found, name) = match name {
                GpuName::Index(index) => (cards.iter().find(|card| card.index == *index), index.to_string()),
                GpuName::Uuid(uuid) => (
                    cards.iter().find(|card| card.uuid.eq_ignore_ascii_case(uuid.trim())),
                    format!("{:?}", start_of(uuid, 80)),
                ),
            };
            let problem = || MeterError::Settings(format!("unknown GPU {name}: this machine has {}", listed()));
            found.ok_or_else(problem)
        }
    }
}

/// The best source that a GPU has.
fn source_of(read: impl Fn(Source) -> Result<u64, NvmlError>, card: &Card) -> Result<Source, MeterError> {
    if read(Source::Counter).is_ok() {
        return Ok(Source::Counter);
    }
    match read(Source::Power) {
        Ok(_) => Ok(Source::Power),
        Err(error) if is_unsupported(&error) => {
            let advice = format!("this GPU has no power sensor that its driver reports. {JETSON}");
            Err(MeterError::absent(&format!("a power reading of {}", card.label()), &advice))
        }
        Err(error) => Err(MeterError::unread(&card.label(), error)),
    }
}

#[cfg(test)]
mod tests;
