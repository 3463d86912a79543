//! Meters that are polled: a thread reads a sensor once in each period.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::error::MOST_READINGS;
use super::power_meter::{self, MOST_MW};
use super::{MeterError, Point, PowerMeter, Trace};
use crate::lock::lock;
use crate::shown::start_of;
use crate::time::Clock;
use crate::warning::MeterNote;

/// Rejected polls in a row that use up a meter's error budget.
const MOST_REJECTED: usize = 20;
/// Shortest time between two polls: every sensor renews its value less often.
const SHORTEST_PERIOD: Duration = Duration::from_micros(100);
/// Longest interval between two polls of an energy counter: it must not wrap around twice.
pub(super) const LONGEST_INTERVAL_NS: u64 = 30_000_000_000;
/// Longest content of a file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// The result of one poll.
pub(super) enum Poll {
    /// Readings; empty if the value is not new.
    Points(Vec<Point>),
    /// No usable value, and the reason.
    Rejected(String),
}

/// The function that polls a sensor.
pub(super) type Poller = Box<dyn FnMut() -> Result<Poll, MeterError> + Send>;

/// A sensor that is polled.
pub(super) trait Sensor: Send {
    /// Name of its rail.
    const NAME: &'static str;

    /// Its source and the devices that the number covers; `period` is the time between two polls.
    fn describe(&self, period: Duration) -> String;

    /// The function that polls it from now on. This method polls it once, so that an unreadable sensor fails here.
    ///
    /// # Errors
    /// If it cannot be read.
    fn begin(&self, clock: Clock) -> Result<Poller, MeterError>;

    /// Smallest difference between two of its readings, in mW; `points` are those of the last trace.
    fn resolution_mw(&self, points: &[Point], period: Duration) -> Option<f64>;

    /// A doubt about the last trace.
    fn note(&self, points: &[Point]) -> Option<MeterNote> {
        let _ = points;
        None
    }
}

/// A meter that polls a sensor.
pub struct PolledMeter<S> {
    pub(super) sensor: S,
    clock: Clock,
    period: Duration,
    running: Option<Running>,
    notes: Vec<MeterNote>,
    resolution_mw: Option<f64>,
}

/// A running thread.
struct Running {
    collected: Arc<Mutex<Collected>>,
    halt: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The readings so far, and the meter's error budget.
#[derive(Default)]
pub(super) struct Collected {
    points: Vec<Point>,
    polls: usize,
    rejected: usize,
    rejected_in_a_row: usize,
    last_reason: String,
    failure: Option<MeterError>,
}

impl<S: Sensor> PolledMeter<S> {
    /// A meter, not started yet.
    ///
    /// # Errors
    /// If the time between two polls is 0.
    pub(super) fn new(sensor: S, period: Duration, clock: Clock) -> Result<Self, MeterError> {
        if period.is_zero() {
            return Err(MeterError::Settings("the time between two readings cannot be 0".to_owned()));
        }
        let resolution_mw = sensor.resolution_mw(&[], period);
        Ok(Self { sensor, clock, period, running: None, notes: Vec::new(), resolution_mw })
    }

    fn running(&self) -> Result<&Running, MeterError> {
        self.running.as_ref().ok_or_else(|| MeterError::not_running(S::NAME))
    }
}

impl<S: Sensor> PowerMeter for PolledMeter<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn describe(&self) -> String {
        self.sensor.describe(self.period)
    }

    fn start(&mut self) -> Result<(), MeterError> {
        self.running = None;
        self.notes.clear();
        self.running = Some(Running::start(S::NAME, self.period, self.sensor.begin(self.clock)?)?);
        Ok(())
    }

    fn check(&self) -> Result<usize, MeterError> {
        lock(&self.running()?.collected).check()
    }

    fn stop(&mut self) -> Result<Trace, MeterError> {
        self.running()?;
        let (points, notes) = self.running.take().map_or_else(Collected::default, Running::stop).finish(S::NAME)?;
        self.notes = notes;
        self.notes.extend(self.sensor.note(&points));
        self.resolution_mw = self.sensor.resolution_mw(&points, self.period);
        Ok(Trace::of_rail(S::NAME, points))
    }

    fn recent(&self, from_ns: u64) -> Vec<Point> {
        self.running.as_ref().map_or_else(Vec::new, |running| lock(&running.collected).since(from_ns))
    }

    fn resolution_mw(&self) -> Option<f64> {
        self.resolution_mw
    }

    fn notes(&self) -> Vec<MeterNote> {
        self.notes.clone()
    }
}

impl Running {
    /// Polls once in each period, at a different phase each time: multiples of the golden ratio spread more evenly than
    /// random numbers. With a constant phase, polls could coincide with the same point of a load's cycle.
    ///
    /// # Errors
    /// If the thread cannot be started.
    fn start(meter: &'static str, period: Duration, mut poll: Poller) -> Result<Self, MeterError> {
        let period = period.max(SHORTEST_PERIOD);
        let collected = Arc::new(Mutex::new(Collected::default()));
        let (halt, halted) = mpsc::channel::<()>();
        let shared = Arc::clone(&collected);
        let run = move || {
            let (begun, mut turn) = (Instant::now(), 0u64);
            loop {
                let due = begun + period.mul_f64(turn as f64 + (turn as f64 * 0.618_033_988_749_894_9).fract());
                let passed = begun.elapsed().as_nanos() / period.as_nanos().max(1);
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

impl Collected {
    /// Number of readings.
    ///
    /// # Errors
    /// If the meter has failed.
    pub fn check(&self) -> Result<usize, MeterError> {
        self.failure.clone().map_or(Ok(self.points.len()), Err)
    }

    /// The readings from an instant on.
    pub fn since(&self, from_ns: u64) -> Vec<Point> {
        self.points[self.points.partition_point(|point| point.at_ns < from_ns)..].to_vec()
    }

    /// Readings and doubts about them.
    ///
    /// # Errors
    /// If the meter has failed, gave fewer than two readings, or most of them are negative.
    pub fn finish(mut self, meter: &str) -> Result<(Vec<Point>, Vec<MeterNote>), MeterError> {
        self.check()?;
        let mut points = std::mem::take(&mut self.points);
        if points.len() < 2 {
            return Err(MeterError::too_few(meter, points.len()));
        }
        let mut notes = power_meter::check_signs(meter, &mut points)?;
        if self.rejected > 0 {
            let reason = self.last_reason;
            notes.push(MeterNote::Skipped { skipped: self.rejected, readings: self.polls, reason });
        }
        Ok((points, notes))
    }

    /// Ends the meter with an error.
    pub fn fail(&mut self, error: MeterError) {
        self.failure.get_or_insert(error);
    }

    /// The reason of the last rejection; empty without one.
    pub fn last_reason(&self) -> &str {
        &self.last_reason
    }

    /// Adds the result of a poll.
    pub fn take(&mut self, meter: &str, result: Result<Poll, MeterError>) {
        self.polls += 1;
        match result {
            Ok(Poll::Points(points)) => {
                self.rejected_in_a_row = 0;
                self.points.extend(points);
                if self.points.len() > MOST_READINGS {
                    self.fail(MeterError::flood(meter));
                }
            }
            Ok(Poll::Rejected(reason)) => {
                self.rejected += 1;
                self.rejected_in_a_row += 1;
                if self.rejected_in_a_row >= MOST_REJECTED {
                    self.fail(MeterError::Failed(format!(
                        "{} of {} readings of {meter} are rejected, the last {MOST_REJECTED} in a row: {reason}",
                        self.rejected, self.polls
                    )));
                }
                self.last_reason = reason;
            }
            Err(failure) => self.fail(failure),
        }
    }
}

/// The content of a small file, without blanks around it.
///
/// # Errors
/// If it cannot be read; `advice` explains how to allow it.
pub(super) fn small_file(path: &Path, advice: &str) -> Result<String, MeterError> {
    use std::io::Read;
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => MeterError::no_rights(&path.display().to_string(), advice),
        _ => MeterError::unread(&path.display().to_string(), error),
    })?;
    Ok(String::from_utf8_lossy(&bytes).trim_matches(['\0', '\n', ' ', '\t']).to_owned())
}

/// The whole number in a file.
///
/// # Errors
/// If it cannot be read, or contains anything else.
pub(super) fn whole_number(path: &Path, advice: &str) -> Result<i64, MeterError> {
    parse_whole(&path.display().to_string(), &small_file(path, advice)?)
}

/// The whole number in a file's text.
///
/// # Errors
/// If it contains anything else.
pub(super) fn parse_whole(path: &str, text: &str) -> Result<i64, MeterError> {
    let number = text.trim().parse();
    number.map_err(|_| MeterError::unread(path, format!("{:?} is not a whole number", start_of(text, 80))))
}

/// A value that could not be read counts against the error budget; other errors end the meter.
///
/// # Errors
/// Those other errors.
pub(super) fn or_rejected(error: MeterError) -> Result<Poll, MeterError> {
    match error {
        MeterError::Read(reason) => Ok(Poll::Rejected(reason)),
        error => Err(error),
    }
}

/// Mean power between two polls of an energy counter, as two readings: one a nanosecond after the first poll and one a
/// nanosecond before the second. Each counts for the time half way to its neighbours ([`crate::energy`]), both together
/// for exactly the time between the polls.
pub(super) fn between_polls(from_ns: u64, to_ns: u64, used_uj: u64) -> Poll {
    let time_ns = to_ns.saturating_sub(from_ns);
    if !(4..=LONGEST_INTERVAL_NS).contains(&time_ns) {
        return Poll::Rejected(format!("{:.3} s passed between two polls", time_ns as f64 / 1e9));
    }
    // µJ per ns are kW: 1e6 mW.
    let power_mw = used_uj as f64 / time_ns as f64 * 1e6;
    if power_mw > MOST_MW {
        return Poll::Rejected("the energy counter was set back".to_owned());
    }
    Poll::Points(vec![Point { at_ns: from_ns + 1, power_mw }, Point { at_ns: to_ns - 1, power_mw }])
}

/// Reads a value, with a time stamp in the middle of the reading.
pub(super) fn timed<T>(clock: &Clock, read: impl FnOnce() -> Result<T, MeterError>) -> Result<(u64, T), MeterError> {
    let before = clock.now_ns();
    let value = read()?;
    Ok((before + clock.now_ns().saturating_sub(before) / 2, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sensor that the given function polls.
    struct Scripted<F>(F);

    impl<F: FnMut() -> Result<Poll, MeterError> + Clone + Send + 'static> Sensor for Scripted<F> {
        const NAME: &'static str = "m";

        fn describe(&self, _period: Duration) -> String {
            String::new()
        }

        fn begin(&self, _clock: Clock) -> Result<Poller, MeterError> {
            Ok(Box::new(self.0.clone()))
        }

        fn resolution_mw(&self, _points: &[Point], _period: Duration) -> Option<f64> {
            None
        }
    }

    fn meter<F: FnMut() -> Result<Poll, MeterError> + Clone + Send + 'static>(
        poll: F,
        period: Duration,
    ) -> PolledMeter<Scripted<F>> {
        PolledMeter::new(Scripted(poll), period, Clock::start()).unwrap()
    }

    #[test]
    fn polls_are_spread_over_their_periods_and_rejections_counted() {
        let clock = Clock::start();
        let mut turn = 0;
        let poll = move || {
            turn += 1;
            let point = Point { at_ns: clock.now_ns(), power_mw: 5.0 };
            Ok(if turn == 3 { Poll::Rejected("it was busy".to_owned()) } else { Poll::Points(vec![point]) })
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
        assert!(matches!(&meter.notes()[..], [MeterNote::Skipped { skipped: 1, .. }]), "{:?}", meter.notes());
    }

    #[test]
    fn a_meter_that_only_rejects_fails() {
        let mut meter = meter(|| Ok(Poll::Rejected("no".to_owned())), Duration::from_millis(1));
        let error = power_meter::fault_of(&mut meter).to_string();
        assert!(error.contains("20 of 20") && error.contains("no"), "{error}");
    }

    #[test]
    fn a_meter_runs_from_its_start_to_its_stop() {
        let clock = Clock::start();
        let poll = move || Ok(Poll::Points(vec![Point { at_ns: clock.now_ns(), power_mw: 1.0 }]));
        assert!(PolledMeter::new(Scripted(poll), Duration::ZERO, clock).is_err());
        let mut meter = meter(poll, Duration::from_millis(1));
        assert_eq!(meter.check(), Err(MeterError::not_running("m")));
        meter.start().unwrap();
        while meter.check().unwrap() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(meter.stop().unwrap().readings().len() >= 3);
        assert_eq!(meter.stop(), Err(MeterError::not_running("m")));
    }

    #[test]
    fn too_few_readings_are_an_error() {
        let mut meter = meter(|| Ok(Poll::Points(Vec::new())), Duration::from_secs(3600));
        meter.start().unwrap();
        assert_eq!(meter.stop(), Err(MeterError::too_few("m", 0)));
    }
}
