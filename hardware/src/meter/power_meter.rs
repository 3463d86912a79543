//! Meters that are not a board's own: read on this machine, beside what they measure.

use std::time::Duration;

use super::align::Pattern;
pub use super::error::{MeterError, MeterNote};
use super::tegrastats::RailPower;
use super::{Point, Reading, Trace};

/// Most power that is believed, in mW: 10 kW. A reading beyond it is one of the wrong column or unit.
pub(super) const MOST_MW: f64 = 1e7;
/// Most readings that are kept: more than an hour at 1,000 a second.
pub(super) const MOST_READINGS: usize = 5_000_000;

/// Reads power on the machine that runs this program, on its own thread, from `start` to `stop`.
///
/// The trace has one rail, of the meter's [`name`](Self::name), stamped on the [`Clock`](crate::time::Clock) that the meter was made with.
pub trait PowerMeter: Send {
    /// Name of its rail: `rapl`, `stream`.
    fn name(&self) -> &'static str;

    /// What it reads and what the number covers, for a log.
    fn describe(&self) -> String;

    /// Begins to read. What was read before is forgotten.
    ///
    /// # Errors
    /// If the meter is missing, may not be read, or gives nothing.
    fn start(&mut self) -> Result<(), MeterError>;

    /// How many readings there are so far.
    ///
    /// # Errors
    /// If it has failed since `start`, so that the load beside it need not run to its end.
    fn check(&self) -> Result<usize, MeterError>;

    /// Ends reading.
    ///
    /// # Errors
    /// If the meter had failed by then, or what it read cannot be believed.
    fn stop(&mut self) -> Result<Trace, MeterError>;

    /// Smallest difference between two readings, in mW; `None` where it is not known.
    fn resolution_mw(&self) -> Option<f64>;

    /// What a reader of the last trace should know; empty before the first `stop`.
    fn notes(&self) -> Vec<MeterNote>;

    /// For a meter whose clock is not ours: the unit of the load's pattern ([`super::align::coded`]) by whose edges its
    /// trace is placed.
    fn pattern_unit(&self) -> Option<Duration> {
        None
    }

    /// Before `stop`, to a meter that wants a pattern: when there was load.
    fn tell(&mut self, pattern: Pattern) {
        let _ = pattern;
    }

    /// Standard uncertainty of the time stamps of the last trace, relative to the load beside it, in s.
    fn stamp_uncertainty_s(&self) -> f64 {
        0.0
    }
}

/// A trace of one rail.
pub(super) fn trace_of(name: &str, points: impl IntoIterator<Item = Point>) -> Trace {
    let mut trace = Trace::default();
    for Point { at_ns, power_mw } in points {
        trace.push(Reading { at_ns, rails: vec![RailPower { name: name.to_owned(), power_mw }] });
    }
    trace
}

/// Looks at the sign of readings. Small negative ones are a sensor's offset and kept; those beyond a tenth of the
/// largest are left out, at most a tenth of all; most negative, or more large ones, and nothing is believed.
///
/// # Errors
/// Then.
pub(super) fn check_signs(meter: &str, points: &mut Vec<Point>) -> Result<Vec<MeterNote>, MeterError> {
    const LARGEST_OFFSET: f64 = 0.1;
    let readings = points.len();
    let count = |bound: f64| points.iter().filter(|point| point.power_mw < bound).count();
    let largest = points.iter().map(|point| point.power_mw).fold(0.0, f64::max);
    let bound = -LARGEST_OFFSET * largest;
    let (negative, far) = (count(0.0), count(bound));
    if negative * 2 > readings || far * 10 > readings {
        return Err(MeterError::Negative { meter: meter.to_owned(), negative, readings });
    }
    points.retain(|point| point.power_mw >= bound);
    let mut notes = Vec::new();
    if far > 0 {
        let reason = format!("it is below {bound:.0} mW, a tenth of the highest negated");
        notes.push(MeterNote::Skipped { skipped: far, readings, reason });
    }
    if negative > far {
        let lowest_mw = points.iter().map(|point| point.power_mw).fold(0.0, f64::min);
        notes.push(MeterNote::SlightlyNegative { negative: negative - far, lowest_mw });
    }
    Ok(notes)
}

/// Enough of a text for a message.
pub(super) fn clip(text: &str) -> String {
    text.chars().filter(|character| !character.is_control() || *character == '\t').take(80).collect()
}

/// Median of some times; `None` without any.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    (!values.is_empty()).then(|| crate::statistics::quantile(&values, 0.5))
}

/// For tests: the error that comes up after the start.
#[cfg(test)]
pub(super) fn fault_of(meter: &mut dyn PowerMeter) -> MeterError {
    meter.start().unwrap();
    for _ in 0..2000 {
        if meter.check().is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = meter.stop().unwrap_err();
    assert!(matches!(meter.stop(), Err(MeterError::NotRunning { .. })));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(powers: &[f64]) -> Vec<Point> {
        powers.iter().enumerate().map(|(index, &power_mw)| Point { at_ns: index as u64, power_mw }).collect()
    }

    #[test]
    fn an_offset_is_kept_and_a_reversed_shunt_refused() {
        let mut offset = points(&[-0.5, 100.0, -1.0, 100.0, 90.0]);
        let notes = check_signs("m", &mut offset).unwrap();
        assert_eq!(notes, [MeterNote::SlightlyNegative { negative: 2, lowest_mw: -1.0 }]);
        assert_eq!(offset.len(), 5);
        let mut reversed = points(&[-80.0, -100.0, -80.0, 1.0]);
        let error = check_signs("m", &mut reversed).unwrap_err().to_string();
        assert!(error.contains("3 of 4") && error.contains("wrong way round"), "{error}");
        let mut spike: Vec<f64> = vec![100.0; 20];
        spike[7] = -5000.0;
        let mut spike = points(&spike);
        let notes = check_signs("m", &mut spike).unwrap();
        assert!(matches!(notes[..], [MeterNote::Skipped { skipped: 1, readings: 20, .. }]), "{notes:?}");
        assert_eq!(spike.len(), 19);
        assert_eq!(check_signs("m", &mut Vec::new()), Ok(Vec::new()));
    }
}
