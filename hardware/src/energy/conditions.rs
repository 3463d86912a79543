//! Temperature and clock of the device around the load.

use crate::measurement::Conditions;
use crate::meter::Condition;
use crate::statistics::{median, quantile, sorted};
use crate::time::Window;
use crate::warning::Warning;

/// Share of the highest clock under load below which a clock is throttled, if at least a tenth of the readings are.
const THROTTLED: f64 = 0.97;
const THROTTLED_READINGS: f64 = 0.1;

/// The conditions before the first and after the last of some windows of load; `idle` is the window before the first.
pub(super) fn of(readings: &[Condition], idle: Option<&Window>, loads: &[Window]) -> Conditions {
    // A quarter of the readings and not of the time: a busy device may give none for some time.
    let clock_mhz = |window: &Window, of_end: bool| {
        let clocks = clocks_mhz(readings, std::slice::from_ref(window));
        let quarter = clocks.len().div_ceil(4);
        median(if of_end { clocks[clocks.len() - quarter..].to_vec() } else { clocks[..quarter].to_vec() })
    };
    let temperature_c = |at_ns: u64| {
        let last = readings.iter().rev().find(|reading| reading.at_ns <= at_ns);
        last.and_then(|reading| reading.temperature_c)
    };
    Conditions {
        temperature_before_c: idle.and_then(|idle| temperature_c(idle.to_ns)),
        temperature_after_c: loads.last().and_then(|load| temperature_c(load.to_ns)),
        clock_before_mhz: loads.first().and_then(|load| clock_mhz(load, false)),
        clock_after_mhz: loads.last().and_then(|load| clock_mhz(load, true)),
    }
}

/// A warning if the clock fell during the windows of load.
pub(super) fn throttling(readings: &[Condition], loads: &[Window]) -> Option<Warning> {
    let clocks = sorted(&clocks_mhz(readings, loads));
    let &before_mhz = clocks.last()?;
    let after_mhz = quantile(&clocks, THROTTLED_READINGS);
    (after_mhz < THROTTLED * before_mhz).then_some(Warning::Throttled { before_mhz, after_mhz })
}

/// The clock at each reading within the windows, in MHz.
fn clocks_mhz(readings: &[Condition], windows: &[Window]) -> Vec<f64> {
    let within = |at_ns: u64| windows.iter().any(|window| (window.from_ns..=window.to_ns).contains(&at_ns));
    readings.iter().filter(|reading| within(reading.at_ns)).filter_map(|reading| reading.clock_mhz).collect()
}
