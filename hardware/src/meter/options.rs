//! The power meter of a device, as an experiment file describes it.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::battery::{self, BatteryMeter};
use super::csv_meter::{CsvMeter, CsvOptions};
use super::nvml::{self, GpuName, NvmlMeter};
use super::rapl::{self, RaplMeter};
use super::remote_meter::{RemoteMeter, Source};
use super::stream::{StreamMeter, StreamOptions};
use super::sysfs::{self, SysfsMeter};
use super::{At, MeterError, PowerMeter};
use crate::path::expand_home;
use crate::remote::{Place, Session};
use crate::time::Clock;

/// The kind of meter, and its settings.
///
/// ```toml
/// [devices.stick.meter]
/// kind = "stream"
/// command = ["python3", "um25c.py", "--csv"]
/// columns = { volts = { column = "U", unit = "v" }, amperes = { column = "I", unit = "ma" } }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum MeterOptions {
    /// The processor's counters if they exist and are readable, else a battery that is discharged, else none. This kind
    /// never chooses a GPU: the inferences of the device `host` run on the processor, which a GPU's power does not
    /// include. These meters do not see the power of a stick or a board either: for those, name a kind.
    Auto {},
    /// None: energy is not measured.
    None {},
    /// The energy counters of this machine's processor.
    Rapl {
        /// Time between two polls, in ms; 20 by default.
        #[serde(default = "ms::<{ rapl::PERIOD_MS }>")]
        period_ms: u64,
    },
    /// The battery of this machine.
    Battery {
        /// Time between two polls, in ms; 250 by default.
        #[serde(default = "ms::<{ battery::PERIOD_MS }>")]
        period_ms: u64,
    },
    /// An NVIDIA GPU of this machine.
    Nvml {
        /// Its number or its UUID; optional if there is only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu: Option<GpuName>,
        /// Time between two polls, in ms; 20 by default.
        #[serde(default = "ms::<{ nvml::PERIOD_MS }>")]
        period_ms: u64,
    },
    /// Power sensors of Linux's `hwmon` or `iio`.
    Hwmon {
        /// Names of those that are added; optional if there is only one.
        #[serde(default)]
        sensors: Vec<String>,
        /// Time between two readings, in ms; 5 by default.
        #[serde(default = "ms::<{ sysfs::PERIOD_MS }>")]
        period_ms: u64,
        /// The root of the files; `/sys` by default.
        #[serde(default = "MeterOptions::sysfs")]
        sysfs: String,
        /// The machine of the sensors; `here` by default.
        #[serde(default)]
        at: At,
    },
    /// A program that prints readings.
    Stream(StreamOptions),
    /// A file that another program writes on this machine.
    Csv(CsvOptions),
    /// A Jetson's power monitors, read on the board by NVIDIA's `tegrastats`, which also gives temperature and clocks.
    Tegrastats {
        /// Time between two readings, in ms; 100 by default.
        #[serde(default = "ms::<100>")]
        period_ms: u64,
        /// Whether `sudo -n` runs it; a Jetson's own `sudo` has the same effect.
        #[serde(default)]
        sudo: bool,
    },
    /// A Jetson's power monitors, read on the board from their files every few milliseconds.
    Ina3221 {
        /// Mean time between two readings, in ms; 5 by default.
        #[serde(default = "ms::<5>")]
        period_ms: u64,
        /// The root of the files; that of the Jetson by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sysfs: Option<String>,
    },
}

impl Default for MeterOptions {
    fn default() -> Self {
        Self::Auto {}
    }
}

impl MeterOptions {
    /// A Jetson's own monitors by `tegrastats`, which every Jetson has.
    pub const TEGRASTATS: Self = Self::Tegrastats { period_ms: 100, sudo: false };
    /// The same by their files.
    pub(crate) const INA3221: Self = Self::Ina3221 { period_ms: 5, sysfs: None };

    fn sysfs() -> String {
        sysfs::ROOT.to_owned()
    }

    /// The meter, not started yet, for a device at `place`, where `work_folder` is its folder. `None` for the kind
    /// `none`, and for `auto` on a machine without a meter; [`why_none`](Self::why_none) then gives the reason.
    ///
    /// # Errors
    /// If the named meter does not exist, is not readable, cannot see the power of another machine's device, or has
    /// invalid settings.
    pub fn open(
        &self,
        clock: Clock,
        place: &Place,
        work_folder: &str,
    ) -> Result<Option<Box<dyn PowerMeter>>, MeterError> {
        // The agent of a meter has its own folder: an agent that starts ends the programs of an earlier one in its
        // folder.
        self.open_over(clock, &Session::new(place.clone(), format!("{work_folder}/meter")))
    }

    /// Opens the meter over a session that it shares with its device.
    pub(crate) fn open_over(&self, clock: Clock, session: &Session) -> Result<Option<Box<dyn PowerMeter>>, MeterError> {
        let place = session.place();
        let over = |source: Source| RemoteMeter::new(session.clone(), source, clock);
        let mut options = self.clone();
        options.expand_home();
        let meter: Box<dyn PowerMeter> = match &options {
            Self::None {} => return Ok(None),
            Self::Auto {} => {
                return match self.chosen(place) {
                    Self::Auto {} => Ok(None),
                    chosen => chosen.open_over(clock, session),
                };
            }
            Self::Rapl { period_ms } => {
                reject_elsewhere("rapl", place)?;
                Box::new(RaplMeter::find(rapl::ROOT.as_ref(), period(*period_ms)?, clock)?.counting()?)
            }
            Self::Battery { period_ms } => {
                reject_elsewhere("battery", place)?;
                Box::new(BatteryMeter::find(battery::ROOT.as_ref(), period(*period_ms)?, clock)?)
            }
            Self::Nvml { gpu, period_ms } => {
                reject_elsewhere("nvml", place)?;
                Box::new(NvmlMeter::find(gpu.as_ref(), period(*period_ms)?, clock)?)
            }
            Self::Hwmon { sensors, period_ms, sysfs, at } => {
                let period = period(*period_ms)?;
                if at.is_here(place) {
                    Box::new(SysfsMeter::find(sysfs.as_ref(), sensors, period, clock)?)
                } else {
                    Box::new(over(Source::sensors(session, sysfs, sensors, period)?))
                }
            }
            Self::Stream(options) if options.at.is_here(place) => Box::new(StreamMeter::new(options.clone(), clock)?),
            Self::Stream(options) => {
                options.check()?;
                Box::new(over(Source::Program(options.clone())))
            }
            Self::Tegrastats { period_ms, sudo } => {
                Box::new(over(Source::Tegrastats { sudo: *sudo, period: period(*period_ms)? }))
            }
            Self::Ina3221 { period_ms, sysfs } => {
                let root = sysfs.clone().unwrap_or_else(Self::sysfs);
                Box::new(over(Source::Ina3221 { root, period: period(*period_ms)? }))
            }
            Self::Csv(options) => Box::new(CsvMeter::new(options.clone(), clock)?),
        };
        Ok(Some(meter))
    }

    /// For `auto` the kind that it finds for a device at `place`, if it finds one; the other kinds themselves.
    pub(crate) fn chosen(&self, place: &Place) -> Self {
        let is_auto = matches!(self, Self::Auto {});
        let found = is_auto.then(|| found(place, rapl::ROOT.as_ref(), battery::ROOT.as_ref()).ok());
        found.flatten().unwrap_or_else(|| self.clone())
    }

    /// Whether it reads a board's own monitors.
    pub(crate) fn is_on_board(&self) -> bool {
        matches!(self, Self::Tegrastats { .. } | Self::Ina3221 { .. })
    }

    /// The reason, in one sentence, why a device at `place` has no usable meter: for `none`, and for `auto` if it finds
    /// none. `None` for the other kinds, which fail instead.
    pub fn why_none(&self, place: &Place) -> Option<String> {
        match self {
            Self::None {} => Some("its meter is set to \"none\"".to_owned()),
            Self::Auto {} => found(place, rapl::ROOT.as_ref(), battery::ROOT.as_ref()).err(),
            _ => None,
        }
    }

    /// The default time of power measurement for a model, and that of the idle device before and after: a slow meter needs
    /// longer. For `auto` they are those of the processor's counters, unless another kind is [`chosen`](Self::chosen).
    pub(crate) fn usual_times(&self) -> (Duration, Duration) {
        match self {
            Self::Battery { .. } => (Duration::from_secs(60), Duration::from_secs(10)),
            Self::Stream(_) | Self::Csv(_) | Self::Tegrastats { .. } | Self::Ina3221 { .. } => {
                (Duration::from_secs(10), Duration::from_secs(3))
            }
            _ => (Duration::from_secs(2), Duration::from_millis(500)),
        }
    }

    /// Makes the path of a recording valid in any working directory.
    pub(crate) fn make_absolute(&mut self) -> std::io::Result<()> {
        self.expand_home();
        if let Self::Csv(csv) = self {
            csv.file = std::path::absolute(&csv.file)?;
        }
        Ok(())
    }

    /// Replaces `~` at the begin of the paths of this machine; no shell does so.
    fn expand_home(&mut self) {
        match self {
            Self::Csv(csv) => csv.file = expand_home(&csv.file),
            Self::Stream(StreamOptions { command, at: At::Here, .. }) => {
                for word in command {
                    *word = expand_home(word.as_ref()).display().to_string();
                }
            }
            _ => {}
        }
    }
}

impl At {
    /// Whether the meter is at this machine, for a device at a place.
    fn is_here(self, place: &Place) -> bool {
        self == Self::Here || matches!(place, Place::Here)
    }
}

fn ms<const DEFAULT: u64>() -> u64 {
    DEFAULT
}

/// The error of a meter of this machine for a device of another one.
fn reject_elsewhere(kind: &str, place: &Place) -> Result<(), MeterError> {
    let Place::Over(_) = place else { return Ok(()) };
    let problem = format!(
        "a meter of kind {kind:?} sees this machine alone, and the device is at {}: use \"hwmon\" or \"stream\" with `at = \
         \"device\"`, or a meter in the device's supply",
        place.label()
    );
    Err(MeterError::Settings(problem))
}

fn period(ms: u64) -> Result<Duration, MeterError> {
    /// Longest time between two readings: longer than any window.
    const LONGEST_MS: u64 = 60_000;
    if (1..=LONGEST_MS).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    Err(MeterError::Settings(format!("`period_ms` of a meter is from 1 to {LONGEST_MS}, not {ms}")))
}

/// The best that this machine has, with its counters and batteries below these folders, or the reason why it has none.
fn found(place: &Place, counters: &Path, batteries: &Path) -> Result<MeterOptions, String> {
    if let Place::Over(_) = place {
        return Err(format!(
            "the meters of this machine say nothing of a device at {}: name a meter by its `kind`",
            place.label()
        ));
    }
    let clock = Clock::start();
    let counters = RaplMeter::find(counters, Duration::from_millis(rapl::PERIOD_MS), clock);
    let counters = match counters.and_then(RaplMeter::counting) {
        Ok(_) => return Ok(MeterOptions::Rapl { period_ms: rapl::PERIOD_MS }),
        Err(error) => error,
    };
    let battery = BatteryMeter::find(batteries, Duration::from_millis(battery::PERIOD_MS), clock);
    let battery = match battery.and_then(|meter| meter.usable()) {
        Ok(()) => return Ok(MeterOptions::Battery { period_ms: battery::PERIOD_MS }),
        Err(error) => error,
    };
    // The error of an existing meter is more helpful than that of a missing one.
    Err(match (counters, battery) {
        (MeterError::Absent(_), MeterError::Absent(_)) => {
            "this machine has no energy counter that Linux shows (virtual machines and Arm processors have \
                         none), and no battery: connect a meter and name it by its `kind`"
                .to_owned()
        }
        (MeterError::Absent(_), battery) => battery.to_string(),
        (counters, _) => counters.to_string(),
    })
}

#[cfg(test)]
mod tests;
