//! The interface of every meter.

use std::time::Duration;

use super::align::Pattern;
use super::{Condition, MeterError, Point, Total, Trace, health};

/// Highest accepted power, in mW: 10 kW. A reading beyond it is from the wrong column or in another unit.
pub(super) const MOST_MW: f64 = 1e7;

/// Reads power from `start` to `stop`, while the device works. Time stamps are those of the
/// [`Clock`](crate::time::Clock) that the meter was made with.
///
/// Most meters have one rail, of the meter's name. The smallest meter:
///
/// ```
/// use hardware::meter::{MeterError, Point, PowerMeter, Trace};
/// use hardware::time::Clock;
///
/// /// A supply that always draws one watt, read every 10 ms.
/// struct OneWatt {
///     clock: Clock,
///     begun_ns: u64,
/// }
///
/// impl PowerMeter for OneWatt {
///     fn name(&self) -> &'static str {
///         "one watt"
///     }
///
///     fn describe(&self) -> String {
///         "a supply that always draws one watt".to_owned()
///     }
///
///     fn start(&mut self) -> Result<(), MeterError> {
///         self.begun_ns = self.clock.now_ns();
///         Ok(())
///     }
///
///     fn check(&self) -> Result<usize, MeterError> {
///         Ok(((self.clock.now_ns() - self.begun_ns) / 10_000_000) as usize)
///     }
///
///     fn stop(&mut self) -> Result<Trace, MeterError> {
///         let at_ns = |reading| self.begun_ns + reading as u64 * 10_000_000;
///         let points = (0..self.check()?).map(|reading| Point { at_ns: at_ns(reading), power_mw: 1000.0 });
///         Ok(Trace::of_rail(self.name(), points))
///     }
/// }
/// ```
pub trait PowerMeter: Send {
    /// Name of the meter: `rapl`, `stream`.
    fn name(&self) -> &'static str;

    /// Its source and the devices that the number covers, for a log.
    fn describe(&self) -> String;

    /// Begins to read. Earlier readings are dropped.
    ///
    /// # Errors
    /// If the meter is missing, may not be read, or gives no reading.
    fn start(&mut self) -> Result<(), MeterError>;

    /// Number of readings so far.
    ///
    /// # Errors
    /// If it has failed since `start`, so that the load need not run to its end.
    fn check(&self) -> Result<usize, MeterError>;

    /// Ends reading.
    ///
    /// # Errors
    /// If the meter has failed since `start`, or its readings are not credible.
    fn stop(&mut self) -> Result<Trace, MeterError>;

    /// The rails whose sum is the power of the device; by default one rail of the meter's name. A meter of several
    /// rails knows them after its first reading.
    fn total(&self) -> Total {
        Total::measured(self.name())
    }

    /// The total's readings from an instant on, while it reads; empty for a meter that has them only at the end.
    fn recent(&self, from_ns: u64) -> Vec<Point> {
        let _ = from_ns;
        Vec::new()
    }

    /// Temperature and clock of the device so far, while it reads; empty if the meter reads neither.
    fn conditions(&self) -> Vec<Condition> {
        Vec::new()
    }

    /// The half-width of the 95 % confidence interval of the mean power, relative to the mean, that this meter reaches
    /// in its usual window with most devices. The load continues until then even if the plan asks for less.
    fn reachable_interval(&self) -> f64 {
        f64::INFINITY
    }

    /// Reads for about `least`, or for up to `longest` until there are a few readings; returns those of the total. A check
    /// that the meter works.
    ///
    /// # Errors
    /// As `start` and `stop`.
    fn sample(&mut self, least: Duration, longest: Duration) -> Result<Vec<Point>, MeterError> {
        health::sample(self, least, longest)
    }

    /// Source of the energy for a log: the meter, and the rails that it sums or chooses.
    fn source(&self) -> String {
        let total = self.total();
        if total == Total::measured(self.name()) {
            return self.describe();
        }
        format!("{} {}", self.describe(), total.label())
    }

    /// For a meter whose clock is not ours: the unit of the load's pattern (Barker's code) by whose edges its
    /// trace is placed.
    fn pattern_unit(&self) -> Option<Duration> {
        None
    }

    /// Sets the windows of load, before `stop`, for a meter that needs a pattern.
    fn set_pattern(&mut self, pattern: Pattern) {
        let _ = pattern;
    }
}

/// Checks the sign of readings. Small negative ones are a sensor's offset and kept; those beyond a tenth of the largest
/// are dropped, at most a tenth of all. More of them are an error, and so are mostly negative readings.
pub(super) fn check_signs(meter: &str, points: &mut Vec<Point>) -> Result<Vec<String>, MeterError> {
    const LARGEST_OFFSET: f64 = 0.1;
    let readings = points.len();
    let count = |bound: f64| points.iter().filter(|point| point.power_mw < bound).count();
    let largest = points.iter().map(|point| point.power_mw).fold(0.0, f64::max);
    let bound = -LARGEST_OFFSET * largest;
    let (negative, far) = (count(0.0), count(bound));
    if negative * 2 > readings || far * 10 > readings {
        return Err(MeterError::Failed(format!(
            "{negative} of {readings} readings of {meter} are negative: it is connected the wrong way round, or the column \
             is another one"
        )));
    }
    points.retain(|point| point.power_mw >= bound);
    let mut notes = Vec::new();
    if far > 0 {
        let reason = format!("it is below {bound:.0} mW, a tenth of the highest negated");
        notes.push(skipped(far, readings, &reason));
    }
    if negative > far {
        let lowest_mw = points.iter().map(|point| point.power_mw).fold(0.0, f64::min);
        notes.push(format!(
            "{} readings are negative (down to {lowest_mw:.1} mW) and kept: the sensor has an offset, which energy above idle \
             does not contain",
            negative - far
        ));
    }
    Ok(notes)
}

/// A note about readings that were left out, the last of them for a reason.
pub(super) fn skipped(skipped: usize, readings: usize, reason: &str) -> String {
    format!("{skipped} of {readings} readings of the meter were left out; the last because {reason}")
}

/// A note about a meter's clock that is slower than ours, or faster if `ppm` is negative.
pub(super) fn clock_drift(ppm: f64) -> String {
    format!("the meter's clock is slower than this machine's by {ppm:.0} ppm, which is corrected for")
}

/// For tests: the error that occurs after the start.
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
    assert!(meter.stop().unwrap_err().to_string().contains("is not running"));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(powers: &[f64]) -> Vec<Point> {
        powers.iter().enumerate().map(|(index, &power_mw)| Point { at_ns: index as u64, power_mw }).collect()
    }

    #[test]
    fn an_offset_is_kept_and_a_reversed_shunt_rejected() {
        let mut offset = points(&[-0.5, 100.0, -1.0, 100.0, 90.0]);
        let notes = check_signs("m", &mut offset).unwrap();
        assert!(
            matches!(&notes[..], [note] if note.starts_with("2 readings are negative (down to -1.0 mW)")),
            "{notes:?}"
        );
        assert_eq!(offset.len(), 5);
        let mut reversed = points(&[-80.0, -100.0, -80.0, 1.0]);
        let error = check_signs("m", &mut reversed).unwrap_err().to_string();
        assert!(error.contains("3 of 4") && error.contains("wrong way round"), "{error}");
        let mut spike: Vec<f64> = vec![100.0; 20];
        spike[7] = -5000.0;
        let mut spike = points(&spike);
        let notes = check_signs("m", &mut spike).unwrap();
        assert!(matches!(&notes[..], [note] if note.starts_with("1 of 20 readings")), "{notes:?}");
        assert_eq!(spike.len(), 19);
        assert_eq!(check_signs("m", &mut Vec::new()), Ok(Vec::new()));
    }
}
