//! Times of a meter's readings, in time stamps of our clock.
//!
//! The time that a meter prints gives the time between readings, which the system's queues do not disturb. The readings
//! that arrived with the least delay relate that time to our clock: delays are never negative, and the shortest is
//! nearly constant. Those of the first and of the last quarter also give the pace of the meter's clock, like the lower
//! envelope of delays in Moon, Skelly and Towsley (1999, "Estimation and removal
//! of clock skew from network delay measurements", INFOCOM).

use super::fields::Row;
use super::{MeterError, Point, power_meter};
use crate::statistics::median;

/// A reading and the time of its arrival, on our clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Arrival {
    pub at_ns: u64,
    pub row: Row,
}

/// A jump is a fault beyond this multiple of the meter's spacing.
const JUMP: f64 = 10.0;
/// Relative error of a clock below which it is corrected without a note: delays alone look like that.
const NOTED_SLOPE: f64 = 1e-3;
/// Number of successive stamps out of order that are a jump and not a slip.
const MOST_SLIPS: usize = 3;

/// Converts readings to our clock. It is an error if there are fewer than two, the meter's time jumps or has another pace,
/// or lines without a time arrive in bursts.
pub(super) fn place(meter: &str, arrivals: &[Arrival]) -> Result<(Vec<Point>, Vec<String>), MeterError> {
    if arrivals.len() < 2 {
        return Err(MeterError::too_few(meter, arrivals.len(), ""));
    }
    let Some(own) = arrivals.iter().map(|arrival| arrival.row.own_ns).collect::<Option<Vec<f64>>>() else {
        reject_bursts(meter, arrivals)?;
        let points = arrivals.iter().map(|arrival| Point { at_ns: arrival.at_ns, power_mw: arrival.row.power_mw });
        return Ok((points.collect(), Vec::new()));
    };
    let InOrder { kept, repeated } = in_order(meter, arrivals, &own)?;
    let mut notes = Vec::new();
    let slipped = arrivals.len() - kept.len() - repeated;
    for (skipped, reason) in
        [(slipped, "its time stamp is out of order"), (repeated, "it has the same time as the one before it")]
    {
        if skipped > 0 {
            notes.push(power_meter::skipped(skipped, arrivals.len(), reason));
        }
    }
    let pairs: Vec<(f64, f64)> = kept.iter().map(|&index| (own[index], arrivals[index].at_ns as f64)).collect();
    let Some(delays) = Delays::of(&pairs) else {
        return Err(MeterError::too_few(meter, pairs.len(), ""));
    };
    if delays.slope.abs() > Delays::LARGEST_SLOPE {
        let (first, last) = (pairs[0], pairs[pairs.len() - 1]);
        let (printed_s, passed_s) = ((last.0 - first.0) / 1e9, (last.1 - first.1) / 1e9);
        return Err(MeterError::Failed(format!(
            "{meter} prints time stamps {printed_s:.3} s apart for what took {passed_s:.3} s: their unit is another one, \
             or its clock is wrong"
        )));
    }
    if delays.slope.abs() > NOTED_SLOPE {
        notes.push(power_meter::clock_drift(delays.slope * 1e6));
    }
    let at_ns = |own: f64| (own + delays.at(own)).max(0.0) as u64;
    let point = |&index: &usize| Point { at_ns: at_ns(own[index]), power_mw: arrivals[index].row.power_mw };
    Ok((kept.iter().map(point).collect(), notes))
}

/// The offset to add to the meter's time for ours.
struct Delays {
    at_ns: f64,
    delay_ns: f64,
    slope: f64,
}

impl Delays {
    /// Relative error that a wrong unit explains, but not a wrong clock.
    const LARGEST_SLOPE: f64 = 0.02;
    /// Fewer readings, or a shorter time, do not determine a pace.
    const FEWEST: usize = 40;
    const SHORTEST_NS: f64 = 20e9;

    fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let lowest = |pairs: &[(f64, f64)]| {
            let delays = pairs.iter().map(|(own, arrival)| (*own, arrival - own));
            delays.min_by(|a, b| a.1.total_cmp(&b.1))
        };
        let (first, last) = (pairs.first()?, pairs.last()?);
        let quarter = pairs.len() / 4;
        let long = last.1 - first.1 >= Self::SHORTEST_NS;
        if pairs.len() >= Self::FEWEST && long {
            let ((from, at_first), (to, at_last)) =
                (lowest(&pairs[..quarter])?, lowest(&pairs[pairs.len() - quarter..])?);
            return Some(Self { at_ns: from, delay_ns: at_first, slope: (at_last - at_first) / (to - from) });
        }
        let (at_ns, delay_ns) = lowest(pairs)?;
        // A wrong unit shows in a short time too: by the ratio of the spans, which queues cannot double.
        let (printed, passed) = (last.0 - first.0, last.1 - first.1);
        let queues_ns = 1e9;
        let wrong = printed > 2.0 * passed + queues_ns || passed > 2.0 * printed + queues_ns;
        Some(Self { at_ns, delay_ns, slope: if wrong { passed / printed.max(1.0) - 1.0 } else { 0.0 } })
    }

    fn at(&self, own: f64) -> f64 {
        self.delay_ns + self.slope * (own - self.at_ns)
    }
}

/// The readings whose stamps ascend, by their numbers.
struct InOrder {
    kept: Vec<usize>,
    /// Number of the others whose stamp is that of the one before.
    repeated: usize,
}

/// Leaves out readings with a stamp that was there before or does not follow the last one; several of the latter in a row
/// are an error.
fn in_order(meter: &str, arrivals: &[Arrival], own: &[f64]) -> Result<InOrder, MeterError> {
    let steps: Vec<f64> = own.windows(2).map(|two| two[1] - two[0]).filter(|step| *step > 0.0).collect();
    let spacing = median(steps).unwrap_or(0.0);
    let mut kept: Vec<usize> = vec![0];
    let (mut repeated, mut slips) = (0, 0);
    for index in 1..own.len() {
        let last = kept[kept.len() - 1];
        let step = own[index] - own[last];
        // The same time may have passed on both clocks: the meter was silent, or its output was held back.
        let passed = arrivals[index].at_ns.saturating_sub(arrivals[last].at_ns) as f64;
        if step > 0.0 && step - passed <= JUMP * spacing.max(1e6) || step == 0.0 {
            slips = 0;
            // The same stamp twice: the same reading, printed again.
            if step > 0.0 {
                kept.push(index)
            } else {
                repeated += 1
            }
            continue;
        }
        slips += 1;
        if slips >= MOST_SLIPS {
            let first = index + 1 - slips;
            let expected = arrivals[first].at_ns.saturating_sub(arrivals[last].at_ns) as f64;
            return Err(MeterError::Failed(format!(
                "the time that {meter} prints jumps by {:.3} s at reading {}, where {:.3} s passed: later readings cannot \
                 be placed",
                (own[first] - own[last]) / 1e9,
                first + 1,
                expected / 1e9
            )));
        }
    }
    Ok(InOrder { kept, repeated })
}

/// Checks whether lines arrive in bursts, since a buffer held them back.
fn reject_bursts(meter: &str, arrivals: &[Arrival]) -> Result<(), MeterError> {
    const FEWEST: usize = 20;
    let steps: Vec<f64> =
        arrivals.windows(2).map(|two| two[1].at_ns.saturating_sub(two[0].at_ns) as f64 / 1e6).collect();
    if steps.len() < FEWEST {
        return Ok(());
    }
    let mean_ms = steps.iter().sum::<f64>() / steps.len() as f64;
    let longest_ms = steps.iter().copied().fold(0.0, f64::max);
    let median_ms = median(steps).unwrap_or(0.0);
    // One long silence makes the mean large too: bursts must recur, and most of the time must be silence.
    let silence_is_all = longest_ms > 0.5 * mean_ms * (arrivals.len() - 1) as f64;
    if median_ms * 20.0 < mean_ms && mean_ms > 2.0 && !silence_is_all {
        return Err(MeterError::Failed(format!(
            "{meter} prints its readings in bursts, {median_ms:.2} ms apart where the mean is {mean_ms:.1} ms: its output \
             is held back in a buffer, so that the time of a reading is lost. Let it print each line at once \
             (`python -u`, `stdbuf -oL`), or name a column of time stamps"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings every 100 ms on the meter's clock, each with some delay on our side.
    fn steady(count: usize, pace: f64) -> Vec<Arrival> {
        let arrival = |index: usize| {
            let own_ns = 7e9 + index as f64 * 1e8;
            let delay_ns = 3e6 + ((index * 7919) % 31) as f64 * 1e6;
            let at_ns = (2e9 + (own_ns - 7e9) * pace + delay_ns) as u64;
            Arrival { at_ns, row: Row { own_ns: Some(own_ns), power_mw: 1.0, step_mw: 1.0 } }
        };
        (0..count).map(arrival).collect()
    }

    #[test]
    fn the_meters_spacing_is_kept_and_put_where_the_least_delay_was() {
        let (points, notes) = place("m", &steady(60, 1.0)).unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        assert!(points.windows(2).all(|two| two[1].at_ns - two[0].at_ns == 100_000_000), "{points:?}");
        assert!(points[0].at_ns.abs_diff(2_003_000_000) < 1000, "{:?}", points[0]);
    }

    #[test]
    fn a_slow_clock_is_corrected_and_a_wrong_unit_rejected() {
        let (points, notes) = place("m", &steady(600, 1.003)).unwrap();
        let ppm = |note: &str| note.split_once(" by ").unwrap().1.split(' ').next().unwrap().parse::<f64>().unwrap();
        assert!(matches!(&notes[..], [note] if (ppm(note) - 3000.0).abs() < 300.0), "{notes:?}");
        let true_ns = 2e9 + 599.0 * 1e8 * 1.003 + 3e6;
        assert!((points[599].at_ns as f64 - true_ns).abs() < 10e6);
        for pace in [1000.0, 1e-3] {
            let error = place("m", &steady(600, pace)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("time stamps") || text.contains("jumps by"), "{text}");
        }
        assert!(place("m", &steady(30, 1000.0)).unwrap_err().to_string().contains("time stamps"));
    }

    #[test]
    fn a_slip_of_the_time_is_left_out_and_a_jump_rejected() {
        for slip_ns in [-5e9, 60e9] {
            let mut arrivals = steady(60, 1.0);
            arrivals[30].row.own_ns = arrivals[30].row.own_ns.map(|own| own + slip_ns);
            let (points, notes) = place("m", &arrivals).unwrap();
            assert_eq!(points.len(), 59);
            assert!(matches!(&notes[..], [note] if note.starts_with("1 of ")), "{notes:?}");
            for arrival in &mut arrivals[31..] {
                arrival.row.own_ns = arrival.row.own_ns.map(|own| own + slip_ns);
            }
            let error = place("m", &arrivals).unwrap_err().to_string();
            assert!(error.contains("jumps by") && error.contains("at reading 31"), "{error}");
        }
    }

    #[test]
    fn a_repeated_stamp_is_named_as_such() {
        let mut arrivals = steady(60, 1.0);
        arrivals[30].row.own_ns = arrivals[29].row.own_ns;
        let (points, notes) = place("m", &arrivals).unwrap();
        assert_eq!(points.len(), 59);
        assert!(matches!(&notes[..], [note] if note.contains("the same time")), "{notes:?}");
    }

    #[test]
    fn a_silence_on_both_clocks_is_not_a_jump() {
        let mut arrivals = steady(60, 1.0);
        for arrival in &mut arrivals[30..] {
            arrival.at_ns += 20_000_000_000;
            arrival.row.own_ns = arrival.row.own_ns.map(|own| own + 20e9);
        }
        let (points, notes) = place("m", &arrivals).unwrap();
        assert_eq!((points.len(), notes), (60, Vec::new()));
    }

    #[test]
    fn bursts_of_lines_without_time_stamps_are_rejected() {
        let mut arrivals = steady(200, 1.0);
        for (index, arrival) in arrivals.iter_mut().enumerate() {
            arrival.at_ns = (index / 50) as u64 * 5_000_000_000 + index as u64 * 10_000;
        }
        assert!(place("m", &arrivals).is_ok());
        for arrival in &mut arrivals {
            arrival.row.own_ns = None;
        }
        let error = place("m", &arrivals).unwrap_err().to_string();
        assert!(error.contains("python -u"), "{error}");
        let mut steady = steady(200, 1.0);
        for arrival in &mut steady {
            arrival.row.own_ns = None;
        }
        assert_eq!(place("m", &steady).unwrap().0.len(), 200);
        assert!(place("m", &steady[..1]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_readings_make_it_panic(rows in proptest::collection::vec((0u64.., proptest::num::f64::NORMAL, proptest::bool::ANY), 0..60)) {
            let arrival = |(at_ns, own, has): (u64, f64, bool)| Arrival { at_ns, row: Row { own_ns: has.then_some(own), power_mw: 1.0, step_mw: 1.0 } };
            let arrivals: Vec<Arrival> = rows.into_iter().map(arrival).collect();
            let _ = place("m", &arrivals);
        }

        /// Readings that arrive in order keep their order, and the notes count those that are left out.
        #[test]
        fn order_is_kept_and_omitted_readings_are_counted(
            steps in proptest::collection::vec((1_u64..400_000_000, -20_000_000_i64..400_000_000), 2..80), own in proptest::bool::ANY,
        ) {
            let (mut at_ns, mut own_ns) = (5_000_000_000, 7e9);
            let arrival = |(ours, meters): &(u64, i64)| {
                at_ns += ours;
                own_ns += *meters as f64;
                Arrival { at_ns, row: Row { own_ns: own.then_some(own_ns), power_mw: 1.0, step_mw: 1.0 } }
            };
            let arrivals: Vec<Arrival> = steps.iter().map(arrival).collect();
            match place("m", &arrivals) {
                Ok((points, notes)) => {
                    proptest::prop_assert!(points.is_sorted_by(|one, next| one.at_ns <= next.at_ns), "{:?}", points);
                    let skipped = notes.iter().filter(|note| note.contains("left out"));
                    let skipped = skipped.map(|note| note.split(' ').next().unwrap().parse::<usize>().unwrap());
                    proptest::prop_assert_eq!(points.len() + skipped.sum::<usize>(), arrivals.len());
                }
                Err(error) => proptest::prop_assert!(error.to_string().starts_with("m ") || error.to_string().contains(" m "), "{}", error),
            }
        }
    }
}
