//! The clock of another machine, brought to ours.
//!
//! The agent answers with its time, between two readings of our clock: its answer was stamped somewhere in between. Of
//! several such round trips the shortest tells most (Cristian 1989, "Probabilistic clock synchronization", Distributed
//! Computing 3); its middle is taken, and half of it is the largest error. That is done before and after a measurement;
//! in between the offset changes as the two quartzes do, which is as good as evenly.

use serde_json::json;

use super::agent::Agent;
use super::error::RemoteError;
use crate::time::{Clock, Window};

/// Round trips of which the shortest is taken.
const ROUND_TRIPS: usize = 8;

/// One instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offset {
    /// The board's clock, in ns.
    pub board_ns: u64,
    /// Ours, in ns.
    pub ours_ns: u64,
    /// By how much ours may be off, either way, in ns: half the round trip.
    pub uncertainty_ns: u64,
}

/// How the board's clock and ours belong together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClockMap {
    first: Offset,
    last: Offset,
}

impl Offset {
    /// An instant of our clock on the board's.
    pub fn board_at(self, ours_ns: u64) -> u64 {
        u64::try_from((i128::from(ours_ns) - self.difference()).max(0)).unwrap_or(u64::MAX)
    }

    /// Our clock less the board's, in ns.
    fn difference(self) -> i128 {
        i128::from(self.ours_ns) - i128::from(self.board_ns)
    }
}

impl ClockMap {
    /// Asks the agent for its time.
    pub fn sample(agent: &mut Agent, clock: &Clock) -> Result<Offset, RemoteError> {
        let mut best = Self::round_trip(agent, clock)?;
        for _ in 1..ROUND_TRIPS {
            let offset = Self::round_trip(agent, clock)?;
            if offset.uncertainty_ns < best.uncertainty_ns {
                best = offset;
            }
        }
        Ok(best)
    }

    fn round_trip(agent: &mut Agent, clock: &Clock) -> Result<Offset, RemoteError> {
        let before = clock.now_ns();
        agent.ask(json!({"do": "exists", "path": "."}))?;
        let uncertainty_ns = clock.now_ns().saturating_sub(before).div_ceil(2);
        Ok(Offset { board_ns: agent.answered_ns(), ours_ns: before + uncertainty_ns, uncertainty_ns })
    }

    /// The map from an instant before a measurement to one after it.
    pub fn between(first: Offset, last: Offset) -> Self {
        Self { first, last }
    }

    /// An instant of the board's clock on ours, in ns; `None` before ours began. The offset is interpolated between the
    /// two instants, and beyond them it is that of the nearer.
    pub fn ours_ns(&self, board_ns: u64) -> Option<u64> {
        let (from, to) = (self.first.board_ns, self.last.board_ns);
        let share = if to > from { (board_ns.saturating_sub(from) as f64 / (to - from) as f64).min(1.0) } else { 0.0 };
        let (first, last) = (self.first.difference(), self.last.difference());
        let offset = first + ((last - first) as f64 * share).round() as i128;
        u64::try_from(i128::from(board_ns) + offset).ok()
    }

    /// By how much an instant may be off, either way, in s.
    pub fn uncertainty_s(&self) -> f64 {
        self.first.uncertainty_ns.max(self.last.uncertainty_ns) as f64 / 1e9
    }
}

/// A window of the board's clock on the meter's, of which `before` was taken before it. To be called soon after it.
///
/// # Errors
/// If the board cannot be reached, or its clock was set meanwhile.
pub(crate) fn on_our_clock(
    agent: &mut Agent,
    clock: &Clock,
    before: Offset,
    window: Window,
) -> Result<Window, RemoteError> {
    let map = ClockMap::between(before, ClockMap::sample(agent, clock)?);
    let ours = |at_ns| {
        let unknown = || RemoteError::Failed { problem: "the machine's clock was set while it measured".to_owned() };
        map.ours_ns(at_ns).ok_or_else(unknown)
    };
    Ok(Window { from_ns: ours(window.from_ns)?, to_ns: ours(window.to_ns)? })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::remote::Place;
    use proptest::prelude::*;

    fn at(board_ns: u64, ours_ns: u64) -> Offset {
        Offset { board_ns, ours_ns, uncertainty_ns: 2_000 }
    }

    #[test]
    fn offsets_are_interpolated_and_kept_beyond() {
        // The board's clock began earlier, and is slow by 100 ppm.
        let map = ClockMap::between(at(50_000_000_000, 1_000_000_000), at(149_990_000_000, 101_000_000_000));
        assert_eq!(map.ours_ns(50_000_000_000), Some(1_000_000_000));
        assert_eq!(map.ours_ns(149_990_000_000), Some(101_000_000_000));
        assert_eq!(map.ours_ns(99_995_000_000), Some(51_000_000_000));
        assert_eq!(map.ours_ns(150_990_000_000), Some(102_000_000_000));
        assert_eq!(map.ours_ns(49_500_000_000), Some(500_000_000));
        assert_eq!(map.ours_ns(48_000_000_000), None);
        assert_eq!(map.uncertainty_s(), 2e-6);
        let once = at(5, 10);
        assert_eq!(ClockMap::between(once, once).ours_ns(7), Some(12));
    }

    #[test]
    fn an_agent_on_this_machine_has_our_clock() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let Ok(mut agent) = Place::Here.connect(&folder.path().display().to_string()) else { return };
        // Before the first: its best round trip may be the first of several.
        let begun = Instant::now();
        let first = ClockMap::sample(&mut agent, &clock).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let last = ClockMap::sample(&mut agent, &clock).unwrap();
        let passed_ns = begun.elapsed().as_nanos() as u64;
        let map = ClockMap::between(first, last);
        // Both clocks are one: the offset stays what it is.
        let slip = (first.difference() - last.difference()).unsigned_abs() as u64;
        assert!(slip <= first.uncertainty_ns + last.uncertainty_ns, "{first:?} {last:?}");
        assert!(last.board_ns - first.board_ns <= passed_ns, "{first:?} {last:?} {passed_ns}");
        assert!(map.uncertainty_s() < 0.5, "{map:?}");
        assert!(map.ours_ns(last.board_ns).unwrap().abs_diff(last.ours_ns) <= 1);
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(numbers in prop::array::uniform7(any::<u64>())) {
            let [a, b, c, d, e, f, instant] = numbers;
            let map = ClockMap::between(
                Offset { board_ns: a, ours_ns: b, uncertainty_ns: c },
                Offset { board_ns: d, ours_ns: e, uncertainty_ns: f },
            );
            let _ = (map.ours_ns(instant), map.uncertainty_s());
        }
    }
}
