//! Sources of readings at another machine.

use std::time::Duration;

use serde_json::json;

use super::rails::{Form, Rails};
use super::{Jobs, Received};
use crate::meter::ina3221::Sensor;
use crate::meter::poll;
use crate::meter::stream::lines::Lines;
use crate::meter::stream::{self, StreamOptions};
use crate::meter::sysfs;
use crate::meter::{Condition, MeterError, ina3221};
use crate::remote::{Agent, RemoteError, Session};

/// Longest time that a program may run: longer than any measurement, whose limits are at most a day.
const LIMIT: Duration = Duration::from_secs(3 * 86_400);
/// Longest time that the first reading of a sensor may take.
const FIRST_READING: Duration = Duration::from_secs(10);
/// The same as a multiple of the time between two readings.
const SILENT_PERIODS: u32 = 20;
/// Time between two polls of temperature and clock.
const CONDITION_PERIOD: Duration = Duration::from_millis(200);

/// The source of readings.
#[derive(Debug, Clone)]
pub(in crate::meter) enum Source {
    /// Power sensors whose powers are added.
    Sensors { sensors: Vec<Sensor>, period: Duration },
    /// A program that prints readings.
    Program(StreamOptions),
    /// A Jetson's power monitors, by NVIDIA's program.
    Tegrastats { sudo: bool, period: Duration },
    /// A Jetson's power monitors, by their files below the root of sysfs.
    Ina3221 { root: String, period: Duration },
}

/// Files of sysfs that hold the GPU's temperature and clock.
#[derive(Debug, Clone)]
pub(super) struct ConditionFiles {
    /// In thousandths of a degree.
    temperature: Option<String>,
    /// In Hz.
    clock: Option<String>,
}

impl Source {
    /// Power sensors below a root of sysfs, [`sysfs::ROOT`] for the real ones; without a name the only sensor.
    pub fn sensors(session: &Session, root: &str, wanted: &[String], period: Duration) -> Result<Self, MeterError> {
        let lost = |error: RemoteError| unreachable(session, &error);
        let files = found(&mut session.agent().map_err(lost)?, root, sysfs::patterns()).map_err(lost)?;
        let place = format!("{root} ({})", session.place().label());
        let sensors = sysfs::choose(sysfs::sensors_of(&files), wanted, &place)?;
        let period = sysfs::period_of(&sensors, period);
        Ok(Self::Sensors { sensors, period })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Sensors { .. } => sysfs::NAME,
            Self::Program(_) => stream::NAME,
            Self::Tegrastats { .. } => "tegrastats",
            Self::Ina3221 { .. } => "INA3221",
        }
    }

    pub fn describe(&self, place: &str) -> String {
        match self {
            Self::Sensors { sensors, period } => {
                format!("power sensor {} of {place}, read every {} ms", sysfs::names(sensors), period.as_millis())
            }
            Self::Program(options) => format!("what {:?} prints on {place}", options.command.join(" ")),
            Self::Tegrastats { .. } | Self::Ina3221 { .. } => self.name().to_owned(),
        }
    }

    /// Its name in errors.
    pub fn label(&self, place: &str) -> String {
        match self {
            Self::Sensors { sensors, .. } => format!("{} ({place})", sysfs::names(sensors)),
            Self::Program(options) => format!("{} ({place})", options.program()),
            Self::Tegrastats { .. } | Self::Ina3221 { .. } => self.name().to_owned(),
        }
    }

    /// Longest time that the first readings may take.
    pub fn start_limit(&self) -> Duration {
        match self {
            Self::Program(options) => options.start_limit(),
            Self::Sensors { period, .. } | Self::Tegrastats { period, .. } | Self::Ina3221 { period, .. } => {
                FIRST_READING.max(SILENT_PERIODS * *period)
            }
        }
    }

    /// Begins to read.
    pub(super) fn begin(&self, agent: &mut Agent, label: &str) -> Result<(Jobs, Received), MeterError> {
        let lost = |error: RemoteError| MeterError::lost(label, error);
        let started = |agent: &mut Agent, argv: &[String], program: &str| {
            agent.start(argv, LIMIT, true).map_err(|error| match error {
                RemoteError::Agent { problem } => MeterError::not_started(program, problem),
                error => lost(error),
            })
        };
        let polled = |agent: &mut Agent, sensors: &[Sensor], period: Duration| {
            let files = sysfs::files(sensors);
            agent.poll(&files, period).map_err(|error| match error {
                RemoteError::Agent { problem } if problem.contains("PermissionError") => {
                    MeterError::no_rights(&files.join(", "), poll::RIGHTS)
                }
                RemoteError::Agent { problem } => MeterError::unread(&files.join(", "), problem),
                error => lost(error),
            })
        };
        let rails = |main, form| (Jobs { main, conditions: None }, Received::Rails(Box::new(Rails::new(form))));
        match self {
            Self::Program(options) => {
                let main = started(agent, &options.command, options.program())?;
                let received = Received::Lines(Box::new(Lines::new(&options.columns)));
                Ok((Jobs { main, conditions: None }, received))
            }
            Self::Tegrastats { sudo, period } => {
                let order = json!({"do": "which", "name": "tegrastats", "places": ["/usr/bin"]});
                let path = agent.ask(order).map_err(lost)?.path.ok_or_else(|| {
                    let advice = "install JetPack's tools (`sudo apt install nvidia-jetpack`), or choose another meter";
                    MeterError::absent("tegrastats", advice)
                })?;
                let prefix: &[&str] = if *sudo { &["sudo", "-n"] } else { &[] };
                let interval_ms = period.as_millis().to_string();
                let words = prefix.iter().copied().chain([path.as_str(), "--interval", &interval_ms]);
                let argv: Vec<String> = words.map(str::to_owned).collect();
                Ok(rails(started(agent, &argv, "tegrastats")?, Form::Tegrastats { sudo: *sudo }))
            }
            Self::Sensors { sensors, period } => {
                Ok(rails(polled(agent, sensors, *period)?, Form::Sum(sensors.clone())))
            }
            Self::Ina3221 { root, period } => {
                let files = found(agent, root, ina3221::PATTERNS).map_err(lost)?;
                let sensors = ina3221::rails(&files);
                if sensors.is_empty() {
                    let problem = format!(
                        "there are no INA3221 power monitors below {root}: where `tegrastats` prints power rails, set \
                         `meter.kind = \"tegrastats\"` in the board's section [devices.NAME]; else `meter.kind = \"none\"` \
                         to measure time alone, or name a meter in its supply"
                    );
                    return Err(MeterError::Absent(problem));
                }
                let conditions = match ConditionFiles::find(agent, root).map_err(lost)? {
                    Some(files) => {
                        let paths: Vec<String> = files.temperature.iter().chain(&files.clock).cloned().collect();
                        Some((agent.poll(&paths, CONDITION_PERIOD).map_err(lost)?, files))
                    }
                    None => None,
                };
                let (jobs, received) = rails(polled(agent, &sensors, *period)?, Form::Rails(sensors));
                Ok((Jobs { conditions, ..jobs }, received))
            }
        }
    }
}

/// The error of a connection to a machine, before its meter is read.
pub(super) fn unreachable(session: &Session, error: &RemoteError) -> MeterError {
    MeterError::lost(&format!("the meter of {}", session.place().label()), error)
}

/// Files that match the patterns below a root, with their content. A file that the user may not read has none; opening
/// it fails later with its name.
fn found(
    agent: &mut Agent,
    root: &str,
    patterns: impl IntoIterator<Item = &'static str>,
) -> Result<Vec<(String, String)>, RemoteError> {
    let patterns: Vec<String> = patterns.into_iter().map(|pattern| format!("{root}/{pattern}")).collect();
    let files = agent.ask(json!({"do": "look", "patterns": patterns}))?.files;
    Ok(files.into_iter().map(|(path, text)| (path, text.unwrap_or_default())).collect())
}

impl ConditionFiles {
    /// Suffixes of the names of a Jetson's GPU in devfreq: TX1 and Nano, TX2, Xavier, Orin.
    const GPUS: [&'static str; 5] = [".gpu", ".gm20b", ".gp10b", ".gv11b", ".ga10b"];

    fn find(agent: &mut Agent, root: &str) -> Result<Option<Self>, RemoteError> {
        let files = found(agent, root, ["class/thermal/thermal_zone*/type", "class/devfreq/*/cur_freq"])?;
        let zone = files.iter().find(|(path, text)| path.ends_with("/type") && text.to_lowercase().starts_with("gpu"));
        let clock = files.iter().find(|(path, text)| {
            let name = path.strip_suffix("/cur_freq").unwrap_or_default();
            !text.is_empty() && Self::GPUS.iter().any(|gpu| name.ends_with(gpu))
        });
        let files = Self {
            temperature: zone.and_then(|(path, _)| Some(format!("{}temp", path.strip_suffix("type")?))),
            clock: clock.map(|(path, _)| path.clone()),
        };
        Ok((files.temperature.is_some() || files.clock.is_some()).then_some(files))
    }

    pub fn condition(&self, at_ns: u64, values: &[String]) -> Condition {
        let mut values = values.iter().map(|text| text.parse::<f64>().ok().filter(|value| value.is_finite()));
        let mut next = |file: &Option<String>| file.as_ref().and_then(|_| values.next().flatten());
        let temperature_c = next(&self.temperature).map(|value| value / 1e3);
        Condition { at_ns, temperature_c, clock_mhz: next(&self.clock).map(|value| value / 1e6) }
    }
}
