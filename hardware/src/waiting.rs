//! Waiting for equipment: every wait reports its reason, and can be ended.

use std::cell::RefCell;
use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// A wait for a device or its meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The fault that is waited for.
    pub reason: String,
    /// Time since the fault.
    pub waited: Duration,
    /// Time after which the wait ends.
    pub patience: Duration,
}

/// Receives the waits of a thread; returns whether to go on waiting.
type Observer = Box<dyn FnMut(&Waiting) -> bool>;

thread_local! {
    // Devices block their thread, so all their waits are on the thread that called them.
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
}

/// Calls `act`; `observer` receives every wait of it about twice a second, and returns whether to go on waiting.
pub fn observed<T>(observer: impl FnMut(&Waiting) -> bool + 'static, act: impl FnOnce() -> T) -> T {
    /// Puts the earlier observer back, also after a panic.
    struct Before(Option<Observer>);
    impl Drop for Before {
        fn drop(&mut self) {
            OBSERVER.set(self.0.take());
        }
    }
    let _before = Before(OBSERVER.replace(Some(Box::new(observer))));
    act()
}

/// Waits for `pause` because of a fault since `begun`. Returns false as soon as the observer ends the wait.
pub fn pause(reason: impl Display, begun: Instant, patience: Duration, pause: Duration) -> bool {
    /// Time between two reports.
    const STEP: Duration = Duration::from_millis(500);
    let (paused, reason) = (Instant::now(), reason.to_string());
    loop {
        if !report(&Waiting { reason: reason.clone(), waited: begun.elapsed(), patience }) {
            return false;
        }
        let left = pause.saturating_sub(paused.elapsed());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(STEP));
    }
}

fn report(waiting: &Waiting) -> bool {
    OBSERVER.with_borrow_mut(|observer| observer.as_mut().is_none_or(|observer| observer(waiting)))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_wait_reports_its_reason_and_ends_when_it_is_told_to() {
        let (sender, waits) = mpsc::channel();
        let begun = Instant::now();
        let whole = observed(
            move |waiting| sender.send(waiting.clone()).is_ok() && waiting.waited < Duration::from_millis(600),
            || pause("no route", begun, Duration::from_secs(9), Duration::from_secs(20)),
        );
        assert!(!whole && begun.elapsed() < Duration::from_secs(5));
        let waits: Vec<Waiting> = waits.iter().collect();
        assert!(waits.len() >= 2 && waits.iter().all(|wait| wait.reason == "no route"), "{waits:?}");
        assert!(pause("nobody observes", begun, Duration::ZERO, Duration::from_millis(1)));
    }
}
