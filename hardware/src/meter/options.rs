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

/// Which meter, and its settings.
///
/// ```toml
/// [power]
/// kind = "stream"
/// command = ["python3", "um25c.py", "--csv"]
/// columns = { volts = { column = "U", unit = "v" }, amperes = { column = "I", unit = "ma" } }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum MeterOptions {
    /// The processor's counters where they are and may be read, else a battery that is discharged, else none. A GPU is
    /// never taken: the inferences of the device `host` run on the processor, and a GPU's power says nothing of them. Nor do
    /// these meters see what a stick or a board draws: for those, name one.
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
        /// Its number or its UUID; not needed for the only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu: Option<GpuName>,
        /// Time between two polls, in ms; 20 by default.
        #[serde(default = "MeterOptions::nvml_period_ms")]
        period_ms: u64,
    },
    /// Power sensors that Linux knows, by `hwmon` or `iio`.
    Hwmon {
        /// Names of those that are added; not needed for the only one.
        #[serde(default)]
        sensors: Vec<String>,
        /// Time between two readings, in ms; 5 by default.
        #[serde(default = "MeterOptions::hwmon_period_ms")]
        period_ms: u64,
        /// The root of the files; `/sys` by default.
        #[serde(default = "MeterOptions::sysfs")]
        sysfs: String,
        /// The machine that they belong to; `here` by default.
        #[serde(default)]
        at: At,
    },
    /// A program that prints readings.
    Stream {
        /// The program and its arguments.
        command: Vec<String>,
        /// Which column of its lines holds what.
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
        /// Whether it is run by `sudo -n`; a Jetson's own `sudo` stands for it too.
        #[serde(default)]
        sudo: bool,
    },
    /// A Jetson's power monitors, read on the board from their files, at a few milliseconds.
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

/// Where the meters of this machine are found.
struct Roots<'a> {
    rapl: &'a Path,
    battery: &'a Path,
}

/// What there is on this machine.
enum Found {
    Rapl(RaplMeter),
    Battery(BatteryMeter),
    /// And why there is no more.
    Nothing(String),
}

impl Default for MeterOptions {
    fn default() -> Self {
        Self::Auto {}
    }
}

impl MeterOptions {
    /// A Jetson's own monitors, as every Jetson has them.
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

    /// The meter, not started yet, for a device at `place`, where `work_folder` is its folder. None where none is wanted,
    /// and for `auto` also where there is none; [`why_none`](Self::why_none) then tells why.
    ///
    /// # Errors
    /// If the named meter is not there, may not be read, cannot see what a device of another machine draws, or its
    /// settings make no sense.
    pub fn open(
        &self,
        clock: Clock,
        place: &Place,
        work_folder: &str,
    ) -> Result<Option<Box<dyn PowerMeter>>, MeterError> {
        // The agent of a meter has a folder of its own: when it begins, it ends what an earlier one of its folder left.
        self.open_over(clock, &Session::new(place.clone(), format!("{work_folder}/meter")))
    }

    /// The same over a session that the meter shares with its device.
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

    /// In one sentence, why a device at `place` has no meter, or why one that is there cannot be used: for `auto` that
    /// finds none, and for `none`. Nothing for the others, which fail instead.
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

    /// How long power should be measured for a model, unless something else is wanted: a slow meter needs longer. For
    /// `auto` it is that of the processor's counters.
    pub fn usual_window(&self) -> Duration {
        match self {
            Self::Battery { .. } => Duration::from_secs(60),
            Self::Stream { .. } | Self::Csv(_) | Self::Tegrastats { .. } | Self::Ina3221 { .. } => {
                Duration::from_secs(10)
            }
            _ => Duration::from_secs(2),
        }
    }

    /// How long the idle device should be measured, before and after.
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

    /// What an experiment file calls it.
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

    /// What this machine draws says nothing of another one.
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
    /// Whether that is this machine, for a device at a place.
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
    /// No window is as long.
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
    // One that is there, and could be used after all, tells more than one that is not.
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
