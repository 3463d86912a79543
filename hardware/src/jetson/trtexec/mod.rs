//! Output of `trtexec`, the runner of TensorRT: versions 7 to 10.
//!
//! [`parse`] reads result and duration of a run, [`times::parse`] the file of `--exportTimes`, which contains every
//! single run. Statistics are computed from the latter; those that `trtexec` prints are not read.

pub(super) mod times;

use crate::shown::{Line, lines, start_of};

/// Longest part of a line that is read, in bytes: verbose lines that list kernels are longer, and contain no times.
const MAX_LINE: usize = 16 * 1024;
/// Longest part of a message that is kept, in characters.
const MAX_MESSAGE: usize = 500;

/// The content of an output. Missing values are `None`; the caller decides which of them it needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    /// Version of TensorRT: `8.2.1`. Version 7 rarely prints it.
    pub version: Option<String>,
    /// Result of the run.
    pub outcome: Outcome,
    /// Duration of all timed runs together, in seconds.
    pub walltime_s: Option<f64>,
    /// Number of timed runs, without warm-up; times the batch if `--batch` is given. Version 7 prints 0 for models with
    /// an explicit batch, which counts as missing.
    pub queries: Option<u64>,
    /// The cause of a failure, as far as the output contains it. A run that passed may have one too: a build that runs
    /// out of memory with one kernel reports it and continues with others.
    pub problem: Option<Problem>,
}

/// Result of a run of `trtexec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// `&&&& PASSED`.
    Passed,
    /// `&&&& FAILED`.
    Failed,
    /// Neither was printed: it was killed, it crashed, or the output is cut.
    Unfinished,
}

/// The cause of a failure, with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// Not enough memory, while building or running.
    OutOfMemory(String),
    /// The network has an operator, or a form of one, that this version does not support or has no kernel for.
    Unsupported(String),
    /// The engine was built by another version or on another board, or is damaged.
    BadEngine(String),
    /// Another error: the first in the output.
    Other(String),
}

/// Reads the output of one run, standard output and standard error together.
///
/// # Errors
///
/// If the duration or the number of runs is impossible, or the output contradicts itself. A failed or unfinished run is
/// a [`Report`] and not an error. The error names line and field.
pub(super) fn parse(output: &str) -> Result<Report, String> {
    let mut report =
        Report { version: None, outcome: Outcome::Unfinished, walltime_s: None, queries: None, problem: None };
    let mut problems = Problems::default();
    for (line, text) in lines(output) {
        let text = text.trim();
        let text = &text[..text.floor_char_boundary(MAX_LINE)];
        if let Some(verdict) = text.strip_prefix("&&&& ") {
            report.outcome = outcome(verdict, report.outcome, line)?;
        }
        let (is_error, message) = message(text);
        if report.version.is_none() {
            report.version = version(message);
        }
        if let Some(rest) = message.strip_prefix("Timing trace has ") {
            report.queries = queries(rest, line)?;
        } else if let Some(seconds) =
            message.strip_prefix("Total Host Walltime: ").or_else(|| message.strip_prefix("walltime: "))
        {
            report.walltime_s = seconds_of(seconds, line)?.or(report.walltime_s);
        }
        problems.take(is_error, message);
    }
    report.problem = problems.finish();
    Ok(report)
}

fn outcome(verdict: &str, before: Outcome, line: Line) -> Result<Outcome, String> {
    let outcome = match verdict.split_whitespace().next() {
        Some("PASSED") => Outcome::Passed,
        Some("FAILED") => Outcome::Failed,
        _ => return Ok(before),
    };
    if before != Outcome::Unfinished && before != outcome {
        return Err(format!("line {}: the same run both PASSED and FAILED; give the output of one run", line.number));
    }
    Ok(outcome)
}

fn queries(rest: &str, line: Line) -> Result<Option<u64>, String> {
    let Some((count, _)) = rest.split_once(" queries") else {
        return Ok(None);
    };
    match count.parse() {
        Ok(0) => Ok(None),
        Ok(queries) => Ok(Some(queries)),
        Err(_) => Err(format!(
            "line {}: number of queries is {:?}, which is not a whole number",
            line.number,
            start_of(count, 40)
        )),
    }
}

/// A time with its unit. `None` where the output ends within it.
fn seconds_of(text: &str, line: Line) -> Result<Option<f64>, String> {
    /// Longest plausible time, in s.
    const LARGEST_S: f64 = 1e9;
    let number = text.trim().strip_suffix('s').and_then(|number| number.strip_suffix(' '));
    if number.is_none() && !line.whole {
        return Ok(None);
    }
    // Rust would also read `inf`, `nan` and `infinity`.
    let plain = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)));
    let seconds = plain.and_then(|number| number.parse().ok()).filter(|s| (0.0..=LARGEST_S).contains(s));
    let wrong =
        || format!("line {}: walltime is {:?}, which is not a time from 0 to 1e9 s", line.number, start_of(text, 40));
    seconds.map(Some).ok_or_else(wrong)
}

/// `[TensorRT v8201]` and `TensorRT version: 8.2.1`; since version 10 each part has two digits.
fn version(message: &str) -> Option<String> {
    let text = message.split_once("[TensorRT v").or_else(|| message.split_once("TensorRT version: "))?.1;
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let text = text[..end].trim_end_matches('.');
    if text.contains('.') && text.len() <= 20 {
        return Some(text.to_owned());
    }
    let number: u32 = text.parse().ok().filter(|number| (1000..1_000_000).contains(number))?;
    let (major, rest) =
        if number < 10_000 { (number / 1000, number % 1000) } else { (number / 10_000, number % 10_000) };
    Some(format!("{major}.{}.{}", rest / 100, rest % 100))
}

/// Whether a line is an error, and its text after date, level and source:
/// `[06/12/2022-22:34:00] [E] [TRT] message`, `[TRT]  ERROR: message`, `ERROR: message`.
fn message(line: &str) -> (bool, &str) {
    let mut text = line;
    let mut is_error = false;
    while let Some((head, rest)) = text.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        let is_date = head.contains('/') && head.contains(':');
        is_error |= matches!(head, "E" | "F");
        if !(is_date || matches!(head, "E" | "F" | "W" | "I" | "V" | "TRT" | "TensorRT")) {
            break;
        }
        text = rest.trim_start();
    }
    for level in ["ERROR", "INTERNAL_ERROR"] {
        if let Some(rest) = text.strip_prefix(level).filter(|rest| rest.starts_with([':', ' '])) {
            return (true, rest.trim_start_matches([':', ' ']));
        }
    }
    (is_error, text)
}

/// Makes a problem from its message.
type Kind = fn(String) -> Problem;

/// Causes by precedence: a match in an earlier list wins over the later ones, which are its consequences. All in lower
/// case, as found in reports on GitHub (NVIDIA/TensorRT #564, #840, #1736, #2177, #3017; onnx-tensorrt #465, #520;
/// FastMOT #127).
const CAUSES: [(Kind, &[&str]); 5] = [
    (
        Problem::BadEngine,
        &[
            "engine plan file is not compatible",
            "engine plan file is generated on",
            "generated for a different device",
            "generated on an incompatible device",
            "tag does not match",
            "tag mismatch",
            "serialization assertion",
            "serialization error",
        ],
    ),
    (
        Problem::Unsupported,
        &[
            "unsupported_node",
            "unsupported_graph",
            "unsupported node",
            "unsupported onnx",
            "invalid_node",
            "invalid_graph",
            "invalid node",
            "invalid graph",
            "no importer registered",
            "plugin not found",
        ],
    ),
    (
        Problem::OutOfMemory,
        &[
            "out of memory",
            "outofmemory",
            "cuda error in allocate",
            "failed_allocation",
            "bad_alloc",
            "nvmapmemalloc",
            "insufficient memory",
            "gpu memory (",
            "not be enough free memory",
            "could not be allocated",
        ],
    ),
    (Problem::BadEngine, &["engine deserialization failed", "deserialize the cuda engine failed"]),
    (
        Problem::Unsupported,
        &["could not find any implementation", "while parsing node", "failed to parse onnx", "could not parse"],
    ),
];

#[derive(Debug, Default)]
struct Problems {
    /// Index into [`CAUSES`], and the message.
    cause: Option<(usize, String)>,
    first: Option<String>,
    /// The operator that the parser was reading.
    node: Option<String>,
    /// Whether an error came before: other lines can come between an error and its reason.
    after_error: bool,
    /// Whether the cause is a code of the parser, whose explanation is on the next lines.
    explains: bool,
}

impl Problems {
    fn take(&mut self, is_error: bool, message: &str) {
        // The parser prints its reason on a separate line, `[8] Assertion failed: …`, with its code in place of date
        // and level.
        let code = message
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "))
            .filter(|(code, _)| self.after_error && code.len() <= 2 && code.bytes().all(|byte| byte.is_ascii_digit()));
        // A message that aborts the process bypasses the logger.
        let aborted = ["Cuda failure", "NvMapMemAlloc", "what():", "terminate called", "While parsing node"]
            .iter()
            .any(|start| message.starts_with(start));
        if !(is_error || aborted || code.is_some()) {
            self.explain(message);
            return;
        }
        self.after_error = true;
        self.explains = false;
        let lower = message.to_ascii_lowercase();
        let cause = CAUSES
            .iter()
            .position(|(_, signs)| signs.iter().any(|sign| lower.contains(sign)))
            .or(code.filter(|(code, _)| code.parse().is_ok_and(|code| (5..=13).contains(&code))).map(|_| 1));
        let reason = code.map_or(message, |(_, reason)| reason);
        if let Some(at) = message.find("While parsing node") {
            let node = message[at + "While parsing ".len()..].trim_end_matches(':');
            self.node = Some(start_of(node, MAX_MESSAGE));
        }
        if let Some(cause) = cause.filter(|cause| self.cause.as_ref().is_none_or(|(known, _)| cause < known)) {
            let reason = match &self.node {
                Some(node) if cause == 1 => format!("{node}: {reason}"),
                _ => reason.to_owned(),
            };
            self.cause = Some((cause, start_of(&reason, MAX_MESSAGE)));
            self.explains = code.is_some();
        }
        if self.first.is_none() && !reason.is_empty() {
            self.first = Some(start_of(reason, MAX_MESSAGE));
        }
    }

    /// Adds a line that explains the parser's code before it.
    fn explain(&mut self, line: &str) {
        self.explains &= !(line.is_empty() || line.starts_with(['[', '&']));
        if let Some((_, reason)) = self.cause.as_mut().filter(|_| self.explains) {
            *reason = start_of(&format!("{reason}: {line}"), MAX_MESSAGE);
        }
    }

    fn finish(self) -> Option<Problem> {
        match self.cause {
            Some((cause, reason)) => Some((CAUSES[cause].0)(reason)),
            None => self.first.map(Problem::Other),
        }
    }
}

#[cfg(test)]
mod tests;
