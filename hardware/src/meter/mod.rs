//! Power over time, as a meter reads it.
//!
//! A [`PowerMeter`] gives a [`Trace`]; [`crate::energy`] computes energy from it. [`MeterOptions`] names and opens one.

pub(crate) mod align;
mod battery;
mod collected;
pub mod csv_meter;
mod csv_trace;
mod error;
pub mod fields;
mod health;
mod ina3221;
mod nvml;
pub mod options;
mod poll;
mod power_meter;
mod rails;
mod rapl;
mod remote_meter;
mod stamps;
mod stream;
mod sysfs;
mod tegrastats;

pub use align::Pattern;
pub use error::MeterError;
pub(crate) use health::{Shown, health};
pub use options::MeterOptions;
pub use power_meter::PowerMeter;
pub use rails::Total;
pub(crate) use remote_meter::PASSWORD_ADVICE;
pub use stream::StreamOptions;

use serde::{Deserialize, Serialize};

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

/// Power of one rail.
#[derive(Debug, Clone, PartialEq)]
pub struct RailPower {
    /// The rail's name on this board.
    pub name: String,
    /// Its power, in mW. A rail without load can read slightly negative.
    pub power_mw: f64,
}

/// Power of all rails of a meter at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Time stamp, in nanoseconds of the trace's clock.
    pub at_ns: u64,
    /// Power of each rail.
    pub rails: Vec<RailPower>,
}

/// Temperature and clock of a device at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// Time stamp, in nanoseconds of the trace's clock.
    pub at_ns: u64,
    /// Temperature of the GPU, or of the hottest junction where the GPU has no sensor, in °C.
    pub temperature_c: Option<f64>,
    /// Clock of the GPU, in MHz.
    pub clock_mhz: Option<f64>,
}

/// The readings of one meter, in the order of their time stamps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    readings: Vec<Reading>,
    /// Temperature and clock of the device; empty if the meter reads neither.
    pub conditions: Vec<Condition>,
    /// Smallest difference between two readings, in mW; `None` if unknown.
    pub resolution_mw: Option<f64>,
    /// Standard uncertainty of the time stamps, relative to the load, in s.
    pub stamp_uncertainty_s: f64,
    /// Doubts about it.
    pub notes: Vec<String>,
}

/// Power at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Time stamp, in nanoseconds of the trace's clock.
    pub at_ns: u64,
    /// Power, in mW.
    pub power_mw: f64,
}

impl Trace {
    /// A trace of one rail.
    pub fn of_rail(name: &str, points: impl IntoIterator<Item = Point>) -> Self {
        let mut trace = Self::default();
        for Point { at_ns, power_mw } in points {
            trace.push(Reading { at_ns, rails: vec![RailPower { name: name.to_owned(), power_mw }] });
        }
        trace
    }

    /// Adds a reading and returns `true`, or drops it if it is not later than the last: without time between the two,
    /// integration is impossible.
    pub(crate) fn push(&mut self, reading: Reading) -> bool {
        let is_later = self.readings.last().is_none_or(|last| last.at_ns < reading.at_ns);
        if is_later {
            self.readings.push(reading);
        }
        is_later
    }

    /// Drops the readings of which no point is kept; points are in the order of time.
    pub(crate) fn keep(&mut self, kept: &[Point]) {
        self.readings.retain(|reading| kept.binary_search_by_key(&reading.at_ns, |point| point.at_ns).is_ok());
    }

    /// Adds a later trace of the same meter.
    pub(crate) fn extend(&mut self, later: Self) {
        for reading in later.readings {
            self.push(reading);
        }
        self.conditions.extend(later.conditions);
        self.resolution_mw = later.resolution_mw;
        self.stamp_uncertainty_s = self.stamp_uncertainty_s.max(later.stamp_uncertainty_s);
        self.notes.extend(later.notes);
    }

    /// All readings.
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Names of the rails of the first reading; all readings have the same rails.
    pub fn rails(&self) -> Vec<&str> {
        let first = self.readings.first();
        first.map(|reading| reading.rails.iter().map(|rail| rail.name.as_str()).collect()).unwrap_or_default()
    }

    /// One rail over time, without readings that lack it.
    pub fn rail(&self, name: &str) -> Vec<Point> {
        self.series(|rails| rails.iter().find(|rail| rail.name == name).map(|rail| rail.power_mw))
    }

    /// The sum of the rails of a total over time, without readings that lack one of them.
    pub fn total(&self, total: &Total) -> Vec<Point> {
        self.series(|rails| total.power_mw(rails))
    }

    fn series(&self, power: impl Fn(&[RailPower]) -> Option<f64>) -> Vec<Point> {
        let point = |reading: &Reading| Some(Point { at_ns: reading.at_ns, power_mw: power(&reading.rails)? });
        self.readings.iter().filter_map(point).collect()
    }
}

/// The points from one instant to another, both included, of points in the order of time.
pub(crate) fn between(points: &[Point], from_ns: u64, to_ns: u64) -> &[Point] {
    let start = points.partition_point(|point| point.at_ns < from_ns);
    let end = points.partition_point(|point| point.at_ns <= to_ns);
    &points[start..end.max(start)]
}

#[cfg(test)]
mod round_trip_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at_ns: u64, rails: &[(&str, f64)]) -> Reading {
        let rail = |(name, power_mw): &(&str, f64)| RailPower { name: (*name).to_owned(), power_mw: *power_mw };
        Reading { at_ns, rails: rails.iter().map(rail).collect() }
    }

    #[test]
    fn readings_out_of_order_and_without_the_rail_are_left_out() {
        let mut trace = Trace::default();
        assert!(trace.push(reading(10, &[("VDD_IN", 5.0)])));
        assert!(!trace.push(reading(10, &[("VDD_IN", 6.0)])));
        assert!(!trace.push(reading(9, &[("VDD_IN", 6.0)])));
        assert!(trace.push(reading(20, &[("VDD_SYS_GPU", 1.0)])));
        assert!(trace.push(reading(30, &[("VDD_IN", 7.0)])));
        let series = trace.rail("VDD_IN");
        assert_eq!(series, [Point { at_ns: 10, power_mw: 5.0 }, Point { at_ns: 30, power_mw: 7.0 }]);
        assert_eq!(between(&series, 11, 30).len(), 1);
        assert_eq!(between(&series, 31, 5), []);
    }
}
