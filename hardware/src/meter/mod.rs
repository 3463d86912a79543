//! Power over time, as a meter reads it.

pub mod align;
pub mod battery;
pub mod csv_meter;
pub mod csv_trace;
mod error;
pub mod fields;
pub mod ina3221;
pub mod nvml;
pub mod options;
mod poll;
pub mod power_meter;
pub mod rails;
pub mod rapl;
pub mod remote_meter;
mod stamps;
pub mod stream;
pub mod sysfs;
pub mod tegrastats;

pub use align::Pattern;
pub use options::MeterOptions;
pub use power_meter::{MeterError, MeterNote, PowerMeter};

use self::tegrastats::RailPower;

/// What one look at a board's power monitors gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When, in nanoseconds of the clock of the machine that ran the inference.
    pub at_ns: u64,
    /// Power of each rail.
    pub rails: Vec<RailPower>,
}

/// The readings of one meter, in the order of their time stamps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    readings: Vec<Reading>,
}

/// Power of one rail, or of a sum of rails, over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    points: Vec<Point>,
}

/// Power at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When, in nanoseconds of the trace's clock.
    pub at_ns: u64,
    /// Power, in mW.
    pub power_mw: f64,
}

impl Trace {
    /// Takes up a reading; one that is not later than the last is dropped, and `false` says so: of two readings of one
    /// instant there is nothing to integrate between.
    pub fn push(&mut self, reading: Reading) -> bool {
        let is_later = self.readings.last().is_none_or(|last| last.at_ns < reading.at_ns);
        if is_later {
            self.readings.push(reading);
        }
        is_later
    }

    /// All readings.
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Names of the rails of the first reading: a meter does not change what it reads.
    pub fn rails(&self) -> Vec<&str> {
        let first = self.readings.first();
        first.map(|reading| reading.rails.iter().map(|rail| rail.name.as_str()).collect()).unwrap_or_default()
    }

    /// One rail over time. Readings that lack it are left out.
    pub fn rail(&self, name: &str) -> Series {
        self.series(|rails| rails.iter().find(|rail| rail.name == name).map(|rail| rail.power_mw))
    }

    /// The whole board over time. Readings that lack one of its rails are left out.
    pub fn total(&self, total: &rails::Total) -> Series {
        self.series(|rails| total.power_mw(rails))
    }

    fn series(&self, power: impl Fn(&[RailPower]) -> Option<f64>) -> Series {
        let point = |reading: &Reading| Some(Point { at_ns: reading.at_ns, power_mw: power(&reading.rails)? });
        Series { points: self.readings.iter().filter_map(point).collect() }
    }
}

impl Series {
    /// The points, in the order of time.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The points from one instant to another, both included.
    pub fn between(&self, from_ns: u64, to_ns: u64) -> &[Point] {
        let start = self.points.partition_point(|point| point.at_ns < from_ns);
        let end = self.points.partition_point(|point| point.at_ns <= to_ns);
        &self.points[start..end.max(start)]
    }
}

impl FromIterator<Point> for Series {
    fn from_iter<I: IntoIterator<Item = Point>>(points: I) -> Self {
        let mut points: Vec<Point> = points.into_iter().collect();
        points.sort_by_key(|point| point.at_ns);
        Self { points }
    }
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
        assert_eq!(series.points(), [Point { at_ns: 10, power_mw: 5.0 }, Point { at_ns: 30, power_mw: 7.0 }]);
        assert_eq!(series.between(11, 30).len(), 1);
        assert_eq!(series.between(31, 5), []);
    }
}
