//! One run of benchmark_app.

use std::time::Duration;

use super::command::{Goal, Run, arguments};
use super::figure::{Figure, Statistic};
use super::link::Link;
use super::options::OpenVinoOptions;
use super::problem::{Kind, Problem};
use super::report::{Report, parse};
use crate::energy::Watch;
use crate::measurement::Latency;
use crate::remote::{End, Printed, RemoteError, last_words, print};
use crate::time::Window;

/// The results of a run.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub report: Report,
    pub figure: Figure,
    /// When timed inferences ran, on the clock of the machine, and how many.
    pub window: Window,
    pub inferences: u64,
}

/// Measures a model's latency for `duration`, in whole seconds.
///
/// # Errors
/// If the tool fails, contradicts itself, or does not say when inferences ran.
pub(super) fn run(
    link: &mut Link,
    options: &OpenVinoOptions,
    model: &str,
    duration: Duration,
    watch: &Watch,
) -> Result<Trial, RemoteError> {
    let printed = start(link, options, model, Goal::Latency, duration, watch)?;
    let report = report(&printed, options.program.grace)?;
    let figure = report.figure().map_err(|problem| RemoteError::Failed { problem })?;
    let window = window(&printed.lines, &report)?;
    let inferences = report.count.unwrap_or_default();
    Ok(Trial { report, figure, window, inferences })
}

/// Runs a model to see whether that works; its time is ignored.
///
/// # Errors
/// If it does not.
pub(super) fn check(
    link: &mut Link,
    options: &OpenVinoOptions,
    model: &str,
    duration: Duration,
) -> Result<Report, RemoteError> {
    report(&start(link, options, model, Goal::Latency, duration, &|| Ok(()))?, options.program.grace)
}

/// Measures how many inferences a second a model makes when several may run at a time.
///
/// # Errors
/// If the tool fails, or prints no throughput.
pub(super) fn throughput(
    link: &mut Link,
    options: &OpenVinoOptions,
    model: &str,
    duration: Duration,
) -> Result<f64, RemoteError> {
    let printed = start(link, options, model, Goal::Throughput, duration, &|| Ok(()))?;
    let fps = report(&printed, options.program.grace)?.throughput_fps;
    fps.ok_or_else(|| RemoteError::Failed { problem: "benchmark_app prints no throughput".to_owned() })
}

fn start(
    link: &mut Link,
    options: &OpenVinoOptions,
    model: &str,
    goal: Goal,
    duration: Duration,
    watch: &Watch,
) -> Result<Printed, RemoteError> {
    let run = Run {
        version: &link.version,
        device: &options.device,
        model,
        goal,
        seconds: duration.as_secs_f64().ceil() as u32,
        precision: options.precision,
        threads: options.threads,
    };
    // Python holds lines back when it writes to a pipe, and the times at which they come tell when inferences ran.
    let mut argv = ["env", "PYTHONUNBUFFERED=1", &link.tool].map(str::to_owned).to_vec();
    argv.extend(arguments(&run));
    let limit = Duration::from_secs(run.seconds.into()) + options.program.grace;
    print(&mut link.agent, &argv, limit, &|| Ok(watch()?))
}

/// The report of a run, if it succeeded.
fn report(printed: &Printed, grace: Duration) -> Result<Report, RemoteError> {
    let failed = |problem: String| RemoteError::Failed { problem: format!("benchmark_app failed: {problem}") };
    let report = parse(&format!("{}\n", printed.text())).map_err(failed)?;
    match (&report.problem, &printed.end) {
        (_, End::Exit(0)) if report.count.is_some() => Ok(report),
        (_, End::TimedOut) => Err(failed(format!(
            "{} s after inference should have ended it had not, and was ended. Where networks take longer to compile, \
             raise grace_s; a stick that hangs has to be unplugged",
            grace.as_secs()
        ))),
        (Some(problem), _) => Err(error(problem)),
        (None, End::Signal(signal)) => Err(failed(format!(
            "it was ended by signal {signal}{}",
            if *signal == 9 { ", as by a machine that is out of memory" } else { "" }
        ))),
        (None, _) => Err(failed(last_words(printed.lines.iter().map(|(_, text)| text.as_str())))),
    }
}

fn error(Problem { kind, text }: &Problem) -> RemoteError {
    let problem = text.clone();
    match kind {
        Kind::Model => RemoteError::Refused { reason: problem },
        Kind::Settings => RemoteError::Settings { problem },
        Kind::Away => RemoteError::Away { problem },
        Kind::Other => RemoteError::Failed { problem },
    }
}

/// When timed inferences ran, on the machine's clock: they ended when the tool began to report, and it says how long
/// they took.
fn window(lines: &[(u64, String)], report: &Report) -> Result<Window, RemoteError> {
    /// How far the two lines may be off what the tool says, in s and as a share of it: the first inference, and all that
    /// Python does between its lines.
    const LATE_S: f64 = 0.5;
    const LATE_SHARE: f64 = 0.02;
    let stamp = |text: &str| lines.iter().find(|(_, line)| line.contains(text)).map(|(at_ns, _)| *at_ns);
    let missing = |what: &str| RemoteError::Failed {
        problem: format!("benchmark_app does not say {what}: power cannot be assigned to inferences"),
    };
    let begun_ns = stamp("[Step 10/11]").ok_or_else(|| missing("when inferences begin"))?;
    let ended_ns = stamp("[Step 11/11]").ok_or_else(|| missing("when inferences ended"))?;
    let duration_s = report.duration_ms.ok_or_else(|| missing("how long they took"))? / 1e3;
    let between_s = ended_ns.saturating_sub(begun_ns) as f64 / 1e9;
    let besides_s = between_s - duration_s - report.first_inference_ms.unwrap_or(0.0) / 1e3;
    if besides_s.abs() > LATE_S + LATE_SHARE * duration_s {
        let problem = format!(
            "benchmark_app says that inferences took {duration_s:.2} s, but {between_s:.2} s lie between their beginning \
             and its report: the machine was too busy to tell when inferences ran. End other programs on it"
        );
        return Err(RemoteError::Failed { problem });
    }
    Ok(Window { from_ns: ended_ns.saturating_sub((duration_s * 1e9) as u64), to_ns: ended_ns })
}

impl Trial {
    /// The latency, with the other statistics of the tool.
    pub fn latency(&self) -> Latency {
        let printed = &self.report.latency;
        let rounding_ms = printed.rounding_ms.unwrap_or(0.0);
        // A time that is rounded by more than a hundredth of itself is useless beside a precise figure.
        let precise = |ms: &f64| *ms > 0.0 && rounding_ms <= 0.01 * ms;
        let is_median = self.figure.statistic == Statistic::Median;
        Latency {
            mean_ms: self.figure.ms,
            std_ms: None,
            min_ms: printed.min_ms.filter(precise),
            p50_ms: if is_median { Some(self.figure.ms) } else { printed.median_ms.filter(precise) },
            p95_ms: None,
            p99_ms: None,
            runs: Some(self.inferences),
        }
    }
}
