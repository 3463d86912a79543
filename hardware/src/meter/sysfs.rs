//! Power sensors that Linux shows below `/sys`: INA219, INA226, INA3221 and the like, through their `hwmon` or `iio`
//! drivers.
//!
//! `hwmon` drivers of one-channel sensors give power in µW (`power1_input`; `power1_average` alone for graphics cards and the
//! ACPI meters of servers, whose older drivers have it in the folder `device`), `iio` ones a raw number and its
//! factor for mW (`in_power2_raw`, `in_power2_scale`); three-channel ones give voltage and current, whose pairs
//! [`super::ina3221`] finds. The kernel's documentation of both interfaces defines the units.
//!
//! A mean over an interval (`power1_average_interval`) is read once in that time. A driver may keep a value for a while:
//! an unchanged one is a new reading only after the longest time between changes ([`Renewals`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ina3221::{self, Sensor};
use super::poll::{self, PolledMeter, RIGHTS, Renewals};
use super::power_meter::MOST_MW;
use super::{MeterError, Point, RailPower};
use crate::time::Clock;

/// The root of the files on Linux.
pub(super) const ROOT: &str = "/sys";
/// Files with power itself, below the root, and with its name; the sensors of [`ina3221::PATTERNS`] come in addition.
const PATTERNS: [&str; 12] = [
    "class/hwmon/hwmon*/power*_input",
    "class/hwmon/hwmon*/power*_average",
    "class/hwmon/hwmon*/power*_average_interval",
    "class/hwmon/hwmon*/power*_label",
    "class/hwmon/hwmon*/name",
    "class/hwmon/hwmon*/device/power*_average",
    "class/hwmon/hwmon*/device/power*_average_interval",
    "class/hwmon/hwmon*/device/name",
    "bus/iio/devices/iio:device*/in_power*_raw",
    "bus/iio/devices/iio:device*/in_power*_scale",
    "bus/iio/devices/iio:device*/in_power*_label",
    "bus/iio/devices/iio:device*/name",
];
/// Time between two readings that most sensors can follow, in ms.
pub(super) const PERIOD_MS: u64 = 5;

pub(super) const NAME: &str = "sysfs";
/// Longest time over which a sensor's value may be a mean: 30 of them take five minutes.
const LONGEST_MEAN_MS: u64 = 10_000;
/// Longest time for which drivers keep a value.
const LONGEST_KEPT: Duration = Duration::from_secs(1);
/// Most files that a pattern may match.
const MOST_FILES: usize = 512;

/// One or several sensors, read from their files.
pub(super) type SysfsMeter = PolledMeter<Sensors>;

/// Sensors whose powers are added, and the readings so far, with which the next poll is compared.
#[derive(Clone)]
pub(super) struct Sensors {
    sensors: Vec<Sensor>,
    renewals: Renewals,
}

/// All sensors below [`ROOT`], or another folder, in the order of their names. Their folder distinguishes two of the
/// same name.
fn sensors(root: &Path) -> Vec<Sensor> {
    let files = patterns().flat_map(|pattern| matches(root, pattern));
    let content = |path: PathBuf| {
        let text = poll::small_file(&path, RIGHTS).unwrap_or_default();
        (path.display().to_string(), text)
    };
    sensors_of(&files.map(content).collect::<Vec<_>>())
}

/// Patterns of all sensors' files below the root of sysfs.
pub(super) fn patterns() -> impl Iterator<Item = &'static str> {
    ina3221::PATTERNS.into_iter().chain(PATTERNS)
}

/// The folder of a file with power itself, its channel, and the factor to mW; `text` is the content of a file.
fn channel<'a>(path: &'a str, text: impl Fn(String) -> Option<&'a str>) -> Option<(&'a str, &'a str, f64)> {
    let (folder, file) = path.rsplit_once('/')?;
    if let Some(channel) = file.strip_suffix("_raw").filter(|channel| channel.starts_with("in_power")) {
        let scale = text(format!("{folder}/{channel}_scale"))?.parse::<f64>().ok()?;
        return (scale.is_finite() && scale > 0.0).then_some((folder, channel, scale));
    }
    let is_power = |channel: &&str| channel.starts_with("power") && path.contains("/class/hwmon/");
    if let Some(channel) = file.strip_suffix("_average").filter(is_power) {
        // The mean over an interval is the second choice; a link to the device may lead to the same file.
        let parent = folder.strip_suffix("/device").unwrap_or_default();
        let others = [(folder, "input"), (parent, "input"), (parent, "average")];
        let is_second = others.iter().any(|(folder, kind)| text(format!("{folder}/{channel}_{kind}")).is_some());
        return (!is_second).then_some((folder, channel, 1e-3));
    }
    Some((folder, file.strip_suffix("_input").filter(is_power)?, 1e-3))
}

/// The sensors of files, each with its content, in the order of their names.
pub(super) fn sensors_of(files: &[(String, String)]) -> Vec<Sensor> {
    let content: BTreeMap<&str, &str> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let text = |path: String| content.get(path.as_str()).copied().filter(|text| !text.is_empty());
    let sensor = |path| {
        let (folder, channel, factor) = channel(path, text)?;
        let parent = folder.strip_suffix("/device").unwrap_or(folder);
        let chip = || text(format!("{folder}/name")).or_else(|| text(format!("{parent}/name"))).unwrap_or("sensor");
        let name = match text(format!("{folder}/{channel}_label")) {
            Some(label) => label.to_owned(),
            None => format!("{} {}", chip(), channel.trim_start_matches("in_")),
        };
        let mean_ms = text(format!("{path}_interval")).and_then(|interval| interval.parse().ok()).unwrap_or(0);
        Some(Sensor { name, files: vec![path.to_owned()], factor, mean_ms })
    };
    let mut sensors = ina3221::rails(files);
    sensors.extend(content.keys().copied().filter_map(sensor));
    // Equal names get the folder; within one folder, the file too.
    for part in [1, 0] {
        let names: Vec<String> = sensors.iter().map(|sensor| sensor.name.clone()).collect();
        for sensor in &mut sensors {
            if names.iter().filter(|name| **name == sensor.name).count() > 1 {
                let part = sensor.files.first().and_then(|file| file.rsplit('/').nth(part));
                sensor.name = format!("{} ({})", sensor.name, part.unwrap_or_default());
            }
        }
    }
    sensors.sort_by(|a, b| a.name.cmp(&b.name));
    sensors
}

/// The sensors with the given names; without a name the only sensor. A sensor whose value is the mean of a long time is an
/// error.
pub(super) fn choose(all: Vec<Sensor>, wanted: &[String], place: &str) -> Result<Vec<Sensor>, MeterError> {
    let names = || all.iter().map(|sensor| format!("{:?}", sensor.name)).collect::<Vec<_>>().join(", ");
    if all.is_empty() {
        return Err(MeterError::absent(
            &format!("a power sensor below {place}"),
            "its driver is not loaded, or it is not announced to the kernel (a device tree overlay, or `echo ina226 0x40 | \
             sudo tee /sys/bus/i2c/devices/i2c-1/new_device`)",
        ));
    }
    if wanted.is_empty() && all.len() > 1 {
        let problem = format!("there are several power sensors: name which to add, of {}", names());
        return Err(MeterError::Settings(problem));
    }
    let sensor = |name: &String| {
        let found = all.iter().find(|sensor| sensor.name == *name);
        let problem = || format!("no power sensor is called {name:?}: there are {}", names());
        found.cloned().ok_or_else(|| MeterError::Settings(problem()))
    };
    let chosen: Vec<Sensor> = match wanted {
        [] => all,
        wanted => wanted.iter().map(sensor).collect::<Result<_, _>>()?,
    };
    if let Some(Sensor { name, files, mean_ms, .. }) = chosen.iter().find(|sensor| sensor.mean_ms > LONGEST_MEAN_MS) {
        return Err(MeterError::Settings(format!(
            "the power sensor {name:?} shows a mean of {} s, too long for a load: shorten it (`echo 1000 | sudo tee \
             {}_interval`), or name another meter",
            mean_ms / 1000,
            files.join(", ")
        )));
    }
    Ok(chosen)
}

/// The time between two readings of sensors: the wanted one, or longer where a value is the mean of a longer time.
pub(super) fn period_of(sensors: &[Sensor], wanted: Duration) -> Duration {
    sensors.iter().map(|sensor| Duration::from_millis(sensor.mean_ms)).fold(wanted, Duration::max)
}

/// Names of the sensors, as a sum.
pub(super) fn names(sensors: &[Sensor]) -> String {
    sensors.iter().map(|sensor| sensor.name.as_str()).collect::<Vec<_>>().join(" + ")
}

/// Files of the sensors, in their order.
pub(super) fn files(sensors: &[Sensor]) -> Vec<String> {
    sensors.iter().flat_map(|sensor| sensor.files.clone()).collect()
}

impl SysfsMeter {
    /// A meter of the sensors with these names, whose powers are added; without a name, of the only sensor.
    pub fn find(root: &Path, wanted: &[String], period: Duration, clock: Clock) -> Result<Self, MeterError> {
        let sensors = choose(sensors(root), wanted, &root.display().to_string())?;
        let period = period_of(&sensors, period);
        Ok(Self::new(Sensors { sensors, renewals: Renewals::new(Duration::ZERO, LONGEST_KEPT) }, period, clock))
    }
}

impl poll::Sensor for Sensors {
    const NAME: &'static str = NAME;

    fn describe(&self, period: Duration) -> String {
        format!("power sensor {}, read every {} ms", names(&self.sensors), period.as_millis())
    }

    fn poll(&mut self, clock: &Clock) -> Result<Vec<Point>, MeterError> {
        let read = || power_mw(&self.sensors, |file| poll::whole_number(Path::new(file), RIGHTS));
        let (at_ns, power_mw) = poll::timed(clock, read)?;
        Ok(self.renewals.reading(Point { at_ns, power_mw }))
    }

    fn resolution_mw(&self, points: &[Point], _period: Duration) -> Option<f64> {
        smallest_step(points)
    }
}

/// Power of each sensor, from the numbers in its files.
pub(super) fn powers(
    sensors: &[Sensor],
    mut number: impl FnMut(&str) -> Result<i64, MeterError>,
) -> Result<Vec<RailPower>, MeterError> {
    let mut power = |sensor: &Sensor| {
        let mut power_mw = sensor.factor;
        for file in &sensor.files {
            power_mw *= number(file)? as f64;
        }
        if power_mw.abs() > MOST_MW {
            return Err(MeterError::unread(&sensor.files.join(", "), format!("{power_mw:.0} mW is absurd")));
        }
        Ok(RailPower { name: sensor.name.clone(), power_mw })
    };
    sensors.iter().map(&mut power).collect()
}

/// Total power of the sensors.
fn power_mw(sensors: &[Sensor], number: impl FnMut(&str) -> Result<i64, MeterError>) -> Result<f64, MeterError> {
    Ok(powers(sensors, number)?.iter().map(|rail| rail.power_mw).sum())
}

/// Smallest difference between two powers.
pub(super) fn smallest_step(points: &[Point]) -> Option<f64> {
    let mut powers: Vec<f64> = points.iter().map(|point| point.power_mw).collect();
    powers.sort_unstable_by(f64::total_cmp);
    let steps = powers.windows(2).map(|two| two[1] - two[0]).filter(|step| *step > 1e-9);
    steps.min_by(f64::total_cmp)
}

/// Paths below a root that match a pattern with `*` for any part of a name.
fn matches(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut paths = vec![root.to_owned()];
    for part in pattern.split('/') {
        let below = |folder: PathBuf| match part.contains('*') {
            true => poll::entries(&folder, |name| fits(name, part)),
            false => vec![folder.join(part)],
        };
        paths = paths.into_iter().flat_map(below).take(MOST_FILES).collect();
    }
    paths.retain(|path| path.exists());
    paths.sort();
    paths
}

/// Whether a name matches a pattern; with several stars each matches at the first possible place.
fn fits(name: &str, pattern: &str) -> bool {
    let Some((start, mut rest)) = pattern.split_once('*') else { return name == pattern };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    while let Some((middle, after)) = rest.split_once('*') {
        let Some(at) = name.find(middle) else { return false };
        name = &name[at + middle.len()..];
        rest = after;
    }
    name.ends_with(rest)
}

#[cfg(test)]
mod tests;
