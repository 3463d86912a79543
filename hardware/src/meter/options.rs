//! The power meter of a device, as an experiment file describes it.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::battery::{self, BatteryMeter};
use super::csv_meter::{CsvMeter, CsvOptions};
use super::fields::Fields;
use super::nvml::{self, GpuName, NvmlMeter};
use super::rapl::{self, RaplMeter};
use super::remote_meter::{RemoteMeter, Source};
use super::stream::{StreamMeter, StreamOptions};
use super::sysfs::{self, SysfsMeter};
use super::{MeterError, PowerMeter};
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
        #[serde(default = "MeterOptions::rapl_period_ms")]
        period_ms: u64,
    },
    /// The battery of this machine.
    Battery {
        /// Time between two polls, in ms; 250 by default.
        #[serde(default = "MeterOptions::battery_period_ms")]
        period_ms: u64,
    },
    /// An NVIDIA GPU of this machine.
    Nvml {
        /// Its number or its UUID; optional if there is only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu: Option<GpuName>,
        /// Time between two polls, in ms; 20 by default.
        #[serde(default = "MeterOptions::nvml_period_ms")]
        period_ms: u64,
    },
    /// Power sensors of Linux's `hwmon` or `iio`.
    Hwmon {
        /// Names of those that are added; optional if there is only one.
        #[serde(default)]
        sensors: Vec<String>,
        /// Time between two readings, in ms; 5 by default.
        #[serde(default = "MeterOptions::hwmon_period_ms")]
        period_ms: u64,
        /// The root of the files; `/sys` by default.
        #[serde(default = "MeterOptions::sysfs")]
        sysfs: String,
        /// The machine of the sensors; `here` by default.
        #[serde(default)]
        at: At,
    },
    /// A program that prints readings.
    Stream {
        /// The program and its arguments.
        command: Vec<String>,
        /// The columns of its lines.
        columns: Fields,
        /// How long its first reading may take, in s; 30 by default.
        #[serde(default = "StreamOptions::default_start_limit_s")]
        start_limit_s: f64,
        /// The machine that it runs on; `here` by default.
        #[serde(default)]
        at: At,
    },
    /// A file that another program writes on this machine.
    Csv(CsvOptions),
    /// A Jetson's power monitors, read on the board by NVIDIA's `tegrastats`, which also gives temperature and clocks.
    Tegrastats {
        /// Time between two readings, in ms; 100 by default.
        #[serde(default = "MeterOptions::tegrastats_period_ms")]
        period_ms: u64,
        /// Whether `sudo -n` runs it; a Jetson's own `sudo` has the same effect.
        #[serde(default)]
        sudo: bool,
    },
    /// A Jetson's power monitors, read on the board from their files every few milliseconds.
    Ina3221 {
        /// Mean time between two readings, in ms; 5 by default.
        #[serde(default = "MeterOptions::ina3221_period_ms")]
        period_ms: u64,
        /// The root of the files; that of the Jetson by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sysfs: Option<String>,
    },
}

/// Where a meter is connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// To the machine that runs this program.
    #[default]
    Here,
    /// To the device's machine.
    Device,
}

/// Folders of this machine's meters.
struct Roots<'a> {
    rapl: &'a Path,
    battery: &'a Path,
}

/// The meter of this machine.
enum Found {
    Rapl(RaplMeter),
    Battery(BatteryMeter),
    /// No meter, and the reason.
    Nothing(String),
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

    fn rapl_period_ms() -> u64 {
        rapl::PERIOD.as_millis() as u64
    }

    fn battery_period_ms() -> u64 {
        battery::PERIOD.as_millis() as u64
    }

    fn nvml_period_ms() -> u64 {
        nvml::PERIOD.as_millis() as u64
    }

    fn hwmon_period_ms() -> u64 {
        sysfs::PERIOD.as_millis() as u64
    }

    fn tegrastats_period_ms() -> u64 {
        100
    }

    fn ina3221_period_ms() -> u64 {
        5
    }

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
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_over(&self, clock: Clock, session: &Session) -> Result<Option<Box<dyn PowerMeter>>, MeterError> {
        let place = session.place();
        let over = |source: Source| RemoteMeter::new(session.clone(), source, clock);
        let meter: Box<dyn PowerMeter> = match self {
            Self::None {} => return Ok(None),
            Self::Auto {} => match found(place, &Roots::here(), clock) {
                Found::Rapl(meter) => Box::new(meter),
                Found::Battery(meter) => Box::new(meter),
                Found::Nothing(_) => return Ok(None),
            },
            Self::Rapl { period_ms } => {
                self.reject_elsewhere(place)?;
                Box::new(RaplMeter::find(rapl::ROOT.as_ref(), period(*period_ms)?, clock)?)
            }
            Self::Battery { period_ms } => {
                self.reject_elsewhere(place)?;
                Box::new(BatteryMeter::find(battery::ROOT.as_ref(), period(*period_ms)?, clock)?)
            }
            Self::Nvml { gpu, period_ms } => {
                self.reject_elsewhere(place)?;
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
            Self::Stream { command, columns, start_limit_s, at } => {
                let (command, columns) = (command.clone(), columns.clone());
                let options = StreamOptions { command, columns, start_limit_s: *start_limit_s };
                options.check()?;
                if at.is_here(place) {
                    Box::new(StreamMeter::new(options, clock)?)
                } else {
                    Box::new(over(Source::Program(options)))
                }
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

    /// Whether it reads a board's own monitors.
    pub(crate) fn is_on_board(&self) -> bool {
        matches!(self, Self::Tegrastats { .. } | Self::Ina3221 { .. })
    }

    /// The reason, in one sentence, why a device at `place` has no usable meter: for `none`, and for `auto` if it finds
    /// none. `None` for the other kinds, which fail instead.
    pub fn why_none(&self, place: &Place) -> Option<String> {
        match self {
            Self::None {} => Some("its meter is set to \"none\"".to_owned()),
            Self::Auto {} => match found(place, &Roots::here(), Clock::start()) {
                Found::Nothing(why) => Some(why),
                _ => None,
            },
            _ => None,
        }
    }

    /// The default time of power measurement for a model: a slow meter needs longer. For `auto` it is that of the
    /// processor's counters.
    pub fn usual_window(&self) -> Duration {
        match self {
            Self::Battery { .. } => Duration::from_secs(60),
            Self::Stream { .. } | Self::Csv(_) | Self::Tegrastats { .. } | Self::Ina3221 { .. } => {
                Duration::from_secs(10)
            }
            _ => Duration::from_secs(2),
        }
    }

    /// The default time of the idle device, before and after.
    pub fn usual_idle(&self) -> Duration {
        match self {
            Self::Battery { .. } => Duration::from_secs(10),
            Self::Stream { .. } | Self::Csv(_) | Self::Tegrastats { .. } | Self::Ina3221 { .. } => {
                Duration::from_secs(3)
            }
            _ => Duration::from_millis(500),
        }
    }

    /// Makes the path of a recording valid in any working directory.
    pub(crate) fn make_absolute(&mut self) -> std::io::Result<()> {
        if let Self::Csv(csv) = self {
            csv.file = std::path::absolute(&csv.file)?;
        }
        Ok(())
    }

    /// Its kind in an experiment file.
    fn kind(&self) -> &'static str {
        match self {
            Self::Auto {} => "auto",
            Self::None {} => "none",
            Self::Rapl { .. } => "rapl",
            Self::Battery { .. } => "battery",
            Self::Nvml { .. } => "nvml",
            Self::Hwmon { .. } => "hwmon",
            Self::Stream { .. } => "stream",
            Self::Csv(_) => "csv",
            Self::Tegrastats { .. } => "tegrastats",
            Self::Ina3221 { .. } => "ina3221",
        }
    }

    /// The error of a meter of this machine for a device of another one.
    fn reject_elsewhere(&self, place: &Place) -> Result<(), MeterError> {
        let Place::Over(_) = place else { return Ok(()) };
        let problem = format!(
            "a meter of kind {:?} sees this machine alone, and the device is at {}: use \"hwmon\" or \"stream\" with `at = \
             \"device\"`, or a meter in the device's supply",
            self.kind(),
            place.label()
        );
        Err(MeterError::Settings(problem))
    }
}

impl At {
    /// Whether the meter is at this machine, for a device at a place.
    fn is_here(self, place: &Place) -> bool {
        self == Self::Here || matches!(place, Place::Here)
    }
}

impl Roots<'static> {
    fn here() -> Self {
        Self { rapl: Path::new(rapl::ROOT), battery: Path::new(battery::ROOT) }
    }
}

fn period(ms: u64) -> Result<Duration, MeterError> {
    /// Longest time between two readings: longer than any window.
    const LONGEST_MS: u64 = 60_000;
    if (1..=LONGEST_MS).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    Err(MeterError::Settings(format!("`period_ms` of a meter is from 1 to {LONGEST_MS}, not {ms}")))
}

/// The best that this machine has, if the device is here.
fn found(place: &Place, roots: &Roots<'_>, clock: Clock) -> Found {
    if let Place::Over(_) = place {
        return Found::Nothing(format!(
            "the meters of this machine say nothing of a device at {}: name a meter by its `kind`",
            place.label()
        ));
    }
    let counters = match RaplMeter::find(roots.rapl, rapl::PERIOD, clock) {
        Ok(meter) => return Found::Rapl(meter),
        Err(error) => error,
    };
    let battery = BatteryMeter::find(roots.battery, battery::PERIOD, clock);
    let battery = match battery.and_then(|meter| meter.usable().map(|()| meter)) {
        Ok(meter) => return Found::Battery(meter),
        Err(error) => error,
    };
    let is_absent = |error: &MeterError| matches!(error, MeterError::Absent(_));
    // The error of an existing meter is more helpful than that of a missing one.
    Found::Nothing(match (is_absent(&counters), is_absent(&battery)) {
        (true, true) => {
            "this machine has no energy counter that Linux shows (virtual machines and Arm processors have \
                         none), and no battery: connect a meter and name it by its `kind`"
                .to_owned()
        }
        (true, false) => battery.to_string(),
        (false, _) => counters.to_string(),
    })
}

#[cfg(test)]
mod tests;
