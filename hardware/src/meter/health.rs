//! What a meter shows now, for a check before a search.

use std::time::{Duration, Instant};

use super::{MeterError, Point, PowerMeter};

/// How long a fast meter is read.
const LEAST: Duration = Duration::from_millis(1500);
/// Longest time for the first readings of a slow one.
const LONGEST: Duration = Duration::from_secs(10);
/// Readings that show a rate.
const FEWEST: usize = 3;
/// Share of readings of exactly zero that are a fault of the meter.
const MOST_ZEROS: f64 = 0.1;

/// What a meter shows of a running device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shown {
    pub mean_mw: f64,
    pub readings: usize,
    /// Readings that are exactly zero.
    pub zeros: usize,
}

impl Shown {
    /// An error if a running device cannot draw that: zero, or less than the meter can show. Means below zero are
    /// those of a meter in the wrong direction.
    pub fn check(&self, source: &str, resolution_mw: Option<f64>) -> Result<(), MeterError> {
        let Self { mean_mw, readings, zeros } = *self;
        let least_mw = resolution_mw.unwrap_or(0.0) / 2.0;
        if mean_mw > least_mw && zeros as f64 <= MOST_ZEROS * readings as f64 {
            return Ok(());
        }
        Err(MeterError::Settings(format!(
            "{source} reads {} in the mean of {readings} readings, {zeros} of which are zero, and a running device draws \
             power: its sensor is not connected or without rights, or another column, channel or device is read. Correct \
             that, name another meter by its `kind`, or \"none\" to measure time alone",
            watts(mean_mw)
        )))
    }
}

/// Reads a meter for one to two seconds, longer if it is slow, and says what it shows: `5.02 W, 20 readings a second`.
///
/// # Errors
/// As its start and stop; and if it shows no power at all.
pub(crate) fn health(meter: &mut dyn PowerMeter) -> Result<String, MeterError> {
    let points = meter.sample(LEAST, LONGEST)?;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err(MeterError::too_few(meter.name(), 0, ""));
    };
    let mean_mw = points.iter().map(|point| point.power_mw).sum::<f64>() / points.len() as f64;
    let zeros = points.iter().filter(|point| point.power_mw == 0.0).count();
    Shown { mean_mw, readings: points.len(), zeros }.check(&meter.source(), None)?;
    // A counter gives two readings for each interval, at its ends.
    let steps = points.windows(2).filter(|two| two[1].at_ns - two[0].at_ns > 2).count();
    let seconds = (last.at_ns - first.at_ns) as f64 / 1e9;
    let power = watts(mean_mw);
    Ok(match steps as f64 / seconds {
        rate if steps == 0 || !rate.is_finite() => format!("{power}, one reading"),
        rate if rate >= 0.95 => format!("{power}, {rate:.0} readings a second"),
        rate => format!("{power}, a reading every {:.1} s", 1.0 / rate),
    })
}

/// Reads from `start` until there are readings for a rate, and returns those of the total.
pub(super) fn sample(
    meter: &mut (impl PowerMeter + ?Sized),
    least: Duration,
    longest: Duration,
) -> Result<Vec<Point>, MeterError> {
    meter.start()?;
    wait(least, longest, || meter.check())?;
    let points = meter.recent(0);
    match meter.stop() {
        Ok(trace) => Ok(trace.total(&meter.total())),
        // Too few readings for an energy are enough here.
        Err(_) if points.len() == 1 => Ok(points),
        Err(error) => Err(error),
    }
}

/// Waits until there are readings for a rate.
pub(super) fn wait(
    least: Duration,
    longest: Duration,
    check: impl Fn() -> Result<usize, MeterError>,
) -> Result<(), MeterError> {
    let begun = Instant::now();
    loop {
        let (readings, passed) = (check()?, begun.elapsed());
        if passed >= least && (readings >= FEWEST || passed >= longest) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn watts(power_mw: f64) -> String {
    match power_mw.abs() {
        0.0..0.001 => "0 mW".to_owned(),
        0.001..100.0 => format!("{power_mw:.3} mW"),
        100.0..1000.0 => format!("{power_mw:.0} mW"),
        1000.0..100_000.0 => format!("{:.2} W", power_mw / 1e3),
        _ => format!("{:.0} W", power_mw / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::MeterOptions;
    use crate::remote::Place;
    use crate::time::Clock;

    fn health_of(options: &str) -> Result<String, MeterError> {
        let options: MeterOptions = toml::from_str(options).unwrap();
        let meter = options.open(Clock::start(), &Place::Here, "/w");
        health(meter.unwrap().unwrap().as_mut())
    }

    fn stream(script: &str) -> Result<String, MeterError> {
        let columns = "columns = { power = { column = 1, unit = \"w\" } }";
        health_of(&format!("kind = \"stream\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n{columns}"))
    }

    #[test]
    fn a_meter_says_what_it_shows() {
        let shown = stream("while :; do echo 5,02; sleep 0.05; done").unwrap();
        let rate = shown.strip_prefix("5.02 W, ").and_then(|rest| rest.strip_suffix(" readings a second"));
        assert!(rate.is_some_and(|rate| (5..=20).contains(&rate.parse::<u32>().unwrap())), "{shown}");
        let error = stream("while :; do echo 0.000; sleep 0.05; done").unwrap_err().to_string();
        assert!(error.contains("reads 0 mW") && error.contains("draws power"), "{error}");
        let error = stream("echo no such port >&2; exit 1").unwrap_err().to_string();
        assert!(error.contains("no such port"), "{error}");
        let error = health_of(
            "kind = \"stream\"\ncommand = [\"/nowhere/um25c\"]\ncolumns = { power = { column = 1, unit = \"w\" } }",
        );
        assert!(error.unwrap_err().to_string().contains("/nowhere/um25c could not be started"));
    }

    #[test]
    fn a_recording_says_what_it_shows_or_what_is_missing() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("supply.csv");
        let options = |align: &str| {
            let columns =
                "columns = { time = { column = \"t\", unit = \"s\" }, power = { column = \"P\", unit = \"w\" } }";
            format!("kind = \"csv\"\nfile = {path:?}\nalign = {align:?}\nflush_limit_s = 3\n{columns}")
        };
        let error = health_of(&options("stamps")).unwrap_err().to_string();
        assert!(error.contains("supply.csv is not there") && error.contains("recorder"), "{error}");
        std::fs::write(&path, "t,P\n").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
                for reading in 0..60 {
                    writeln!(file, "{:.2},5.02", f64::from(reading) * 0.05).unwrap();
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let shown = health_of(&options("edges")).unwrap();
            assert_eq!(shown, "5.02 W, 20 readings a second");
        });
    }
}
