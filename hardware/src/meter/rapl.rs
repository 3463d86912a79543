//! The energy counters of Intel and AMD processors (Running Average Power Limit), through Linux's `powercap`.
//!
//! A counter gives energy and not power, so that the mean power between two polls is exact. It becomes two readings
//! (`between_polls`), so that the integral from poll to poll is the counter's own difference. The remaining error is in
//! the two intervals that the ends of a window cut: power counts as constant there, which is wrong by at most the length
//! of one interval (20 ms) times the change of power in it, at each end.
//!
//! The counter is renewed about every millisecond (Intel's manual, volume 3B, 16.10; Khan et al. 2018, "RAPL in
//! Action", ACM TOMPECS 3(2)), in steps of 61 µJ on most processors. It covers the processor, or with `psys` the whole
//! board of some laptops; not memory, disk or screen.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::poll::{self, PolledMeter, Sensor};
use super::{MeterError, Point};
use crate::time::Clock;

/// Folder of the counters on Linux.
pub(super) const ROOT: &str = "/sys/class/powercap";
/// Time between two polls, in ms.
pub(super) const PERIOD_MS: u64 = 20;

const NAME: &str = "rapl";
/// One step of the counter of most processors, in µJ.
const STEP_UJ: f64 = 61.0;
const RIGHTS: &str = "since 2020 (CVE-2020-8694) only root may. Allow it with `sudo chmod a+r \
                      /sys/class/powercap/intel-rapl:*/energy_uj`, again after each start of the machine, or for good with \
                      a udev rule: `SUBSYSTEM==\"powercap\", ACTION==\"add\", RUN+=\"/bin/chmod a+r \
                      /sys%p/energy_uj\"`. Other users of the machine can then read them too";

/// Longest time in which a counter of a running machine moves.
const LONGEST_STANDSTILL: Duration = Duration::from_millis(300);

/// The processor's energy counters.
pub(super) type RaplMeter = PolledMeter<Rapl>;

/// The counters between two polls.
#[derive(Clone)]
pub(super) struct Rapl {
    domains: Vec<Domain>,
    /// Counters that are read instead where the first ones stand still.
    others: Vec<Domain>,
    /// Time and values of the last poll.
    last: Option<(u64, Vec<u64>)>,
}

/// One counter.
#[derive(Debug, Clone, PartialEq)]
struct Domain {
    name: String,
    counter: PathBuf,
    /// Its largest value, in µJ; 0 follows it.
    range_uj: u64,
}

impl RaplMeter {
    /// Finds the counters below [`ROOT`] or another folder: `psys` if it exists, else each processor's package.
    pub fn find(root: &Path, period: Duration, clock: Clock) -> Result<Self, MeterError> {
        let absent = || {
            let what = format!("an energy counter (RAPL) below {}", root.display());
            let advice = "virtual machines have none, and neither have Arm processors; on a real machine of Intel's or \
                          AMD's the module is missing (`sudo modprobe intel_rapl_common intel_rapl_msr`)";
            MeterError::absent(&what, advice)
        };
        // Packages are `intel-rapl:0`, on AMD too; their parts, `intel-rapl:0:1`, are within them.
        let is_top = |name: &str| {
            name.strip_prefix("intel-rapl:").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let folders = poll::entries(root, is_top);
        let domains = folders.iter().map(|folder| Domain::open(folder)).collect::<Result<Vec<_>, _>>()?;
        let (mut domains, mut others): (Vec<_>, Vec<_>) = domains.into_iter().partition(|domain| domain.name == "psys");
        if domains.is_empty() {
            std::mem::swap(&mut domains, &mut others);
        }
        if domains.is_empty() {
            return Err(absent());
        }
        Ok(Self::new(Rapl { domains, others, last: None }, period, clock))
    }

    /// The meter with the counters that count: some boards have a `psys` that stands still, and some virtual machines a
    /// package. An error if all stand still, as none does on a running machine.
    pub fn counting(mut self) -> Result<Self, MeterError> {
        let Rapl { domains, others, .. } = &mut self.sensor;
        let read = |domains: &[Domain]| {
            domains.iter().map(|domain| read_counter(&domain.counter)).collect::<Result<Vec<u64>, _>>()
        };
        let (first, first_others, begun) = (read(domains)?, read(others)?, Instant::now());
        let moved = loop {
            std::thread::sleep(Duration::from_millis(5));
            let moved: Vec<bool> = read(domains)?.iter().zip(&first).map(|(now, first)| now != first).collect();
            if moved.iter().all(|moved| *moved) || begun.elapsed() >= LONGEST_STANDSTILL {
                break moved;
            }
        };
        let standing = names(domains);
        let mut moved = moved.into_iter();
        domains.retain(|_| moved.next().unwrap_or_default());
        if domains.is_empty() {
            std::mem::swap(domains, others);
            let now = read(domains)?;
            let mut moved = now.iter().zip(&first_others).map(|(now, first)| now != first);
            domains.retain(|_| moved.next().unwrap_or_default());
        }
        if !domains.is_empty() {
            return Ok(self);
        }
        Err(MeterError::Settings(format!(
            "the energy counter {standing} does not move, so that this machine does not count its energy: name another meter \
             by its `kind`, or \"none\" to measure time alone"
        )))
    }
}

fn names(domains: &[Domain]) -> String {
    domains.iter().map(|domain| domain.name.as_str()).collect::<Vec<_>>().join(" + ")
}

impl Sensor for Rapl {
    const NAME: &'static str = NAME;

    fn describe(&self, period: Duration) -> String {
        let names = names(&self.domains);
        let covers = if names == "psys" { "the whole board" } else { "the processor, without memory" };
        format!("RAPL counters {names} ({covers}), read every {} ms", period.as_millis())
    }

    fn poll(&mut self, clock: &Clock) -> Result<Vec<Point>, MeterError> {
        let read = |domain: &Domain| read_counter(&domain.counter);
        let (at_ns, values) = poll::timed(clock, || self.domains.iter().map(read).collect::<Result<Vec<u64>, _>>())?;
        let Some((last_ns, last)) = self.last.replace((at_ns, values.clone())) else { return Ok(Vec::new()) };
        let used = self.domains.iter().zip(last.iter().zip(&values));
        let used_uj = used.map(|(domain, (&from, &to))| difference_uj(domain.range_uj, from, to));
        used_between(last_ns, at_ns, used_uj)
    }

    /// The counter's step divided by the time between two polls. Over a longer window it matters less: the error of an
    /// integral is that of two polls, not of all.
    fn resolution_mw(&self, _points: &[Point], period: Duration) -> Option<f64> {
        // µJ per s are µW.
        Some(STEP_UJ / period.as_secs_f64() / 1e3)
    }
}

impl Domain {
    fn open(folder: &Path) -> Result<Self, MeterError> {
        let counter = folder.join("energy_uj");
        read_counter(&counter)?;
        let range_uj = read_counter(&folder.join("max_energy_range_uj"))?;
        Ok(Self { name: poll::small_file(&folder.join("name"), RIGHTS)?, range_uj, counter })
    }
}

fn read_counter(path: &Path) -> Result<u64, MeterError> {
    let value = poll::whole_number(path, RIGHTS)?;
    let negative = || format!("{value} is negative, which no counter can be");
    u64::try_from(value).map_err(|_| MeterError::unread(&path.display().to_string(), negative()))
}

/// The energy of all counters between two polls, as power.
fn used_between(
    from_ns: u64,
    to_ns: u64,
    mut used_uj: impl Iterator<Item = Option<u64>>,
) -> Result<Vec<Point>, MeterError> {
    // Files may contain any number; a sum that overflows is impossible in any case.
    let used_uj = used_uj.try_fold(0_u64, |sum, used| Some(sum.saturating_add(used?)));
    let used_uj = used_uj.ok_or_else(|| MeterError::Read("the energy counter is beyond its range".to_owned()))?;
    poll::between_polls(from_ns, to_ns, used_uj)
}

/// Energy of a counter from one poll to the next, if it wrapped around at most once.
fn difference_uj(range_uj: u64, from: u64, to: u64) -> Option<u64> {
    if from > range_uj || to > range_uj {
        return None;
    }
    Some(if to >= from { to - from } else { range_uj - from + to })
}

#[cfg(test)]
mod tests {
    use super::super::poll::{LONGEST_INTERVAL_NS, between_polls};
    use super::*;
    use crate::energy;
    use crate::meter::{PowerMeter, power_meter};
    use crate::time::Window;
    use proptest::prelude::*;

    /// Counters below a folder.
    fn tree(domains: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (folder, name, energy) in domains {
            let folder = root.path().join(folder);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("name"), format!("{name}\n")).unwrap();
            std::fs::write(folder.join("energy_uj"), energy).unwrap();
            std::fs::write(folder.join("max_energy_range_uj"), "262143328850\n").unwrap();
        }
        root
    }

    #[test]
    fn psys_comes_before_packages_and_parts_are_not_counted_twice() {
        let parts = [("intel-rapl:0", "package-0", "5\n"), ("intel-rapl:0:0", "core", "5\n")];
        let root = tree(&parts);
        let found = RaplMeter::find(root.path(), Duration::from_millis(PERIOD_MS), Clock::start()).unwrap();
        assert!(found.describe().contains("counters package-0 (the processor"), "{}", found.describe());
        assert!((found.sensor.resolution_mw(&[], Duration::from_millis(PERIOD_MS)).unwrap() - 3.05).abs() < 1e-9);
        let root = tree(&[parts[0], ("intel-rapl:1", "psys", "5\n")]);
        let found = RaplMeter::find(root.path(), Duration::from_millis(PERIOD_MS), Clock::start()).unwrap();
        assert!(found.describe().contains("counters psys (the whole board)"), "{}", found.describe());
    }

    /// Lets the counter of a folder move until the sender is dropped.
    fn moving(root: &Path, folder: &str) -> std::sync::mpsc::Sender<()> {
        let (alive, dropped) = std::sync::mpsc::channel::<()>();
        let (next, counter) = (root.join(format!("{folder}-next")), root.join(folder).join("energy_uj"));
        std::thread::spawn(move || {
            let mut value = 0;
            while let Err(std::sync::mpsc::TryRecvError::Empty) = dropped.try_recv() {
                value += 100;
                // The folder is removed at the end of a test.
                if std::fs::write(&next, format!("{value}")).and_then(|()| std::fs::rename(&next, &counter)).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        alive
    }

    #[test]
    fn the_counter_that_counts_is_read() {
        let find = |root: &tempfile::TempDir| {
            RaplMeter::find(root.path(), Duration::from_millis(PERIOD_MS), Clock::start()).unwrap().counting()
        };
        for still in ["0\n", "123456\n"] {
            let root = tree(&[("intel-rapl:0", "package-0", "5\n"), ("intel-rapl:1", "psys", still)]);
            let error = find(&root).err().unwrap().to_string();
            assert!(error.contains("psys does not move") && error.contains("\"none\""), "{error}");
            let _package = moving(root.path(), "intel-rapl:0");
            let meter = find(&root).unwrap();
            assert!(meter.describe().contains("counters package-0 (the processor"), "{}", meter.describe());
            let _psys = moving(root.path(), "intel-rapl:1");
            assert!(find(&root).unwrap().describe().contains("counters psys"));
        }
        let root = tree(&[("intel-rapl:0", "package-0", "5\n"), ("intel-rapl:1", "package-1", "5\n")]);
        let _package = moving(root.path(), "intel-rapl:1");
        let meter = find(&root).unwrap();
        assert!(meter.describe().contains("counters package-1 (the processor"), "{}", meter.describe());
        let root = tree(&[("intel-rapl:0", "package-0", "5\n")]);
        assert!(matches!(find(&root), Err(MeterError::Settings(error)) if error.contains("package-0 does not move")));
    }

    #[test]
    fn a_machine_without_counters_is_an_error_with_its_reason() {
        let root = tempfile::tempdir().unwrap();
        for path in [root.path().to_owned(), root.path().join("missing")] {
            let error =
                RaplMeter::find(&path, Duration::from_millis(PERIOD_MS), Clock::start()).err().unwrap().to_string();
            assert!(error.contains("virtual machines have none"), "{error}");
        }
        let root = tree(&[("intel-rapl:0", "package-0", "many\n")]);
        let error =
            RaplMeter::find(root.path(), Duration::from_millis(PERIOD_MS), Clock::start()).err().unwrap().to_string();
        assert!(error.contains("\"many\""), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn missing_rights_are_explained() {
        use std::os::unix::fs::PermissionsExt;
        let root = tree(&[("intel-rapl:0", "package-0", "5\n")]);
        let counter = root.path().join("intel-rapl:0/energy_uj");
        std::fs::set_permissions(&counter, std::fs::Permissions::from_mode(0o000)).unwrap();
        // Root may read every file.
        if std::fs::read(&counter).is_ok() {
            return;
        }
        let error =
            RaplMeter::find(root.path(), Duration::from_millis(PERIOD_MS), Clock::start()).err().unwrap().to_string();
        assert!(error.contains("only root") && error.contains("udev"), "{error}");
    }

    #[test]
    fn a_counter_may_wrap_around_once() {
        assert_eq!(difference_uj(1000, 10, 30), Some(20));
        assert_eq!(difference_uj(1000, 990, 30), Some(40));
        assert_eq!(difference_uj(1000, 1010, 30), None);
        // A suspended machine resets it to 0, which polls like a wrap-around.
        assert!(matches!(between_polls(0, 20_000_000, 262_000_000_000), Err(MeterError::Read(_))));
        assert!(matches!(between_polls(0, 3, 1), Err(MeterError::Read(_))));
        assert!(matches!(between_polls(0, LONGEST_INTERVAL_NS + 1, 1), Err(MeterError::Read(_))));
    }

    /// Polls at uneven times of power that jumps: the integral over whole intervals is the counter's difference; over
    /// any other window its error is less than one interval times the change of power, at each end.
    #[test]
    fn the_integral_is_that_of_the_counter() {
        let power_mw = |s: f64| if (0.5..1.3).contains(&s) { 30_000.0 } else { 4_000.0 };
        let energy_mj = |from: f64, to: f64| {
            let (mut sum, steps) = (0.0, 400_000);
            for step in 0..steps {
                sum += power_mw(from + (f64::from(step) + 0.5) / f64::from(steps) * (to - from));
            }
            sum / f64::from(steps) * (to - from)
        };
        let (mut points, mut polls, mut at) = (Vec::new(), Vec::new(), 0u64);
        for turn in 0..100u64 {
            polls.push(at);
            let next = at + 12_000_000 + (turn * 7_919_993) % 16_000_000;
            let used_uj = (energy_mj(at as f64 / 1e9, next as f64 / 1e9) * 1e3).round() as u64;
            points.extend(between_polls(at, next, used_uj).unwrap());
            at = next;
        }
        let measured = |from_ns, to_ns| {
            let window = Window { from_ns, to_ns };
            energy::mean_power(&points, &[window]).unwrap().mean_mw * window.seconds()
        };
        for (from, to) in [(3, 90), (10, 50), (31, 32)] {
            let (from_ns, to_ns) = (polls[from], polls[to]);
            let truth = energy_mj(from_ns as f64 / 1e9, to_ns as f64 / 1e9);
            assert!((measured(from_ns, to_ns) / truth - 1.0).abs() < 1e-4, "{} {truth}", measured(from_ns, to_ns));
        }
        // The load itself: both ends cut an interval of at most 28 ms in which power changes by 26 W.
        let (truth, got) = (energy_mj(0.5, 1.3), measured(500_000_000, 1_300_000_000));
        assert!((got - truth).abs() < 2.0 * 0.028 * 26_000.0, "{got} {truth}");
    }

    proptest! {
        /// For any content of the files, a poll gives possible powers or a reason.
        #[test]
        fn no_counters_give_an_impossible_power(
            ranges in prop::collection::vec(0..=i64::MAX as u64, 1..5), values in prop::collection::vec(any::<u64>(), 10), passed_ns: u32,
        ) {
            let used = ranges.iter().zip(values.chunks(2)).map(|(&range, two)| difference_uj(range, two[0], two[1]));
            for (used, range) in used.clone().zip(&ranges) {
                prop_assert!(used.is_none_or(|used| used <= *range));
            }
            if let Ok(points) = used_between(5, 5 + u64::from(passed_ns), used) {
                prop_assert_eq!(points.len(), 2);
                prop_assert!(points[0].at_ns < points[1].at_ns);
                prop_assert!(points.iter().all(|point| (0.0..=power_meter::MOST_MW).contains(&point.power_mw)));
            }
        }

        #[test]
        fn a_counter_with_any_content_is_read_or_rejected_with_its_file(text in "-?[0-9]{1,21}\n?|.{0,12}") {
            let root = tree(&[("intel-rapl:0", "package-0", &text)]);
            match RaplMeter::find(root.path(), Duration::from_millis(PERIOD_MS), Clock::start()) {
                Ok(_) => {
                    let number = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
                    prop_assert!(number.parse::<i64>().is_ok_and(|value| value >= 0), "{:?}", text);
                }
                Err(error) => prop_assert!(error.to_string().contains("energy_uj"), "{}", error),
            }
        }
    }

    #[test]
    fn a_running_counter_is_read() {
        let root = tree(&[("intel-rapl:0", "package-0", "262143328000\n"), ("intel-rapl:1", "package-1", "0\n")]);
        let clock = Clock::start();
        let mut rapl = RaplMeter::find(root.path(), Duration::from_millis(5), clock).unwrap();
        assert_eq!(rapl.stop(), Err(MeterError::not_running("rapl")));
        rapl.start().unwrap();
        let counter = root.path().join("intel-rapl:0/energy_uj");
        // It wraps around on the way; each file is replaced atomically, like a counter.
        for turn in 0u64..30 {
            let value = (262_143_328_000 + turn * 40) % 262_143_328_850;
            std::fs::write(root.path().join("next"), value.to_string()).unwrap();
            std::fs::rename(root.path().join("next"), &counter).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let trace = rapl.stop().unwrap();
        let used: f64 =
            trace.rail(NAME).chunks(2).map(|two| two[0].power_mw * (two[1].at_ns - two[0].at_ns + 2) as f64).sum();
        assert!(used > 0.0 && used / 1e6 <= 29.0 * 40.0 + 1.0, "{} µJ", used / 1e6);
        assert!(used / 1e6 > 15.0 * 40.0, "{} µJ", used / 1e6);
    }
}
