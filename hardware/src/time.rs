//! The clock of measurements, and windows of time on it.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The clock that a meter and the load beside it share: nanoseconds since it was made, of the monotonic clock of the
/// machine that runs this program (`CLOCK_MONOTONIC` on Linux).
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    /// Time of tests that takes no time.
    #[cfg(test)]
    simulated_ns: Option<&'static AtomicU64>,
}

/// A window of time in which inferences ran without a break, or in which the device was idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its beginning, in nanoseconds of the trace's clock.
    pub from_ns: u64,
    /// Its end.
    pub to_ns: u64,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
            #[cfg(test)]
            simulated_ns: None,
        }
    }

    /// Nanoseconds since it began.
    pub fn now_ns(&self) -> u64 {
        #[cfg(test)]
        if let Some(now_ns) = self.simulated_ns {
            return now_ns.load(Ordering::Relaxed);
        }
        self.at_ns(Instant::now())
    }

    /// Lets time pass.
    pub(crate) fn sleep(&self, duration: Duration) {
        #[cfg(test)]
        if let Some(now_ns) = self.simulated_ns {
            now_ns.fetch_add(duration.as_nanos() as u64, Ordering::Relaxed);
            return;
        }
        std::thread::sleep(duration);
    }

    /// A clock that shows what `now_ns` holds, and whose sleep adds to it.
    #[cfg(test)]
    pub(crate) fn simulated(now_ns: &'static AtomicU64) -> Self {
        Self { simulated_ns: Some(now_ns), ..Self::start() }
    }

    /// Nanoseconds from its beginning to an instant; 0 for one before it.
    pub fn at_ns(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Window {
    /// Its length, in s.
    pub fn seconds(&self) -> f64 {
        self.to_ns.saturating_sub(self.from_ns) as f64 / 1e9
    }

    /// The window without its edges: a reading near an edge may cover time beyond it.
    #[must_use]
    pub fn without_edges(&self, edge_ns: u64) -> Self {
        let edge_ns = edge_ns.min(self.to_ns.saturating_sub(self.from_ns) / 4);
        Self { from_ns: self.from_ns + edge_ns, to_ns: self.to_ns.saturating_sub(edge_ns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn window(from_s: f64, to_s: f64) -> Window {
        Window { from_ns: (from_s * 1e9) as u64, to_ns: (to_s * 1e9) as u64 }
    }

    #[test]
    fn the_clock_goes_forward_and_knows_nothing_before_it() {
        let before = Instant::now();
        let clock = Clock::start();
        assert_eq!(clock.at_ns(before), 0);
        let first = clock.now_ns();
        assert!(clock.now_ns() >= first);
    }

    #[test]
    fn edges_are_cut_but_never_most_of_a_window() {
        assert_eq!(
            window(1.0, 3.0).without_edges(SECOND / 10),
            Window { from_ns: 1_100_000_000, to_ns: 2_900_000_000 }
        );
        assert_eq!(window(1.0, 2.0).without_edges(9 * SECOND).seconds(), 0.5);
    }
}
