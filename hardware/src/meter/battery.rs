//! A laptop's battery, which shows the power of the whole machine while the machine has no other supply.
//!
//! Batteries renew their value rarely, every second at best, every half minute at worst, and as a mean over some of
//! that time. A poll with the same value as the last reading is therefore none, until the longest time between changes
//! has passed ([`Renewals`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::poll::{self, PolledMeter, RIGHTS, Renewals, Sensor};
use super::power_meter::MOST_MW;
use super::{MeterError, Point};
use crate::shown::start_of;
use crate::statistics::median;
use crate::time::Clock;

/// Folder of batteries on Linux.
pub(super) const ROOT: &str = "/sys/class/power_supply";
/// Time between two polls, in ms.
pub(super) const PERIOD_MS: u64 = 250;

const NAME: &str = "battery";
/// Bounds of the time after which an unchanged value counts as a reading.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A value renewed less often than this many times a second is slow.
const SLOW_S: f64 = 0.5;

/// The batteries of this machine.
pub(super) type BatteryMeter = PolledMeter<Batteries>;

/// The batteries, and the readings so far, with which the next poll is compared.
#[derive(Clone)]
pub(super) struct Batteries {
    batteries: Vec<Battery>,
    renewals: Renewals,
}

#[derive(Debug, Clone, PartialEq)]
struct Battery {
    name: String,
    folder: PathBuf,
    has_power: bool,
}

impl BatteryMeter {
    /// Finds the batteries below [`ROOT`], or another folder.
    pub fn find(root: &Path, period: Duration, clock: Clock) -> Result<Self, MeterError> {
        let supplies = poll::entries(root, |_| true);
        let folders: Vec<PathBuf> = supplies.into_iter().filter(|folder| is_of_machine(folder)).collect();
        let battery = |folder: &PathBuf| {
            let name = folder.file_name()?.to_str()?.to_owned();
            let has = |file: &str| folder.join(file).exists();
            let has_power = has("power_now");
            let known = has_power || (has("current_now") && has("voltage_now"));
            known.then_some(Battery { name, folder: folder.clone(), has_power })
        };
        let batteries: Vec<Battery> = folders.iter().filter_map(battery).collect();
        if batteries.is_empty() {
            let what = format!("a battery that reports its power below {}", root.display());
            let advice = match folders.first().and_then(|folder| folder.file_name()) {
                Some(name) => format!("{} has neither power_now nor current_now with voltage_now", name.display()),
                None => "only laptops have one".to_owned(),
            };
            return Err(MeterError::absent(&what, &advice));
        }
        Ok(Self::new(Batteries::of(batteries), period, clock))
    }

    /// An error if a battery is charged, none is discharged, or its power cannot be read.
    pub fn usable(&self) -> Result<(), MeterError> {
        power_mw(&self.sensor.batteries).map(|_| ())
    }
}

/// Whether a supply is a battery by its type and belongs to the machine: mice have batteries, too.
fn is_of_machine(folder: &Path) -> bool {
    let file = |name: &str| poll::small_file(&folder.join(name), RIGHTS).ok();
    let is_battery = match file("type") {
        Some(kind) => kind.eq_ignore_ascii_case("battery"),
        None => folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("BAT")),
    };
    is_battery && file("scope").is_none_or(|scope| !scope.eq_ignore_ascii_case("device"))
}

impl Batteries {
    fn of(batteries: Vec<Battery>) -> Self {
        Self { batteries, renewals: Renewals::new(SHORTEST, LONGEST) }
    }
}

impl Sensor for Batteries {
    const NAME: &'static str = NAME;

    fn describe(&self, _period: Duration) -> String {
        let names: Vec<&str> = self.batteries.iter().map(|battery| battery.name.as_str()).collect();
        format!("battery {} (the whole machine, screen included)", names.join(" + "))
    }

    fn poll(&mut self, clock: &Clock) -> Result<Vec<Point>, MeterError> {
        let (at_ns, power_mw) = poll::timed(clock, || power_mw(&self.batteries))?;
        Ok(self.renewals.reading(Point { at_ns, power_mw }))
    }

    /// The system does not report it.
    fn resolution_mw(&self, _points: &[Point], _period: Duration) -> Option<f64> {
        None
    }

    fn note(&self, points: &[Point]) -> Option<String> {
        let spacing = points.windows(2).map(|two| two[1].at_ns.saturating_sub(two[0].at_ns) as f64 / 1e9);
        let spacing_s = median(spacing.collect()).filter(|spacing_s| *spacing_s > SLOW_S)?;
        Some(format!(
            "the meter renews its value every {spacing_s:.1} s only: measure for many times as long, or use a faster meter"
        ))
    }
}

/// Total power of the batteries that are discharged; an error if one is charged or none is discharged.
fn power_mw(batteries: &[Battery]) -> Result<f64, MeterError> {
    let status = |battery: &Battery| poll::small_file(&battery.folder.join("status"), RIGHTS);
    let statuses = batteries.iter().map(status).collect::<Result<Vec<_>, _>>()?;
    let with_status = || batteries.iter().zip(&statuses);
    let mut discharged = with_status().filter(|(_, status)| *status == "Discharging").peekable();
    // The second battery of a laptop is idle while the first is emptied; one that is charged is not.
    let charged = with_status().find(|(_, status)| *status == "Charging");
    let idle = with_status().next_back().filter(|_| discharged.peek().is_none());
    if let Some((Battery { name, .. }, status)) = charged.or(idle) {
        let status = start_of(status, 80);
        // It passes as soon as the charger is unplugged.
        return Err(MeterError::Failed(format!(
            "battery {name} is {status:?}: unplug the charger, else its power is not that of the machine"
        )));
    }
    discharged.map(|(battery, _)| battery.power_mw()).sum()
}

impl Battery {
    /// Drivers differ in the sign of a current that discharges; the status gives its direction.
    fn power_mw(&self) -> Result<f64, MeterError> {
        let value = |file: &str| Ok::<_, MeterError>(poll::whole_number(&self.folder.join(file), RIGHTS)? as f64);
        // In µW; or in pW, as µA times µV.
        let power_mw = if self.has_power {
            value("power_now")? / 1e3
        } else {
            value("current_now")? * value("voltage_now")? / 1e9
        };
        let power_mw = power_mw.abs();
        // A running machine draws power: drivers that do not know it report 0.
        if power_mw > 0.0 && power_mw <= MOST_MW {
            return Ok(power_mw);
        }
        let problem = format!("{power_mw} mW cannot be what a machine draws");
        Err(MeterError::unread(&self.folder.display().to_string(), problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::PowerMeter;

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
    fn power_is_read_or_computed_from_current_and_voltage() {
        let discharging = ("status", "Discharging");
        let power = tree(&[("BAT0", &[discharging, ("power_now", "9540000")]), ("AC", &[("online", "0")])]);
        assert_eq!(power_mw(&found(&power).sensor.batteries), Ok(9540.0));
        let product = [discharging, ("current_now", "-800000"), ("voltage_now", "11500000")];
        let product = tree(&[("BAT1", &product), ("BAT0", &[("status", "Not charging"), ("power_now", "0")])]);
        assert_eq!(power_mw(&found(&product).sensor.batteries), Ok(9200.0));
    }

    #[test]
    fn a_battery_is_one_by_its_type() {
        let of = |kind| [("type", kind), ("status", "Discharging"), ("power_now", "9540000")];
        for name in ["macsmc-battery", "CMB1", "cw2015-battery"] {
            let mouse = [("type", "Battery"), ("scope", "Device"), ("status", "Discharging"), ("power_now", "1000")];
            let root = tree(&[(name, &of("Battery")), ("hidpp_battery_0", &mouse), ("BAT-charger", &of("Mains"))]);
            assert_eq!(power_mw(&found(&root).sensor.batteries), Ok(9540.0), "{name}");
            assert!(found(&root).describe().contains(name));
        }
        let root = tree(&[("CMB1", &[("type", "Battery"), ("capacity", "80")])]);
        let error = BatteryMeter::find(root.path(), Duration::from_millis(5), Clock::start()).err().unwrap();
        assert!(error.to_string().contains("CMB1 has neither power_now"), "{error}");
    }

    #[test]
    fn a_charger_is_rejected_and_so_is_a_machine_without_a_battery() {
        for status in ["Charging", "Full", "Not charging", "Unknown"] {
            let root = tree(&[("BAT0", &[("status", status), ("power_now", "9540000")])]);
            let error = found(&root).start().unwrap_err().to_string();
            assert!(error.contains(status) && error.contains("unplug"), "{error}");
        }
        let two = tree(&[
            ("BAT0", &[("status", "Discharging"), ("power_now", "9540000")]),
            ("BAT1", &[("status", "Charging"), ("power_now", "9540000")]),
        ]);
        assert!(power_mw(&found(&two).sensor.batteries).unwrap_err().to_string().contains("unplug the charger"));
        let none = tree(&[("AC", &[("online", "1")])]);
        let error = BatteryMeter::find(none.path(), Duration::from_millis(PERIOD_MS), Clock::start())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("only laptops"), "{error}");
        let zero = tree(&[("BAT0", &[("status", "Discharging"), ("power_now", "0")])]);
        assert!(found(&zero).start().is_err());
    }

    #[test]
    fn an_unchanged_value_is_not_a_reading_and_the_charger_ends_the_meter() {
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
        assert_eq!(trace.rail(NAME).last().unwrap().power_mw, 9004.0);
        meter.start().unwrap();
        file("status", "Charging");
        std::thread::sleep(Duration::from_millis(200));
        assert!(meter.check().unwrap_err().to_string().contains("unplug the charger"));
        assert!(meter.stop().is_err());
    }

    #[test]
    fn a_slow_gauge_gives_a_note() {
        let (mut batteries, clock) = (Batteries::of(Vec::new()), Clock::start());
        // Without a battery the power is always 0.
        let first = batteries.poll(&clock);
        let second = batteries.poll(&clock);
        assert!(matches!(first, Ok(points) if points.len() == 1));
        assert!(matches!(second, Ok(points) if points.is_empty()));
        let point = |at_s: u64| Point { at_ns: at_s * 1_000_000_000, power_mw: 1.0 };
        let note = batteries.note(&[point(1), point(13), point(25)]).unwrap();
        assert!(note.contains("every 12.0 s"), "{note}");
    }
}
