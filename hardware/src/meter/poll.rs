//! A thread that looks at a few files again and again.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::power_meter::{MOST_MW, MOST_READINGS, MeterError, MeterNote};
use super::{Point, power_meter};
use crate::time::Clock;

/// Looks refused one after the other that end a meter.
const MOST_REFUSED: usize = 20;
/// Shortest time between two looks: no file is renewed as often.
const SHORTEST_PERIOD: Duration = Duration::from_micros(100);
/// Longest time between two looks after which an energy counter is believed: it must not go round twice.
pub(super) const LONGEST_STRETCH_NS: u64 = 30_000_000_000;
/// Longest content of a file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// What one look gave.
pub(super) enum Look {
    /// Readings, none if nothing is new.
    Points(Vec<Point>),
    /// Nothing that can be used, and why. A few such looks are forgiven.
    Refused(String),
}

/// What has been read so far.
#[derive(Default)]
pub(super) struct State {
    points: Vec<Point>,
    looks: usize,
    refused: usize,
    refused_in_a_row: usize,
    last_refusal: String,
    failure: Option<MeterError>,
}

/// What the meters that look at something again and again have in common.
pub(super) struct Polled {
    meter: &'static str,
    clock: Clock,
    period: Duration,
    running: Option<Poller>,
    notes: Vec<MeterNote>,
}

/// A running thread.
pub(super) struct Poller {
    meter: String,
    state: Arc<Mutex<State>>,
    halt: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a thread has read in the end.
pub(super) struct Readings {
    pub points: Vec<Point>,
    pub notes: Vec<MeterNote>,
}

impl Polled {
    /// One that is not started yet.
    ///
    /// # Errors
    /// If there is no time between two looks.
    pub fn new(meter: &'static str, period: Duration, clock: Clock) -> Result<Self, MeterError> {
        if period.is_zero() {
            return Err(MeterError::Settings { problem: "the time between two readings cannot be 0".to_owned() });
        }
        Ok(Self { meter, clock, period, running: None, notes: Vec::new() })
    }

    /// The clock of its readings.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Time between two looks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Begins, with what looks from then on. A meter that cannot be read fails here: `begin` looks once itself.
    ///
    /// # Errors
    /// Those of `begin`, or if there is no thread.
    pub fn start<L>(&mut self, begin: impl FnOnce() -> Result<L, MeterError>) -> Result<(), MeterError>
    where
        L: FnMut() -> Result<Look, MeterError> + Send + 'static,
    {
        self.running = None;
        self.notes.clear();
        self.running = Some(Poller::start(self.meter, self.period, begin()?)?);
        Ok(())
    }

    /// How many readings there are.
    ///
    /// # Errors
    /// If it does not run, or has failed.
    pub fn check(&self) -> Result<usize, MeterError> {
        self.running.as_ref().ok_or_else(|| self.not_running())?.check()
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it does not run, has failed, or gave fewer than two readings.
    pub fn stop(&mut self) -> Result<Vec<Point>, MeterError> {
        let running = self.running.take().ok_or_else(|| self.not_running())?;
        let readings = running.stop()?;
        self.notes = readings.notes;
        Ok(readings.points)
    }

    /// Another doubt about the last readings.
    pub fn note(&mut self, note: MeterNote) {
        self.notes.push(note);
    }

    /// All doubts about the last readings.
    pub fn notes(&self) -> Vec<MeterNote> {
        self.notes.clone()
    }

    fn not_running(&self) -> MeterError {
        MeterError::NotRunning { meter: self.meter.to_owned() }
    }
}

impl Poller {
    /// Looks once in each period, but anywhere in it, by multiples of the golden ratio, which spread more evenly than
    /// chance: what goes on and off as regularly as inferences do would else be met at the same point of its cycle
    /// again and again.
    ///
    /// # Errors
    /// If there is no thread.
    pub fn start(
        meter: &str,
        period: Duration,
        mut look: impl FnMut() -> Result<Look, MeterError> + Send + 'static,
    ) -> Result<Self, MeterError> {
        let period = period.max(SHORTEST_PERIOD);
        let state = Arc::new(Mutex::new(State::default()));
        let (halt, halted) = mpsc::channel::<()>();
        let (name, shared) = (meter.to_owned(), Arc::clone(&state));
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
                let seen = look();
                let mut state = lock(&shared);
                state.take(&name, seen);
                if state.failure.is_some() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(format!("meter {meter}")).spawn(run);
        let thread =
            thread.map_err(|error| MeterError::Settings { problem: format!("no thread for {meter}: {error}") })?;
        Ok(Self { meter: meter.to_owned(), state, halt: Some(halt), thread: Some(thread) })
    }

    /// How many readings there are.
    ///
    /// # Errors
    /// If it has failed.
    pub fn check(&self) -> Result<usize, MeterError> {
        lock(&self.state).check()
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it has failed, or gave fewer than two readings.
    pub fn stop(mut self) -> Result<Readings, MeterError> {
        self.end()?;
        let state = std::mem::take(&mut *lock(&self.state));
        state.finish(&self.meter)
    }

    fn end(&mut self) -> Result<(), MeterError> {
        self.halt = None;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| MeterError::Broken { meter: self.meter.clone() })
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl State {
    /// How many readings there are.
    ///
    /// # Errors
    /// If it has failed.
    pub fn check(&self) -> Result<usize, MeterError> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(self.points.len()),
        }
    }

    /// What has been read.
    ///
    /// # Errors
    /// If it has failed, gave fewer than two readings, or they cannot be believed.
    pub fn finish(mut self, meter: &str) -> Result<Readings, MeterError> {
        self.check()?;
        let mut points = std::mem::take(&mut self.points);
        if points.len() < 2 {
            return Err(MeterError::TooFew { meter: meter.to_owned(), readings: points.len() });
        }
        let mut notes = power_meter::check_signs(meter, &mut points)?;
        if self.refused > 0 {
            let reason = self.last_refusal;
            notes.push(MeterNote::Skipped { skipped: self.refused, readings: self.looks, reason });
        }
        Ok(Readings { points, notes })
    }

    /// Takes up what a look gave.
    pub fn take(&mut self, meter: &str, seen: Result<Look, MeterError>) {
        self.looks += 1;
        match seen {
            Ok(Look::Points(points)) => {
                self.refused_in_a_row = 0;
                self.points.extend(points);
                if self.points.len() > MOST_READINGS {
                    self.failure = Some(MeterError::Flood { meter: meter.to_owned() });
                }
            }
            Ok(Look::Refused(reason)) => {
                self.refused += 1;
                self.refused_in_a_row += 1;
                if self.refused_in_a_row >= MOST_REFUSED {
                    self.failure = Some(MeterError::Garbage {
                        meter: meter.to_owned(),
                        refused: self.refused,
                        lines: self.looks,
                        shown: String::new(),
                        reason: reason.clone(),
                    });
                }
                self.last_refusal = reason;
            }
            Err(failure) => self.failure = Some(failure),
        }
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The content of a small file, without blanks around it.
///
/// # Errors
/// If it cannot be read; the advice is for one that may not be.
pub(super) fn small_file(path: &Path, advice: &str) -> Result<String, MeterError> {
    use std::io::Read;
    let shown = || path.display().to_string();
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => MeterError::NoRights { path: shown(), advice: advice.to_owned() },
        _ => MeterError::Read { path: shown(), problem: error.to_string() },
    })?;
    Ok(String::from_utf8_lossy(&bytes).trim_matches(['\0', '\n', ' ', '\t']).to_owned())
}

/// A file's whole number.
///
/// # Errors
/// If it cannot be read, or holds something else.
pub(super) fn whole_number(path: &Path, advice: &str) -> Result<i64, MeterError> {
    let text = small_file(path, advice)?;
    let shown = || MeterError::Read {
        path: path.display().to_string(),
        problem: format!("{:?} is no whole number", power_meter::clip(&text)),
    };
    text.parse().map_err(|_| shown())
}

/// Mean power between two looks at an energy counter, as two readings: one a nanosecond behind the first look and one a
/// nanosecond before the second. Each stands for the time half way to its neighbours ([`crate::energy`]), both together
/// for just the time between the looks.
pub(super) fn stretch(from_ns: u64, to_ns: u64, used_uj: u64) -> Look {
    let time_ns = to_ns.saturating_sub(from_ns);
    if !(4..=LONGEST_STRETCH_NS).contains(&time_ns) {
        return Look::Refused(format!("{:.3} s passed between two looks", time_ns as f64 / 1e9));
    }
    // µJ by ns are GW/1e6, which is kW: 1e6 mW.
    let power_mw = used_uj as f64 / time_ns as f64 * 1e6;
    if power_mw > MOST_MW {
        return Look::Refused("the energy counter was set back".to_owned());
    }
    Look::Points(vec![Point { at_ns: from_ns + 1, power_mw }, Point { at_ns: to_ns - 1, power_mw }])
}

/// Reads with the stamp of the middle of the reading.
pub(super) fn timed<T>(clock: &Clock, read: impl FnOnce() -> Result<T, MeterError>) -> Result<(u64, T), MeterError> {
    let before = clock.now_ns();
    let value = read()?;
    Ok((before + clock.now_ns().saturating_sub(before) / 2, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(poller: &Poller, count: usize) {
        for _ in 0..500 {
            if poller.check().is_ok_and(|readings| readings >= count) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn looks_are_spread_over_their_periods_and_refusals_counted() {
        let clock = Clock::start();
        let mut turn = 0;
        let look = move || {
            turn += 1;
            let point = Point { at_ns: clock.now_ns(), power_mw: 5.0 };
            Ok(if turn == 3 { Look::Refused("it was busy".to_owned()) } else { Look::Points(vec![point]) })
        };
        let poller = Poller::start("m", Duration::from_millis(5), look).unwrap();
        wait_for(&poller, 40);
        let readings = poller.stop().unwrap();
        assert!(readings.points.len() >= 40);
        assert!(readings.points.is_sorted_by(|a, b| a.at_ns < b.at_ns));
        assert!(matches!(&readings.notes[..], [MeterNote::Skipped { skipped: 1, .. }]), "{:?}", readings.notes);
    }

    #[test]
    fn a_meter_that_only_refuses_fails() {
        let poller = Poller::start("m", Duration::from_millis(1), || Ok(Look::Refused("no".to_owned()))).unwrap();
        for _ in 0..500 {
            if poller.check().is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = poller.stop().err().unwrap().to_string();
        assert!(error.contains("20 of 20") && error.contains("no"), "{error}");
    }

    #[test]
    fn a_meter_runs_from_its_start_to_its_stop() {
        assert!(Polled::new("m", Duration::ZERO, Clock::start()).is_err());
        let mut polled = Polled::new("m", Duration::from_millis(1), Clock::start()).unwrap();
        assert!(matches!(polled.check(), Err(MeterError::NotRunning { .. })));
        let broken = || Err::<fn() -> Result<Look, MeterError>, _>(MeterError::Broken { meter: "m".to_owned() });
        assert!(matches!(polled.start(broken), Err(MeterError::Broken { .. })));
        let clock = polled.clock();
        let look = move || Ok(Look::Points(vec![Point { at_ns: clock.now_ns(), power_mw: 1.0 }]));
        polled.start(|| Ok(look)).unwrap();
        while polled.check().unwrap() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(polled.stop().unwrap().len() >= 3);
        assert!(matches!(polled.stop(), Err(MeterError::NotRunning { .. })));
    }

    #[test]
    fn a_meter_that_was_too_slow_is_told() {
        let poller = Poller::start("m", Duration::from_secs(3600), || Ok(Look::Points(Vec::new()))).unwrap();
        assert!(matches!(poller.stop(), Err(MeterError::TooFew { readings: 0, .. })));
    }
}
