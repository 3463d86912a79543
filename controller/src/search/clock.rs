//! The time of a search: waiting for evaluations, and the rest.

use std::time::{Duration, Instant};

/// Separates a search's own time from the time in which it waits for devices and trainers.
#[derive(Debug)]
pub(super) struct Clock {
    began: Instant,
    waited: Duration,
    /// Own time at the last [`lap`](Self::lap).
    lapped: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    pub whole: Duration,
    /// The time without waiting for evaluations: strategy, journal, checkpoint, observers.
    pub own: Duration,
}

impl Clock {
    pub fn start() -> Self {
        Self { began: Instant::now(), waited: Duration::ZERO, lapped: Duration::ZERO }
    }

    /// Waits for a future, which does not count as own time.
    pub async fn wait<T>(&mut self, future: impl Future<Output = T>) -> T {
        let since = Instant::now();
        let output = future.await;
        self.waited += since.elapsed();
        output
    }

    pub fn spent(&self) -> Spent {
        let whole = self.began.elapsed();
        Spent { whole, own: whole.saturating_sub(self.waited) }
    }

    /// The own time since the last call.
    pub fn lap(&mut self) -> Duration {
        let own = self.spent().own;
        own.saturating_sub(std::mem::replace(&mut self.lapped, own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_does_not_count_as_own_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut clock = Clock::start();
        let answer = runtime.block_on(clock.wait(async {
            tokio::time::sleep(Duration::from_millis(60)).await;
            7
        }));
        std::thread::sleep(Duration::from_millis(20));
        let (lap, spent) = (clock.lap(), clock.spent());
        assert_eq!(answer, 7);
        assert!(lap >= Duration::from_millis(20) && spent.own >= lap, "{lap:?} {spent:?}");
        assert!(spent.whole - spent.own >= Duration::from_millis(60), "{spent:?}");
        assert!(clock.lap() < lap, "a lap counts once");
    }
}
