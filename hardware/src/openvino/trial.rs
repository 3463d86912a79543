//! One run of benchmark_app.

use std::time::Duration;

use super::command::{Goal, arguments};
use super::figure::Figures;
use super::link::Link;
use super::options::OpenVinoOptions;
use super::problem::{Kind, Problem};
use super::report::{Report, parse};
use crate::energy::Watch;
use crate::input::Input;
use crate::measurement::Latency;
use crate::remote::{End, Printed, RemoteError, print};
use crate::statistic::Statistic;
use crate::time::Window;

/// A model whose file is on the machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uploaded<'a> {
    /// Its path there.
    pub path: &'a str,
    pub inputs: &'a [Input],
}

/// The results of a run.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub report: Report,
    pub figures: Figures,
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
    model: Uploaded,
    statistic: Statistic,
    duration: Duration,
    watch: &Watch,
) -> Result<Trial, RemoteError> {
    let (printed, report) = start(link, options, model, Goal::Latency, duration, watch)?;
    let figures = report.figures(statistic).map_err(|problem| RemoteError::Failed { problem })?;
    let window = window(&printed, &report)?;
    let inferences = report.count.unwrap_or_default();
    Ok(Trial { report, figures, window, inferences })
}

/// Runs a model for `duration`, in whole seconds. Its report may contradict itself.
pub(super) fn start(
    link: &mut Link,
    options: &OpenVinoOptions,
    model: Uploaded,
    goal: Goal,
    duration: Duration,
    watch: &Watch,
) -> Result<(Printed, Report), RemoteError> {
    let seconds = duration.as_secs_f64().ceil() as u32;
    // Python holds lines back when it writes to a pipe, and the times at which they come tell when inferences ran.
    let mut argv = ["env", "PYTHONUNBUFFERED=1", &link.tool].map(str::to_owned).to_vec();
    argv.extend(arguments(options, &link.version, model.path, model.inputs, goal, seconds));
    let limit = Duration::from_secs(seconds.into()) + options.program.grace;
    let printed = print(&mut link.agent, &argv, limit, &|| Ok(watch()?))?;
    let report = report(&printed, options.program.grace)?;
    Ok((printed, report))
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
        (None, _) => Err(failed(printed.failure())),
    }
}

fn error(Problem { kind, text }: &Problem) -> RemoteError {
    let problem = text.clone();
    match kind {
        Kind::Model => RemoteError::Refused { reason: problem },
        Kind::Settings => RemoteError::Settings { problem },
        Kind::Away => RemoteError::Away { problem },
        Kind::Memory => RemoteError::Memory { problem },
        Kind::Other => RemoteError::Failed { problem },
    }
}

/// When timed inferences ran, on the machine's clock.
fn window(printed: &Printed, report: &Report) -> Result<Window, RemoteError> {
    /// How long Python may work between its lines.
    const LATE_S: f64 = 0.5;
    let missing = |what: &str| RemoteError::Failed {
        problem: format!("benchmark_app does not say {what}: power cannot be assigned to inferences"),
    };
    let begun_ns = printed.stamp(&["[Step 10/11]"]).ok_or_else(|| missing("when inferences begin"))?;
    let ended_ns = printed.stamp(&["[Step 11/11]"]).ok_or_else(|| missing("when inferences ended"))?;
    let duration_s = report.duration_ms.ok_or_else(|| missing("how long they took"))? / 1e3;
    let first_s = report.first_inference_ms.unwrap_or(0.0) / 1e3;
    printed.window("benchmark_app", Some(begun_ns), ended_ns, duration_s, first_s, LATE_S)
}

impl Trial {
    /// The latency, with the other statistics of the tool.
    pub fn latency(&self) -> Latency {
        let printed = &self.report.latency;
        let rounding_ms = printed.rounding_ms.unwrap_or(0.0);
        // A time that is rounded by more than a hundredth of itself is useless beside a precise figure.
        let precise = |ms: &f64| *ms > 0.0 && rounding_ms <= 0.01 * ms;
        Latency {
            min_ms: printed.min_ms.filter(precise),
            p50_ms: self.figures.median_ms.or(printed.median_ms.filter(precise)),
            runs: Some(self.inferences),
            ..Latency::from_mean(self.figures.mean_ms, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Agent;

    /// The report of a run that prints some lines.
    fn report_of(lines: &[&str], exit: i32) -> Result<Report, RemoteError> {
        let printed =
            Agent::of_program(lines, exit).run(&["benchmark_app".to_owned()], Duration::from_secs(5)).unwrap();
        report(&printed, Duration::ZERO)
    }

    /// The stick's driver writes in colours.
    #[test]
    fn colours_hide_neither_a_result_nor_the_level_of_a_message() {
        let report = report_of(&["\x1b[0m[ INFO ] Count: 100 iterations\x1b[0m"], 0).unwrap();
        assert_eq!(report.count, Some(100));
        let lines = ["\x1b[36mW: [ncAPI] device_not_found\x1b[0m", "[ ERROR ] std::bad_alloc"];
        let error = report_of(&lines, 1).unwrap_err();
        assert!(matches!(error, RemoteError::Memory { .. }), "{error:?}");
    }
}
