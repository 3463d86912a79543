//! Meters that are polled: a thread reads a sensor once in each period.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::collected::Collected;
use super::power_meter::MOST_MW;
use super::{MeterError, Point, PowerMeter, Trace};
use crate::lock::lock;
use crate::shown::start_of;
use crate::time::Clock;

/// Shortest time between two polls: every sensor renews its value less often.
const SHORTEST_PERIOD: Duration = Duration::from_micros(100);
/// Longest interval between two polls of an energy counter: it must not wrap around twice.
pub(super) const LONGEST_INTERVAL_NS: u64 = 30_000_000_000;
/// The advice for a file that the user may not read.
pub(super) const RIGHTS: &str = "let the user read it (`sudo chmod a+r FILE`)";
/// Longest content of a file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// A sensor that is polled. It keeps the last poll, with which the next is compared.
pub(super) trait Sensor: Clone + Send + 'static {
    /// Name of its rail.
    const NAME: &'static str;

    /// Its source and the devices that the number covers; `period` is the time between two polls.
    fn describe(&self, period: Duration) -> String;

    /// New readings; none if the value is not new. [`MeterError::Read`] is within the error budget, other errors end the
    /// meter.
    fn poll(&mut self, clock: &Clock) -> Result<Vec<Point>, MeterError>;

    /// Smallest difference between two of its readings, in mW; `points` are those of the trace.
    fn resolution_mw(&self, points: &[Point], period: Duration) -> Option<f64>;

    /// A doubt about the trace.
    fn note(&self, _points: &[Point]) -> Option<String> {
        None
    }
}

/// Tells new readings from polls of a value that the sensor has not renewed: a value counts when it changes, and an
/// unchanged one only after the longest time between changes so far.
#[derive(Debug, Clone)]
pub(super) struct Renewals {
    /// The last poll that counted.
    counted: Option<Point>,
    changed_ns: u64,
    /// Longest time between two changes so far.
    longest_ns: u64,
    /// Bound of the latter.
    limit_ns: u64,
}

impl Renewals {
    /// Before any poll. The longest time between changes is taken to be from `shortest` to `limit`.
    pub fn new(shortest: Duration, limit: Duration) -> Self {
        let [longest_ns, limit_ns] = [shortest, limit].map(|time| time.as_nanos() as u64);
        Self { counted: None, changed_ns: 0, longest_ns, limit_ns }
    }

    /// The new reading in a poll, if it is one.
    pub fn reading(&mut self, point: Point) -> Vec<Point> {
        match self.counted {
            None => self.changed_ns = point.at_ns,
            Some(last) if last.power_mw == point.power_mw => {
                if point.at_ns.saturating_sub(last.at_ns) < self.longest_ns {
                    return Vec::new();
                }
            }
            Some(_) => {
                let unchanged_ns = point.at_ns.saturating_sub(self.changed_ns);
                self.longest_ns = self.longest_ns.max(unchanged_ns.min(self.limit_ns));
                self.changed_ns = point.at_ns;
            }
        }
        self.counted = Some(point);
        vec![point]
    }
}

/// A meter that polls a sensor.
pub struct PolledMeter<S> {
    pub(super) sensor: S,
    clock: Clock,
    period: Duration,
    running: Option<Running>,
}

/// A running thread.
struct Running {
    collected: Arc<Mutex<Collected>>,
    halt: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Sensor> PolledMeter<S> {
    /// A meter, not started yet.
    pub(super) fn new(sensor: S, period: Duration, clock: Clock) -> Self {
        Self { sensor, clock, period, running: None }
    }
}

impl<S: Sensor> PowerMeter for PolledMeter<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn describe(&self) -> String {
        self.sensor.describe(self.period)
    }

    /// Polls once before it returns, so that an unreadable sensor fails here.
    fn start(&mut self) -> Result<(), MeterError> {
        self.running = None;
        let (mut sensor, clock) = (self.sensor.clone(), self.clock);
        let collected = Collected::begin(sensor.poll(&clock)?);
        self.running = Some(Running::start(S::NAME, self.period, collected, move || sensor.poll(&clock))?);
        Ok(())
    }

    fn check(&self) -> Result<usize, MeterError> {
        let running = self.running.as_ref().ok_or_else(|| MeterError::not_running(S::NAME))?;
        lock(&running.collected).check()
    }

    fn stop(&mut self) -> Result<Trace, MeterError> {
        let running = self.running.take().ok_or_else(|| MeterError::not_running(S::NAME))?;
        let (points, mut notes) = running.stop().finish(S::NAME)?;
        notes.extend(self.sensor.note(&points));
        let resolution_mw = self.sensor.resolution_mw(&points, self.period);
        Ok(Trace { notes, resolution_mw, ..Trace::of_rail(S::NAME, points) })
    }

    fn recent(&self, from_ns: u64) -> Vec<Point> {
        self.running.as_ref().map_or_else(Vec::new, |running| lock(&running.collected).since(from_ns))
    }
}

impl Running {
    /// Polls once in each period, at a different phase each time: multiples of the golden ratio spread more evenly than
    /// random numbers. With a constant phase, polls could coincide with the same point of a load's cycle.
    fn start(
        meter: &'static str,
        period: Duration,
        collected: Collected,
        mut poll: impl FnMut() -> Result<Vec<Point>, MeterError> + Send + 'static,
    ) -> Result<Self, MeterError> {
        let period = period.max(SHORTEST_PERIOD);
        let collected = Arc::new(Mutex::new(collected));
        let (halt, halted) = mpsc::channel::<()>();
        let shared = Arc::clone(&collected);
        let run = move || {
            let (begun, mut turn) = (Instant::now(), 0u64);
            loop {
                let due = begun + period.mul_f64(turn as f64 + (turn as f64 * 0.618_033_988_749_894_9).fract());
                let passed = begun.elapsed().as_nanos() / period.as_nanos();
                turn = (turn + 1).max(u64::try_from(passed).unwrap_or(u64::MAX));
                match halted.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return,
                }
                let result = poll();
                let mut collected = lock(&shared);
                collected.take(meter, result);
                if collected.failure.is_some() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(format!("meter {meter}")).spawn(run);
        let thread = thread.map_err(|error| MeterError::Failed(format!("no thread for {meter}: {error}")))?;
        Ok(Self { collected, halt: Some(halt), thread: Some(thread) })
    }

    fn stop(mut self) -> Collected {
        self.join();
        std::mem::take(&mut *lock(&self.collected))
    }

    fn join(&mut self) {
        self.halt = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            lock(&self.collected).fail(MeterError::Failed("the thread that reads the meter panicked".to_owned()));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.join();
    }
}

/// The entries of a folder with the wanted names, sorted; none if it cannot be read.
pub(super) fn entries(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let is_wanted = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(&is_wanted);
    let mut wanted: Vec<PathBuf> = entries.filter(is_wanted).collect();
    wanted.sort();
    wanted
}

/// The content of a small file, without blanks around it; `advice` explains how to allow reading it.
pub(super) fn small_file(path: &Path, advice: &str) -> Result<String, MeterError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
    read.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => MeterError::no_rights(&path.display().to_string(), advice),
        _ => MeterError::unread(&path.display().to_string(), error),
    })?;
    Ok(String::from_utf8_lossy(&bytes).trim_matches(['\0', '\n', ' ', '\t']).to_owned())
}

/// The whole number in a file.
pub(super) fn whole_number(path: &Path, advice: &str) -> Result<i64, MeterError> {
    parse_whole(&path.display().to_string(), &small_file(path, advice)?)
}

/// The whole number in a file's text.
pub(super) fn parse_whole(path: &str, text: &str) -> Result<i64, MeterError> {
    let number = text.trim().parse();
    number.map_err(|_| MeterError::unread(path, format!("{:?} is not a whole number", start_of(text, 80))))
}

/// Mean power between two polls of an energy counter, as two readings: one a nanosecond after the first poll and one a
/// nanosecond before the second. Each counts for the time half way to its neighbours ([`crate::energy`]), both together
/// for exactly the time between the polls.
pub(super) fn between_polls(from_ns: u64, to_ns: u64, used_uj: u64) -> Result<Vec<Point>, MeterError> {
    let time_ns = to_ns.saturating_sub(from_ns);
    if !(4..=LONGEST_INTERVAL_NS).contains(&time_ns) {
        return Err(MeterError::Read(format!("{:.3} s passed between two polls", time_ns as f64 / 1e9)));
    }
    // µJ per ns are kW: 1e6 mW.
    let power_mw = used_uj as f64 / time_ns as f64 * 1e6;
    if power_mw > MOST_MW {
        return Err(MeterError::Read("the energy counter was set back".to_owned()));
    }
    Ok(vec![Point { at_ns: from_ns + 1, power_mw }, Point { at_ns: to_ns - 1, power_mw }])
}

/// Reads a value, with a time stamp in the middle of the reading.
pub(super) fn timed<T, E>(clock: &Clock, read: impl FnOnce() -> Result<T, E>) -> Result<(u64, T), E> {
    let before = clock.now_ns();
    let value = read()?;
    Ok((before + clock.now_ns().saturating_sub(before) / 2, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::power_meter;

    /// A sensor that the given function polls.
    #[derive(Clone)]
    struct Scripted<F>(F);

    impl<F: FnMut() -> Result<Vec<Point>, MeterError> + Clone + Send + 'static> Sensor for Scripted<F> {
        const NAME: &'static str = "m";

        fn describe(&self, _period: Duration) -> String {
            String::new()
        }

        fn poll(&mut self, _clock: &Clock) -> Result<Vec<Point>, MeterError> {
            (self.0)()
        }

        fn resolution_mw(&self, _points: &[Point], _period: Duration) -> Option<f64> {
            None
        }
    }

    fn meter<F: FnMut() -> Result<Vec<Point>, MeterError> + Clone + Send + 'static>(
        poll: F,
        period: Duration,
    ) -> PolledMeter<Scripted<F>> {
        PolledMeter::new(Scripted(poll), period, Clock::start())
    }

    #[test]
    fn polls_are_spread_over_their_periods_and_rejections_counted() {
        let clock = Clock::start();
        let mut turn = 0;
        let poll = move || {
            turn += 1;
            let point = Point { at_ns: clock.now_ns(), power_mw: 5.0 };
            if turn == 3 { Err(MeterError::Read("it was busy".to_owned())) } else { Ok(vec![point]) }
        };
        let mut meter = meter(poll, Duration::from_millis(5));
        meter.start().unwrap();
        while meter.check().unwrap() < 40 {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(meter.recent(0).len() >= 40 && meter.recent(u64::MAX).is_empty());
        let trace = meter.stop().unwrap();
        assert!(trace.readings().len() >= 40);
        assert!(trace.readings().is_sorted_by(|a, b| a.at_ns < b.at_ns));
        assert!(matches!(&trace.notes[..], [note] if note.starts_with("1 of ")), "{:?}", trace.notes);
    }

    #[test]
    fn an_unchanged_value_counts_after_the_longest_time_between_changes() {
        let s = Duration::from_secs;
        // A gauge that renews its value every 12 s, polled once a second, and then stands still.
        let mut renewals = Renewals::new(s(1), s(30));
        let mut counted = (0..=120).filter(|second: &u64| {
            let power_mw = (second / 12).min(4) as f64;
            !renewals.reading(Point { at_ns: second * 1_000_000_000, power_mw }).is_empty()
        });
        // Before the first change its pace is not known.
        assert!(counted.by_ref().take_while(|second| *second < 12).eq(0..12));
        assert_eq!(counted.collect::<Vec<_>>(), [24, 36, 48, 60, 72, 84, 96, 108, 120]);
        let mut bounded = Renewals::new(s(0), s(1));
        for (at_s, power_mw) in [(0, 1.0), (9, 2.0), (10, 2.0)] {
            let point = Point { at_ns: at_s * 1_000_000_000, power_mw };
            assert_eq!(bounded.reading(point), [point]);
        }
    }

    #[test]
    fn a_meter_that_only_rejects_fails() {
        let mut turn = 0;
        let poll = move || {
            turn += 1;
            if turn == 1 { Ok(Vec::new()) } else { Err(MeterError::Read("no".to_owned())) }
        };
        let error = power_meter::fault_of(&mut meter(poll, Duration::from_millis(1))).to_string();
        assert!(error.contains("20 of 20") && error.contains("no"), "{error}");
        let mut unreadable = meter(|| Err(MeterError::Read("no".to_owned())), Duration::from_millis(1));
        assert_eq!(unreadable.start(), Err(MeterError::Read("no".to_owned())));
    }

    #[test]
    fn a_meter_runs_from_its_start_to_its_stop() {
        let clock = Clock::start();
        let poll = move || Ok(vec![Point { at_ns: clock.now_ns(), power_mw: 1.0 }]);
        for period in [Duration::ZERO, Duration::from_millis(1)] {
            let mut meter = meter(poll, period);
            assert_eq!(meter.check(), Err(MeterError::not_running("m")));
            meter.start().unwrap();
            while meter.check().unwrap() < 3 {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(meter.stop().unwrap().readings().len() >= 3);
            assert_eq!(meter.stop(), Err(MeterError::not_running("m")));
        }
    }

    #[test]
    fn too_few_readings_are_an_error() {
        let mut meter = meter(|| Ok(Vec::new()), Duration::from_secs(3600));
        meter.start().unwrap();
        assert_eq!(meter.stop(), Err(MeterError::too_few("m", 0, "")));
    }
}
