//! Values as benchmark_app prints them.

use crate::shown::{Line, start_of};

/// No time is beyond that, in ms.
const LARGEST_MS: f64 = 1e12;

/// How inferences were started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One after the other.
    Synchronous,
    /// Several requests at a time.
    Asynchronous {
        /// How many, where the output says it.
        requests: Option<u64>,
    },
}

/// `[Step 10/11] Measuring performance (Start inference asynchronously, 4 inference requests, limits: …)`
pub(super) fn mode(step: &str) -> Option<Mode> {
    let words: Vec<&str> = step.split([' ', ',', '(', ')']).filter(|word| !word.is_empty()).collect();
    let requests = || {
        let at = words.windows(2).position(|pair| pair[0] == "inference" && pair[1].starts_with("request"))?;
        words.get(at.checked_sub(1)?)?.parse().ok()
    };
    if words.iter().any(|word| word.starts_with("async")) {
        Some(Mode::Asynchronous { requests: requests() })
    } else if words.iter().any(|word| word.starts_with("sync")) {
        Some(Mode::Synchronous)
    } else {
        // 2018 tells the number only.
        requests().map(|requests| Mode::Asynchronous { requests: Some(requests) })
    }
}

pub(super) fn count(text: &str, line: Line) -> Result<Option<u64>, String> {
    let Some(number) = without_unit(text, "iterations") else {
        return unfinished("count", text, "a number of iterations", line);
    };
    match number.parse::<u64>() {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(count)),
        Err(_) => Err(wrong("count", text, "a number of iterations", line)),
    }
}

pub(super) fn rate(text: &str, line: Line) -> Result<Option<f64>, String> {
    let expected = "a number of FPS";
    let Some(digits) = without_unit(text, "fps") else { return unfinished("throughput", text, expected, line) };
    match number(digits) {
        Some((fps, _)) => Ok(Some(fps)),
        None => Err(wrong("throughput", text, expected, line)),
    }
}

/// A time in lower case, in ms, and half of its last digit. `None` where the output ends within it.
pub(super) fn time(text: &str, field: &str, line: Line) -> Result<Option<(f64, f64)>, String> {
    let expected = "a time from 0 to 1e12 ms with a unit that is known";
    let Some((digits, unit)) = text.trim().rsplit_once(' ') else { return unfinished(field, text, expected, line) };
    let per_ms = match unit.to_ascii_lowercase().as_str() {
        // Divided by, since 1000 is exact and 0.001 is not.
        "s" => 1e-3,
        "ms" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ns" => 1e6,
        _ => return unfinished(field, text, expected, line),
    };
    match number(digits.trim()) {
        Some((value, half)) if value / per_ms <= LARGEST_MS => Ok(Some((value / per_ms, half / per_ms))),
        _ => Err(wrong(field, text, expected, line)),
    }
}

fn without_unit<'a>(text: &'a str, unit: &str) -> Option<&'a str> {
    let (number, last) = text.rsplit_once(' ')?;
    last.eq_ignore_ascii_case(unit).then_some(number.trim())
}

/// A number and half of its last digit.
fn number(text: &str) -> Option<(f64, f64)> {
    // Rust would also read `inf`, `nan` and `infinity`.
    let plain = !text.is_empty() && text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = text.parse::<f64>().ok().filter(|value| plain && (0.0..=1e15).contains(value))?;
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    Some((value, 0.5 * 10_f64.powi(-(i32::try_from(decimals).unwrap_or(40)))))
}

/// Whether a line has a number with a unit behind it.
pub(super) fn looks_like_a_result(message: &str) -> bool {
    let mut words = message.rsplit(' ').filter(|word| !word.is_empty());
    let (unit, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let units = ["s", "ms", "us", "µs", "ns", "sec", "min", "fps", "qps", "iterations", "inferences"];
    units.contains(&unit.to_ascii_lowercase().as_str()) && value.bytes().any(|byte| byte.is_ascii_digit())
}

fn unfinished<T>(field: &str, text: &str, expected: &str, line: Line) -> Result<Option<T>, String> {
    if line.whole { Err(wrong(field, text, expected, line)) } else { Ok(None) }
}

fn wrong(field: &str, text: &str, expected: &str, line: Line) -> String {
    let (line, value) = (line.number, start_of(text, 40));
    format!("line {line} of benchmark_app's output: {field} is {value:?}, which is not {expected}")
}
