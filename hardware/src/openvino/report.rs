//! The output of benchmark_app, Python's and C++'s, from 2018 to 2026.

use super::problem::{Problem, Problems};
use super::values::{Mode, count, looks_like_a_result, mode, rate, time};
use crate::shown::{Line, lines, start_of};

/// Longest part of a line that is read, in bytes.
const MAX_LINE: usize = 16 * 1024;
/// Longest part of a line that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// The output's statements, `None` where there is none. [`Report::figure`] computes the latency from them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Report {
    /// Build of OpenVINO: `2026.4.1-22982-e213a147257-releases/2026/4`.
    pub version: Option<String>,
    /// Precision that was computed in, where the device tells: `bfloat16`, `f32`.
    pub precision: Option<String>,
    /// Images per inference.
    pub batch: Option<u64>,
    /// How it was run.
    pub mode: Option<Mode>,
    /// The first inference, before those that are timed, in ms.
    pub first_inference_ms: Option<f64>,
    /// Number of inferences; never 0.
    pub count: Option<u64>,
    /// Duration of all inferences together, in ms, with the tool's own loop between them.
    pub duration_ms: Option<f64>,
    /// Times of one inference, as they are printed.
    pub latency: Latency,
    /// Images per second. In synchronous mode up to 2023 computed from the median latency, else from the duration.
    pub throughput_fps: Option<f64>,
    /// The cause of a failure. Can be there beside results: the tool can fail after it has measured.
    pub problem: Option<Problem>,
}

/// Times of one inference, as they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Latency {
    /// Mean, in ms. Not printed before 2022, but in 2018.
    pub mean_ms: Option<f64>,
    /// Median, in ms. The only one from 2019 to 2021 is one: `getMedianValue` in `benchmark_app/main.cpp`, `median` in
    /// the Python tool's `benchmark.py` (openvinotoolkit/openvino, pull request 6479).
    pub median_ms: Option<f64>,
    /// Shortest, in ms.
    pub min_ms: Option<f64>,
    /// Longest, in ms.
    pub max_ms: Option<f64>,
    /// Half of the last digit that mean and median are printed with, in ms.
    pub rounding_ms: Option<f64>,
}

/// Reads the output of one run, standard output and standard error together, as the agent passes it on: without colours.
///
/// # Errors
///
/// When a result is not a number, has an unknown unit, is negative or beyond 1e12 ms, when a result is of an unknown
/// kind, or when results contradict one another. A run that failed gives a [`Report`] with its problem.
pub(super) fn parse(output: &str) -> Result<Report, String> {
    let mut reader = Reader::default();
    for (line, text) in lines(output) {
        let text = text.trim();
        let text = &text[..text.floor_char_boundary(MAX_LINE)];
        reader.problems.take(text);
        let message = text.strip_prefix("[ INFO ]").unwrap_or(text).trim();
        // A line that was cut may have lost its end.
        if !reader.result(message, line)? && line.whole {
            reader.setting(message, line);
        }
    }
    reader.finish()
}

#[derive(Debug, Default)]
struct Reader {
    report: Report,
    problems: Problems,
    /// Results have begun.
    has_results: bool,
    /// Results are announced.
    is_last_step: bool,
    /// The first line that looks like a result of an unknown kind.
    unknown: Option<(usize, String)>,
    /// Where the last latency stands.
    latency_line: usize,
}

/// Finds a time among the results.
type Slot = fn(&mut Report) -> &mut Option<f64>;

/// Times as 2018, 2019 to 2021, 2022 and later versions call them, in lower case, and as errors do.
const TIMES: [(&str, &str, Slot); 7] = [
    ("duration", "duration", |report| &mut report.duration_ms),
    ("latency", "median latency", |report| &mut report.latency.median_ms),
    ("median", "median latency", |report| &mut report.latency.median_ms),
    ("average", "average latency", |report| &mut report.latency.mean_ms),
    ("avg", "average latency", |report| &mut report.latency.mean_ms),
    ("min", "shortest latency", |report| &mut report.latency.min_ms),
    ("max", "longest latency", |report| &mut report.latency.max_ms),
];

impl Reader {
    /// Reads a line if it is a result.
    fn result(&mut self, message: &str, line: Line) -> Result<bool, String> {
        let lower = message.to_ascii_lowercase();
        // The text behind a name. Lower case in ASCII keeps lengths.
        let after = |name: &str| {
            let rest = lower.strip_prefix(name).filter(|rest| rest.starts_with([':', ' ', '\t']))?;
            Some(&message[message.len() - rest.trim_start_matches([':', ' ', '\t']).len()..])
        };
        if let Some(text) = after("count") {
            self.has_results = true;
            if let Some(count) = count(text, line)? {
                set(&mut self.report.count, count, "count", line)?;
            }
            return Ok(true);
        }
        if !self.has_results {
            return Ok(false);
        }
        if let Some(text) = after("throughput") {
            if let Some(fps) = rate(text, line)? {
                set(&mut self.report.throughput_fps, fps, "throughput", line)?;
            }
            return Ok(true);
        }
        if let Some((text, (name, field, slot))) = TIMES.iter().find_map(|entry| Some((after(entry.0)?, entry))) {
            // The heading of several times has none.
            if (*name, text) != ("latency", "")
                && let Some((ms, half_ms)) = time(text, field, line)?
            {
                set(slot(&mut self.report), ms, field, line)?;
                self.latency_line = line.number;
                if matches!(*field, "median latency" | "average latency") {
                    let rounding_ms = &mut self.report.latency.rounding_ms;
                    *rounding_ms = Some(rounding_ms.map_or(half_ms, |known| known.max(half_ms)));
                }
            }
            return Ok(true);
        }
        // Of a percentile that was asked for instead of the median.
        let is_other = lower.contains(" percentile:") || lower.starts_with("execution devices:");
        // The throughput comes last.
        let is_among_results = self.report.throughput_fps.is_none();
        if !is_other && is_among_results && line.whole && looks_like_a_result(message) {
            return Err(not_understood(line.number, &start_of(message, MAX_SHOWN)));
        }
        Ok(false)
    }

    /// Reads a line about how the tool runs.
    fn setting(&mut self, message: &str, line: Line) {
        let report = &mut self.report;
        if let Some(build) = message.strip_prefix("Build ").or_else(|| message.strip_prefix("Build.")) {
            let build = build.trim_start_matches(['.', ' ']);
            if report.version.is_none() && !build.is_empty() {
                report.version = Some(start_of(build, MAX_SHOWN));
            }
        } else if let Some(precision) = message.strip_prefix("INFERENCE_PRECISION_HINT:") {
            let name = precision.split('\'').nth(1).unwrap_or(precision).trim();
            report.precision = (!name.is_empty()).then(|| start_of(name, MAX_SHOWN));
        } else if message.starts_with("First inference took ") || message.starts_with("Warming up inference took ") {
            let took = message.split(" took ").nth(1).unwrap_or_default();
            report.first_inference_ms = time(took, "first inference", line).ok().flatten().map(|(ms, _)| ms);
        } else if let Some(size) = message.split_once(" batch size: ").filter(|_| !message.starts_with('[')) {
            let digits = size.1.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.1.len());
            report.batch = size.1[..digits].parse().ok();
        } else if message.starts_with("[Step ") {
            if message.contains("Measuring") {
                report.mode = mode(message);
            }
            self.is_last_step = message.contains("Dumping statistics") || message.contains("Saving statistics");
        } else if self.is_last_step && !self.has_results && self.unknown.is_none() && looks_like_a_result(message) {
            self.unknown = Some((line.number, start_of(message, MAX_SHOWN)));
        }
    }

    fn finish(mut self) -> Result<Report, String> {
        let Latency { mean_ms, median_ms, min_ms, max_ms, rounding_ms } = self.report.latency;
        let half = rounding_ms.unwrap_or(0.0);
        for middle in [mean_ms, median_ms].into_iter().flatten() {
            let beyond = |min: f64| middle + half < min - half;
            if min_ms.is_some_and(beyond) || max_ms.is_some_and(|max| middle - half > max + half) {
                let what = format!(
                    "the latencies exclude one another: {middle} ms is not between {} and {} ms",
                    min_ms.unwrap_or(0.0),
                    max_ms.unwrap_or(f64::INFINITY)
                );
                return Err(contradiction(self.latency_line, &what));
            }
        }
        self.report.problem = self.problems.finish();
        match self.unknown {
            Some((line, text)) if !self.has_results && self.report.problem.is_none() => {
                Err(not_understood(line, &text))
            }
            _ => Ok(self.report),
        }
    }
}

fn set<T: PartialEq + std::fmt::Display>(
    slot: &mut Option<T>,
    value: T,
    field: &str,
    line: Line,
) -> Result<(), String> {
    match slot {
        Some(before) if *before != value => {
            let what = format!("{field} is {value}, and was {before} before; give the output of one run");
            Err(contradiction(line.number, &what))
        }
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

fn not_understood(line: usize, text: &str) -> String {
    format!(
        "line {line} of benchmark_app's output is not understood: {text:?}. Is this a new version? Nothing is taken from it"
    )
}

fn contradiction(line: usize, what: &str) -> String {
    format!("line {line} of benchmark_app's output: {what}")
}
