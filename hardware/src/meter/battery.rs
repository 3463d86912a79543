//! A laptop's battery, which tells what the whole machine draws while nothing else feeds it.
//!
//! Batteries renew their value seldom, every second at best, every half minute at worst, and as a mean over some of
//! that time. A look that shows what the last one did is therefore no reading of its own: a value is taken when it
//! changes, and an unchanged one only after as long as changes have taken so far.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::poll::{self, Look, Polled};
use super::power_meter::{self, MOST_MW, MeterError, MeterNote, PowerMeter};
use super::{Point, Trace};
use crate::time::Clock;

/// Where batteries lie on Linux.
pub const ROOT: &str = "/sys/class/power_supply";
/// Time between two looks.
pub const PERIOD: Duration = Duration::from_millis(250);

const NAME: &str = "battery";
const RIGHTS: &str = "let the user read it (`sudo chmod a+r FILE`)";
/// Bounds of the time after which an unchanged value is a reading.
const SHORTEST_NS: u64 = 1_000_000_000;
const LONGEST_NS: u64 = 30_000_000_000;
/// A value renewed less often than this many times a second is slow.
const SLOW_S: f64 = 0.5;

/// The batteries of this machine.
pub struct BatteryMeter {
    polled: Polled,
    batteries: Vec<Battery>,
}

#[derive(Debug, Clone, PartialEq)]
struct Battery {
    name: String,
    folder: PathBuf,
    has_power: bool,
}

/// What a look at the batteries is compared with.
struct Watch {
    clock: Clock,
    batteries: Vec<Battery>,
    last: Option<Point>,
    /// Longest time between two changes so far.
    longest_ns: u64,
}

impl BatteryMeter {
    /// Finds the batteries below [`ROOT`], or another folder.
    ///
    /// # Errors
    /// If there are none, none that tells its power, or the time between two looks is 0.
    pub fn find(root: &Path, period: Duration, clock: Clock) -> Result<Self, MeterError> {
        let entries = std::fs::read_dir(root).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let battery = |folder: PathBuf| {
            let name = folder.file_name()?.to_str().filter(|name| name.starts_with("BAT"))?.to_owned();
            let has = |file: &str| folder.join(file).exists();
            let has_power = has("power_now");
            let known = has_power || (has("current_now") && has("voltage_now"));
            known.then_some(Battery { name, folder, has_power })
        };
        let mut batteries: Vec<Battery> = entries.filter_map(battery).collect();
        batteries.sort_by(|a, b| a.name.cmp(&b.name));
        if batteries.is_empty() {
            return Err(MeterError::Absent {
                what: format!("a battery that tells its power below {}", root.display()),
                advice: "only laptops have one".to_owned(),
            });
        }
        Ok(Self { polled: Polled::new(NAME, period, clock)?, batteries })
    }

    /// Whether it can be used now.
    ///
    /// # Errors
    /// If a battery is charged, none is discharged, or its power is not to be had.
    pub fn usable(&self) -> Result<(), MeterError> {
        power_mw(&self.batteries).map(|_| ())
    }
}

impl PowerMeter for BatteryMeter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        let names: Vec<&str> = self.batteries.iter().map(|battery| battery.name.as_str()).collect();
        format!("battery {} (the whole machine, screen included)", names.join(" + "))
    }

    fn start(&mut self) -> Result<(), MeterError> {
        let batteries = self.batteries.clone();
        let mut watch = Watch { clock: self.polled.clock(), batteries, last: None, longest_ns: SHORTEST_NS };
        let usable = self.usable();
        self.polled.start(|| usable.map(|()| move || watch.look()))
    }

    fn check(&self) -> Result<usize, MeterError> {
        self.polled.check()
    }

    fn stop(&mut self) -> Result<Trace, MeterError> {
        let points = self.polled.stop()?;
        let spacing = points.windows(2).map(|two| two[1].at_ns.saturating_sub(two[0].at_ns) as f64 / 1e9);
        if let Some(spacing_s) = power_meter::median(spacing.collect()).filter(|spacing_s| *spacing_s > SLOW_S) {
            self.polled.note(MeterNote::Slow { spacing_s });
        }
        Ok(power_meter::trace_of(NAME, points))
    }

    /// Not told by the system.
    fn resolution_mw(&self) -> Option<f64> {
        None
    }

    fn notes(&self) -> Vec<MeterNote> {
        self.polled.notes()
    }
}

impl Watch {
    fn look(&mut self) -> Result<Look, MeterError> {
        let (at_ns, power_mw) = match poll::timed(&self.clock, || power_mw(&self.batteries)) {
            Ok(seen) => seen,
            // Firmware is at times too busy to answer.
            Err(MeterError::Read { path, problem }) => return Ok(Look::Refused(format!("{path}: {problem}"))),
            Err(error) => return Err(error),
        };
        if let Some(last) = self.last {
            let passed_ns = at_ns.saturating_sub(last.at_ns);
            if last.power_mw == power_mw && passed_ns < self.longest_ns {
                return Ok(Look::Points(Vec::new()));
            }
            self.longest_ns = self.longest_ns.max(passed_ns).min(LONGEST_NS);
        }
        let point = Point { at_ns, power_mw };
        self.last = Some(point);
        Ok(Look::Points(vec![point]))
    }
}

/// What the batteries that are discharged give together.
///
/// # Errors
/// If one is charged, none is discharged, or a value is not to be had.
fn power_mw(batteries: &[Battery]) -> Result<f64, MeterError> {
    let (mut sum, mut discharging) = (0.0, false);
    let mut other = None;
    for battery in batteries {
        let status = poll::small_file(&battery.folder.join("status"), RIGHTS)?;
        if status == "Discharging" {
            discharging = true;
            sum += battery.power_mw()?;
        } else {
            // The second battery of a laptop rests while the first is emptied; one that is charged does not.
            other = Some((battery.name.clone(), status.clone()));
            if status == "Charging" {
                break;
            }
        }
    }
    match other {
        Some((battery, status)) if !discharging || status == "Charging" => {
            Err(MeterError::NotDischarging { battery, status: power_meter::clip(&status) })
        }
        _ => Ok(sum),
    }
}

impl Battery {
    /// Drivers do not agree on the sign of a current that discharges; the status tells its direction.
    fn power_mw(&self) -> Result<f64, MeterError> {
        let value = |file: &str| Ok::<_, MeterError>(poll::whole_number(&self.folder.join(file), RIGHTS)? as f64);
        // µW; or µA times µV, which are pW.
        let power_mw = if self.has_power {
            value("power_now")? / 1e3
        } else {
            value("current_now")? * value("voltage_now")? / 1e9
        };
        let power_mw = power_mw.abs();
        // A machine that runs draws something: 0 is what drivers say that do not know.
        if power_mw > 0.0 && power_mw <= MOST_MW {
            return Ok(power_mw);
        }
        let path = self.folder.display().to_string();
        Err(MeterError::Read { path, problem: format!("{power_mw} mW cannot be what a machine draws") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(batteries: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, files) in batteries {
            std::fs::create_dir(root.path().join(name)).unwrap();
            for (file, text) in *files {
                std::fs::write(root.path().join(name).join(file), format!("{text}\n")).unwrap();
            }
        }
        root
    }

    fn found(root: &tempfile::TempDir) -> BatteryMeter {
        BatteryMeter::find(root.path(), Duration::from_millis(5), Clock::start()).unwrap()
    }

    #[test]
    fn power_is_told_or_current_times_voltage() {
        let discharging = ("status", "Discharging");
        let power = tree(&[("BAT0", &[discharging, ("power_now", "9540000")]), ("AC", &[("online", "0")])]);
        assert_eq!(power_mw(&found(&power).batteries), Ok(9540.0));
        let product = [discharging, ("current_now", "-800000"), ("voltage_now", "11500000")];
        let product = tree(&[("BAT1", &product), ("BAT0", &[("status", "Not charging"), ("power_now", "0")])]);
        assert_eq!(power_mw(&found(&product).batteries), Ok(9200.0));
    }

    #[test]
    fn a_charger_is_refused_and_so_is_a_machine_without_a_battery() {
        for status in ["Charging", "Full", "Not charging", "Unknown"] {
            let root = tree(&[("BAT0", &[("status", status), ("power_now", "9540000")])]);
            let error = found(&root).start().unwrap_err().to_string();
            assert!(error.contains(status) && error.contains("unplug"), "{error}");
        }
        let two = tree(&[
            ("BAT0", &[("status", "Discharging"), ("power_now", "9540000")]),
            ("BAT1", &[("status", "Charging"), ("power_now", "9540000")]),
        ]);
        assert!(matches!(power_mw(&found(&two).batteries), Err(MeterError::NotDischarging { .. })));
        let none = tree(&[("AC", &[("online", "1")])]);
        let error = BatteryMeter::find(none.path(), PERIOD, Clock::start()).err().unwrap().to_string();
        assert!(error.contains("only laptops"), "{error}");
        let zero = tree(&[("BAT0", &[("status", "Discharging"), ("power_now", "0")])]);
        assert!(found(&zero).start().is_err());
    }

    #[test]
    fn an_unchanged_value_is_no_new_reading_and_the_charger_ends_it() {
        let root = tree(&[("BAT0", &[("status", "Discharging"), ("power_now", "9000000")])]);
        let mut meter = found(&root);
        meter.start().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(root.path().join("next"), text).unwrap();
            std::fs::rename(root.path().join("next"), root.path().join("BAT0").join(name)).unwrap();
        };
        for power in 1..=4 {
            std::thread::sleep(Duration::from_millis(100));
            file("power_now", &format!("{}", 9_000_000 + power * 1000));
        }
        std::thread::sleep(Duration::from_millis(100));
        let readings = meter.check().unwrap();
        assert!((4..=6).contains(&readings), "{readings}");
        let trace = meter.stop().unwrap();
        assert_eq!(trace.rail(NAME).points().last().unwrap().power_mw, 9004.0);
        meter.start().unwrap();
        file("status", "Charging");
        std::thread::sleep(Duration::from_millis(200));
        assert!(matches!(meter.check(), Err(MeterError::NotDischarging { .. })));
        assert!(meter.stop().is_err());
    }

    #[test]
    fn a_slow_gauge_is_told() {
        let mut watch = Watch { clock: Clock::start(), batteries: Vec::new(), last: None, longest_ns: SHORTEST_NS };
        // Without a battery the power is 0 for ever.
        let first = watch.look();
        let second = watch.look();
        assert!(matches!(first, Ok(Look::Points(points)) if points.len() == 1));
        assert!(matches!(second, Ok(Look::Points(points)) if points.is_empty()));
        let note = MeterNote::Slow { spacing_s: 12.0 }.to_string();
        assert!(note.contains("every 12.0 s"), "{note}");
    }
}
